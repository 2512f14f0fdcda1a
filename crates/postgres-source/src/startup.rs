//! Before anything is read: is the server fit, what is captured, where does the stored offset stand to the slot?

use walspring_config::postgres::ReplicaIdentity as Identity;
use walspring_connect::{DEBEZIUM_EXCEPTION, TaskError};
use walspring_doctor::Outcome;
use walspring_record::{Lsn, ReplicaIdentity};

use crate::catalog::Table;
use crate::config::{SourceConfig, too_complex};
use crate::doctor::words;
use crate::errors::from_pg;
use crate::identity::{Server, Source};
use crate::slot::Slot;
use crate::wire::{Connection, quote_identifier, quote_literal};

/// Checks that do not depend on a slot.
pub fn check_server(connection: &mut Connection) -> Result<(), TaskError> {
    words::into_result(words::version(connection.server_version_num()))?;
    let rows = connection.query("SHOW wal_level").map_err(|e| from_pg("Reading wal_level", e))?;
    words::into_result(words::wal_level(rows.first().and_then(|r| r.get(0)).unwrap_or_default()))
}

/// The tables that pass the filters, in the order in which a snapshot reads them.
pub fn captured(tables: &[Table], config: &SourceConfig) -> Result<Vec<Table>, TaskError> {
    let mut captured = Vec::new();
    for table in tables {
        if config.captures(&table.namespace, &table.name)? {
            let place = config.typed.filters.snapshot_place(&table.namespace, &table.name).map_err(too_complex)?;
            captured.push((place, table.clone()));
        }
    }
    captured.sort_by_key(|(place, _)| *place);
    let captured: Vec<Table> = captured.into_iter().map(|(_, table)| table).collect();
    check_guardrail(captured.len(), config)?;
    Ok(captured)
}

fn check_guardrail(count: usize, config: &SourceConfig) -> Result<(), TaskError> {
    let finding = words::guardrail(count, config.typed.guardrail);
    if finding.outcome == Outcome::Warn {
        tracing::warn!("{}", finding.message);
    }
    words::into_result(finding)
}

/// `replica.identity.autoset.values`
pub fn set_identities(connection: &mut Connection, config: &SourceConfig, captured: &[Table]) -> Result<(), TaskError> {
    for table in captured {
        let mut rule = None;
        for candidate in &config.typed.publication.replica_identities {
            if candidate.tables.matches(&table.qualified_name()).map_err(too_complex)? {
                rule = Some(&candidate.identity);
                break;
            }
        }
        let clause = match rule {
            None => continue,
            Some(Identity::Default) if table.identity == ReplicaIdentity::Default => continue,
            Some(Identity::Full) if table.identity == ReplicaIdentity::Full => continue,
            Some(Identity::Nothing) if table.identity == ReplicaIdentity::Nothing => continue,
            Some(Identity::Default) => "DEFAULT".to_owned(),
            Some(Identity::Full) => "FULL".to_owned(),
            Some(Identity::Nothing) => "NOTHING".to_owned(),
            Some(Identity::Index(name)) if uses_index(connection, table, name)? => continue,
            Some(Identity::Index(name)) => format!("USING INDEX {}", quote_identifier(name)),
        };
        let sql = format!("ALTER TABLE {} REPLICA IDENTITY {clause}", crate::publication::qualified(table));
        tracing::info!("setting the replica identity: {sql}");
        // Everyone who wants the table would wait behind us.
        let limit = config.typed.snapshot.lock_timeout.as_millis();
        let limited = format!("SET lock_timeout = {limit}; {sql}; RESET lock_timeout");
        connection.batch_execute(&limited).map_err(|e| {
            from_pg("Setting the replica identity", e).hint(format!("let the table's owner run: {sql}"))
        })?;
    }
    Ok(())
}

fn uses_index(connection: &mut Connection, table: &Table, index: &str) -> Result<bool, TaskError> {
    let rows = connection
        .query(&format!(
            "SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = {} AND i.indisreplident AND c.relname = {}",
            table.oid,
            quote_literal(index)
        ))
        .map_err(|e| from_pg("Reading the replica identity", e))?;
    Ok(table.identity == ReplicaIdentity::Index && !rows.is_empty())
}

/// Whether the slot that is there can be read by us.
pub fn check_slot(slot: &Slot, config: &SourceConfig) -> Result<(), TaskError> {
    let name = &config.typed.slot.name;
    words::into_result(words::slot_plugin(name, &slot.plugin))?;
    words::into_result(words::slot_database(name, &slot.database, &config.typed.connection.database))
}

/// Whether the slot still has what the stored offset needs. `server`: the one that is read, and the one that was.
pub fn check_position(
    (name, connector): (&str, &str),
    slot: Option<&Slot>,
    stored: Lsn,
    offset: &str,
    server: (Option<&Server>, Option<&Source>),
) -> Result<(), TaskError> {
    let gone = |hint: String| {
        TaskError::definite(
            DEBEZIUM_EXCEPTION,
            format!(
                "The connector is trying to read change stream starting at PostgresOffsetContext [{offset}], but this is no \
                 longer available on the server. Reconfigure the connector to use a snapshot mode when needed."
            ),
        )
        .hint(hint)
    };
    let Some(slot) = slot else {
        return Err(gone(format!(
            "{}. Read the tables again: PUT /connectors/{connector}/stop, DELETE /connectors/{connector}/offsets, PUT \
             /connectors/{connector}/resume (or set snapshot.mode=when_needed); or set offset.mismatch.strategy=trust_slot, and a \
             new slot is made and the connector goes on from there, without what is missing",
            missing_slot(name, stored, server)
        )));
    };
    if let Some(reason) = invalidated(slot) {
        let finding = words::slot_invalidated(name, reason);
        return Err(gone(format!(
            "{}; what was committed after {stored} cannot be read. {} (or delete the stored offset: DELETE \
             /connectors/…/offsets)",
            finding.message,
            finding.hint()
        )));
    }
    if slot.restart_lsn.is_some_and(|restart| restart > stored) {
        return Err(gone(format!(
            "the slot begins at {}, after the stored offset {stored}: it was dropped and made again, or advanced",
            slot.restart_lsn.unwrap_or_default()
        )));
    }
    Ok(())
}

fn invalidated(slot: &Slot) -> Option<&str> {
    words::invalidation(slot.invalidation.as_deref(), slot.wal_status == "lost" || slot.restart_lsn.is_none())
}

/// What is lost with a slot, as far as that can be known.
fn missing_slot(name: &str, stored: Lsn, (server, kept): (Option<&Server>, Option<&Source>)) -> String {
    let gone = format!("the replication slot {name} does not exist any more");
    let Some(server) = server else { return format!("{gone}; what was committed after {stored} cannot be read") };
    let how = match kept.filter(|kept| kept.timeline < server.timeline) {
        Some(kept) => format!(
            "the server has been promoted (timeline {}, {} was read) and does not have the replication slot {name}: the standby \
             did not keep it in step (slot.failover, sync_replication_slots), or its copy was not ready yet",
            server.timeline, kept.timeline
        ),
        None => gone,
    };
    let bytes = server.end.0.saturating_sub(stored.0);
    format!(
        "{how}; what was committed after {stored}, up to now {} ({bytes} bytes of the log), cannot be read",
        server.end
    )
}

/// Refuses a slot that has been invalidated: starting the stream would be tried in vain for ever.
pub fn check_valid(name: &str, slot: &Slot) -> Result<(), TaskError> {
    match invalidated(slot) {
        None => Ok(()),
        Some(reason) => words::into_result(words::slot_invalidated(name, reason)),
    }
}
