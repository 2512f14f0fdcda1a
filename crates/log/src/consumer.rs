//! A member of a consumer group on the log: what one task of a sink reads with.
//!
//! The journal is read forward by one cursor for all partitions of the member: those at the same place share the pass. What
//! waits for something to come waits for the appending thread's signal. Memory: one frame, and what was asked for.
//!
//! Invariants: no record comes of a partition that was not announced; after `seek`, `pause` and the loss of a partition
//! nothing comes that was read before.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_config::java_regex::JavaRegex;
use walspring_connect::{
    Consumed, ConsumedRecord, ConsumerRequest, RecordConsumer, StoreError, TopicPartition, Topics,
};
use walspring_record_batch::RecordBatchReader;

use crate::cursor::{Cursor, CursorError};
use crate::frame;
use crate::group::{MemberId, Subscription, Turn};
use crate::log::{Log, write};
use crate::view::{Change, Place};

/// Java's default of `max.poll.interval.ms`.
const AWAY_MAX: Duration = Duration::from_secs(300);
/// What one poll brings at most: a record more, and what its frame has behind it, may wait for the next.
const POLL_BYTES: usize = 4 << 20;
/// So much of the journal is passed over without a record before a poll looks at the clock.
const PASS_BYTES: u64 = 32 << 20;
const NAME: &str = "consumer.override.";

/// Where to begin without an offset, or with one that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reset {
    Earliest,
    Latest,
    None,
}

pub(crate) struct GroupConsumer {
    log: Log,
    group: String,
    member: MemberId,
    reset: Reset,
    records_max: usize,
    /// What was told to the caller, and is given up with the next poll.
    taken: Vec<TopicPartition>,
    partitions: Vec<Reading>,
    /// Places in `partitions`, by topic and partition.
    places: HashMap<Arc<str>, HashMap<i32, usize>>,
    cursor: Cursor,
    /// Read from the journal and not handed out yet: the rest of a frame.
    ready: VecDeque<ConsumedRecord>,
}

/// A partition that is read.
struct Reading {
    partition: TopicPartition,
    /// The next offset to hand out; none until it is known where to begin.
    position: Option<i64>,
    /// The next offset to read from the journal: beyond what is ready.
    read_to: i64,
    /// No earlier frame has anything from `read_to` on; none when that is not known.
    place: Option<Place>,
    paused: bool,
}

impl GroupConsumer {
    pub fn join(log: Log, request: ConsumerRequest) -> Result<GroupConsumer, StoreError> {
        let ConsumerRequest { group, topics, config, .. } = request;
        let option = |name: &str| {
            let found = config.iter().rev().find(|(key, _)| key.strip_prefix(NAME) == Some(name));
            found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        let number = |name: &str| {
            let wrong = |text| StoreError::Definite(format!("{NAME}{name}: {text} is not a positive number"));
            option(name).map(|text| text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| wrong(text))).transpose()
        };
        let reset = match option("auto.offset.reset") {
            None | Some("earliest") => Reset::Earliest,
            Some("latest") => Reset::Latest,
            Some("none") => Reset::None,
            Some(other) => {
                return Err(StoreError::Definite(format!(
                    "{NAME}auto.offset.reset: {other} is not known; earliest, latest and none are"
                )));
            }
        };
        let away_max = number("max.poll.interval.ms")?.map_or(AWAY_MAX, Duration::from_millis);
        let records_max = number("max.poll.records")?.map_or(usize::MAX, |count| count as usize);
        let subscription = match topics {
            Topics::Named(names) => Subscription::Named(names.into_iter().collect()),
            Topics::Matching(pattern) => {
                let regex = JavaRegex::new(&pattern);
                let regex = regex.map_err(|error| StoreError::Definite(format!("topics.regex: {error}")))?;
                Subscription::Matching(Box::new(regex))
            }
        };
        let shared = log.shared.clone();
        let member = {
            let mut groups = shared.groups();
            groups.join(&group, subscription, away_max, &shared.view())
        };
        shared.wake_members();
        Ok(GroupConsumer {
            cursor: Cursor::new(shared.dir.clone()),
            log,
            group,
            member,
            reset,
            records_max,
            taken: Vec::new(),
            partitions: Vec::new(),
            places: HashMap::new(),
            ready: VecDeque::new(),
        })
    }

    fn reading(&mut self, partition: &TopicPartition) -> Result<&mut Reading, StoreError> {
        let TopicPartition { topic, partition: number } = partition;
        let place = self.places.get(topic).and_then(|partitions| partitions.get(number)).copied();
        let reading = place.and_then(|place| self.partitions.get_mut(place));
        reading.ok_or_else(|| StoreError::Transient(format!("{topic}-{number} is not assigned to this consumer")))
    }

    /// What is ready of a partition is read again, from here on.
    fn forget_ready(&mut self, partition: &TopicPartition, position: Option<i64>) -> Result<(), StoreError> {
        self.ready.retain(|record| record.partition != partition.partition || record.topic != partition.topic);
        let reading = self.reading(partition)?;
        if let Some(position) = position {
            reading.position = Some(position);
        }
        reading.read_to = reading.position.unwrap_or(0);
        reading.place = None;
        Ok(())
    }

    fn begin(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let position = self.log.group_offset(&self.group, &partition.topic, partition.partition);
            let (partition, read_to) = (partition.clone(), position.unwrap_or(0));
            self.partitions.push(Reading { partition, position, read_to, place: None, paused: false });
        }
        self.find_places();
    }

    fn end(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let _ = self.forget_ready(partition, None);
        }
        self.partitions.retain(|reading| !partitions.contains(&reading.partition));
        self.find_places();
    }

    fn find_places(&mut self) {
        self.places.clear();
        for (place, Reading { partition, .. }) in self.partitions.iter().enumerate() {
            self.places.entry(partition.topic.clone()).or_default().insert(partition.partition, place);
        }
    }

    /// What the group has to say to this member.
    fn hear(&mut self) -> Option<Consumed> {
        let shared = self.log.shared.clone();
        let turn = {
            let mut groups = shared.groups();
            let view = shared.view();
            groups.turn(&self.group, self.member, &view)
        };
        Some(match turn? {
            Turn::Given(partitions) => {
                self.begin(&partitions);
                Consumed::Assigned(partitions)
            }
            Turn::Taken(partitions) => {
                self.taken.clone_from(&partitions);
                Consumed::Revoked(partitions)
            }
            Turn::Lost(partitions) => Consumed::Lost(partitions),
        })
    }

    /// Gives up what the caller has been told is taken.
    fn settle(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if taken.is_empty() {
            return;
        }
        self.end(&taken);
        self.log.shared.groups().give_up(&self.group, self.member, &taken);
        self.log.shared.wake_members();
    }

    /// Hands out what is there, at most `count` records.
    fn take(&mut self, into: &mut Vec<ConsumedRecord>, count: usize) -> Result<bool, StoreError> {
        if self.ready.is_empty() {
            self.read(count)?;
        }
        let count = count.min(self.ready.len());
        into.reserve(count);
        let from = into.len();
        into.extend(self.ready.drain(..count));
        let mut rest = &into[from..];
        while let Some(first) = rest.first() {
            let same = |record: &&ConsumedRecord| record.partition == first.partition && record.topic == first.topic;
            let (run, later) = rest.split_at(rest.iter().take_while(same).count());
            let partition = TopicPartition { topic: first.topic.clone(), partition: first.partition };
            if let (Some(last), Ok(reading)) = (run.last(), self.reading(&partition)) {
                reading.position = Some(last.kafka_offset + 1);
            }
            rest = later;
        }
        Ok(count > 0)
    }

    /// Reads frames until enough is ready, or a good deal was passed over.
    fn read(&mut self, count: usize) -> Result<(), StoreError> {
        let Some((mut place, end)) = self.look()? else { return Ok(()) };
        let (mut bytes, mut passed) = (0, 0);
        while self.ready.len() < count && bytes < POLL_BYTES && passed < PASS_BYTES {
            let next = match self.cursor.frame(place, end) {
                Ok(Some((payload, next))) => {
                    bytes += deliver(payload, place, &self.places, &mut self.partitions, &mut self.ready)
                        .map_err(|error| StoreError::Definite(format!("the log is damaged: {error}")))?;
                    next
                }
                Ok(None) => end,
                Err(CursorError::Dropped) => {
                    // Where the records are now, the view knows.
                    self.partitions.iter_mut().for_each(|reading| reading.place = None);
                    return Ok(());
                }
                Err(CursorError::Io(error)) => {
                    return Err(StoreError::Transient(format!("reading the log failed: {error}")));
                }
                Err(CursorError::Damaged(error)) => {
                    return Err(StoreError::Definite(format!("the log is damaged: {error}")));
                }
            };
            for reading in self.partitions.iter_mut().filter(|reading| !reading.paused) {
                if reading.place.is_some_and(|at| at <= place) {
                    reading.place = Some(next);
                }
            }
            passed += next.byte_offset.saturating_sub(place.byte_offset);
            if next >= end {
                break;
            }
            place = next;
        }
        Ok(())
    }

    /// Where to read from, and up to where; none when there is nothing to read.
    fn look(&mut self) -> Result<Option<(Place, Place)>, StoreError> {
        let shared = self.log.shared.clone();
        let view = shared.view();
        let mut from = None;
        for reading in self.partitions.iter_mut().filter(|reading| !reading.paused) {
            let TopicPartition { topic, partition } = &reading.partition;
            let found = view.topics.get(&**topic).and_then(|found| found.partitions.get(*partition as usize));
            // Deleted meanwhile.
            let Some(span) = found.map(|found| found.span) else { continue };
            let position = reading.position.map(|_| reading.read_to);
            if position.is_none_or(|position| position < span.start || position > span.end) {
                let begin = match self.reset {
                    Reset::Earliest => span.start,
                    Reset::Latest => span.end,
                    Reset::None => {
                        return Err(StoreError::Definite(format!(
                            "group {} has no offset for {topic}-{partition}, or one that is gone, and \
                             {NAME}auto.offset.reset=none forbids to choose one: set the connector's offsets, or \
                             {NAME}auto.offset.reset=earliest",
                            self.group
                        )));
                    }
                };
                if let Some(gone) = position {
                    tracing::warn!(
                        group = self.group,
                        %topic,
                        partition,
                        from = gone,
                        to = begin,
                        "records were dropped by the retention before they were read"
                    );
                }
                (reading.position, reading.read_to, reading.place) = (Some(begin), begin, None);
            }
            if reading.read_to >= span.end {
                reading.place = Some(view.end);
                continue;
            }
            let place = match reading.place {
                Some(place) => place,
                None => match view.place(topic, *partition, reading.read_to) {
                    Some(place) => place,
                    None => continue,
                },
            };
            reading.place = Some(place);
            from = Some(from.map_or(place, |from: Place| from.min(place)));
        }
        Ok(from.map(|from| (from, view.end)))
    }

    fn leave(&mut self) {
        let shared = self.log.shared.clone();
        {
            let mut groups = shared.groups();
            let view = shared.view();
            groups.leave(&self.group, self.member, &view);
        }
        shared.wake_members();
    }

    fn poll_inside(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        count: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError> {
        let until = Instant::now() + wait;
        self.settle();
        loop {
            let seen = self.log.shared.changes();
            if let Some(heard) = self.hear() {
                return Ok(heard);
            }
            let before: Option<Place> = self.partitions.iter().filter_map(|reading| reading.place).min();
            if self.take(into, count)? {
                return Ok(Consumed::Records);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Consumed::Nothing);
            }
            // Something was passed over: there may be more behind it.
            if self.partitions.iter().filter_map(|reading| reading.place).min() == before {
                self.log.shared.wait_for_change(seen, left);
            }
        }
    }
}

/// Makes records of what a frame has for the partitions that have come to it; answers how many bytes.
fn deliver(
    payload: &[u8],
    place: Place,
    places: &HashMap<Arc<str>, HashMap<i32, usize>>,
    partitions: &mut [Reading],
    ready: &mut VecDeque<ConsumedRecord>,
) -> Result<usize, Box<dyn std::error::Error>> {
    let Some((&frame::KIND_RECORDS, body)) = payload.split_first() else { return Ok(0) };
    let mut bytes = 0;
    let (_, entries) = frame::entries(body)?;
    for entry in entries {
        let entry = entry?;
        let Some((topic, numbers)) = places.get_key_value(entry.topic) else { continue };
        let Some(reading) = numbers.get(&entry.partition).and_then(|index| partitions.get_mut(*index)) else {
            continue;
        };
        let end = entry.base_offset + i64::from(entry.records);
        if reading.paused || reading.place.is_none_or(|at| at > place) || end <= reading.read_to {
            continue;
        }
        let batch = RecordBatchReader::parse(entry.batch)?;
        let mut scratch = Vec::new();
        for record in batch.records(&mut scratch, frame::PAYLOAD_BYTES_MAX)? {
            let record = record?;
            if record.offset < reading.read_to {
                continue;
            }
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + 64;
            let headers =
                record.headers().map(|header| header.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))));
            ready.push_back(ConsumedRecord {
                topic: topic.clone(),
                partition: entry.partition,
                kafka_offset: record.offset,
                timestamp_ms: (record.timestamp_ms >= 0).then_some(record.timestamp_ms),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: headers.collect::<Result<_, _>>()?,
            });
        }
        reading.read_to = end;
    }
    Ok(bytes)
}

impl RecordConsumer for GroupConsumer {
    fn poll(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        records_max: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError> {
        let shared = self.log.shared.clone();
        let came = {
            let mut groups = shared.groups();
            let view = shared.view();
            groups.came(&self.group, self.member, &view)
        };
        let outcome = match came {
            Some(Turn::Lost(partitions)) => {
                self.taken.clear();
                self.end(&partitions);
                Ok(Consumed::Lost(partitions))
            }
            _ => self.poll_inside(into, records_max.min(self.records_max).max(1), wait),
        };
        shared.groups().went(&self.group, self.member);
        outcome
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), StoreError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let shared = self.log.shared.clone();
        {
            let mut groups = shared.groups();
            if let Some((partition, _)) = offsets.iter().find(|(at, _)| !groups.owns(&self.group, self.member, at)) {
                let TopicPartition { topic, partition } = partition;
                return Err(StoreError::Transient(format!(
                    "offsets of group {} cannot be stored: {topic}-{partition} has been given to another member",
                    self.group
                )));
            }
            groups.stay(&self.group, self.member);
        }
        let changes = offsets.iter().map(|(partition, offset)| change(&self.group, partition, Some(*offset))).collect();
        let written = write(&self.log.queue, Vec::new(), changes).map_err(|why| self.log.queue.store_error(why));
        shared.groups().went(&self.group, self.member);
        written
    }

    fn seek(&mut self, partition: &TopicPartition, kafka_offset: i64) -> Result<(), StoreError> {
        self.forget_ready(partition, Some(kafka_offset))
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        for partition in partitions {
            self.forget_ready(partition, None)?;
            self.reading(partition)?.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        for partition in partitions {
            self.reading(partition)?.paused = false;
        }
        Ok(())
    }

    fn lag(&mut self) -> Vec<(TopicPartition, u64)> {
        let view = self.log.shared.view();
        let lag = |Reading { partition, position, .. }: &Reading| {
            let found = view.topics.get(&*partition.topic)?.partitions.get(partition.partition as usize)?;
            Some((partition.clone(), u64::try_from(found.span.end - (*position)?).unwrap_or(0)))
        };
        self.partitions.iter().filter_map(lag).collect()
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.partitions.iter().filter_map(|reading| Some((reading.partition.clone(), reading.position?))).collect()
    }

    fn close(self: Box<Self>) {}
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a group has stored for a partition, as the log keeps it.
pub(crate) fn change(group: &str, partition: &TopicPartition, offset: Option<i64>) -> Change {
    let TopicPartition { topic, partition } = partition;
    Change::GroupOffset { group: group.to_owned(), topic: topic.to_string(), partition: *partition, offset }
}
