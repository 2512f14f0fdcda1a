//! Topics with consumer groups in memory, and a sink that keeps what it is given.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use walspring_connect::*;
use walspring_record::Value;
use walspring_runtime::Props;

pub const SINK_CLASS: &str = "test.FakeSinkConnector";

pub fn sink_config(more: serde_json::Value) -> Props {
    let mut config = super::props(json!({ "connector.class": SINK_CLASS, "topics": "t", "tasks.max": "1" }));
    config.extend(super::props(more));
    config
}

pub fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

/// What outlives workers: records, and what groups have stored.
#[derive(Default)]
pub struct Topics {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether everything before an offset of a partition is where it should be, at the time that it is committed.
    pub durable: Mutex<Option<Durable>>,
}

pub type Durable = Box<dyn Fn(&TopicPartition, i64) -> bool + Send>;

#[derive(Default)]
struct State {
    records: BTreeMap<TopicPartition, Vec<ConsumedRecord>>,
    groups: BTreeMap<String, Group>,
    letters: Vec<(String, DeadLetter)>,
    letter_errors: VecDeque<StoreError>,
    /// Every commit, in order.
    commits: Vec<(TopicPartition, i64)>,
    commit_errors: VecDeque<StoreError>,
    next_member: u64,
}

#[derive(Default)]
struct Group {
    offsets: BTreeMap<TopicPartition, i64>,
    members: BTreeMap<u64, Member>,
}

#[derive(Default)]
struct Member {
    has: BTreeMap<TopicPartition, i64>,
    /// It has been told that these go.
    going: Vec<TopicPartition>,
    lost: Vec<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
}

impl Topics {
    pub fn add(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = impl ToString>) {
        let mut state = self.state.lock().unwrap();
        let records = state.records.entry(tp(topic, partition)).or_default();
        for value in values {
            let value = value.to_string();
            records.push(ConsumedRecord {
                topic: topic.into(),
                partition,
                kafka_offset: records.len() as i64,
                timestamp_ms: Some(7),
                key: Some(format!("key of {value}").into_bytes()).filter(|_| !value.contains("unreadable")),
                value: Some(value.into_bytes()),
                headers: vec![("h".into(), Some(b"own".to_vec()))],
            });
        }
        self.changed.notify_all();
    }

    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.state.lock().unwrap().groups.get(group)?.offsets.get(&tp(topic, partition)).copied()
    }

    pub fn commits(&self) -> Vec<(TopicPartition, i64)> {
        self.state.lock().unwrap().commits.clone()
    }

    pub fn letters(&self) -> Vec<(String, DeadLetter)> {
        self.state.lock().unwrap().letters.clone()
    }

    pub fn fail_letters(&self, errors: impl IntoIterator<Item = StoreError>) {
        self.state.lock().unwrap().letter_errors.extend(errors);
    }

    pub fn fail_commits(&self, errors: impl IntoIterator<Item = StoreError>) {
        self.state.lock().unwrap().commit_errors.extend(errors);
    }

    pub fn members(&self, group: &str) -> usize {
        self.state.lock().unwrap().groups.get(group).map_or(0, |g| g.members.len())
    }

    /// Partitions of each member.
    pub fn shares(&self, group: &str) -> Vec<usize> {
        let state = self.state.lock().unwrap();
        state.groups.get(group).map(|g| g.members.values().map(|m| m.has.len()).collect()).unwrap_or_default()
    }

    /// As a member that was away for too long: what it has is gone.
    pub fn expel_all(&self, group: &str) {
        let mut state = self.state.lock().unwrap();
        for member in state.groups.get_mut(group).unwrap().members.values_mut() {
            member.lost = std::mem::take(&mut member.has).into_keys().collect();
        }
    }

    pub fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        let state = self.state.lock().unwrap();
        let offsets = state.groups.get(group).map(|g| g.offsets.clone()).unwrap_or_default();
        offsets.into_iter().map(|(partition, kafka_offset)| GroupOffset { partition, kafka_offset }).collect()
    }

    fn idle_group<'a>(state: &'a mut State, group: &str) -> Result<&'a mut Group, StoreError> {
        let group = state.groups.entry(group.to_owned()).or_default();
        if group.members.is_empty() { Ok(group) } else { Err(StoreError::Definite("the group has members".into())) }
    }

    pub fn alter(&self, group: &str, offsets: &[(TopicPartition, Option<i64>)]) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        let group = Topics::idle_group(&mut state, group)?;
        for (partition, offset) in offsets {
            match offset {
                Some(offset) => group.offsets.insert(partition.clone(), *offset),
                None => group.offsets.remove(partition),
            };
        }
        Ok(())
    }

    pub fn delete_group(&self, group: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        Topics::idle_group(&mut state, group)?;
        state.groups.remove(group);
        Ok(())
    }
}

struct Consumer {
    topics: Arc<Topics>,
    named: Vec<String>,
    group: String,
    id: u64,
}

pub fn join(topics: &Arc<Topics>, request: ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> {
    let mut state = topics.state.lock().unwrap();
    state.next_member += 1;
    let id = state.next_member;
    state.groups.entry(request.group.clone()).or_default().members.insert(id, Member::default());
    let named = match request.topics {
        walspring_connect::Topics::Named(named) => named,
        walspring_connect::Topics::Matching(regex) => vec![regex],
    };
    drop(state);
    Ok(Box::new(Consumer { topics: topics.clone(), named, group: request.group, id }))
}

impl Consumer {
    /// What a poll finds at once.
    fn look(&self, state: &mut State, into: &mut Vec<ConsumedRecord>, records_max: usize) -> Option<Consumed> {
        let State { records, groups, .. } = state;
        let group = groups.get_mut(&self.group)?;
        let count = group.members.len();
        let place = group.members.keys().position(|id| *id == self.id)?;
        let all: Vec<_> = records.keys().filter(|p| self.named.contains(&p.topic.to_string())).cloned().collect();
        let target: HashSet<_> =
            all.iter().enumerate().filter(|(i, _)| i % count == place).map(|(_, p)| p.clone()).collect();
        let others: HashSet<_> = group
            .members
            .iter()
            .filter(|(id, _)| **id != self.id)
            .flat_map(|(_, m)| m.has.keys().chain(&m.going))
            .cloned()
            .collect();
        let offsets = group.offsets.clone();
        let member = group.members.get_mut(&self.id)?;
        if !member.lost.is_empty() {
            member.paused.clear();
            return Some(Consumed::Lost(std::mem::take(&mut member.lost)));
        }
        for gone in std::mem::take(&mut member.going) {
            member.has.remove(&gone);
            member.paused.remove(&gone);
        }
        let too_many: Vec<_> = member.has.keys().filter(|p| !target.contains(p)).cloned().collect();
        if !too_many.is_empty() {
            member.going = too_many.clone();
            return Some(Consumed::Revoked(too_many));
        }
        let mut new: Vec<_> =
            target.into_iter().filter(|p| !member.has.contains_key(p) && !others.contains(p)).collect();
        new.sort();
        if !new.is_empty() {
            for p in &new {
                member.has.insert(p.clone(), offsets.get(p).copied().unwrap_or(0));
            }
            return Some(Consumed::Assigned(new));
        }
        let mut left = records_max;
        for (partition, position) in member.has.iter_mut().filter(|(p, _)| !member.paused.contains(p)) {
            let all = &records[partition];
            let from = (*position as usize).min(all.len());
            let until = all.len().min(from + left);
            into.extend_from_slice(&all[from..until]);
            left -= until - from;
            *position = until as i64;
        }
        (left < records_max).then_some(Consumed::Records)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> T {
        work(&mut self.topics.state.lock().unwrap(), self.id)
    }
}

impl RecordConsumer for Consumer {
    fn poll(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        records_max: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError> {
        let end = Instant::now() + wait;
        let mut state = self.topics.state.lock().unwrap();
        loop {
            if let Some(found) = self.look(&mut state, into, records_max) {
                self.topics.changed.notify_all();
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Consumed::Nothing);
            }
            state = self.topics.changed.wait_timeout(state, left.min(Duration::from_millis(5))).unwrap().0;
        }
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), StoreError> {
        let group = self.group.clone();
        if let Some(durable) = &*self.topics.durable.lock().unwrap() {
            offsets
                .iter()
                .for_each(|(p, offset)| assert!(durable(p, *offset), "{p:?} {offset} is committed too early"));
        }
        self.with(|state, id| {
            if let Some(error) = state.commit_errors.pop_front() {
                return Err(error);
            }
            let group = state.groups.get_mut(&group).unwrap();
            if !group.members[&id].lost.is_empty() {
                return Err(StoreError::Transient("the member was away for too long".into()));
            }
            for (partition, offset) in offsets {
                assert!(group.members[&id].has.contains_key(partition), "{partition:?} is not this member's");
                group.offsets.insert(partition.clone(), *offset);
                state.commits.push((partition.clone(), *offset));
            }
            Ok(())
        })
    }

    fn seek(&mut self, partition: &TopicPartition, kafka_offset: i64) -> Result<(), StoreError> {
        let group = self.group.clone();
        self.with(|state, id| {
            let member = state.groups.get_mut(&group).unwrap().members.get_mut(&id).unwrap();
            *member.has.get_mut(partition).unwrap() = kafka_offset;
        });
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        let group = self.group.clone();
        self.with(|state, id| {
            let member = state.groups.get_mut(&group).unwrap().members.get_mut(&id).unwrap();
            member.paused.extend(partitions.iter().cloned());
        });
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        let group = self.group.clone();
        self.with(|state, id| {
            let member = state.groups.get_mut(&group).unwrap().members.get_mut(&id).unwrap();
            member.paused.retain(|p| !partitions.contains(p));
        });
        Ok(())
    }

    fn lag(&mut self) -> Vec<(TopicPartition, u64)> {
        let group = self.group.clone();
        self.with(|state, id| {
            let member = &state.groups[&group].members[&id];
            let lag = |(p, at): (&TopicPartition, &i64)| (p.clone(), (state.records[p].len() as i64 - at) as u64);
            member.has.iter().map(lag).collect()
        })
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        let group = self.group.clone();
        self.with(|state, id| state.groups[&group].members[&id].has.clone().into_iter().collect())
    }

    fn close(self: Box<Self>) {
        let group = self.group.clone();
        self.with(|state, id| drop(state.groups.get_mut(&group).unwrap().members.remove(&id)));
        self.topics.changed.notify_all();
    }
}

struct Letters(Arc<Topics>, String);

pub fn dead_letters(topics: &Arc<Topics>, request: DeadLetterRequest) -> Box<dyn DeadLetterQueue> {
    Box::new(Letters(topics.clone(), request.topic))
}

impl DeadLetterQueue for Letters {
    fn write(&mut self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().unwrap();
        if let Some(error) = state.letter_errors.pop_front() {
            return Err(error);
        }
        state.letters.extend(letters.iter().map(|letter| (self.1.clone(), letter.clone())));
        Ok(())
    }
}

/// A sink that keeps what it is given.
#[derive(Default)]
pub struct Sink {
    /// Where each was read, and its value.
    pub written: Mutex<Vec<(Origin, String)>>,
    pub puts: Mutex<Vec<usize>>,
    pub put_errors: Mutex<VecDeque<TaskError>>,
    pub open_errors: Mutex<VecDeque<TaskError>>,
    pub start_errors: Mutex<VecDeque<TaskError>>,
    /// Every put fails, transiently.
    pub down: AtomicBool,
    /// Says which records are poison, rather than that some are.
    pub names: AtomicBool,
    pub panics: AtomicBool,
    pub opened: Mutex<Vec<TopicPartition>>,
    pub closed: Mutex<Vec<TopicPartition>>,
    pub seeks: Mutex<Vec<(TopicPartition, i64)>>,
    pub stops: AtomicU64,
    pub groups: Mutex<Vec<String>>,
    /// Takes this long for each put, in milliseconds.
    pub slow_ms: AtomicU64,
}

/// Of a world in which nothing is left out: every record before the offset has been written.
pub fn check_commits(world: &super::World) {
    let sink = world.sink.clone();
    *world.topics.durable.lock().unwrap() = Some(Box::new(move |partition, offset| {
        let written = sink.written.lock().unwrap();
        let of_partition =
            written.iter().filter(|(o, _)| o.topic == partition.topic && o.partition == partition.partition);
        let offsets: HashSet<i64> = of_partition.map(|(o, _)| o.kafka_offset).collect();
        (0..offset).all(|offset| offsets.contains(&offset))
    }));
}

impl Sink {
    pub fn values(&self) -> Vec<String> {
        self.written.lock().unwrap().iter().map(|(_, value)| value.clone()).collect()
    }
}

pub struct FakeSink(pub Arc<Sink>);

impl SinkPlugin for FakeSink {
    fn class(&self) -> &'static str {
        SINK_CLASS
    }
    fn version(&self) -> &'static str {
        "2.0"
    }
    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        let wrong = config.iter().any(|(k, v)| k == "table" && v == "none");
        wrong.then(|| ("table".into(), "no such table".into())).into_iter().collect()
    }
    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        self.0.groups.lock().unwrap().push(context.group);
        match self.0.start_errors.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => Ok(Box::new(Task(self.0.clone()))),
        }
    }
}

struct Task(Arc<Sink>);

fn is_poison(record: &SinkRecord) -> bool {
    matches!(&record.value.value, Value::String(text) if text.contains("poison"))
}

pub fn poisoned() -> TaskError {
    TaskError::definite("org.example.Poison", "it cannot be written")
}

impl SinkTask for Task {
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>, TaskError> {
        if let Some(error) = self.0.open_errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        self.0.opened.lock().unwrap().extend_from_slice(partitions);
        Ok(self.0.seeks.lock().unwrap().iter().filter(|(p, _)| partitions.contains(p)).cloned().collect())
    }

    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
        assert!(outcomes.is_empty() && !records.is_empty());
        assert!(!self.0.panics.swap(false, Ordering::SeqCst), "asked to break off");
        std::thread::sleep(Duration::from_millis(self.0.slow_ms.load(Ordering::SeqCst)));
        if let Some(error) = self.0.put_errors.lock().unwrap().pop_front() {
            return Err(error.into());
        }
        if self.0.down.load(Ordering::SeqCst) {
            return Err(TaskError::transient("java.net.ConnectException", "the target is away").into());
        }
        let poison: Vec<usize> = (0..records.len()).filter(|i| is_poison(&records[*i])).collect();
        let names = self.0.names.load(Ordering::SeqCst);
        if !poison.is_empty() && !names {
            return Err(PutError::Records(poisoned()));
        }
        let mut written = self.0.written.lock().unwrap();
        for record in records.iter().filter(|record| !is_poison(record)) {
            let Value::String(value) = &record.value.value else { panic!("a text") };
            written.push((record.origin.clone(), value.to_string()));
        }
        outcomes.resize(records.len(), Outcome::Upsert);
        self.0.puts.lock().unwrap().push(records.len());
        if poison.is_empty() {
            return Ok(());
        }
        Err(PutError::Named(poison.into_iter().map(|place| (place, poisoned())).collect()))
    }

    fn close(&mut self, partitions: &[TopicPartition]) {
        self.0.closed.lock().unwrap().extend_from_slice(partitions);
    }

    fn stop(&mut self) {
        self.0.stops.fetch_add(1, Ordering::SeqCst);
    }
}

/// What an observer heard: where a record was read, and what became of it.
#[derive(Default)]
pub struct Seen {
    pub lines: Mutex<Vec<String>>,
    pub only_failures: AtomicBool,
}

impl SinkObserver for Seen {
    fn wants_all(&self) -> bool {
        !self.only_failures.load(Ordering::SeqCst)
    }

    fn processed(&self, task: &SinkIdentity, records: &[Processed<'_>]) {
        let line = |p: &Processed<'_>| {
            let origin = &p.record.origin;
            let fate = match p.fate {
                Fate::Done(outcome) => outcome.as_str().to_owned(),
                Fate::Dropped => "dropped".into(),
                Fate::Failed { error, dead_letter } => format!("{} {dead_letter}", error.message),
            };
            format!("{} {}-{}@{} {fate}", task.group, origin.topic, origin.partition, origin.kafka_offset)
        };
        self.lines.lock().unwrap().extend(records.iter().map(line));
    }
}
