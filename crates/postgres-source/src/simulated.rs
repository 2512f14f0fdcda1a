//! The stream without a server, for the simulation: reading, positions, offsets and confirmations are what a task has; where
//! frames come from, and when, is the simulation's.

use std::sync::Arc;

use walspring_connect::{Feedback, SourcePartition, TaskError};
use walspring_record::{
    ChangeBatch, Column, Lsn, PgType, RecordPlan, Relation, ReplicaIdentity, SourceOffset, TypeKind,
};

use crate::change_reader::{ChangeReader, Relations};
use crate::config::SourceConfig;
use crate::events::{Events, StoredOffset};
use crate::feedback::SlotProgress;
use crate::position::Resume;

/// A source of one table, `public.t (pk bigint primary key)`.
pub struct SimulatedSource {
    config: SourceConfig,
    events: Events,
    plan: Arc<RecordPlan>,
}

impl SimulatedSource {
    pub fn new(config: &[(String, String)]) -> Result<SimulatedSource, TaskError> {
        let config = SourceConfig::parse(config)?;
        let events = Events::new(&config, 0)?;
        let ty = PgType { oid: 20, name: "int8".into(), namespace: "pg_catalog".into(), kind: TypeKind::Base };
        let column = Column {
            name: "pk".into(),
            ty: Arc::new(ty),
            modifier: -1,
            nullable: false,
            default: None,
            generated: false,
            comment: None,
        };
        let relation = Relation {
            oid: 1,
            namespace: "public".into(),
            name: "t".into(),
            identity: ReplicaIdentity::Default,
            columns: vec![column],
            key: vec![0],
            identifying: vec![0],
            key_may_repeat: false,
        };
        let plan = events.plan(Arc::new(relation))?;
        Ok(SimulatedSource { config, events, plan })
    }

    pub fn partition(&self) -> SourcePartition {
        self.events.partition()
    }

    /// Where a stored offset says that its transaction begins; what a slot may have confirmed at most.
    pub fn reach(stored: &SourceOffset) -> Lsn {
        let position = StoredOffset::parse(stored).position;
        position.last_commit.or(position.lsn).unwrap_or_default()
    }

    /// As a task begins to stream from what is stored. `slot`: where the slot stands; `end`: the end of the server's log.
    pub fn stream(&self, stored: Option<&SourceOffset>, slot: Lsn, end: Lsn) -> SimulatedStream {
        let stored = stored.map(StoredOffset::parse);
        let mut resume = stored.as_ref().map_or_else(|| Resume::at(Lsn::ZERO), |s| Resume::after(&s.position));
        if resume.skips() {
            resume.sent_before(end);
        }
        let start = resume.start;
        let mut events = self.events.clone();
        let progress = Arc::new(SlotProgress::new(&self.config.typed.slot));
        if let Some(stored) = &stored {
            events.restore(stored);
            progress.confirm(start);
        }
        let last_commit = stored.as_ref().and_then(|s| s.position.commit_read());
        let told = stored.as_ref().and_then(|s| s.position.commit_told());
        let floor = (slot < start).then_some(start);
        let (relations, skipped) = (OneTable(self.plan.clone()), self.config.typed.events.skipped);
        let reader = ChangeReader::new(relations, events, skipped, resume, last_commit, floor).telling(told);
        SimulatedStream { start, reader, progress }
    }
}

/// One connection's stream.
pub struct SimulatedStream {
    /// What START_REPLICATION asks for.
    pub start: Lsn,
    reader: ChangeReader<OneTable>,
    progress: Arc<SlotProgress>,
}

impl SimulatedStream {
    /// Before the frames of a batch.
    pub fn begin_batch(&mut self) {
        self.reader.next_batch();
    }

    /// One XLogData frame.
    pub fn read(&mut self, wal_start: Lsn, payload: &[u8], batch: &mut ChangeBatch) -> Result<(), TaskError> {
        self.progress.received(wal_start);
        self.reader.read(wal_start, payload, 0, batch)
    }

    /// After them: the offset that goes with what is in the batch.
    pub fn end_batch(&mut self, batch: &mut ChangeBatch) {
        if batch.offset.is_none() && !batch.changes.is_empty() {
            batch.offset = self.reader.offset();
        }
    }

    /// Nothing is there and the server's log has come to `at`: an offset-only record, where one may be made.
    pub fn quiet(&mut self, at: Lsn, batch: &mut ChangeBatch) -> bool {
        self.progress.received(at);
        if self.reader.in_transaction() || self.reader.stored_commit().is_some_and(|stored| stored >= at) {
            return false;
        }
        batch.offset = self.reader.offset_at_commit(at);
        batch.drained = true;
        batch.offset.is_some()
    }

    pub fn feedback(&self) -> Arc<dyn Feedback> {
        self.progress.clone()
    }

    /// What the next status update says, to be asked from elsewhere.
    pub fn confirmed(&self) -> impl Fn() -> Lsn + Send + use<> {
        let progress = self.progress.clone();
        move || progress.confirmed_lsn()
    }
}

struct OneTable(Arc<RecordPlan>);

impl Relations for OneTable {
    fn describe(
        &mut self,
        _: &walspring_pgoutput::Relation<'_>,
        _: Option<u32>,
    ) -> Result<Option<Arc<RecordPlan>>, TaskError> {
        Ok(Some(self.0.clone()))
    }
}
