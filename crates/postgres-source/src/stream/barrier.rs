//! A point at which the stream stands still: before the first transaction that commits there or behind it.

use walspring_pgoutput::{Decoder, Message};
use walspring_record::Lsn;

#[derive(Debug)]
pub struct Barrier {
    point: Lsn,
    reached: bool,
    /// What came first of behind it, and its place.
    held: Option<(Lsn, Vec<u8>)>,
}

impl Barrier {
    pub fn before(point: Lsn) -> Barrier {
        Barrier { point, reached: false, held: None }
    }

    /// `passed`: everything that commits before it has come.
    pub fn is_reached(&self, passed: Option<Lsn>) -> bool {
        self.reached || passed >= Some(self.point)
    }

    /// A transaction that commits there has come, whole, and waits.
    pub fn has_come(&mut self, commit: Lsn) {
        self.reached |= commit >= self.point;
    }

    /// Whether the payload begins a transaction that is to wait, and does so here. Transactions come in the order of their
    /// commits.
    pub fn holds(&mut self, wal_start: Lsn, payload: &[u8]) -> bool {
        if payload.first() != Some(&b'B') {
            return false;
        }
        let Ok(Message::Begin(begin)) = Decoder::new().decode(payload) else { return false };
        self.has_come(Lsn(begin.final_lsn));
        if self.reached {
            self.held = Some((wal_start, payload.to_vec()));
        }
        self.reached
    }

    pub fn into_held(self) -> Option<(Lsn, Vec<u8>)> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(commit: u64) -> Vec<u8> {
        [&b"B"[..], &commit.to_be_bytes(), &[0; 8], &7u32.to_be_bytes()].concat()
    }

    #[test]
    fn a_transaction_that_commits_at_the_point_waits_and_one_before_it_does_not() {
        let mut barrier = Barrier::before(Lsn(100));
        assert!(!barrier.holds(Lsn(50), &begin(99)) && !barrier.holds(Lsn(300), b"Inothing of it"));
        assert!(!barrier.is_reached(None) && !barrier.is_reached(Some(Lsn(99))) && barrier.is_reached(Some(Lsn(100))));
        assert!(barrier.holds(Lsn(60), &begin(100)) && barrier.is_reached(None));
        assert_eq!(barrier.into_held(), Some((Lsn(60), begin(100))));
        let mut barrier = Barrier::before(Lsn(100));
        barrier.has_come(Lsn(100));
        assert!(barrier.is_reached(None) && barrier.into_held().is_none());
    }
}
