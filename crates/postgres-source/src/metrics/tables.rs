//! What is counted for each table. At most so many tables have a label of their own; the rest count together as `other`.

use std::collections::HashMap;

use walspring_record::{ChangeBatch, ChangeKind, Relation};

/// A row's kinds, as `op` of the event has them.
pub const OPERATIONS: [&str; 5] = ["r", "c", "u", "d", "t"];

pub type Counts = [u64; OPERATIONS.len()];

/// The label of all tables that have none.
pub const OTHER: &str = "other";

#[derive(Debug, Default, Clone)]
pub struct TableCounts {
    pub events: Counts,
    /// Since the last snapshot began.
    pub scanned: u64,
    /// Of the running or last snapshot: pieces to read, and pieces read.
    pub chunks: (u64, u64),
}

impl TableCounts {
    fn add(&mut self, counts: &Counts) {
        self.events.iter_mut().zip(counts).for_each(|(sum, by)| *sum += by);
        self.scanned += counts[0];
    }
}

#[derive(Debug, Default)]
pub struct Tables {
    max: usize,
    named: Vec<(Box<str>, TableCounts)>,
    by_name: HashMap<Box<str>, usize>,
    /// A table may be renamed, or made again: looked at first, then the name is compared.
    by_oid: HashMap<u32, usize>,
    other: TableCounts,
    /// Of the batch at hand, by plan; kept for its room.
    plans: Vec<Counts>,
}

impl Tables {
    pub fn new(max: usize) -> Tables {
        Tables { max, ..Tables::default() }
    }

    /// Counts a batch and says what was in it. One pass of additions over the changes, one look-up a plan.
    pub fn count(&mut self, batch: &ChangeBatch) -> Counts {
        let mut plans = std::mem::take(&mut self.plans);
        plans.clear();
        plans.resize(batch.plans.len(), Counts::default());
        for change in &batch.changes {
            let operation = match change.kind {
                ChangeKind::Read => 0,
                ChangeKind::Insert => 1,
                ChangeKind::Update => 2,
                ChangeKind::Delete => 3,
                ChangeKind::Truncate => 4,
                ChangeKind::Record => continue,
            };
            if let Some(counts) = plans.get_mut(change.plan as usize) {
                counts[operation] += 1;
            }
        }
        let mut all = Counts::default();
        for (plan, counts) in batch.plans.iter().zip(&plans) {
            all.iter_mut().zip(counts).for_each(|(sum, by)| *sum += by);
            self.of(&plan.relation).add(counts);
        }
        self.plans = plans;
        all
    }

    fn of(&mut self, relation: &Relation) -> &mut TableCounts {
        let known = self.by_oid.get(&relation.oid).copied();
        if let Some(at) = known.filter(|at| is_name_of(&self.named[*at].0, relation)) {
            return &mut self.named[at].1;
        }
        let name = relation.qualified_name();
        if let Some(at) = self.place(&name) {
            self.by_oid.insert(relation.oid, at);
            return &mut self.named[at].1;
        }
        &mut self.other
    }

    /// `None`: the table has no label of its own.
    pub fn named(&mut self, name: &str) -> Option<&mut TableCounts> {
        self.place(name).map(|at| &mut self.named[at].1)
    }

    pub fn other(&mut self) -> &mut TableCounts {
        &mut self.other
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            return Some(*at);
        }
        // A table that is called as the rest is counts with it.
        if self.named.len() >= self.max || name == OTHER {
            return None;
        }
        self.named.push((name.into(), TableCounts::default()));
        self.by_name.insert(name.into(), self.named.len() - 1);
        Some(self.named.len() - 1)
    }

    /// A snapshot begins.
    pub fn forget_snapshot(&mut self) {
        let all = self.named.iter_mut().map(|(_, counts)| counts).chain([&mut self.other]);
        all.for_each(|counts| (counts.scanned, counts.chunks) = (0, (0, 0)));
    }

    /// Those with a label, then the others together.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TableCounts)> {
        self.named.iter().map(|(name, counts)| (&**name, counts)).chain([(OTHER, &self.other)])
    }
}

fn is_name_of(name: &str, relation: &Relation) -> bool {
    let (namespace, table) = (&*relation.namespace, &*relation.name);
    name.len() == namespace.len() + 1 + table.len() && name.starts_with(namespace) && name.ends_with(table)
}
