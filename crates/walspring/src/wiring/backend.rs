//! What the worker stands on: Kafka where `bootstrap.servers` is set, else the embedded log.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use walspring_config::worker::{ProducerKind, default_data_dir};
use walspring_connect::{Backend, StoreError};
use walspring_kafka::backend::KafkaBackend;
use walspring_log::{Log, LogBackend, LogBackendConfig, LogConfig, OpenError};
use walspring_runtime::Connect;

use super::worker_file::WorkerFile;
use crate::failure::Failure;

/// Where records are, for what reads them beside the runtime.
#[derive(Clone)]
pub enum Storage {
    Kafka,
    /// Empty until the log is open.
    Embedded(Arc<OnceLock<Log>>),
}

/// How the store is reached; called until it is.
pub fn connect(file: &WorkerFile) -> Result<(Connect, Storage), Failure> {
    if file.typed.has_kafka() {
        let mut properties = file.resolved.clone().into_map();
        if file.typed.producer_kind == ProducerKind::Native {
            // What the Kafka edge does when nothing is said.
            properties.remove("walspring.producer");
        }
        let connect = move || Ok(Arc::new(KafkaBackend::connect(&properties)?) as Arc<dyn Backend>);
        return Ok((Box::new(connect), Storage::Kafka));
    }
    let dir = data_dir(file.typed.data_dir.clone())?;
    let topics = LogBackendConfig {
        config_topic: file.typed.config_topic.name.clone(),
        offset_topic: file.typed.offset_topic.name.clone(),
        status_topic: file.typed.status_topic.name.clone(),
        state_topic: file.typed.state_topic.clone(),
    };
    let open: Arc<OnceLock<Log>> = Arc::default();
    let storage = Storage::Embedded(open.clone());
    let connect = move || {
        let log = match open.get() {
            Some(log) => log.clone(),
            None => {
                let log = open_log(&dir)?;
                open.get_or_init(|| log).clone()
            }
        };
        Ok(Arc::new(LogBackend::new(log, topics.clone())?) as Arc<dyn Backend>)
    };
    Ok((Box::new(connect), storage))
}

fn open_log(dir: &PathBuf) -> Result<Log, StoreError> {
    let failed = |e: std::io::Error| StoreError::Transient(format!("{}: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    tracing::info!(dir = %dir.display(), "records go to the embedded log");
    Log::open(LogConfig::new(dir)).map_err(|e| match e {
        OpenError::Corrupt { .. } => StoreError::Definite(e.to_string()),
        // Another process may be about to end.
        OpenError::Io { .. } | OpenError::Locked(_) => StoreError::Transient(e.to_string()),
    })
}

/// `walspring.data.dir`, or where the log is by default.
pub fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    given.or_else(|| default_data_dir(|name| std::env::var(name).ok())).ok_or_else(|| {
        Failure::invalid("there is no place for the embedded log: neither XDG_STATE_HOME nor HOME is set")
            .hint("Set walspring.data.dir (or WALSPRING_DATA_DIR), or bootstrap.servers for Kafka.")
    })
}
