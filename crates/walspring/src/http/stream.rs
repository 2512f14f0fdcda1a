//! `GET /v1/topics/{topic}/stream`: records as they come, as server-sent events. The id of an event is
//! `partition-offset`, and with several partitions the place in each of them, `0-17,1-4`; `Last-Event-ID` goes on after
//! it. Without it: `from=beginning` or `from=end` (which is meant when nothing is said); `partition=` chooses one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use tokio::sync::watch;
use walspring_log::{Log, PartitionSpan, ReadError};

use super::query::{Query, wrong};
use super::{Answer, Api, reading, record_json};

/// Of one partition, before the next one has its turn.
const RECORDS_MAX: usize = 500;
const BYTES_MAX: usize = 1 << 20;
/// Keeps proxies and browsers from taking a quiet stream for dead.
const QUIET_MAX: Duration = Duration::from_secs(15);

pub async fn get(
    State(api): State<Api>,
    Path(topic): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let log = api.log()?;
    let query = Query::new(query.as_deref());
    let chosen = query.number::<i32>("partition")?;
    let from_end = match query.text("from") {
        None | Some("end") => true,
        Some("beginning") => false,
        Some(other) => return Err(wrong("from", other, "beginning or end is expected")),
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(query.text("last_event_id"));
    let resumed = last.map(parse_id).unwrap_or_default();
    let count = spans(&log, &topic)?.len() as i32;
    let mut next = BTreeMap::new();
    for partition in (0..count).filter(|p| chosen.is_none_or(|chosen| chosen == *p)) {
        let PartitionSpan { start, end } = span(&log, &topic, partition)?;
        let offset = match resumed.get(&partition) {
            Some(seen) => (seen + 1).clamp(start, end),
            None if from_end => end,
            None => start,
        };
        next.insert(partition, offset);
    }
    if let (Some(partition), true) = (chosen, next.is_empty()) {
        return Err(ReadError::NoPartition { topic, partition }.into());
    }
    let reader = Reader { grown: log.grown(), log, topic, next, stopping: api.stopping };
    let body = Body::from_stream(futures_util::stream::unfold(reader, Reader::chunk));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, body).into_response())
}

fn spans(log: &Log, topic: &str) -> Result<Vec<PartitionSpan>, ReadError> {
    let found = log.topics().into_iter().find(|(name, ..)| name == topic);
    found.map(|(_, _, spans)| spans).ok_or_else(|| ReadError::NoTopic(topic.to_owned()))
}

/// The offsets that a partition has.
pub fn span(log: &Log, topic: &str, partition: i32) -> Result<PartitionSpan, ReadError> {
    let spans = spans(log, topic)?;
    let found = usize::try_from(partition).ok().and_then(|n| spans.get(n).copied());
    found.ok_or_else(|| ReadError::NoPartition { topic: topic.to_owned(), partition })
}

/// What cannot be read of an id is left out.
fn parse_id(id: &str) -> BTreeMap<i32, i64> {
    let place = |place: &str| {
        let (partition, offset) = place.trim().split_once('-')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    id.split(',').filter_map(place).collect()
}

struct Reader {
    log: Log,
    topic: String,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
    grown: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
}

impl Reader {
    /// The next events, or a comment when nothing comes for long. The end: the worker stops, or the topic is gone.
    async fn chunk(mut self) -> Option<(Result<Bytes, Infallible>, Reader)> {
        loop {
            if *self.stopping.borrow() {
                return None;
            }
            self.grown.borrow_and_update();
            let out = self.events().await?;
            if !out.is_empty() {
                return Some((Ok(out.into()), self));
            }
            let quiet = tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => return None,
                _ = self.grown.changed() => false,
                () = tokio::time::sleep(QUIET_MAX) => true,
            };
            if quiet {
                return Some((Ok(Bytes::from_static(b":\n\n")), self));
            }
        }
    }

    async fn events(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let partitions: Vec<i32> = self.next.keys().copied().collect();
        for partition in partitions {
            let (log, topic, offset) = (self.log.clone(), self.topic.clone(), self.next[&partition]);
            let read = reading(move || match log.fetch(&topic, partition, offset, RECORDS_MAX, BYTES_MAX) {
                // Retention was faster than the reader.
                Err(ReadError::OutOfRange { start, .. }) => log.fetch(&topic, partition, start, RECORDS_MAX, BYTES_MAX),
                other => other,
            });
            let fetched = read.await.ok()?;
            for record in &fetched.records {
                self.next.insert(partition, record.kafka_offset + 1);
                out.extend_from_slice(format!("id: {}\ndata: ", self.id(partition)).as_bytes());
                record_json::append(&mut out, record);
                out.extend_from_slice(b"\n\n");
            }
            self.next.insert(partition, fetched.next_offset);
        }
        Some(out)
    }

    /// The partition of the event first; then those of which anything has been seen.
    fn id(&self, partition: i32) -> String {
        let place = |p: i32, next: i64| format!("{p}-{}", next - 1);
        let others = self.next.iter().filter(|(p, _)| **p != partition).map(|(p, next)| place(*p, *next));
        std::iter::once(place(partition, self.next[&partition])).chain(others).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read() {
        assert_eq!(parse_id("0-17,1-4"), BTreeMap::from([(0, 17), (1, 4)]));
        assert_eq!(parse_id("0--1"), BTreeMap::from([(0, -1)]));
        assert_eq!(parse_id("nonsense"), BTreeMap::new());
    }
}
