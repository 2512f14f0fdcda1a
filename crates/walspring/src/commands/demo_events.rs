//! Prints the events of all topics of the demo as they come.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;
use walspring_log::Log;

use crate::commands::tail::written;
use crate::failure::Failure;
use crate::pretty::{self, Style};

const RECORDS_MAX: usize = 1000;
const BYTES_MAX: usize = 1 << 20;

pub struct Events {
    log: Log,
    prefix: String,
    style: Style,
    next: BTreeMap<(String, i32), i64>,
    count: u64,
    reader_is_gone: bool,
}

impl Events {
    pub fn new(log: Log, prefix: String, style: Style) -> Events {
        Events { log, prefix, style, next: BTreeMap::new(), count: 0, reader_is_gone: false }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whoever read stdout has closed it.
    pub fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    /// The name of a topic that has events.
    pub fn a_topic(&self) -> Option<String> {
        let orders = self.next.keys().find(|(topic, _)| topic.ends_with(".orders"));
        orders.or(self.next.keys().next()).map(|(topic, _)| topic.clone())
    }

    /// Everything that has come since the last time; true if anything has.
    pub fn print(&mut self) -> Result<bool, Failure> {
        let mut records = Vec::new();
        for (topic, _, spans) in self.log.topics() {
            if !topic.starts_with(&self.prefix) {
                continue;
            }
            for (partition, span) in (0..).zip(spans) {
                let next = self.next.entry((topic.clone(), partition)).or_insert(span.start);
                if *next >= span.end {
                    continue;
                }
                let fetched = self.log.fetch(&topic, partition, (*next).max(span.start), RECORDS_MAX, BYTES_MAX);
                let fetched = fetched.map_err(|e| Failure::error(e.to_string()))?;
                *next = fetched.next_offset;
                let mut at = 0;
                for record in fetched.records {
                    // A tombstone stays behind its delete.
                    at = record.value.as_deref().and_then(lsn).unwrap_or(at);
                    records.push((at, topic.clone(), record));
                }
            }
        }
        // As they happened, across topics.
        records.sort_by_key(|(at, ..)| *at);
        let mut out = io::stdout().lock();
        let mut ok = true;
        for (_, topic, record) in &records {
            let line = pretty::line(self.style, topic, record.key.as_deref(), record.value.as_deref());
            ok = ok && written(writeln!(out, "{line}"))?;
        }
        self.reader_is_gone |= !(ok && written(out.flush())?);
        self.count += records.len() as u64;
        Ok(!records.is_empty())
    }
}

#[derive(Deserialize)]
struct Event {
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    lsn: u64,
}

/// Where in the database's log the event was.
fn lsn(value: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Event>(value).ok().map(|event| event.source.lsn)
}
