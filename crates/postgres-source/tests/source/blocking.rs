//! Blocking snapshots in the midst of a stream: what must not be lost, overtaken or come twice. How events look is held by
//! `conformance/cases/signal_blocking*`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use walspring_record::SourceOffset;
use walspring_testkit::{Postgres, TempDatabase, postgres};

use crate::support::{Connector, Event, Random, Source, Step, UnseenCommit, fold, server_without_its_standby};

const SIGNAL_TABLE: &str = "create table signal (id varchar(64) primary key, type varchar(32), data varchar(2048))";

fn connector(db: &TempDatabase, options: &[(&str, &str)]) -> Connector {
    db.sql(SIGNAL_TABLE);
    let mut connector =
        Connector::new(db, &[("snapshot.mode", "no_data"), ("signal.data.collection", "public.signal")]);
    for (name, value) in options {
        connector.set(name, value);
    }
    connector
}

fn signal(tables: &str, conditions: &str) -> String {
    let data =
        format!(r#"{{"type": "blocking", "data-collections": [{tables}], "additional-conditions": [{conditions}]}}"#);
    format!("insert into signal values (gen_random_uuid(), 'execute-snapshot', '{}');", data.replace('\'', "''"))
}

fn query(table: &str, sql: &str) -> String {
    format!(r#"{{"data-collection": "{table}", "filter": "{sql}"}}"#)
}

fn is_blocking(offset: &SourceOffset) -> bool {
    offset.get("snapshot") == Some(&"BLOCKING".into())
}

fn has_ended(step: &Step) -> bool {
    step.offset.as_ref().is_some_and(|o| is_blocking(o) && o.get("snapshot_completed") == Some(&true.into()))
}

/// A blocking snapshot is to be read, as the offset says.
fn is_asked_for(offset: &SourceOffset) -> bool {
    offset.contains_key("walspring_blocking_snapshots")
}

/// Events until the snapshot's end.
#[track_caller]
fn until_the_end(source: &mut Source) -> Vec<Event> {
    let mut events = Vec::new();
    source.until("the snapshot's end", |step| {
        events.extend(step.events.iter().cloned());
        has_ended(step)
    });
    events
}

fn shorts(events: &[Event]) -> Vec<String> {
    events.iter().filter(|e| e.table != "public.signal").map(Event::short).collect()
}

#[test]
fn rows_come_where_the_signal_was_and_what_changed_since_comes_behind_them() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)");
    let mut source = connector(&db, &[]).streaming(None);
    // In one transaction: what precedes the signal comes first, what follows it last.
    db.sql(&format!(
        "begin; insert into t values (3, 3); {} update t set v = 20 where id = 2; commit; delete from t where id = 1;",
        signal("\"public.t\"", "")
    ));
    let mut offsets = Vec::new();
    let mut events = Vec::new();
    source.until("the deletion", |step| {
        offsets.extend(step.offset.clone().filter(is_blocking));
        events.extend(step.events.iter().cloned());
        step.events.iter().any(|e| e.op == 'd')
    });
    assert_eq!(
        shorts(&events),
        ["public.t c 3,3", "public.t r 3,3", "public.t r 2,20", "public.t u 2,20", "public.t d 1,null"]
    );
    let reads: Vec<&Event> = events.iter().filter(|e| e.op == 'r').collect();
    assert_eq!(reads.iter().map(|e| e.mark).collect::<Vec<_>>(), ["first", "last"]);
    // A row says where the stream stands, and so does its offset.
    let signal = events.iter().find(|e| e.table == "public.signal").expect("the signal");
    assert!(reads.iter().all(|e| (e.lsn, e.xid) == (signal.lsn, signal.xid)), "{events:?}");
    assert!(offsets.len() >= 2 && offsets.iter().all(|o| o["lsn"] == signal.lsn), "{offsets:?}");
    assert!(!is_asked_for(offsets.last().expect("an offset")));
    source.close();
}

/// Kills after each step in turn: the stream's events come once, and all fold to the table.
#[test]
fn a_restart_anywhere_in_it_loses_nothing_of_the_stream_and_reads_the_tables_again() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v int, pad text)");
    db.sql("insert into t select i, 0, repeat('x', 1000) from generate_series(1, 1500) i");
    let connector = connector(&db, &[("provide.transaction.metadata", "true")]);
    connector.streaming(None).close();
    db.sql(&format!(
        "update t set v = 1 where id = 1; begin; update t set v = 2 where id = 2; {} update t set v = 3 where id = 3; commit;
         update t set v = 4 where id = 4",
        signal("\"public\\\\.T\"", "")
    ));
    let is_last = |e: &Event| e.op == 'u' && e.get("v") == Some("4");
    let mut cut = 0;
    loop {
        let (mut stored, mut events, mut seen_whole) = (None, Vec::new(), false);
        let mut source = connector.streaming(None);
        let mut steps = 0;
        source.until("the cut", |step| {
            steps += 1;
            // As exactly once has it: what goes with an offset that is not stored has not been sent.
            events.extend(step.events.iter().cloned());
            stored = step.offset.clone().or(stored.take());
            seen_whole = events.iter().any(is_last);
            (steps > cut && step.offset.is_some()) || seen_whole
        });
        source.close();
        let in_midst = stored.as_ref().is_some_and(is_asked_for);
        let mut source = connector.streaming(stored.as_ref());
        if !seen_whole {
            let rest = source.events_until("the last change", is_last);
            let read = rest.iter().filter(|e| e.op == 'r').count();
            let whole = in_midst || !events.iter().any(|e| e.op == 'r');
            assert_eq!(read, if whole { 1500 } else { 0 }, "rows after cut {cut}");
            events.extend(rest);
        }
        source.quiet_for(Duration::from_millis(20));
        source.close();
        let streamed: Vec<&str> = events.iter().filter(|e| e.op == 'u').filter_map(|e| e.get("v")).collect();
        assert_eq!(streamed, ["1", "2", "3", "4"], "after cut {cut}");
        let mut rows = BTreeMap::new();
        fold(&events, &mut rows);
        let values: i64 = rows.iter().filter(|(key, _)| key.starts_with("public.t ")).map(|(_, row)| number(row)).sum();
        assert_eq!((rows.keys().filter(|key| key.starts_with("public.t ")).count(), values), (1500, 10));
        if seen_whole {
            break;
        }
        cut += 1;
    }
    assert!(cut > 4, "only {cut} places to cut at");
}

fn number(row: &[Option<String>]) -> i64 {
    row[1].as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[test]
fn changes_beside_it_fold_to_the_table() {
    events_fold_to_the_table(15, "1");
}

#[test]
fn changes_beside_several_readers_fold_to_the_table() {
    events_fold_to_the_table(18, "4");
}

fn events_fold_to_the_table(major: u32, threads: &str) {
    let db = postgres(major).database();
    db.sql("create table t (id int primary key, v int); insert into t select i, 0 from generate_series(1, 2000) i");
    // Ranges of a page each, where there are several readers.
    let connector = connector(&db, &[("snapshot.max.threads", threads)]).limits(|limits| limits.range_pages = 1);
    let mut source = connector.streaming(None);
    let ended = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (ended, mut client) = (ended.clone(), db.connect());
        move || {
            let mut random = Random::new(11);
            for n in 1.. {
                if ended.load(Ordering::Acquire) {
                    break;
                }
                let id = 1 + random.below(2200);
                let sql = match random.below(3) {
                    0 => format!("delete from t where id = {id}"),
                    1 => format!("insert into t values ({id}, {n}) on conflict (id) do update set v = {n}"),
                    _ => format!("update t set v = {n} where id between {id} and {id} + 5"),
                };
                client.batch_execute(&sql).expect("a change");
            }
        }
    });
    let mut rows = BTreeMap::new();
    for _ in 0..5 {
        db.sql(&signal("\"public.t\"", ""));
        fold(&until_the_end(&mut source), &mut rows);
    }
    ended.store(true, Ordering::Release);
    writer.join().expect("the writer");
    db.sql("insert into t values (999999, -1)");
    fold(&source.events_until("the last change", |e| e.get("id") == Some("999999")), &mut rows);
    source.close();
    rows.retain(|key, _| key.starts_with("public.t "));
    let table: BTreeMap<String, Vec<Option<String>>> = db
        .sql("select id, v from t")
        .into_iter()
        .map(|row| (format!("public.t {}", row[0].as_deref().unwrap_or_default()), row))
        .collect();
    assert_eq!(rows, table);
}

#[test]
fn a_commit_that_is_streamed_and_not_yet_visible_is_waited_for() {
    let db = server_without_its_standby(15).database();
    db.sql("create table t (id int primary key, v text); insert into t values (1, 'old')");
    let mut source = connector(&db, &[]).streaming(None);
    let update = UnseenCommit::start(&db, "update t set v = 'new' where id = 1");
    source.events_until("the update", |e| e.get("v") == Some("new"));
    assert_eq!(db.value("select v from t where id = 1"), "old", "the commit is visible already");
    db.sql(&signal("\"public.t\"", ""));
    source.events_until("the signal", |e| e.table == "public.signal");
    source.quiet_for(Duration::from_millis(500));
    update.show(&db);
    assert_eq!(shorts(&until_the_end(&mut source)), ["public.t r 1,new"]);
    source.close();
}

#[test]
fn the_connection_of_the_stream_lives_on_while_tables_are_read() {
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("wal_sender_timeout", "2s")));
    let db = server.database();
    db.sql("create table t (id int primary key, v text); insert into t values (1, '')");
    let mut source = connector(&db, &[]).streaming(None);
    let sender = "select active_pid from pg_replication_slots where active";
    let pid = server.value("postgres", sender);
    db.sql(&signal("\"public.t\"", &query("public.t", "select t.* from t, pg_sleep(7) where id = 1")));
    source.events_until("the signal", |e| e.table == "public.signal");
    // More than the socket's buffers hold.
    db.sql("insert into t select g, repeat('x', 1000) from generate_series(2, 20000) g");
    let begun = Instant::now();
    assert_eq!(until_the_end(&mut source).len(), 1);
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
    source.events_until("the last row", |e| e.get("id") == Some("20000"));
    assert_eq!(server.value("postgres", sender), pid);
    source.close();
}

#[test]
fn what_cannot_be_read_is_given_up_and_the_stream_goes_on() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key); insert into t values (1); create table other (id int primary key)");
    let mut source = connector(&db, &[("table.include.list", "public.t")]).streaming(None);
    for (n, (tables, conditions)) in [
        ("\"public.t\"", query("public.t", "select nonsense from t")),
        ("\"public.t\"", query("public.t", "select id, 1 as extra from t")),
        ("\"(\"", String::new()),
        // Not there, and not captured.
        ("\"public.nosuch\", \"public.other\", \"public.signal\"", String::new()),
    ]
    .iter()
    .enumerate()
    {
        db.sql(&signal(tables, conditions));
        db.sql(&format!("insert into t values (10 + {n})"));
        let mut asked_for = false;
        let mut events = Vec::new();
        source.until("the next change", |step| {
            events.extend(step.events.iter().cloned());
            if let Some(offset) = &step.offset {
                asked_for = is_asked_for(offset);
            }
            step.events.iter().any(|e| e.table == "public.t")
        });
        assert_eq!(shorts(&events), [format!("public.t c {}", 10 + n)]);
        assert!(!asked_for, "{tables} {conditions}");
    }
    db.sql(&signal("\"public.t\"", &query("public.t", "select id from t where id = 11")));
    assert_eq!(shorts(&until_the_end(&mut source)), ["public.t r 11"]);
    source.close();
}

#[test]
fn a_server_that_goes_away_in_its_midst_has_it_begun_again() {
    let server = Arc::new(Postgres::start(Postgres::builder(15)));
    let db = server.database();
    db.sql("create table t (id int primary key); insert into t values (1), (2)");
    let connector = connector(&db, &[]);
    let mut source = connector.streaming(None);
    db.sql(&signal("\"public.t\"", &query("public.t", "select t.* from t, pg_sleep(id)")));
    source.events_until("the signal", |e| e.table == "public.signal");
    let killed = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and query like 'COPY%' and query like '%pg_sleep%'";
    let end = Instant::now() + Duration::from_secs(30);
    let error = loop {
        assert!(Instant::now() < end, "no error came");
        if let Err(e) = source.poll(Duration::from_millis(20)) {
            break e;
        }
        db.sql(killed);
    };
    assert!(error.is_transient(), "{}", error.trace());
    let offset = source.close();
    assert!(offset.as_ref().is_some_and(is_asked_for), "{offset:?}");
    let mut source = connector.streaming(offset.as_ref());
    assert_eq!(shorts(&until_the_end(&mut source)), ["public.t r 1", "public.t r 2"]);
    source.close();
}
