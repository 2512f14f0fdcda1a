//! Connections that live on while nobody reads, and waits that end when they should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_faults::proxy::Proxy;
use walspring_testkit::{Postgres, TempDatabase, postgres, wait_for};

use crate::support::{Connector, WAIT};

/// For what does not wait, on a machine that does other things too. What it would wait for lasts a minute, or for ever.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_reader_that_does_not_read_keeps_its_connection() {
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("wal_sender_timeout", "2s")));
    let db = server.database();
    db.sql("create table a (id int primary key, v text)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql("insert into a values (0, '')");
    source.take(1);
    let sender = "select active_pid from pg_replication_slots where active";
    let pid = server.value("postgres", sender);
    // More than the socket's buffers hold.
    db.sql("insert into a select g, repeat('x', 1000) from generate_series(1, 20000) g");
    std::thread::sleep(Duration::from_secs(5));
    let rows = source.events_until("the last row", |e| e.number("id") == 20000);
    assert_eq!(rows.len(), 20000);
    assert_eq!(server.value("postgres", sender), pid);
}

#[test]
fn a_slot_that_waits_for_an_old_transaction_names_it_and_is_given_up_at_a_stop() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    let mut old = db.connect();
    old.batch_execute("begin; insert into a values (1)").unwrap();
    let pid = old.query_one("select pg_backend_pid()::text", &[]).unwrap().get::<_, String>(0);
    let mut source = Connector::new(&db, &[]).start(None);
    let (stop, heard) = (source.stop.clone(), source.heard.clone());
    let task = std::thread::spawn(move || {
        let result = source.poll(Duration::from_millis(100)).map(|_| ());
        (result, source)
    });
    wait_for("the pid", Duration::from_secs(20), || {
        let heard = heard.waiting.lock().unwrap();
        heard.iter().flatten().any(|w| w.contains(&format!("pid {pid} "))).then_some(())
    });
    let begin = Instant::now();
    stop.stop();
    let (result, source) = task.join().expect("the task");
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert!(result.is_err());
    drop(source);
    assert_eq!(heard.waiting.lock().unwrap().last(), Some(&None));
    old.batch_execute("rollback").unwrap();
    // No half a slot is left.
    let left = format!("select 1 from pg_replication_slots where slot_name = '{}'", db.slot("s"));
    wait_for("the slot to go", Duration::from_secs(5), || db.sql(&left).is_empty().then_some(()));
}

#[test]
fn a_snapshot_that_waits_for_a_locked_table_is_given_up_at_a_stop() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key); create table b (id int primary key)");
    // Without a slot: the lock gives its holder a transaction id, for which a slot would wait.
    let mut source = Connector::new(&db, &[("snapshot.mode", "initial_only")]).start(None);
    let mut lock = db.connect();
    lock.batch_execute("begin; lock table b in access exclusive mode").unwrap();
    source.poll(Duration::ZERO).expect("a start");
    wait_for("the wait", Duration::from_secs(10), || {
        source.poll(Duration::from_millis(10)).expect("no error");
        let waits = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (!db.sql(waits).is_empty()).then_some(())
    });
    let begin = Instant::now();
    drop(source);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let waits =
        "select 1 from pg_stat_activity where datname = current_database() and query like 'COPY%' and state = 'active'";
    wait_for("the server to give up", Duration::from_secs(5), || db.sql(waits).is_empty().then_some(()));
}

#[test]
fn a_delay_ends_at_a_stop() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    let mut source = Connector::new(&db, &[("snapshot.delay.ms", "60000")]).start(None);
    let stop = source.stop.clone();
    let task = std::thread::spawn(move || source.poll(Duration::ZERO).map(|_| ()));
    std::thread::sleep(Duration::from_millis(300));
    stop.stop();
    let begin = Instant::now();
    assert!(task.join().expect("the task").is_err());
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

#[test]
fn a_flood_of_what_is_not_captured_lets_the_caller_go() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key); create table other (id int)");
    let options = [("table.include.list", "public.a"), ("publication.autocreate.mode", "all_tables")];
    let mut source = Connector::new(&db, &options).start(None);
    source.read_snapshot();
    source.poll(Duration::ZERO).expect("a stream");
    db.sql("insert into other select generate_series(1, 300000)");
    db.sql("insert into a values (1)");
    let (begin, mut returned) = (Instant::now(), 0);
    while source.poll(Duration::from_millis(50)).expect("no error").is_none_or(|step| step.events.is_empty()) {
        assert!(begin.elapsed() < WAIT, "the row does not come");
        returned += 1;
    }
    // The flood takes many times as long as it may wait for rows.
    assert!(returned >= 2, "it came back {returned} times");
}

/// A server that ends the connections of readers that say nothing for two seconds, behind a proxy.
fn behind_a_proxy() -> (TempDatabase, Proxy, Connector) {
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("wal_sender_timeout", "2s")));
    let db = server.database();
    db.sql("create table a (id int primary key)");
    let proxy = Proxy::postgres(&format!("127.0.0.1:{}", server.port()));
    let mut connector = Connector::new(&db, &[]);
    connector.set("database.port", &proxy.port().to_string());
    (db, proxy, connector)
}

/// Twice `wal_sender_timeout`, and much more for a machine that does other things too: else it would be found after hours.
const FOUND: Duration = Duration::from_secs(40);

#[test]
fn a_stream_that_fell_silent_is_found_and_a_quiet_one_is_not() {
    let (db, proxy, connector) = behind_a_proxy();
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    source.quiet_for(Duration::from_secs(5));
    let begin = Instant::now();
    proxy.half_open_streams(true);
    let error = loop {
        assert!(begin.elapsed() < FOUND, "it was not found");
        if let Err(error) = source.poll(Duration::from_millis(50)) {
            break error;
        }
    };
    assert!(error.is_transient() && error.trace().contains("silent"), "{}", error.trace());
    let offset = source.close();
    db.sql("insert into a values (2)");
    // The server hears of it as late as it would over a broken line, and then lets the slot go.
    let mut source = connector.streaming(offset.as_ref());
    assert_eq!(source.take(1)[0].number("id"), 2);
}

#[test]
fn a_table_that_falls_silent_while_it_is_read_is_found() {
    let (db, proxy, connector) = behind_a_proxy();
    // More than goes before a few rows have been taken.
    db.sql(
        "alter table a add column v text; insert into a select g, repeat('x', 1000) from generate_series(1, 100000) g",
    );
    let mut source = connector.limits(|l| l.batch_bytes = 100_000).start(None);
    source.until("a part of it", |step| !step.events.is_empty());
    proxy.half_open_streams(false);
    let mut last = Instant::now();
    let error = loop {
        assert!(last.elapsed() < FOUND, "it was not found");
        match source.poll(Duration::from_millis(50)) {
            // What had come before.
            Ok(Some(step)) if !step.events.is_empty() => last = Instant::now(),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.is_transient() && error.trace().contains("silent"), "{}", error.trace());
}

#[test]
fn a_chunk_of_an_incremental_snapshot_that_falls_silent_is_found() {
    const ROWS: i64 = 100;
    let (db, proxy, mut connector) = behind_a_proxy();
    db.sql("create table signal (id text primary key, type text, data text)");
    db.sql(&format!("insert into a select generate_series(1, {ROWS})"));
    // In many chunks: each is asked for when the one before has been taken.
    for (name, value) in [
        ("snapshot.mode", "no_data"),
        ("signal.data.collection", "public.signal"),
        ("signal.poll.interval.ms", "10"),
        ("incremental.snapshot.chunk.size", "10"),
    ] {
        connector.set(name, value);
    }
    let mut source = connector.streaming(None);
    db.sql(r#"insert into signal values ('1', 'execute-snapshot', '{"data-collections": ["public.a"]}')"#);
    let mut read = std::collections::BTreeSet::new();
    let mut keep = |events: &[crate::support::Event]| {
        read.extend(events.iter().filter(|e| e.table == "public.a").map(|e| e.number("id")));
        read.len()
    };
    source.until("a part of it", |step| keep(&step.events) > 0);
    // The stream goes on; who reads chunks has to find it.
    proxy.half_open_streams(false);
    let mut last = Instant::now();
    let error = loop {
        // Far less than the minute that counts before the server has told its limit, however busy the machine.
        assert!(last.elapsed() < Duration::from_secs(20), "it was not found");
        match source.poll(Duration::from_millis(50)) {
            // What had come before.
            Ok(Some(step)) if !step.events.is_empty() => {
                keep(&step.events);
                last = Instant::now();
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.is_transient() && error.trace().contains("silent"), "{}", error.trace());
    let offset = source.close();
    let mut source = connector.streaming(offset.as_ref());
    source.until("the rest", |step| keep(&step.events) as i64 == ROWS);
}

#[test]
fn a_question_to_the_catalog_that_falls_silent_is_asked_again() {
    let (db, proxy, connector) = behind_a_proxy();
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    proxy.half_open_streams(false);
    // A version of the table that has to be asked about.
    db.sql("alter table a add column v text; insert into a values (2, '')");
    let begin = Instant::now();
    assert_eq!(source.take(1)[0].number("id"), 2);
    assert!(begin.elapsed() < FOUND, "{:?}", begin.elapsed());
}

#[test]
fn a_question_to_the_catalog_that_waits_for_a_lock_is_waited_for() {
    let (db, _proxy, connector) = behind_a_proxy();
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    db.sql("alter table a add column v text default 'x'; insert into a values (2)");
    let mut lock = db.connect();
    lock.batch_execute("begin; lock table pg_catalog.pg_attrdef in access exclusive mode").unwrap();
    let backend = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let reader = std::thread::spawn(move || (source.take(1)[0].number("id"), source));
    let waiting = wait_for("the wait", WAIT, || Some(db.sql(backend)).filter(|rows| !rows.is_empty()));
    // Longer than a silence may be.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(db.sql(backend), waiting, "another session asks");
    lock.batch_execute("commit").unwrap();
    assert_eq!(reader.join().expect("the reader").0, 2);
}
