//! One server of several, and slots that survive a failover: what is found out before and while a server is read.
//!
//! Invariant: a task reads one server. Which of `database.hostname` that is, is decided once, when the task starts; what
//! becomes of a former primary or a new one is decided at the next start.

use crate::catalog::text;
use crate::config::SourceConfig;
use crate::errors::from_pg;
use crate::identity::Source;
use crate::wire::{ConnectConfig, Connection, PgError, TargetSession, quote_identifier, quote_literal};

use walspring_config::postgres::SlotConfig;
use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, TaskError};
use walspring_record::Lsn;

/// Copies of slots, and the setting that orders the primary behind its standbys, are of this version and later.
const SINCE: u32 = 170_000;

/// Connects to the first host that suits. `kept`: whom we have read; a primary on an older timeline of the same cluster is
/// a former one, and is passed over. The configuration that is given back knows no other host.
pub fn find(
    config: &SourceConfig,
    kept: Option<&Source>,
    doing: &str,
) -> Result<(SourceConfig, Connection), TaskError> {
    let mut config = config.clone();
    let mut passed: Option<String> = None;
    loop {
        let (mut connection, at) = match (config.open_any(doing), passed) {
            (Ok(found), _) => found,
            (Err(e), None) => return Err(e),
            (Err(mut e), Some(passed)) => {
                let why = e.causes.pop().map_or(e.message, |(_, message)| message);
                return Err(TaskError::transient(CONNECT_EXCEPTION, format!("{passed}; of the others: {why}")));
            }
        };
        let host = config.connect.hosts.remove(at);
        match kept.and_then(|kept| former(&mut connection, kept)) {
            None => {
                tracing::info!(host = host.0, port = host.1, "reading from");
                config.connect.hosts = vec![host];
                return Ok((config, connection));
            }
            Some(why) => {
                let what = format!("{}:{} is passed over: {why}", host.0, host.1);
                tracing::warn!("{what}");
                // Those before it could not be read a moment ago.
                config.connect.hosts = config.connect.hosts.split_off(at);
                if config.connect.hosts.is_empty() {
                    let error = TaskError::transient(CONNECT_EXCEPTION, what);
                    return Err(error.hint("is the new primary missing from database.hostname?"));
                }
                passed = Some(what);
            }
        }
    }
}

/// Why this primary is a former one; `None`: it is not, or cannot be asked.
fn former(connection: &mut Connection, kept: &Source) -> Option<String> {
    let place = place(connection).ok()?;
    let timeline = place.timeline.filter(|_| place.system == kept.system)?;
    (timeline < kept.timeline)
        .then(|| format!("it is on timeline {timeline}, older than timeline {} that was read", kept.timeline))
}

/// Whom a connection leads to.
pub struct Place {
    pub system: String,
    /// `None`: it is a standby.
    pub timeline: Option<u32>,
}

pub fn place(connection: &mut Connection) -> Result<Place, PgError> {
    let row = connection.query_one("SELECT system_identifier FROM pg_catalog.pg_control_system()")?;
    Ok(Place { system: text(&row, 0), timeline: timeline(connection)? })
}

/// A primary's timeline; `None`: the server is a standby.
pub fn timeline(connection: &mut Connection) -> Result<Option<u32>, PgError> {
    let row = connection.query_one(
        "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END",
    )?;
    // The first eight digits of a file's name.
    Ok(row.get(0).and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok()))
}

/// A slot that a standby keeps in step with its primary's cannot be read before the standby is promoted.
pub fn check_slot(connection: &mut Connection, name: &str) -> Result<(), TaskError> {
    if connection.server_version_num() < SINCE {
        return Ok(());
    }
    let sql = format!(
        "SELECT temporary FROM pg_catalog.pg_replication_slots WHERE slot_name = {} AND synced AND pg_catalog.pg_is_in_recovery()",
        quote_literal(name)
    );
    let rows = connection.query(&sql).map_err(|e| from_pg("Reading the slot", e))?;
    let Some(row) = rows.first() else { return Ok(()) };
    let ready = match row.get(0) {
        Some("t") => "; it is not ready yet, and would be lost at a promotion",
        _ => "",
    };
    let what = format!(
        "The server is a standby that keeps slot {name} in step with its primary's: it is read once the standby is promoted{ready}"
    );
    Err(TaskError::transient(DEBEZIUM_EXCEPTION, what).hint(
        "name the primary, too: database.hostname=primary:5432,standby:5432; or give the connector a slot of its own here: slot.name",
    ))
}

/// A slot that was made without `slot.failover`, and that nobody reads now, is made one that standbys keep in step. Where
/// that cannot be, the connector goes on as it was, and says so.
pub fn prepare_slot(replication: &mut Connection, slot: &SlotConfig) {
    if !slot.failover || replication.server_version_num() < SINCE {
        return;
    }
    let name = &slot.name;
    let without = format!(
        "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = {} AND NOT failover AND NOT temporary \
         AND NOT pg_catalog.pg_is_in_recovery()",
        quote_literal(name)
    );
    let alter = format!("ALTER_REPLICATION_SLOT {} (FAILOVER true)", quote_identifier(name));
    match replication.query(&without).map(|rows| rows.is_empty()) {
        Ok(true) => {}
        Ok(false) => match replication.query(&alter) {
            Ok(_) => tracing::info!(slot = name, "the slot is kept in step by standbys from now on"),
            Err(e) => tracing::warn!("slot {name} would not survive a failover, and cannot be changed ({alter}): {e}"),
        },
        Err(e) => tracing::warn!("whether slot {name} survives a failover cannot be seen: {e}"),
    }
}

/// Why nothing of the slot is decoded here, as a primary waits for a standby that is not there; `None`: it is not so.
pub fn held_up(connection: &mut Connection, name: &str) -> Result<Option<String>, PgError> {
    let names = waited_for(connection, name)?;
    let gone = not_connected(connection, &names)?;
    Ok((!gone.is_empty()).then(|| {
        format!(
            "slot {name}: nothing is decoded, because no standby is connected by {} (synchronized_standby_slots, which a \
             promoted standby has from its primary); start it, or: ALTER SYSTEM RESET synchronized_standby_slots; SELECT \
             pg_reload_conf()",
            gone.join(", ")
        )
    }))
}

/// The names of the standbys without which nothing of the slot is decoded.
fn waited_for(connection: &mut Connection, slot: &str) -> Result<Vec<String>, PgError> {
    if connection.server_version_num() < SINCE {
        return Ok(Vec::new());
    }
    let rows = connection.query(&format!(
        "SELECT pg_catalog.current_setting('synchronized_standby_slots', true) FROM pg_catalog.pg_replication_slots \
         WHERE slot_name = {} AND failover AND NOT pg_catalog.pg_is_in_recovery()",
        quote_literal(slot)
    ))?;
    Ok(names(rows.first().and_then(|row| row.get(0)).unwrap_or_default()))
}

/// Of those standbys the ones that do not have the log up to `lsn`. The server holds the stream back for them; rows that are
/// read beside it are for us to hold back, or a standby is promoted that lacks what was sent.
pub fn behind(connection: &mut Connection, slot: &str, lsn: Lsn) -> Result<Vec<String>, PgError> {
    let names = waited_for(connection, slot)?;
    if names.is_empty() {
        return Ok(names);
    }
    let rows = connection.query(&format!(
        "SELECT s.slot_name FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'physical' \
         AND s.restart_lsn OPERATOR(pg_catalog.>=) '{lsn}'::pg_catalog.pg_lsn"
    ))?;
    let there: Vec<String> = rows.iter().map(|row| text(row, 0)).collect();
    Ok(names.into_iter().filter(|name| !there.contains(name)).collect())
}

/// Of the names of `synchronized_standby_slots` those by which no standby is connected.
pub fn not_connected(connection: &mut Connection, names: &[String]) -> Result<Vec<String>, PgError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let list = names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ");
    let rows = connection.query(&format!(
        "SELECT s.slot_name FROM pg_catalog.pg_replication_slots s WHERE s.slot_name IN ({list}) AND s.slot_type = 'physical' AND s.active"
    ))?;
    let there: Vec<String> = rows.iter().map(|row| text(row, 0)).collect();
    Ok(names.iter().filter(|name| !there.contains(name)).cloned().collect())
}

/// The names in `synchronized_standby_slots`.
pub fn names(setting: &str) -> Vec<String> {
    setting.split(',').map(|name| name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty()).collect()
}

/// What a slot's creation waits for on a standby, which helps itself if it may; `None`: the server is no standby.
/// `all`: with every host that is known.
pub fn standby_waits(connection: &mut Connection, all: &ConnectConfig, slot: &str) -> Result<Option<String>, PgError> {
    const ASK: &str = "SELECT pg_catalog.pg_log_standby_snapshot()";
    if connection.query_one("SELECT pg_catalog.pg_is_in_recovery()")?.get(0) != Some("t") {
        return Ok(None);
    }
    let mut primary = ConnectConfig { target_session: TargetSession::Primary, replication: false, ..all.clone() };
    primary.read_timeout = Some(std::time::Duration::from_secs(5));
    let asked = match all.hosts.len() {
        0 | 1 => Err("its place is not in database.hostname".to_owned()),
        _ => Connection::connect(&primary).and_then(|mut primary| primary.query(ASK)).map_err(|e| e.to_string()),
    };
    Ok(Some(match asked {
        Ok(_) => format!("making slot {slot} on a standby: its primary was asked to log its running transactions"),
        Err(why) => format!(
            "making slot {slot} on a standby: PostgreSQL waits for the primary to log its running transactions. Run there: \
             {ASK}; (it was not asked by us: {why})"
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_list() {
        assert_eq!(names(" a, \"b\" ,,c"), ["a", "b", "c"]);
        assert!(names("").is_empty());
    }
}
