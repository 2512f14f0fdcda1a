//! How often something that panicked is tried again. A panic is a defect, and may be one that the same work meets each time.

use std::time::{Duration, Instant};

/// Panics of one task, or of a thread that goes on after one.
#[derive(Debug, Default)]
pub struct Panics {
    /// Since there was progress.
    in_a_row: u32,
    /// Since a day without one: there may be progress while the same is met again and again.
    in_all: u32,
    last: Option<Instant>,
}

pub const PANICS_IN_A_ROW_MAX: u32 = 5;
pub const PANICS_IN_ALL_MAX: u32 = 20;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl Panics {
    /// What was done is not lost by another panic.
    pub fn progress(&mut self) {
        self.in_a_row = 0;
    }

    /// Another one; why it is not to be tried again, if it is not. `without` says what would have been progress, such as
    /// "no offset was stored".
    pub fn another(&mut self, now: Instant, without: &str) -> Option<String> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN_AFTER) {
            self.in_all = 0;
        }
        self.last = Some(now);
        self.in_a_row += 1;
        self.in_all += 1;
        if self.in_a_row >= PANICS_IN_A_ROW_MAX {
            Some(format!("it did so {} times, and {without} between them", self.in_a_row))
        } else if self.in_all >= PANICS_IN_ALL_MAX {
            Some(format!("it did so {} times without a day between two of them", self.in_all))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_without_progress_are_few_and_none_goes_on_for_ever() {
        let (mut panics, mut now) = (Panics::default(), Instant::now());
        assert!((1..PANICS_IN_A_ROW_MAX).all(|_| panics.another(now, "nothing was done").is_none()));
        let why = panics.another(now, "nothing was done");
        assert_eq!(why.unwrap(), "it did so 5 times, and nothing was done between them");
        let mut panics = Panics::default();
        for _ in 1..PANICS_IN_ALL_MAX {
            assert_eq!(panics.another(now, ""), None);
            panics.progress();
            now += Duration::from_secs(10 * 60 * 60);
        }
        assert!(panics.another(now, "").unwrap().contains("20 times"));
        let mut panics = Panics::default();
        for _ in 0..3 * PANICS_IN_ALL_MAX {
            assert_eq!(panics.another(now, ""), None);
            panics.progress();
            now += FORGOTTEN_AFTER + Duration::from_secs(1);
        }
    }
}
