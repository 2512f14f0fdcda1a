//! Whatever the order in which members of a group join, leave, read, commit, pause and seek, with transactions that are
//! committed or aborted: between committed offsets no record is lost, and none is there twice. By seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use walspring_connect::{
    Backend, Consumed, ConsumerRequest, RecordConsumer, StopToken, StoreError, TopicPartition, Topics,
};
use walspring_kafka::admin::{Admin, NewTopic};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_testkit::kafka;

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::properties;

const PARTITIONS: i32 = 3;
const STEPS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// Knuth's, with its better half.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

struct Member {
    consumer: Box<dyn RecordConsumer>,
    /// For each of its partitions the number of the next record.
    owned: BTreeMap<i32, usize>,
    /// Gone with the next poll.
    revoked: BTreeSet<i32>,
    paused: BTreeSet<i32>,
}

struct World {
    backend: KafkaBackend,
    topic: String,
    config: Vec<(String, String)>,
    members: Vec<Member>,
    producer: BaseProducer,
    /// For each partition, by the record's number: its offset, when it was read.
    offsets: Vec<Vec<Option<i64>>>,
    /// For each partition the number of the first record that is not committed.
    stored: Vec<usize>,
    trace: Vec<String>,
    /// Each member is a task of its own: one with the number of another takes its place.
    tasks: u32,
}

fn worker(name: &str) -> Properties {
    let more = [
        ("offset.storage.partitions", "1"),
        ("status.storage.partitions", "1"),
        ("exactly.once.source.support", "disabled"),
    ];
    properties(&kafka().bootstrap(), name, &more)
}

impl World {
    fn new(seed: u64, config: &[(&str, &str)]) -> World {
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let topic = format!("mixed-{seed}-{nanos}");
        let worker = worker(&topic);
        let backend = KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}"));
        let options = ClientOptions::internal(Owner::Admin, &worker).unwrap();
        let new =
            NewTopic { name: topic.clone(), partitions: PARTITIONS, replication_factor: 1, config: Default::default() };
        Admin::open(&options, "test").unwrap().create_topic(&new, PATIENCE).unwrap();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", kafka().bootstrap())
            .set("transactional.id", &topic)
            .set("linger.ms", "0")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        let config = config.iter().map(|(k, v)| (format!("consumer.override.{k}"), (*v).to_owned())).collect();
        let (members, trace) = Default::default();
        let count = PARTITIONS as usize;
        let (offsets, stored) = (vec![Vec::new(); count], vec![0; count]);
        World { backend, topic, config, members, producer, offsets, stored, trace, tasks: 0 }
    }

    fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic.as_str().into(), partition }
    }

    fn join(&mut self) {
        self.tasks += 1;
        let request = ConsumerRequest {
            connector: "c".into(),
            task: self.tasks,
            group: format!("connect-{}", self.topic),
            topics: Topics::Named(vec![self.topic.clone()]),
            config: self.config.clone(),
            stop: StopToken::default(),
        };
        let consumer = self.backend.consumer(request).unwrap();
        self.trace.push(format!("{} joins", self.members.len()));
        let (owned, revoked, paused) = Default::default();
        self.members.push(Member { consumer, owned, revoked, paused });
    }

    /// A transaction. What is aborted has a number that never comes.
    fn write(&mut self, partition: i32, count: u64, commit: bool) {
        self.producer.begin_transaction().unwrap();
        let first = self.offsets[partition as usize].len() as u64;
        for number in first..first + count {
            let value = if commit { number.to_string() } else { "never".to_owned() };
            let record = BaseRecord::<(), _>::to(&self.topic).partition(partition).payload(&value);
            self.producer.send(record).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
        if commit {
            self.producer.commit_transaction(PATIENCE).unwrap();
            self.offsets[partition as usize].resize((first + count) as usize, None);
        } else {
            self.producer.abort_transaction(PATIENCE).unwrap();
        }
    }

    /// Commits where the member stands, as it says itself.
    fn commit(&mut self, index: usize) {
        let member = &mut self.members[index];
        let positions = member.consumer.positions();
        let offsets: Vec<_> =
            positions.into_iter().filter(|(at, _)| member.owned.contains_key(&at.partition)).collect();
        self.trace.push(format!("{index} commits {:?}", brief(&offsets)));
        match member.consumer.commit(&offsets) {
            Ok(()) => {
                for (at, _) in &offsets {
                    self.stored[at.partition as usize] = member.owned[&at.partition];
                }
            }
            // The others are about to get their shares: nothing is stored.
            Err(StoreError::Transient(reason)) => {
                assert!(reason.contains("other members"), "{reason}");
                self.trace.push(format!("{index}: {reason}"));
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self, index: usize, count: usize, wait: Duration) -> Consumed {
        let member = &mut self.members[index];
        for partition in std::mem::take(&mut member.revoked) {
            member.owned.remove(&partition);
            member.paused.remove(&partition);
        }
        let mut records = Vec::new();
        let consumed = member.consumer.poll(&mut records, count, wait).unwrap();
        if consumed != Consumed::Nothing {
            let places: Vec<_> = records.iter().map(|record| (record.partition, record.kafka_offset)).collect();
            self.trace.push(format!("{index} {consumed:?} {places:?}"));
        }
        match &consumed {
            Consumed::Records | Consumed::Nothing => {}
            Consumed::Assigned(given) => {
                for TopicPartition { partition, .. } in given {
                    let others = self.members.iter().any(|member| member.owned.contains_key(partition));
                    assert!(!others, "partition {partition} has two owners");
                    self.members[index].owned.insert(*partition, self.stored[*partition as usize]);
                }
            }
            Consumed::Revoked(taken) => member.revoked.extend(taken.iter().map(|at| at.partition)),
            Consumed::Lost(lost) => panic!("lost {lost:?}"),
        }
        let member = &mut self.members[index];
        for record in records {
            let next = member.owned.get_mut(&record.partition).expect("a partition of its own");
            assert!(!member.paused.contains(&record.partition), "it is paused");
            assert_eq!(std::str::from_utf8(record.value.as_deref().unwrap()), Ok(next.to_string().as_str()));
            self.offsets[record.partition as usize][*next] = Some(record.kafka_offset);
            *next += 1;
        }
        consumed
    }

    fn step(&mut self, dice: &mut Dice) {
        let count = self.members.len() as u64;
        let index = if count == 0 { 0 } else { dice.below(count) as usize };
        match dice.below(100) {
            0..4 if count < 3 => self.join(),
            _ if count == 0 => self.join(),
            4..6 => {
                if dice.below(2) == 0 {
                    self.commit(index);
                }
                self.trace.push(format!("{index} leaves"));
                self.members.remove(index).consumer.close();
            }
            6..16 => self.commit(index),
            16..26 => {
                let (partition, count, commit) = (dice.below(3) as i32, 1 + dice.below(8), dice.below(4) > 0);
                self.write(partition, count, commit);
            }
            26..30 => {
                let places: Vec<_> = self.members[index].owned.iter().map(|(p, next)| (*p, *next)).collect();
                for (partition, next) in places {
                    let back = next.saturating_sub(dice.below(4) as usize);
                    let Some(Some(offset)) = self.offsets[partition as usize].get(back).copied() else { continue };
                    let at = self.at(partition);
                    self.trace.push(format!("{index} seeks {partition} {offset}"));
                    self.members[index].consumer.seek(&at, offset).unwrap();
                    self.members[index].owned.insert(partition, back);
                }
            }
            30..36 => {
                let paused = dice.below(2) == 0;
                let all: Vec<_> = self.members[index].owned.keys().map(|partition| self.at(*partition)).collect();
                self.trace.push(format!("{index} pauses {paused} {all:?}"));
                self.set_paused(index, &all, paused);
            }
            _ => {
                let (count, wait) = (1 + dice.below(10), Duration::from_millis(dice.below(30)));
                if matches!(self.poll(index, count as usize, wait), Consumed::Revoked(_)) && dice.below(2) == 0 {
                    self.commit(index);
                }
            }
        }
    }

    fn set_paused(&mut self, index: usize, partitions: &[TopicPartition], paused: bool) {
        let member = &mut self.members[index];
        if paused {
            member.consumer.pause(partitions).unwrap();
            member.paused.extend(partitions.iter().map(|at| at.partition));
        } else {
            member.consumer.resume(partitions).unwrap();
            partitions.iter().for_each(|at| {
                member.paused.remove(&at.partition);
            });
        }
    }

    /// Until all is read and committed by whoever is left.
    fn finish(&mut self) {
        self.join();
        let start = Instant::now();
        while self.stored.iter().zip(&self.offsets).any(|(stored, offsets)| *stored < offsets.len()) {
            assert!(start.elapsed() < PATIENCE, "it never ends: {:?}", self.stored);
            for index in 0..self.members.len() {
                self.poll(index, 50, Duration::from_millis(20));
                let paused: Vec<_> = self.members[index].paused.iter().map(|partition| self.at(*partition)).collect();
                self.set_paused(index, &paused, false);
                self.commit(index);
            }
        }
    }
}

fn brief(offsets: &[(TopicPartition, i64)]) -> Vec<(i32, i64)> {
    offsets.iter().map(|(at, offset)| (at.partition, *offset)).collect()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.trace.len().saturating_sub(100);
            eprintln!("{}", self.trace[from..].join("\n"));
        }
    }
}

#[track_caller]
fn check(config: &[(&str, &str)]) {
    let seeds: Vec<u64> = match std::env::var("GROUP_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => vec![1, std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64],
    };
    for seed in seeds {
        eprintln!("GROUP_SEED={seed} {config:?}");
        let (mut world, mut dice) = (World::new(seed, config), Dice(seed));
        for _ in 0..STEPS {
            world.step(&mut dice);
        }
        world.finish();
    }
}

const FAST: [(&str, &str); 2] = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "100")];

#[test]
fn partitions_move_together() {
    check(&FAST);
}

#[test]
fn partitions_move_one_by_one() {
    let strategy = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    check(&[FAST[0], FAST[1], ("partition.assignment.strategy", strategy)]);
}

#[test]
fn the_broker_moves_partitions() {
    check(&[("group.protocol", "consumer")]);
}
