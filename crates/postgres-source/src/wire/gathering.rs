//! How long bytes of a stream are left in the socket so that more of them are read at a time. Pure: it is told the time.
//!
//! A walsender sends each message by itself. Reading each by itself costs two or three system calls and a wake-up of this
//! thread per message, and the wake-ups slow the walsender too. So while messages trickle, they are left to gather for a
//! moment: 600 ns of processor time per message instead of 940, most of it the kernel's TCP, and 150,000 messages a second
//! instead of 130,000 (PostgreSQL 15.20, rows of 90 bytes, two cores for both sides).
//!
//! What is read at a time becomes a batch, a request to the broker and part of a transaction, and each of those costs too.
//! Where the stream is fast, or far behind, it is left to gather until there is a batch worth sending. Before, a drain was
//! the dearer the faster the broker answered: the same million changes came in 5,900 batches with a broker that had just
//! started and in 23,600 after the fifth run, at twice the processor time.
//!
//! Invariants: what comes after a pause is not delayed at all; a moment is at most twice as long as the one before, so
//! a stream is not delayed by more than the time for which it has come.

use std::time::{Duration, Instant};

/// The moment grows from the first to the second bound as a trickle goes on, so that a lone small transaction is hardly
/// delayed.
const MOMENT_MIN: Duration = Duration::from_micros(50);
const MOMENT_MAX: Duration = Duration::from_micros(500);
/// With so much in the socket there is nothing to wait for.
const ENOUGH_BYTES: usize = 16 * 1024;
/// A stream without bytes for this long has paused.
const PAUSE: Duration = Duration::from_millis(2);

/// From this rate on the stream comes near to what a server can send: some 35,000 changes a second.
const FAST_BYTES_A_MS: u128 = 8 * 1024;
/// Then, and while there is a backlog, so much is a batch: about 300 changes, beside which its own cost does not count …
const FAST_ENOUGH_BYTES: usize = 64 * 1024;
/// … and the moment may grow to this.
const FAST_MOMENT_MAX: Duration = Duration::from_millis(4);

pub(crate) struct Gathering {
    /// What comes is so old that some milliseconds more are nothing.
    pub behind: bool,
    moment: Duration,
    /// When bytes came last.
    last: Option<Instant>,
    /// When it was asked last, and the bytes that had come until then.
    asked: Option<(Instant, u64)>,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { behind: false, moment: MOMENT_MIN, last: None, asked: None }
    }
}

impl Gathering {
    /// Bytes have come after they were waited for.
    pub fn came(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// For how long to leave the socket alone before it is read. `total`: bytes that have come so far; `waiting`: those in
    /// the socket.
    pub fn moment(&mut self, now: Instant, total: u64, waiting: usize) -> Option<Duration> {
        let asked = self.asked.replace((now, total));
        let last = self.last?;
        if waiting == 0 && now.saturating_duration_since(last) >= PAUSE {
            self.moment = MOMENT_MIN;
            return None;
        }
        let rate = asked.map_or(0, |(at, before)| {
            let nanos = now.saturating_duration_since(at).as_nanos().max(1);
            u128::from(total.saturating_sub(before)) * 1_000_000 / nanos
        });
        let fast = self.behind || rate >= FAST_BYTES_A_MS;
        let (enough, max) = if fast { (FAST_ENOUGH_BYTES, FAST_MOMENT_MAX) } else { (ENOUGH_BYTES, MOMENT_MAX) };
        let lacking = enough.checked_sub(waiting).filter(|lacking| *lacking > 0)?;
        let mut moment = self.moment.min(max);
        self.moment = (moment * 2).min(max);
        // No longer than it takes until there is enough.
        if let Some(until_enough) = (lacking as u128 * 1_000_000).checked_div(rate) {
            moment = moment.min(Duration::from_nanos(until_enough as u64));
        }
        Some(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    /// Moments that a stream of so many bytes a millisecond is left alone for, one after the other; each read takes `work`.
    fn moments(bytes_a_ms: u64, work: Duration, count: usize) -> Vec<Duration> {
        moments_of(Gathering::default(), bytes_a_ms, work, count)
    }

    fn moments_of(mut gathering: Gathering, bytes_a_ms: u64, work: Duration, count: usize) -> Vec<Duration> {
        let (mut now, mut total) = (Instant::now(), 0);
        let mut moments = Vec::new();
        gathering.came(now);
        for _ in 0..count {
            let moment = gathering.moment(now, total, 0).unwrap_or_default();
            moments.push(moment);
            now += moment;
            gathering.came(now);
            total += (moment + work).as_micros() as u64 * bytes_a_ms / 1000;
            now += work;
        }
        moments
    }

    #[test]
    fn a_trickle_gathers_for_half_a_millisecond_at_most() {
        assert_eq!(moments(500, us(20), 6), [us(50), us(100), us(200), us(400), us(500), us(500)]);
    }

    #[test]
    fn a_fast_stream_gathers_until_there_is_a_batch() {
        let moments = moments(35 * 1024, us(200), 12);
        assert_eq!(moments[..6], [us(50), us(100), us(200), us(400), us(800), us(1600)]);
        // 64 KiB at 35 KiB a millisecond.
        assert!(moments[6..].iter().all(|m| (us(1800)..us(1900)).contains(m)), "{moments:?}");
    }

    #[test]
    fn a_backlog_gathers_though_it_is_slow() {
        let behind = Gathering { behind: true, ..Gathering::default() };
        assert_eq!(moments_of(behind, 500, us(20), 9)[6..], [us(3200), us(4000), us(4000)]);
    }

    #[test]
    fn it_does_not_wait_where_enough_has_come() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        gathering.came(now);
        assert_eq!(gathering.moment(now, 0, ENOUGH_BYTES), None);
        assert_eq!(gathering.moment(now + us(1000), 40 * 1024, FAST_ENOUGH_BYTES), None);
    }

    #[test]
    fn what_comes_after_a_pause_is_not_delayed() {
        let (mut gathering, mut now) = (Gathering::default(), Instant::now());
        assert_eq!(gathering.moment(now, 0, 0), None, "nothing has come yet");
        gathering.came(now);
        for _ in 0..8 {
            gathering.moment(now, 0, 0);
        }
        now += PAUSE;
        assert_eq!(gathering.moment(now, 100, 0), None);
        gathering.came(now);
        assert_eq!(gathering.moment(now + us(10), 200, 0), Some(MOMENT_MIN));
        // A thread that was not run for a while has not seen a pause: bytes wait.
        gathering.came(now);
        assert!(gathering.moment(now + PAUSE, 300, 100).is_some());
    }
}
