//! What events tell as the last commit (`source.sequence`), and what offsets store of it.

use serde_json::json;
use walspring_record::{ChangeBatch, Lsn, SourceOffset};

use crate::simulated::{SimulatedSource, SimulatedStream};

struct Reading {
    stream: SimulatedStream,
    batch: ChangeBatch,
}

impl Reading {
    fn from(stored: Option<serde_json::Value>) -> Reading {
        let options = [
            ("topic.prefix", "p"),
            ("database.hostname", "h"),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("message.prefix.exclude.list", "not_wanted"),
        ];
        let options: Vec<_> = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let source = SimulatedSource::new(&options).unwrap();
        let stored: Option<SourceOffset> = stored.map(|map| serde_json::from_value(map).unwrap());
        Reading { stream: source.stream(stored.as_ref(), Lsn::ZERO, Lsn(10_000)), batch: ChangeBatch::default() }
    }

    fn read(&mut self, at: u64, payload: &[u8]) {
        self.stream.read(Lsn(at), payload, &mut self.batch).unwrap();
    }

    fn begin(&mut self, at: u64, xid: u32) {
        self.read(at, &[&b"B"[..], &[0; 16], &xid.to_be_bytes()].concat());
        self.read(at, b"R\0\0\0\x01public\0t\0d\0\x01\x01pk\0\0\0\0\x14\xff\xff\xff\xff");
    }

    fn row(&mut self, at: u64) {
        self.read(at, b"I\0\0\0\x01N\0\x01t\0\0\0\x011");
    }

    fn commit(&mut self, end: u64) {
        self.read(end, &[&b"C\0"[..], &[0; 8], &end.to_be_bytes(), &[0; 8]].concat());
    }

    fn message(&mut self, at: u64, flags: u8, prefix: &str) {
        let at = at.to_be_bytes();
        self.read(u64::from_be_bytes(at), &[b"M", &[flags][..], &at, prefix.as_bytes(), b"\0\0\0\0\0"].concat());
    }

    /// What the events of the batch tell, and the offset behind them without what does not matter here.
    fn end(&mut self) -> (Vec<Option<u64>>, serde_json::Value) {
        self.stream.end_batch(&mut self.batch);
        let told = self.batch.transactions.iter().map(|t| t.last_commit_lsn.map(|l| l.0)).collect();
        let mut offset = serde_json::Map::from_iter(self.batch.offset.take().unwrap());
        for name in ["ts_usec", "messageType", "lsn_events_processed", "txId", "lsn_proc"] {
            offset.remove(name);
        }
        self.batch = ChangeBatch::default();
        self.stream.begin_batch();
        (told, offset.into())
    }
}

#[test]
fn a_restart_in_the_first_transaction_tells_where_it_stood_until_a_commit() {
    let stored = json!({"lsn": 20, "lsn_proc": 20, "txId": 5, "messageType": "INSERT", "lsn_events_processed": 1});
    let mut reading = Reading::from(Some(stored));
    assert_eq!(reading.stream.start, Lsn::ZERO);
    reading.begin(10, 5);
    for at in [10, 20, 30, 40] {
        reading.row(at);
    }
    assert_eq!(reading.end(), (vec![Some(20)], json!({"lsn": 40, "lsn_commit": 20})));
    reading.commit(50);
    reading.begin(50, 6);
    reading.row(60);
    assert_eq!(reading.end(), (vec![Some(50)], json!({"lsn": 60, "lsn_commit": 50})));
}

#[test]
fn without_a_restart_the_first_transaction_tells_nothing() {
    let mut reading = Reading::from(None);
    reading.begin(10, 5);
    reading.row(20);
    assert_eq!(reading.end(), (vec![None], json!({"lsn": 20})));
}

#[test]
fn a_message_outside_transactions_is_told_as_a_commit_wanted_or_not() {
    let mut reading = Reading::from(None);
    reading.message(10, 0, "wanted");
    assert_eq!(reading.end().1, json!({"lsn": 10, "lsn_commit": 10}));
    reading.begin(20, 5);
    reading.row(20);
    reading.message(25, 1, "wanted");
    assert_eq!(reading.end(), (vec![Some(10)], json!({"lsn": 25, "lsn_commit": 10})));
    reading.commit(30);
    reading.message(40, 0, "not_wanted");
    reading.begin(50, 6);
    reading.row(50);
    assert_eq!(reading.end(), (vec![Some(40)], json!({"lsn": 50, "lsn_commit": 40})));
}

#[test]
fn a_message_that_was_sent_before_is_told_by_the_stored_offset_alone() {
    let mut reading =
        Reading::from(Some(json!({"lsn": 10, "lsn_proc": 10, "messageType": "MESSAGE", "lsn_commit": 10})));
    reading.message(10, 0, "wanted");
    reading.begin(20, 5);
    reading.row(20);
    assert_eq!(reading.end(), (vec![Some(10)], json!({"lsn": 20, "lsn_commit": 10})));
}
