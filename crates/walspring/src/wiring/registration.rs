//! Registers connectors of files once the worker's store has answered, and again until it succeeds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use walspring_connect::threads;
use walspring_runtime::{Health, Supervisor};

use super::connector_files::ConnectorFile;

const WAIT_MAX: Duration = Duration::from_secs(10);

/// Returns at once. The error: there can be no thread for it.
pub fn register(supervisor: Arc<Supervisor>, files: Vec<ConnectorFile>) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let work = move || {
        while !supervisor.wait_ready(Duration::from_secs(5)) {
            if matches!(supervisor.health(), Health::Unhealthy(_)) {
                return;
            }
        }
        let mut left = files;
        let mut wait = Duration::from_millis(500);
        loop {
            left.retain(|file| !register_one(&supervisor, file));
            if left.is_empty() {
                return;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(WAIT_MAX);
            if supervisor.health() != Health::Healthy {
                return;
            }
        }
    };
    threads::spawn_aside("connector-files", work).map(drop)
}

/// A connector that is as the file says is left alone: it goes on without a break.
fn register_one(supervisor: &Supervisor, file: &ConnectorFile) -> bool {
    let name = &file.name;
    if supervisor.config(name).is_ok_and(|stored| stored == file.config) {
        tracing::info!(connector = name, "the connector is registered already");
        return true;
    }
    match supervisor.put_config(name, file.config.clone()) {
        Ok((created, _)) => {
            let done = if created { "registered" } else { "changed" };
            tracing::info!(connector = name, file = %file.path.display(), "the connector is {done}");
            true
        }
        Err(refusal) => {
            tracing::warn!(connector = name, "the connector cannot be registered yet, trying again: {refusal}");
            false
        }
    }
}
