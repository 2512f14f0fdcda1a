//! Whether records come so fast that a small transaction is kept open for more of them. Pure: it is told the time.
//!
//! Each transaction costs us some 80 µs of processor time and the brokers more (an offset, markers, the coordinator's own
//! log), however little is in it, and nothing is sent while it ends. Without this a transaction closes as soon as nothing
//! waits behind it. So the faster the brokers answered the smaller transactions became: a drain of a million changes took
//! 730 of them on a broker that had just started and 13,800 on the same broker after five runs.
//!
//! Invariant: a transaction is kept open for [`HOLD`] at most, and only while the last one filled at [`FAST_BYTES_A_MS`].

use std::time::Duration;

use tokio::time::Instant;

/// Encoded bytes: some 17,000 changes a second without schemas. A load below that is served for its latency.
const FAST_BYTES_A_MS: u128 = 16 * 1024;
/// Several times what ending a transaction takes, and below what a transaction may wait for markers anyway.
const HOLD: Duration = Duration::from_millis(8);

#[derive(Debug, Default)]
pub(super) struct Flow {
    ended: Option<Instant>,
    fast: bool,
}

impl Flow {
    /// A transaction of so many bytes has ended.
    pub(super) fn ended(&mut self, now: Instant, bytes: usize) {
        let nanos = self.ended.replace(now).map_or(u128::MAX, |before| (now - before).as_nanos().max(1));
        self.fast = bytes as u128 * 1_000_000 / nanos >= FAST_BYTES_A_MS;
    }

    /// Until when to keep a transaction open that was begun then; `None`: no longer than it has anything to send.
    pub(super) fn hold(&self, begun: Instant) -> Option<Instant> {
        self.fast.then(|| begun + HOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fast_flow_keeps_a_transaction_open() {
        let (mut flow, begun) = (Flow::default(), Instant::now());
        let ms = Duration::from_millis;
        flow.ended(begun, 10 << 20);
        assert_eq!(flow.hold(begun), None, "nothing is known of the first");
        flow.ended(begun + ms(10), 200 << 10);
        assert_eq!(flow.hold(begun + ms(10)), Some(begun + ms(18)));
        flow.ended(begun + ms(20), 100 << 10);
        assert_eq!(flow.hold(begun + ms(20)), None);
    }
}
