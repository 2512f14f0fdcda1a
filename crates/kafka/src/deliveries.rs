//! What became of the records that a kept client was given, for a caller who waits for all of them.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::kept::{Delivery, KeptError};

#[derive(Default)]
pub(crate) struct Deliveries {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    /// Which round they belong to: reports of an earlier one that come late are not counted.
    round: usize,
    done: usize,
    error: Option<KeptError>,
}

impl Deliveries {
    /// A new round; its number goes with each of its records.
    pub fn begin(&self) -> usize {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts = Counts { round: counts.round + 1, ..Counts::default() };
        counts.round
    }

    /// The client's report on one record.
    pub fn add(&self, delivery: Delivery) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if delivery.number != counts.round {
            return;
        }
        counts.done += 1;
        if let Err(error) = delivery.result {
            counts.error.get_or_insert(error);
        }
        self.changed.notify_all();
    }

    /// Waits until `count` records of the round are delivered, or one is not. `doing`: what timed out.
    pub fn wait(&self, count: usize, timeout: Duration, doing: &str) -> Result<(), KeptError> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut counts, waited) = self
            .changed
            .wait_timeout_while(counts, timeout, |counts| counts.done < count && counts.error.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match counts.error.take() {
            Some(error) => Err(error),
            None if waited.timed_out() => Err(KeptError::timed_out(doing)),
            None => Ok(()),
        }
    }
}
