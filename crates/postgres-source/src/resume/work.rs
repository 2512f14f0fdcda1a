//! What is left to read of each table.

use walspring_debezium::{RowPlace, SnapshotProgress, Stretch};
use walspring_record::ReplicaIdentity;

use super::Heap;

/// What is read of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Work {
    #[default]
    All,
    Rest {
        left: Vec<Stretch>,
        /// Of these only what was written by `xmin` or later.
        changed: Vec<Stretch>,
        xmin: u64,
    },
}

impl Work {
    /// Of a table of `pages` how many of its `rows` it may be, by the pages that are left.
    pub fn part_of(&self, rows: u64, pages: u64) -> u64 {
        let Work::Rest { left, .. } = self else { return rows };
        let within = |place: RowPlace| u64::from(place.page).min(pages);
        let left: u64 = left.iter().map(|(from, to)| within(*to) - within(*from)).sum();
        (u128::from(rows) * u128::from(left) / u128::from(pages.max(1))) as u64
    }
}

/// What a restart finds of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// It is read from its beginning: not begun before, or the reason why it begins again.
    All(Option<&'static str>),
    Rest(Work),
}

/// `can_go_on`: it has a key, and is read by a query of ours.
pub fn left_of(
    progress: &SnapshotProgress,
    oid: u32,
    heap: Option<&Heap>,
    identity: ReplicaIdentity,
    can_go_on: bool,
) -> Left {
    if progress.done.contains(oid) {
        return Left::Nothing;
    }
    let Some(part) = progress.parts.iter().find(|part| part.table == oid && !part.read.is_empty()) else {
        return Left::All(None);
    };
    let Some(heap) = heap else { return Left::All(Some("rows of several files cannot be told by their places")) };
    if !can_go_on {
        return Left::All(Some("without a key its rows cannot be told apart from the stream's"));
    }
    if heap.file != part.file {
        return Left::All(Some("it was rewritten since"));
    }
    let has_holes = heap.has_toast && identity != ReplicaIdentity::Full;
    Left::Rest(Work::Rest {
        left: part.left(),
        changed: if has_holes { part.read.clone() } else { Vec::new() },
        xmin: progress.xmin,
    })
}
