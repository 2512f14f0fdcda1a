//! From pgoutput messages to a `ChangeBatch`: transactions, relations, filters, unchanged TOAST, positions.
//!
//! Sans-I/O: frames are pushed in, a batch fills up. What a relation becomes is asked of [`Relations`], once per version.
//! Never holds a whole transaction; a batch may begin and end inside one.
//!
//! Invariant: [`ChangeReader::offset`] is the offset of the last event in the batch, and reading on from it gives exactly
//! the events after it (see `position`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use walspring_config::postgres::SkippedOperations;
use walspring_connect::{TaskError, fault};
use walspring_pgoutput::{CellKind, Decoder, Message, OldTuple, Tuple};
use walspring_record::{
    Cell, Change, ChangeBatch, ChangeKind, Column, Lsn, OldRow, RecordPlan, SnapshotMark, SourceOffset, Transaction,
    TransactionOrder, TypeKind,
};

use crate::events::Events;
use crate::metrics::LeftOut;
use crate::position::{EventCounter, Resume};
use crate::value_limit::{Cells, Limited, ValueLimit};

/// Knows what is captured and how its events look. Asked for each Relation message, never per row.
pub trait Relations {
    /// The plan for the relation as the message describes it, in this transaction; `None`: not captured.
    fn describe(
        &mut self,
        relation: &walspring_pgoutput::Relation<'_>,
        xid: Option<u32>,
    ) -> Result<Option<Arc<RecordPlan>>, TaskError>;

    /// The plan with the labels that enumerations have now: a row has one that the plan does not list. The stream does not
    /// tell when an enumeration gains or renames a label.
    fn relabel(&mut self, plan: &Arc<RecordPlan>) -> Result<Arc<RecordPlan>, TaskError> {
        Ok(plan.clone())
    }
}

#[derive(Debug, Clone)]
struct OpenTransaction {
    xid: u32,
    commit_us: i64,
    /// Its place in the batch's transactions, while it has one.
    index: Option<u32>,
}

/// What the offset is made of: the last event's place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastEvent {
    pub lsn: Lsn,
    pub events_at_lsn: u64,
    pub last_commit: Option<Lsn>,
    /// What events tell as the last commit. `last_commit` may be a position beyond it.
    pub commit_seen: Option<Lsn>,
    pub xid: Option<u32>,
    pub commit_us: i64,
    pub message_type: &'static str,
}

pub struct ChangeReader<R> {
    relations: R,
    events: Events,
    skipped: SkippedOperations,
    decoder: Decoder,
    tables: Tables,
    /// What the other transactions go by, while one that was streamed is read.
    aside: Option<Tables>,
    /// Relations that have been described, in a streamed block or outside.
    pub relations_described: u64,
    /// The relation of the last change: nearly always the next one's too.
    recent: Option<(u32, Arc<RecordPlan>)>,
    /// Labels that the catalog does not have any more; asked for once.
    lost_labels: HashSet<(u32, Box<[u8]>)>,
    resume: Resume,
    counter: EventCounter,
    open: Option<OpenTransaction>,
    /// Whose changes the transaction replays, and where it ended there. As in the original it stays until the next one
    /// begins: messages in between that are in none have it too.
    origin: Option<(Arc<str>, Lsn)>,
    last: Option<LastEvent>,
    /// The end of the last transaction that was read whole.
    last_commit: Option<Lsn>,
    /// What events tell as the last commit: as in the original a message outside transactions is one too, and so is the
    /// place of the last event before a restart where no transaction had ended.
    told: Option<Lsn>,
    /// Where a restart may begin although no transaction ended there.
    floor: Option<Lsn>,
    pub transactions_seen: u64,
    pub left_out: LeftOut,
    limit: ValueLimit,
}

/// The tables as the stream has described them.
#[derive(Default)]
struct Tables {
    /// By the table's oid.
    known: HashMap<u32, Known>,
    /// Of tables that have any: the columns whose type is an enumeration.
    enumerations: HashMap<u32, Vec<u32>>,
}

struct Known {
    /// `None`: not captured.
    plan: Option<Arc<RecordPlan>>,
    /// The how manieth description it was, by the time it came.
    described: u64,
}

impl Tables {
    fn insert(&mut self, oid: u32, known: Known) {
        self.enumerations.remove(&oid);
        let columns = known.plan.as_ref().map(|plan| enumerations(plan)).unwrap_or_default();
        if !columns.is_empty() {
            self.enumerations.insert(oid, columns);
        }
        self.known.insert(oid, known);
    }
}

/// How many labels that are gone are remembered.
const LOST_LABELS_MAX: usize = 1000;

/// The columns whose type is an enumeration.
fn enumerations(plan: &RecordPlan) -> Vec<u32> {
    let is_enumeration = |column: &Column| matches!(column.ty.kind, TypeKind::Enum(_));
    (0..).zip(&plan.relation.columns).filter(|(_, column)| is_enumeration(column)).map(|(n, _)| n).collect()
}

/// A row's position inside the batch's buffer, made before it is known whether the change counts.
struct Row {
    first: u32,
}

impl<R: Relations> ChangeReader<R> {
    /// `last_commit`: as the stored offset says. `floor`: what offsets give as `lsn_commit` until a transaction has ended.
    pub fn new(
        relations: R,
        events: Events,
        skipped: SkippedOperations,
        resume: Resume,
        last_commit: Option<Lsn>,
        floor: Option<Lsn>,
    ) -> Self {
        ChangeReader {
            relations,
            events,
            skipped,
            decoder: Decoder::new(),
            tables: Tables::default(),
            aside: None,
            relations_described: 0,
            recent: None,
            lost_labels: HashSet::new(),
            resume,
            counter: EventCounter::default(),
            open: None,
            origin: None,
            last: None,
            last_commit,
            told: last_commit,
            floor,
            transactions_seen: 0,
            left_out: LeftOut::default(),
            limit: ValueLimit::default(),
        }
    }

    /// With another commit than the last to be told of, until the next one.
    pub fn telling(mut self, told: Option<Lsn>) -> Self {
        self.told = told;
        self
    }

    /// With a limit on values.
    pub fn limited(mut self, limit: ValueLimit) -> Self {
        self.limit = limit;
        self
    }

    pub fn relations_mut(&mut self) -> &mut R {
        &mut self.relations
    }

    pub fn events(&self) -> &Events {
        &self.events
    }

    pub fn events_mut(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Between a BEGIN and its COMMIT.
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The end of the last transaction that was read whole.
    pub fn last_commit(&self) -> Option<Lsn> {
        self.last_commit
    }

    /// What events tell as the last commit.
    pub fn told(&self) -> Option<Lsn> {
        self.told
    }

    /// The offset after the last event; `None` while there has been none.
    pub fn offset(&self) -> Option<SourceOffset> {
        self.last.as_ref().map(|last| self.events.streaming_offset(last))
    }

    /// The newest event; `None` while there has been none.
    pub fn last_event(&self) -> Option<&LastEvent> {
        self.last.as_ref()
    }

    /// The events after `last` are not sent.
    pub fn go_back_to(&mut self, last: Option<LastEvent>) {
        self.last = last;
    }

    /// [`ChangeReader::offset`]; while there has been no event that of `passed`, before which everything has been read.
    pub fn offset_now(&mut self, passed: Option<Lsn>) -> Option<SourceOffset> {
        self.offset().or_else(|| self.offset_at_commit(passed?))
    }

    /// The end of the last transaction, between two of them.
    pub fn passed_at_commit(&self) -> Option<Lsn> {
        self.last_commit.filter(|_| self.open.is_none())
    }

    /// Of the last event.
    pub fn last_lsn(&self) -> Option<Lsn> {
        self.last.as_ref().map(|last| last.lsn)
    }

    /// Where a restart from the newest offset begins, as far as it says so.
    pub fn stored_commit(&self) -> Option<Lsn> {
        self.last.as_ref().and_then(|last| last.last_commit).max(self.floor)
    }

    /// The offset that a commit (or a keepalive outside a transaction) at `lsn` leaves: what a quiet table stores. `None`
    /// where it would forget that something after `lsn` has been sent.
    pub fn offset_at_commit(&mut self, lsn: Lsn) -> Option<SourceOffset> {
        let loose_after = self.last.as_ref().is_some_and(|last| last.xid.is_none() && last.lsn > lsn);
        if self.open.is_some() || loose_after || self.resume.is_behind(lsn) {
            return None;
        }
        let before = self.last.clone().unwrap_or_default();
        let commit_seen = self.told;
        let last =
            LastEvent { lsn, events_at_lsn: 0, last_commit: Some(lsn), commit_seen, message_type: "COMMIT", ..before };
        self.floor = self.floor.max(Some(lsn));
        let offset = self.events.streaming_offset(&last);
        self.last = Some(last);
        Some(offset)
    }

    /// The batch was taken: what was counted inside it is not in the next one.
    pub fn next_batch(&mut self) {
        if let Some(open) = &mut self.open {
            open.index = None;
        }
    }

    /// Reads one XLogData payload. `seen_us`: now, microseconds since 1970.
    pub fn read(
        &mut self,
        wal_start: Lsn,
        payload: &[u8],
        seen_us: i64,
        batch: &mut ChangeBatch,
    ) -> Result<(), TaskError> {
        // The row kinds first: they are all but a few of the messages.
        match self.decoder.decode(payload).map_err(undecodable)? {
            Message::Insert(m) => {
                let Some(plan) = self.plan(m.relation)? else { return self.filtered() };
                let Some(nth) = self.next_event(wal_start) else { return Ok(()) };
                if self.skipped.create {
                    return self.skipped();
                }
                let base = append(payload, batch);
                let new = push_row(&m.new, base, &plan, batch)?;
                let limited = self.limit_values(wal_start, payload.len(), &plan, (base, None, new.first), batch)?;
                if limited.skipped {
                    return Ok(());
                }
                limited.put_placeholders(batch);
                let plan = self.with_labels_of(plan, &new, batch)?;
                self.change(ChangeKind::Insert, &plan, wal_start, nth, seen_us, Some(new), None, batch);
            }
            Message::Update(m) => {
                let Some(plan) = self.plan(m.relation)? else { return self.filtered() };
                let Some(nth) = self.next_event(wal_start) else { return Ok(()) };
                if self.skipped.update {
                    return self.skipped();
                }
                let base = append(payload, batch);
                let (old, kind) = match &m.old {
                    OldTuple::None => (None, OldRow::None),
                    OldTuple::Key(t) => (Some(push_row(t, base, &plan, batch)?), OldRow::Key),
                    OldTuple::Full(t) => (Some(push_row(t, base, &plan, batch)?), OldRow::Full),
                };
                let new = push_row(&m.new, base, &plan, batch)?;
                let rows = (base, old.as_ref().map(|old| old.first), new.first);
                let limited = self.limit_values(wal_start, payload.len(), &plan, rows, batch)?;
                if limited.skipped {
                    return Ok(());
                }
                if let (Some(old), OldRow::Full) = (&old, kind) {
                    fill_unchanged(batch, old.first, new.first, plan.relation.columns.len());
                }
                limited.put_placeholders(batch);
                if let Some(old) = &old
                    && !limited.altered
                    && self.events.skips_update(&plan, batch, old.first, new.first)
                {
                    batch.cells.truncate(old.first as usize);
                    batch.bytes.truncate(base);
                    self.left_out.unchanged += 1;
                    return Ok(());
                }
                let old = old.map(|row| (row, kind));
                let plan = self.with_labels_of(plan, &new, batch)?;
                self.change(ChangeKind::Update, &plan, wal_start, nth, seen_us, Some(new), old, batch);
            }
            Message::Delete(m) => {
                let Some(plan) = self.plan(m.relation)? else { return self.filtered() };
                let Some(nth) = self.next_event(wal_start) else { return Ok(()) };
                if self.skipped.delete {
                    return self.skipped();
                }
                let base = append(payload, batch);
                let old = match &m.old {
                    OldTuple::None => None,
                    OldTuple::Key(t) => Some((push_row(t, base, &plan, batch)?, OldRow::Key)),
                    OldTuple::Full(t) => Some((push_row(t, base, &plan, batch)?, OldRow::Full)),
                };
                if let Some((old, _)) = &old {
                    let rows = (base, Some(old.first), batch.cells.len() as u32);
                    let limited = self.limit_values(wal_start, payload.len(), &plan, rows, batch)?;
                    limited.put_placeholders(batch);
                }
                self.change(ChangeKind::Delete, &plan, wal_start, nth, seen_us, None, old, batch);
            }
            Message::Begin(m) => self.begin(m.xid, wal_start, m.commit_ts.unix_us(), batch),
            Message::Commit(m) => self.commit(Lsn(m.end_lsn), m.commit_ts.unix_us(), batch),
            Message::Relation(m) => {
                let plan = self.relations.describe(&m, self.open.as_ref().map(|open| open.xid))?;
                self.recent = None;
                let described = if self.aside.is_some() {
                    wal_start.0
                } else {
                    self.relations_described += 1;
                    self.relations_described
                };
                self.tables.insert(m.oid, Known { plan, described });
            }
            Message::Truncate(m) => {
                for oid in m.relations() {
                    let Some(plan) = self.plan(oid)? else {
                        self.left_out.filtered += 1;
                        continue;
                    };
                    let Some(nth) = self.next_event(wal_start) else { continue };
                    if self.skipped.truncate {
                        self.left_out.skipped += 1;
                        continue;
                    }
                    self.change(ChangeKind::Truncate, &plan, wal_start, nth, seen_us, None, None, batch);
                }
            }
            Message::Logical(m) => self.logical_message(&m, wal_start, seen_us, batch)?,
            Message::Origin(m) => {
                self.origin = Some((String::from_utf8_lossy(m.name).into(), Lsn(m.commit_lsn)));
            }
            Message::Type(_) => {}
            Message::BeginPrepare(_)
            | Message::Prepare(_)
            | Message::StreamPrepare(_)
            | Message::CommitPrepared(_)
            | Message::RollbackPrepared(_) => {
                let what = "The slot was made with two_phase, so the server sends transactions when they are prepared and nothing \
                            more at their commit";
                return Err(TaskError::definite(walspring_connect::DEBEZIUM_EXCEPTION, what).hint(
                    "from 18 on, with the connector stopped and no transaction prepared, ALTER_REPLICATION_SLOT slot (TWO_PHASE \
                     false) on a replication connection; before, let the connector make another slot (slot.name)",
                ));
            }
            // Where they were asked for, `streamed` has taken them.
            Message::StreamStart(_) | Message::StreamStop | Message::StreamCommit(_) | Message::StreamAbort(_) => {
                return Err(TaskError::definite(
                    walspring_connect::DEBEZIUM_EXCEPTION,
                    "The server sent a message of a transaction in progress, which was not asked for",
                ));
            }
        }
        Ok(())
    }

    fn begin(&mut self, xid: u32, lsn: Lsn, commit_us: i64, batch: &mut ChangeBatch) {
        self.resume.begin(xid);
        self.counter.reset();
        self.open = Some(OpenTransaction { xid, commit_us, index: None });
        self.origin = None;
        if let Some(record) = self.events.begin(xid, lsn, commit_us) {
            push_record(record, lsn, batch);
        }
    }

    /// What is read from here on to [`ChangeReader::commit_streamed`] was sent before it committed. `lsn`: where its first
    /// event stands. In place of a position, relations have the number that [`ChangeReader::relations_described`] was then.
    pub fn begin_streamed(&mut self, xid: u32, lsn: Lsn, commit_us: i64, batch: &mut ChangeBatch) {
        // It describes each table that it changes, whatever has been said outside of it.
        self.aside = Some(std::mem::take(&mut self.tables));
        self.recent = None;
        self.begin(xid, lsn, commit_us, batch);
    }

    /// From now on the server takes the transaction's descriptions to be known to all, unless the table has changed since,
    /// and then it describes it again. A newer description that came outside of it therefore stays.
    pub fn commit_streamed(&mut self, end: Lsn, commit_us: i64, batch: &mut ChangeBatch) {
        self.commit(end, commit_us, batch);
        let Some(aside) = self.aside.take() else { return };
        self.recent = None;
        for (oid, known) in std::mem::replace(&mut self.tables, aside).known {
            if self.tables.known.get(&oid).is_none_or(|other| other.described < known.described) {
                self.tables.insert(oid, known);
            }
        }
    }

    /// Where the change's bytes begin in the batch, its old row, and its new one.
    #[inline]
    fn limit_values(
        &self,
        lsn: Lsn,
        payload_bytes: usize,
        plan: &RecordPlan,
        (base, old, first): (usize, Option<u32>, u32),
        batch: &mut ChangeBatch,
    ) -> Result<Limited, TaskError> {
        if !self.limit.concerns(payload_bytes) {
            return Ok(Limited::default());
        }
        let xid = self.open.as_ref().map_or(0, |open| open.xid);
        let place = || format!(", at {lsn} in transaction {xid}");
        let cells = Cells { base, old: old.map(|old| old as usize), first: first as usize, last: batch.cells.len() };
        let limited = self.limit.apply(batch, plan, &cells, &place)?;
        limited.take_off_skipped(batch, &cells);
        Ok(limited)
    }

    fn filtered(&mut self) -> Result<(), TaskError> {
        self.left_out.filtered += 1;
        Ok(())
    }

    fn skipped(&mut self) -> Result<(), TaskError> {
        self.left_out.skipped += 1;
        Ok(())
    }

    /// The plan of a captured table.
    #[inline]
    fn plan(&mut self, oid: u32) -> Result<Option<Arc<RecordPlan>>, TaskError> {
        if let Some((recent, plan)) = &self.recent
            && *recent == oid
        {
            return Ok(Some(plan.clone()));
        }
        match self.tables.known.get(&oid).map(|known| &known.plan) {
            Some(Some(_)) if self.events.catches_up.as_ref().is_some_and(|to| to.leaves_out(oid)) => Ok(None),
            Some(Some(plan)) => {
                let plan = plan.clone();
                self.recent = Some((oid, plan.clone()));
                Ok(Some(plan))
            }
            Some(None) => Ok(None),
            None => Err(TaskError::transient(
                walspring_connect::DEBEZIUM_EXCEPTION,
                format!("The server sent a change of table {oid} without describing the table first"),
            )),
        }
    }

    /// The plan, or a newer one when the row has a label that it does not list.
    #[inline]
    fn with_labels_of(
        &mut self,
        plan: Arc<RecordPlan>,
        row: &Row,
        batch: &ChangeBatch,
    ) -> Result<Arc<RecordPlan>, TaskError> {
        if self.tables.enumerations.is_empty() { Ok(plan) } else { self.check_labels(plan, row, batch) }
    }

    fn check_labels(
        &mut self,
        plan: Arc<RecordPlan>,
        row: &Row,
        batch: &ChangeBatch,
    ) -> Result<Arc<RecordPlan>, TaskError> {
        let oid = plan.relation.oid;
        let columns = self.tables.enumerations.get(&oid).map(Vec::as_slice).unwrap_or_default();
        let unlisted = |plan: &RecordPlan, column: u32| {
            let label = batch.cells[(row.first + column) as usize].get(&batch.bytes)?;
            let listed = match &plan.relation.columns[column as usize].ty.kind {
                TypeKind::Enum(labels) => labels.iter().any(|l| l.as_bytes() == label),
                _ => true,
            };
            (!listed).then(|| (oid, Box::from(label)))
        };
        let asked = |label: &(u32, Box<[u8]>)| self.lost_labels.contains(label);
        if !columns.iter().filter_map(|&column| unlisted(&plan, column)).any(|label| !asked(&label)) {
            return Ok(plan);
        }
        let newer = self.relations.relabel(&plan)?;
        let lost: Vec<_> = columns.iter().filter_map(|&column| unlisted(&newer, column)).collect();
        if self.lost_labels.len() >= LOST_LABELS_MAX {
            self.lost_labels.clear();
        }
        self.lost_labels.extend(lost);
        if let Some(known) = self.tables.known.get_mut(&oid) {
            known.plan = Some(newer.clone());
        }
        self.recent = None;
        Ok(newer)
    }

    /// Counts the event; `None` when it was sent before.
    #[inline]
    fn next_event(&mut self, lsn: Lsn) -> Option<u64> {
        let nth = self.counter.next(lsn);
        (!self.resume.was_sent(lsn, nth)).then_some(nth)
    }

    #[allow(clippy::too_many_arguments, reason = "one call site a kind; a struct would only repeat `Change`")]
    #[inline]
    fn change(
        &mut self,
        kind: ChangeKind,
        plan: &Arc<RecordPlan>,
        lsn: Lsn,
        nth: u64,
        seen_us: i64,
        new: Option<Row>,
        old: Option<(Row, OldRow)>,
        batch: &mut ChangeBatch,
    ) {
        fault::point("stream.change");
        let transaction = self.transaction(batch);
        let (old, old_row) = old.map_or((0, OldRow::None), |(row, kind)| (row.first, kind));
        let new = new.map_or(0, |r| r.first);
        let key_changed = self.events.counts()
            && kind == ChangeKind::Update
            && old_row != OldRow::None
            && plan.key_changed(batch, old, new);
        let order = self.events.count(plan, key_changed);
        let plan = batch.plan_index(plan);
        batch.changes.push(Change {
            kind,
            old_row,
            snapshot: SnapshotMark::False,
            plan,
            transaction,
            new,
            old,
            change_lsn: lsn,
            seen_us,
            order,
        });
        self.remember(lsn, nth, message_type(kind));
    }

    fn remember(&mut self, lsn: Lsn, nth: u64, message_type: &'static str) {
        let (xid, commit_us) = self.open.as_ref().map_or((None, 0), |o| (Some(o.xid), o.commit_us));
        let (commit_seen, last_commit) = (self.told, self.told.max(self.floor));
        self.last = Some(LastEvent { lsn, events_at_lsn: nth, last_commit, commit_seen, xid, commit_us, message_type });
    }

    /// The open transaction's place in the batch.
    #[inline]
    fn transaction(&mut self, batch: &mut ChangeBatch) -> u32 {
        let Some(open) = &mut self.open else { return 0 };
        if let Some(index) = open.index {
            return index;
        }
        let index = batch.transactions.len() as u32;
        open.index = Some(index);
        let (xid, commit_us) = (Some(open.xid), open.commit_us);
        batch.transactions.push(self.described(xid, commit_us));
        index
    }

    /// What `source` tells of a transaction, or of a message that is in none.
    fn described(&self, xid: Option<u32>, commit_us: i64) -> Transaction {
        Transaction {
            xid,
            commit_us,
            last_commit_lsn: self.told,
            has_lsn: true,
            xmin: self.events.xmin,
            origin: self.origin.as_ref().map(|(name, _)| name.clone()),
            origin_lsn: self.origin.as_ref().map(|(_, lsn)| *lsn),
        }
    }

    fn commit(&mut self, end: Lsn, commit_us: i64, batch: &mut ChangeBatch) {
        fault::point("stream.commit");
        self.resume.commit();
        self.transactions_seen += 1;
        let open = self.open.take();
        self.last_commit = Some(end);
        self.told = Some(end);
        if let Some(open) = open
            && let Some(record) = self.events.commit(open.xid, end, commit_us)
        {
            push_record(record, end, batch);
            // END was sent: what goes on from here must not open the transaction again.
            self.last = Some(LastEvent {
                lsn: end,
                events_at_lsn: 0,
                last_commit: Some(end),
                commit_seen: Some(end),
                xid: Some(open.xid),
                commit_us: open.commit_us,
                message_type: "COMMIT",
            });
        }
    }

    fn logical_message(
        &mut self,
        m: &walspring_pgoutput::LogicalMessage<'_>,
        lsn: Lsn,
        seen_us: i64,
        batch: &mut ChangeBatch,
    ) -> Result<(), TaskError> {
        let prefix = String::from_utf8_lossy(m.prefix);
        if m.is_transactional() {
            let Some(nth) = self.next_event(lsn) else { return Ok(()) };
            if !self.events.wants_message(&prefix)? {
                return Ok(());
            }
            let index = self.transaction(batch);
            let transaction = batch.transactions.get(index as usize).cloned();
            let transaction = transaction.unwrap_or_else(|| self.described(None, seen_us));
            let record = self.events.message(&prefix, m.content, transaction, lsn, seen_us)?;
            push_record(record, lsn, batch);
            self.remember(lsn, nth, "MESSAGE");
        } else if !self.resume.loose_message_was_sent(lsn) {
            // The server sends transactions in the order of their commits, and this in its place between them: whatever
            // committed before it has been read.
            if self.open.is_none() {
                self.told = Some(lsn);
            }
            if !self.events.wants_message(&prefix)? {
                return Ok(());
            }
            let of_none = self.described(None, seen_us);
            let record = self.events.message(&prefix, m.content, of_none, lsn, seen_us)?;
            push_record(record, lsn, batch);
            if self.open.is_none() {
                // As in the original no count goes with it: it is alone at its position.
                self.remember(lsn, 0, "MESSAGE");
            }
        }
        Ok(())
    }

    /// Adds a record made as a tree after what is in the batch.
    pub fn push_record(&mut self, record: walspring_record::Record, batch: &mut ChangeBatch) {
        push_record(record, self.last.as_ref().map_or(Lsn::ZERO, |l| l.lsn), batch);
    }
}

pub fn push_record(record: walspring_record::Record, lsn: Lsn, batch: &mut ChangeBatch) {
    batch.records.push(record);
    batch.changes.push(Change {
        kind: ChangeKind::Record,
        old_row: OldRow::None,
        snapshot: SnapshotMark::False,
        plan: (batch.records.len() - 1) as u32,
        transaction: 0,
        new: 0,
        old: 0,
        change_lsn: lsn,
        seen_us: 0,
        order: TransactionOrder::default(),
    });
}

fn message_type(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Insert | ChangeKind::Read => "INSERT",
        ChangeKind::Update => "UPDATE",
        ChangeKind::Delete => "DELETE",
        ChangeKind::Truncate => "TRUNCATE",
        ChangeKind::Record => "MESSAGE",
    }
}

fn undecodable(e: walspring_pgoutput::DecodeError) -> TaskError {
    // Damage on the way heals when the server sends it again; the same bytes twice do not, and the back-off shows it.
    TaskError::transient(walspring_connect::DEBEZIUM_EXCEPTION, format!("The stream cannot be decoded: {e}"))
}

#[inline]
fn append(payload: &[u8], batch: &mut ChangeBatch) -> usize {
    let base = batch.bytes.len();
    batch.bytes.extend_from_slice(payload);
    base
}

#[inline]
fn push_row(tuple: &Tuple<'_>, base: usize, plan: &RecordPlan, batch: &mut ChangeBatch) -> Result<Row, TaskError> {
    let first = batch.cells.len();
    tuple.push_cells(|kind, start, len| {
        batch.cells.push(match kind {
            CellKind::Text | CellKind::Binary => Cell::text(base + start, len),
            CellKind::Null => Cell::NULL,
            CellKind::Unchanged => Cell::UNCHANGED,
        });
    });
    let (found, expected) = (batch.cells.len() - first, plan.relation.columns.len());
    if found != expected {
        return Err(TaskError::transient(
            walspring_connect::DEBEZIUM_EXCEPTION,
            format!("A row of {} has {found} columns instead of {expected}", plan.relation.qualified_name()),
        ));
    }
    Ok(Row { first: first as u32 })
}

/// Takes unchanged TOASTed values from the old row, which has them whole under REPLICA IDENTITY FULL. A NULL there is none
/// of them: the server sends a partition's key alone as a whole row of a root with that identity.
fn fill_unchanged(batch: &mut ChangeBatch, old: u32, new: u32, columns: usize) {
    for i in 0..columns {
        let of_old = batch.cells[old as usize + i];
        if batch.cells[new as usize + i].is_unchanged() && !of_old.is_null() {
            batch.cells[new as usize + i] = of_old;
        }
    }
}

#[cfg(test)]
mod tests;
