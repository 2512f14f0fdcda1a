//! A worker's state on a real broker: internal topics, keyed logs, and two workers with one group.id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use walspring_connect::{Backend, KeyedLog, KeyedRecord, StoreError};
use walspring_kafka::admin::{Admin, NewTopic};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_kafka::topic_reader::{ReadFrom, TopicReader};
use walspring_record_batch::partition_for_key;
use walspring_testkit::kafka;

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::{properties, unique};

const TIMEOUT: Duration = Duration::from_secs(60);
/// After which a member that says nothing is not one any more.
const SESSION: Duration = Duration::from_secs(10);

fn worker(group: &str, more: &[(&str, &str)]) -> Properties {
    // The offsets topic has what the broker gives one.
    let more = [&[("offset.storage.replication.factor", "-1")], more].concat();
    properties(&kafka().bootstrap(), group, &more)
}

#[track_caller]
fn connect(worker: &Properties) -> KafkaBackend {
    KafkaBackend::connect(worker).unwrap_or_else(|error| panic!("{error}"))
}

fn options(worker: &Properties, owner: Owner) -> ClientOptions {
    ClientOptions::internal(owner, worker).expect("options")
}

fn admin(worker: &Properties) -> Admin {
    Admin::open(&options(worker, Owner::Admin), "test").expect("an admin client")
}

fn record(key: &str, value: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
}

/// What the log says last of each key; a key with a tombstone is left out.
fn table(log: &dyn KeyedLog) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for KeyedRecord { key, value, .. } in log.read_to_end().expect("readable") {
        let key = String::from_utf8(key).expect("text");
        match value {
            Some(value) => table.insert(key, String::from_utf8(value).expect("text")),
            None => table.remove(&key),
        };
    }
    table
}

fn read_all(worker: &Properties, topic: &str) -> Vec<walspring_kafka::consumer::ConsumedRecord> {
    let options = options(worker, Owner::Consumer);
    let mut reader = TopicReader::open(&options, topic, None, ReadFrom::Beginning, false).expect("a topic");
    let mut records = Vec::new();
    while !reader.is_at_end() {
        records.extend(reader.next(TIMEOUT).expect("readable"));
    }
    records
}

#[test]
fn internal_topics_are_made_as_connect_makes_them() {
    let worker = worker(&unique("made"), &[("offset.storage.segment.bytes", "1048576")]);
    let backend = connect(&worker);
    assert!(!backend.cluster_id().is_empty());
    let admin = admin(&worker);
    for (option, partitions) in [("config.storage.topic", 1), ("offset.storage.topic", 25), ("status.storage.topic", 5)]
    {
        let topic = &worker[option];
        assert_eq!(admin.partitions(topic, TIMEOUT), Ok(Some(partitions)), "{topic}");
        let config = admin.topic_config(topic, TIMEOUT).expect("settings");
        assert_eq!(config["cleanup.policy"], "compact", "{topic}");
    }
    assert_eq!(
        admin.topic_config(&worker["offset.storage.topic"], TIMEOUT).expect("settings")["segment.bytes"],
        "1048576"
    );
    let ours = format!("{}-walspring", worker["offset.storage.topic"]);
    assert_eq!(admin.partitions(&ours, TIMEOUT), Ok(Some(1)));
    let config = admin.topic_config(&ours, TIMEOUT).expect("settings");
    assert_eq!((config["cleanup.policy"].as_str(), config["segment.bytes"].as_str()), ("compact", "1048576"));
    drop(backend);
    connect(&worker);
}

#[test]
fn a_worker_that_may_not_have_our_own_topic_runs_without() {
    let name = unique("state");
    let worker = worker(&unique("without"), &[("walspring.state.topic", &name)]);
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
    let topic = NewTopic { name: name.clone(), partitions: 1, replication_factor: 1, config };
    admin(&worker).create_topic(&topic, TIMEOUT).expect("made");
    assert!(connect(&worker).state().is_none());
    let misnamed = self::worker(&unique("without"), &[("walspring.state.topic", "no topic")]);
    assert!(connect(&misnamed).state().is_none());
    let fine = self::worker(&unique("with"), &[]);
    let backend = connect(&fine);
    let state = backend.state().expect("the topic");
    state.write(&[record(r#"["c","slot"]"#, Some("{}")), record(r#"["d","slot"]"#, None)]).expect("written");
    assert_eq!(table(&*state), BTreeMap::from([(r#"["c","slot"]"#.to_owned(), "{}".to_owned())]));
}

#[test]
fn topics_that_would_lose_state_are_refused() {
    #[track_caller]
    fn check(option: &str, partitions: i32, policy: &str, part: &str) {
        let worker = worker(&unique("refused"), &[]);
        let topic = NewTopic {
            name: worker[option].clone(),
            partitions,
            replication_factor: 1,
            config: BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]),
        };
        admin(&worker).create_topic(&topic, TIMEOUT).expect("made");
        match KafkaBackend::connect(&worker).map(|_| ()) {
            Err(StoreError::Definite(text)) => assert!(text.contains(part), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    check("config.storage.topic", 2, "compact", "required to have a single partition");
    check("offset.storage.topic", 3, "delete", "found the topic currently has 'cleanup.policy=delete'");
    check("status.storage.topic", 3, "compact,delete", "required to have 'cleanup.policy=compact'");
    let too_many = worker(&unique("refused"), &[("config.storage.replication.factor", "3")]);
    match KafkaBackend::connect(&too_many).map(|_| ()) {
        Err(StoreError::Definite(text)) => assert!(text.contains("set config.storage.replication.factor"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_land_where_java_puts_them() {
    let worker = worker(&unique("murmur2"), &[]);
    let backend = connect(&worker);
    let mut records: Vec<_> =
        (0..200).map(|n| record(&format!("[\"c{n}\",{{\"server\":\"p{n}\"}}]"), Some("{\"lsn\":1}"))).collect();
    records.push(record("[\"inventory\",{\"server\":\"dbserver1\"}]", Some("")));
    records.push(record("[\"inventory\",{\"server\":\"dbserver2\"}]", None));
    backend.offsets(None).expect("offsets").write(&records).expect("written");
    let read = read_all(&worker, &worker["offset.storage.topic"]);
    assert_eq!(read.len(), records.len());
    for record in &read {
        let key = record.key.as_deref().expect("a key");
        assert_eq!(record.partition, partition_for_key(key, 25), "{}", String::from_utf8_lossy(key));
    }
    let value_of =
        |key: &str| read.iter().find(|r| r.key.as_deref() == Some(key.as_bytes())).expect("there").value.clone();
    assert_eq!(value_of("[\"inventory\",{\"server\":\"dbserver1\"}]"), Some(Vec::new()));
    assert_eq!(value_of("[\"inventory\",{\"server\":\"dbserver2\"}]"), None);
}

#[test]
fn what_was_written_is_read_back_by_the_next_worker() {
    for support in ["disabled", "preparing", "enabled"] {
        let worker = worker(&unique("again"), &[("exactly.once.source.support", support)]);
        let backend = connect(&worker);
        assert_eq!(backend.transactional(), support == "enabled");
        assert_eq!(backend.fences_workers(), support != "disabled");
        let configs = backend.configs();
        configs.write(&[record("connector-a", Some("1")), record("connector-b", Some("1"))]).expect("written");
        configs.write(&[record("connector-b", None), record("connector-a", Some("2"))]).expect("written");
        drop((configs, backend));
        let backend = connect(&worker);
        let expected = BTreeMap::from([("connector-a".to_owned(), "2".to_owned())]);
        assert_eq!(table(&*backend.configs()), expected, "{support}");
        assert_eq!(table(&*backend.statuses()), BTreeMap::new());
    }
}

fn transactional_producer(id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .set("transactional.id", id)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    producer.init_transactions(TIMEOUT).expect("a producer id");
    producer
}

fn send(producer: &BaseProducer, topic: &str, key: &str, value: &str) {
    producer.send(BaseRecord::to(topic).key(key).payload(value)).unwrap_or_else(|(error, _)| panic!("{error}"));
    producer.flush(TIMEOUT).expect("flushed");
}

#[test]
fn an_aborted_transaction_is_never_read() {
    let worker = worker(&unique("aborted"), &[]);
    let backend = connect(&worker);
    let (offsets, topic) = (backend.offsets(None).expect("offsets"), &worker["offset.storage.topic"]);
    offsets.write(&[record("a", Some("1"))]).expect("written");
    let producer = transactional_producer(&unique("aborting"));
    producer.begin_transaction().expect("begun");
    for key in ["a", "b", "c", "d"] {
        send(&producer, topic, key, "aborted");
    }
    producer.abort_transaction(TIMEOUT).expect("aborted");
    assert_eq!(table(&*offsets), BTreeMap::from([("a".to_owned(), "1".to_owned())]));
}

/// What is committed behind someone else's open transaction must not be missed.
#[test]
fn reading_waits_for_open_transactions() {
    let worker = worker(&unique("open"), &[]);
    let backend = connect(&worker);
    let (configs, topic) = (backend.configs(), worker["config.storage.topic"].clone());
    let producer = transactional_producer(&unique("opening"));
    producer.begin_transaction().expect("begun");
    send(&producer, &topic, "theirs", "1");
    configs.write(&[record("ours", Some("1"))]).expect("written");
    let (done, read) = mpsc::channel();
    let reading = configs.clone();
    std::thread::spawn(move || done.send(table(&*reading)));
    assert!(read.recv_timeout(Duration::from_secs(1)).is_err(), "the transaction is still open");
    producer.commit_transaction(TIMEOUT).expect("committed");
    let table = read.recv_timeout(TIMEOUT).expect("read");
    assert_eq!(table.keys().collect::<Vec<_>>(), ["ours", "theirs"]);
}

#[test]
fn a_follower_hears_of_records_at_once() {
    let worker = worker(&unique("follow"), &[]);
    let backend = connect(&worker);
    let configs = backend.configs();
    configs.write(&[record("before", Some("1"))]).expect("written");
    assert_eq!(table(&*configs).len(), 1);
    configs.write(&[record("between", Some("1"))]).expect("written");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (sender, receiver) = mpsc::channel();
    let hearing = heard.clone();
    let follower = configs.follow(Arc::new(move |record| {
        hearing.lock().expect("a lock").push(String::from_utf8(record.key).expect("text"));
        let _ = sender.send(Instant::now());
    }));
    receiver.recv_timeout(TIMEOUT).expect("what came after the replay");
    let latencies: Vec<Duration> = (0..10)
        .map(|n| {
            let written = Instant::now();
            configs.write(&[record(&format!("after-{n}"), Some("1"))]).expect("written");
            receiver.recv_timeout(TIMEOUT).expect("heard") - written
        })
        .collect();
    // A machine that does other things too may be late each time but one; steps would be waited for each time.
    assert!(latencies.iter().any(|latency| *latency < Duration::from_millis(500)), "{latencies:?}");
    let stopped = Instant::now();
    drop(follower);
    // Else it waits for the end of a fetch, a minute.
    assert!(stopped.elapsed() < Duration::from_secs(30), "{:?}", stopped.elapsed());
    let heard = heard.lock().expect("a lock");
    assert_eq!((heard.len(), heard[0].as_str(), heard[10].as_str()), (11, "between", "after-9"));
}

#[test]
fn writing_does_not_wait_in_steps() {
    for support in ["disabled", "enabled"] {
        let worker = worker(&unique("quick"), &[("exactly.once.source.support", support)]);
        let backend = connect(&worker);
        let configs = backend.configs();
        configs.write(&[record("k", Some("0"))]).expect("written");
        let mut times: Vec<Duration> = (0..20)
            .map(|n| {
                let began = Instant::now();
                configs.write(&[record("k", Some(&n.to_string()))]).expect("written");
                began.elapsed()
            })
            .collect();
        times.sort();
        // Not the median: other things are done beside this. Steps of 100 ms would be waited for each time.
        assert!(times[3] < Duration::from_millis(80), "{support}: {times:?}");
    }
}

#[test]
fn a_second_worker_fences_the_first() {
    for support in ["enabled", "disabled"] {
        let worker = worker(&unique("fenced"), &[("exactly.once.source.support", support)]);
        let first = connect(&worker);
        let (sender, lost) = mpsc::channel();
        first.on_lost(move |reason| sender.send(reason.to_owned()).expect("heard"));
        first.configs().write(&[record("connector-a", Some("first"))]).expect("written");
        let began = Instant::now();
        let second = connect(&worker);
        assert!(began.elapsed() < TIMEOUT, "{support}: {:?}", began.elapsed());
        second.configs().write(&[record("connector-a", Some("second"))]).expect("written");
        if support == "enabled" {
            match first.configs().write(&[record("connector-a", Some("late"))]) {
                Err(StoreError::Fenced(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        let reason = lost.recv_timeout(TIMEOUT).expect("the first hears of it");
        assert!(reason.contains("has taken over"), "{reason}");
        for log in [first.configs(), first.statuses()] {
            let outcome = log.write(&[record("connector-a", Some("late"))]);
            assert!(matches!(outcome, Err(StoreError::Fenced(_))), "{support}: {outcome:?}");
        }
        assert!(first.lost().is_some() && second.lost().is_none());
        assert_eq!(table(&*second.configs())["connector-a"], "second");
        // The first leaves; the second stays.
        drop(first);
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(second.lost(), None);
    }
}

/// As a worker of Kafka Connect would be: another protocol in the same group.
#[test]
fn a_group_with_other_members_is_waited_for() {
    let group = unique("held");
    let worker = worker(&group, &[]);
    let topic = NewTopic { name: unique("any"), partitions: 1, replication_factor: 1, config: BTreeMap::new() };
    admin(&worker).create_topic(&topic, TIMEOUT).expect("made");
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka().bootstrap())
        .set("group.id", &group)
        .set("client.id", "the-other")
        .create()
        .expect("a consumer");
    member.subscribe(&[&topic.name]).expect("subscribed");
    let until = Instant::now() + TIMEOUT;
    while member.assignment().expect("an assignment").count() == 0 {
        assert!(Instant::now() < until, "not in the group");
        let _ = member.poll(Duration::from_millis(100));
    }
    match KafkaBackend::connect(&worker).map(|_| ()) {
        Err(StoreError::Transient(text)) => {
            assert!(text.contains("the-other") && text.contains("waiting"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    drop(member);
    connect(&worker);
}

#[test]
fn a_worker_that_ends_leaves_the_group_at_once() {
    let worker = worker(&unique("leave"), &[("exactly.once.source.support", "disabled")]);
    let mut times = Vec::new();
    for _ in 0..4 {
        let began = Instant::now();
        let backend = connect(&worker);
        let connected = began.elapsed();
        let began = Instant::now();
        drop(backend);
        let left = began.elapsed();
        times.push((connected, left));
    }
    // A member that is still there is waited for each time, for ten seconds. The first time the group is made.
    let soon = |(connected, left): &(Duration, Duration)| *connected < SESSION && *left < SESSION;
    assert!(times[1..].iter().any(soon), "{times:?}");
}

#[test]
fn a_cluster_that_is_not_there_is_transient() {
    let mut worker = worker(&unique("away"), &[]);
    worker.insert("bootstrap.servers".into(), format!("127.0.0.1:{}", walspring_testkit::free_port()));
    let began = Instant::now();
    match KafkaBackend::connect(&worker).map(|_| ()) {
        Err(StoreError::Transient(text)) => assert!(text.contains("127.0.0.1"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
}

/// Kafka goes away for longer than a session lasts: until the coordinator has answered again nothing may be fenced,
/// and then work goes on.
#[test]
fn a_worker_that_was_cut_off_asks_before_it_fences() {
    let kafka = walspring_testkit::Kafka::start(walspring_testkit::KafkaOptions::default());
    let mut worker = worker(&unique("cut"), &[("exactly.once.source.support", "enabled")]);
    worker.insert("bootstrap.servers".into(), kafka.bootstrap());
    let backend = connect(&worker);
    kafka.broker(0).pause();
    std::thread::sleep(Duration::from_secs(12));
    let request =
        || walspring_connect::WriterRequest { connector: "c".into(), task: 0, config: Vec::new(), offsets_topic: None };
    struct Deaf;
    impl walspring_connect::writer::DurabilityListener for Deaf {
        fn durable(&self, _: u64, _: bool) {}
        fn failed(&self, _: walspring_connect::writer::WriteError) {}
    }
    match backend.writer(request(), Arc::new(Deaf)).map(|_| ()) {
        Err(walspring_connect::writer::WriteError::Transient(text)) => assert!(text.contains("still ours"), "{text}"),
        other => panic!("{other:?}"),
    }
    kafka.broker(0).resume();
    let resumed = Instant::now();
    while let Err(error) = backend.writer(request(), Arc::new(Deaf)) {
        assert!(resumed.elapsed() < TIMEOUT, "{error}");
        std::thread::sleep(Duration::from_millis(100));
    }
    backend.configs().write(&[record("connector-a", Some("1"))]).expect("written");
    assert_eq!(backend.lost(), None);
}
