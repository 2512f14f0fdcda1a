//! A runtime in small: polls a task, collects its changes, keeps offsets, says what is stored, starts again from anywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use walspring_connect::{
    Poll, Progress, SignalInbox, SourcePartition, SourcePlugin, SourceState, SourceTask, SourceTaskContext, StateKey,
    StopToken, StoreError, TaskError,
};
use walspring_postgres_source::{Limits, PostgresPlugin};
use walspring_record::{Change, ChangeBatch, ChangeKind, Column, OldRow, RowRef, SourceOffset, TypeKind, Value};
use walspring_testkit::{Postgres, TempDatabase};

pub const WAIT: Duration = Duration::from_secs(60);

/// One change, as far as tests look at it. `op` is the event's, `m` for records made as trees.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub table: String,
    pub op: char,
    /// Name and value of each column; the new row's, else the old one's.
    pub row: Vec<(String, Option<String>)>,
    pub key: Vec<String>,
    pub types: Vec<String>,
    /// What the schema says of each column beside its type: `default`, `required`, labels, comment.
    pub details: Vec<String>,
    /// Short names of what the plan tells of.
    pub surprises: Vec<String>,
    pub lsn: u64,
    pub xid: Option<u32>,
    pub mark: &'static str,
}

impl Event {
    pub fn get(&self, column: &str) -> Option<&str> {
        self.row.iter().find(|(name, _)| name == column).and_then(|(_, value)| value.as_deref())
    }

    pub fn number(&self, column: &str) -> i64 {
        self.get(column).and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("no number {column}: {self:?}"))
    }

    /// `table op values`, for expectations.
    pub fn short(&self) -> String {
        let values: Vec<&str> = self.row.iter().map(|(_, v)| v.as_deref().unwrap_or("null")).collect();
        format!("{} {} {}", self.table, self.op, values.join(","))
    }
}

pub struct Connector {
    pub config: Vec<(String, String)>,
    pub limits: Limits,
    /// One for all starts, as in a worker.
    plugin: OnceLock<PostgresPlugin>,
    /// `None`: a worker without the topic.
    pub state: Option<Arc<MemoryState>>,
}

/// What a task has kept, as the worker's topic has it.
#[derive(Debug, Default)]
pub struct MemoryState {
    pub kept: Mutex<BTreeMap<StateKey, serde_json::Value>>,
    pub writes: Mutex<Vec<usize>>,
}

impl SourceState for MemoryState {
    fn read(&self) -> Result<Vec<(StateKey, serde_json::Value)>, StoreError> {
        Ok(self.kept.lock().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, records: &[(StateKey, Option<serde_json::Value>)]) -> Result<(), StoreError> {
        self.writes.lock().unwrap().push(records.len());
        let mut kept = self.kept.lock().unwrap();
        for (key, value) in records {
            match value {
                Some(value) => kept.insert(key.clone(), value.clone()),
                None => kept.remove(key),
            };
        }
        Ok(())
    }
}

impl Connector {
    /// A connector of its own slot and publication, filtered to what `options` say.
    pub fn new(db: &TempDatabase, options: &[(&str, &str)]) -> Connector {
        let (limits, plugin, state) = (Limits::default(), OnceLock::new(), Some(Arc::default()));
        let mut connector = Connector { config: Vec::new(), limits, plugin, state };
        connector.set("topic.prefix", "t");
        connector.set("database.hostname", db.server().host());
        connector.set("database.port", &db.server().port().to_string());
        connector.set("database.user", "postgres");
        connector.set("database.password", "secret");
        connector.set("database.dbname", db.name());
        connector.set("plugin.name", "pgoutput");
        connector.set("slot.name", &db.slot("s"));
        connector.set("publication.name", "p");
        for (name, value) in options {
            connector.set(name, value);
        }
        connector
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.config.retain(|(n, _)| n != name);
        self.config.push((name.into(), value.into()));
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Connector {
        change(&mut self.limits);
        self
    }

    pub fn start(&self, stored: Option<&SourceOffset>) -> Source {
        self.try_start(stored).expect("a task")
    }

    pub fn try_start(&self, stored: Option<&SourceOffset>) -> Result<Source, TaskError> {
        let (stop, heard) = (StopToken::default(), Arc::new(Heard::default()));
        let (stored, signals) = (stored.cloned(), SignalInbox::default());
        let context = SourceTaskContext {
            connector: "c".into(),
            task: 0,
            config: self.config.clone(),
            offset: Box::new(move |_: &SourcePartition| Ok(stored.clone())),
            stop: stop.clone(),
            progress: heard.clone(),
            join_group: Arc::new(|_| Err(walspring_connect::StoreError::Definite("no groups here".into()))),
            signals: signals.clone(),
            state: self.state.clone().map(|state| state as Arc<dyn SourceState>),
        };
        let task = self.plugin.get_or_init(|| PostgresPlugin::with_limits(self.limits)).start(context)?;
        Ok(Source { task, stop, heard, signals, batch: ChangeBatch::default(), offset: None })
    }

    /// Starts until nothing transient is in the way: the walsender of the task before may still hold the slot.
    pub fn streaming(&self, stored: Option<&SourceOffset>) -> Source {
        let end = Instant::now() + WAIT;
        loop {
            let mut source = self.start(stored);
            // The first poll checks, the second starts the stream.
            match source.poll(Duration::ZERO).and_then(|_| source.poll(Duration::ZERO)) {
                Ok(None) => return source,
                Ok(Some(step)) => panic!("{step:?} came before the stream"),
                Err(e) if e.is_transient() && Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                Err(e) => panic!("{}", e.trace()),
            }
        }
    }

    /// The error with which it starts.
    pub fn refusal(&self, stored: Option<&SourceOffset>) -> TaskError {
        let mut source = match self.try_start(stored) {
            Ok(source) => source,
            Err(e) => return e,
        };
        let end = Instant::now() + WAIT;
        while Instant::now() < end {
            if let Err(e) = source.poll(Duration::from_millis(100)) {
                return e;
            }
        }
        panic!("no error came");
    }
}

/// What a task said of itself.
#[derive(Default)]
pub struct Heard {
    pub waiting: Mutex<Vec<Option<String>>>,
}

impl Progress for Heard {
    fn waiting(&self, what: Option<String>) {
        self.waiting.lock().unwrap().push(what);
    }
    fn gauge(&self, _: &'static str, _: f64) {}
    fn add(&self, _: &'static str, _: u64) {}
}

pub struct Source {
    pub task: Box<dyn SourceTask>,
    pub stop: StopToken,
    pub heard: Arc<Heard>,
    /// Through which the worker would signal.
    pub signals: SignalInbox,
    batch: ChangeBatch,
    /// The newest offset.
    pub offset: Option<SourceOffset>,
}

/// What one poll brought.
#[derive(Debug, Clone)]
pub struct Step {
    pub events: Vec<Event>,
    pub offset: Option<SourceOffset>,
    pub finished: bool,
}

impl Source {
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Step>, TaskError> {
        self.batch.clear(1 << 20);
        match self.task.poll(&mut self.batch, wait)? {
            Poll::Idle => Ok(None),
            Poll::Finished => Ok(Some(Step { events: Vec::new(), offset: None, finished: true })),
            Poll::Batch => {
                let events = self.batch.changes.iter().map(|c| event(&self.batch, c)).collect();
                if self.batch.offset.is_some() {
                    self.offset.clone_from(&self.batch.offset);
                }
                Ok(Some(Step { events, offset: self.batch.offset.clone(), finished: false }))
            }
        }
    }

    /// What the last poll brought, as the runtime has it.
    pub fn batch(&self) -> &ChangeBatch {
        &self.batch
    }

    /// What the last poll brought beside rows.
    pub fn records(&self) -> &[walspring_record::Record] {
        &self.batch.records
    }

    /// Polls until `done`, which sees each step; panics on errors.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Step) -> bool) {
        let end = Instant::now() + WAIT;
        loop {
            assert!(Instant::now() < end, "waited {WAIT:?} for {what}");
            match self.poll(Duration::from_millis(50)) {
                Ok(None) => {}
                Ok(Some(step)) => {
                    if done(&step) {
                        return;
                    }
                }
                Err(e) => panic!("waiting for {what}: {}", e.trace()),
            }
        }
    }

    /// All events up to the first for which `last` holds.
    #[track_caller]
    pub fn events_until(&mut self, what: &str, last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        self.until(what, |step| {
            events.extend(step.events.iter().cloned());
            step.events.iter().any(&last)
        });
        events
    }

    /// As many events, no more and no fewer.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        if count > 0 {
            self.until(&format!("{count} events"), |step| {
                events.extend(step.events.iter().cloned());
                events.len() >= count
            });
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// Nothing but offsets within the time.
    #[track_caller]
    pub fn quiet_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Some(step) = self.poll(Duration::from_millis(20)).expect("no error") {
                assert!(step.events.is_empty(), "{:?}", step.events);
            }
        }
    }

    /// Until the snapshot is complete: its rows, and the offset that says so.
    #[track_caller]
    pub fn read_snapshot(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.until("the snapshot's end", |step| {
            events.extend(step.events.iter().cloned());
            step.offset.as_ref().is_some_and(|o| o.get("snapshot_completed") == Some(&true.into()))
        });
        events
    }

    pub fn stored(&self, offset: &SourceOffset) {
        self.task.feedback().stored(offset);
    }

    pub fn close(mut self) -> Option<SourceOffset> {
        self.task.close();
        self.offset
    }
}

fn event(batch: &ChangeBatch, change: &Change) -> Event {
    let transaction = batch.transactions.get(change.transaction as usize);
    if change.kind == ChangeKind::Record {
        let record = &batch.records[change.plan as usize];
        let mut content = Vec::new();
        bytes(&record.value.value, &mut content);
        let row = vec![("content".to_owned(), Some(String::from_utf8_lossy(&content).into_owned()))];
        let table = record.topic.to_string();
        return Event {
            table,
            op: 'm',
            row,
            key: Vec::new(),
            types: Vec::new(),
            details: Vec::new(),
            surprises: Vec::new(),
            lsn: change.change_lsn.0,
            xid: None,
            mark: "false",
        };
    }
    let relation = &batch.plans[change.plan as usize].relation;
    let columns = relation.columns.len();
    let surprises = batch.plans[change.plan as usize].surprises.iter();
    let (op, first) = match change.kind {
        ChangeKind::Read => ('r', Some(change.new)),
        ChangeKind::Insert => ('c', Some(change.new)),
        ChangeKind::Update => ('u', Some(change.new)),
        ChangeKind::Delete => ('d', (change.old_row != OldRow::None).then_some(change.old)),
        _ => ('t', None),
    };
    let values = |row: RowRef<'_>| -> Vec<Option<String>> {
        (0..columns).map(|i| row.get(i).map(|v| String::from_utf8_lossy(v).into_owned())).collect()
    };
    let values = first.map(|first| values(batch.row(first, columns))).unwrap_or_default();
    let names = relation.columns.iter().map(|c| c.name.to_string());
    Event {
        table: relation.qualified_name(),
        op,
        row: names.zip(values).collect(),
        key: relation.key.iter().map(|&i| relation.columns[i].name.to_string()).collect(),
        types: relation.columns.iter().map(|c| c.ty.name.to_string()).collect(),
        details: relation.columns.iter().map(details).collect(),
        surprises: surprises.map(|(column, surprise)| format!("{column} {}", surprise.name())).collect(),
        lsn: change.change_lsn.0,
        xid: transaction.and_then(|t| t.xid),
        mark: change.snapshot.as_str(),
    }
}

fn details(column: &Column) -> String {
    let mut parts = Vec::new();
    if !column.nullable {
        parts.push("required".to_owned());
    }
    parts.extend(column.default.as_deref().map(|default| format!("default {default}")));
    if let TypeKind::Enum(labels) = &column.ty.kind {
        parts.push(labels.join("|"));
    }
    parts.extend(column.comment.as_deref().map(|comment| format!("-- {comment}")));
    parts.join(" ")
}

fn bytes(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(b) => out.extend_from_slice(b),
        Value::Struct(fields) => fields.iter().for_each(|f| bytes(f, out)),
        _ => {}
    }
}

/// A table's rows, folded from events: by the key's values joined.
pub fn fold(events: &[Event], into: &mut BTreeMap<String, Vec<Option<String>>>) {
    for e in events {
        let key = format!("{} {}", e.table, e.key.iter().filter_map(|k| e.get(k)).collect::<Vec<_>>().join(","));
        match e.op {
            'd' => drop(into.remove(&key)),
            'm' => {}
            't' => into.retain(|k, _| !k.starts_with(&format!("{} ", e.table))),
            _ => drop(into.insert(key, e.row.iter().map(|(_, v)| v.clone()).collect())),
        }
    }
}

/// A server on which a commit with `synchronous_commit=on` waits for a standby that never comes: it is in the log, and nobody
/// sees it.
pub fn server_without_its_standby(major: u32) -> Arc<Postgres> {
    let builder = Postgres::builder(major);
    let builder = builder.option("synchronous_standby_names", "nosuch").option("synchronous_commit", "local");
    Arc::new(Postgres::start(builder))
}

/// A commit that is in the log and that nobody sees.
pub struct UnseenCommit {
    pid: i32,
    thread: std::thread::JoinHandle<()>,
}

impl UnseenCommit {
    /// Of one statement; on a [`server_without_its_standby`].
    pub fn start(db: &TempDatabase, sql: &str) -> UnseenCommit {
        let mut waiting = db.connect();
        let pid: i32 = waiting.query_one("select pg_backend_pid()", &[]).expect("a pid").get(0);
        let sql = format!("set synchronous_commit = on; {sql}");
        let thread = std::thread::spawn(move || {
            // It ends when it is told to wait no longer.
            let _ = waiting.batch_execute(&sql);
        });
        let waits = format!("select 1 from pg_stat_activity where pid = {pid} and wait_event = 'SyncRep'");
        walspring_testkit::wait_for("the commit", WAIT, || (!db.sql(&waits).is_empty()).then_some(()));
        UnseenCommit { pid, thread }
    }

    /// From now on all see it.
    pub fn show(self, db: &TempDatabase) {
        db.sql(&format!("select pg_cancel_backend({})", self.pid));
        self.thread.join().expect("the commit");
    }
}

/// Repeatable randomness.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

pub fn lsn(text: &str) -> u64 {
    let (high, low) = text.split_once('/').expect("an LSN");
    u64::from_str_radix(high, 16).expect("hex") << 32 | u64::from_str_radix(low, 16).expect("hex")
}

pub fn confirmed(db: &TempDatabase, slot: &str) -> u64 {
    lsn(&db
        .server()
        .value("postgres", &format!("select confirmed_flush_lsn from pg_replication_slots where slot_name = '{slot}'")))
}

pub fn number(offset: &SourceOffset, field: &str) -> Option<u64> {
    offset.get(field).and_then(|v| v.as_u64())
}
