//! A world to run a supervisor in: a store in memory, a writer that can hold back and be fenced, and a source that reads
//! a list.
#![allow(dead_code)]

pub mod sinks;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walspring_connect::writer::*;
use walspring_connect::*;
use walspring_record::{
    Change, ChangeBatch, ChangeKind, Header, Lsn, OldRow, Record, Schema, SchemaRef, SnapshotMark, TransactionOrder,
    Type, Typed,
};
use walspring_runtime::{
    ConfigInfos, ConfigKeyInfo, Options, Plugin, Plugins, Props, Supervisor, ValidationContext, WorkerSettings,
};

pub const CLASS: &str = "test.FakeConnector";

pub fn props(value: Value) -> Props {
    let Value::Object(props) = value else { panic!("an object") };
    props
}

pub fn config() -> Props {
    props(json!({ "connector.class": CLASS, "password": "${secret}" }))
}

#[track_caller]
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What outlives workers.
#[derive(Default)]
pub struct World {
    pub configs: Arc<MemoryLog>,
    pub offsets: Arc<MemoryLog>,
    pub statuses: Arc<MemoryLog>,
    pub state: Arc<MemoryLog>,
    pub own_offsets: Mutex<HashMap<String, Arc<MemoryLog>>>,
    pub transactional: AtomicBool,
    /// What is in the topics: topic and value.
    pub produced: Mutex<Vec<(String, String)>>,
    pub headers: Mutex<Vec<String>>,
    /// Nothing becomes durable while this is set.
    pub hold: AtomicBool,
    /// How many questions of the transform nobody will answer.
    pub unanswered: Arc<AtomicU64>,
    /// A fenced writer's worker still is the one of its group.
    pub still_ours: AtomicBool,
    epochs: Mutex<BTreeMap<(String, u32), u64>>,
    pub source: Arc<Source>,
    pub topics: Arc<sinks::Topics>,
    pub sink: Arc<sinks::Sink>,
    pub seen: Arc<sinks::Seen>,
}

impl World {
    pub fn new() -> Arc<World> {
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::DEBUG).try_init();
        Arc::default()
    }

    pub fn transactional() -> Arc<World> {
        let world = World::new();
        world.transactional.store(true, Ordering::SeqCst);
        world
    }

    pub fn start(self: &Arc<Self>) -> Arc<Supervisor> {
        let world = self.clone();
        let worker = self.start_with(Box::new(move || Ok(Arc::new(FakeBackend(world.clone())) as Arc<dyn Backend>)));
        assert!(worker.wait_ready(Duration::from_secs(60)));
        worker
    }

    pub fn start_with(self: &Arc<Self>, connect: walspring_runtime::Connect) -> Arc<Supervisor> {
        let settings = WorkerSettings {
            worker_id: "host:8083".into(),
            graceful_timeout: Duration::from_secs(2),
            offset_flush_interval: Duration::from_millis(20),
            worker_config: [
                ("group.id", "connect-cluster"),
                ("key.converter", "test.Text"),
                ("value.converter", "test.Text"),
                ("header.converter", "test.Text"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            ..WorkerSettings::default()
        };
        Supervisor::start(settings, plugins(self), connect).unwrap()
    }

    /// As SIGKILL: nothing that the worker still does has an effect.
    pub fn kill(&self) {
        self.epochs.lock().unwrap().values_mut().for_each(|epoch| *epoch += 1);
        for log in [&self.configs, &self.offsets, &self.statuses, &self.state] {
            log.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub fn values(&self) -> Vec<String> {
        self.produced.lock().unwrap().iter().map(|(_, v)| v.clone()).collect()
    }

    /// The stored offset's `n`.
    pub fn stored(&self) -> Option<u64> {
        let value = self.offsets.get(r#"["a",{"list":"x"}]"#)?;
        serde_json::from_str::<Value>(&value).unwrap()["n"].as_u64()
    }

    pub fn status(&self, worker: &Supervisor) -> Vec<String> {
        match worker.status("a") {
            Err(e) => vec![e.message],
            Ok(s) => {
                let connector = s.connector.state.as_str().to_owned();
                [connector].into_iter().chain(s.tasks.iter().map(|t| t.state.as_str().to_owned())).collect()
            }
        }
    }

    pub fn wait_status(&self, worker: &Supervisor, want: &[&str]) {
        wait_until(&format!("{want:?}, not {:?}", self.status(worker)), || self.status(worker) == want);
    }
}

#[derive(Default)]
pub struct MemoryLog {
    pub records: Mutex<Vec<(String, Option<String>)>>,
    pub fails: Mutex<Option<StoreError>>,
    generation: AtomicU64,
}

impl MemoryLog {
    pub fn get(&self, key: &str) -> Option<String> {
        self.records.lock().unwrap().iter().rev().find(|(k, _)| k == key)?.1.clone()
    }

    pub fn all(&self) -> Vec<String> {
        let line = |(k, v): &(String, Option<String>)| format!("{k} {}", v.as_deref().unwrap_or("null"));
        self.records.lock().unwrap().iter().map(line).collect()
    }

    pub fn put(&self, key: &str, value: &str) {
        self.records.lock().unwrap().push((key.to_owned(), Some(value.to_owned())));
    }

    pub fn fail(&self, error: Option<StoreError>) {
        *self.fails.lock().unwrap() = error;
    }
}

/// A log as one worker sees it.
struct LogOfWorker(Arc<MemoryLog>, u64);

impl KeyedLog for LogOfWorker {
    fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
        if let Some(e) = self.0.fails.lock().unwrap().clone() {
            return Err(e);
        }
        let record = |(i, (k, v)): (usize, &(String, Option<String>))| KeyedRecord {
            key: k.clone().into_bytes(),
            value: v.clone().map(String::into_bytes),
            kafka_offset: i as i64,
        };
        Ok(self.0.records.lock().unwrap().iter().enumerate().map(record).collect())
    }

    fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        if self.0.generation.load(Ordering::SeqCst) != self.1 {
            return Err(StoreError::Transient("killed".into()));
        }
        if let Some(e) = self.0.fails.lock().unwrap().clone() {
            return Err(e);
        }
        let text = |b: &Vec<u8>| String::from_utf8(b.clone()).unwrap();
        self.0.records.lock().unwrap().extend(records.iter().map(|(k, v)| (text(k), v.as_ref().map(text))));
        Ok(())
    }
}

pub struct FakeBackend(pub Arc<World>);

fn of_worker(log: &Arc<MemoryLog>) -> Arc<dyn KeyedLog> {
    Arc::new(LogOfWorker(log.clone(), log.generation.load(Ordering::SeqCst)))
}

impl Backend for FakeBackend {
    fn cluster_id(&self) -> String {
        "cluster".into()
    }
    fn configs(&self) -> Arc<dyn KeyedLog> {
        of_worker(&self.0.configs)
    }
    fn offsets(&self, topic: Option<&str>) -> Result<Arc<dyn KeyedLog>, StoreError> {
        Ok(match topic {
            None => of_worker(&self.0.offsets),
            Some(topic) => of_worker(self.0.own_offsets.lock().unwrap().entry(topic.to_owned()).or_default()),
        })
    }
    fn statuses(&self) -> Arc<dyn KeyedLog> {
        of_worker(&self.0.statuses)
    }
    fn state(&self) -> Option<Arc<dyn KeyedLog>> {
        Some(of_worker(&self.0.state))
    }
    fn writer(
        &self,
        request: WriterRequest,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Box<dyn RecordWriter>, WriteError> {
        let id = (request.connector, request.task);
        let mut epochs = self.0.epochs.lock().unwrap();
        let epoch = epochs.entry(id.clone()).or_default();
        *epoch += 1;
        Ok(Box::new(Writer { world: self.0.clone(), id, epoch: *epoch, listener, held: VecDeque::new() }))
    }
    fn transactional(&self) -> bool {
        self.0.transactional.load(Ordering::SeqCst)
    }
    fn consumer(&self, request: ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> {
        sinks::join(&self.0.topics, request)
    }
    fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        Ok(self.0.topics.group_offsets(group))
    }
    fn alter_group_offsets(&self, group: &str, offsets: &[(TopicPartition, Option<i64>)]) -> Result<(), StoreError> {
        self.0.topics.alter(group, offsets)
    }
    fn delete_group(&self, group: &str) -> Result<(), StoreError> {
        self.0.topics.delete_group(group)
    }
    fn dead_letters(&self, request: DeadLetterRequest) -> Result<Box<dyn DeadLetterQueue>, StoreError> {
        Ok(sinks::dead_letters(&self.0.topics, request))
    }
    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(self.0.still_ours.load(Ordering::SeqCst))
    }
}

struct Writer {
    world: Arc<World>,
    id: (String, u32),
    epoch: u64,
    listener: Arc<dyn DurabilityListener>,
    held: VecDeque<Ticket>,
}

impl Writer {
    fn write_held(&mut self) -> Result<(), WriteError> {
        if self.world.epochs.lock().unwrap()[&self.id] != self.epoch {
            return Err(WriteError::Fenced("a newer producer".into()));
        }
        let transactional = self.world.transactional.load(Ordering::SeqCst);
        while !self.world.hold.load(Ordering::SeqCst)
            && let Some(ticket) = self.held.pop_front()
        {
            for batch in &ticket.batches {
                for line in std::str::from_utf8(&batch.bytes).unwrap().lines() {
                    let (value, headers) = line.split_once('|').unwrap();
                    self.world.produced.lock().unwrap().push((batch.topic.to_string(), value.to_owned()));
                    self.world.headers.lock().unwrap().push(headers.to_owned());
                }
            }
            assert!(transactional || ticket.offset.is_none());
            let stored = ticket.offset.is_some();
            if let Some(OffsetRecord { key, value }) = ticket.offset {
                let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
                self.world.offsets.records.lock().unwrap().push((text(key), value.map(text)));
            }
            self.listener.durable(ticket.number, stored);
        }
        Ok(())
    }
}

impl RecordWriter for Writer {
    fn topic(&mut self, _: &str) -> Result<TopicInfo, WriteError> {
        Ok(TopicInfo { partitions: 1, batch_bytes_max: 1 << 20 })
    }
    fn submit(&mut self, ticket: Ticket) -> Result<(), WriteError> {
        self.held.push_back(ticket);
        self.write_held()
    }
    fn idle(&mut self) {
        if let Err(e) = self.write_held() {
            self.listener.failed(e);
        }
    }
    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError> {
        let end = Instant::now() + timeout;
        loop {
            self.write_held()?;
            if self.held.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(WriteError::Transient("not flushed in time".into()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    fn abort(self: Box<Self>) {}
}

/// Lines of text.
#[derive(Default)]
struct Lines {
    topics: Vec<Arc<str>>,
    headers: Vec<Vec<HeaderBytes>>,
    open: Vec<(u32, Vec<u8>, u32)>,
}

impl BatchAssembler for Lines {
    fn topic(&mut self, name: &Arc<str>, _: &TopicInfo) -> TopicId {
        self.topics.push(name.clone());
        TopicId(self.topics.len() as u32 - 1)
    }
    fn headers(&mut self, headers: &[HeaderBytes]) -> HeadersId {
        self.headers.push(headers.to_vec());
        HeadersId(self.headers.len() as u32 - 1)
    }
    fn append(&mut self, r: &RecordBytes<'_>) {
        let names = |h: &[HeaderBytes]| h.iter().map(|(n, _)| n.to_string()).collect::<Vec<_>>();
        let mut headers = names(r.own_headers);
        headers.extend(names(&self.headers[r.headers.0 as usize]));
        let value = r.value.map_or("null".into(), String::from_utf8_lossy);
        let line = format!("{value}|{}\n", headers.join(","));
        match self.open.iter_mut().find(|(t, ..)| *t == r.topic.0) {
            Some((_, bytes, n)) => {
                bytes.extend(line.bytes());
                *n += 1;
            }
            None => self.open.push((r.topic.0, line.into_bytes(), 1)),
        }
    }
    fn size_alone(&self, r: &RecordBytes<'_>) -> usize {
        r.value.map_or(0, <[u8]>::len)
    }
    fn take(&mut self) -> Vec<EncodedBatch> {
        let batch = |(topic, bytes, records): (u32, Vec<u8>, u32)| EncodedBatch {
            topic: self.topics[topic as usize].clone(),
            partition: 0,
            records,
            bytes,
        };
        self.open.drain(..).map(batch).collect()
    }
}

/// A list that grows, and what is done with it.
#[derive(Default)]
pub struct Source {
    pub events: Mutex<Vec<String>>,
    /// The newest offset that was confirmed.
    pub confirmed: AtomicU64,
    /// Errors of the polls to come.
    pub poll_errors: Mutex<VecDeque<TaskError>>,
    pub start_errors: Mutex<VecDeque<TaskError>>,
    /// How many polls to come panic, confirmations, and threads of the source.
    pub panics: AtomicU64,
    pub confirm_panics: AtomicU64,
    pub thread_panics: AtomicU64,
    pub starts: AtomicU64,
    pub closes: AtomicU64,
    /// At most this many events a poll; 0: all.
    pub batch: AtomicU64,
    /// The configuration that the last start got.
    pub config: Mutex<Vec<(String, String)>>,
    pub waiting: Mutex<Option<Arc<dyn Progress>>>,
}

impl Source {
    pub fn add(&self, events: impl IntoIterator<Item = u64>) {
        self.events.lock().unwrap().extend(events.into_iter().map(|n| n.to_string()));
    }

    pub fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::SeqCst)
    }
}

struct FakePlugin(Arc<Source>);

impl SourcePlugin for FakePlugin {
    fn class(&self) -> &'static str {
        CLASS
    }
    fn version(&self) -> &'static str {
        "1.0"
    }
    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        let unreachable = config.iter().any(|(k, v)| k == "host" && v == "down");
        unreachable
            .then(|| ("host".into(), "Error while validating connector config: refused".into()))
            .into_iter()
            .collect()
    }
    fn task_configs(&self, config: &[(String, String)], _: u32) -> Result<Vec<Vec<(String, String)>>, TaskError> {
        Ok(vec![config.to_vec()])
    }
    fn start(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>, TaskError> {
        self.0.starts.fetch_add(1, Ordering::SeqCst);
        *self.0.config.lock().unwrap() = context.config.clone();
        *self.0.waiting.lock().unwrap() = Some(context.progress.clone());
        if let Some(e) = self.0.start_errors.lock().unwrap().pop_front() {
            return Err(e);
        }
        let offset = (context.offset)(&partition())?;
        let next = offset.map_or(0, |o| o["n"].as_u64().unwrap());
        if self.0.thread_panics.load(Ordering::SeqCst) > 0 {
            let source = self.0.clone();
            threads::spawn("of-the-source", move || panic_if_asked(&source.thread_panics)).unwrap();
        }
        Ok(Box::new(FakeTask { source: self.0.clone(), next, stop: context.stop }))
    }
}

fn panic_if_asked(times: &AtomicU64) {
    let left = times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    assert!(left.is_err(), "asked to break off");
}

fn partition() -> SourcePartition {
    props(json!({ "list": "x" }))
}

struct FakeTask {
    source: Arc<Source>,
    next: u64,
    stop: StopToken,
}

struct Confirm(Arc<Source>);

impl Feedback for Confirm {
    fn stored(&self, offset: &walspring_record::SourceOffset) {
        panic_if_asked(&self.0.confirm_panics);
        self.0.confirmed.store(offset["n"].as_u64().unwrap(), Ordering::SeqCst);
    }
}

pub fn text() -> SchemaRef {
    Arc::new(Schema::new(Type::String))
}

impl SourceTask for FakeTask {
    fn partition(&self) -> SourcePartition {
        partition()
    }
    fn poll(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        panic_if_asked(&self.source.panics);
        if let Some(e) = self.source.poll_errors.lock().unwrap().pop_front() {
            return Err(e);
        }
        let end = Instant::now() + wait;
        loop {
            let events = self.source.events.lock().unwrap();
            let limit = match self.source.batch.load(Ordering::SeqCst) {
                0 => u64::MAX,
                n => n,
            };
            let until = (events.len() as u64).min(self.next.saturating_add(limit));
            if until > self.next {
                for event in &events[self.next as usize..until as usize] {
                    let plan = batch.records.len() as u32;
                    batch.records.push(Record {
                        topic: "t".into(),
                        partition: None,
                        key: Typed::NULL,
                        value: Typed::new(text(), walspring_record::Value::string(event.as_str())),
                        headers: vec![Header { name: "h".into(), value: Typed::NULL }],
                        timestamp_ms: None,
                    });
                    batch.changes.push(Change {
                        kind: ChangeKind::Record,
                        old_row: OldRow::None,
                        snapshot: SnapshotMark::False,
                        plan,
                        transaction: 0,
                        new: 0,
                        old: 0,
                        change_lsn: Lsn::ZERO,
                        seen_us: 0,
                        order: TransactionOrder::default(),
                    });
                }
                self.next = until;
                batch.offset = Some(props(json!({ "n": until })));
                batch.drained = until == events.len() as u64;
                return Ok(Poll::Batch);
            }
            drop(events);
            if Instant::now() >= end || self.stop.is_stopped() {
                return Ok(Poll::Idle);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    fn feedback(&self) -> Arc<dyn Feedback> {
        Arc::new(Confirm(self.source.clone()))
    }
    fn close(&mut self) {
        self.source.closes.fetch_add(1, Ordering::SeqCst);
    }
}

struct Text;

impl Converter for Text {
    fn encode(
        &self,
        _: &str,
        _: Option<&SchemaRef>,
        value: &walspring_record::Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        match value {
            walspring_record::Value::Null => Ok(Presence::Null),
            walspring_record::Value::String(s) if &**s == "bad" => Err(ConvertError::data("it is bad")),
            walspring_record::Value::String(s) if &**s == "broken" => panic!("no way to write {s:?}"),
            walspring_record::Value::String(s) => {
                out.extend(s.bytes());
                Ok(Presence::Bytes)
            }
            _ => Err(ConvertError::data("only text")),
        }
    }
    fn decode(&self, _: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        match bytes.map(|bytes| std::str::from_utf8(bytes).unwrap()) {
            None => Ok(Typed::NULL),
            Some(t) if t.contains("unreadable") => Err(ConvertError::data("it cannot be read")),
            Some(t) => Ok(Typed::new(text(), walspring_record::Value::string(t))),
        }
    }
}

impl HeaderConverter for Text {
    fn encode_header(
        &self,
        _: &str,
        _: &str,
        _: Option<&Schema>,
        _: &walspring_record::Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        Ok(None)
    }
    fn decode_header(&self, topic: &str, _: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        self.decode(topic, bytes)
    }
}

/// Drops the records whose value is the option `value`; asks somebody about `asked`, who may be away.
struct Drop(String, Arc<AtomicU64>);

impl Transform for Drop {
    fn apply(&mut self, record: Record) -> Result<Option<Record>, ConvertError> {
        let dropped = record.value.value == walspring_record::Value::string(self.0.as_str());
        if record.value.value == walspring_record::Value::string("untransformable") {
            return Err(ConvertError::data("it cannot be transformed"));
        }
        let is_away = |left: u64| left.checked_sub(1);
        if record.value.value == walspring_record::Value::string("asked")
            && self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_away).is_ok()
        {
            return Err(ConvertError { class: RETRIABLE_EXCEPTION, message: "nobody answers".into() });
        }
        Ok((!dropped).then_some(record))
    }
    fn may_be_retried(&self) -> bool {
        true
    }
}

struct FakeOptions;

impl Options for FakeOptions {
    fn resolve(&self, config: &Props) -> Result<Vec<(String, Option<String>)>, String> {
        let value = |v: &Value| match v.as_str()?.strip_prefix("${file:") {
            Some(path) => std::fs::read_to_string(path.trim_end_matches('}')).ok(),
            None => v.as_str().map(|v| v.replace("${secret}", "hunter2")),
        };
        if config.values().any(|v| v == "${nowhere}") {
            return Err("Could not read properties from file /nowhere".into());
        }
        Ok(config.iter().map(|(k, v)| (k.clone(), value(v))).collect())
    }
    fn validate(&self, class: &str, config: &[(String, Option<String>)], _: ValidationContext) -> ConfigInfos {
        let mut infos =
            ConfigInfos { name: class.into(), groups: Vec::new(), entries: Vec::new(), warnings: Vec::new() };
        for (key, value) in config {
            match value {
                None => infos.add_error(key, "Null value can not be supplied as the configuration value."),
                Some(v) if v == "bad" => infos.add_error(key, format!("The '{key}' value is invalid: bad")),
                _ => {}
            }
        }
        infos
    }
    fn definitions(&self, class: &str) -> Option<Vec<ConfigKeyInfo>> {
        (class == CLASS).then(Vec::new)
    }
}

pub fn plugins(world: &World) -> Plugins {
    let unanswered = world.unanswered.clone();
    Plugins {
        sources: vec![Arc::new(FakePlugin(world.source.clone()))],
        sinks: vec![Arc::new(sinks::FakeSink(world.sink.clone()))],
        converters: vec![Plugin { class: "test.Text", version: None, make: Box::new(|_, _| Ok(Arc::new(Text))) }],
        header_converters: vec![Plugin {
            class: "test.Text",
            version: Some("2"),
            make: Box::new(|_| Ok(Arc::new(Text))),
        }],
        transforms: vec![Plugin {
            class: "test.Drop",
            version: None,
            make: Box::new(move |config| Ok(Box::new(Drop(config[0].1.clone(), unanswered.clone())))),
        }],
        predicates: Vec::new(),
        assembler: Box::new(|| Box::new(Lines::default())),
        options: Box::new(FakeOptions),
        source_observer: None,
        sink_observer: Some(world.seen.clone()),
    }
}
