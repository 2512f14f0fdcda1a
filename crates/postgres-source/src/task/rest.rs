//! An initial snapshot that goes on after a restart (`resume`): the stream comes to a point and stands still there, what is
//! left is read as of that point, and the stream goes on.
//!
//! The point is made when the stream has come to the end of the log as it was at the start: so it is never far behind the
//! point, and what the point's snapshot holds on the server is not held for long.
//!
//! Tables that were made since the start are not read: all that is in them is in the stream.

use std::collections::HashSet;
use std::time::Duration;

use walspring_connect::{Poll, TaskError, fault};
use walspring_debezium::{DebeziumOffset, SnapshotKind, SnapshotProgress};
use walspring_record::{ChangeBatch, Lsn};

use super::snapshot::{Reading, Wanted};
use super::{PostgresTask, Starting, State, in_snapshot};
use crate::catalog::Table;
use crate::events::StoredOffset;
use crate::relations::CatalogRelations;
use crate::resume::{Begun, CatchUp, Tracker};
use crate::snapshot::SnapshotPoint;
use crate::snapshot_board::BoardTable;
use crate::startup;
use crate::stream::{Stream, StreamStart};
use crate::wire::Connection;

/// What is left to read, while the stream comes to where it can be.
pub(super) struct Rest {
    progress: SnapshotProgress,
    /// The captured tables at the start, by their oids.
    tables: HashSet<u32>,
    way: Way,
}

enum Way {
    /// The stream is to come to this end of the log first.
    ToEnd(Lsn),
    /// It comes to the point of a temporary slot, which the connection holds.
    ToPoint { point: Lsn, exported: String, slot: Box<Connection> },
    /// There is nothing left to read.
    Nowhere,
}

/// The stream stands still.
pub(super) struct ReadingRest {
    stream: Box<Stream>,
    /// Where.
    place: DebeziumOffset,
    /// `None`: nothing is left.
    reading: Option<Reading>,
}

impl ReadingRest {
    pub fn into_stream(self) -> Box<Stream> {
        self.stream
    }
}

impl PostgresTask {
    /// Has the stream go on where the offset stands, on its way to what is left.
    pub(super) fn go_on(
        &mut self,
        mut relations: CatalogRelations,
        captured: &[Table],
        stored: Option<StoredOffset>,
        begun: Begun,
        replication: Option<Connection>,
    ) -> Result<State, TaskError> {
        let Begun { resume, progress } = begun;
        let (mut left_out, mut shown) = (HashSet::new(), Vec::new());
        for table in captured {
            if !self.is_read_initially(table, &relations)? {
                continue;
            }
            let read_before = progress.done.contains(table.oid);
            if !read_before && relations.snapshot_table(table)?.plan.relation.key.is_empty() {
                left_out.insert(table.oid);
            }
            shown.push(BoardTable { name: table.qualified_name(), read_before, chunks: 1, ..BoardTable::default() });
        }
        let is_all_read = shown.iter().all(|table| table.read_before);
        let way = if is_all_read { Way::Nowhere } else { Way::ToEnd(relations.current_lsn()?) };
        tracing::info!(from = %resume.start, "the stream goes on, up to where the rest of the snapshot can be read");
        self.metrics.board().begins("initial", true, resume.start, shown);
        let from = StreamStart {
            slot: resume.start,
            last_commit: stored.as_ref().and_then(|s| s.position.commit_read()),
            told: stored.as_ref().and_then(|s| s.position.commit_told()),
            floor: Some(resume.start),
            resume,
            stored,
            catches_up: Some(CatchUp::new(&progress, left_out)),
        };
        let tables = captured.iter().map(|table| table.oid).collect();
        self.rest = Some(Box::new(Rest { progress, tables, way }));
        Ok(State::Starting(Box::new(Starting { relations, replication, from })))
    }

    /// Between two batches of the stream: a step of the way. True: the stream stands still now.
    pub(super) fn step_to_rest(&mut self) -> Result<bool, TaskError> {
        let (State::Stream(stream), Some(rest)) = (&self.state, &self.rest) else { return Ok(false) };
        match &rest.way {
            Way::ToEnd(end) if stream.passed() >= Some(*end) => {
                let mut slot = self.replication_connection()?;
                let made = self.make_temporary_slot(&mut slot)?;
                if let (State::Stream(stream), Some(rest)) = (&mut self.state, &mut self.rest) {
                    stream.stop_before(made.consistent_point);
                    let exported = made.snapshot.unwrap_or_default();
                    rest.way = Way::ToPoint { point: made.consistent_point, exported, slot: Box::new(slot) };
                }
                Ok(false)
            }
            Way::ToPoint { .. } if stream.is_at_barrier() => self.read_rest().map(|()| true),
            Way::Nowhere => self.read_rest().map(|()| true),
            _ => Ok(false),
        }
    }

    /// Starts the readers.
    fn read_rest(&mut self) -> Result<(), TaskError> {
        let Some(rest) = self.rest.take() else { return Ok(()) };
        let State::Stream(mut stream) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(()) };
        let Rest { progress, tables, way } = *rest;
        let Way::ToPoint { point: lsn, exported, slot } = way else {
            let place = stream.place();
            self.state = State::Rest(Box::new(ReadingRest { stream, place, reading: None }));
            return Ok(());
        };
        let place = stream.place_at(lsn);
        let relations = stream.relations_mut();
        let mut captured = startup::captured(&relations.all_tables()?, &self.config)?;
        captured.retain(|table| tables.contains(&table.oid));
        relations.preload(&captured)?;
        let xid = relations.snapshot_xid()?;
        let point = SnapshotPoint { lsn, exported: Some(exported), xid, last_commit: None, xmin: None };
        let wanted = Wanted::Initial { account: Some(progress), goes_on: true };
        let snapshot = self.start_readers(relations, &mut captured, &point, wanted)?;
        // The readers hold its snapshot now.
        drop(slot);
        self.keep_read(lsn);
        self.state = State::Rest(Box::new(ReadingRest { stream, place, reading: Some(Reading::new(snapshot)) }));
        Ok(())
    }

    pub(super) fn poll_rest(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let State::Rest(mut rest) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(Poll::Idle) };
        if let Some(reading) = &mut rest.reading {
            if self.next_rows(reading, "the snapshot", batch, wait)? {
                fault::point("snapshot.chunk");
                let snapshot_progress = reading.snapshot.account().map(Tracker::text);
                let place = DebeziumOffset { snapshot_progress, ..rest.place.clone() };
                batch.offset = Some(in_snapshot(&place, SnapshotKind::Initial, false));
                self.state = State::Rest(rest);
                return Ok(Poll::Batch);
            }
            if !reading.snapshot.is_finished() {
                self.state = State::Rest(rest);
                return Ok(Poll::Idle);
            }
        }
        let ReadingRest { mut stream, place, reading } = *rest;
        let place = DebeziumOffset { snapshot_progress: None, ..place };
        let offset = in_snapshot(&place, SnapshotKind::Initial, true);
        self.complete(reading, offset, batch);
        stream.caught_up();
        self.state = State::Stream(stream);
        Ok(Poll::Batch)
    }
}
