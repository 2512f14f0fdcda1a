//! What the producer's tests share: a listener to wait on, tickets of numbered records, and librdkafka as the reader
//! that says what really stands in the log.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use walspring_connect::writer::{DurabilityListener, EncodedBatch, OffsetRecord, RecordWriter, Ticket, WriteError};
use walspring_connect::{KeyedLog, StoreError};
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_kafka::keyed_log::{KafkaKeyedLog, LogWriter};
use walspring_kafka::producer::{Delivery, KafkaProducer, ProducerConfig, TransactionConfig};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder};

pub mod proxy;
pub mod worker;

pub use worker::unique;

pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a task may stay where it is, with its broker killed and recovering meanwhile.
const STUCK_MAX: Duration = Duration::from_secs(120);

/// Hears what became durable, and lets a test wait for it.
#[derive(Default)]
pub struct Heard {
    state: Mutex<(u64, Option<bool>, Option<WriteError>)>,
    changed: Condvar,
}

impl DurabilityListener for Heard {
    fn durable(&self, ticket: u64, offset_stored: bool) {
        let mut state = self.state.lock().unwrap();
        assert!(ticket > state.0, "durable({ticket}) after durable({})", state.0);
        (state.0, state.1) = (ticket, Some(offset_stored));
        self.changed.notify_all();
    }

    fn failed(&self, error: WriteError) {
        self.state.lock().unwrap().2 = Some(error);
        self.changed.notify_all();
    }
}

impl Heard {
    pub fn durable_now(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    pub fn failure_now(&self) -> Option<WriteError> {
        self.state.lock().unwrap().2.clone()
    }

    /// Waits until the ticket is durable; whether its offset was stored with it.
    #[track_caller]
    pub fn wait_durable(&self, ticket: u64) -> bool {
        let state = self.state.lock().unwrap();
        let (state, late) =
            self.changed.wait_timeout_while(state, PATIENCE, |s| s.0 < ticket && s.2.is_none()).unwrap();
        assert!(!late.timed_out() && state.2.is_none(), "ticket {ticket}: heard {}, {:?}", state.0, state.2);
        state.1.unwrap()
    }

    #[track_caller]
    pub fn wait_failed(&self) -> WriteError {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |s| s.2.is_none()).unwrap();
        state.2.clone().expect("a failure")
    }
}

pub fn create_topic(bootstrap: &str, name: &str, partitions: i32, replicas: i32, config: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in config {
        topic = topic.set(key, value);
    }
    create(bootstrap, topic);
}

fn create(bootstrap: &str, topic: NewTopic<'_>) {
    let (name, partitions) = (topic.name, topic.num_partitions);
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = runtime.block_on(admin.create_topics([&topic], &options)).unwrap();
    made.into_iter().next().unwrap().unwrap();
    // It is made before the brokers know whom they lead: a batch that comes then is sent once more.
    let reader: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    for partition in 0..partitions {
        walspring_testkit::wait_for("a leader", PATIENCE, || {
            reader.fetch_watermarks(name, partition, Duration::from_secs(5)).ok()
        });
    }
}

pub fn add_partitions(bootstrap: &str, topic: &str, count: usize) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let partitions = NewPartitions::new(topic, count);
    let made = runtime.block_on(admin.create_partitions([&partitions], &AdminOptions::new())).unwrap();
    made.into_iter().next().unwrap().unwrap();
}

/// A topic and an offsets topic, and the names that go with them.
pub struct Place {
    pub bootstrap: String,
    pub topic: Arc<str>,
    pub offsets: String,
    pub transactional_id: String,
}

impl Place {
    pub fn new(bootstrap: &str, name: &str, partitions: i32) -> Self {
        Self::replicated(bootstrap, name, partitions, 1)
    }

    pub fn replicated(bootstrap: &str, name: &str, partitions: i32, replicas: i32) -> Self {
        let place = Self::named(bootstrap, unique(name));
        create_topic(bootstrap, &place.topic, partitions, replicas, &[]);
        create_topic(bootstrap, &place.offsets, 5, replicas, &[]);
        place
    }

    /// All of it on one broker, without copies; which one may depend on the transactional id.
    pub fn on_broker(bootstrap: &str, name: &str, node: impl Fn(&str) -> i32) -> Self {
        let place = Self::named(bootstrap, unique(name));
        let node = [node(&place.transactional_id)];
        create(bootstrap, NewTopic::new(&place.topic, 1, TopicReplication::Variable(&[&node])));
        create(bootstrap, NewTopic::new(&place.offsets, 5, TopicReplication::Variable(&[&node[..]; 5])));
        place
    }

    fn named(bootstrap: &str, topic: String) -> Self {
        let (offsets, transactional_id) = (format!("{topic}-offsets"), format!("tx-{topic}"));
        Self { bootstrap: bootstrap.into(), topic: topic.into(), offsets, transactional_id }
    }

    pub fn transactional(&self) -> ProducerConfig {
        let transaction = TransactionConfig::new(&self.transactional_id, &self.offsets);
        ProducerConfig::new([&self.bootstrap], Delivery::Transactional(transaction))
    }

    pub fn version_1(&self) -> ProducerConfig {
        let mut transaction = TransactionConfig::new(&self.transactional_id, &self.offsets);
        transaction.force_version_1 = true;
        ProducerConfig::new([&self.bootstrap], Delivery::Transactional(transaction))
    }

    pub fn at_least_once(&self) -> ProducerConfig {
        ProducerConfig::new([&self.bootstrap], Delivery::AtLeastOnce)
    }

    /// Records with the numbers `from..to` as their values, in one batch of one partition.
    pub fn batch(&self, partition: i32, from: u64, to: u64) -> EncodedBatch {
        let mut headers = EncodedHeaders::new();
        headers.push("table", Some(b"orders"));
        let mut builder = RecordBatchBuilder::new(4096);
        for number in from..to {
            builder.append(now_ms(), Some(b"key"), Some(number.to_string().as_bytes()), &headers);
        }
        let (bytes, records) = builder.finish();
        EncodedBatch { topic: self.topic.clone(), partition, records, bytes }
    }

    /// A ticket of one batch in partition 0; its offset is `to`.
    pub fn ticket(&self, number: u64, from: u64, to: u64) -> Ticket {
        Ticket { number, batches: vec![self.batch(0, from, to)], offset: Some(offset(to)) }
    }

    /// The numbers in each partition, in the log's order, as a reader of committed records sees them.
    pub fn committed(&self, partitions: i32) -> Vec<Vec<u64>> {
        (0..partitions)
            .map(|p| {
                let records = read(&self.bootstrap, &self.topic, p, true);
                records.iter().map(|(_, value)| std::str::from_utf8(value).unwrap().parse().unwrap()).collect()
            })
            .collect()
    }

    /// Every partition has the numbers up to `total`, each once and in order. A commit is answered before its markers are
    /// everywhere: they are waited for.
    #[track_caller]
    pub fn assert_committed(&self, partitions: i32, total: u64) {
        let begun = Instant::now();
        let mut committed = self.committed(partitions);
        while committed.iter().any(|found| (found.len() as u64) < total) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            committed = self.committed(partitions);
        }
        for (partition, found) in committed.into_iter().enumerate() {
            let wrong = found.iter().copied().ne(0..total);
            let at = found.iter().zip(0..).position(|(found, expected)| *found != expected).unwrap_or(found.len());
            let near = &found[at.saturating_sub(3)..found.len().min(at + 3)];
            assert!(!wrong, "partition {partition}: {} of {total} records, wrong at {at}: {near:?}", found.len());
        }
    }

    /// As [`Self::assert_committed`], of the stored offset.
    #[track_caller]
    pub fn assert_stored(&self, total: u64) {
        let begun = Instant::now();
        let mut stored = self.stored_offset();
        while stored != Some(total) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
            stored = self.stored_offset();
        }
        assert_eq!(stored, Some(total));
    }

    /// The newest offset that a reader of committed records sees.
    pub fn stored_offset(&self) -> Option<u64> {
        let (key, _) = offset_bytes(0);
        let mut found = None;
        for partition in 0..5 {
            for (record_key, value) in read(&self.bootstrap, &self.offsets, partition, true) {
                assert_eq!(record_key, key);
                assert_eq!(partition, walspring_record_batch::partition_for_key(&key, 5));
                found = Some(lsn(&value));
            }
        }
        found
    }

    /// The offset that a restarted task goes on from, read as a task reads it: not while a newer one has no outcome.
    pub fn settled_offset(&self) -> Result<Option<u64>, StoreError> {
        let worker = Properties::from([("bootstrap.servers".to_owned(), self.bootstrap.clone())]);
        let options = |owner| ClientOptions::internal(owner, &worker).unwrap();
        let writer = Arc::new(LogWriter::new(options(Owner::Producer), None));
        let log = KafkaKeyedLog::new(self.offsets.clone(), options(Owner::Consumer), writer);
        let (key, _) = offset_bytes(0);
        let records = log.read_settled(&|of_record| of_record == key)?;
        Ok(records.last().and_then(|record| record.value.as_deref()).map(lsn))
    }
}

fn lsn(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap();
    text.trim_start_matches(r#"{"lsn":"#).trim_end_matches('}').parse().unwrap()
}

/// Records older than the broker's retention may be deleted under a test.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

fn offset_bytes(lsn: u64) -> (Vec<u8>, Vec<u8>) {
    (br#"["connector",{"server":"shop"}]"#.to_vec(), format!(r#"{{"lsn":{lsn}}}"#).into_bytes())
}

pub fn offset(lsn: u64) -> OffsetRecord {
    let (key, value) = offset_bytes(lsn);
    OffsetRecord { key, value: Some(value) }
}

/// Key and value of every record of a partition, up to its end.
pub fn read(bootstrap: &str, topic: &str, partition: i32, committed: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("reader"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" })
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    let begun = Instant::now();
    loop {
        match consumer.poll(PATIENCE).expect("a record or the end of the partition") {
            Ok(m) => records.push((m.key().unwrap_or_default().to_vec(), m.payload().unwrap_or_default().to_vec())),
            Err(KafkaError::PartitionEOF(_)) => return records,
            // The broker is being killed by the test; librdkafka tries on.
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
            )) => assert!(begun.elapsed() < STUCK_MAX, "{topic}-{partition} cannot be read: its broker stays away"),
            Err(error) => panic!("{error}"),
        }
    }
}

pub fn connect(config: ProducerConfig) -> (KafkaProducer, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let producer = KafkaProducer::connect(config, heard.clone(), None).expect("a producer");
    (producer, heard)
}

/// What a source task does, reduced to numbers: goes on from the stored offset, after every end of the producer with
/// a new one, until `total` records are durable. How many producers it took.
///
/// Fails once the stored offset has not moved for [`STUCK_MAX`], whatever holds it, and says what its last attempts heard.
#[track_caller]
pub fn run_as_task(place: &Place, config: &ProducerConfig, total: u64, per_ticket: u64) -> u32 {
    let mut moved = (None, Instant::now());
    let mut heard = VecDeque::new();
    for producers in 1.. {
        let left = STUCK_MAX.saturating_sub(moved.1.elapsed());
        if left.is_zero() {
            panic!("the task never ends: it stays at {:?} of {total}, producer {producers}; {heard:#?}", moved.0);
        }
        let attempt = attempt_as_task(place, config, total, per_ticket, left);
        let Err(error) = attempt.result else { return producers };
        if attempt.started_from > moved.0 {
            moved = (attempt.started_from, Instant::now());
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
        heard.push_back(format!("after {:?}: {error}", moved.1.elapsed()));
        if heard.len() > 5 {
            heard.pop_front();
        }
    }
    unreachable!()
}

struct Attempt {
    /// The stored offset, where it could be read.
    started_from: Option<u64>,
    /// Or why another attempt has to follow.
    result: Result<(), String>,
}

fn attempt_as_task(place: &Place, config: &ProducerConfig, total: u64, per_ticket: u64, time_max: Duration) -> Attempt {
    let ended = |started_from, error: WriteError| match error {
        WriteError::Transient(text) => Attempt { started_from, result: Err(text) },
        error => panic!("{error}"),
    };
    let mut config = config.clone();
    config.connect_timeout = config.connect_timeout.min(time_max);
    let mut producer = match KafkaProducer::connect(config, Arc::new(Heard::default()), None) {
        Ok(producer) => producer,
        Err(error) => return ended(None, error),
    };
    let mut next = match place.settled_offset() {
        Ok(offset) => offset.unwrap_or(0),
        Err(StoreError::Transient(text)) => return Attempt { started_from: None, result: Err(text) },
        Err(error) => panic!("{error}"),
    };
    let started_from = Some(next);
    // A producer waits for its cluster for ever.
    let (over, is_over) = mpsc::channel::<()>();
    let handle = producer.handle();
    let watch = std::thread::spawn(move || match is_over.recv_timeout(time_max) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let status = handle.status();
            handle.abort();
            format!(" (ended by the test after {time_max:?}, {status:?})")
        }
        _ => String::new(),
    });
    let mut number = 0;
    let result = loop {
        if next >= total {
            break producer.flush(PATIENCE);
        }
        let to = total.min(next + per_ticket);
        number += 1;
        if let Err(error) = producer.submit(place.ticket(number, next, to)) {
            break Err(error);
        }
        next = to;
    };
    drop(over);
    let told = watch.join().unwrap();
    match result {
        Ok(()) => Attempt { started_from, result: Ok(()) },
        Err(WriteError::Transient(text)) => Attempt { started_from, result: Err(text + &told) },
        Err(error) if !told.is_empty() => Attempt { started_from, result: Err(error.to_string() + &told) },
        Err(error) => panic!("{error}"),
    }
}
