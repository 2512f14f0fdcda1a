//! What is in the journal, as memory holds it: topics, the ends of partitions, where their batches begin (sparsely), the
//! newest record of each key in compacted topics, and group offsets. Built from frames alone, so a reader in another
//! process builds the same.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use walspring_record_batch::RecordBatchReader;

use crate::frame::{self, Entry, FrameError};

/// How a topic was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSpec {
    pub partitions: i32,
    /// Only the newest record of a key counts; kept whatever the retention.
    #[serde(default)]
    pub compacted: bool,
    /// The other settings that it was made with.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// The offsets that a partition has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionSpan {
    /// The first that is still there.
    pub start: i64,
    /// The next to be written.
    pub end: i64,
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Place {
    pub segment: u64,
    pub byte_offset: u64,
}

/// An entry of the sparse index: at `place` begins a frame whose batch for the partition begins with `base_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    pub base_offset: i64,
    pub time_ms: i64,
    pub place: Place,
}

/// An entry each so many bytes of journal: a read scans no more than this for its first record. With 32 bytes an entry,
/// 10 GiB of one partition are indexed in 1.3 MiB.
const INDEX_BYTES: u64 = 256 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Partition {
    pub span: PartitionSpan,
    index: Vec<IndexEntry>,
    /// By key, in compacted topics.
    pub newest: HashMap<Vec<u8>, KeyedValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedValue {
    pub offset: i64,
    pub time_ms: i64,
    pub value: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Topic {
    pub spec: TopicSpec,
    pub partitions: Vec<Partition>,
}

/// A change of something that is no record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    CreateTopic { name: String, spec: TopicSpec },
    DeleteTopic { name: String },
    GroupOffset { group: String, topic: String, partition: i32, offset: Option<i64> },
}

/// Everything that a new segment begins with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    cluster_id: String,
    topics: BTreeMap<String, (TopicSpec, Vec<PartitionSpan>)>,
    groups: BTreeMap<String, Vec<(String, i32, i64)>>,
    /// Topic, partition, offset, time, key, value.
    keyed: Vec<(String, i32, i64, i64, String, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct View {
    pub cluster_id: String,
    pub topics: BTreeMap<String, Topic>,
    pub groups: BTreeMap<String, BTreeMap<(String, i32), i64>>,
    /// Behind the last frame that is durable; known to the process that writes.
    pub end: Place,
    /// Changes whenever a topic comes or goes.
    pub topics_version: u64,
}

impl View {
    /// Takes in a frame's payload. `place`: where the frame begins.
    pub fn apply(&mut self, payload: &[u8], place: Place) -> Result<(), FrameError> {
        let (kind, body) = payload.split_first().ok_or(FrameError::Corrupt("it is empty"))?;
        match *kind {
            frame::KIND_RECORDS => {
                let (time_ms, entries) = frame::entries(body)?;
                for entry in entries {
                    self.records(&entry?, time_ms, place)?;
                }
                Ok(())
            }
            frame::KIND_STATE => {
                let state =
                    serde_json::from_slice(body).map_err(|_| FrameError::Corrupt("its state is not readable"))?;
                self.restore(state);
                Ok(())
            }
            frame::KIND_CHANGE => {
                let change =
                    serde_json::from_slice(body).map_err(|_| FrameError::Corrupt("its change is not readable"))?;
                self.change(change);
                Ok(())
            }
            _ => Err(FrameError::Corrupt("of a kind that this version does not know")),
        }
    }

    pub fn change(&mut self, change: Change) {
        match change {
            Change::CreateTopic { name, spec } => {
                self.topics_version += 1;
                self.topics.entry(name).or_insert_with(|| Topic::new(spec));
            }
            Change::DeleteTopic { name } => {
                self.topics_version += 1;
                self.topics.remove(&name);
                for offsets in self.groups.values_mut() {
                    offsets.retain(|(topic, _), _| *topic != name);
                }
            }
            Change::GroupOffset { group, topic, partition, offset } => {
                let offsets = self.groups.entry(group.clone()).or_default();
                match offset {
                    Some(offset) => offsets.insert((topic, partition), offset),
                    None => offsets.remove(&(topic, partition)),
                };
                if offsets.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
    }

    /// Records that were stored; a batch of a topic that has been deleted since is passed over.
    pub fn records(&mut self, entry: &Entry<'_>, time_ms: i64, place: Place) -> Result<(), FrameError> {
        let Some(topic) = self.topics.get_mut(entry.topic) else { return Ok(()) };
        let compacted = topic.spec.compacted;
        let Some(partition) = usize::try_from(entry.partition).ok().and_then(|p| topic.partitions.get_mut(p)) else {
            return Err(FrameError::Corrupt("a partition that its topic does not have"));
        };
        let end = entry.base_offset.saturating_add(i64::from(entry.records));
        if end > partition.span.end {
            partition.span.end = end;
        }
        partition.note(IndexEntry { base_offset: entry.base_offset, time_ms, place });
        if compacted {
            partition.take_newest(entry.batch)?;
        }
        Ok(())
    }

    /// What the next segment begins with.
    pub fn state(&self) -> State {
        let spans = |t: &Topic| t.partitions.iter().map(|p| p.span).collect();
        State {
            cluster_id: self.cluster_id.clone(),
            topics: self.topics.iter().map(|(n, t)| (n.clone(), (t.spec.clone(), spans(t)))).collect(),
            groups: self
                .groups
                .iter()
                .map(|(g, o)| (g.clone(), o.iter().map(|((t, p), o)| (t.clone(), *p, *o)).collect()))
                .collect(),
            keyed: self
                .topics
                .iter()
                .flat_map(|(name, t)| t.partitions.iter().enumerate().map(move |(i, p)| (name, i, p)))
                .flat_map(|(name, i, p)| {
                    p.newest.iter().map(move |(key, v)| {
                        (name.clone(), i as i32, v.offset, v.time_ms, BASE64.encode(key), BASE64.encode(&v.value))
                    })
                })
                .collect(),
        }
    }

    fn restore(&mut self, state: State) {
        self.cluster_id = state.cluster_id;
        for (name, (spec, spans)) in state.topics {
            let topic = self.topics.entry(name).or_insert_with(|| Topic::new(spec));
            for (partition, span) in topic.partitions.iter_mut().zip(spans) {
                // What the segments before have is known already; without them the records up to here are gone.
                if partition.index.is_empty() {
                    partition.span.start = span.end;
                }
                partition.span.end = span.end;
            }
        }
        self.groups = state
            .groups
            .into_iter()
            .map(|(g, offsets)| (g, offsets.into_iter().map(|(t, p, o)| ((t, p), o)).collect()))
            .collect();
        for (topic, partition, offset, time_ms, key, value) in state.keyed {
            let target = self.topics.get_mut(&topic).and_then(|t| t.partitions.get_mut(partition as usize));
            if let (Some(p), Ok(key), Ok(value)) = (target, BASE64.decode(key), BASE64.decode(value)) {
                p.newest.insert(key, KeyedValue { offset, time_ms, value });
            }
        }
    }

    /// Where to begin scanning for an offset.
    pub fn place(&self, topic: &str, partition: i32, offset: i64) -> Option<Place> {
        let partition = self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
        let after = partition.index.partition_point(|e| e.base_offset <= offset);
        partition.index.get(after.saturating_sub(1)).map(|e| e.place)
    }

    /// The first offset whose frame was written at or after `time_ms`, as closely as the index tells.
    pub fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Option<i64> {
        let partition = self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
        let after = partition.index.partition_point(|e| e.time_ms < time_ms);
        Some(match after.checked_sub(1).and_then(|i| partition.index.get(i)) {
            Some(e) => e.base_offset.max(partition.span.start),
            None => partition.span.start,
        })
    }

    /// The segments before `first` are gone.
    pub fn drop_before(&mut self, first: u64) {
        for topic in self.topics.values_mut() {
            for p in &mut topic.partitions {
                let gone = p.index.partition_point(|e| e.place.segment < first);
                if gone > 0 {
                    p.index.drain(..gone);
                    p.span.start = p.index.first().map_or(p.span.end, |e| e.base_offset);
                }
            }
        }
    }
}

impl Topic {
    fn new(spec: TopicSpec) -> Topic {
        let partitions = spec.partitions.clamp(1, 100_000) as usize;
        Topic { spec, partitions: vec![Partition::default(); partitions] }
    }
}

impl Partition {
    fn note(&mut self, entry: IndexEntry) {
        let far = self.index.last().is_none_or(|last| {
            last.place.segment != entry.place.segment || entry.place.byte_offset - last.place.byte_offset >= INDEX_BYTES
        });
        if far {
            if self.index.is_empty() {
                self.span.start = entry.base_offset;
            }
            self.index.push(entry);
        }
    }

    fn take_newest(&mut self, batch: &[u8]) -> Result<(), FrameError> {
        let bad = |_| FrameError::Corrupt("a batch of a compacted topic is not readable");
        let reader = RecordBatchReader::parse(batch).map_err(bad)?;
        let mut scratch = Vec::new();
        for record in reader.records(&mut scratch, frame::PAYLOAD_BYTES_MAX).map_err(bad)? {
            let record = record.map_err(bad)?;
            let Some(key) = record.key else { continue };
            match record.value {
                Some(value) => {
                    let value =
                        KeyedValue { offset: record.offset, time_ms: record.timestamp_ms, value: value.to_vec() };
                    self.newest.insert(key.to_vec(), value);
                }
                None => {
                    self.newest.remove(key);
                }
            }
        }
        Ok(())
    }
}
