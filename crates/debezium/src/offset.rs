//! The offset map, in the original's fields, spelling and order: both can go on from what the other stored.

use std::sync::Arc;

use serde_json::Value as Json;
use walspring_record::leaf::java_hash::{iteration_order, string_hash};
use walspring_record::{Lsn, SourceOffset};

/// `snapshot` in an offset: which kind of snapshot it was stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    Initial,
    Blocking,
    Incremental,
}

impl SnapshotKind {
    pub fn as_str(self) -> &'static str {
        match self {
            SnapshotKind::Initial => "INITIAL",
            SnapshotKind::Blocking => "BLOCKING",
            SnapshotKind::Incremental => "INCREMENTAL",
        }
    }
}

/// A position of the original, or our own in its words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DebeziumOffset {
    /// `lsn`: of the last event.
    pub lsn: Option<Lsn>,
    /// `lsn_proc`: of the last event that was processed wholly.
    pub lsn_proc: Option<Lsn>,
    /// `lsn_commit`: the end of the last transaction before the event's own.
    pub lsn_commit: Option<Lsn>,
    /// `txId`
    pub xid: Option<i64>,
    /// `ts_usec`: the commit's time.
    pub ts_us: Option<i64>,
    /// `messageType`: of the last message, such as `INSERT`.
    pub message_type: Option<String>,
    pub xmin: Option<i64>,
    /// Stored in a snapshot.
    pub snapshot: Option<SnapshotKind>,
    /// `last_snapshot_record`; only with `snapshot`.
    pub last_snapshot_record: bool,
    /// `snapshot_completed`; only with `snapshot`.
    pub snapshot_completed: bool,
    /// `lsn_events_processed`: how many events of the same `lsn` were sent; zero is left out.
    pub events_at_lsn: u64,
    /// `walspring_snapshot`: ours, see [`SnapshotProgress`](crate::SnapshotProgress).
    pub snapshot_progress: Option<Arc<str>>,
    /// Everything else: transaction counters, incremental snapshots. Left out where only an initial snapshot is told of.
    pub rest: SourceOffset,
}

const SNAPSHOT: &str = "snapshot";
const LAST_RECORD: &str = "last_snapshot_record";
const COMPLETED: &str = "snapshot_completed";
const EVENTS: &str = "lsn_events_processed";
const PROGRESS: &str = "walspring_snapshot";

impl DebeziumOffset {
    /// Reads any offset that a version of the original may have stored, or that someone typed: numbers may be text, and
    /// `snapshot` may be `true`.
    pub fn parse(map: &SourceOffset) -> DebeziumOffset {
        let mut offset = DebeziumOffset::default();
        let lsn = |v: &Json| number(v).map(|n| Lsn(n as u64));
        for (key, value) in map {
            match key.as_str() {
                "lsn" => offset.lsn = lsn(value),
                "lsn_proc" => offset.lsn_proc = lsn(value),
                "lsn_commit" => offset.lsn_commit = lsn(value),
                "txId" => offset.xid = number(value),
                "ts_usec" => offset.ts_us = number(value),
                "xmin" => offset.xmin = number(value),
                "messageType" => offset.message_type = value.as_str().map(str::to_owned),
                SNAPSHOT => offset.snapshot = snapshot_kind(value),
                LAST_RECORD => offset.last_snapshot_record = truth(value),
                COMPLETED => offset.snapshot_completed = truth(value),
                EVENTS => offset.events_at_lsn = number(value).unwrap_or(0).max(0) as u64,
                PROGRESS => offset.snapshot_progress = value.as_str().map(Arc::from),
                _ => drop(offset.rest.insert(key.clone(), value.clone())),
            }
        }
        offset
    }

    /// The initial snapshot that it was stored in had not come to its end: it must be made again. In others the rest of the
    /// offset says where the stream goes on.
    pub fn is_in_snapshot(&self) -> bool {
        self.is_of_initial_snapshot() && !self.snapshot_completed && !self.last_snapshot_record
    }

    /// Stored in an initial snapshot, or at its end: `lsn` is where it read.
    pub fn is_of_initial_snapshot(&self) -> bool {
        self.snapshot == Some(SnapshotKind::Initial)
    }

    /// Says where a stream stands: also in an initial snapshot that goes on after a restart, up to whose point the stream
    /// comes first. The original's say no `lsn_commit` in one.
    pub fn is_of_stream(&self) -> bool {
        !self.is_of_initial_snapshot() || self.lsn_commit.is_some()
    }

    /// The map to store, in the order in which the original's map gives it.
    pub fn to_map(&self) -> SourceOffset {
        // Java's long: what somebody gave as a negative number is one again, and can be read again.
        let lsn = |l: Option<Lsn>| l.map(|l| Json::from(l.0 as i64));
        let snapshot = |v: bool| self.snapshot.map(|_| Json::from(v));
        let mut pairs: Vec<(String, Json)> = [
            ("ts_usec", self.ts_us.map(Json::from)),
            ("txId", self.xid.map(Json::from)),
            ("lsn", lsn(self.lsn)),
            ("xmin", self.xmin.map(Json::from)),
            (SNAPSHOT, self.snapshot.map(|s| Json::from(s.as_str()))),
            (LAST_RECORD, snapshot(self.last_snapshot_record)),
            (COMPLETED, snapshot(self.snapshot_completed)),
            ("lsn_proc", lsn(self.lsn_proc)),
            ("lsn_commit", lsn(self.lsn_commit)),
            ("messageType", self.message_type.clone().map(Json::from)),
            (EVENTS, (self.events_at_lsn > 0).then(|| Json::from(self.events_at_lsn))),
            (PROGRESS, self.snapshot_progress.as_deref().map(Json::from)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
        // The original leaves them out in a blocking one too, and has forgotten them after a restart.
        if self.is_of_stream() {
            pairs.extend(self.rest.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let hashes: Vec<i32> = pairs.iter().map(|(key, _)| string_hash(key)).collect();
        iteration_order(&hashes, 16).into_iter().map(|i| pairs[i].clone()).collect()
    }
}

fn number(value: &Json) -> Option<i64> {
    match value {
        Json::String(s) => s.trim().parse().ok(),
        _ => value.as_i64(),
    }
}

fn truth(value: &Json) -> bool {
    matches!(value, Json::Bool(true)) || value.as_str().is_some_and(|s| s.eq_ignore_ascii_case("true"))
}

fn snapshot_kind(value: &Json) -> Option<SnapshotKind> {
    if truth(value) {
        return Some(SnapshotKind::Initial);
    }
    let kinds = [SnapshotKind::Initial, SnapshotKind::Blocking, SnapshotKind::Incremental];
    kinds.into_iter().find(|kind| value.as_str().is_some_and(|s| s.eq_ignore_ascii_case(kind.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> SourceOffset {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn is_written_as_the_original_writes_it() {
        // Observed on 3.7.0.Final, see reference/debezium.md §5.4.
        let json = r#"{"lsn_proc":5874630928,"lsn_events_processed":1,"messageType":"INSERT","lsn":5874630928,"txId":119513,"ts_usec":1}"#;
        assert_eq!(serde_json::to_string(&DebeziumOffset::parse(&map(json)).to_map()).unwrap(), json);
    }

    #[test]
    fn a_negative_position_is_read_again() {
        let offset = DebeziumOffset::parse(&map(r#"{"lsn":-1}"#));
        assert_eq!(DebeziumOffset::parse(&offset.to_map()), offset);
    }

    #[test]
    fn snapshots_are_written_without_the_rest() {
        let offset = DebeziumOffset {
            lsn: Some(Lsn(1)),
            snapshot: Some(SnapshotKind::Initial),
            rest: map(r#"{"transaction_id":"5"}"#),
            ..DebeziumOffset::default()
        };
        assert!(offset.is_in_snapshot());
        let expected = map(r#"{"lsn":1,"snapshot":"INITIAL","last_snapshot_record":false,"snapshot_completed":false}"#);
        assert_eq!(offset.to_map(), expected);
    }

    #[test]
    fn a_blocking_snapshot_leaves_the_stream_its_place() {
        // As the original stores it, but for the counters, which it leaves out.
        let json = r#"{"lsn_proc":7,"messageType":"INSERT","lsn_commit":5,"lsn_events_processed":1,"lsn":7,"txId":3,"ts_usec":1,
            "snapshot":"BLOCKING","last_snapshot_record":false,"snapshot_completed":false,"transaction_id":"5"}"#;
        let offset = DebeziumOffset::parse(&map(json));
        assert!(!offset.is_in_snapshot() && !offset.is_of_initial_snapshot());
        assert_eq!(offset.to_map(), map(json));
        let incremental = r#"{"lsn":7,"snapshot":"INCREMENTAL","snapshot_completed":false}"#;
        assert!(!DebeziumOffset::parse(&map(incremental)).is_in_snapshot());
    }

    #[test]
    fn old_and_typed_offsets_are_understood() {
        let old = DebeziumOffset::parse(&map(r#"{"snapshot":true,"lsn":"17","txId":3,"last_snapshot_record":true}"#));
        assert_eq!((old.lsn, old.xid, old.snapshot), (Some(Lsn(17)), Some(3), Some(SnapshotKind::Initial)));
        assert!(!old.is_in_snapshot());
        assert_eq!(DebeziumOffset::parse(&map(r#"{"lsn":"z","x":{}}"#)).lsn, None);
    }
}
