//! Reads the files of an embedded log, also while its worker writes them.

use std::path::Path;
use std::time::{Duration, Instant};

use walspring_log::{LogReader, OpenError, PartitionSpan, ReadError, StoredRecord, TopicSpec};

use super::{Records, Request, first_offset};
use crate::failure::Failure;

const RECORDS_MAX: usize = 500;
const BYTES_MAX: usize = 1 << 20;

struct Partition {
    number: i32,
    next: i64,
    /// Where reading ends, unless it follows.
    end: i64,
}

pub struct LogFiles {
    reader: LogReader,
    topic: String,
    partitions: Vec<Partition>,
    follow: bool,
}

pub fn open(dir: &Path, request: &Request<'_>) -> Result<LogFiles, Failure> {
    let reader = LogReader::open(dir).map_err(|e| cannot_open(dir, &e))?;
    let topics = reader.topics();
    let Some((_, _, spans)) = topics.iter().find(|(name, ..)| name == request.topic) else {
        return Err(no_topic(request.topic, dir, &topics));
    };
    let all = (0..).zip(spans).filter(|(number, _)| request.partition.is_none_or(|wanted| wanted == *number));
    let partitions: Vec<Partition> = all
        .map(|(number, span)| Partition {
            number,
            next: first_offset(request.from, span.start, span.end),
            end: span.end,
        })
        .collect();
    if let (Some(partition), true) = (request.partition, partitions.is_empty()) {
        let topic = request.topic.to_owned();
        return Err(Failure::invalid(ReadError::NoPartition { topic, partition }.to_string()));
    }
    Ok(LogFiles { reader, topic: request.topic.to_owned(), partitions, follow: request.follow })
}

pub fn topics(dir: &Path) -> Result<Vec<(String, i64)>, Failure> {
    let reader = LogReader::open(dir).map_err(|e| cannot_open(dir, &e))?;
    let records = |spans: Vec<PartitionSpan>| spans.iter().map(|span| span.end - span.start).sum();
    Ok(reader.topics().into_iter().map(|(name, _, spans)| (name, records(spans))).collect())
}

fn cannot_open(dir: &Path, error: &OpenError) -> Failure {
    Failure::error(format!("the log in {} cannot be read: {error}", dir.display())).hint(
        "--data-dir names another directory, --worker URL a running worker, --bootstrap HOST:PORT a Kafka cluster.",
    )
}

fn no_topic(topic: &str, dir: &Path, topics: &[(String, TopicSpec, Vec<PartitionSpan>)]) -> Failure {
    let names = topics.iter().map(|(name, ..)| name.as_str());
    let failure = Failure::invalid(format!("there is no topic {topic} in {}", dir.display()));
    match walspring_config::nearest::nearest(topic, names) {
        Some(nearest) => failure.hint(format!("Is {nearest} meant? `walspring topics` lists all.")),
        None => failure.hint("`walspring topics` lists those that there are."),
    }
}

impl Records for LogFiles {
    fn read(&mut self, wait: Duration) -> Result<Option<Vec<StoredRecord>>, Failure> {
        let until = Instant::now() + wait;
        loop {
            let records = self.fetch()?;
            let ended = !self.follow && self.partitions.iter().all(|p| p.next >= p.end);
            if !records.is_empty() || (!ended && Instant::now() >= until) {
                return Ok(Some(records));
            }
            if ended {
                return Ok(None);
            }
            std::thread::sleep(LogReader::REFRESH);
            self.reader.refresh().map_err(|e| Failure::error(e.to_string()))?;
        }
    }
}

impl LogFiles {
    fn fetch(&mut self) -> Result<Vec<StoredRecord>, Failure> {
        let mut records = Vec::new();
        for partition in &mut self.partitions {
            if !self.follow && partition.next >= partition.end {
                continue;
            }
            match self.reader.fetch(&self.topic, partition.number, partition.next, RECORDS_MAX, BYTES_MAX) {
                Ok(fetched) => {
                    partition.next = fetched.next_offset;
                    let wanted = |record: &StoredRecord| self.follow || record.kafka_offset < partition.end;
                    records.extend(fetched.records.into_iter().filter(wanted));
                }
                // Retention was faster.
                Err(ReadError::OutOfRange { start, .. }) => partition.next = start,
                Err(e) => return Err(Failure::error(e.to_string())),
            }
        }
        Ok(records)
    }
}
