//! The stream's way to the point as of which the rest of a snapshot is read.

use std::collections::HashSet;
use std::sync::Arc;

use walspring_debezium::SnapshotProgress;

#[derive(Debug, Clone)]
pub struct CatchUp {
    /// Tables whose changes are left out: they are read whole at the point, and without a key their rows cannot be told
    /// apart from those of the stream.
    left_out: HashSet<u32>,
    /// How far the snapshot is: for offsets.
    text: Arc<str>,
}

impl CatchUp {
    pub fn new(progress: &SnapshotProgress, left_out: HashSet<u32>) -> CatchUp {
        CatchUp { left_out, text: progress.text().into() }
    }

    #[inline]
    pub fn leaves_out(&self, table: u32) -> bool {
        self.left_out.contains(&table)
    }

    pub fn text(&self) -> Arc<str> {
        self.text.clone()
    }
}
