//! What the embedded log survives, and that it reads back what was written.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use walspring_connect::threads::Crew;
use walspring_connect::writer::{DurabilityListener, EncodedBatch, OffsetRecord, Ticket, WriteError};
use walspring_connect::{Backend, KeyedRecord, PANICS_IN_A_ROW_MAX, PANICS_IN_ALL_MAX, StoreError, WriterRequest};
use walspring_log::{Log, LogBackend, LogBackendConfig, LogConfig, LogReader, OpenError};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder};

#[derive(Default)]
struct Heard(Mutex<Vec<u64>>);

/// Of a writer that may fail.
#[derive(Default)]
struct Failed(Mutex<(Vec<u64>, Option<String>)>);

impl DurabilityListener for Failed {
    fn durable(&self, ticket: u64, _: bool) {
        self.0.lock().unwrap().0.push(ticket);
    }

    fn failed(&self, error: WriteError) {
        self.0.lock().unwrap().1 = Some(error.to_string());
    }
}

impl DurabilityListener for Heard {
    fn durable(&self, ticket: u64, offset_stored: bool) {
        assert!(offset_stored);
        self.0.lock().unwrap().push(ticket);
    }

    fn failed(&self, error: WriteError) {
        panic!("{error}");
    }
}

fn batch(topic: &str, values: &[&str]) -> EncodedBatch {
    let mut builder = RecordBatchBuilder::new(256);
    let mut headers = EncodedHeaders::new();
    headers.push("h", Some(b"1"));
    for value in values {
        builder.append(5, Some(b"key"), Some(value.as_bytes()), &headers);
    }
    let (bytes, records) = builder.finish();
    EncodedBatch { topic: topic.into(), partition: 0, records, bytes }
}

fn config(dir: &std::path::Path) -> LogConfig {
    LogConfig::new(dir.join("log"))
}

fn offset(n: u64) -> Option<OffsetRecord> {
    Some(OffsetRecord {
        key: b"[\"c\",{\"server\":\"s\"}]".to_vec(),
        value: Some(format!("{{\"lsn\":{n}}}").into_bytes()),
    })
}

/// Writes a ticket for each list of values.
fn write(log: &Log, tickets: &[&[&str]]) {
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let heard = Arc::new(Heard::default());
    let request = WriterRequest { connector: "c".into(), task: 0, config: Vec::new(), offsets_topic: None };
    let mut writer = backend.writer(request, heard.clone()).unwrap();
    assert_eq!(writer.topic("t").unwrap().partitions, 1);
    for (i, values) in tickets.iter().enumerate() {
        let number = i as u64 + 1;
        writer.submit(Ticket { number, batches: vec![batch("t", values)], offset: offset(number) }).unwrap();
    }
    writer.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(heard.0.lock().unwrap().last().copied(), Some(tickets.len() as u64));
}

fn values(log: &Log, from: i64) -> Vec<(i64, String)> {
    let fetched = log.fetch("t", 0, from, 1000, 1 << 20).unwrap();
    fetched.records.iter().map(|r| (r.kafka_offset, String::from_utf8(r.value.clone().unwrap()).unwrap())).collect()
}

fn stored_offset(log: &Log) -> Vec<KeyedRecord> {
    LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap().offsets(None).unwrap().read_to_end().unwrap()
}

#[test]
fn records_have_offsets_as_in_kafka_and_survive_a_restart_with_the_source_offset() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    let id = log.cluster_id();
    write(&log, &[&["a", "b"], &["c"]]);
    let all = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
    assert_eq!(values(&log, 0), all);
    assert_eq!(values(&log, 1), all[1..]);
    assert_eq!(values(&log, 3), []);
    assert!(log.fetch("t", 0, 4, 1, 1).is_err());
    drop(log);
    let log = Log::open(config(dir.path())).unwrap();
    assert_eq!(log.cluster_id(), id);
    assert_eq!(values(&log, 0), all);
    let stored = stored_offset(&log);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].value.as_deref(), Some(&b"{\"lsn\":2}"[..]));
    let record = &log.fetch("t", 0, 0, 1, 1 << 20).unwrap().records[0];
    assert_eq!((record.timestamp_ms, record.key.as_deref()), (5, Some(&b"key"[..])));
    assert_eq!(record.headers, [("h".to_owned(), Some(b"1".to_vec()))]);
}

#[test]
fn a_torn_tail_is_cut_off_at_every_byte_and_what_was_durable_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    write(&log, &[&["a"]]);
    drop(log);
    let path = dir.path().join("log").join(format!("{:020}.journal", 1));
    let before = std::fs::read(&path).unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    write(&log, &[&["b", "c"]]);
    drop(log);
    let after = std::fs::read(&path).unwrap();
    for cut in before.len()..after.len() {
        std::fs::write(&path, &after[..cut]).unwrap();
        let log = Log::open(config(dir.path())).unwrap();
        assert_eq!(values(&log, 0), [(0, "a".to_owned())], "cut at {cut}");
        drop(log);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), before.len() as u64);
    }
    // Zeros behind the end, as a file system may leave them.
    let mut zeros = before.clone();
    zeros.extend([0; 100]);
    std::fs::write(&path, &zeros).unwrap();
    assert_eq!(values(&Log::open(config(dir.path())).unwrap(), 0), [(0, "a".to_owned())]);
}

/// One task's records break the thread off that writes for all: that task is told that it was its, all begin anew from what is
/// there, and nothing is written behind what was lost.
#[test]
fn where_the_writing_thread_breaks_off_it_opens_the_log_again_and_no_ticket_is_written_behind_a_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    write(&log, &[&["a"]]);
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let begin = |connector: &str| {
        let heard = Arc::new(Failed::default());
        let request = WriterRequest { connector: connector.into(), task: 0, config: Vec::new(), offsets_topic: None };
        (backend.writer(request, heard.clone()).unwrap(), heard)
    };
    let ((mut bad, of_bad), (mut good, of_good)) = (begin("bad"), begin("good"));
    let ticket = |number, batch| Ticket { number, batches: vec![batch], offset: offset(number) };
    good.submit(ticket(1, batch("t", &["b"]))).unwrap();
    good.flush(Duration::from_secs(10)).unwrap();
    let crew = Crew::new(|| (), || ());
    let boarded = crew.board();
    let broken = EncodedBatch { bytes: vec![0; 10], ..batch("t", &["never"]) };
    bad.submit(ticket(1, broken)).unwrap();
    assert!(bad.flush(Duration::from_secs(10)).unwrap_err().to_string().contains("broke off"));
    drop(boarded);
    assert_eq!(crew.panic().unwrap().thread, "log-writer");
    assert!(of_bad.0.lock().unwrap().1.is_some());
    // Whether it had something under way or not.
    for (writer, number) in [(&mut bad, 2), (&mut good, 2)] {
        assert!(writer.submit(ticket(number, batch("t", &["behind"]))).is_err());
    }
    assert_eq!(*of_good.0.lock().unwrap(), (vec![1], None));
    let (mut again, of_again) = begin("good");
    again.submit(ticket(1, batch("t", &["c"]))).unwrap();
    again.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(of_again.0.lock().unwrap().0, [1]);
    let all = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
    assert_eq!(values(&log, 0), all);
    drop((bad, good, again, backend, log));
    assert_eq!(values(&Log::open(config(dir.path())).unwrap(), 0), all);
}

/// At what is no task's: as often in a row as a task may, then whoever waits for the log is told so, and the worker can tell.
#[test]
fn a_writing_thread_that_breaks_off_again_and_again_closes_the_log_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    write(&log, &[&["a"]]);
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let begin = || {
        let heard = Arc::new(Failed::default());
        let request = WriterRequest { connector: "c".into(), task: 0, config: Vec::new(), offsets_topic: None };
        (backend.writer(request, heard.clone()), heard)
    };
    // The queue takes it on a thread that is of no crew.
    let broken = || EncodedBatch { bytes: vec![0; 10], ..batch("t", &["never"]) };
    let break_off = |crew: Option<&Arc<Crew>>| {
        // Made first: what that asks of the log is written, and so is progress.
        let mut writer = begin().0.unwrap();
        let _boarded = crew.map(Crew::board);
        writer.submit(Ticket { number: 1, batches: vec![broken()], offset: None }).unwrap();
        writer.flush(Duration::from_secs(60)).unwrap_err().to_string()
    };
    // What a task has given it is counted there, and what has been written meanwhile begins the count anew.
    let crew = Crew::new(|| (), || ());
    for _ in 0..2 * PANICS_IN_ALL_MAX {
        assert!(break_off(Some(&crew)).contains("broke off"));
    }
    for _ in 0..2 * PANICS_IN_A_ROW_MAX {
        assert!(break_off(None).contains("broke off"));
    }
    assert_eq!(backend.broken(), None);
    let mut told = String::new();
    for _ in 2 * PANICS_IN_A_ROW_MAX..PANICS_IN_ALL_MAX {
        told = break_off(None);
    }
    let why = backend.broken().expect("it goes on for ever");
    assert_eq!(told, why);
    for part in ["thread log-writer panicked", "did so 20 times", "started again"] {
        assert!(why.contains(part), "{why}");
    }
    let (refused, _) = begin();
    assert!(matches!(refused.err(), Some(WriteError::Definite(e)) if e == why));
    assert!(matches!(backend.configs().write(&[(vec![1], None)]), Err(StoreError::Definite(e)) if e == why));
    drop((backend, log));
    // Another process finds all that was written.
    assert_eq!(values(&Log::open(config(dir.path())).unwrap(), 0), [(0, "a".to_owned())]);
}

/// A task is started again while tickets of the attempt before it still wait to be written.
#[test]
fn a_writer_begins_behind_what_the_one_before_it_had_queued() {
    /// The thread that writes waits in it.
    struct Held(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);
    impl DurabilityListener for Held {
        fn durable(&self, _: u64, _: bool) {
            self.0.send(()).unwrap();
            self.1.lock().unwrap().recv().unwrap();
        }

        fn failed(&self, error: WriteError) {
            panic!("{error}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    let ((is_held, held), (release, released)) = (mpsc::channel(), mpsc::channel());
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let request = |connector: &str| WriterRequest {
        connector: connector.into(),
        task: 0,
        config: Vec::new(),
        offsets_topic: None,
    };
    let ticket = |number| Ticket { number, batches: vec![batch("t", &["a"])], offset: offset(number) };
    let mut first = backend.writer(request("c"), Arc::new(Heard::default())).unwrap();
    first.submit(ticket(1)).unwrap();
    first.flush(Duration::from_secs(10)).unwrap();
    let mut other = backend.writer(request("d"), Arc::new(Held(is_held, Mutex::new(released)))).unwrap();
    other.submit(Ticket { offset: None, ..ticket(1) }).unwrap();
    held.recv().unwrap();
    first.submit(ticket(2)).unwrap();
    first.abort();
    let (begins, begun) = mpsc::channel();
    let second = std::thread::spawn(move || {
        begins.send(()).unwrap();
        let writer = backend.writer(request("c"), Arc::new(Heard::default())).unwrap();
        let stored = backend.offsets(None).unwrap().read_to_end().unwrap();
        writer.abort();
        stored
    });
    begun.recv().unwrap();
    std::thread::yield_now();
    release.send(()).unwrap();
    let stored = second.join().unwrap();
    assert_eq!(stored.last().and_then(|record| record.value.as_deref()), Some(&b"{\"lsn\":2}"[..]));
    other.abort();
}

#[test]
fn damage_before_the_tail_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    write(&log, &[&["a"], &["b"]]);
    drop(log);
    let path = dir.path().join("log").join(format!("{:020}.journal", 1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"key\x02").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Log::open(config(dir.path())), Err(OpenError::Corrupt { .. })));
}

#[test]
fn two_processes_cannot_write_one_log_but_others_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    assert!(matches!(Log::open(config(dir.path())), Err(OpenError::Locked(_))));
    write(&log, &[&["a"]]);
    let mut reader = LogReader::open(dir.path().join("log")).unwrap();
    assert_eq!(reader.fetch("t", 0, 0, 10, 1 << 20).unwrap().records.len(), 1);
    write(&log, &[&["b"], &["c"]]);
    reader.refresh().unwrap();
    assert_eq!(reader.fetch("t", 0, 0, 10, 1 << 20).unwrap().records.len(), 3);
}

#[test]
fn retention_drops_old_segments_and_keeps_topics_offsets_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let small = LogConfig { segment_bytes: 4096, retention_bytes: 10_000, ..config(dir.path()) };
    let log = Log::open(small.clone()).unwrap();
    log.commit_group_offset("g", "t", 0, Some(7)).unwrap();
    let large = "x".repeat(1000);
    for _ in 0..40 {
        write(&log, &[&[&large]]);
    }
    let (_, _, spans) = log.topics().into_iter().find(|t| t.0 == "t").unwrap();
    assert_eq!(spans[0].end, 40);
    assert!(spans[0].start > 20, "{spans:?}");
    let check = |log: &Log| {
        let (_, _, spans) = log.topics().into_iter().find(|t| t.0 == "t").unwrap();
        let read = values(log, spans[0].start);
        assert_eq!(read.first().unwrap().0, spans[0].start);
        assert_eq!(read.last().unwrap().0, 39);
        assert_eq!(read.len() as i64, 40 - spans[0].start);
        assert_eq!(stored_offset(log).len(), 1);
        assert_eq!(log.group_offset("g", "t", 0), Some(7));
    };
    check(&log);
    drop(log);
    check(&Log::open(small).unwrap());
}

#[test]
fn a_deleted_key_is_gone_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let configs = backend.configs();
    configs.write(&[(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), Some(b"2".to_vec()))]).unwrap();
    configs.write(&[(b"a".to_vec(), None), (b"b".to_vec(), Some(b"3".to_vec()))]).unwrap();
    drop((configs, backend, log));
    let log = Log::open(config(dir.path())).unwrap();
    let backend = LogBackend::new(log, LogBackendConfig::default()).unwrap();
    let records = backend.configs().read_to_end().unwrap();
    assert_eq!(records, [KeyedRecord { key: b"b".to_vec(), value: Some(b"3".to_vec()), kafka_offset: 3 }]);
}

#[test]
fn concurrent_writers_share_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| write(&log, &[&["x"][..]; 50]));
        }
    });
    let read = values(&log, 0);
    assert_eq!(read.iter().map(|r| r.0).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
}
