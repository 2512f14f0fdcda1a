//! What has been handed over, for the offset that goes with it.

use std::sync::Arc;

use walspring_debezium::{SnapshotProgress, Stretch, TablePart};

#[derive(Debug)]
pub struct Tracker {
    progress: SnapshotProgress,
    /// Of `progress`, until that changes.
    text: Option<Arc<str>>,
}

impl Tracker {
    pub fn new(progress: SnapshotProgress) -> Tracker {
        Tracker { progress, text: None }
    }

    /// The oldest transaction that the readers' snapshot does not see whole.
    pub fn reads_from(&mut self, xmin: u64) {
        if self.progress.xmin == 0 {
            self.progress.xmin = xmin;
        }
    }

    pub fn sent(&mut self, table: u32, file: u32, stretch: Stretch) {
        self.text = None;
        let parts = &mut self.progress.parts;
        let at = parts.iter().position(|part| part.table == table).unwrap_or_else(|| {
            parts.push(TablePart::new(table, file));
            parts.len() - 1
        });
        parts[at].add(stretch);
    }

    pub fn done(&mut self, table: u32) {
        self.text = None;
        self.progress.parts.retain(|part| part.table != table);
        self.progress.done.insert(table);
    }

    pub fn text(&mut self) -> Arc<str> {
        self.text.get_or_insert_with(|| self.progress.text().into()).clone()
    }
}
