//! `walspring.strict` before anything runs: settings that lose data, and tables whose events would.

use std::sync::Arc;

use walspring_connect::{CONNECT_EXCEPTION, TaskError};

use crate::catalog;
use crate::config::SourceConfig;
use crate::errors::from_pg;
use crate::events::Events;
use crate::relations::CatalogRelations;
use crate::startup;
use crate::wire::Connection;

/// Settings that strict mode refuses, for a start that no validation came before.
pub fn check_settings(config: &SourceConfig) -> Result<(), TaskError> {
    match config.typed.strict_conflicts().into_iter().next() {
        None => Ok(()),
        Some(conflict) => {
            Err(TaskError::definite(CONNECT_EXCEPTION, format!("{}: {}", conflict.name, conflict.message)))
        }
    }
}

/// What strict mode refuses of the captured tables, one message each.
pub fn refused_tables(config: SourceConfig, mut connection: Connection) -> Result<Vec<String>, TaskError> {
    // The start sets identities: what they are now says nothing.
    if !config.typed.publication.replica_identities.is_empty() {
        return Ok(Vec::new());
    }
    let all = catalog::tables(&mut connection).map_err(|e| from_pg("Reading the tables", e))?;
    let captured = startup::captured(&all, &config)?;
    let events = Events::new(&config, 0)?;
    let mut relations = CatalogRelations::new(Arc::new(config), connection, events, &captured)?;
    let refused = captured.iter().filter_map(|table| relations.snapshot_table(table).err());
    Ok(refused.map(|e| e.to_string()).collect())
}
