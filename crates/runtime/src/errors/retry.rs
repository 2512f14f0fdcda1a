//! Trying an operation again: `errors.retry.timeout` and `errors.retry.delay.max.ms`.
//!
//! Only errors that say of themselves that they go away are tried again. The first wait is 0.3 s, each further one twice as
//! long; beyond the longest wait, any time below it (`RetryWithToleranceOperator`).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_connect::{ConvertError, RETRIABLE_EXCEPTION, StopToken};

use super::metrics::TaskErrors;
use crate::settings::value;

const DELAY_FIRST_MS: u64 = 300;
/// How late a stop may be noticed.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(crate) struct Retry {
    /// `None`: for ever.
    timeout: Option<Duration>,
    delay_max: Duration,
    stop: StopToken,
    errors: Arc<TaskErrors>,
}

impl Retry {
    /// Of a configuration that was validated.
    pub fn read(config: &[(String, String)], stop: StopToken, errors: Arc<TaskErrors>) -> Retry {
        let number = |key: &str| value(config, key).and_then(|v| v.trim().parse::<i64>().ok());
        let timeout = number("errors.retry.timeout").unwrap_or(0);
        let delay_max = number("errors.retry.delay.max.ms").unwrap_or(60_000);
        Retry {
            // Any negative time is for ever, as in the original.
            timeout: u64::try_from(timeout).ok().map(Duration::from_millis),
            delay_max: Duration::from_millis(u64::try_from(delay_max).unwrap_or(0)),
            stop,
            errors,
        }
    }

    /// Whether anything is tried again.
    pub fn is_on(&self) -> bool {
        self.timeout != Some(Duration::ZERO)
    }

    /// Whether an error is there for good, as far as this operation goes: it does not go away by itself, or it did not in
    /// the time that the configuration gives it. One that nobody waited for, or whose wait a stop ended, is not.
    pub fn is_final(&self, error: &ConvertError) -> bool {
        !is_retriable(error) || (self.is_on() && !self.stop.is_stopped())
    }

    /// The operation's result, or its last error.
    #[inline]
    pub fn run<T>(&self, mut operation: impl FnMut() -> Result<T, ConvertError>) -> Result<T, ConvertError> {
        match operation() {
            Err(error) if is_retriable(&error) && self.is_on() => self.run_again(error, operation),
            result => result,
        }
    }

    #[cold]
    fn run_again<T>(
        &self,
        mut error: ConvertError,
        mut operation: impl FnMut() -> Result<T, ConvertError>,
    ) -> Result<T, ConvertError> {
        let begun = Instant::now();
        let mut attempt = 0;
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO)
                || !self.wait(left.map_or(self.delay(attempt), |l| l.min(self.delay(attempt))))
            {
                return Err(error);
            }
            self.errors.failed_attempt();
            self.errors.retries.add(1);
            attempt += 1;
            match operation() {
                Err(again) if is_retriable(&again) => error = again,
                result => return result,
            }
        }
    }

    fn delay(&self, attempt: u32) -> Duration {
        let delay = Duration::from_millis(DELAY_FIRST_MS.saturating_mul(1 << attempt.min(30)));
        if delay <= self.delay_max {
            return delay;
        }
        // The standard library's own source of keys is random enough for a wait.
        let random = RandomState::new().build_hasher().finish();
        self.delay_max.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// False: the task should stop.
    fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.stop.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_INTERVAL));
        }
        false
    }
}

fn is_retriable(error: &ConvertError) -> bool {
    error.class == RETRIABLE_EXCEPTION
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn retry(timeout: &str, delay_max: &str) -> Retry {
        let config = [("errors.retry.timeout", timeout), ("errors.retry.delay.max.ms", delay_max)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let errors = TaskErrors::new(&Metrics::default(), &[("connector", "a"), ("task", "0")]);
        Retry::read(&config, StopToken::default(), errors)
    }

    fn away() -> ConvertError {
        ConvertError { class: RETRIABLE_EXCEPTION, message: "away".into() }
    }

    /// An operation that fails so many times, and how often it ran.
    fn run(retry: &Retry, fails: u32, error: fn() -> ConvertError) -> (bool, u32) {
        let mut runs = 0;
        let result = retry.run(|| {
            runs += 1;
            if runs <= fails { Err(error()) } else { Ok(()) }
        });
        (result.is_ok(), runs)
    }

    #[test]
    fn what_goes_away_is_tried_again_within_the_time() {
        assert_eq!(run(&retry("-1", "2"), 5, away), (true, 6));
        assert_eq!(run(&retry("600000", "2"), 5, away), (true, 6));
        assert_eq!(run(&retry("0", "2"), 5, away), (false, 1));
        let (ok, runs) = run(&retry("30", "2"), u32::MAX, away);
        assert!(!ok && runs > 1, "{runs}");
        let errors = retry("-1", "2");
        assert_eq!(run(&errors, 3, away), (true, 4));
        assert_eq!((errors.errors.retries.get(), errors.errors.failures.get()), (3, 3));
    }

    #[test]
    fn what_does_not_go_away_is_not_tried_again() {
        assert_eq!(run(&retry("-1", "2"), 1, || ConvertError::data("bad")), (false, 1));
    }

    #[test]
    fn a_stop_ends_the_waiting_and_makes_nothing_final() {
        let retry = retry("-1", "60000");
        let stop = retry.stop.clone();
        let waits = std::thread::spawn(move || (run(&retry, u32::MAX, away), retry.is_final(&away())));
        stop.stop();
        assert!(matches!(waits.join().unwrap(), ((false, _), false)));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = retry("-1", "2000");
        assert_eq!([0, 1, 2].map(|n| retry.delay(n).as_millis()), [300, 600, 1200]);
        assert!((3..40).all(|n| retry.delay(n) < Duration::from_secs(2)));
    }
}
