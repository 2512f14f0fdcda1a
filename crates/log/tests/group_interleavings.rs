//! Whatever the order in which members of a group join, leave, read, commit, pause and seek, and the log is closed and
//! opened: between committed offsets no record is lost, and none is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use walspring_connect::{Backend, Consumed, ConsumerRequest, RecordConsumer, StopToken, TopicPartition, Topics};
use walspring_log::{Log, LogBackend, LogBackendConfig, LogConfig, TopicSpec};

mod support;
use support::append;

const PARTITIONS: i32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave { member: usize, commits: bool },
    Poll { member: usize, records: usize },
    Commit { member: usize },
    Seek { member: usize, back: i64 },
    Pause { member: usize, paused: bool },
    Append { partition: i32, records: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0usize..4;
    prop_oneof![
        2 => Just(Step::Join),
        1 => (member.clone(), any::<bool>()).prop_map(|(member, commits)| Step::Leave { member, commits }),
        12 => (member.clone(), 1usize..6).prop_map(|(member, records)| Step::Poll { member, records }),
        3 => member.clone().prop_map(|member| Step::Commit { member }),
        1 => (member.clone(), 0i64..4).prop_map(|(member, back)| Step::Seek { member, back }),
        1 => (member, any::<bool>()).prop_map(|(member, paused)| Step::Pause { member, paused }),
        4 => (0..PARTITIONS, 1u64..8).prop_map(|(partition, records)| Step::Append { partition, records }),
        1 => Just(Step::Reopen),
    ]
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

struct Member {
    consumer: Box<dyn RecordConsumer>,
    /// For each of its partitions the next offset.
    owned: BTreeMap<i32, i64>,
    /// Gone with the next poll.
    revoked: BTreeSet<i32>,
    paused: BTreeSet<i32>,
}

struct World {
    backend: LogBackend,
    members: Vec<Member>,
    stored: [i64; PARTITIONS as usize],
    ends: [u64; PARTITIONS as usize],
}

fn open(dir: &Path) -> LogBackend {
    // Segments roll often, so that offsets are read from states, too.
    let config = LogConfig { segment_bytes: 2000, ..LogConfig::new(dir.join("log")) };
    LogBackend::new(Log::open(config).unwrap(), LogBackendConfig::default()).unwrap()
}

impl World {
    fn new(dir: &Path) -> World {
        let backend = open(dir);
        let spec = TopicSpec { partitions: PARTITIONS, compacted: false, config: BTreeMap::new() };
        backend.log().ensure_topic("t", spec).unwrap();
        World { backend, members: Vec::new(), stored: Default::default(), ends: Default::default() }
    }

    fn join(&mut self) {
        let request = ConsumerRequest {
            connector: "c".into(),
            task: self.members.len() as u32,
            group: "g".into(),
            topics: Topics::Named(vec!["t".into()]),
            config: Vec::new(),
            stop: StopToken::default(),
        };
        let consumer = self.backend.consumer(request).unwrap();
        let (owned, revoked, paused) = Default::default();
        self.members.push(Member { consumer, owned, revoked, paused });
    }

    fn commit(&mut self, index: usize) {
        let member = &mut self.members[index];
        let offsets: Vec<_> = member.owned.iter().map(|(partition, offset)| (at(*partition), *offset)).collect();
        member.consumer.commit(&offsets).unwrap();
        for (partition, offset) in &member.owned {
            self.stored[*partition as usize] = *offset;
        }
    }

    /// Answers whether anything happened.
    fn poll(&mut self, index: usize, count: usize) -> bool {
        let member = &mut self.members[index];
        for partition in std::mem::take(&mut member.revoked) {
            member.owned.remove(&partition);
            member.paused.remove(&partition);
        }
        let mut records = Vec::new();
        let consumed = member.consumer.poll(&mut records, count, Duration::ZERO).unwrap();
        assert_eq!(consumed == Consumed::Records, !records.is_empty());
        assert!(records.len() <= count);
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
            assert_eq!(record.kafka_offset, *next);
            assert_eq!(record.value.as_deref(), Some(next.to_string().as_bytes()));
            *next += 1;
        }
        consumed != Consumed::Nothing
    }

    fn step(&mut self, step: &Step, dir: &Path) {
        let count = self.members.len();
        match *step {
            Step::Join if count < 4 => self.join(),
            Step::Leave { member, commits } if member < count => {
                if commits {
                    self.commit(member);
                }
                self.members.remove(member).consumer.close();
            }
            Step::Poll { member, records } if member < count => drop(self.poll(member, records)),
            Step::Commit { member } if member < count => self.commit(member),
            Step::Seek { member, back } if member < count => {
                let Member { consumer, owned, .. } = &mut self.members[member];
                for (partition, next) in owned {
                    *next = (*next - back).max(0);
                    consumer.seek(&at(*partition), *next).unwrap();
                }
            }
            Step::Pause { member, paused } if member < count => {
                let member = &mut self.members[member];
                let partitions: Vec<_> = member.owned.keys().copied().map(at).collect();
                if paused {
                    member.consumer.pause(&partitions).unwrap();
                    member.paused = member.owned.keys().copied().collect();
                } else {
                    member.consumer.resume(&partitions).unwrap();
                    member.paused.clear();
                }
            }
            Step::Append { partition, records } => {
                let end = &mut self.ends[partition as usize];
                append(self.backend.log(), "t", partition, *end..*end + records);
                *end += records;
            }
            Step::Reopen => {
                self.members.clear();
                // The directory is locked until the old one is gone.
                let aside = dir.join("aside");
                let old = std::mem::replace(&mut self.backend, open(&aside));
                drop(old);
                self.backend = open(dir);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_record_is_lost_or_doubled_between_committed_offsets(steps in prop::collection::vec(step(), 1..80)) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path());
        for step in &steps {
            world.step(step, dir.path());
        }
        // Who is left polls until nothing happens any more: together they have everything.
        world.join();
        for index in 0..world.members.len() {
            world.step(&Step::Pause { member: index, paused: false }, dir.path());
        }
        loop {
            let mut happened = false;
            for index in 0..world.members.len() {
                happened |= world.poll(index, 5);
            }
            if !happened {
                break;
            }
        }
        let shares: Vec<_> = world.members.iter().map(|member| member.owned.len()).collect();
        prop_assert_eq!(shares.iter().sum::<usize>(), PARTITIONS as usize);
        prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{:?}", shares);
        for index in 0..world.members.len() {
            world.commit(index);
        }
        prop_assert_eq!(world.stored.map(|offset| offset as u64), world.ends);
        let stored = world.backend.group_offsets("g").unwrap();
        for offset in stored {
            prop_assert_eq!(offset.kafka_offset, world.stored[offset.partition.partition as usize]);
        }
    }
}
