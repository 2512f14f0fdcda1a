//! Rounds of random tests with PostgreSQL as the oracle: each has a seed, which is printed, and repeats by it.
//!
//! `WALSPRING_ORACLE_ROUNDS` for more of them, `WALSPRING_ORACLE_SEED` for the first one's seed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::Random;

/// Runs the rounds, each from a seed of its own.
pub fn rounds(what: &str, usual: u64, round: impl Fn(&mut Random)) {
    let number = |name: &str| std::env::var(name).ok().map(|v| v.parse::<u64>().expect("a number"));
    let count = number("WALSPRING_ORACLE_ROUNDS").unwrap_or(usual);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
    let first = number("WALSPRING_ORACLE_SEED").unwrap_or_else(now);
    for seed in first..first + count {
        println!("{what}: WALSPRING_ORACLE_SEED={seed} WALSPRING_ORACLE_ROUNDS=1");
        round(&mut Random::new(seed));
    }
}

impl Random {
    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }
}
