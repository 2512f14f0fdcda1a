//! The log as a whole: opening, topics, reading.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use walspring_connect::threads;
use walspring_record_batch::RecordBatchReader;

use crate::frame;
use crate::group::Groups;
use crate::journal::{self, Journal, LogConfig, OpenError, io_error, segment_path};
use crate::view::{Change, PartitionSpan, Place, TopicSpec, View};
use crate::writer::{Queue, Request};

/// What the appending thread and everybody else share.
pub(crate) struct Shared {
    pub dir: PathBuf,
    pub view: Mutex<View>,
    /// Who reads which partitions. Locked before the view.
    pub groups: Mutex<Groups>,
    grown: tokio::sync::watch::Sender<u64>,
    /// The same for threads: how often something has changed, in the journal or in a group.
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Shared {
    pub fn wake(&self) {
        self.grown.send_modify(|n| *n += 1);
        self.wake_members();
    }

    /// Those who wait with [`Shared::wait_for_change`].
    pub fn wake_members(&self) {
        *self.changes.lock().unwrap_or_else(|e| e.into_inner()) += 1;
        self.changed.notify_all();
    }

    /// How often something has changed: taken before looking, so that nothing is missed.
    pub fn changes(&self) -> u64 {
        *self.changes.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until something changes after `seen`.
    pub fn wait_for_change(&self, seen: u64, wait: Duration) {
        let changes = self.changes.lock().unwrap_or_else(|e| e.into_inner());
        drop(self.changed.wait_timeout_while(changes, wait, |changes| *changes == seen));
    }

    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        self.span(topic, partition).map_or(0, |s| s.end)
    }

    fn span(&self, topic: &str, partition: i32) -> Option<PartitionSpan> {
        let view = self.view.lock().unwrap_or_else(|e| e.into_inner());
        Some(view.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?.span)
    }

    pub fn partitions(&self, topic: &str) -> Option<i32> {
        let view = self.view.lock().unwrap_or_else(|e| e.into_inner());
        view.topics.get(topic).map(|t| t.spec.partitions)
    }

    /// Makes the topic when it is not there; answers its partitions. Durable before it returns.
    pub fn ensure_topic(&self, queue: &Queue, name: &str, spec: TopicSpec) -> Result<i32, String> {
        self.ensure_topics(queue, &[name], &spec).map(|partitions| partitions[0])
    }

    /// The same of several, in one write; answers the partitions of each.
    pub fn ensure_topics(&self, queue: &Queue, names: &[&str], spec: &TopicSpec) -> Result<Vec<i32>, String> {
        let mut changes = Vec::new();
        for name in names.iter().filter(|name| self.partitions(name).is_none()) {
            check_topic_name(name)?;
            changes.push(Change::CreateTopic { name: (*name).to_owned(), spec: spec.clone() });
        }
        if !changes.is_empty() {
            write(queue, Vec::new(), changes)?;
        }
        Ok(names.iter().map(|name| self.partitions(name).unwrap_or(spec.partitions)).collect())
    }
}

pub(crate) fn write_change(queue: &Queue, change: Change) -> Result<(), String> {
    write(queue, Vec::new(), vec![change])
}

/// Waits until everything that was handed over before is durable, or given up: then the view tells what became of it.
pub(crate) fn settle(queue: &Queue, limit: Duration) -> Result<(), String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let done = Box::new(move |result| {
        let _ = sender.send(result);
    });
    queue.push(Request::new(Vec::new(), Vec::new(), 0, done), None)?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        Err(match queue.waits_for() {
            why if why.is_empty() => "the log has not written yet what it was given before".to_owned(),
            why => why,
        })
    })
}

/// Writes and waits until it is durable.
pub(crate) fn write(
    queue: &Queue,
    batches: Vec<walspring_connect::writer::EncodedBatch>,
    changes: Vec<Change>,
) -> Result<(), String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let bytes = batches.iter().map(|b| b.bytes.len()).sum::<usize>() + 64;
    let done = Box::new(move |result| {
        let _ = sender.send(result);
    });
    queue.push(Request::new(batches, changes, bytes, done), None)?;
    receiver.recv().unwrap_or_else(|_| Err("the log is closed".to_owned()))
}

/// Kafka's rule for names.
fn check_topic_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(format!("{name:?} is not a topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'"));
    }
    Ok(())
}

/// The log, open for writing. Cheap to clone; the last one closes it.
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    _closer: Arc<Closer>,
}

struct Closer {
    queue: Arc<Queue>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.queue.close("the log is closed");
        if let Some(thread) = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take() {
            let _ = thread.join();
        }
    }
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no topic {0}")]
    NoTopic(String),
    #[error("topic {topic} has no partition {partition}")]
    NoPartition { topic: String, partition: i32 },
    #[error("{topic}-{partition} has the offsets {start} to {end}; {offset} is not there")]
    OutOfRange { topic: String, partition: i32, offset: i64, start: i64, end: i64 },
    #[error("reading the log failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub partition: i32,
    pub kafka_offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub struct Fetched {
    pub records: Vec<StoredRecord>,
    /// Where to go on.
    pub next_offset: i64,
    pub span: PartitionSpan,
}

impl Log {
    pub fn open(config: LogConfig) -> Result<Log, OpenError> {
        let dir = config.dir.clone();
        let (journal, view) = Journal::open(config)?;
        let (grown, _) = tokio::sync::watch::channel(0);
        let shared = Arc::new(Shared {
            dir: dir.clone(),
            view: Mutex::new(view),
            groups: Mutex::default(),
            grown,
            changes: Mutex::default(),
            changed: Condvar::new(),
        });
        let queue = Arc::new(Queue::default());
        let (to_thread, from) = (shared.clone(), queue.clone());
        let thread = threads::spawn_aside("log-writer", move || crate::writer::run(journal, &to_thread, &from))
            .map_err(io_error(&dir))?;
        let closer = Closer { queue: queue.clone(), thread: Mutex::new(Some(thread)) };
        Ok(Log { shared, queue, _closer: Arc::new(closer) })
    }

    pub fn cluster_id(&self) -> String {
        self.shared.view.lock().unwrap_or_else(|e| e.into_inner()).cluster_id.clone()
    }

    /// Makes the topic when it is not there; answers its partitions.
    pub fn ensure_topic(&self, name: &str, spec: TopicSpec) -> Result<i32, String> {
        self.shared.ensure_topic(&self.queue, name, spec)
    }

    pub fn delete_topic(&self, name: &str) -> Result<(), String> {
        write_change(&self.queue, Change::DeleteTopic { name: name.to_owned() })
    }

    /// All topics with the spans of their partitions.
    pub fn topics(&self) -> Vec<(String, TopicSpec, Vec<PartitionSpan>)> {
        topics(&self.shared.view.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// Reads records from an offset on, at most `records_max` and about `bytes_max`. An offset at the end gives nothing.
    pub fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Fetched, ReadError> {
        let (span, place) = {
            let view = self.shared.view.lock().unwrap_or_else(|e| e.into_inner());
            locate(&view, topic, partition, offset)?
        };
        fetch(&self.shared.dir, topic, partition, offset, span, place, records_max, bytes_max)
    }

    pub fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Option<i64> {
        self.shared.view.lock().unwrap_or_else(|e| e.into_inner()).offset_at(topic, partition, time_ms)
    }

    /// Changes whenever something has become durable: for waiting without polling.
    pub fn grown(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.grown.subscribe()
    }

    pub fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let view = self.shared.view.lock().unwrap_or_else(|e| e.into_inner());
        view.groups.get(group)?.get(&(topic.to_owned(), partition)).copied()
    }

    /// Stores where a group goes on; `None` forgets it.
    pub fn commit_group_offset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Option<i64>,
    ) -> Result<(), String> {
        write_change(
            &self.queue,
            Change::GroupOffset { group: group.to_owned(), topic: topic.to_owned(), partition, offset },
        )
    }
}

fn topics(view: &View) -> Vec<(String, TopicSpec, Vec<PartitionSpan>)> {
    view.topics
        .iter()
        .map(|(n, t)| (n.clone(), t.spec.clone(), t.partitions.iter().map(|p| p.span).collect()))
        .collect()
}

fn locate(view: &View, topic: &str, partition: i32, offset: i64) -> Result<(PartitionSpan, Option<Place>), ReadError> {
    let found = view.topics.get(topic).ok_or_else(|| ReadError::NoTopic(topic.to_owned()))?;
    let span = usize::try_from(partition)
        .ok()
        .and_then(|p| found.partitions.get(p))
        .map(|p| p.span)
        .ok_or_else(|| ReadError::NoPartition { topic: topic.to_owned(), partition })?;
    if offset < span.start || offset > span.end {
        let PartitionSpan { start, end } = span;
        return Err(ReadError::OutOfRange { topic: topic.to_owned(), partition, offset, start, end });
    }
    let place = if offset == span.end { None } else { view.place(topic, partition, offset) };
    Ok((span, place))
}

#[allow(clippy::too_many_arguments, reason = "one place to read from, for both kinds of reader")]
fn fetch(
    dir: &Path,
    topic: &str,
    partition: i32,
    offset: i64,
    span: PartitionSpan,
    place: Option<Place>,
    records_max: usize,
    bytes_max: usize,
) -> Result<Fetched, ReadError> {
    let mut fetched = Fetched { records: Vec::new(), next_offset: offset, span };
    let Some(place) = place else { return Ok(fetched) };
    let mut bytes_left = bytes_max as i64;
    let damaged = |e: &dyn std::fmt::Display| ReadError::Damaged(e.to_string());
    let mut segment = place.segment;
    let mut from = place.byte_offset;
    let mut buffer = Vec::new();
    while fetched.next_offset < span.end && bytes_left > 0 && fetched.records.len() < records_max {
        let mut file = match File::open(segment_path(dir, segment)) {
            Ok(file) => file,
            // The next segment has not been begun, or this one was dropped just now.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
            Err(e) => return Err(e.into()),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut reader = std::io::BufReader::with_capacity(64 * 1024, file);
        loop {
            buffer.clear();
            let mut head = [0; frame::HEADER_BYTES];
            if reader.read_exact(&mut head).is_err() {
                break;
            }
            let length = frame::payload_length(&head).map_err(|e| damaged(&e))?;
            buffer.extend_from_slice(&head);
            if (&mut reader).take(length as u64).read_to_end(&mut buffer)? < length {
                break;
            }
            let (payload, _) = frame::payload(&buffer).map_err(|e| damaged(&e))?;
            if payload[0] != frame::KIND_RECORDS {
                continue;
            }
            let (_, entries) = frame::entries(&payload[1..]).map_err(|e| damaged(&e))?;
            for entry in entries {
                let entry = entry.map_err(|e| damaged(&e))?;
                let end = entry.base_offset + i64::from(entry.records);
                if entry.topic != topic
                    || entry.partition != partition
                    || end <= fetched.next_offset
                    || entry.base_offset >= span.end
                {
                    continue;
                }
                let batch = RecordBatchReader::parse(entry.batch).map_err(|e| damaged(&e))?;
                let mut scratch = Vec::new();
                for record in batch.records(&mut scratch, frame::PAYLOAD_BYTES_MAX).map_err(|e| damaged(&e))? {
                    let record = record.map_err(|e| damaged(&e))?;
                    if record.offset < fetched.next_offset {
                        continue;
                    }
                    if fetched.records.len() >= records_max || bytes_left <= 0 {
                        return Ok(fetched);
                    }
                    bytes_left -= (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + 64) as i64;
                    fetched.next_offset = record.offset + 1;
                    fetched.records.push(StoredRecord {
                        partition,
                        kafka_offset: record.offset,
                        timestamp_ms: record.timestamp_ms,
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        headers: record
                            .headers()
                            .map_while(Result::ok)
                            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                            .collect(),
                    });
                }
                fetched.next_offset = fetched.next_offset.max(end);
            }
            if fetched.next_offset >= span.end || bytes_left <= 0 || fetched.records.len() >= records_max {
                return Ok(fetched);
            }
        }
        segment += 1;
        from = 0;
    }
    Ok(fetched)
}

/// The log of another process, for reading only.
pub struct LogReader {
    dir: PathBuf,
    view: View,
    at: Place,
}

impl LogReader {
    /// Reads what is there; nothing is changed on disk.
    pub fn open(dir: impl Into<PathBuf>) -> Result<LogReader, OpenError> {
        let dir = dir.into();
        let first = journal::list(&dir).map_err(io_error(&dir))?.first().map_or(1, |s| s.number);
        let mut reader = LogReader { dir, view: View::default(), at: Place { segment: first, byte_offset: 0 } };
        reader.refresh()?;
        Ok(reader)
    }

    /// Takes in what has been written since. A frame that is being written is left for the next time.
    pub fn refresh(&mut self) -> Result<(), OpenError> {
        let segments = journal::list(&self.dir).map_err(io_error(&self.dir))?;
        for segment in segments {
            if segment.number < self.at.segment {
                continue;
            }
            let from = if segment.number == self.at.segment { self.at.byte_offset } else { 0 };
            if segment.bytes <= from {
                continue;
            }
            let path = segment_path(&self.dir, segment.number);
            let (end, _) = journal::scan(&path, segment.number, from, &mut self.view).map_err(io_error(&path))?;
            self.at = Place { segment: segment.number, byte_offset: end };
        }
        Ok(())
    }

    pub fn topics(&self) -> Vec<(String, TopicSpec, Vec<PartitionSpan>)> {
        topics(&self.view)
    }

    pub fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Fetched, ReadError> {
        let (span, place) = locate(&self.view, topic, partition, offset)?;
        fetch(&self.dir, topic, partition, offset, span, place, records_max, bytes_max)
    }

    /// How long to wait before looking again.
    pub const REFRESH: Duration = Duration::from_millis(50);
}
