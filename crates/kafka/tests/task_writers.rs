//! The writers that a backend makes for tasks, both producers, on a real broker: what is durable is there, in its
//! partition, with the offset; what is aborted is not; a newer writer fences the older; topics by the rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use walspring_connect::writer::{
    DurabilityListener, EncodedBatch, OffsetRecord, RecordWriter, Ticket, TopicInfo, WriteError,
};
use walspring_connect::{Backend, KeyedRecord, WriterRequest};
use walspring_kafka::admin::Admin;
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_kafka::consumer::ConsumedRecord;
use walspring_kafka::topic_reader::{ReadFrom, TopicReader};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder};
use walspring_testkit::{kafka, wait_for};

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::{properties, unique};

const TIMEOUT: Duration = Duration::from_secs(60);
const PRODUCERS: [&str; 2] = ["own", "librdkafka"];

fn worker(producer: &str, exactly_once: bool) -> Properties {
    let support = if exactly_once { "enabled" } else { "disabled" };
    let more = [("exactly.once.source.support", support), ("walspring.producer", producer)];
    properties(&kafka().bootstrap(), &unique("writers"), &more)
}

fn connect(worker: &Properties) -> KafkaBackend {
    KafkaBackend::connect(worker).unwrap_or_else(|error| panic!("{error}"))
}

#[derive(Default)]
struct Heard {
    state: Mutex<(u64, bool, Option<WriteError>)>,
    changed: Condvar,
}

impl DurabilityListener for Heard {
    fn durable(&self, ticket: u64, offset_stored: bool) {
        let mut state = self.state.lock().expect("a lock");
        assert!(ticket > state.0, "in order");
        (state.0, state.1) = (ticket, offset_stored);
        self.changed.notify_all();
    }

    fn failed(&self, error: WriteError) {
        self.state.lock().expect("a lock").2 = Some(error);
        self.changed.notify_all();
    }
}

impl Heard {
    /// The last durable ticket, whether with its offset, and the error, as soon as `wanted` says so.
    #[track_caller]
    fn wait(&self, wanted: impl Fn(u64, Option<&WriteError>) -> bool) -> (u64, bool, Option<WriteError>) {
        let state = self.state.lock().expect("a lock");
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, TIMEOUT, |state| !wanted(state.0, state.2.as_ref()))
            .expect("a lock");
        assert!(!waited.timed_out(), "{state:?}");
        state.clone()
    }
}

fn writer(backend: &KafkaBackend, config: &[(&str, &str)]) -> (Box<dyn RecordWriter>, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let request = WriterRequest {
        connector: "c".into(),
        task: 0,
        config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        offsets_topic: None,
    };
    let writer = backend.writer(request, heard.clone()).unwrap_or_else(|error| panic!("{error}"));
    (writer, heard)
}

fn batch(topic: &str, partition: i32, records: &[(&str, Option<&str>)]) -> EncodedBatch {
    let mut headers = EncodedHeaders::new();
    headers.push("h1", Some(b"x"));
    headers.push("h2", None);
    let mut builder = RecordBatchBuilder::new(1024);
    for (key, value) in records {
        builder.append(1_700_000_000_000, Some(key.as_bytes()), value.map(str::as_bytes), &headers);
    }
    let (bytes, records) = builder.finish();
    EncodedBatch { topic: topic.into(), partition, records, bytes }
}

fn offset(value: &str) -> OffsetRecord {
    OffsetRecord { key: b"[\"c\",{\"server\":\"s\"}]".to_vec(), value: Some(value.as_bytes().to_vec()) }
}

/// All that is committed, once that is so much: the end of a transaction reaches its partitions one by one, a moment later.
fn read_all(worker: &Properties, topic: &str, least: usize) -> Vec<ConsumedRecord> {
    let options = ClientOptions::internal(Owner::Consumer, worker).expect("options");
    wait_for("what is durable", TIMEOUT, || {
        let mut reader = TopicReader::open(&options, topic, None, ReadFrom::Beginning, false).expect("a topic");
        let mut records = Vec::new();
        while !reader.is_at_end() {
            records.extend(reader.next(TIMEOUT).expect("readable"));
        }
        Some(records).filter(|records| records.len() >= least)
    })
}

fn stored_offsets(backend: &KafkaBackend) -> Vec<String> {
    let records = backend.offsets(None).expect("offsets").read_to_end().expect("readable");
    let text = |KeyedRecord { value, .. }| String::from_utf8(value.expect("a value")).expect("text");
    records.into_iter().map(text).collect()
}

#[test]
fn what_is_durable_is_there() {
    for producer in PRODUCERS {
        for exactly_once in [false, true] {
            let worker = worker(producer, exactly_once);
            let backend = connect(&worker);
            let rules =
                [("topic.creation.default.partitions", "3"), ("topic.creation.default.replication.factor", "1")];
            let (mut writer, heard) = writer(&backend, &rules);
            let topic = unique("data");
            let info = writer.topic(&topic).expect("made");
            assert_eq!(info, TopicInfo { partitions: 3, batch_bytes_max: 1_048_588 }, "{producer}");
            for number in 1..=100 {
                let (a, b) = (format!("a{number}"), format!("b{number}"));
                let batches =
                    vec![batch(&topic, 0, &[(&a, Some("v")), (&b, None)]), batch(&topic, 2, &[(&a, Some(""))])];
                writer.submit(Ticket { number, batches, offset: Some(offset(&number.to_string())) }).expect("taken");
            }
            // A position without records.
            writer.submit(Ticket { number: 101, batches: Vec::new(), offset: Some(offset("101")) }).expect("taken");
            writer.idle();
            writer.flush(TIMEOUT).expect("flushed");
            let (durable, offset_stored, error) = heard.wait(|durable, error| durable == 101 || error.is_some());
            assert_eq!((durable, offset_stored, error.is_none()), (101, exactly_once, true), "{producer} {error:?}");
            let records = read_all(&worker, &topic, 300);
            let of = |partition| records.iter().filter(move |r| r.partition == partition).collect::<Vec<_>>();
            assert_eq!((of(0).len(), of(1).len(), of(2).len()), (200, 0, 100), "{producer}");
            let keys: Vec<_> =
                of(2).iter().map(|r| String::from_utf8(r.key.clone().expect("a key")).expect("text")).collect();
            assert_eq!(keys, (1..=100).map(|n| format!("a{n}")).collect::<Vec<_>>(), "{producer}");
            let first = of(0)[0];
            assert_eq!(first.headers, [("h1".to_owned(), Some(b"x".to_vec())), ("h2".to_owned(), None)]);
            assert_eq!((first.timestamp_ms, first.value.as_deref()), (Some(1_700_000_000_000), Some(&b"v"[..])));
            assert_eq!((&of(0)[1].value, &of(2)[0].value), (&None, &Some(Vec::new())), "null is not empty");
            let stored = stored_offsets(&backend);
            assert_eq!(stored.last().map(String::as_str), exactly_once.then_some("101"), "{producer}");
        }
    }
}

#[test]
fn a_transaction_lasts_its_interval_or_until_somebody_waits() {
    for producer in PRODUCERS {
        let worker = worker(producer, true);
        let backend = connect(&worker);
        let topic = unique("interval");
        let lasting = |ms| [("transaction.boundary", "INTERVAL"), ("transaction.boundary.interval.ms", ms)];
        let ticket = |number| Ticket {
            number,
            batches: vec![batch(&topic, 0, &[("a", Some("v"))])],
            offset: Some(offset(&number.to_string())),
        };
        let (mut writer, heard) = self::writer(&backend, &lasting("6000"));
        writer.topic(&topic).expect("made");
        let begun = Instant::now();
        for number in 1..=3 {
            writer.submit(ticket(number)).expect("taken");
            writer.idle();
            // Long enough for a transaction of its own.
            std::thread::sleep(Duration::from_millis(200));
        }
        let (durable, offset_stored, _) = heard.wait(|durable, _| durable > 0);
        assert_eq!((durable, offset_stored), (3, true), "{producer}: one transaction");
        assert!(begun.elapsed() >= Duration::from_secs(6), "{producer}");
        assert_eq!(stored_offsets(&backend), ["3"], "{producer}");
        drop(writer);

        let (mut writer, heard) = self::writer(&backend, &lasting("600000"));
        writer.submit(ticket(1)).expect("taken");
        writer.flush(TIMEOUT).expect("flushed");
        heard.wait(|durable, _| durable == 1);
        writer.submit(ticket(2)).expect("taken");
        writer.abort();
        assert_eq!(stored_offsets(&backend), ["3", "1"], "{producer}: what was not waited for is given up");
    }
}

#[test]
fn a_newer_writer_fences_the_older() {
    for producer in PRODUCERS {
        let worker = worker(producer, true);
        let backend = connect(&worker);
        let (mut old, old_heard) = writer(&backend, &[]);
        let topic = unique("fenced");
        old.topic(&topic).expect("made");
        let ticket = |number, key: &str| Ticket {
            number,
            batches: vec![batch(&topic, 0, &[(key, Some("v"))])],
            offset: Some(offset(key)),
        };
        old.submit(ticket(1, "old-1")).expect("taken");
        old.idle();
        old.flush(TIMEOUT).expect("flushed");
        let (mut new, new_heard) = writer(&backend, &[]);
        let _ = old.submit(ticket(2, "old-2"));
        old.idle();
        let (durable, _, error) = old_heard.wait(|_, error| error.is_some());
        assert!(durable == 1 && matches!(error, Some(WriteError::Fenced(_))), "{producer}: {error:?}");
        new.submit(ticket(1, "new-1")).expect("taken");
        new.idle();
        new_heard.wait(|durable, _| durable == 1);
        let keys: Vec<_> = read_all(&worker, &topic, 2).into_iter().map(|r| r.key.expect("a key")).collect();
        assert_eq!(keys, [b"old-1".to_vec(), b"new-1".to_vec()], "{producer}");
        assert_eq!(stored_offsets(&backend), ["old-1", "new-1"], "{producer}");
    }
}

#[test]
fn what_a_dropped_writer_had_open_is_never_read() {
    for producer in PRODUCERS {
        let worker = worker(producer, true);
        let backend = connect(&worker);
        let (mut first, first_heard) = writer(&backend, &[]);
        let topic = unique("dropped");
        first.topic(&topic).expect("made");
        for number in 1..=2000 {
            let key = format!("{number}");
            let batches = vec![batch(&topic, 0, &[(&key, Some("v"))])];
            first.submit(Ticket { number, batches, offset: Some(offset(&key)) }).expect("taken");
        }
        first.abort();
        let durable = first_heard.state.lock().expect("a lock").0;
        let (_second, _) = writer(&backend, &[]);
        let keys: Vec<u64> = read_all(&worker, &topic, durable as usize)
            .into_iter()
            .map(|r| String::from_utf8(r.key.expect("a key")).expect("text").parse().expect("a number"))
            .collect();
        assert_eq!(keys, (1..=keys.len() as u64).collect::<Vec<_>>(), "{producer}: without gaps");
        assert!(keys.len() as u64 >= durable, "{producer}: {} of {durable}", keys.len());
        let stored: u64 = stored_offsets(&backend).last().map_or(0, |text| text.parse().expect("a number"));
        assert_eq!(stored, keys.len() as u64, "{producer}: records and offset are one");
    }
}

#[test]
fn a_record_that_is_too_large_says_what_to_raise() {
    for producer in PRODUCERS {
        let worker = worker(producer, false);
        let backend = connect(&worker);
        let (mut writer, heard) = writer(&backend, &[]);
        let topic = unique("large");
        writer.topic(&topic).expect("made");
        let value = "x".repeat(2 << 20);
        let ticket = Ticket { number: 1, batches: vec![batch(&topic, 0, &[("k", Some(&value))])], offset: None };
        let error = match writer.submit(ticket) {
            Err(error) => error,
            Ok(()) => heard.wait(|_, error| error.is_some()).2.expect("an error"),
        };
        assert!(matches!(&error, WriteError::RecordTooLarge(text) if text.contains("max.request.size")), "{error:?}");
    }
}

/// As recorded in the conformance case `topic_creation`; and without rules the broker's own defaults.
#[test]
fn topics_are_made_by_the_rules() {
    for producer in PRODUCERS {
        let worker = worker(producer, false);
        let backend = connect(&worker);
        let prefix = unique("rules");
        let (mut writer_with_rules, _) = writer(
            &backend,
            &[
                ("topic.creation.default.partitions", "3"),
                ("topic.creation.default.replication.factor", "1"),
                ("topic.creation.default.cleanup.policy", "compact"),
                ("topic.creation.groups", "small,big"),
                ("topic.creation.small.include", ".*\\.s.*"),
                ("topic.creation.small.exclude", ".*\\.s2"),
                ("topic.creation.small.partitions", "1"),
                ("topic.creation.small.retention.ms", "3600000"),
                ("topic.creation.big.include", ".*\\.(b|s2)"),
                ("topic.creation.big.partitions", "5"),
                ("topic.creation.big.replication.factor", "-1"),
                ("topic.creation.big.max.message.bytes", "2000000"),
            ],
        );
        let options = ClientOptions::internal(Owner::Admin, &worker).expect("options");
        let admin = Admin::open(&options, "test").expect("an admin client");
        for (name, partitions, bytes, setting) in [
            ("public.t", 3, 1_048_588, ("cleanup.policy", "compact")),
            ("public.s1", 1, 1_048_588, ("retention.ms", "3600000")),
            ("public.s2", 5, 2_000_000, ("cleanup.policy", "delete")),
        ] {
            let topic = format!("{prefix}.{name}");
            let info = writer_with_rules.topic(&topic).expect("made");
            assert_eq!(info, TopicInfo { partitions, batch_bytes_max: bytes }, "{topic}");
            let config: BTreeMap<_, _> = admin.topic_config(&topic, TIMEOUT).expect("settings");
            assert_eq!(config[setting.0], setting.1, "{topic}");
            // An existing one stays as it is.
            assert_eq!(writer_with_rules.topic(&topic).expect("there"), info);
        }
        let (mut writer_without, _) = writer(&backend, &[]);
        let info = writer_without.topic(&format!("{prefix}.auto")).expect("made by the broker");
        assert_eq!(info.partitions, 1);
        let request = WriterRequest {
            connector: "c".into(),
            task: 0,
            config: vec![("topic.creation.default.replication.factor".into(), "1".into())],
            offsets_topic: None,
        };
        match backend.writer(request, Arc::<Heard>::default()) {
            Err(WriteError::Definite(text)) => assert!(text.contains("topic.creation.default.partitions"), "{text}"),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn a_tail_begins_where_it_is_told() {
    let worker = worker("own", true);
    let backend = connect(&worker);
    let (mut writer, _) = writer(&backend, &[]);
    let topic = unique("tail");
    writer.topic(&topic).expect("made");
    let mut submit = |number: u64| {
        let key = number.to_string();
        writer
            .submit(Ticket { number, batches: vec![batch(&topic, 0, &[(&key, Some("v"))])], offset: None })
            .expect("taken");
        writer.idle();
        writer.flush(TIMEOUT).expect("flushed");
    };
    for number in 1..=5 {
        submit(number);
    }
    let options = ClientOptions::internal(Owner::Consumer, &worker).expect("options");
    let open = |from, follow| TopicReader::open(&options, &topic, None, from, follow).expect("a topic");
    let keys = |from| {
        let mut reader = open(from, false);
        let mut keys = Vec::new();
        while !reader.is_at_end() {
            keys.extend(
                reader
                    .next(TIMEOUT)
                    .expect("readable")
                    .map(|r| String::from_utf8(r.key.expect("a key")).expect("text")),
            );
        }
        keys.join(" ")
    };
    assert_eq!(keys(ReadFrom::Beginning), "1 2 3 4 5");
    assert_eq!(keys(ReadFrom::End), "");
    // Markers of transactions stand between the records: offsets are 0, 2, 4, …
    assert_eq!(keys(ReadFrom::Offset(4)), "3 4 5");
    assert_eq!(keys(ReadFrom::Last(4)), "4 5");
    assert_eq!(keys(ReadFrom::Timestamp(1_700_000_000_000)), "1 2 3 4 5");
    assert_eq!(keys(ReadFrom::Timestamp(1_900_000_000_000)), "");
    let mut tail = open(ReadFrom::End, true);
    assert!(tail.next(Duration::from_millis(300)).expect("readable").is_none() && !tail.is_at_end());
    submit(6);
    assert_eq!(tail.next(TIMEOUT).expect("readable").expect("a record").key, Some(b"6".to_vec()));
    assert!(TopicReader::open(&options, &topic, Some(7), ReadFrom::End, false).is_err());
}
