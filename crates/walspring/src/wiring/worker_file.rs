//! The worker's own configuration, from its file or from the environment.

use std::path::Path;

use walspring_config::config::Config;
use walspring_config::worker::{WorkerConfig, WorkerConfigError};
use walspring_config::{environment, properties};

use super::sinks::ALLOWED_ADDRESSES;
use crate::failure::Failure;

/// What the worker was given, in the two shapes that are needed of it.
pub struct WorkerFile {
    pub typed: WorkerConfig,
    /// As written, its references resolved.
    pub resolved: Config,
}

/// Reads the file, or the environment as the images of Connect do.
pub fn read(path: Option<&Path>) -> Result<WorkerFile, Failure> {
    let (raw, origin) = match path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::invalid(format!("the worker's file {} cannot be read: {e}", path.display())))?;
            let parsed = properties::parse(&text).map_err(|e| Failure::invalid(format!("{}: {e}", path.display())))?;
            (parsed, path.display().to_string())
        }
        None => {
            let pairs = std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
            let mut raw = environment::worker_config(pairs);
            // What is logged is not an option of the worker.
            raw.remove("walspring.log");
            raw.remove("walspring.log.records");
            (raw, "the environment".to_owned())
        }
    };
    load(raw, &origin)
}

/// Checks what was read, and warns of what is odd in it.
pub fn load(raw: Config, origin: &str) -> Result<WorkerFile, Failure> {
    let invalid = |e: WorkerConfigError| Failure::invalid(format!("{origin} is not right for a worker:\n{e}"));
    let loaded = WorkerConfig::load(&raw).map_err(invalid)?;
    for warning in &loaded.warnings {
        tracing::warn!("{origin}: {warning}");
    }
    for left in &loaded.unresolved {
        tracing::warn!("{origin}: {} is left as it is in {}: {}", left.reference, left.name, left.reason);
    }
    let resolved = loaded.config.providers.resolve(&raw).map_err(|e| invalid(e.into()))?.to_config();
    if let Some(list) = resolved.get(ALLOWED_ADDRESSES)
        && let Err(why) = walspring_http_sink::plugins_within(list)
    {
        return Err(Failure::invalid(format!("{origin} is not right for a worker:\n{ALLOWED_ADDRESSES}: {why}")));
    }
    Ok(WorkerFile { typed: loaded.config, resolved })
}
