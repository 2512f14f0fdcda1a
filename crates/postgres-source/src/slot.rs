//! The replication slot: what it is like, and making it.

use walspring_connect::{DEBEZIUM_EXCEPTION, Progress, StopToken, TaskError, fault, threads};
use walspring_record::Lsn;

use crate::catalog::{number, text};
use crate::doctor::words;
use crate::errors::{PSQL_EXCEPTION, from_pg, java_message};
use crate::failover;
use crate::wire::{ConnectConfig, Connection, PgError, quote_identifier, quote_literal};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A slot as `pg_replication_slots` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    pub plugin: String,
    pub database: String,
    pub active_pid: Option<i32>,
    pub restart_lsn: Option<Lsn>,
    pub confirmed_lsn: Option<Lsn>,
    /// `lost`: the server has removed WAL that the slot needs.
    pub wal_status: String,
    /// Why the server has invalidated it, as far as its version tells: `wal_removed`, `rows_removed`,
    /// `wal_level_insufficient`, `idle_timeout`; `conflicting`, one of the two in the middle.
    pub invalidation: Option<String>,
    /// The oldest transaction that decoding needs the catalog's rows of.
    pub catalog_xmin: Option<u32>,
}

pub fn find(connection: &mut Connection, name: &str) -> Result<Option<Slot>, PgError> {
    let invalidation = match connection.server_version_num() {
        170_000.. => "invalidation_reason",
        160_000.. => "CASE WHEN conflicting THEN 'conflicting' WHEN wal_status = 'lost' THEN 'wal_removed' END",
        _ => "CASE WHEN wal_status = 'lost' THEN 'wal_removed' END",
    };
    let rows = connection.query(&format!(
        "SELECT plugin, database, active_pid, restart_lsn, confirmed_flush_lsn, wal_status, {invalidation}, catalog_xmin \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        quote_literal(name)
    ))?;
    Ok(rows.first().map(|row| Slot {
        plugin: text(row, 0),
        database: text(row, 1),
        active_pid: row.get(2).and_then(|p| p.parse().ok()),
        restart_lsn: row.get(3).and_then(|l| l.parse().ok()),
        confirmed_lsn: row.get(4).and_then(|l| l.parse().ok()),
        wal_status: text(row, 5),
        invalidation: row.get(6).map(str::to_owned),
        catalog_xmin: row.get(7).and_then(|xid| xid.parse().ok()),
    }))
}

/// A slot that has just been made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSlot {
    /// The stream begins with the first transaction that commits after it.
    pub consistent_point: Lsn,
    /// The snapshot that shows exactly what was committed before; valid while the connection stays idle.
    pub snapshot: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewSlotOptions {
    pub temporary: bool,
    pub export_snapshot: bool,
    /// Version 17 and later.
    pub failover: bool,
}

/// Makes a slot on a replication connection. Waits for the transactions that are running now to end; meanwhile `progress`
/// names them, asked for on a connection of its own. A stopped task cancels the waiting. `observer`: how to reach the
/// server, and all that are known.
pub fn create(
    replication: &mut Connection,
    (observer, all): (&ConnectConfig, ConnectConfig),
    progress: &Arc<dyn Progress>,
    stop: &StopToken,
    name: &str,
    options: NewSlotOptions,
) -> Result<NewSlot, TaskError> {
    let temporary = if options.temporary { " TEMPORARY" } else { "" };
    let major = replication.server_version_num() / 10_000;
    let sql = if major >= 15 {
        let snapshot = if options.export_snapshot { "export" } else { "nothing" };
        let failover = if options.failover && major >= 17 { ", FAILOVER" } else { "" };
        format!(
            "CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput (SNAPSHOT '{snapshot}'{failover})",
            quote_identifier(name)
        )
    } else {
        let snapshot = if options.export_snapshot { "EXPORT_SNAPSHOT" } else { "NOEXPORT_SNAPSHOT" };
        format!("CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput {snapshot}", quote_identifier(name))
    };
    let watch = WaitWatch::start((observer.clone(), all), progress.clone(), stop.clone(), replication, name);
    let rows = replication.query(&sql);
    watch.end();
    let rows = rows.map_err(creation_failed)?;
    fault::point("source.slot_made");
    let row = rows.first().ok_or_else(|| {
        TaskError::transient(DEBEZIUM_EXCEPTION, "Creation of replication slot failed: the server answered nothing")
    })?;
    let consistent_point = text(row, 1)
        .parse()
        .map_err(|e| TaskError::definite(DEBEZIUM_EXCEPTION, format!("Creation of replication slot failed: {e}")))?;
    Ok(NewSlot { consistent_point, snapshot: row.get(2).filter(|_| options.export_snapshot).map(str::to_owned) })
}

/// The error of the original when its replication connection or slot cannot be had.
pub fn creation_failed(e: PgError) -> TaskError {
    let error = if e.is_transient() {
        TaskError::transient(DEBEZIUM_EXCEPTION, "Creation of replication slot failed")
    } else {
        TaskError::definite(DEBEZIUM_EXCEPTION, "Creation of replication slot failed")
    }
    .caused_by(PSQL_EXCEPTION, java_message(&e));
    match words::replication_refused(&e) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

pub fn drop(connection: &mut Connection, name: &str) -> Result<(), TaskError> {
    connection
        .query(&format!(
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            quote_literal(name)
        ))
        .map(|_| ())
        .map_err(|e| from_pg("Dropping the replication slot", e))
}

/// Says which transactions a slot's creation waits for, once it takes longer than a moment.
struct WaitWatch {
    done: Arc<AtomicBool>,
    progress: Arc<dyn Progress>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WaitWatch {
    fn start(
        (config, all): (ConnectConfig, ConnectConfig),
        progress: Arc<dyn Progress>,
        stop: StopToken,
        replication: &Connection,
        slot: &str,
    ) -> WaitWatch {
        let (pid, cancel) = (replication.backend_pid(), replication.cancel_token());
        let done = Arc::new(AtomicBool::new(false));
        let (flag, to, slot) = (done.clone(), progress.clone(), slot.to_owned());
        let thread = threads::spawn_aside("slot-wait", move || {
            let begun = Instant::now();
            let mut due = Duration::from_secs(1);
            while !flag.load(Ordering::Acquire) {
                std::thread::park_timeout(Duration::from_millis(200));
                if stop.is_stopped() {
                    let _ = cancel.cancel();
                }
                if begun.elapsed() < due || flag.load(Ordering::Acquire) {
                    continue;
                }
                due = begun.elapsed() + Duration::from_secs(5);
                if let Ok(Some(what)) = waited_for(&config, &all, pid, &slot)
                    && !flag.load(Ordering::Acquire)
                {
                    to.waiting(Some(what));
                }
            }
        })
        .map_err(|e| {
            tracing::warn!("what the slot's creation waits for will not be told, no thread can be started: {e}")
        })
        .ok();
        WaitWatch { done, progress, thread }
    }

    fn end(mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.progress.waiting(None);
    }
}

fn waited_for(config: &ConnectConfig, all: &ConnectConfig, pid: i32, slot: &str) -> Result<Option<String>, PgError> {
    let mut connection = Connection::connect(config)?;
    if let Some(what) = failover::standby_waits(&mut connection, all, slot)? {
        return Ok(Some(what));
    }
    let pids = older_transactions(&mut connection, pid)?;
    Ok((!pids.is_empty()).then(|| {
        format!("making slot {slot}: PostgreSQL waits for transactions that began earlier to end: {}", pids.join(", "))
    }))
}

fn older_transactions(connection: &mut Connection, pid: i32) -> Result<Vec<String>, PgError> {
    let rows = connection.query(&format!(
        "SELECT a.pid, a.usename, EXTRACT(epoch FROM pg_catalog.now() - a.xact_start)::int8 FROM pg_catalog.pg_stat_activity a \
         WHERE a.backend_xid IS NOT NULL AND a.pid <> {pid} ORDER BY a.xact_start LIMIT 20"
    ))?;
    let mut pids: Vec<String> = rows
        .iter()
        .map(|row| format!("pid {} ({}, {} s)", text(row, 0), text(row, 1), number::<i64>(row, 2)))
        .collect();
    let prepared = connection.query("SELECT gid FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 20")?;
    pids.extend(prepared.iter().map(|row| format!("prepared transaction {}", text(row, 0))));
    Ok(pids)
}
