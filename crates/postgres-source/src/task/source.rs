//! The task's side of `identity`: whom it reads from, and whether that is still the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_config::postgres::SnapshotMode;
use walspring_connect::TaskError;
use walspring_record::Lsn;

use super::{PostgresTask, State};
use crate::errors::from_pg;
use crate::events::StoredOffset;
use crate::failover;
use crate::identity::{Server, Source, Strategy, ask_for_transaction, beyond, compare};
use crate::memory::{Memory, Reading};
use crate::position::Resume;
use crate::relations::CatalogRelations;
use crate::slot::{self, Slot};
use crate::startup;
use crate::wire::Connection;

const CONNECTING: &str = "Connecting to the database";

/// For how long, and how often, an attempt looks for one of several servers.
const LOOK_TIME: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// As for tables: a topic that cannot be written does not hold the stream up.
pub(super) const KEEPING_WAIT: Duration = Duration::from_secs(2);

/// Where the stream goes on.
pub(super) enum Place {
    Stored,
    /// `offset.mismatch.strategy` says so.
    Slot,
}

impl PostgresTask {
    /// A connection to the server that is read from now on. Of several hosts, one that can be read is looked for often and
    /// long: which one a failover leaves shows when it is over, and nobody should wait for the next attempt then.
    pub(super) fn open(&mut self, memory: &mut Reading) -> Result<Connection, TaskError> {
        if self.config.connect.hosts.len() < 2 {
            return self.config.open(CONNECTING);
        }
        let follows_slot = self.strategy().follows_slot;
        let kept = memory.source()?.filter(|_| !follows_slot);
        let begun = Instant::now();
        loop {
            match failover::find(&self.config, kept, CONNECTING) {
                Ok((config, connection)) => {
                    self.context.progress.waiting(None);
                    self.config = Arc::new(config);
                    return Ok(connection);
                }
                Err(e) if e.is_transient() && begun.elapsed() < LOOK_TIME => {
                    let why = e.causes.last().map_or(&e.message, |(_, message)| message);
                    self.context.progress.waiting(Some(format!("waiting for a server to read: {why}")));
                    self.pause(LOOK_INTERVAL)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn strategy(&self) -> Strategy {
        Strategy::of(&self.config.typed.slot)
    }

    /// Whether the server is the one that the stored offset is of, and the connection on which it was asked. False: it is
    /// another one, and the stream goes on where its slot stands.
    pub(super) fn check_source(
        &mut self,
        memory: &Memory,
        stored: Option<&StoredOffset>,
    ) -> Result<(bool, Option<Connection>), TaskError> {
        let goes_on = self.streams() && self.config.typed.snapshot.mode != SnapshotMode::Always;
        let kept = memory.source.as_ref();
        let Some(s) = stored.filter(|s| goes_on && (!s.in_snapshot || kept.is_some())) else { return Ok((true, None)) };
        let mut replication = self.replication_connection()?;
        let server = Server::ask(&mut replication)?;
        // The row at that place, and not only all before it.
        let row = u64::from(s.position.inside_transaction);
        let reach =
            s.position.lsn.map(|lsn| Lsn(lsn.0.saturating_add(row))).max(s.position.last_commit).unwrap_or_default();
        // On another server's timelines positions say nothing.
        let reach = kept.map_or(reach, |kept| reach.max(kept.reached).max(kept.read));
        let mut found = compare(&server, kept, reach, |timeline| server.left(timeline, &mut replication))?;
        let moved = kept.is_some_and(|kept| kept.timeline != server.timeline);
        if let (true, Ok(()), true, Some(xid)) = (moved, &found, s.position.inside_transaction, s.position.xid) {
            found = ask_for_transaction(xid, &mut replication)?;
        }
        if s.in_snapshot {
            self.read_before = kept.filter(|_| found.is_ok()).map_or(Lsn::ZERO, |kept| kept.read);
            self.elsewhere = found.err().map(|mismatch| mismatch.what().to_owned());
            return Ok((true, Some(replication)));
        }
        let is_other = found.is_err();
        self.read_before = kept.filter(|_| !is_other).map_or(Lsn::ZERO, |kept| kept.read);
        self.strategy().on_server(found, &self.context.outside.connector)?;
        self.server = Some(server);
        Ok((!is_other || !self.strategy().follows_slot, Some(replication)))
    }

    /// Whether the slot has all that comes after the stored offset.
    pub(super) fn check_place(
        &self,
        stored: &StoredOffset,
        slot: Option<&Slot>,
        kept: Option<&Source>,
    ) -> Result<Place, TaskError> {
        let (name, strategy) = (&self.config.typed.slot.name, self.strategy());
        let position = &stored.position;
        let at = position.last_commit.or(position.lsn);
        if at.is_none() && slot.is_some() {
            tracing::warn!(
                "the stored offset says no position ({}); the stream goes on where slot {name} stands",
                stored.text
            );
            return kept.map_or(Ok(()), |kept| self.check_slot_of(kept, slot)).map(|()| Place::Stored);
        }
        let at = at.unwrap_or_default();
        let slot = match slot {
            None if strategy.follows_slot => {
                tracing::warn!(
                    "slot {name} does not exist any more; it is made again, and what was committed after {at} is lost"
                );
                return Ok(Place::Slot);
            }
            Some(slot) if strategy.follows_slot => slot,
            slot => {
                let (server, connector) = (self.server.as_ref(), &self.context.outside.connector);
                startup::check_position((name, connector), slot, at, &stored.text, (server, kept))?;
                let Some(slot) = slot else { return Ok(Place::Stored) };
                slot
            }
        };
        let start = Resume::after(position).start;
        let needed = match start {
            // In the first transaction after the slot was made.
            Lsn::ZERO => at.max(kept.map_or(Lsn::ZERO, |kept| kept.reached)),
            start => start,
        };
        let found = beyond(name, slot, kept, needed);
        let is_beyond = found.is_err();
        strategy.on_slot(found, &self.context.outside.connector)?;
        Ok(if is_beyond && strategy.follows_slot { Place::Slot } else { Place::Stored })
    }

    /// Without an offset, what was kept tells where the slot stood.
    pub(super) fn check_slot_of(&self, kept: &Source, slot: Option<&Slot>) -> Result<(), TaskError> {
        let name = &self.config.typed.slot.name;
        match slot.filter(|_| kept.slot == *name) {
            None => Ok(()),
            Some(slot) => {
                let found = beyond(name, slot, Some(kept), kept.reached);
                self.strategy().on_slot(found, &self.context.outside.connector)
            }
        }
    }

    /// From now on this is the server and the slot that were read.
    pub(super) fn keep_source(
        &mut self,
        replication: &mut Connection,
        relations: &mut CatalogRelations,
    ) -> Result<(), TaskError> {
        if !self.keeper.is_there() || self.config.slot_temporary {
            return Ok(());
        }
        let server = Server::ask(replication)?;
        let read = self.source.as_ref().map_or(self.read_before, |(source, _)| source.read);
        self.keep_server(&server, read, relations)
    }

    /// `read`: as of where rows of an initial snapshot are read.
    pub(super) fn keep_server(
        &mut self,
        server: &Server,
        read: Lsn,
        relations: &mut CatalogRelations,
    ) -> Result<(), TaskError> {
        if !self.keeper.is_there() || self.config.slot_temporary {
            return Ok(());
        }
        let name = &self.config.typed.slot.name;
        let found = slot::find(&mut relations.connection, name).map_err(|e| from_pg("Reading the slot", e))?;
        if let Some(slot) = found {
            let source = Source { read, ..Source::new(server, name, &slot, self.progress.confirmed_lsn()) };
            self.keeper.keep([(Source::key(), Some(source.record()))]);
            self.source = Some((source, Instant::now()));
            self.on_standby = server.is_standby;
        }
        Ok(())
    }

    /// Rows as of there are sent next, before the stream comes there.
    pub(super) fn keep_read(&mut self, read: Lsn) {
        if let Some((source, _)) = &mut self.source {
            source.read = source.read.max(read);
            self.keeper.keep([(Source::key(), Some(source.record()))]);
            self.keeper.settle(KEEPING_WAIT);
        }
    }

    /// A standby goes over to another timeline under the stream: it is promoted, or the server that it follows. That is kept
    /// before any event of it is sent, or the next start would take them for events that this server lacks.
    pub(super) fn keep_timeline(&mut self) -> Result<(), TaskError> {
        let streams_from_standby = matches!(self.state, State::Stream(_)) && self.on_standby && self.source.is_some();
        if !streams_from_standby {
            return Ok(());
        }
        let server = self.ask_standby()?;
        let Some((source, _)) = self.source.as_mut().filter(|(source, _)| source.timeline != server.timeline) else {
            return Ok(());
        };
        let (timeline, promoted) = (server.timeline, !server.is_standby);
        tracing::info!(timeline, promoted, "the standby is on another timeline; the stream goes on");
        source.timeline = timeline;
        self.keeper.keep([(Source::key(), Some(source.record()))]);
        self.keeper.settle(KEEPING_WAIT);
        self.on_standby = server.is_standby;
        if promoted {
            self.standby = None;
        }
        Ok(())
    }

    /// Which timeline a standby is on is told to every role on a replication connection only.
    fn ask_standby(&mut self) -> Result<Server, TaskError> {
        if let Some(Ok(server)) = self.standby.as_mut().map(Server::ask) {
            return Ok(server);
        }
        let connection = self.replication_connection()?;
        Server::ask(self.standby.insert(connection))
    }

    /// Keeps how far we have confirmed, where that was last done `interval` ago.
    pub(super) fn keep_reached(&mut self, interval: Duration) {
        let Some((source, at)) = self.source.as_mut().filter(|(_, at)| at.elapsed() >= interval) else { return };
        *at = Instant::now();
        let reached = self.progress.confirmed_lsn();
        if reached > source.reached {
            source.reached = reached;
            self.keeper.keep([(Source::key(), Some(source.record()))]);
        }
    }
}
