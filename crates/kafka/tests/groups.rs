//! Consumer groups of a worker on a real broker: shares, hand-over, offsets, places, and who may do what.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use walspring_connect::{
    Backend, Consumed, ConsumedRecord, ConsumerRequest, DeadLetter, DeadLetterRequest, GroupOffset, RecordConsumer,
    StopToken, StoreError, TopicPartition, Topics,
};
use walspring_kafka::admin::{Admin, NewTopic};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_testkit::{Kafka, KafkaOptions, kafka};

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::{properties, unique};

const PATIENCE: Duration = Duration::from_secs(60);

fn worker(bootstrap: &str) -> Properties {
    let more = [
        ("offset.storage.partitions", "1"),
        ("status.storage.partitions", "1"),
        ("exactly.once.source.support", "disabled"),
        // The worker's, which is not its consumers'.
        ("session.timeout.ms", "10000"),
        // A second of quiet before the first round of a group is the broker's.
        ("consumer.session.timeout.ms", "6000"),
        ("consumer.heartbeat.interval.ms", "200"),
        ("consumer.metadata.max.age.ms", "500"),
    ];
    properties(bootstrap, &unique("groups"), &more)
}

/// A backend and names of its own.
struct Place {
    bootstrap: String,
    worker: Properties,
    backend: KafkaBackend,
    group: String,
    tasks: AtomicU32,
}

impl Place {
    fn on(cluster: &Kafka) -> Place {
        let bootstrap = cluster.bootstrap();
        let worker = worker(&bootstrap);
        let backend = KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}"));
        Place { bootstrap, worker, backend, group: unique("connect"), tasks: AtomicU32::new(0) }
    }

    fn topic(&self, name: &str, partitions: i32) -> String {
        let name = unique(name);
        self.make(&name, partitions);
        name
    }

    fn make(&self, name: &str, partitions: i32) {
        let options = ClientOptions::internal(Owner::Admin, &self.worker).unwrap();
        let new = NewTopic { name: name.to_owned(), partitions, replication_factor: 1, config: Default::default() };
        Admin::open(&options, "test").unwrap().create_topic(&new, PATIENCE).unwrap();
    }

    fn join(&self, topics: Topics, config: &[(&str, &str)]) -> Box<dyn RecordConsumer> {
        let config = config.iter().map(|(k, v)| (format!("consumer.override.{k}"), (*v).to_owned())).collect();
        let (connector, group) = ("c".to_owned(), self.group.clone());
        // Each is another task: a task's new member takes the place of the one before.
        let task = self.tasks.fetch_add(1, Ordering::Relaxed);
        let request = ConsumerRequest { connector, task, group, topics, config, stop: StopToken::default() };
        self.backend.consumer(request).unwrap_or_else(|error| panic!("{error}"))
    }

    fn write(&self, topic: &str, partition: i32, numbers: std::ops::Range<u64>) {
        let producer = producer(&self.bootstrap, &[]);
        send(&producer, topic, partition, numbers);
        producer.flush(PATIENCE).unwrap();
    }

    fn stored(&self) -> Vec<(TopicPartition, i64)> {
        let stored = self.backend.group_offsets(&self.group).unwrap();
        stored.into_iter().map(|GroupOffset { partition, kafka_offset }| (partition, kafka_offset)).collect()
    }
}

/// librdkafka's own, so that what is read was written by somebody else.
fn producer(bootstrap: &str, config: &[(&str, &str)]) -> BaseProducer {
    let mut all = ClientConfig::new();
    all.set("bootstrap.servers", bootstrap).set("linger.ms", "5").set("acks", "all");
    config.iter().for_each(|(name, value)| {
        all.set(*name, *value);
    });
    all.create().unwrap()
}

/// Records whose key and value are their numbers.
fn send(producer: &BaseProducer, topic: &str, partition: i32, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let number = number.to_string();
        let mut record = BaseRecord::to(topic).partition(partition).key(&number).payload(&number);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
}

fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

fn named(name: &str) -> Topics {
    Topics::Named(vec![name.to_owned()])
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
fn assigned(consumer: &mut dyn RecordConsumer) -> BTreeSet<TopicPartition> {
    until(consumer, |consumed, records| match consumed {
        Consumed::Assigned(partitions) => {
            assert!(records.is_empty(), "a record before its assignment");
            Some(partitions.iter().cloned().collect())
        }
        _ => None,
    })
}

#[track_caller]
fn offsets(consumer: &mut dyn RecordConsumer, count: usize) -> Vec<i64> {
    until(consumer, |_, records| {
        (records.len() >= count).then(|| records.iter().map(|record| record.kafka_offset).collect::<Vec<_>>())
    })
}

fn values(records: &[ConsumedRecord]) -> Vec<u64> {
    let number = |record: &ConsumedRecord| {
        let text = std::str::from_utf8(record.value.as_deref().unwrap_or_default()).unwrap();
        text.parse().unwrap()
    };
    records.iter().map(number).collect()
}

#[test]
fn a_group_goes_on_where_it_has_committed_and_kafkas_tools_see_it() {
    let cluster = kafka();
    let place = Place::on(&cluster);
    let topic = place.topic("t", 1);
    place.write(&topic, 0, 0..10);
    let mut consumer = place.join(named(&topic), &[]);
    assert_eq!(assigned(&mut *consumer), [at(&topic, 0)].into());
    assert_eq!(offsets(&mut *consumer, 10), (0..10).collect::<Vec<_>>());
    assert_eq!(consumer.lag(), [(at(&topic, 0), 0)]);
    consumer.commit(&[(at(&topic, 0), 7)]).unwrap();
    let described = cluster
        .tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &["--bootstrap-server", &place.bootstrap, "--describe", "--group", &place.group],
        )
        .unwrap();
    let line = described.lines().find(|line| line.contains(&topic)).unwrap_or_else(|| panic!("{described}"));
    let fields: Vec<_> = line.split_whitespace().collect();
    assert_eq!(fields[..6], [&place.group, &topic, "0", "7", "10", "3"], "{described}");
    assert!(line.contains("connector-consumer-c-0"), "{described}");
    consumer.close();
    assert_eq!(place.stored(), [(at(&topic, 0), 7)]);
    let mut consumer = place.join(named(&topic), &[]);
    assigned(&mut *consumer);
    assert_eq!(offsets(&mut *consumer, 3), [7, 8, 9]);
}

#[test]
fn two_members_share_and_one_takes_over_what_the_other_has_committed() {
    let (range, sticky) = ("RangeAssignor", "CooperativeStickyAssignor");
    for (protocol, strategy) in [("classic", range), ("classic", sticky), ("consumer", "of the broker")] {
        let place = Place::on(&kafka());
        let topic = place.topic("t", 4);
        for partition in 0..4 {
            place.write(&topic, partition, 0..50);
        }
        let class = format!("org.apache.kafka.clients.consumer.{strategy}");
        let mut config = vec![("group.protocol", protocol)];
        if protocol == "classic" {
            config.push(("partition.assignment.strategy", &class));
        }
        let mut members = vec![place.join(named(&topic), &config)];
        // What was read of each partition, by whomever.
        let mut read: Vec<Vec<u64>> = vec![Vec::new(); 4];
        let mut owned = vec![BTreeSet::<i32>::new()];
        let start = Instant::now();
        let (mut joined, mut left, mut done) = (false, false, 0);
        while done < 4 || !left {
            assert!(start.elapsed() < PATIENCE * 2, "{strategy}: {read:?} {owned:?}");
            for (member, consumer) in members.iter_mut().enumerate() {
                let mut records = Vec::new();
                let consumed = consumer.poll(&mut records, 7, Duration::from_millis(50)).unwrap();
                match consumed {
                    Consumed::Nothing => {}
                    Consumed::Assigned(given) => owned[member].extend(given.iter().map(|at| at.partition)),
                    Consumed::Revoked(taken) => {
                        let ends: Vec<_> =
                            taken.iter().map(|at| (at.clone(), read[at.partition as usize].len() as i64)).collect();
                        consumer.commit(&ends).unwrap();
                        owned[member].retain(|partition| !taken.contains(&at(&topic, *partition)));
                    }
                    Consumed::Lost(lost) => panic!("{strategy}: {lost:?}"),
                    Consumed::Records => {
                        for record in records {
                            assert!(owned[member].contains(&record.partition), "{strategy}: {record:?}");
                            assert_eq!(read[record.partition as usize].len() as i64, record.kafka_offset, "{strategy}");
                            read[record.partition as usize].extend(values(&[record]));
                        }
                    }
                }
            }
            done = read.iter().filter(|read| read.len() >= 50).count();
            let total: usize = read.iter().map(Vec::len).sum();
            if !joined && total >= 30 {
                joined = true;
                members.push(place.join(named(&topic), &config));
                owned.push(BTreeSet::new());
            }
            if joined && !left && owned.iter().all(|owned| owned.len() == 2) {
                left = true;
                let ends: Vec<_> = owned[1].iter().map(|p| (at(&topic, *p), read[*p as usize].len() as i64)).collect();
                let mut leaver = members.pop().unwrap();
                leaver.commit(&ends).unwrap();
                leaver.close();
                owned.pop();
                for partition in 0..4 {
                    place.write(&topic, partition, 50..60);
                }
            }
        }
        let until_all = Instant::now();
        while read.iter().any(|read| read.len() < 60) {
            assert!(until_all.elapsed() < PATIENCE, "{strategy}: {read:?}");
            let mut records = Vec::new();
            let consumed = members[0].poll(&mut records, 7, Duration::from_millis(50)).unwrap();
            if let Consumed::Revoked(taken) = consumed {
                let ends: Vec<_> =
                    taken.into_iter().map(|at| (at.clone(), read[at.partition as usize].len() as i64)).collect();
                members[0].commit(&ends).unwrap();
            }
            for record in records {
                read[record.partition as usize].extend(values(&[record]));
            }
        }
        assert!(read.iter().all(|read| read.iter().copied().eq(0..60)), "{strategy}: {read:?}");
    }
}

#[test]
fn a_consumer_of_java_shares_the_group() {
    let cluster = kafka();
    let place = Place::on(&cluster);
    let topic = place.topic("t", 2);
    let mut consumer = place.join(named(&topic), &[]);
    assert_eq!(assigned(&mut *consumer).len(), 2);
    std::thread::scope(|scope| {
        let java = scope.spawn(|| {
            let args = ["--bootstrap-server", &place.bootstrap, "--topic", &topic, "--group", &place.group];
            let end = ["--max-messages", "3", "--timeout-ms", "60000", "--from-beginning"];
            cluster.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &[&args[..], &end].concat())
        });
        // All are taken away and one comes back: so Java has the other.
        let mut mine = BTreeSet::new();
        while mine.len() != 1 {
            mine = assigned(&mut *consumer);
        }
        place.write(&topic, 0, 0..3);
        place.write(&topic, 1, 0..3);
        assert_eq!(offsets(&mut *consumer, 3), [0, 1, 2]);
        consumer.commit(&[(mine.first().unwrap().clone(), 3)]).unwrap();
        while !java.is_finished() {
            consumer.poll(&mut Vec::new(), 10, Duration::from_millis(100)).unwrap();
        }
        let printed = java.join().unwrap().unwrap();
        assert_eq!(printed.lines().filter(|line| ["0", "1", "2"].contains(line)).count(), 3, "{printed}");
    });
}

#[test]
fn records_of_aborted_transactions_are_not_read() {
    let place = Place::on(&kafka());
    let topic = place.topic("t", 1);
    let producer = producer(&place.bootstrap, &[("transactional.id", &unique("tx"))]);
    producer.init_transactions(PATIENCE).unwrap();
    for (numbers, commit) in [(0..3, true), (3..6, false), (6..9, true)] {
        producer.begin_transaction().unwrap();
        send(&producer, &topic, 0, numbers);
        producer.flush(PATIENCE).unwrap();
        if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) }.unwrap();
    }
    let mut consumer = place.join(named(&topic), &[]);
    assigned(&mut *consumer);
    let read = until(&mut *consumer, |_, records| (records.len() >= 6).then(|| values(records)));
    assert_eq!(read, [0, 1, 2, 6, 7, 8]);
    // The marker behind the last record is nothing to wait for.
    let start = Instant::now();
    while consumer.lag() != [(at(&topic, 0), 0)] {
        assert!(start.elapsed() < PATIENCE, "{:?}", consumer.lag());
        assert_eq!(consumer.poll(&mut Vec::new(), 10, Duration::from_millis(100)).unwrap(), Consumed::Nothing);
    }
}

#[test]
fn seek_before_the_first_record_and_later() {
    let place = Place::on(&kafka());
    let topic = place.topic("t", 1);
    place.write(&topic, 0, 0..100);
    let mut consumer = place.join(named(&topic), &[]);
    assigned(&mut *consumer);
    consumer.seek(&at(&topic, 0), 40).unwrap();
    assert_eq!(offsets(&mut *consumer, 60), (40..100).collect::<Vec<_>>());
    consumer.seek(&at(&topic, 0), 98).unwrap();
    assert_eq!(consumer.lag(), [(at(&topic, 0), 2)]);
    assert_eq!(offsets(&mut *consumer, 2), [98, 99]);
    // While it is paused, too.
    consumer.pause(&[at(&topic, 0)]).unwrap();
    consumer.seek(&at(&topic, 0), 95).unwrap();
    assert_eq!(consumer.poll(&mut Vec::new(), 10, Duration::from_millis(300)).unwrap(), Consumed::Nothing);
    consumer.resume(&[at(&topic, 0)]).unwrap();
    assert_eq!(offsets(&mut *consumer, 5), [95, 96, 97, 98, 99]);
    assert!(consumer.seek(&at(&topic, 1), 0).is_err());
}

#[test]
fn a_pause_keeps_the_membership_and_what_was_fetched_comes_later() {
    let place = Place::on(&kafka());
    let topic = place.topic("t", 2);
    place.write(&topic, 0, 0..10);
    place.write(&topic, 1, 0..10);
    let config = [("max.poll.interval.ms", "6000"), ("max.poll.records", "3")];
    let mut consumer = place.join(named(&topic), &config);
    let both = [at(&topic, 0), at(&topic, 1)];
    assert_eq!(assigned(&mut *consumer), both.clone().into());
    consumer.pause(&both[..1]).unwrap();
    let first = until(&mut *consumer, |_, records| (!records.is_empty()).then(|| records.to_vec()));
    assert!(first.len() <= 3 && first.iter().all(|record| record.partition == 1), "{first:?}");
    consumer.pause(&both).unwrap();
    let start = Instant::now();
    let mut records = Vec::new();
    while start.elapsed() < Duration::from_secs(8) {
        let consumed = consumer.poll(&mut records, 10, Duration::from_millis(500)).unwrap();
        assert_eq!(consumed, Consumed::Nothing);
    }
    consumer.resume(&both).unwrap();
    let rest = until(&mut *consumer, |consumed, records| {
        assert!(matches!(consumed, Consumed::Records | Consumed::Nothing), "{consumed:?}");
        (records.len() >= 20 - first.len()).then(|| records.to_vec())
    });
    for partition in 0..2 {
        let of = |records: &[ConsumedRecord]| -> Vec<i64> {
            records.iter().filter(|record| record.partition == partition).map(|record| record.kafka_offset).collect()
        };
        assert_eq!([of(&first), of(&rest)].concat(), (0..10).collect::<Vec<_>>());
    }
    consumer.commit(&[(both[0].clone(), 10)]).unwrap();
}

#[test]
fn a_member_that_is_away_for_too_long_loses_its_partitions() {
    let place = Place::on(&kafka());
    let topic = place.topic("t", 1);
    place.write(&topic, 0, 0..5);
    let config = [("max.poll.interval.ms", "6000")];
    let mut one = place.join(named(&topic), &config);
    assigned(&mut *one);
    assert_eq!(offsets(&mut *one, 5).len(), 5);
    let mut two = place.join(named(&topic), &[]);
    assert_eq!(assigned(&mut *two), [at(&topic, 0)].into());
    let error = one.commit(&[(at(&topic, 0), 3)]).unwrap_err();
    assert!(matches!(&error, StoreError::Transient(_)), "{error}");
    let lost = until(&mut *one, |consumed, _| match consumed {
        Consumed::Lost(partitions) => Some(partitions.clone()),
        Consumed::Revoked(partitions) => panic!("{partitions:?} can still be committed?"),
        _ => None,
    });
    assert_eq!(lost, [at(&topic, 0)]);
    assert_eq!(offsets(&mut *two, 5).len(), 5);
}

#[test]
fn a_pattern_finds_topics_that_come_later() {
    let place = Place::on(&kafka());
    let family = unique("shop");
    place.make(&format!("{family}.a"), 1);
    place.make(&format!("{family}.aa"), 1);
    let mut consumer = place.join(Topics::Matching(format!("\\Q{family}.\\E[a-c&&[^d]]")), &[]);
    assert_eq!(assigned(&mut *consumer), [at(&format!("{family}.a"), 0)].into());
    let later = format!("{family}.b");
    place.make(&later, 1);
    place.write(&later, 0, 0..1);
    let mut given = BTreeSet::new();
    while !given.contains(&at(&later, 0)) {
        given = assigned(&mut *consumer);
    }
    let read = until(&mut *consumer, |_, records| records.first().cloned());
    assert_eq!((&*read.topic, read.kafka_offset), (later.as_str(), 0));
}

#[test]
fn a_topic_that_is_not_there_is_waited_for() {
    let place = Place::on(&kafka());
    let topic = unique("later");
    let mut consumer = place.join(named(&topic), &[]);
    assert_eq!(consumer.poll(&mut Vec::new(), 1, Duration::from_secs(2)).unwrap(), Consumed::Nothing);
    place.make(&topic, 1);
    place.write(&topic, 0, 0..1);
    assert_eq!(assigned(&mut *consumer), [at(&topic, 0)].into());
    assert_eq!(offsets(&mut *consumer, 1), [0]);
}

#[test]
fn offsets_are_altered_and_deleted_while_there_are_no_members() {
    let place = Place::on(&kafka());
    let topic = place.topic("t", 2);
    let alter = |offsets: &[(TopicPartition, Option<i64>)]| place.backend.alter_group_offsets(&place.group, offsets);
    assert_eq!(place.stored(), []);
    alter(&[(at(&topic, 0), Some(3)), (at(&topic, 1), Some(4))]).unwrap();
    alter(&[(at(&topic, 0), None), (at(&topic, 1), Some(5))]).unwrap();
    assert_eq!(place.stored(), [(at(&topic, 1), 5)]);
    let error = alter(&[(at(&unique("nowhere"), 0), Some(0))]).unwrap_err();
    assert!(matches!(&error, StoreError::Definite(text) if text.contains("nowhere")), "{error}");
    place.write(&topic, 1, 0..6);
    let mut consumer = place.join(named(&topic), &[]);
    assigned(&mut *consumer);
    assert_eq!(offsets(&mut *consumer, 1), [5]);
    for outcome in [alter(&[(at(&topic, 0), Some(1))]), alter(&[(at(&topic, 1), None)])] {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, StoreError::Definite(text) if text.contains("members")), "{error}");
    }
    assert!(place.backend.delete_group(&place.group).is_err());
    consumer.close();
    place.backend.delete_group(&place.group).unwrap();
    place.backend.delete_group(&place.group).unwrap();
    assert_eq!(place.stored(), []);
}

#[test]
fn dead_letters_are_kept_as_they_were_in_a_topic_of_one_partition() {
    let place = Place::on(&kafka());
    let topic = unique("dead");
    let request = |replication_factor| DeadLetterRequest {
        connector: "c".into(),
        task: 0,
        topic: topic.clone(),
        replication_factor,
        config: vec![("producer.override.compression.type".into(), "zstd".into())],
    };
    let error = place.backend.dead_letters(request(3)).err().expect("one broker");
    let option = "errors.deadletterqueue.topic.replication.factor";
    assert!(matches!(&error, StoreError::Definite(text) if text.contains(option)), "{error}");
    let mut queue = place.backend.dead_letters(request(-1)).unwrap();
    let letter = DeadLetter {
        key: None,
        value: Some(b"poison".to_vec()),
        headers: vec![("__connect.errors.topic".into(), Some(b"t".to_vec())), ("h".into(), None)],
        timestamp_ms: Some(1_700_000_000_017),
    };
    let empty = DeadLetter { key: Some(Vec::new()), value: None, headers: Vec::new(), timestamp_ms: None };
    queue.write(&[letter.clone(), empty]).unwrap();
    let mut again = place.backend.dead_letters(request(1)).unwrap();
    again.write(&vec![letter.clone(); 5000]).unwrap();
    let mut consumer = place.join(named(&topic), &[]);
    assert_eq!(assigned(&mut *consumer), [at(&topic, 0)].into());
    let read = until(&mut *consumer, |_, records| (records.len() >= 5002).then(|| records.to_vec()));
    assert_eq!(read.len(), 5002);
    let first = read[0].clone();
    assert_eq!((first.key, first.value, first.headers), (letter.key, letter.value, letter.headers));
    assert_eq!(first.timestamp_ms, letter.timestamp_ms);
    assert_eq!((read[1].key.clone(), read[1].value.clone()), (Some(Vec::new()), None));
}

#[test]
fn what_a_user_may_not_do_is_said_with_the_right_that_is_missing() {
    use walspring_testkit::Listener;
    let cluster = Kafka::start(
        KafkaOptions::default()
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("super.users", "User:ANONYMOUS;User:boss")
            .listener(Listener::plain("LOGIN", &[("boss", "b"), ("reader", "r")])),
    );
    let mut place = Place::on(&cluster);
    let topic = place.topic("t", 1);
    place.write(&topic, 0, 0..1);
    let login = |user: &str, password: &str| {
        format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{user}\" password=\"{password}\";"
        )
    };
    place.worker.insert("bootstrap.servers".into(), cluster.bootstrap_of("LOGIN"));
    place.worker.insert("security.protocol".into(), "SASL_PLAINTEXT".into());
    place.worker.insert("sasl.mechanism".into(), "PLAIN".into());
    place.worker.insert("sasl.jaas.config".into(), login("boss", "b"));
    place.worker.insert("group.id".into(), unique("groups"));
    place.backend = KafkaBackend::connect(&place.worker).unwrap_or_else(|error| panic!("{error}"));
    let reader = login("reader", "r");
    let config = [("sasl.jaas.config", reader.as_str())];
    let allow = |args: &[&str]| {
        let base = ["--bootstrap-server", &place.bootstrap, "--add", "--allow-principal", "User:reader"];
        cluster.tool("org.apache.kafka.tools.AclCommand", &[&base, args].concat()).unwrap();
    };
    let refused = |consumer: &mut dyn RecordConsumer| {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "it is not refused");
            match consumer.poll(&mut Vec::new(), 10, Duration::from_millis(200)) {
                Ok(_) => {}
                Err(StoreError::Definite(reason)) => return reason,
                Err(error) => panic!("{error}"),
            }
        }
    };
    allow(&["--operation", "READ", "--operation", "DESCRIBE", "--topic", &topic]);
    let reason = refused(&mut *place.join(named(&topic), &config));
    assert!(reason.contains("READ") && reason.contains(&place.group), "{reason}");
    allow(&["--operation", "READ", "--group", &place.group]);
    let mut consumer = place.join(named(&topic), &config);
    assigned(&mut *consumer);
    assert_eq!(offsets(&mut *consumer, 1), [0]);
    consumer.commit(&[(at(&topic, 0), 1)]).unwrap();
    assert_eq!(consumer.positions(), [(at(&topic, 0), 1)]);
    let args = ["--remove", "--force", "--allow-principal", "User:reader", "--operation", "READ", "--topic", &topic];
    let args = [&["--bootstrap-server", &place.bootstrap][..], &args].concat();
    cluster.tool("org.apache.kafka.tools.AclCommand", &args).unwrap();
    let reason = refused(&mut *consumer);
    assert!(reason.contains("READ") && reason.contains(&topic), "{reason}");
    // The error is no record: what comes next is still the second one.
    assert_eq!(consumer.positions(), [(at(&topic, 0), 1)]);
    consumer.close();
    let other = place.topic("other", 1);
    let reason = refused(&mut *place.join(named(&other), &config));
    assert!(reason.contains("READ") && reason.contains(&other), "{reason}");
}

#[test]
fn a_restart_of_the_broker_is_survived() {
    let cluster = Kafka::start(KafkaOptions::default());
    let place = Place::on(&cluster);
    let topic = place.topic("t", 1);
    place.write(&topic, 0, 0..5);
    let mut consumer = place.join(named(&topic), &[]);
    assigned(&mut *consumer);
    assert_eq!(offsets(&mut *consumer, 5).len(), 5);
    consumer.commit(&[(at(&topic, 0), 5)]).unwrap();
    cluster.kill();
    assert_eq!(consumer.poll(&mut Vec::new(), 10, Duration::from_secs(1)).unwrap(), Consumed::Nothing);
    cluster.restart();
    place.write(&topic, 0, 5..10);
    assert_eq!(offsets(&mut *consumer, 5), [5, 6, 7, 8, 9]);
    let start = Instant::now();
    // The group may have to be found again first.
    while let Err(error) = consumer.commit(&[(at(&topic, 0), 10)]) {
        assert!(matches!(error, StoreError::Transient(_)), "{error}");
        assert!(start.elapsed() < PATIENCE, "{error}");
        consumer.poll(&mut Vec::new(), 10, Duration::from_millis(100)).unwrap();
    }
    consumer.close();
    assert_eq!(place.stored(), [(at(&topic, 0), 10)]);
}

/// Its share is held back until all others have asked for theirs, which one that does not poll does not; its farewell must
/// not wait behind that.
#[test]
fn a_member_that_waits_for_its_share_leaves_at_once() {
    let place = Place::on(&kafka());
    let topic = place.topic("farewell", 2);
    let mut first = place.join(named(&topic), &[]);
    assigned(&mut *first);
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &place.bootstrap).create().unwrap();
    let group = || {
        let list = client.fetch_group_list(Some(&place.group), PATIENCE).unwrap();
        list.groups().first().map(|group| (group.state().to_owned(), group.members().len())).unwrap()
    };
    let mut second = place.join(named(&topic), &[]);
    let start = Instant::now();
    while group() != ("PreparingRebalance".to_owned(), 2) {
        assert!(start.elapsed() < PATIENCE, "{:?}", group());
        let consumed = second.poll(&mut Vec::new(), 10, Duration::from_millis(50)).unwrap();
        assert_eq!(consumed, Consumed::Nothing);
    }
    let closing = Instant::now();
    second.close();
    assert!(closing.elapsed() < Duration::from_secs(20), "{:?}", closing.elapsed());
    assert_eq!(group().1, 1);
    // The first goes on with everything.
    place.write(&topic, 0, 0..3);
    assert_eq!(offsets(&mut *first, 3), [0, 1, 2]);
}

/// Not a check: says how fast records come. Polling of the client is C; what is ours is in the profile of the test.
#[test]
#[ignore = "a measurement"]
fn how_fast_records_come() {
    const RECORDS: u64 = 2_000_000;
    let place = Place::on(&kafka());
    let topic = place.topic("fast", 4);
    let producer =
        producer(&place.bootstrap, &[("compression.type", "lz4"), ("queue.buffering.max.messages", "1000000")]);
    let payload = [b'x'; 100];
    for number in 0..RECORDS {
        let key = number.to_string();
        let mut record = BaseRecord::to(&topic).partition((number % 4) as i32).key(&key).payload(&payload[..]);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(PATIENCE).unwrap();
    let mut consumer = place.join(named(&topic), &[]);
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
}
