//! Incremental snapshots beside a stream: what must not happen whatever changes meanwhile. How events look is held by
//! `conformance/cases/signal_*`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use walspring_connect::{SourceSignal, TaskError};
use walspring_record::SourceOffset;
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Event, Random, Source, UnseenCommit, WAIT, fold, server_without_its_standby};

const SIGNAL_TABLE: &str = "create table signal (id varchar(64) primary key, type varchar(32), data varchar(2048))";

fn connector(db: &TempDatabase, options: &[(&str, &str)]) -> Connector {
    let mut connector = Connector::new(
        db,
        &[
            ("snapshot.mode", "no_data"),
            ("signal.data.collection", "public.signal"),
            ("incremental.snapshot.chunk.size", "3"),
            ("signal.poll.interval.ms", "10"),
        ],
    );
    for (name, value) in options {
        connector.set(name, value);
    }
    connector
}

fn signal(db: &TempDatabase, kind: &str, data: &str) {
    let data = data.replace('\'', "''");
    db.sql(&format!("insert into signal values (gen_random_uuid(), '{kind}', '{data}')"));
}

fn is_read(event: &Event) -> bool {
    event.op == 'r'
}

/// Rows that the snapshot read, until as many have come.
#[track_caller]
fn reads(source: &mut Source, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    source.until(&format!("{count} rows"), |step| {
        events.extend(step.events.iter().filter(|e| is_read(e)).cloned());
        events.len() >= count
    });
    assert_eq!(events.len(), count, "{events:?}");
    events
}

/// The error that ends the task.
#[track_caller]
fn failure(source: &mut Source) -> TaskError {
    let end = Instant::now() + WAIT;
    loop {
        assert!(Instant::now() < end, "no error came");
        if let Err(e) = source.poll(Duration::from_millis(20)) {
            return e;
        }
    }
}

/// Whether the offset says that a snapshot is in progress.
fn in_progress(offset: &SourceOffset) -> bool {
    offset.contains_key("incremental_snapshot_collections")
}

/// Random changes beside a snapshot in small chunks: events fold to the table, whichever way windows are marked.
fn events_fold_to_the_table(options: &[(&str, &str)]) {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 600) i");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("signals");
    let mut connector = connector(&db, options);
    connector.set("signal.enabled.channels", "file");
    connector.set("signal.file", file.to_str().expect("a path"));
    connector.set("incremental.snapshot.chunk.size", "20");
    let mut source = connector.streaming(None);
    let ended = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (ended, mut client) = (ended.clone(), db.connect());
        move || {
            let mut random = Random::new(7);
            let mut n = 0;
            while !ended.load(Ordering::Acquire) {
                n += 1;
                let id = 1 + random.below(650);
                let sql = match random.below(4) {
                    0 => format!("delete from t where id = {id}"),
                    1 => format!("insert into t values ({id}, {n}) on conflict (id) do update set v = {n}"),
                    2 => {
                        format!("begin; delete from t where id = {id}; insert into t values (1000 + {n}, {n}); commit")
                    }
                    _ => format!("update t set v = {n} where id between {id} and {id} + 5"),
                };
                client.batch_execute(&sql).expect("a change");
            }
            n
        }
    });
    std::fs::write(&file, r#"{"id": "1", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#)
        .expect("a signal");
    let mut rows = BTreeMap::new();
    let (mut begun, mut read, mut stale) = (false, 0, Vec::new());
    let newest = |e: &Event| e.get("v").and_then(|v| v.parse::<i64>().ok()).unwrap_or(0);
    let mut sent: BTreeMap<String, i64> = BTreeMap::new();
    source.until("the snapshot's end", |step| {
        for e in step.events.iter().filter(|e| e.table == "public.t") {
            let id = e.get("id").unwrap_or_default().to_owned();
            if is_read(e) {
                read += 1;
                if sent.get(&id).is_some_and(|sent| *sent > newest(e)) {
                    stale.push(e.clone());
                }
            } else if e.op != 'd' {
                sent.insert(id, newest(e));
            }
        }
        fold(&step.events, &mut rows);
        begun |= step.offset.as_ref().is_some_and(in_progress);
        begun && step.offset.as_ref().is_some_and(|o| !in_progress(o))
    });
    ended.store(true, Ordering::Release);
    let changes = writer.join().expect("the writer");
    db.sql("insert into t values (999999, -1)");
    source.until("the last change", |step| {
        fold(&step.events, &mut rows);
        step.events.iter().any(|e| e.get("id") == Some("999999"))
    });
    source.close();
    assert_eq!(stale, [], "rows older than what was sent of them");
    rows.retain(|key, _| key.starts_with("public.t "));
    let table: BTreeMap<String, Vec<Option<String>>> = db
        .sql("select id, v from t")
        .into_iter()
        .map(|row| (format!("public.t {}", row[0].as_deref().unwrap_or_default()), row))
        .collect();
    assert!(read > 100 && changes > 20, "{read} rows beside {changes} changes");
    assert_eq!(rows, table);
}

#[test]
fn changes_beside_a_snapshot_fold_to_the_table() {
    events_fold_to_the_table(&[]);
}

#[test]
fn changes_beside_a_snapshot_with_deleted_watermarks_fold_to_the_table() {
    events_fold_to_the_table(&[("incremental.snapshot.watermarking.strategy", "insert_delete")]);
}

#[test]
fn changes_beside_a_read_only_snapshot_fold_to_the_table() {
    events_fold_to_the_table(&[("read.only", "true")]);
}

#[test]
fn a_commit_that_is_streamed_and_not_yet_visible_is_waited_for() {
    let db = server_without_its_standby(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (id int primary key, v text); insert into t values (1, 'old'), (2, 'old')");
    let mut source = connector(&db, &[]).streaming(None);
    let update = UnseenCommit::start(&db, "update t set v = 'new' where id = 1");
    source.events_until("the update", |e| e.get("v") == Some("new"));
    assert_eq!(db.value("select v from t where id = 1"), "old", "the commit is visible already");
    signal(&db, "execute-snapshot", r#"{"data-collections": ["public.t"]}"#);
    source.events_until("the signal", |e| e.table == "public.signal");
    source.quiet_for(Duration::from_millis(500));
    update.show(&db);
    let values: Vec<String> = reads(&mut source, 2).iter().map(Event::short).collect();
    assert_eq!(values, ["public.t r 1,new", "public.t r 2,old"]);
    source.close();
}

#[test]
fn a_restart_goes_on_behind_the_last_row_that_was_sent() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (a int, b text, primary key (a, b)); create table u (id uuid primary key)");
    db.sql("insert into t select i, 'x' || i from generate_series(1, 8) i");
    db.sql("insert into u select ('00000000-0000-0000-0000-00000000000' || i)::uuid from generate_series(1, 5) i");
    let connector = connector(&db, &[]);
    let mut source = connector.streaming(None);
    signal(&db, "execute-snapshot", r#"{"data-collections": ["public.(t|u)"]}"#);
    let mut all = Vec::new();
    // After each chunk, from its offset.
    while all.len() < 13 {
        source.until("a chunk", |step| {
            all.extend(step.events.iter().filter(|e| is_read(e)).map(Event::short));
            step.events.iter().any(is_read)
        });
        let offset = source.close().expect("an offset");
        assert!(in_progress(&offset), "{offset:?}");
        source = connector.streaming(Some(&offset));
    }
    source.until("the end", |step| step.offset.as_ref().is_some_and(|o| !in_progress(o)));
    source.close();
    let t = (1..=8).map(|i| format!("public.t r {i},x{i}"));
    let u = (1..=5).map(|i| format!("public.u r 00000000-0000-0000-0000-00000000000{i}"));
    assert_eq!(all, t.chain(u).collect::<Vec<_>>());
}

/// Each key's type with its values, in their order.
const KEYS: [(&str, &[&str]); 14] = [
    ("bool", &["false", "true"]),
    ("int2", &["-3", "0", "7"]),
    ("int8", &["-9000000000", "1", "9000000000"]),
    ("numeric", &["-12345678901234567890.5", "0", "0.10", "1e30", "NaN"]),
    ("float8", &["-1.5", "0", "1e300", "Infinity"]),
    ("date", &["0044-03-15 BC", "1970-01-01", "2024-02-29", "infinity"]),
    ("timestamp", &["0044-03-15 01:02:03 BC", "2024-02-29 12:34:56.789012", "infinity"]),
    ("timestamptz", &["2024-02-29 12:34:56.789012+05:30", "2024-03-01 00:00:00Z"]),
    ("time", &["00:00:00", "12:34:56.789012", "24:00:00"]),
    ("bytea", &["\\x", "\\x00", "\\x00ff", "\\xff27"]),
    ("text", &["", " ", "O''Reilly \\ x", "ä𝄞"]),
    // As they were made, which is not the order of their names.
    ("mood", &["sad", "it''s", "happy"]),
    ("uuid", &["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("inet", &["10.0.0.1", "10.0.0.0/8", "::1"]),
];

#[test]
fn keys_of_any_type_go_on_after_a_restart() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create type mood as enum ('sad', 'it''s', 'happy')");
    let mut expected = Vec::new();
    for (kind, values) in KEYS {
        // Alone, and behind a number.
        db.sql(&format!("create table one_{kind} (k {kind} primary key)"));
        db.sql(&format!("create table two_{kind} (n int, k {kind}, primary key (n, k))"));
        for value in values {
            db.sql(&format!("insert into one_{kind} values ('{value}'); insert into two_{kind} values (1, '{value}')"));
        }
        for table in ["one", "two"] {
            let rows = db.sql(&format!("select k from {table}_{kind} order by k"));
            expected
                .extend(rows.into_iter().map(|row| format!("{table}_{kind} {}", row[0].as_deref().unwrap_or("null"))));
        }
    }
    let connector =
        connector(&db, &[("incremental.snapshot.chunk.size", "1"), ("table.exclude.list", "public.signal")]);
    let mut source = connector.streaming(None);
    let tables: Vec<String> =
        KEYS.iter().flat_map(|(kind, _)| ["one", "two"].map(|table| format!("\"public.{table}_{kind}\""))).collect();
    signal(&db, "execute-snapshot", &format!(r#"{{"data-collections": [{}]}}"#, tables.join(",")));
    let mut all = Vec::new();
    while all.len() < expected.len() {
        source.until("a chunk", |step| {
            for e in step.events.iter().filter(|e| is_read(e)) {
                all.push(format!("{} {}", e.table.trim_start_matches("public."), e.get("k").unwrap_or("null")));
            }
            step.events.iter().any(is_read)
        });
        let offset = source.close().expect("an offset");
        source = connector.streaming(Some(&offset));
    }
    source.close();
    assert_eq!(all, expected);
}

#[test]
fn a_chunk_that_cannot_be_read_fails_the_task_until_the_table_is_taken_out() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (id int primary key); insert into t values (1); create table u (id int primary key); insert into u values (1)");
    let connector = connector(&db, &[]);
    let mut source = connector.streaming(None);
    signal(
        &db,
        "execute-snapshot",
        r#"{"data-collections": ["public.t", "public.u"], "additional-conditions": [{"data-collection": "public.t", "filter": "nope > 1"}]}"#,
    );
    let error = failure(&mut source);
    assert!(!error.is_transient(), "{}", error.trace());
    assert!(error.trace().contains("public.t failed") && error.trace().contains("nope"), "{}", error.trace());
    assert!(error.trace().contains("stop-snapshot"), "{}", error.trace());
    let offset = source.close().expect("an offset");
    assert!(in_progress(&offset));
    let mut source = connector.streaming(Some(&offset));
    assert!(!failure(&mut source).is_transient());
    source.close();
    signal(&db, "stop-snapshot", r#"{"data-collections": ["public.t"]}"#);
    let mut source = connector.streaming(Some(&offset));
    assert_eq!(reads(&mut source, 1)[0].short(), "public.u r 1");
    source.close();
}

#[test]
fn tables_that_are_gone_or_were_never_there_do_not_hold_up_the_others() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table k (a int); insert into k values (1)");
    db.sql("create table t (id int primary key); insert into t values (1), (2)");
    let mut source = connector(&db, &[]).streaming(None);
    signal(&db, "execute-snapshot", r#"{"data-collections": ["public.nope", "public.k", "public.t"]}"#);
    assert_eq!(reads(&mut source, 2)[1].short(), "public.t r 2");
    signal(&db, "log", r#"{"message": "at {}"}"#);
    signal(&db, "nonsense", "[");
    db.sql("insert into t values (3)");
    source.events_until("what follows", |e| e.short() == "public.t c 3");
    source.close();
}

#[test]
fn equal_and_missing_surrogate_keys_lose_no_row() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table k (a int, b text); insert into k select case when i < 9 then i / 4 end, i::text from generate_series(1, 10) i");
    let mut source = connector(&db, &[]).streaming(None);
    signal(&db, "execute-snapshot", r#"{"data-collections": ["public.k"], "surrogate-key": "a"}"#);
    let rows = reads(&mut source, 10);
    let mut b: Vec<i64> = rows.iter().map(|e| e.number("b")).collect();
    b.sort_unstable();
    assert_eq!(b, (1..=10).collect::<Vec<_>>());
    assert_eq!(rows.last().and_then(|e| e.get("a")), None, "rows without a key come last");
    source.until("the end", |step| step.offset.as_ref().is_some_and(|o| !in_progress(o)));
    source.close();
}

#[test]
fn a_column_that_is_added_meanwhile_is_in_the_rows_that_follow() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (id int primary key); insert into t select generate_series(1, 5)");
    let mut source = connector(&db, &[]).streaming(None);
    db.sql(
        "begin; insert into signal values ('1', 'execute-snapshot', '{\"data-collections\": [\"public.t\"]}'); \
         insert into signal values ('2', 'pause-snapshot', ''); commit",
    );
    assert_eq!(reads(&mut source, 3)[2].short(), "public.t r 3");
    db.sql("alter table t add column b text default 'x'");
    signal(&db, "resume-snapshot", "");
    let rows: Vec<String> = reads(&mut source, 2).iter().map(Event::short).collect();
    assert_eq!(rows, ["public.t r 4,x", "public.t r 5,x"]);
    source.close();
}

#[test]
fn a_signal_table_that_is_not_published_is_named() {
    let db = postgres(15).database();
    db.sql(SIGNAL_TABLE);
    db.sql("create table t (id int primary key); insert into t values (1); create publication p for table t");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("signals");
    let mut connector = connector(&db, &[("publication.autocreate.mode", "disabled")]);
    connector.set("signal.enabled.channels", "file");
    connector.set("signal.file", file.to_str().expect("a path"));
    let mut source = connector.streaming(None);
    std::fs::write(&file, r#"{"id": "1", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}"#)
        .expect("a signal");
    let error = failure(&mut source).trace();
    assert!(error.contains("ALTER PUBLICATION p ADD TABLE public.signal"), "{error}");
    source.close();
}

/// Streams with signals from a file and from the worker; without a table of signals.
fn outside(db: &TempDatabase, file: &std::path::Path) -> Connector {
    let mut connector = Connector::new(
        db,
        &[
            ("snapshot.mode", "no_data"),
            ("signal.enabled.channels", "file,in-process"),
            ("signal.poll.interval.ms", "1"),
        ],
    );
    connector.set("signal.file", file.to_str().expect("a path"));
    connector
}

#[test]
fn a_signal_of_a_file_is_followed_although_the_process_ends_before_an_offset_knows_of_it() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key); insert into t values (1), (2)");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("signals");
    let taken = dir.path().join("signals.taken");
    let connector = outside(&db, &file);
    let mut source = connector.streaming(None);
    for kind in ["incremental", "blocking"] {
        let data = format!(r#"{{"data-collections": ["public.t"], "type": "{kind}"}}"#);
        std::fs::write(&file, format!(r#"{{"id": "{kind}", "type": "execute-snapshot", "data": {data}}}"#)).unwrap();
        // Taken, and nothing of it stored: the last offset that was is the one before.
        let before = source.offset.clone();
        reads(&mut source, 2);
        assert_eq!(std::fs::read(&file).unwrap(), b"");
        assert!(taken.exists());
        source.close();
        let mut again = connector.streaming(before.as_ref());
        reads(&mut again, 2);
        // Once an offset that knows of it is stored, it is done with.
        let mut last = None;
        again.until("an offset", |step| {
            last = step.offset.clone().or(last.take());
            step.offset.is_some()
        });
        let offset = last.expect("an offset");
        assert!(offset.contains_key("walspring_signals"), "{offset:?}");
        again.stored(&offset);
        again.until("an offset without it", |step| {
            step.offset.as_ref().is_some_and(|o| !o.contains_key("walspring_signals"))
        });
        assert!(!taken.exists());
        source = again;
    }
    source.quiet_for(Duration::from_millis(100));
    // Killed between the offset and the word that it is stored.
    std::fs::write(&file, r#"{"id": "l", "type": "log", "data": {"message": "m"}}"#).unwrap();
    source.until("an offset", |step| step.offset.as_ref().is_some_and(|o| o.contains_key("walspring_signals")));
    assert!(taken.exists());
    let offset = source.close();
    let mut source = connector.streaming(offset.as_ref());
    source.quiet_for(Duration::from_millis(50));
    assert!(!taken.exists());
    source.close();
}

#[test]
fn signals_of_the_worker_are_heard_while_the_task_streams() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key); insert into t values (1), (2)");
    let dir = tempfile::tempdir().expect("a directory");
    let mut source = outside(&db, &dir.path().join("signals")).streaming(None);
    let execute = |kind: &str| SourceSignal {
        id: kind.into(),
        kind: "execute-snapshot".into(),
        data: format!(r#"{{"data-collections": ["public.t"], "type": "{kind}"}}"#),
    };
    let inbox = source.signals.clone();
    inbox.offer(vec![execute("blocking"), execute("incremental")]).expect("it listens");
    let first = reads(&mut source, 2);
    assert_eq!(first.iter().map(|e| e.mark).collect::<Vec<_>>(), ["first", "last"]);
    let second = reads(&mut source, 2);
    assert!(second.iter().all(|e| e.mark == "incremental"), "{second:?}");
    assert!(inbox.state().is_some());
    source.close();
    assert!(inbox.state().is_none());
    assert!(inbox.offer(vec![execute("blocking")]).is_err());
}
