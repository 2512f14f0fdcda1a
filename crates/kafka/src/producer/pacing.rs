//! How soon after one transaction the next may send its first batch.
//!
//! EndTxn is answered before the markers are written. A first batch that comes earlier meets CONCURRENT_TRANSACTIONS
//! inside the broker, which then sleeps 20 ms before it looks again (`add.partitions.to.txn.retry.backoff.ms`, Kafka
//! 4): far longer than the markers take. So the producer waits a little itself, and learns how much from how long the
//! first answers take. Measured with 500 single-row tickets a second on two cores: commit p50 37 ms without.

use std::time::Duration;

use tokio::time::Instant;

/// An answer that took this long to a small first request had the broker sleep.
const SLEPT: Duration = Duration::from_millis(15);
/// Requests above this may take long by themselves.
const SMALL_BYTES: usize = 256 * 1024;
const STEP: Duration = Duration::from_micros(1000);
const WAIT_MAX: Duration = Duration::from_millis(8);
/// A transaction this long after the last one has nothing to learn from.
const NEAR: Duration = Duration::from_millis(30);

#[derive(Debug, Default)]
pub(super) struct Pacing {
    wait: Duration,
    ended: Option<Instant>,
    first_sent: Option<(Instant, usize)>,
    answered: bool,
}

impl Pacing {
    /// When the next transaction may begin.
    pub(super) fn begin_at(&self) -> Option<Instant> {
        self.ended.map(|ended| ended + self.wait)
    }

    pub(super) fn ended(&mut self, now: Instant) {
        self.ended = Some(now);
        self.first_sent = None;
        self.answered = false;
    }

    pub(super) fn sent(&mut self, now: Instant, bytes: usize) {
        if self.first_sent.is_none() {
            self.first_sent = Some((now, bytes));
        }
    }

    /// The transaction's first answer teaches; the others do not.
    pub(super) fn answered(&mut self, now: Instant) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let (Some(ended), Some((sent, bytes))) = (self.ended, self.first_sent) else { return };
        if bytes > SMALL_BYTES || sent - ended > NEAR {
            return;
        }
        if now - sent >= SLEPT {
            self.wait = (self.wait + STEP).min(WAIT_MAX);
        } else {
            self.wait = self.wait.mul_f64(0.99);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_after_a_slept_answer_and_less_again_in_time() {
        let mut pacing = Pacing::default();
        let mut now = Instant::now();
        let mut transaction = |pacing: &mut Pacing, answer_ms| {
            pacing.ended(now);
            let begin = pacing.begin_at().unwrap();
            pacing.sent(begin, 100);
            now = begin + Duration::from_millis(answer_ms);
            pacing.answered(now);
            begin
        };
        for _ in 0..20 {
            transaction(&mut pacing, 22);
        }
        assert_eq!(pacing.wait, WAIT_MAX);
        for _ in 0..1000 {
            transaction(&mut pacing, 1);
        }
        assert!(pacing.wait < Duration::from_millis(1));
    }
}
