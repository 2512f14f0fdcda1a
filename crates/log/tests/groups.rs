//! Consumer groups on the embedded log: shares, hand-over, offsets, places.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use walspring_connect::{
    Backend, Consumed, ConsumedRecord, ConsumerRequest, DeadLetter, DeadLetterRequest, GroupOffset, RecordConsumer,
    StopToken, StoreError, TopicPartition, Topics,
};
use walspring_log::{Log, LogBackend, LogBackendConfig, LogConfig, TopicSpec};

mod support;
use support::append;

const PATIENCE: Duration = Duration::from_secs(60);

fn open(dir: &Path) -> LogBackend {
    let log = Log::open(LogConfig::new(dir.join("log"))).unwrap();
    LogBackend::new(log, LogBackendConfig::default()).unwrap()
}

fn topic(backend: &LogBackend, name: &str, partitions: i32) {
    backend.log().ensure_topic(name, TopicSpec { partitions, compacted: false, config: BTreeMap::new() }).unwrap();
}

fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

fn join(backend: &LogBackend, topics: Topics, config: &[(&str, &str)]) -> Box<dyn RecordConsumer> {
    let config = config.iter().map(|(k, v)| (format!("consumer.override.{k}"), (*v).to_owned())).collect();
    let (connector, group) = ("c".to_owned(), "connect-c".to_owned());
    let request = ConsumerRequest { connector, task: 0, group, topics, config, stop: StopToken::default() };
    backend.consumer(request).unwrap()
}

fn named(names: &[&str]) -> Topics {
    Topics::Named(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Polls until `done` says so of everything that has come.
#[track_caller]
fn until<R>(consumer: &mut dyn RecordConsumer, mut done: impl FnMut(&Consumed, &[ConsumedRecord]) -> Option<R>) -> R {
    let start = Instant::now();
    let mut records = Vec::new();
    loop {
        assert!(start.elapsed() < PATIENCE, "it never comes; {} records", records.len());
        let consumed = consumer.poll(&mut records, 100, Duration::from_millis(200)).unwrap();
        if let Some(answer) = done(&consumed, &records) {
            return answer;
        }
    }
}

#[track_caller]
fn assigned(consumer: &mut dyn RecordConsumer) -> Vec<TopicPartition> {
    until(consumer, |consumed, records| match consumed {
        Consumed::Assigned(partitions) => {
            assert!(records.is_empty(), "a record before its assignment");
            Some(partitions.clone())
        }
        _ => None,
    })
}

#[track_caller]
fn records(consumer: &mut dyn RecordConsumer, count: usize) -> Vec<(String, i32, i64, String)> {
    until(consumer, |_, records| {
        (records.len() >= count).then(|| records.iter().map(place_and_value).collect::<Vec<_>>())
    })
}

fn place_and_value(record: &ConsumedRecord) -> (String, i32, i64, String) {
    let value = String::from_utf8(record.value.clone().unwrap_or_default()).unwrap();
    (record.topic.to_string(), record.partition, record.kafka_offset, value)
}

fn offsets(records: &[(String, i32, i64, String)]) -> Vec<i64> {
    records.iter().map(|record| record.2).collect()
}

#[test]
fn a_group_goes_on_where_it_has_committed_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 1);
    append(backend.log(), "t", 0, 0..10);
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assert_eq!(assigned(&mut *consumer), [at("t", 0)]);
    assert_eq!(offsets(&records(&mut *consumer, 10)), (0..10).collect::<Vec<_>>());
    assert_eq!(consumer.lag(), [(at("t", 0), 0)]);
    consumer.commit(&[(at("t", 0), 7)]).unwrap();
    consumer.close();
    let stored = [GroupOffset { partition: at("t", 0), kafka_offset: 7 }];
    assert_eq!(backend.group_offsets("connect-c").unwrap(), stored);
    drop(backend);

    let backend = open(dir.path());
    assert_eq!(backend.group_offsets("connect-c").unwrap(), stored);
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assigned(&mut *consumer);
    assert_eq!(offsets(&records(&mut *consumer, 3)), [7, 8, 9]);
}

#[test]
fn what_comes_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 1);
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assigned(&mut *consumer);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..20 {
                append(backend.log(), "t", 0, i..i + 1);
                sender.send(Instant::now()).unwrap();
            }
        });
        let mut into = Vec::new();
        while into.len() < 20 {
            // A wait far beyond the test's patience: only the signal ends it.
            consumer.poll(&mut into, 1, Duration::from_secs(60)).unwrap();
        }
    });
    assert_eq!(receiver.iter().take(20).count(), 20);
}

#[test]
fn two_members_share_and_one_takes_over_what_the_other_has_committed() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 4);
    for partition in 0..4 {
        append(backend.log(), "t", partition, 0..10);
    }
    let mut one = join(&backend, named(&["t"]), &[]);
    assert_eq!(assigned(&mut *one).len(), 4);
    records(&mut *one, 40);
    let mut two = join(&backend, named(&["t"]), &[]);
    // Nothing is the second's before the first has given it up.
    let mut into = Vec::new();
    assert_eq!(two.poll(&mut into, 10, Duration::ZERO).unwrap(), Consumed::Nothing);
    let taken = until(&mut *one, |consumed, _| match consumed {
        Consumed::Revoked(partitions) => Some(partitions.clone()),
        _ => None,
    });
    assert_eq!(taken.len(), 2);
    assert_eq!(two.poll(&mut into, 10, Duration::ZERO).unwrap(), Consumed::Nothing);
    // What was read is committed before the next poll.
    one.commit(&taken.iter().map(|partition| (partition.clone(), 6)).collect::<Vec<_>>()).unwrap();
    assert_eq!(one.poll(&mut into, 10, Duration::ZERO).unwrap(), Consumed::Nothing);
    let mut given = assigned(&mut *two);
    given.sort();
    assert_eq!(given, taken);
    let error = one.commit(&[(taken[0].clone(), 9)]).unwrap_err();
    assert!(matches!(error, StoreError::Transient(_)), "{error}");
    let read = records(&mut *two, 8);
    assert!(read.iter().all(|(_, partition, offset, _)| taken.contains(&at("t", *partition)) && *offset >= 6));
    two.commit(&taken.iter().map(|partition| (partition.clone(), 10)).collect::<Vec<_>>()).unwrap();
    two.close();
    let mut back = assigned(&mut *one);
    back.sort();
    assert_eq!(back, taken);
    append(backend.log(), "t", taken[0].partition, 10..11);
    assert_eq!(offsets(&records(&mut *one, 1)), [10]);
}

#[test]
fn seek_before_the_first_record_and_later() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 1);
    append(backend.log(), "t", 0, 0..100);
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assigned(&mut *consumer);
    consumer.seek(&at("t", 0), 40).unwrap();
    assert_eq!(offsets(&records(&mut *consumer, 60)), (40..100).collect::<Vec<_>>());
    consumer.seek(&at("t", 0), 98).unwrap();
    assert_eq!((consumer.lag(), consumer.positions()), (vec![(at("t", 0), 2)], vec![(at("t", 0), 98)]));
    assert_eq!(offsets(&records(&mut *consumer, 2)), [98, 99]);
    assert!(consumer.seek(&at("t", 1), 0).is_err());
}

#[test]
fn a_paused_partition_waits_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 2);
    append(backend.log(), "t", 0, 0..10);
    append(backend.log(), "t", 1, 0..10);
    let mut consumer = join(&backend, named(&["t"]), &[("max.poll.records", "3")]);
    assigned(&mut *consumer);
    let first = records(&mut *consumer, 3);
    assert_eq!(first.len(), 3);
    let paused = first[0].1;
    consumer.pause(&[at("t", paused)]).unwrap();
    let rest = records(&mut *consumer, 10);
    assert!(rest.iter().all(|record| record.1 != paused), "{rest:?}");
    let mut into = Vec::new();
    assert_eq!(consumer.poll(&mut into, 10, Duration::from_millis(20)).unwrap(), Consumed::Nothing);
    consumer.resume(&[at("t", paused)]).unwrap();
    assert_eq!(offsets(&records(&mut *consumer, 7)), (3..10).collect::<Vec<_>>());
}

#[test]
fn a_pattern_finds_topics_that_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "shop.a", 1);
    topic(&backend, "other", 1);
    let mut consumer = join(&backend, Topics::Matching("shop\\.[a-c]".into()), &[]);
    assert_eq!(assigned(&mut *consumer), [at("shop.a", 0)]);
    topic(&backend, "shop.b", 2);
    topic(&backend, "shop.bb", 1);
    assert_eq!(assigned(&mut *consumer), [at("shop.b", 0), at("shop.b", 1)]);
    append(backend.log(), "shop.b", 1, 0..1);
    assert_eq!(records(&mut *consumer, 1)[0].0, "shop.b");
    let request = ConsumerRequest {
        connector: "c".into(),
        task: 0,
        group: "g".into(),
        topics: Topics::Matching("(".into()),
        config: Vec::new(),
        stop: StopToken::default(),
    };
    assert!(matches!(backend.consumer(request), Err(StoreError::Definite(_))));
}

#[test]
fn a_topic_that_is_not_there_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    let mut consumer = join(&backend, named(&["later"]), &[]);
    assert_eq!(consumer.poll(&mut Vec::new(), 1, Duration::ZERO).unwrap(), Consumed::Nothing);
    topic(&backend, "later", 1);
    append(backend.log(), "later", 0, 0..1);
    assert_eq!(assigned(&mut *consumer), [at("later", 0)]);
    assert_eq!(records(&mut *consumer, 1).len(), 1);
}

#[test]
fn where_a_group_without_offset_begins() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 1);
    append(backend.log(), "t", 0, 0..5);
    let mut consumer = join(&backend, named(&["t"]), &[("auto.offset.reset", "latest")]);
    assigned(&mut *consumer);
    assert_eq!(consumer.poll(&mut Vec::new(), 1, Duration::ZERO).unwrap(), Consumed::Nothing);
    append(backend.log(), "t", 0, 5..6);
    assert_eq!(offsets(&records(&mut *consumer, 1)), [5]);
    consumer.close();
    let mut consumer = join(&backend, named(&["t"]), &[("auto.offset.reset", "none")]);
    assigned(&mut *consumer);
    let error = consumer.poll(&mut Vec::new(), 1, Duration::ZERO).unwrap_err();
    assert!(matches!(&error, StoreError::Definite(text) if text.contains("auto.offset.reset")), "{error}");
}

#[test]
fn who_is_overtaken_by_the_retention_goes_on_with_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let small = LogConfig { segment_bytes: 4096, retention_bytes: 20_000, ..LogConfig::new(dir.path().join("log")) };
    let log = Log::open(small).unwrap();
    let backend = LogBackend::new(log, LogBackendConfig::default()).unwrap();
    topic(&backend, "t", 1);
    append(backend.log(), "t", 0, 0..10);
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assigned(&mut *consumer);
    assert_eq!(offsets(&records(&mut *consumer, 10)).len(), 10);
    consumer.commit(&[(at("t", 0), 10)]).unwrap();
    // Over many segments, read to the end while they come.
    for first in (10..200).step_by(10) {
        append(backend.log(), "t", 0, first..first + 10);
        assert_eq!(offsets(&records(&mut *consumer, 10)), (first as i64..first as i64 + 10).collect::<Vec<_>>());
    }
    consumer.seek(&at("t", 0), 150).unwrap();
    consumer.pause(&[at("t", 0)]).unwrap();
    for first in (200..3000).step_by(100) {
        append(backend.log(), "t", 0, first..first + 100);
    }
    let (_, _, spans) = backend.log().topics().into_iter().find(|topic| topic.0 == "t").unwrap();
    assert!(spans[0].start > 150, "{spans:?}");
    consumer.resume(&[at("t", 0)]).unwrap();
    let rest = records(&mut *consumer, (spans[0].end - spans[0].start) as usize);
    assert_eq!(offsets(&rest), (spans[0].start..3000).collect::<Vec<_>>());
    assert_eq!(backend.group_offsets("connect-c").unwrap()[0].kafka_offset, 10);
}

#[test]
fn a_member_that_is_away_for_too_long_loses_its_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 1);
    append(backend.log(), "t", 0, 0..5);
    let mut one = join(&backend, named(&["t"]), &[("max.poll.interval.ms", "30")]);
    assert_eq!(assigned(&mut *one), [at("t", 0)]);
    let mut two = join(&backend, named(&["t"]), &[]);
    assert_eq!(assigned(&mut *two), [at("t", 0)]);
    assert!(one.commit(&[(at("t", 0), 3)]).is_err());
    let lost = until(&mut *one, |consumed, _| match consumed {
        Consumed::Lost(partitions) => Some(partitions.clone()),
        _ => None,
    });
    assert_eq!(lost, [at("t", 0)]);
    assert_eq!(records(&mut *two, 5).len(), 5);
}

#[test]
fn offsets_are_altered_and_deleted_while_there_are_no_members() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 2);
    let consumer = join(&backend, named(&["t"]), &[]);
    let alter = |offsets: &[(TopicPartition, Option<i64>)]| backend.alter_group_offsets("connect-c", offsets);
    let error = alter(&[(at("t", 0), Some(1))]).unwrap_err();
    assert!(matches!(&error, StoreError::Definite(text) if text.contains("members")), "{error}");
    assert!(backend.delete_group("connect-c").is_err());
    consumer.close();
    alter(&[(at("t", 0), Some(3)), (at("t", 1), Some(4))]).unwrap();
    alter(&[(at("t", 0), None), (at("t", 1), Some(5))]).unwrap();
    assert!(matches!(alter(&[(at("t", 2), Some(0))]), Err(StoreError::Definite(_))));
    let stored = [GroupOffset { partition: at("t", 1), kafka_offset: 5 }];
    assert_eq!(backend.group_offsets("connect-c").unwrap(), stored);
    drop(backend);
    let backend = open(dir.path());
    assert_eq!(backend.group_offsets("connect-c").unwrap(), stored);
    backend.delete_group("connect-c").unwrap();
    backend.delete_group("connect-c").unwrap();
    assert_eq!(backend.group_offsets("connect-c").unwrap(), []);
}

#[test]
fn dead_letters_are_kept_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    let request = DeadLetterRequest {
        connector: "c".into(),
        task: 0,
        topic: "dead".into(),
        replication_factor: 1,
        config: Vec::new(),
    };
    let mut queue = backend.dead_letters(request).unwrap();
    let letter = DeadLetter {
        key: None,
        value: Some(b"poison".to_vec()),
        headers: vec![("__connect.errors.topic".into(), Some(b"t".to_vec())), ("h".into(), None)],
        timestamp_ms: Some(17),
    };
    let empty = DeadLetter { key: Some(Vec::new()), value: None, headers: Vec::new(), timestamp_ms: None };
    queue.write(&[letter.clone(), empty]).unwrap();
    drop((queue, backend));
    let backend = open(dir.path());
    let mut consumer = join(&backend, named(&["dead"]), &[]);
    assigned(&mut *consumer);
    let mut into = Vec::new();
    assert_eq!(consumer.poll(&mut into, 10, PATIENCE).unwrap(), Consumed::Records);
    let [first, second] = into.try_into().unwrap();
    assert_eq!((first.key, first.value, first.headers), (letter.key, letter.value, letter.headers));
    assert_eq!(first.timestamp_ms, Some(17));
    assert_eq!((second.key, second.value), (Some(Vec::new()), None));
}

#[test]
fn members_on_threads_of_their_own_lose_and_double_nothing() {
    const RECORDS: u64 = 3000;
    const PARTITIONS: i32 = 5;
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", PARTITIONS);
    // For each partition how far the group has come.
    let done = std::sync::Mutex::new(vec![0i64; PARTITIONS as usize]);
    let all_done = || done.lock().unwrap().iter().all(|offset| *offset == RECORDS as i64);
    let commit = |consumer: &mut dyn RecordConsumer, read: &BTreeMap<i32, (i64, i64)>| {
        let offsets: Vec<_> = read.iter().map(|(partition, (_, to))| (at("t", *partition), *to)).collect();
        consumer.commit(&offsets).unwrap();
        let mut done = done.lock().unwrap();
        for (partition, (from, to)) in read {
            assert_eq!(std::mem::replace(&mut done[*partition as usize], *to), *from, "partition {partition}");
        }
    };
    let member = |polls_max: usize| {
        let mut consumer = join(&backend, named(&["t"]), &[]);
        // For each partition what was read since the last commit.
        let mut read: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        for poll in 0..polls_max {
            let mut records = Vec::new();
            let consumed = consumer.poll(&mut records, 37, Duration::from_millis(20)).unwrap();
            for record in &records {
                let (_, to) = read.entry(record.partition).or_insert((record.kafka_offset, record.kafka_offset));
                assert_eq!(*to, record.kafka_offset);
                *to += 1;
            }
            if matches!(consumed, Consumed::Revoked(_)) || poll % 7 == 0 {
                commit(&mut *consumer, &std::mem::take(&mut read));
            }
        }
        commit(&mut *consumer, &read);
        consumer.close();
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (0..RECORDS).step_by(50) {
                let batches = (0..PARTITIONS).map(|partition| support::batch("t", partition, first..first + 50));
                support::append_all(backend.log(), batches.collect());
            }
        });
        for polls_max in [5, 13, 31] {
            let (member, all_done) = (&member, &all_done);
            scope.spawn(move || {
                while !all_done() {
                    assert!(start.elapsed() < PATIENCE);
                    member(polls_max);
                }
            });
        }
    });
}

/// Not a check: says how fast records come.
#[test]
#[ignore = "a measurement"]
fn how_fast_records_come() {
    const RECORDS: u64 = 2_000_000;
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path());
    topic(&backend, "t", 4);
    for first in (0..RECORDS).step_by(10_000) {
        let batches = (0..4).map(|p| support::batch("t", p, first..first + 2500)).collect();
        support::append_all(backend.log(), batches);
    }
    let mut consumer = join(&backend, named(&["t"]), &[]);
    assigned(&mut *consumer);
    let mut records = Vec::new();
    let (mut count, mut polls, start) = (0, 0, Instant::now());
    while count < RECORDS {
        records.clear();
        consumer.poll(&mut records, 5000, Duration::from_secs(1)).unwrap();
        count += records.len() as u64;
        polls += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{RECORDS} records in {seconds:.2} s: {:.0} a second, {polls} polls", RECORDS as f64 / seconds);
    // From the append's end to the end of the poll.
    let mut late = Vec::new();
    for number in 0..200 {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let backend = &backend;
            scope.spawn(move || {
                append(backend.log(), "t", 0, number..number + 1);
                sender.send(Instant::now()).unwrap();
            });
            records.clear();
            consumer.poll(&mut records, 10, PATIENCE).unwrap();
        });
        late.push(Instant::now().saturating_duration_since(receiver.recv().unwrap()));
    }
    late.sort();
    println!("behind the append's return: median {:?}, 99 % {:?}", late[100], late[198]);
}
