//! Incremental snapshots: tables are read again, in chunks by their key, while the stream goes on.
//!
//! ```text
//! stream   ──── open ───── u(7) ───── close ─ r(5) r(6) r(8) ── …       5 to 8 were read; 7 is newer in the stream
//! reader        open  SELECT … LIMIT n  close                           a thread and a connection of its own
//! ```
//!
//! A chunk is read between two marks in the log. What the stream brings between them is newer than the chunk or the same, so
//! those keys are left out; the rest is sent behind the closing mark. Marks are rows of the signal table (`open`, `close`);
//! where there is none, or `read.only` forbids to write it, the window is open from when the chunk was asked for until the
//! stream has passed the position at which the chunk had been read. That needs no writes, and no traffic either.
//!
//! Invariants: no row is sent that is older than what was sent of its key (see also `visibility`). A chunk that cannot be
//! read fails the task. The offset has the key of the last row that was sent, in one ticket with that row, so that a restart
//! goes on behind it; a chunk that was read and not sent is read again.

mod notices;
mod query;
mod reader;
mod visibility;
mod window;

use std::sync::Arc;

use serde_json::{Value, json};
use walspring_config::java_regex::JavaRegex;
use walspring_connect::{DEBEZIUM_EXCEPTION, TaskError, fault};
use walspring_debezium::{IncrementalState, SnapshotCollection, SnapshotRequest};
use walspring_record::{
    Change, ChangeBatch, ChangeKind, Lsn, OldRow, RecordPlan, SnapshotMark, SourceOffset, Transaction, TransactionOrder,
};

use crate::config::{SourceConfig, too_complex};
use crate::events::{Events, random_uuid};
use crate::snapshot::now_us;

pub use notices::Notice;
use reader::{Chunk, ChunkReader, Job, Message, Rows};
use visibility::Streamed;
pub use visibility::Visible;
use window::{Verdict, Window};

pub struct Incremental {
    config: Arc<SourceConfig>,
    /// The table for marks; `None`: windows are told by positions.
    watermarks: Option<String>,
    reader: Option<ChunkReader>,
    state: IncrementalState,
    /// Of the current table.
    rows_read: u64,
    chunks_read: u64,
    paused: bool,
    /// Names and expressions of tables to be taken out before the next chunk.
    stops: Vec<String>,
    phase: Phase,
    streamed: Streamed,
    notices: Vec<(Option<String>, Notice)>,
    /// A snapshot that goes on after a restart waits until signals that were sent meanwhile have come: one may stop it.
    waits_for_stream: bool,
}

enum Phase {
    Idle,
    Reading(Box<Reading>),
    Sending(Box<Sending>),
}

struct Reading {
    id: String,
    /// How many tables there were to read.
    tables: usize,
    /// How many transactions had come when the window opened.
    opened: Option<u64>,
    window: Window,
    chunk: Option<Box<Chunk>>,
    /// The closing mark stands before this.
    closed_at: Option<Lsn>,
    /// To be told after what the chunk brings.
    later: Vec<Notice>,
}

struct Sending {
    rows: Rows,
    dead: Vec<bool>,
    next: usize,
}

/// Where the stream stands, for rows that are sent now.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamPlace {
    /// Of the last event.
    pub lsn: Lsn,
    pub last_commit: Option<Lsn>,
    /// Everything that committed before it has been read; `None`: in the midst of a transaction.
    pub passed: Option<Lsn>,
}

impl Incremental {
    pub fn new(config: Arc<SourceConfig>, stored: Option<IncrementalState>) -> Incremental {
        let watermarks = config.typed.signals.table.clone().filter(|_| !config.typed.connection.read_only);
        if let Some(state) = &stored {
            tracing::info!(tables = state.collections.len(), "an incremental snapshot goes on");
        }
        Incremental {
            watermarks,
            config,
            reader: None,
            waits_for_stream: stored.is_some(),
            state: stored.unwrap_or_default(),
            rows_read: 0,
            chunks_read: 0,
            paused: false,
            stops: Vec::new(),
            phase: Phase::Idle,
            streamed: Streamed::default(),
            notices: Vec::new(),
        }
    }

    /// What the offset says of it.
    pub fn offset(&self) -> Option<SourceOffset> {
        if fault::planted("forget_signal") {
            return None;
        }
        let mut offset = SourceOffset::new();
        self.state.store(&mut offset);
        (!offset.is_empty()).then_some(offset)
    }

    /// For whoever asks: null where there is none.
    pub fn describe(&self) -> Value {
        let Some(current) = self.state.collections.first() else { return Value::Null };
        json!({
            "id": self.state.signal,
            "state": if self.paused { "PAUSED" } else { "RUNNING" },
            "data-collections": self.state.collections.iter().map(|c| &c.table).collect::<Vec<_>>(),
            "current": current.table,
            "rows_read": self.rows_read,
            "rows_total": self.state.total_rows,
        })
    }

    /// Each with the signal that caused it.
    pub fn take_notices(&mut self) -> Vec<(Option<String>, Notice)> {
        std::mem::take(&mut self.notices)
    }

    fn tell(&mut self, notice: Notice) {
        self.notices.push((self.state.signal.clone(), notice));
    }

    /// Of a chunk that is under way is told first: the original has read it by now.
    fn tell_after_chunk(&mut self, notice: Notice) {
        match &mut self.phase {
            Phase::Reading(reading) => reading.later.push(notice),
            _ => self.tell(notice),
        }
    }

    fn tables(&self) -> String {
        self.state.collections.iter().map(|c| c.table.clone()).collect::<Vec<_>>().join(",")
    }

    fn is_running(&self) -> bool {
        !self.state.collections.is_empty()
    }

    /// `captured`: the tables there are, for expressions.
    pub fn execute(&mut self, signal: &str, request: &SnapshotRequest, captured: &[String]) -> Result<(), TaskError> {
        let begins = !self.is_running();
        for table in expand(&request.tables, captured)? {
            let mut condition = None;
            for candidate in &request.conditions {
                let matches = match JavaRegex::new_ignoring_case(&candidate.table) {
                    Ok(regex) => regex.matches(&table).map_err(too_complex)?,
                    Err(_) => candidate.table.eq_ignore_ascii_case(&table),
                };
                let matches = matches || without_quotes(&candidate.table).as_deref() == Some(&table);
                if matches && !candidate.filter.trim().is_empty() {
                    condition = Some(format!("({})", candidate.filter));
                    break;
                }
            }
            self.state.collections.push(SnapshotCollection {
                table,
                condition,
                surrogate_key: request.surrogate_key.clone(),
                signal: Some(signal.to_owned()),
            });
        }
        self.state.signal = Some(signal.to_owned());
        tracing::info!(signal, tables = %self.tables(), "an incremental snapshot was asked for");
        if begins {
            let tables = self.tables();
            self.tell(Notice::Started(tables.clone()));
            self.tell(Notice::Resolved(tables));
        }
        Ok(())
    }

    /// Nothing: everything.
    pub fn stop(&mut self, tables: Vec<String>) {
        if !self.is_running() {
            tracing::warn!("no incremental snapshot is running that could be stopped");
            return;
        }
        if tables.is_empty() { self.stops.push(".*".into()) } else { self.stops.extend(tables) }
    }

    pub fn pause(&mut self) {
        if self.is_running() && !self.paused {
            self.paused = true;
            tracing::info!("the incremental snapshot pauses");
            self.tell_after_chunk(Notice::Paused(self.tables()));
        }
    }

    pub fn resume(&mut self) {
        if self.is_running() && self.paused {
            self.paused = false;
            tracing::info!("the incremental snapshot goes on");
            self.tell_after_chunk(Notice::Resumed(self.tables()));
        }
    }

    /// The stream has brought a transaction.
    #[inline]
    pub fn streamed(&mut self, xid: u32) {
        self.streamed.add(xid);
    }

    /// A transaction that the stream has brought and that is not visible.
    pub fn missed(&self, visible: &Visible) -> Option<u32> {
        self.streamed.missed(u64::MAX, visible)
    }

    pub fn wants_visible(&self) -> bool {
        self.streamed.is_full()
    }

    pub fn forget(&mut self, visible: &Visible) {
        self.streamed.forget(visible);
    }

    /// Whether changes of tables matter now.
    #[inline]
    pub fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Reading(_))
    }

    pub fn touch(&mut self, batch: &ChangeBatch, change: &Change, plan: &RecordPlan) {
        let Phase::Reading(reading) = &mut self.phase else { return };
        if reading.opened.is_none() {
            return;
        }
        let collections = &self.state.collections;
        reading.window.touch(batch, change, plan, |relation| {
            let name = relation.qualified_name();
            collections.iter().find(|c| c.table == name).map(|c| c.surrogate_key.clone())
        });
    }

    /// The stream brought a mark that opens a window.
    pub fn opened(&mut self, id: &str) {
        let now = self.streamed.now();
        if let Phase::Reading(reading) = &mut self.phase
            && id.strip_suffix("-open") == Some(&reading.id)
        {
            reading.opened = Some(now);
        }
    }

    /// The stream brought a mark that closes a window; true: rows are to be sent now.
    pub fn closed(&mut self, id: &str) -> Result<bool, TaskError> {
        let id = id.strip_suffix("-close").or_else(|| id.strip_suffix("-open"));
        match &self.phase {
            // The chunk was handed over before the mark was written.
            Phase::Reading(reading) if id == Some(&reading.id) => {}
            _ => return Ok(false),
        }
        self.receive()?;
        self.close();
        Ok(true)
    }

    /// Takes what the reader has brought.
    fn receive(&mut self) -> Result<(), TaskError> {
        let Some(reader) = &self.reader else { return Ok(()) };
        while let Some(message) = reader.try_next()? {
            match (message, &mut self.phase) {
                (Message::Chunk(chunk), Phase::Reading(reading)) => reading.chunk = Some(chunk),
                (Message::Closed(at), Phase::Reading(reading)) if reading.chunk.is_some() => {
                    reading.closed_at = Some(at)
                }
                (Message::Failed(error), _) => return Err(error),
                // Of a window that the stream has closed.
                _ => {}
            }
        }
        Ok(())
    }

    /// The window is over: its rows are sent, or read again.
    fn close(&mut self) {
        let Phase::Reading(mut reading) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        fault::point("incremental.window");
        let later = std::mem::take(&mut reading.later);
        self.judge(*reading);
        for notice in later {
            self.tell(notice);
        }
    }

    fn judge(&mut self, reading: Reading) {
        let (Some(chunk), Some(opened)) = (reading.chunk, reading.opened) else { return };
        let mut dead = Vec::new();
        if let Some(rows) = &chunk.rows {
            self.streamed.forget(&chunk.visible);
            if let Some(xid) = self.streamed.missed(opened, &chunk.visible) {
                tracing::info!(xid, "a chunk did not see a transaction that has been streamed: it is read again");
                return;
            }
            dead = vec![false; rows.firsts.len()];
            if reading.window.judge(&rows.plan.relation, &rows.identity, &rows.keys, &mut dead) == Verdict::Again {
                tracing::info!("too much has changed while a chunk was read: it is read again");
                return;
            }
            rows.left_out.iter().for_each(|&row| dead[row] = true);
        }
        self.apply(*chunk, reading.tables, dead);
    }

    /// `tables`: how many there were when the chunk was asked for.
    fn apply(&mut self, chunk: Chunk, tables: usize, dead: Vec<bool>) {
        let Chunk { collections, maximum_key, total_rows, rows_read, chunks_read, rows, notices, .. } = chunk;
        for notice in notices {
            self.tell(notice);
        }
        // Tables that signals have added meanwhile stand behind those that the job knew.
        let done = tables.saturating_sub(collections.len()).min(self.state.collections.len());
        if done > 0 {
            self.state.last_key = None;
            self.state.collections.drain(..done);
        }
        self.state.maximum_key = maximum_key;
        self.state.total_rows = total_rows;
        (self.rows_read, self.chunks_read) = (rows_read, chunks_read);
        if self.state.collections.is_empty() {
            self.state = IncrementalState::default();
            tracing::info!("the incremental snapshot has ended");
        }
        if let Some(rows) = rows {
            self.phase = Phase::Sending(Box::new(Sending { rows, dead, next: 0 }));
        }
    }

    /// Goes on: takes what has been read, closes a window that the stream has passed, asks for the next chunk.
    pub fn poll(&mut self, place: StreamPlace, caught_up: bool, events: &Events) -> Result<(), TaskError> {
        self.waits_for_stream &= !caught_up;
        self.receive()?;
        let closes = match &self.phase {
            Phase::Reading(reading) => {
                if self.watermarks.is_some()
                    && reading.closed_at.zip(place.passed).is_some_and(|(closed, passed)| passed > closed)
                {
                    return Err(self.mark_not_seen());
                }
                let read_at = reading.chunk.as_ref().map(|chunk| chunk.read_at);
                self.watermarks.is_none() && read_at.zip(place.passed).is_some_and(|(read, passed)| passed >= read)
            }
            _ => false,
        };
        if closes {
            self.close();
        }
        self.go_on(events)
    }

    /// Asks for the next chunk, unless one is under way.
    pub fn go_on(&mut self, events: &Events) -> Result<(), TaskError> {
        if matches!(self.phase, Phase::Idle) && !self.waits_for_stream {
            self.next_chunk(events)?;
        }
        Ok(())
    }

    fn mark_not_seen(&self) -> TaskError {
        let table = self.config.typed.signals.table.as_deref().unwrap_or_default();
        let publication = &self.config.typed.publication.name;
        TaskError::definite(
            DEBEZIUM_EXCEPTION,
            format!("The stream does not bring what is written to the signal table {table}: no snapshot can be read so"),
        )
        .hint(format!(
            "ALTER PUBLICATION {publication} ADD TABLE {table}; it must publish inserts (and deletes, with \
             incremental.snapshot.watermarking.strategy=insert_delete), and skipped.operations must not leave them out; or \
             set read.only=true, which needs no watermarks"
        ))
    }

    /// A position that is waited for, outside a transaction.
    pub fn waits_for(&self) -> Option<Lsn> {
        match &self.phase {
            Phase::Reading(reading) if self.watermarks.is_none() => reading.chunk.as_ref().map(|chunk| chunk.read_at),
            _ => None,
        }
    }

    /// A chunk is being read that no mark in the stream will tell of.
    pub fn comes_beside(&self) -> bool {
        matches!(&self.phase, Phase::Reading(reading) if self.watermarks.is_none() && reading.chunk.is_none())
    }

    fn next_chunk(&mut self, events: &Events) -> Result<(), TaskError> {
        // As in the original, what pauses is stopped when it goes on.
        if self.paused {
            return Ok(());
        }
        self.take_out_stopped()?;
        if !self.is_running() {
            return Ok(());
        }
        let job = Job {
            id: random_uuid(),
            collections: self.state.collections.clone(),
            last_key: self.state.last_key.clone(),
            maximum_key: self.state.maximum_key.clone(),
            total_rows: self.state.total_rows,
            rows_before: self.rows_read,
            chunks_before: self.chunks_read,
            streamed: self.streamed.all(),
        };
        // Without marks everything counts from now on.
        let opened = self.watermarks.is_none().then(|| self.streamed.now());
        let (id, tables) = (job.id.clone(), job.collections.len());
        if self.reader.is_none() {
            self.reader = Some(ChunkReader::start(self.config.clone(), events.clone(), self.watermarks.clone())?);
        }
        if let Some(reader) = &self.reader {
            reader.read(job)?;
        }
        let reading =
            Reading { id, tables, opened, window: Window::default(), chunk: None, closed_at: None, later: Vec::new() };
        self.phase = Phase::Reading(Box::new(reading));
        Ok(())
    }

    fn take_out_stopped(&mut self) -> Result<(), TaskError> {
        if self.stops.is_empty() || !self.is_running() {
            self.stops.clear();
            return Ok(());
        }
        let running: Vec<String> = self.state.collections.iter().map(|c| c.table.clone()).collect();
        let stopped = expand(&std::mem::take(&mut self.stops), &running)?;
        let current = running.first().cloned();
        let (mut gone, unknown): (Vec<_>, Vec<_>) = stopped.into_iter().partition(|table| running.contains(table));
        for table in unknown {
            tracing::warn!(table, "it is not among the tables of the incremental snapshot, and so was not stopped");
        }
        self.state.collections.retain(|c| !gone.contains(&c.table));
        tracing::info!(tables = gone.join(","), "taken out of the incremental snapshot");
        // The one that is being read goes last, and where it was the last one the snapshot has come to its end.
        gone.sort_by_key(|table| Some(table) == current.as_ref());
        if current.is_some_and(|current| gone.contains(&current)) {
            (self.state.last_key, self.state.maximum_key, self.state.total_rows) = (None, None, None);
            (self.rows_read, self.chunks_read) = (0, 0);
        }
        if !self.is_running() {
            self.tell(Notice::Completed);
        }
        self.tell(Notice::Aborted(gone.join(",")));
        if !self.is_running() {
            self.state = IncrementalState::default();
        }
        Ok(())
    }

    /// Rows wait to be sent, before anything else of the stream.
    pub fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Sending(_))
    }

    /// Fills the batch with rows, up to `bytes_max`.
    pub fn send(&mut self, batch: &mut ChangeBatch, place: StreamPlace, bytes_max: usize) {
        let Phase::Sending(sending) = &mut self.phase else { return };
        let rows = &sending.rows;
        let now = now_us();
        batch.transactions.push(Transaction {
            xid: None,
            commit_us: now,
            last_commit_lsn: place.last_commit,
            has_lsn: false,
            xmin: None,
            origin: None,
            origin_lsn: None,
        });
        let transaction = (batch.transactions.len() - 1) as u32;
        let (plan, columns) = (batch.plan_index(&rows.plan), rows.plan.relation.columns.len());
        while sending.next < rows.firsts.len() && batch.bytes.len() < bytes_max {
            let row = sending.next;
            sending.next += 1;
            if sending.dead[row] {
                continue;
            }
            let (first, new) = (rows.firsts[row] as usize, batch.cells.len() as u32);
            for cell in &rows.batch.cells[first..first + columns] {
                let copied = match cell.get(&rows.batch.bytes) {
                    None => *cell,
                    Some(value) => {
                        let start = batch.bytes.len();
                        batch.bytes.extend_from_slice(value);
                        walspring_record::Cell::text(start, value.len())
                    }
                };
                batch.cells.push(copied);
            }
            batch.changes.push(Change {
                kind: ChangeKind::Read,
                old_row: OldRow::None,
                snapshot: SnapshotMark::Incremental,
                plan,
                transaction,
                new,
                old: 0,
                change_lsn: place.lsn,
                seen_us: now,
                order: TransactionOrder::default(),
            });
        }
        fault::point("incremental.rows");
        if sending.next > 0 {
            self.state.last_key = Some(rows.position(sending.next - 1));
        }
        if sending.next == rows.firsts.len() {
            self.phase = Phase::Idle;
        }
    }
}

/// A name as SQL has it, `public."Odd Name"`, which the original needs where a table is called so; `None`: nothing is quoted,
/// or not as SQL does.
fn without_quotes(name: &str) -> Option<String> {
    if !name.contains('"') {
        return None;
    }
    let (mut plain, mut quoted) = (String::with_capacity(name.len()), false);
    let mut rest = name.chars().peekable();
    let mut begins = true;
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => plain.push('"'),
            '"' if quoted => {
                quoted = false;
                if rest.peek().is_some_and(|next| *next != '.') {
                    return None;
                }
            }
            '"' if begins => quoted = true,
            '"' => return None,
            c => plain.push(c),
        }
        begins = !quoted && c == '.';
    }
    (!quoted).then_some(plain)
}

/// Names of tables that the expressions match, each once; what matches none stands for itself.
fn expand(expressions: &[String], tables: &[String]) -> Result<Vec<String>, TaskError> {
    let mut expanded: Vec<String> = Vec::new();
    for expression in expressions {
        let mut found = Vec::new();
        if let Ok(regex) = JavaRegex::new(expression) {
            for table in tables {
                if regex.matches(table).map_err(too_complex)? {
                    found.push(table.clone());
                }
            }
        }
        if found.is_empty() {
            found.push(without_quotes(expression).unwrap_or_else(|| expression.clone()));
        }
        for table in found {
            if !expanded.contains(&table) {
                expanded.push(table);
            }
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_whole_names_and_each_table_comes_once() {
        let tables = ["public.a".to_owned(), "public.ab".into(), "x.a".into()];
        let expand = |list: &[&str]| {
            expand(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), &tables)
                .map_err(|e| e.to_string())
                .unwrap()
        };
        assert_eq!(expand(&["public.a"]), ["public.a"]);
        assert_eq!(expand(&["public.*", "x.a", ".*a"]), ["public.a", "public.ab", "x.a"]);
        assert_eq!(expand(&["nope", "("]), ["nope", "("]);
        assert_eq!(expand(&[r#"public."a""#, "public.a"]), ["public.a"]);
    }

    #[test]
    fn names_may_be_quoted_as_in_sql() {
        let plain = |name| without_quotes(name).unwrap_or_default();
        assert_eq!(plain(r#"public."Odd Name""#), "public.Odd Name");
        assert_eq!(plain(r#""S"."a.b""#), "S.a.b");
        assert_eq!(plain(r#"public."with ""quotes""""#), r#"public.with "quotes""#);
        for name in ["public.a", r#"public."a"#, r#"public."a"b"#, r#"public.a"b""#] {
            assert_eq!(without_quotes(name), None, "{name}");
        }
    }
}
