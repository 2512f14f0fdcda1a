//! Many operations as few rows: of each key the last state, so that one statement may write them all.
//!
//! Invariant: writing what comes out, deletes first, leaves the tables as the operations one by one in their order would
//! (as far as no constraint but the key's is looked at; where another is in the way, operations go one by one).

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::batch::{Act, Batch, Cell, Op};
use crate::destination::Destination;
use crate::statements::Kind;

/// What remains of one key.
#[derive(Debug, Clone, Copy)]
struct State {
    destination: usize,
    key_set: usize,
    /// Where its key's cells are.
    cells: usize,
    delete: bool,
    /// How and with which cells it is written, after the delete.
    write: Option<(Kind, usize)>,
}

/// Rows of one table that one statement writes.
#[derive(Debug)]
pub struct Group {
    pub destination: usize,
    pub key_set: usize,
    pub kind: Kind,
    /// The columns that are written.
    pub columns: Vec<usize>,
    /// Where the cells of each row begin.
    pub rows: Vec<usize>,
}

/// What is to be done between two truncates.
#[derive(Debug, Default)]
pub struct Stage {
    /// Deletes before everything else.
    pub groups: Vec<Group>,
    /// A table that is emptied afterwards.
    pub truncate: Option<usize>,
}

/// Appends merged rows to the batch's cells.
pub fn reduce(batch: &mut Batch, ops: std::ops::Range<usize>, destinations: &[Destination]) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut open = Open::default();
    for at in ops {
        let op = batch.ops[at];
        match op.act {
            Act::Truncate => {
                let mut stage = open.close(batch, destinations);
                stage.truncate = Some(op.destination);
                stages.push(stage);
            }
            Act::Insert | Act::InsertNew => open.inserts.push(op),
            // What has been inserted before is what it deletes.
            Act::Delete if open.inserts.iter().any(|insert| insert.destination == op.destination) => {
                stages.push(open.close(batch, destinations));
                open.take(batch, op, destinations);
            }
            Act::Delete | Act::Upsert | Act::Update => open.take(batch, op, destinations),
        }
    }
    stages.push(open.close(batch, destinations));
    stages
}

#[derive(Default)]
struct Open {
    states: Vec<State>,
    by_key: HashMap<Vec<u8>, usize>,
    inserts: Vec<Op>,
    key: Vec<u8>,
}

impl Open {
    fn take(&mut self, batch: &mut Batch, op: Op, destinations: &[Destination]) {
        let destination = &destinations[op.destination];
        self.key.clear();
        self.key.extend_from_slice(&op.destination.to_le_bytes());
        self.key.extend_from_slice(&op.key_set.to_le_bytes());
        for column in &destination.key_sets[op.key_set] {
            let text = batch.text(batch.cells[op.cells + column]).unwrap_or_default();
            self.key.extend_from_slice(&text.len().to_le_bytes());
            self.key.extend_from_slice(text);
        }
        let state = match self.by_key.entry(self.key.clone()) {
            Slot::Occupied(slot) => &mut self.states[*slot.get()],
            Slot::Vacant(slot) => {
                slot.insert(self.states.len());
                let (destination, key_set, cells) = (op.destination, op.key_set, op.cells);
                self.states.push(State { destination, key_set, cells, delete: false, write: None });
                self.states.last_mut().expect("it was just put there")
            }
        };
        let kind = match op.act {
            Act::Delete => {
                state.delete = true;
                state.write = None;
                return;
            }
            Act::Update => Kind::Update,
            _ => Kind::Upsert,
        };
        state.write = Some(match state.write {
            None => (kind, op.cells),
            Some((kind, before)) => (kind, merge(batch, before, op.cells, destination.table.columns.len())),
        });
    }

    fn close(&mut self, batch: &Batch, destinations: &[Destination]) -> Stage {
        let mut groups: Vec<Group> = Vec::new();
        for state in self.states.iter().filter(|state| state.delete) {
            let columns = &destinations[state.destination].key_sets[state.key_set];
            add(&mut groups, (state.destination, state.key_set, Kind::Delete), columns, state.cells);
        }
        // Rows that point at others tend to come after them: they go first.
        groups.reverse();
        let mut columns = Vec::new();
        let writes =
            self.states.iter().filter_map(|s| s.write.map(|(kind, cells)| (s.destination, s.key_set, kind, cells)));
        let inserts = self.inserts.iter().map(|op| {
            let kind = if op.act == Act::InsertNew { Kind::InsertNew } else { Kind::Insert };
            (op.destination, op.key_set, kind, op.cells)
        });
        for (destination, key_set, kind, cells) in writes.chain(inserts) {
            let width = destinations[destination].table.columns.len();
            columns.clear();
            columns.extend((0..width).filter(|column| batch.cells[cells + column] != Cell::Absent));
            add(&mut groups, (destination, key_set, kind), &columns, cells);
        }
        self.states.clear();
        self.by_key.clear();
        self.inserts.clear();
        Stage { groups, truncate: None }
    }
}

fn add(groups: &mut Vec<Group>, (destination, key_set, kind): (usize, usize, Kind), columns: &[usize], cells: usize) {
    let same = |group: &&mut Group| {
        (group.destination, group.key_set, group.kind) == (destination, key_set, kind) && group.columns == columns
    };
    match groups.iter_mut().rev().find(same) {
        Some(group) => group.rows.push(cells),
        None => groups.push(Group { destination, key_set, kind, columns: columns.to_vec(), rows: vec![cells] }),
    }
}

/// The later row over the earlier one: what it does not say stays.
fn merge(batch: &mut Batch, before: usize, after: usize, width: usize) -> usize {
    if batch.cells[after..after + width]
        .iter()
        .zip(&batch.cells[before..])
        .all(|(after, before)| *after != Cell::Absent || *before == Cell::Absent)
    {
        return after;
    }
    let merged = batch.cells.len();
    for column in 0..width {
        let cell = match batch.cells[after + column] {
            Cell::Absent => batch.cells[before + column],
            cell => cell,
        };
        batch.cells.push(cell);
    }
    merged
}
