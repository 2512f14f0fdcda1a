//! What the worker keeps for the connector over restarts, as it was when the task started, and the way to keep more.

use std::sync::Arc;
use std::thread::JoinHandle;

use walspring_connect::{CONNECT_EXCEPTION, SourceState, StateKey, StoreError, TaskError, threads};
use walspring_record::Lsn;

use crate::catalog::Table;
use crate::config::SourceConfig;
use crate::errors::from_pg;
use crate::identity::Source;
use crate::keeper::{Keeper, Kept};
use crate::relations::CatalogRelations;

type Read = Result<Vec<(StateKey, serde_json::Value)>, StoreError>;

/// The store is being read, while the database is looked at.
pub struct Reading {
    store: Option<Arc<dyn SourceState>>,
    thread: Option<JoinHandle<Read>>,
    done: Option<Memory>,
}

pub struct Memory {
    kept: Kept,
    /// The server and slot that were read.
    pub source: Option<Source>,
    pub keeper: Arc<Keeper>,
}

impl Memory {
    pub fn begin(store: Option<Arc<dyn SourceState>>) -> Reading {
        let reader = store.clone();
        let spawn = |store: Arc<dyn SourceState>| threads::spawn("memory", move || store.read()).ok();
        Reading { store, thread: reader.and_then(spawn), done: None }
    }

    /// Has the catalog's word on tables kept, and what is kept of it used.
    pub fn remember_tables(
        &self,
        relations: &mut CatalogRelations,
        config: &SourceConfig,
        tables: &[Table],
        position: Lsn,
    ) -> Result<(), TaskError> {
        if !self.keeper.is_there() {
            return Ok(());
        }
        // Not everybody may ask; then the database's name has to do.
        let system = match relations.connection.query("SELECT system_identifier FROM pg_catalog.pg_control_system()") {
            Ok(rows) => rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned(),
            Err(e) if e.code() == Some("42501") => String::new(),
            Err(e) => return Err(from_pg("Reading the system identifier", e)),
        };
        let source = format!("{system}/{}", config.typed.connection.database);
        relations.keep(self.keeper.clone(), &self.kept, source, tables, position);
        Ok(())
    }
}

impl Reading {
    /// The server and slot that were read, waited for.
    pub fn source(&mut self) -> Result<Option<&Source>, TaskError> {
        let done = match self.done.take() {
            Some(done) => done,
            None => self.read()?,
        };
        Ok(self.done.insert(done).source.as_ref())
    }

    pub fn end(mut self) -> Result<Memory, TaskError> {
        match self.done.take() {
            Some(done) => Ok(done),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Memory, TaskError> {
        let nothing = || Memory { kept: Kept::new(), source: None, keeper: Arc::new(Keeper::start(None)) };
        let read = match (self.thread.take(), &self.store) {
            (Some(thread), _) => {
                thread.join().unwrap_or_else(|_| Err(StoreError::Transient("the reading thread broke off".into())))
            }
            // There can be no thread for it: it is waited for here. Nobody goes on without knowing what was kept.
            (None, Some(store)) => store.read(),
            (None, None) => return Ok(nothing()),
        };
        match read {
            Ok(records) => {
                let keeper = Arc::new(Keeper::start(self.store.take()));
                if !keeper.is_there() {
                    return Err(TaskError::transient(
                        CONNECT_EXCEPTION,
                        "No thread can be started to write what is kept over restarts",
                    ));
                }
                let kept: Kept = records.into_iter().collect();
                let source = kept.get(&Source::key()).and_then(Source::read);
                Ok(Memory { kept, source, keeper })
            }
            Err(StoreError::Definite(why)) => {
                tracing::warn!("what was kept over restarts cannot be read, the connector goes on without: {why}");
                Ok(nothing())
            }
            Err(why) => Err(TaskError::transient(
                CONNECT_EXCEPTION,
                format!("What was kept over restarts cannot be read: {why}"),
            )),
        }
    }
}
