//! Changes that the stream leaves out: of tables that were read whole as of a later point than the one at which it begins.

use std::collections::HashSet;
use std::sync::Arc;

use walspring_debezium::{ReadLater, SnapshotProgress};
use walspring_record::Lsn;

#[derive(Debug, Clone)]
pub struct LeftOut {
    later: Vec<ReadLater>,
    /// The last of the points.
    end: Lsn,
    /// For offsets.
    text: Arc<str>,
    /// The tables whose changes in the open transaction are left out.
    now: HashSet<u32>,
}

impl LeftOut {
    /// `None`: nothing is left out.
    pub fn new(later: Vec<ReadLater>) -> Option<LeftOut> {
        let end = later.iter().map(|later| later.point).max()?;
        let text = SnapshotProgress { later: later.clone(), ..SnapshotProgress::default() }.text().into();
        Some(LeftOut { later, end, text, now: HashSet::new() })
    }

    /// A transaction begins whose commit stands at `commit`. A slot's snapshot shows those that stand before its point.
    pub fn begin(&mut self, commit: Lsn) {
        self.now.clear();
        let read = self.later.iter().filter(|later| commit < later.point);
        self.now.extend(read.flat_map(|later| &later.tables));
    }

    #[inline]
    pub fn has(&self, table: u32) -> bool {
        self.now.contains(&table)
    }

    /// What an offset from which the stream goes on at `start` has to say; `None`: all is passed.
    pub fn text_for(&self, start: Lsn) -> Option<Arc<str>> {
        (start < self.end).then(|| self.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_left_out_up_to_its_point() {
        let later =
            |point: u64, tables: &[u32]| ReadLater { point: Lsn(point), tables: tables.iter().copied().collect() };
        assert!(LeftOut::new(Vec::new()).is_none());
        let mut left_out = LeftOut::new(vec![later(10, &[1]), later(20, &[2])]).unwrap();
        let mut at = |commit: u64| {
            left_out.begin(Lsn(commit));
            [1, 2, 3].map(|table| left_out.has(table))
        };
        assert_eq!(at(9), [true, true, false]);
        assert_eq!(at(10), [false, true, false]);
        assert_eq!(at(20), [false, false, false]);
        let text = left_out.text_for(Lsn(19)).expect("not passed");
        assert_eq!(SnapshotProgress::parse(&text).unwrap().later, left_out.later);
        assert!(left_out.text_for(Lsn(20)).is_none());
    }
}
