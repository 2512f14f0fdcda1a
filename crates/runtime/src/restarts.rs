//! When a task that failed is started again: after 0.2 s, then twice as long each time up to 30 s, each with jitter so
//! that many connectors do not knock at once. A task that stored an offset meanwhile begins at 0.2 s again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use walspring_config::java_regex::JavaRegex;
use walspring_connect::TaskError;

const FIRST: Duration = Duration::from_millis(200);
const LAST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Backoff {
    attempts: u32,
    seed: u64,
    /// `retriable.restart.connector.wait.ms`, where it is given.
    fixed: Option<Duration>,
}

impl Backoff {
    /// The same task waits the same times: a failure can be replayed.
    pub fn new(connector: &str, task: u32) -> Backoff {
        let mut hasher = DefaultHasher::new();
        (connector, task).hash(&mut hasher);
        Backoff { attempts: 0, seed: hasher.finish(), fixed: None }
    }

    /// From now on each wait is this long, if one is given.
    pub fn fix(&mut self, wait: Option<Duration>) {
        self.fixed = wait;
    }

    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many times in a row.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Between half and the whole of the step.
    pub fn next(&mut self) -> Duration {
        let step = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LAST);
        self.attempts += 1;
        if let Some(wait) = self.fixed {
            return wait;
        }
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let fraction = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        step.mul_f64(0.5 + fraction / 2.0)
    }
}

/// When a sink whose system is away is tried again: after 0.2 s, then twice as long each time, up to a minute.
#[derive(Debug, Default)]
pub(crate) struct PutBackoff {
    attempts: u32,
}

impl PutBackoff {
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    pub fn next(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.attempts.min(10)).min(Duration::from_secs(60));
        self.attempts += 1;
        wait
    }
}

/// How often in a row an error of the source is retried (`errors.max.retries`): -1, the default, is for ever.
pub(crate) fn source_retries_max(config: &[(String, String)]) -> Option<u32> {
    crate::settings::value(config, "errors.max.retries")?.trim().parse::<i64>().ok()?.try_into().ok()
}

/// `retriable.restart.connector.wait.ms`, unless it is left out.
pub(crate) fn restart_wait(config: &[(String, String)]) -> Option<Duration> {
    let wait: u64 = crate::settings::value(config, "retriable.restart.connector.wait.ms")?.trim().parse().ok()?;
    Some(Duration::from_millis(wait))
}

/// `internal.custom.retriable.exception`: whether the text of an error, or of one of its causes, is that of one to be taken
/// for passing.
pub(crate) fn is_taken_for_passing(config: &[(String, String)], error: &TaskError) -> bool {
    let pattern = crate::settings::value(config, "internal.custom.retriable.exception").filter(|p| !p.is_empty());
    // One that is no regular expression was refused at validation.
    let Some(regex) = pattern.and_then(|pattern| JavaRegex::new(pattern).ok()) else { return false };
    let causes = error.causes.iter().map(|(_, message)| message);
    std::iter::once(&error.message).chain(causes).any(|message| regex.matches(message).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_limit_with_jitter() {
        let mut backoff = Backoff::new("a", 0);
        let mut step = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LAST);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
        backoff.fix(restart_wait(&[("retriable.restart.connector.wait.ms".to_owned(), "70".to_owned())]));
        assert_eq!((backoff.next(), backoff.next()), (Duration::from_millis(70), Duration::from_millis(70)));
        assert_eq!(restart_wait(&[]), None);
    }

    #[test]
    fn errors_are_taken_for_passing_by_their_texts() {
        let config = |v: &str| vec![("internal.custom.retriable.exception".to_owned(), v.to_owned())];
        let error = TaskError::definite("a.B", "it stopped").caused_by("a.C", "ERROR: too many of them");
        for (pattern, expected) in [
            ("ERROR: too many.*", true),
            (".*stopped", true),
            ("too many", false),
            ("a\\.C.*", false),
            ("", false),
            ("(", false),
        ] {
            assert_eq!(is_taken_for_passing(&config(pattern), &error), expected, "{pattern}");
        }
        assert!(!is_taken_for_passing(&[], &error));
    }

    #[test]
    fn retries_of_the_source() {
        let config = |v: &str| vec![("errors.max.retries".to_owned(), v.to_owned())];
        assert_eq!(source_retries_max(&config("-1")), None);
        assert_eq!(source_retries_max(&config("0")), Some(0));
        assert_eq!(source_retries_max(&[]), None);
    }
}
