//! Which source offset may be stored, and which may be confirmed: the one rule of at least once, as a plain struct.
//!
//! ```text
//!   submitted ──durable──▶ storable ──stored──▶ confirmable ──▶ the source
//!        └──────durable, and stored with the records──────┘
//! ```
//! Tickets are durable in the order of their numbers, so the newest offset of the durable prefix stands for all before
//! it. An offset is never confirmable that is not stored, and never storable while a ticket before it is in flight.

use std::collections::VecDeque;

#[derive(Debug)]
struct InFlight<O> {
    number: u64,
    offset: Option<O>,
    bytes: usize,
}

#[derive(Debug)]
pub struct OffsetTracker<O> {
    in_flight: VecDeque<InFlight<O>>,
    in_flight_bytes: usize,
    storable: Option<O>,
    storing: bool,
    confirmable: Option<O>,
    confirming: bool,
}

impl<O> Default for OffsetTracker<O> {
    fn default() -> Self {
        OffsetTracker {
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            storable: None,
            storing: false,
            confirmable: None,
            confirming: false,
        }
    }
}

impl<O> OffsetTracker<O> {
    /// Before the ticket is handed to the writer: it may be durable before that call returns.
    pub fn submitted(&mut self, number: u64, offset: Option<O>, bytes: usize) {
        debug_assert!(self.in_flight.back().is_none_or(|last| last.number < number));
        self.in_flight_bytes += bytes;
        self.in_flight.push_back(InFlight { number, offset, bytes });
    }

    /// Every ticket up to `number` is durable; their offsets are stored too when `stored`.
    pub fn durable(&mut self, number: u64, stored: bool) {
        let mut newest = None;
        while self.in_flight.front().is_some_and(|ticket| ticket.number <= number) {
            let ticket = self.in_flight.pop_front().expect("there is a front");
            self.in_flight_bytes -= ticket.bytes;
            newest = ticket.offset.or(newest);
        }
        if newest.is_some() {
            if stored {
                self.confirmable = newest;
                // It stands before the one that was just stored.
                self.storable = None;
            } else {
                self.storable = newest;
            }
        }
    }

    pub fn has_storable(&self) -> bool {
        self.storable.is_some() && !self.storing
    }

    /// The newest offset to store. [`Self::stored`] or [`Self::not_stored`] follows.
    pub fn begin_store(&mut self) -> Option<O> {
        let offset = self.storable.take();
        self.storing = offset.is_some();
        offset
    }

    pub fn stored(&mut self, offset: O) {
        self.storing = false;
        self.confirmable = Some(offset);
    }

    /// It is tried again, unless a newer one has become storable.
    pub fn not_stored(&mut self, offset: O) {
        self.storing = false;
        self.storable.get_or_insert(offset);
    }

    /// The newest stored offset that the source has not heard of yet. [`Self::confirmed`] follows.
    pub fn begin_confirm(&mut self) -> Option<O> {
        let offset = self.confirmable.take();
        self.confirming |= offset.is_some();
        offset
    }

    pub fn confirmed(&mut self) {
        self.confirming = false;
    }

    /// Nothing is on its way.
    pub fn is_settled(&self) -> bool {
        let waiting = self.storable.is_some() || self.confirmable.is_some() || !self.in_flight.is_empty();
        !(waiting || self.storing || self.confirming)
    }

    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_the_newest_of_the_durable_prefix_and_then_confirms_it() {
        let mut t = OffsetTracker::default();
        for (number, offset) in [(1, Some("a")), (2, None), (3, Some("c")), (4, Some("d"))] {
            t.submitted(number, offset, 10);
        }
        assert_eq!((t.has_storable(), t.begin_confirm(), t.in_flight_bytes()), (false, None, 40));
        t.durable(2, false);
        assert_eq!((t.begin_store(), t.in_flight_bytes()), (Some("a"), 20));
        t.durable(3, false);
        assert!(!t.has_storable(), "one at a time");
        assert_eq!(t.begin_confirm(), None, "not before it is stored");
        t.stored("a");
        assert_eq!((t.begin_confirm(), t.begin_store()), (Some("a"), Some("c")));
        t.durable(4, false);
        t.not_stored("c");
        assert_eq!(t.begin_store(), Some("d"), "a newer one took its place");
        t.not_stored("d");
        assert_eq!(t.begin_store(), Some("d"));
        t.stored("d");
        assert!(!t.is_settled());
        assert_eq!(t.begin_confirm(), Some("d"));
        assert!(!t.is_settled());
        t.confirmed();
        assert!(t.is_settled());
    }

    #[test]
    fn what_a_transaction_stored_is_confirmed_at_once() {
        let mut t = OffsetTracker::default();
        t.submitted(1, Some(1), 0);
        t.submitted(2, None, 0);
        t.submitted(3, Some(3), 0);
        t.durable(2, true);
        assert_eq!((t.begin_confirm(), t.has_storable()), (Some(1), false));
        t.durable(2, true);
        assert_eq!(t.begin_confirm(), None);
        t.durable(3, true);
        assert_eq!(t.begin_confirm(), Some(3));
        t.confirmed();
        assert!(t.is_settled());
    }
}
