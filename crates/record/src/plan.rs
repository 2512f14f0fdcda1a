//! `RecordPlan`: where each leaf of an event comes from, worked out once per relation version, never per row.
//!
//! Plain data. The `debezium` crate makes it, converters compile it into encoders, and [`RecordPlan::key_tree`] and
//! [`RecordPlan::value_tree`] build the same event as a tree. Invariant: encoding a row by the plan and encoding its tree
//! give the same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch::{Change, ChangeBatch, ChangeKind, OldRow, RowRef, SnapshotMark};
use crate::leaf::{Leaf, LeafError, Scalar, Scratch};
use crate::relation::Relation;
use crate::schema::SchemaRef;
use crate::surprise::{Surprise, Surprises};
use crate::value::{Header, Value};

/// Everything about the events of one relation version.
#[derive(Debug)]
pub struct RecordPlan {
    /// Unique in the process: encoders are cached by it.
    pub id: u64,
    pub relation: Arc<Relation>,
    pub topic: Arc<str>,
    /// `None`: events have no key.
    pub key: Option<RowPlan>,
    /// The row as it stands in `before` and `after`.
    pub row: RowPlan,
    /// before, after, source, transaction, op, ts_ms, ts_us, ts_ns: in this order.
    pub envelope: SchemaRef,
    pub source: SourcePlan,
    /// Constant headers of each data event, in order.
    pub headers: Vec<Header>,
    /// A delete is followed by a record with the same key and no value.
    pub tombstones: bool,
    /// What of an update that changes the key is left out.
    pub skipped: SkippedHalves,
    /// What the columns' definitions alone say: for each a column's name.
    pub surprises: Vec<(Arc<str>, Surprise)>,
}

/// `skipped.operations`, as far as it counts for the two events that an update of a key becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SkippedHalves {
    /// With its tombstone.
    pub delete: bool,
    pub create: bool,
}

/// The constant part of the `source` block. Its schema is the third field of the envelope:
/// version, connector, name, ts_ms, snapshot, db, sequence, ts_us, ts_ns, schema, table, txId, lsn, xmin, origin, origin_lsn.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    pub schema: SchemaRef,
    pub version: Arc<str>,
    pub connector: Arc<str>,
    pub name: Arc<str>,
    pub db: Arc<str>,
    pub namespace: Arc<str>,
    pub table: Arc<str>,
}

/// A struct made of a row's cells.
#[derive(Debug)]
pub struct RowPlan {
    pub schema: SchemaRef,
    /// One for each field of `schema`, in its order.
    pub fields: Vec<FieldPlan>,
}

#[derive(Debug)]
pub struct FieldPlan {
    /// The cell in the relation's tuple.
    pub column: usize,
    pub leaf: Leaf,
    /// What a NULL becomes: `Value::Null` for an optional field; for a required one its default or the type's zero value
    /// (the old row of a key-only identity has NULL in every other column).
    pub null: Value,
    /// What an unchanged TOASTed value becomes: the placeholder in the shape of the field.
    pub unavailable: Value,
    /// What a value that cannot be converted becomes under `warn` and `skip`.
    pub on_error: ConversionFailure,
}

/// `event.converting.failure.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversionFailure {
    Fail,
    /// Null (or the required field's zero value), with a warning.
    Warn,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Read,
    Create,
    Update,
    Delete,
    Truncate,
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Read => "r",
            Op::Create => "c",
            Op::Update => "u",
            Op::Delete => "d",
            Op::Truncate => "t",
        }
    }
}

/// One record that a change becomes. Cells are given by the first one's place in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub op: Op,
    pub key: Option<u32>,
    pub before: Option<u32>,
    pub after: Option<u32>,
    /// The value is absent.
    pub tombstone: bool,
    /// The other key of a key change, as a header before the constant ones.
    pub key_header: Option<KeyHeader>,
    /// Added to both of the change's [`TransactionOrder`] counters: a changed key makes two events.
    pub order_shift: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `__debezium.newkey`, on the delete.
    New(u32),
    /// `__debezium.oldkey`, on the create.
    Old(u32),
}

impl KeyHeader {
    pub fn name(self) -> &'static str {
        match self {
            KeyHeader::New(_) => "__debezium.newkey",
            KeyHeader::Old(_) => "__debezium.oldkey",
        }
    }

    pub fn cells(self) -> u32 {
        match self {
            KeyHeader::New(c) | KeyHeader::Old(c) => c,
        }
    }
}

/// At most three steps, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    steps: [Option<Step>; 3],
}

impl Steps {
    fn of(steps: [Option<Step>; 3]) -> Steps {
        Steps { steps }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flatten()
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl RecordPlan {
    pub fn next_id() -> u64 {
        NEXT_ID.fetch_add(1, Ordering::Relaxed)
    }

    /// The records that a change becomes, in order: one, or with a tombstone two, or for a changed key a delete, its
    /// tombstone and a create.
    pub fn steps(&self, batch: &ChangeBatch, change: &Change) -> Steps {
        let has_key = self.key.is_some();
        let event = |op, key: Option<u32>, before, after| {
            let key = key.filter(|_| has_key);
            Some(Step { op, key, before, after, tombstone: false, key_header: None, order_shift: 0 })
        };
        let tombstone = |key: u32, key_header| {
            self.tombstones.then_some(Step {
                op: Op::Delete,
                key: has_key.then_some(key),
                before: None,
                after: None,
                tombstone: true,
                key_header,
                order_shift: 0,
            })
        };
        let (new, old) = (change.new, change.old);
        match change.kind {
            ChangeKind::Read => Steps::of([event(Op::Read, Some(new), None, Some(new)), None, None]),
            ChangeKind::Insert => Steps::of([event(Op::Create, Some(new), None, Some(new)), None, None]),
            ChangeKind::Update if change.old_row == OldRow::None => {
                Steps::of([event(Op::Update, Some(new), None, Some(new)), None, None])
            }
            ChangeKind::Update if self.key_changed(batch, old, new) => {
                let delete = Step {
                    key_header: Some(KeyHeader::New(new)),
                    ..event(Op::Delete, Some(old), Some(old), None).unwrap()
                };
                let create = Step {
                    key_header: Some(KeyHeader::Old(old)),
                    order_shift: 1,
                    ..event(Op::Create, Some(new), None, Some(new)).unwrap()
                };
                let tombstone = tombstone(old, Some(KeyHeader::New(new)));
                let SkippedHalves { delete: no_delete, create: no_create } = self.skipped;
                Steps::of([
                    Some(delete).filter(|_| !no_delete),
                    tombstone.filter(|_| !no_delete),
                    Some(create).filter(|_| !no_create),
                ])
            }
            ChangeKind::Update => Steps::of([event(Op::Update, Some(new), Some(old), Some(new)), None, None]),
            ChangeKind::Delete if change.old_row == OldRow::None => Steps::of([None; 3]),
            ChangeKind::Delete => {
                Steps::of([event(Op::Delete, Some(old), Some(old), None), tombstone(old, None), None])
            }
            ChangeKind::Truncate => Steps::of([event(Op::Truncate, None, None, None), None, None]),
            ChangeKind::Record => Steps::of([None; 3]),
        }
    }

    /// Whether the key of two rows differs: an update then becomes a delete and a create.
    pub fn key_changed(&self, batch: &ChangeBatch, old: u32, new: u32) -> bool {
        let columns = self.relation.columns.len();
        let (old, new) = (batch.row(old, columns), batch.row(new, columns));
        self.key.as_ref().is_some_and(|key| {
            // A constant differs in no row, whatever is in its cell.
            let differing = key.fields.iter().filter(|f| !matches!(f.leaf, Leaf::Constant(_)));
            differing.into_iter().any(|f| !new.cells[f.column].is_unchanged() && old.get(f.column) != new.get(f.column))
        })
    }

    /// The key as a tree; `Value::Null` without one.
    pub fn key_tree(&self, batch: &ChangeBatch, step: &Step, warnings: &mut Warnings) -> Result<Value, LeafError> {
        match (&self.key, step.key) {
            (Some(key), Some(first)) => key.tree(batch.row(first, self.relation.columns.len()), warnings),
            _ => Ok(Value::Null),
        }
    }

    /// The other key of a key change as a tree.
    pub fn key_header_tree(
        &self,
        batch: &ChangeBatch,
        header: KeyHeader,
        warnings: &mut Warnings,
    ) -> Result<Value, LeafError> {
        match &self.key {
            Some(key) => key.tree(batch.row(header.cells(), self.relation.columns.len()), warnings),
            None => Ok(Value::Null),
        }
    }

    /// The event as a tree in the shape of `envelope`; `Value::Null` for a tombstone.
    pub fn value_tree(
        &self,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        warnings: &mut Warnings,
    ) -> Result<Value, LeafError> {
        if step.tombstone {
            return Ok(Value::Null);
        }
        let columns = self.relation.columns.len();
        let mut row = |first: Option<u32>| match first {
            Some(first) => self.row.tree(batch.row(first, columns), warnings),
            None => Ok(Value::Null),
        };
        let (before, after) = (row(step.before)?, row(step.after)?);
        let transaction = &batch.transactions[change.transaction as usize];
        let order = if change.order.total == 0 {
            Value::Null
        } else {
            Value::Struct(vec![
                Value::string(transaction_id(transaction.xid, change.change_lsn)),
                Value::Int64((change.order.total + step.order_shift) as i64),
                Value::Int64((change.order.data_collection + step.order_shift) as i64),
            ])
        };
        let seen = change.seen_us;
        Ok(Value::Struct(vec![
            before,
            after,
            self.source.tree(batch, change),
            order,
            Value::string(step.op.as_str()),
            Value::Int64(seen.div_euclid(1000)),
            Value::Int64(seen),
            Value::Int64(seen.wrapping_mul(1000)),
        ]))
    }
}

/// `<xid>:<lsn of the event>`: the original's transaction id, which differs from event to event.
pub fn transaction_id(xid: Option<u32>, lsn: crate::Lsn) -> String {
    format!("{}:{}", xid.map_or_else(|| "null".to_owned(), |x| x.to_string()), lsn.0)
}

impl SourcePlan {
    /// The `source` block of a change as a tree.
    pub fn tree(&self, batch: &ChangeBatch, change: &Change) -> Value {
        let t = &batch.transactions[change.transaction as usize];
        let lsn = t.has_lsn.then_some(change.change_lsn);
        let int = |v: Option<u64>| v.map(|v| Value::Int64(v as i64)).into();
        Value::Struct(vec![
            Value::String(self.version.clone()),
            Value::String(self.connector.clone()),
            Value::String(self.name.clone()),
            Value::Int64(t.commit_us.div_euclid(1000)),
            // Left out when false: a converter that replaces null by the default prints "false".
            if change.snapshot == SnapshotMark::False { Value::Null } else { Value::string(change.snapshot.as_str()) },
            Value::String(self.db.clone()),
            Value::string(sequence(t.last_commit_lsn, Some(change.change_lsn))),
            Value::Int64(t.commit_us),
            Value::Int64(t.commit_us.wrapping_mul(1000)),
            Value::String(self.namespace.clone()),
            Value::String(self.table.clone()),
            int(t.xid.map(u64::from)),
            int(lsn.map(|l| l.0)),
            int(t.xmin),
            t.origin.clone().map(Value::String).into(),
            int(t.origin_lsn.map(|l| l.0)),
        ])
    }
}

/// `source.sequence`: `["<last commit lsn>","<lsn>"]`, either may be null.
pub fn sequence(last_commit: Option<crate::Lsn>, lsn: Option<crate::Lsn>) -> String {
    let part = |l: Option<crate::Lsn>| l.map_or_else(|| "null".to_owned(), |l| format!("\"{}\"", l.0));
    format!("[{},{}]", part(last_commit), part(lsn))
}

/// Values that could not be converted and became null, and all that surprised: counted, so that the caller can warn once
/// per column.
#[derive(Debug, Default)]
pub struct Warnings {
    /// Values that became null.
    pub count: u64,
    pub surprises: Surprises,
}

impl Warnings {
    /// A value became null.
    #[cold]
    pub fn failed(&mut self, column: &Arc<str>, surprise: Surprise) {
        self.count += 1;
        self.surprises.add(column, surprise);
    }
}

impl RowPlan {
    pub fn tree(&self, row: RowRef<'_>, warnings: &mut Warnings) -> Result<Value, LeafError> {
        let mut values = Vec::with_capacity(self.fields.len());
        for (field, schema) in self.fields.iter().zip(&self.schema.fields) {
            values.push(field.value(row, &schema.name, warnings)?);
        }
        Ok(Value::Struct(values))
    }
}

impl FieldPlan {
    /// Whether what stands for an unchanged value cannot be told from one: null, or the placeholder's bytes as numbers.
    pub fn is_unavailable_unknown(&self) -> bool {
        match &self.unavailable {
            Value::Null => true,
            Value::Array(values) => matches!(values.first(), Some(Value::Int32(_) | Value::Int64(_))),
            _ => false,
        }
    }

    /// The field's value in a row.
    pub fn value(&self, row: RowRef<'_>, name: &Arc<str>, warnings: &mut Warnings) -> Result<Value, LeafError> {
        let cell = row.cells[self.column];
        match cell.get(row.bytes) {
            Some(text) => {
                let mut scratch = Scratch::default();
                let value = self.leaf.read(text, &mut scratch).map(Scalar::into_value);
                match value {
                    Ok(value) => {
                        if let Some(surprise) = scratch.take_surprise() {
                            warnings.surprises.add(name, surprise);
                        }
                        Ok(value)
                    }
                    Err(e) if self.on_error == ConversionFailure::Fail => Err(e),
                    Err(_) => {
                        warnings.failed(name, Surprise::of_failure(&self.leaf, text));
                        Ok(self.null.clone())
                    }
                }
            }
            None if cell.is_unchanged() => {
                if self.is_unavailable_unknown() {
                    if let Leaf::Strict(strict) = &self.leaf {
                        return Err(strict.refusal(Surprise::ToastUnknown));
                    }
                    warnings.surprises.add(name, Surprise::ToastUnknown);
                }
                Ok(self.unavailable.clone())
            }
            None => Ok(self.null.clone()),
        }
    }
}
