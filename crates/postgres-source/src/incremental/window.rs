//! What the stream brings while a chunk is read: keys whose rows in the chunk are older than what was sent of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use walspring_record::{Change, ChangeBatch, ChangeKind, OldRow, RecordPlan, Relation};

/// Keys of one window, in bytes. More, and the chunk is read again in a shorter one.
const KEYS_BYTES_MAX: usize = 32 << 20;

#[derive(Debug, Default)]
pub struct Window {
    tables: HashMap<u32, Option<Touched>>,
    bytes: usize,
    overflown: bool,
}

#[derive(Debug, Default)]
struct Touched {
    /// Names of the columns that `keys` are of.
    columns: Vec<Arc<str>>,
    keys: HashSet<Box<[u8]>>,
    truncated: bool,
    /// A key was not known, or was another's: nothing can be said of any row.
    unknown: bool,
}

/// What is to become of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its rows may be sent, but those left out.
    Send,
    /// It is to be read again.
    Again,
}

/// The columns that tell rows of a table apart: its key, else the surrogate one.
pub fn identity(relation: &Relation, surrogate: Option<&str>) -> Vec<usize> {
    if !relation.key.is_empty() {
        return relation.key.clone();
    }
    relation.columns.iter().position(|c| surrogate == Some(&*c.name)).into_iter().collect()
}

/// A row's key; `None`: a value is not known.
pub fn key_of(batch: &ChangeBatch, first: u32, columns: &[usize]) -> Option<Box<[u8]>> {
    let mut key = Vec::new();
    for &column in columns {
        let cell = batch.cells[first as usize + column];
        if cell.is_unchanged() {
            return None;
        }
        match cell.get(&batch.bytes) {
            None => key.push(0),
            Some(value) => {
                key.push(1);
                key.extend((value.len() as u32).to_be_bytes());
                key.extend_from_slice(value);
            }
        }
    }
    Some(key.into())
}

impl Window {
    /// Notes a streamed change. `surrogate`: for tables that are waited for, their surrogate key; `None` for others.
    pub fn touch(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        plan: &RecordPlan,
        surrogate: impl FnOnce(&Relation) -> Option<Option<String>>,
    ) {
        let relation = &plan.relation;
        let entry = self.tables.entry(relation.oid).or_insert_with(|| {
            let places = identity(relation, surrogate(relation)?.as_deref());
            let columns = places.iter().map(|&place| relation.columns[place].name.clone()).collect();
            Some(Touched { columns, ..Touched::default() })
        });
        let Some(entry) = entry else { return };
        if change.kind == ChangeKind::Truncate {
            entry.truncated = true;
            return;
        }
        let place = |name: &Arc<str>| relation.columns.iter().position(|c| c.name == *name);
        let columns: Option<Vec<usize>> = entry.columns.iter().map(place).collect();
        let Some(columns) = columns.filter(|columns| !columns.is_empty()) else {
            entry.unknown = true;
            return;
        };
        let has_new = matches!(change.kind, ChangeKind::Insert | ChangeKind::Update);
        let rows = [has_new.then_some(change.new), (change.old_row != OldRow::None).then_some(change.old)];
        for (nth, row) in rows.into_iter().enumerate() {
            let Some(row) = row else { continue };
            match key_of(batch, row, &columns) {
                Some(key) => {
                    if entry.keys.insert(key.clone()) {
                        self.bytes += key.len() + 48;
                    }
                }
                // An old row that gives no new key is of the same key.
                None => entry.unknown |= nth == 0 && change.old_row == OldRow::None,
            }
        }
        if self.bytes > KEYS_BYTES_MAX {
            self.overflown = true;
            entry.keys = HashSet::new();
        }
    }

    /// Marks rows of the chunk that must not be sent.
    pub fn judge(
        &self,
        relation: &Relation,
        columns: &[usize],
        keys: &[Option<Box<[u8]>>],
        dead: &mut [bool],
    ) -> Verdict {
        if self.overflown {
            return Verdict::Again;
        }
        let Some(Some(touched)) = self.tables.get(&relation.oid) else { return Verdict::Send };
        if touched.truncated {
            dead.fill(true);
            return Verdict::Send;
        }
        let names = columns.iter().map(|&place| &relation.columns[place].name);
        if touched.unknown || !names.eq(touched.columns.iter()) {
            return Verdict::Again;
        }
        for (key, dead) in keys.iter().zip(dead) {
            *dead = key.as_ref().is_none_or(|key| touched.keys.contains(key));
        }
        Verdict::Send
    }
}
