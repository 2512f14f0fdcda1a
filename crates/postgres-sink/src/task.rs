//! A running task: one connection, and one transaction for each batch.

use std::ops::Range;

use walspring_connect::{Outcome, PutError, SinkRecord, SinkTask, SinkTaskContext, TaskError, TopicPartition};

use crate::apply::Writer;
use crate::batch::Batch;
use crate::config::SinkConfig;
use crate::decode::{self, DecodeError, record_error};
use crate::errors::{SqlError, SqlErrorKind};
use crate::offsets::Offsets;
use crate::origin;
use crate::session::Session;
use crate::tables::Tables;
use crate::text_array::TextArray;

/// How often a batch is read anew because tables turned out to be others than they were. Each new column of a table that
/// grows may take one.
const DRIFTS_MAX: usize = 16;

pub struct PostgresSinkTask {
    context: SinkTaskContext,
    tables: Tables,
    offsets: Option<Offsets>,
    session: Option<Session>,
    batch: Batch,
    arrays: Vec<TextArray>,
    origin_warned: bool,
    waiting: bool,
}

/// What became of a batch.
enum Written {
    All,
    /// All but these; they are in the order of the records.
    Without(Vec<(usize, TaskError)>),
}

impl PostgresSinkTask {
    pub fn new(context: SinkTaskContext, config: SinkConfig) -> PostgresSinkTask {
        let offsets = config.offsets_table.as_deref().map(|name| Offsets::new(name, context.group.clone()));
        for name in &config.endpoint.ignored {
            tracing::warn!(connector = context.connector, name, "connection.url: the name has no effect here");
        }
        PostgresSinkTask {
            tables: Tables::new(config, context.connector.clone()),
            offsets,
            session: None,
            batch: Batch::default(),
            arrays: Vec::new(),
            origin_warned: false,
            waiting: false,
            context,
        }
    }

    fn connected(&mut self) -> Result<&mut Session, SqlError> {
        if self.session.as_ref().is_some_and(Session::is_closed) {
            self.session = None;
        }
        if self.session.is_none() {
            let mut session = Session::connect(&self.tables.config, &self.context.connector)?;
            self.set_up_origin(&mut session)?;
            if let Some(offsets) = &self.offsets {
                offsets.prepare(&mut session)?;
            }
            // They may have changed while we were away.
            self.tables.forget();
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("it was just made"))
    }

    fn set_up_origin(&mut self, session: &mut Session) -> Result<(), SqlError> {
        let config = &self.tables.config;
        if config.no_origin {
            return Ok(());
        }
        let mut name = config.origin.clone().unwrap_or_else(|| format!("walspring_{}", self.context.connector));
        // One session at a time may have it.
        if self.context.task > 0 {
            name.push_str(&format!("_{}", self.context.task));
        }
        if let Some(why) = origin::set_up(session, &name)?
            && !std::mem::replace(&mut self.origin_warned, true)
        {
            tracing::warn!(
                connector = self.context.connector,
                origin = name,
                why,
                "transactions carry no replication origin (walspring.sink.origin=none asks for none)"
            );
        }
        Ok(())
    }

    /// Connects, and runs it; after an error of the connection there is none.
    fn with_session<T>(
        &mut self,
        run: impl FnOnce(&mut Self, &mut Session) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let connected = self.connected().map(drop);
        if let Err(error) = connected {
            self.wait_for(&error);
            return Err(error);
        }
        let mut session = self.session.take().expect("it is connected");
        let result = run(self, &mut session);
        match &result {
            Err(error) if error.is(SqlErrorKind::Transient) => self.wait_for(error),
            _ if std::mem::take(&mut self.waiting) => self.context.progress.waiting(None),
            _ => {}
        }
        // A server that has become a standby, or ends, is left: another address may take writes.
        let left = result.as_ref().is_err_and(SqlError::is_about_the_server);
        if !left && !session.is_closed() {
            self.session = Some(session);
        }
        result
    }

    fn wait_for(&mut self, error: &SqlError) {
        if error.is(SqlErrorKind::Transient) {
            self.waiting = true;
            let hosts: Vec<String> =
                self.tables.config.endpoint.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            let what = format!("waiting for PostgreSQL at {}: {}", hosts.join(", "), error.message);
            self.context.progress.waiting(Some(what));
        }
    }

    fn write(
        &mut self,
        session: &mut Session,
        records: &[SinkRecord],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<Written, SqlError> {
        let mut drifts = 0;
        loop {
            outcomes.clear();
            match self.try_write(session, records, outcomes) {
                Err(error) if error.is(SqlErrorKind::Drift) && drifts < DRIFTS_MAX => {
                    let _ = session.batch("rollback");
                    // An error of the database is given one more chance; a column that was found, as many as there are.
                    drifts += if error.code.is_empty() { 1 } else { DRIFTS_MAX };
                    self.tables.forget();
                    session.forget_statements();
                }
                Err(error) => {
                    if !session.is_closed() {
                        let _ = session.batch("rollback");
                    }
                    return Err(error);
                }
                written => return written,
            }
        }
    }

    fn try_write(
        &mut self,
        session: &mut Session,
        records: &[SinkRecord],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<Written, SqlError> {
        let mut poison: Vec<(usize, TaskError)> = Vec::new();
        self.batch.clear();
        for (index, record) in records.iter().enumerate() {
            match decode::record(&mut self.tables, session, index, record, &mut self.batch) {
                Ok(outcome) => outcomes.push(outcome),
                Err(DecodeError::Record(why)) => {
                    outcomes.push(Outcome::Ignore);
                    poison.push((index, record_error(record, &why)));
                }
                Err(DecodeError::Sql(error)) => return Err(error),
            }
        }
        session.batch("begin")?;
        if let Some(offsets) = &self.offsets {
            let applied = offsets.applied(session, records)?;
            if applied.contains(&true) {
                self.batch.ops.retain(|op| !applied[op.record]);
                poison.retain(|(index, _)| !applied[*index]);
                for (outcome, applied) in outcomes.iter_mut().zip(&applied) {
                    if *applied {
                        *outcome = Outcome::Ignore;
                    }
                }
            }
        }
        let mut failed = Vec::new();
        let ops = 0..self.batch.ops.len();
        match self.write_ops(session, ops.clone()) {
            Ok(()) => {}
            Err(error) if error.is(SqlErrorKind::Data) => {
                // What is wrong is found operation by operation, from the beginning.
                session.batch("rollback; begin")?;
                if let Some(offsets) = &self.offsets {
                    offsets.applied(session, records)?;
                }
                let mut writer = Writer {
                    destinations: &self.tables.destinations,
                    rows_max: self.tables.config.batch_rows,
                    arrays: &mut self.arrays,
                };
                writer.write_halving(session, &mut self.batch, ops, &mut failed)?;
            }
            Err(error) => return Err(error),
        }
        for (op, error) in failed {
            let index = self.batch.ops[op].record;
            let SqlError { message, hint, .. } = error;
            let made = record_error(&records[index], &message);
            poison.push((
                index,
                match hint {
                    Some(hint) => made.hint(hint),
                    None => made,
                },
            ));
        }
        poison.sort_by_key(|(index, _)| *index);
        if !poison.is_empty() && self.offsets.is_some() && !self.tables.config.tolerant {
            // The offsets must not pass a record that is to be written after all: nothing of the batch is kept.
            session.batch("rollback")?;
            return Ok(Written::Without(poison));
        }
        if let Some(offsets) = &self.offsets {
            offsets.store(session, records)?;
        }
        session.batch("commit")?;
        Ok(if poison.is_empty() { Written::All } else { Written::Without(poison) })
    }

    fn write_ops(&mut self, session: &mut Session, ops: Range<usize>) -> Result<(), SqlError> {
        let mut writer = Writer {
            destinations: &self.tables.destinations,
            rows_max: self.tables.config.batch_rows,
            arrays: &mut self.arrays,
        };
        writer.write(session, &mut self.batch, ops)
    }
}

const FAILED: &str = "JDBC sink connector failure";

impl SinkTask for PostgresSinkTask {
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>, TaskError> {
        if self.offsets.is_none() || partitions.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.with_session(|task, session| match &task.offsets {
            Some(offsets) => offsets.open(session, partitions),
            None => Ok(Vec::new()),
        });
        opened.map_err(|error| error.into_task_error(FAILED))
    }

    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
        if records.is_empty() {
            return Ok(());
        }
        let used = self.session.is_some();
        let mut written = self.with_session(|task, session| task.write(session, records, outcomes));
        // A session that ended while there was nothing to write is only found out now.
        if used && written.as_ref().is_err_and(SqlError::is_about_the_server) {
            written = self.with_session(|task, session| task.write(session, records, outcomes));
        }
        match written {
            Ok(Written::All) => Ok(()),
            Ok(Written::Without(mut poison)) if self.offsets.is_some() && !self.tables.config.tolerant => {
                let (_, error) = poison.remove(0);
                Err(PutError::Task(error.hint("errors.tolerance=all passes over such records")))
            }
            Ok(Written::Without(poison)) => Err(PutError::Named(poison)),
            // A constraint that is checked at the end does not say whose row it was.
            Err(error) if error.is(SqlErrorKind::Data) => Err(PutError::Records(error.into_task_error(FAILED))),
            Err(error) => Err(PutError::Task(error.into_task_error(FAILED))),
        }
    }

    fn stop(&mut self) {
        self.session = None;
    }
}
