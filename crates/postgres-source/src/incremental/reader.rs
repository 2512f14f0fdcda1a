//! Reads chunks, beside the stream: a thread with a connection of its own. One job is under way at a time, and what it brings
//! is bounded in bytes.
//!
//! A job: wait until everything is visible that the stream has had; write the row that opens the window; read the next
//! chunk, going on to the next table where one has no more rows; hand it over; write the row that closes the window. The
//! chunk is handed over before the window is closed, so whoever sees the closing row in the stream has the chunk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, TaskError, fault, threads};
use walspring_debezium::{JavaValue, SnapshotCollection, WINDOW_CLOSE, WINDOW_OPEN, watermark_data};
use walspring_record::{ChangeBatch, Lsn, RecordPlan, java};

use super::notices::{Counts, Notice, ScanStatus};
use super::query::{self, KeyColumn};
use super::visibility::Visible;
use super::window::{identity, key_of};
use crate::catalog::{self, Table};
use crate::config::SourceConfig;
use crate::copy_text;
use crate::errors::{PSQL_EXCEPTION, from_pg, java_message};
use crate::events::Events;
use crate::publication::qualified;
use crate::relations::CatalogRelations;
use crate::snapshot::now_us;
use crate::value_limit::Cells;
use crate::wire::{CancelToken, PgError, quote_literal};

/// A chunk ends early when its rows take this much memory, and the next ones are made shorter.
const CHUNK_BYTES_MAX: usize = 16 << 20;
/// One that cannot end, because all its rows have the same surrogate key, may take this much.
const EQUAL_KEYS_BYTES_MAX: usize = 256 << 20;
/// Where the catalog estimates more rows they are not counted.
const COUNTED_ROWS_MAX: f64 = 1_000_000.0;

/// What to read next.
#[derive(Debug, Clone)]
pub struct Job {
    /// A UUID: watermarks have it in their ids.
    pub id: String,
    /// Never empty; the first is the one that is being read.
    pub collections: Vec<SnapshotCollection>,
    pub last_key: Option<Vec<JavaValue>>,
    pub maximum_key: Option<Vec<JavaValue>>,
    pub total_rows: Option<u64>,
    /// Of the current table, for notifications.
    pub rows_before: u64,
    pub chunks_before: u64,
    /// Transactions that the stream has had.
    pub streamed: Vec<u32>,
}

/// What a job brought.
pub struct Chunk {
    /// What is left, from the table that was read.
    pub collections: Vec<SnapshotCollection>,
    pub maximum_key: Option<Vec<JavaValue>>,
    pub total_rows: Option<u64>,
    pub rows_read: u64,
    pub chunks_read: u64,
    /// `None`: no table has rows left.
    pub rows: Option<Rows>,
    pub visible: Visible,
    /// Everything that the chunk may have seen stands before it.
    pub read_at: Lsn,
    pub notices: Vec<Notice>,
}

/// The rows of a chunk.
pub struct Rows {
    pub plan: Arc<RecordPlan>,
    /// Of each row the cells of the relation, then those of the columns that order it.
    pub batch: ChangeBatch,
    pub firsts: Vec<u32>,
    /// Rows of which no event is made, as `walspring.value.too.large` says.
    pub left_out: Vec<usize>,
    /// The columns that tell rows apart, and their values; `None`: not known.
    pub identity: Vec<usize>,
    pub keys: Vec<Option<Box<[u8]>>>,
    pub order: Vec<KeyColumn>,
}

impl Rows {
    /// The key that orders the row.
    pub fn position(&self, row: usize) -> Vec<JavaValue> {
        let first = self.firsts[row] as usize + self.plan.relation.columns.len();
        let text = |n: usize| {
            let value = self.batch.cells[first + n].get(&self.batch.bytes)?;
            Some(String::from_utf8_lossy(value))
        };
        self.order.iter().enumerate().map(|(n, column)| column.value(text(n).as_deref())).collect()
    }
}

pub enum Message {
    Chunk(Box<Chunk>),
    /// The row that closes the window has been written; its transaction stands before this.
    Closed(Lsn),
    Failed(TaskError),
}

/// The thread, from the stream's side.
pub struct ChunkReader {
    jobs: Option<SyncSender<Job>>,
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
    cancel: Arc<Mutex<Option<CancelToken>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ChunkReader {
    pub fn start(
        config: Arc<SourceConfig>,
        events: Events,
        watermarks: Option<String>,
    ) -> Result<ChunkReader, TaskError> {
        let (jobs, queue) = sync_channel::<Job>(1);
        let (sender, messages) = sync_channel(4);
        let stop = Arc::new(AtomicBool::new(false));
        let cancel = Arc::new(Mutex::new(None));
        let worker = Worker {
            chunk_rows: config.typed.signals.chunk_rows,
            config,
            events,
            watermarks,
            stop: stop.clone(),
            cancel: cancel.clone(),
            sender,
            session: None,
            current: None,
        };
        let thread = threads::spawn("incremental-snapshot", move || worker.run(&queue))
            .map_err(|e| TaskError::transient(CONNECT_EXCEPTION, format!("Starting a snapshot thread failed: {e}")))?;
        Ok(ChunkReader { jobs: Some(jobs), messages, stop, cancel, thread: Some(thread) })
    }

    /// Only one may be under way.
    pub fn read(&self, job: Job) -> Result<(), TaskError> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if sent { Ok(()) } else { Err(ended()) }
    }

    pub fn try_next(&self) -> Result<Option<Message>, TaskError> {
        match self.messages.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }
}

fn ended() -> TaskError {
    TaskError::transient(CONNECT_EXCEPTION, "The thread of the incremental snapshot has ended")
}

impl Drop for ChunkReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.jobs = None;
        let Some(thread) = self.thread.take() else { return };
        // It may wait for the server, such as for a lock, or be between two statements.
        for _ in 0..20 {
            let end = Instant::now() + Duration::from_millis(50);
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
                return;
            }
            let cancel = self.cancel.lock().unwrap_or_else(|e| e.into_inner()).clone();
            if cancel.is_none_or(|cancel| cancel.cancel().is_err()) {
                break;
            }
        }
        // A server that does not answer does not hold the task: the thread ends with its connection.
    }
}

struct Worker {
    config: Arc<SourceConfig>,
    events: Events,
    /// The table for watermarks, `schema.table`.
    watermarks: Option<String>,
    stop: Arc<AtomicBool>,
    cancel: Arc<Mutex<Option<CancelToken>>>,
    sender: SyncSender<Message>,
    session: Option<CatalogRelations>,
    current: Option<Current>,
    /// Smaller than configured after a chunk that was too large.
    chunk_rows: usize,
}

/// The table that is read, as it was found last.
struct Current {
    name: String,
    table: Table,
    plan: Option<Arc<RecordPlan>>,
    read: Vec<bool>,
}

/// What became of the first table of a job.
enum Scan {
    Rows(Box<Rows>),
    /// Nothing is left of it.
    Done(ScanStatus),
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.job(job) {
                // A connection in the midst of something is of no use to the next job.
                self.session = None;
                if self.sender.send(Message::Failed(error)).is_err() {
                    return;
                }
            }
        }
    }

    fn session(&mut self) -> Result<&mut CatalogRelations, TaskError> {
        if self.session.is_none() {
            let connection = self.config.open("Connecting for the incremental snapshot")?;
            *self.cancel.lock().unwrap_or_else(|e| e.into_inner()) = Some(connection.cancel_token());
            self.session = Some(CatalogRelations::new(self.config.clone(), connection, self.events.clone(), &[])?);
        }
        self.session.as_mut().ok_or_else(ended)
    }

    fn job(&mut self, job: Job) -> Result<(), TaskError> {
        self.wait_until_visible(&job.streamed)?;
        fault::point("incremental.open");
        let (opened, first) = (timestamp(now_us()), job.collections[0].clone());
        self.watermark(
            &job.id,
            "-open",
            WINDOW_OPEN,
            &watermark_data(&opened, None, first.signal.as_deref(), &first.table),
        )?;
        fault::point("incremental.opened");
        let id = job.id.clone();
        let chunk = self.chunk(job)?;
        fault::point("incremental.read");
        if self.sender.send(Message::Chunk(Box::new(chunk))).is_err() {
            return Ok(());
        }
        fault::point("incremental.handed");
        if let Some(table) = self.watermarks.clone() {
            let closed = timestamp(now_us());
            let data = watermark_data(&opened, Some(&closed), first.signal.as_deref(), &first.table);
            if self.config.typed.signals.delete_watermarks {
                let sql = format!("DELETE FROM {} WHERE id = {}", quoted(&table), quote_literal(&format!("{id}-open")));
                self.write(&sql)?;
            } else {
                self.watermark(&id, "-close", WINDOW_CLOSE, &data)?;
            }
            fault::point("incremental.closed");
            let closed = self.session()?.current_lsn()?;
            let _ = self.sender.send(Message::Closed(closed));
        }
        Ok(())
    }

    fn wait_until_visible(&mut self, streamed: &[u32]) -> Result<(), TaskError> {
        let (started, mut told, mut pause) = (Instant::now(), false, Duration::from_millis(1));
        loop {
            let visible = self.session()?.visible()?;
            let Some(missed) = streamed.iter().find(|xid| !visible.sees(**xid)) else { return Ok(()) };
            if self.stop.load(Ordering::Acquire) {
                return Err(ended());
            }
            if !told && started.elapsed() > Duration::from_secs(10) {
                told = true;
                tracing::warn!(
                    xid = missed,
                    "the incremental snapshot waits for a transaction that is in the log and not yet visible; is a \
                     synchronous standby away (synchronous_standby_names)?"
                );
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn watermark(&mut self, id: &str, suffix: &str, kind: &str, data: &str) -> Result<(), TaskError> {
        let Some(table) = self.watermarks.clone() else { return Ok(()) };
        let values = [&format!("{id}{suffix}"), kind, data].map(quote_literal).join(", ");
        self.write(&format!("INSERT INTO {} VALUES ({values})", quoted(&table)))
    }

    /// Writes to the signal table; tries again as `signal.emit.failure.*` says.
    fn write(&mut self, sql: &str) -> Result<(), TaskError> {
        let signals = &self.config.typed.signals;
        let (mut left, wait) = (signals.retries_max, signals.retry_wait);
        loop {
            let written = self.session().map(|s| s.connection.batch_execute(sql));
            let written = written.and_then(|written| written.map_err(|e| self.not_written(e)));
            match written {
                Ok(()) => return Ok(()),
                Err(error) if left == 0 || self.stop.load(Ordering::Acquire) => return Err(error),
                Err(error) => tracing::warn!("{error}; it is tried again"),
            }
            left -= 1;
            self.session = None;
            let end = Instant::now() + wait;
            while Instant::now() < end && !self.stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(20).min(wait));
            }
        }
    }

    fn not_written(&self, e: PgError) -> TaskError {
        let table = self.watermarks.as_deref().unwrap_or_default();
        let user = &self.config.typed.connection.user;
        from_pg("Writing a watermark of the incremental snapshot", e).hint(format!(
            "the signal table has three text columns (id, type, data), and the role needs GRANT SELECT, INSERT, DELETE ON \
             {table} TO {user}; or set read.only=true, which needs no watermarks"
        ))
    }

    /// Reads until a table gives rows, or none is left.
    fn chunk(&mut self, job: Job) -> Result<Chunk, TaskError> {
        let Job { mut collections, mut last_key, mut maximum_key, mut total_rows, .. } = job;
        let (mut rows_read, mut chunks_read) = (job.rows_before, job.chunks_before);
        let mut notices = Vec::new();
        let (mut visible, mut read_at) = (Visible::default(), Lsn::ZERO);
        let mut rows = None;
        while let Some(collection) = collections.first().cloned() {
            let names =
                |left: &[SnapshotCollection]| left.iter().map(|c| c.table.clone()).collect::<Vec<_>>().join(",");
            let scan = self.scan(&collection, last_key.as_deref(), &mut maximum_key, &mut total_rows, &mut visible);
            match scan {
                Ok(Scan::Rows(found)) => {
                    rows_read += found.firsts.len() as u64;
                    chunks_read += 1;
                    let total = total_rows.unwrap_or_default();
                    notices.push(Notice::InProgress {
                        tables: names(&collections),
                        table: collection.table,
                        last_key: show(&found.position(found.firsts.len() - 1)),
                        maximum_key: show(maximum_key.as_deref().unwrap_or_default()),
                        chunk: chunks_read,
                        chunks: total.div_ceil(self.config.typed.signals.chunk_rows as u64),
                        rows: total,
                    });
                    rows = Some(*found);
                    break;
                }
                Ok(Scan::Done(status)) => {
                    let counts = Counts { scanned: rows_read, total: total_rows };
                    notices.push(Notice::Scanned {
                        tables: names(&collections),
                        table: collection.table,
                        status,
                        counts,
                    });
                    collections.remove(0);
                    (last_key, maximum_key, total_rows, rows_read, chunks_read) = (None, None, None, 0, 0);
                }
                Err(error) => return Err(error),
            }
        }
        if collections.is_empty() {
            notices.push(Notice::Completed);
        }
        if self.watermarks.is_none() {
            read_at = read_at.max(self.session()?.current_lsn()?);
        }
        Ok(Chunk { collections, maximum_key, total_rows, rows_read, chunks_read, rows, visible, read_at, notices })
    }

    fn scan(
        &mut self,
        collection: &SnapshotCollection,
        last_key: Option<&[JavaValue]>,
        maximum_key: &mut Option<Vec<JavaValue>>,
        total_rows: &mut Option<u64>,
        visible: &mut Visible,
    ) -> Result<Scan, TaskError> {
        let Some(current) = self.find(collection)? else {
            tracing::error!(table = %collection.table, "no captured table has that name: the snapshot leaves it out");
            return Ok(Scan::Done(ScanStatus::UnknownSchema));
        };
        let scanned = self.scan_table(current, collection, last_key, maximum_key, total_rows, visible);
        let ended = match &mut self.session {
            Some(session) => session.connection.batch_execute("COMMIT"),
            None => Ok(()),
        };
        let scan = scanned?;
        ended.map_err(|e| from_pg("Ending the transaction of a chunk", e))?;
        Ok(scan)
    }

    /// The table with a lock and a snapshot on it; `None`: no captured table has the name.
    fn find(&mut self, collection: &SnapshotCollection) -> Result<Option<Current>, TaskError> {
        let known = self.current.take().filter(|c| c.name == collection.table);
        for known in [known, None] {
            let config = self.config.clone();
            let session = self.session()?;
            let current = match known {
                Some(known) => known,
                None => {
                    let tables =
                        catalog::tables(&mut session.connection).map_err(|e| from_pg("Reading the tables", e))?;
                    let Some(table) = tables.into_iter().find(|t| t.qualified_name() == collection.table) else {
                        return Ok(None);
                    };
                    if !config.captures(&table.namespace, &table.name)? {
                        return Ok(None);
                    }
                    Current { name: collection.table.clone(), table, plan: None, read: Vec::new() }
                }
            };
            // The lock comes before the snapshot: what the catalog says of the table then holds for its rows.
            let name = qualified(&current.table);
            let begin =
                format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE {name} IN ACCESS SHARE MODE");
            let begun = session.connection.batch_execute(&begin).and_then(|()| {
                session.connection.query_opt(&format!(
                    "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.oid = {} AND n.nspname = {} AND c.relname = {}",
                    current.table.oid,
                    quote_literal(&current.table.namespace),
                    quote_literal(&current.table.name)
                ))
            });
            match begun {
                Ok(Some(_)) => return Ok(Some(current)),
                // Dropped, renamed or made again since it was found.
                Ok(None) => {
                    session.connection.batch_execute("ROLLBACK").map_err(|e| from_pg("Ending a transaction", e))?
                }
                Err(e) if matches!(e.code(), Some("42P01" | "3F000")) => {
                    session.connection.batch_execute("ROLLBACK").map_err(|e| from_pg("Ending a transaction", e))?;
                }
                Err(e) => return Err(chunk_failed(collection, e)),
            }
        }
        Err(TaskError::transient(
            DEBEZIUM_EXCEPTION,
            format!("The table {} is being made anew; its incremental snapshot is tried again", collection.table),
        ))
    }

    fn scan_table(
        &mut self,
        mut current: Current,
        collection: &SnapshotCollection,
        last_key: Option<&[JavaValue]>,
        maximum_key: &mut Option<Vec<JavaValue>>,
        total_rows: &mut Option<u64>,
        visible: &mut Visible,
    ) -> Result<Scan, TaskError> {
        let failed = |e| chunk_failed(collection, e);
        let chunk_rows = self.chunk_rows;
        let session = self.session()?;
        *visible = session.visible()?;
        session.preload(std::slice::from_ref(&current.table))?;
        let described = session.snapshot_table(&current.table)?;
        let same = |plan: &Arc<RecordPlan>| plan.relation == described.plan.relation && current.read == described.read;
        let plan = current.plan.filter(same).unwrap_or(described.plan);
        let relation = &plan.relation;
        let Some(order) = order(relation, collection)? else {
            tracing::warn!(table = %collection.table, "it has no primary key: give the signal a surrogate-key");
            return Ok(Scan::Done(ScanStatus::NoPrimaryKey));
        };
        let (name, condition) = (qualified(&current.table), collection.condition.as_deref());
        if maximum_key.as_ref().is_none_or(|key| key.len() != order.len()) {
            let found = session.connection.query_opt(&query::maximum(&name, &order, condition)).map_err(failed)?;
            *maximum_key = found.map(|row| order.iter().enumerate().map(|(n, key)| key.value(row.get(n))).collect());
            if maximum_key.is_some() && total_rows.is_none() {
                *total_rows = Some(if condition.is_none() && current.table.rows > COUNTED_ROWS_MAX {
                    current.table.rows as u64
                } else {
                    let filter = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
                    let count = format!("SELECT pg_catalog.count(*) FROM {name}{filter}");
                    catalog::number(&session.connection.query_one(&count).map_err(failed)?, 0)
                });
            }
        }
        let Some(end) = maximum_key else {
            return Ok(Scan::Done(ScanStatus::Empty));
        };
        let last_key = last_key.filter(|key| key.len() == order.len());
        // The columns that order rows are read once more, behind the others: masks and filters do not change those.
        let select = described.select.strip_suffix(&format!(" FROM {name}")).unwrap_or(&described.select);
        let select = format!("{select}, {} FROM {name}", query::names(&order, ""));
        let sql = query::chunk(&select, &order, last_key, end, condition, chunk_rows);
        let columns = relation.columns.len() + order.len();
        let identity = identity(relation, collection.surrogate_key.as_deref());
        let mut rows = Rows {
            plan: plan.clone(),
            batch: ChangeBatch::default(),
            firsts: Vec::new(),
            left_out: Vec::new(),
            identity,
            keys: Vec::new(),
            order,
        };
        let mut copy = session.connection.copy_out(&format!("COPY ({sql}) TO STDOUT")).map_err(failed)?;
        let (mut ended, mut left_out) = (false, 0usize);
        while let Some(line) = copy.next_row().map_err(failed)? {
            if ended {
                left_out += 1;
                continue;
            }
            let (base, line_bytes) = (rows.batch.bytes.len(), line.len());
            let first = copy_text::append_row(line, columns, &mut rows.batch).map_err(|e| {
                TaskError::transient(CONNECT_EXCEPTION, format!("Incremental snapshot of {}: {e}", collection.table))
            })?;
            if described.limit.concerns(line_bytes) {
                let (first, place) = (first as usize, || ", in an incremental snapshot".to_owned());
                let cells = Cells { base, old: None, first, last: first + relation.columns.len() };
                let limited = described.limit.apply(&mut rows.batch, &plan, &cells, &place)?;
                limited.put_placeholders(&mut rows.batch);
                // It stays as a place from which the next chunk goes on.
                if limited.skipped {
                    rows.left_out.push(rows.firsts.len());
                }
            }
            rows.firsts.push(first);
            if rows.batch.bytes.len() > CHUNK_BYTES_MAX && rows.firsts.len() > 1 {
                let last = rows.firsts.len() - 1;
                if rows.position(last) != rows.position(last - 1) {
                    rows.firsts.pop();
                    rows.left_out.retain(|row| *row < last);
                    (ended, left_out) = (true, 1);
                } else if rows.batch.bytes.len() > EQUAL_KEYS_BYTES_MAX {
                    return Err(TaskError::definite(
                        DEBEZIUM_EXCEPTION,
                        format!(
                            "Incremental snapshot of {}: too many rows have the same surrogate key",
                            collection.table
                        ),
                    )
                    .hint(
                        "stop that snapshot (stop-snapshot), and signal one with a surrogate-key that tells rows apart",
                    ));
                }
            }
        }
        drop(copy);
        rows.keys = rows.firsts.iter().map(|&first| key_of(&rows.batch, first, &rows.identity)).collect();
        self.chunk_rows = if left_out > 0 {
            rows.firsts.len().max(1)
        } else {
            (self.chunk_rows * 2).min(self.config.typed.signals.chunk_rows)
        };
        current.plan = Some(plan);
        current.read = described.read;
        self.current = Some(current);
        if rows.firsts.is_empty() {
            return Ok(Scan::Done(ScanStatus::Succeeded));
        }
        Ok(Scan::Rows(Box::new(rows)))
    }
}

/// The columns that order the rows; `None`: there are none.
fn order(
    relation: &walspring_record::Relation,
    collection: &SnapshotCollection,
) -> Result<Option<Vec<KeyColumn>>, TaskError> {
    let places = match &collection.surrogate_key {
        None => relation.key.clone(),
        Some(name) => match relation.columns.iter().position(|c| *c.name == **name) {
            Some(place) => vec![place],
            None => {
                return Err(TaskError::definite(
                    DEBEZIUM_EXCEPTION,
                    format!("Surrogate key \"{name}\" doesn't exist in table \"{}\"", collection.table),
                )
                .hint(stop_hint(&collection.table)));
            }
        },
    };
    let column = |&place: &usize| {
        let column = &relation.columns[place];
        KeyColumn { name: column.name.to_string(), nullable: column.nullable, type_name: column.ty.name.to_string() }
    };
    Ok((!places.is_empty()).then(|| places.iter().map(column).collect()))
}

/// What an operator can do about a table that cannot be read.
fn stop_hint(table: &str) -> String {
    format!(
        "mend it and restart the task, which goes on where it stopped; or take the table out: send the signal stop-snapshot \
         with {{\"data-collections\": [\"{table}\"]}}, then restart the task"
    )
}

fn chunk_failed(collection: &SnapshotCollection, e: PgError) -> TaskError {
    let message = format!("Incremental snapshot of table {} failed", collection.table);
    let error = if e.is_transient() {
        TaskError::transient(DEBEZIUM_EXCEPTION, message)
    } else {
        TaskError::definite(DEBEZIUM_EXCEPTION, message).hint(stop_hint(&collection.table))
    };
    error.caused_by(PSQL_EXCEPTION, java_message(&e))
}

/// `schema.table`, quoted.
fn quoted(table: &str) -> String {
    use crate::wire::quote_identifier;
    match table.split_once('.') {
        Some((namespace, name)) => format!("{}.{}", quote_identifier(namespace), quote_identifier(name)),
        None => quote_identifier(table),
    }
}

fn show(key: &[JavaValue]) -> String {
    let values = key.iter().map(|value| query::text(value).unwrap_or_else(|| "<null>".into()));
    values.collect::<Vec<_>>().join(",")
}

/// ISO 8601, in microseconds.
fn timestamp(us: i64) -> String {
    let (seconds, micros) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = java::civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(timestamp(1_795_253_066_123_456), "2026-11-21T09:24:26.123456Z");
    }
}
