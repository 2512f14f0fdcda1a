//! The stored offset that a task goes on from, on a real broker: not an older one while a newer one has no outcome, and not
//! held by what others have open.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use walspring_connect::writer::{DurabilityListener, WriteError};
use walspring_connect::{Backend, KeyedLog, StoreError, WriterRequest};
use walspring_kafka::backend::KafkaBackend;
use walspring_record_batch::partition_for_key;
use walspring_testkit::{kafka, wait_for};

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::{properties, unique};

const TIMEOUT: Duration = Duration::from_secs(60);
/// As the worker makes the offsets topic.
const PARTITIONS: i32 = 25;
const OURS: &str = r#"["ours",{"server":"s"}]"#;

struct Place {
    backend: KafkaBackend,
    log: Arc<dyn KeyedLog>,
    topic: String,
}

impl Place {
    /// A worker, and the offsets topic of its own or of the connector.
    fn new(of_connector: bool) -> Place {
        let group = unique("settled");
        let worker = properties(&kafka().bootstrap(), &group, &[("exactly.once.source.support", "enabled")]);
        let backend = KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}"));
        let own = of_connector.then(|| format!("{group}-own"));
        let log = backend.offsets(own.as_deref()).expect("offsets");
        // A topic is made before all of its partitions have leaders.
        wait_for("the offsets topic", TIMEOUT, || log.read_to_end().ok());
        Place { backend, log, topic: own.unwrap_or_else(|| format!("{group}-offsets")) }
    }

    /// As a task starts: its writer is granted, and then it asks for the offset.
    fn start(&self) -> Result<Option<String>, StoreError> {
        struct Deaf;
        impl DurabilityListener for Deaf {
            fn durable(&self, _: u64, _: bool) {}
            fn failed(&self, _: WriteError) {}
        }
        let request = WriterRequest {
            connector: "ours".into(),
            task: 0,
            config: Vec::new(),
            offsets_topic: Some(self.topic.clone()),
        };
        let writer = self.backend.writer(request, Arc::new(Deaf)).unwrap_or_else(|error| panic!("{error}"));
        let stored = stored(&*self.log, OURS);
        writer.abort();
        stored
    }

    #[track_caller]
    fn check_starts_from(&self, expected: &str) {
        assert_eq!(self.start().unwrap_or_else(|error| panic!("{error}")).as_deref(), Some(expected));
    }

    #[track_caller]
    fn check_does_not_start(&self) -> String {
        match self.start() {
            Err(StoreError::Transient(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// A producer that the task's does not fence, as a broker that has lost markers leaves a transaction behind.
    fn begin(&self, compression: &str) -> BaseProducer {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", kafka().bootstrap())
            .set("transactional.id", unique("open"))
            .set("partitioner", "murmur2_random")
            .set("compression.type", compression)
            .create()
            .expect("a producer");
        producer.init_transactions(TIMEOUT).expect("a producer id");
        producer.begin_transaction().expect("begun");
        producer
    }

    fn send(&self, producer: &BaseProducer, key: &str, value: &str) {
        self.send_at(producer, key, value, std::time::UNIX_EPOCH.elapsed().expect("a clock"));
    }

    fn send_at(&self, producer: &BaseProducer, key: &str, value: &str, at: Duration) {
        let record = BaseRecord::to(&self.topic).key(key).payload(value).timestamp(at.as_millis() as i64);
        producer.send(record).unwrap_or_else(|(error, _)| panic!("{error}"));
        producer.flush(TIMEOUT).expect("flushed");
    }

    /// A whole transaction.
    fn commit(&self, value: &str) {
        let producer = self.begin("none");
        self.send(&producer, OURS, value);
        producer.commit_transaction(TIMEOUT).expect("committed");
    }

    fn partition(&self) -> i32 {
        partition_for_key(OURS.as_bytes(), PARTITIONS)
    }

    /// A key of somebody else in the same partition.
    fn theirs(&self) -> String {
        let keys = (0..).map(|n| format!(r#"["theirs-{n}",{{"server":"s"}}]"#));
        let mut beside = keys.filter(|key| partition_for_key(key.as_bytes(), PARTITIONS) == self.partition());
        beside.next().expect("a key")
    }
}

/// What was last stored under a key, of what is settled.
fn stored(log: &dyn KeyedLog, key: &str) -> Result<Option<String>, StoreError> {
    let records = log.read_settled(&|of_record| of_record == key.as_bytes())?;
    assert!(records.iter().all(|record| record.key == key.as_bytes()));
    let last: BTreeMap<_, _> = records.into_iter().map(|record| (record.kafka_offset, record.value)).collect();
    Ok(last.into_values().next_back().flatten().map(|value| String::from_utf8(value).expect("text")))
}

#[test]
fn a_task_does_not_go_on_from_an_older_offset() {
    let of_worker = [("none", "2", true), ("gzip", "3", false), ("zstd", "4", true)];
    for (of_connector, transactions) in [(false, &of_worker[..]), (true, &of_worker[..1])] {
        let place = Place::new(of_connector);
        place.commit("1");
        place.check_starts_from("1");
        let mut newest = "1";
        for &(compression, value, commits) in transactions {
            let producer = place.begin(compression);
            place.send(&producer, OURS, value);
            let began = Instant::now();
            let text = place.check_does_not_start();
            assert!(began.elapsed() < TIMEOUT, "an attempt ends: {:?}", began.elapsed());
            let what = format!(
                "the outcome of this connector's last transaction is not yet in the log of partition {} of topic {}: the \
                 broker has not written its markers",
                place.partition(),
                place.topic
            );
            assert!(text.starts_with(&what) && !text.contains("kafka-transactions.sh"), "{text}");
            if commits {
                producer.commit_transaction(TIMEOUT).expect("committed");
                newest = value;
            } else {
                producer.abort_transaction(TIMEOUT).expect("aborted");
            }
            place.check_starts_from(newest);
        }
    }
}

#[test]
fn markers_that_come_while_a_task_waits_are_seen() {
    let place = Place::new(false);
    place.commit("1");
    let producer = place.begin("none");
    place.send(&producer, OURS, "2");
    let (done, started) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| done.send(place.start()));
        assert!(started.recv_timeout(Duration::from_secs(1)).is_err(), "the transaction is still open");
        producer.commit_transaction(TIMEOUT).expect("committed");
        assert_eq!(started.recv_timeout(TIMEOUT).expect("an answer").expect("readable").as_deref(), Some("2"));
    });
}

/// Before and behind what we have committed, in the same partition.
#[test]
fn the_open_transaction_of_another_connector_does_not_hold_us() {
    let place = Place::new(false);
    let theirs = place.theirs();
    place.commit("1");
    let before = place.begin("none");
    place.send(&before, &theirs, "theirs");
    place.check_starts_from("1");
    place.commit("2");
    place.check_starts_from("2");
    let aborted = place.begin("none");
    place.send(&aborted, OURS, "3");
    aborted.abort_transaction(TIMEOUT).expect("aborted");
    let behind = place.begin("none");
    place.send(&behind, &theirs, "theirs");
    place.check_starts_from("2");
    // Without a transaction, as a worker stores offsets at least once.
    place.log.write(&[(OURS.into(), Some("4".into()))]).expect("written");
    place.check_starts_from("4");
    match stored(&*place.log, &theirs) {
        Err(StoreError::Transient(_)) => {}
        other => panic!("{other:?}"),
    }
    before.abort_transaction(TIMEOUT).expect("aborted");
    behind.commit_transaction(TIMEOUT).expect("committed");
    assert_eq!(stored(&*place.log, &theirs).expect("readable").as_deref(), Some("theirs"));
}

/// One that is open for longer than a transaction lasts is ended with the command that the error names.
#[test]
fn a_hanging_transaction_is_ended_with_the_command_that_is_named() {
    let place = Place::new(false);
    place.commit("1");
    let producer = place.begin("none");
    place.send(&producer, &place.theirs(), "first");
    let long_ago = std::time::UNIX_EPOCH.elapsed().expect("a clock") - Duration::from_secs(300);
    place.send_at(&producer, OURS, "2", long_ago);
    let text = place.check_does_not_start();
    let (_, command) = text.split_once("shows it, and kafka-transactions.sh ").unwrap_or_else(|| panic!("{text}"));
    let (command, _) = command.split_once(" ends it").unwrap_or_else(|| panic!("{text}"));
    let bootstrap = kafka().bootstrap();
    let args: Vec<&str> = ["--bootstrap-server", &bootstrap].into_iter().chain(command.split(' ')).collect();
    kafka().tool("org.apache.kafka.tools.TransactionsCommand", &args).unwrap_or_else(|error| panic!("{error}"));
    place.check_starts_from("1");
}
