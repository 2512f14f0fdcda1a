//! The replication stream and its decoder, end to end.

use crate::support::{connect, database, replicate, secured, start, walsender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use walspring_pgoutput::{Cell, Decoder, Message, OldTuple, Tuple};
use walspring_postgres_source::wire::{ConnectConfig, Connection, Frame, ReplicationStream, SslMode};
use walspring_testkit::TempDatabase;

const PATIENCE: Duration = Duration::from_secs(30);

fn row(tuple: Tuple<'_>) -> String {
    let cell = |cell: Cell<'_>| match cell {
        Cell::Null => "null".to_owned(),
        Cell::Unchanged => "unchanged".to_owned(),
        Cell::Text(bytes) if bytes.len() > 20 => format!("{} bytes", bytes.len()),
        Cell::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Binary(bytes) => format!("{bytes:02x?}"),
    };
    tuple.iter().map(cell).collect::<Vec<_>>().join(",")
}

fn old(old: OldTuple<'_>) -> String {
    match old {
        OldTuple::None => String::new(),
        OldTuple::Key(tuple) => format!(" key({})", row(tuple)),
        OldTuple::Full(tuple) => format!(" old({})", row(tuple)),
    }
}

fn describe(message: Message<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match message {
        Message::Begin(_) => "begin".to_owned(),
        Message::Commit(commit) => {
            assert!(commit.end_lsn > commit.commit_lsn);
            "commit".to_owned()
        }
        Message::Relation(relation) => {
            let columns: Vec<_> = relation
                .columns()
                .map(|c| format!("{}{}:{}", text(c.name), if c.is_key() { "*" } else { "" }, c.type_oid))
                .collect();
            format!("relation {} {:?} {}", text(relation.name), relation.replica_identity, columns.join(" "))
        }
        Message::Insert(insert) => format!("insert {}", row(insert.new)),
        Message::Update(update) => format!("update{} {}", old(update.old), row(update.new)),
        Message::Delete(delete) => format!("delete{}", old(delete.old)),
        Message::Truncate(t) => {
            format!("truncate {} cascade={} restart={}", t.relations().len(), t.is_cascade(), t.restarts_identity())
        }
        Message::Logical(m) => format!("message {} {} {}", m.is_transactional(), text(m.prefix), text(m.content)),
        Message::Type(t) => format!("type {}", text(t.name)),
        other => format!("{other:?}"),
    }
}

/// Decodes until so many transactions ended; keeps what `keep` makes of each message.
fn collect<T>(
    stream: &mut ReplicationStream,
    transactions: usize,
    mut keep: impl FnMut(Message<'_>) -> Option<T>,
) -> Vec<T> {
    let mut decoder = Decoder::new();
    let (mut kept, mut ended) = (Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    while ended < transactions {
        assert!(Instant::now() < deadline, "{ended} of {transactions} transactions");
        let Some(frame) = stream.next(Duration::from_secs(1)).expect("a frame") else { continue };
        let Frame::XLogData { payload, .. } = frame else { continue };
        let message = decoder.decode(payload).expect("a message");
        if let Message::Commit(_) | Message::StreamCommit(_) = message {
            ended += 1;
        }
        kept.extend(keep(message));
    }
    kept
}

#[test]
fn changes_of_every_kind() {
    let db = database();
    db.sql(
        "create type mood as enum ('ok');
         create table t (id int primary key, a text, big text, m mood);
         alter table t alter big set storage external;
         create table f (id int, a text); alter table f replica identity full",
    );
    let enum_oid = db.value("select 'mood'::regtype::oid");
    let (_, mut stream) = replicate(&db, "proto_version '1', messages 'true'");
    db.sql("insert into t values (1, null, repeat('x', 9000), 'ok')");
    db.sql("update t set a = 'é'");
    db.sql("update t set id = 2");
    db.sql("delete from t");
    db.sql("insert into f values (1, 'a')");
    db.sql("update f set a = 'b'");
    db.sql("delete from f");
    db.sql("truncate t, f restart identity cascade");
    db.sql("select pg_logical_emit_message(true, 'pre', 'content')");
    let mut descriptions = std::collections::HashSet::new();
    let found = collect(&mut stream, 9, |message| match message {
        Message::Begin(_) | Message::Commit(_) => None,
        // The server repeats itself whenever it forgot what it told us; a cache invalidation is enough.
        Message::Relation(_) | Message::Type(_) => {
            let text = describe(message);
            // The enum's OID is not the same in every run.
            let text = text.strip_suffix(&format!(":{enum_oid}")).unwrap_or(&text).to_owned();
            descriptions.insert(text.clone()).then_some(text)
        }
        message => Some(describe(message)),
    });
    assert_eq!(
        found,
        [
            "type mood",
            "relation t Default id*:23 a:25 big:25 m",
            "insert 1,null,9000 bytes,ok",
            "update 1,é,unchanged,ok",
            "update key(1,null,null,null) 2,é,unchanged,ok",
            "delete key(2,null,null,null)",
            "relation f Full id*:23 a*:25",
            "insert 1,a",
            "update old(1,a) 1,b",
            "delete old(1,b)",
            "truncate 2 cascade=true restart=true",
            "message true pre content",
        ]
    );
}

#[test]
fn messages_outside_of_transactions_and_binary_values() {
    let db = database();
    db.sql("create table t (id int primary key, b bytea)");
    let (_, mut stream) = replicate(&db, "proto_version '1', messages 'true', binary 'true'");
    db.sql("begin; select pg_logical_emit_message(false, 'now', 'x'); rollback");
    db.sql("insert into t values (258, '\\x00ff')");
    let found = collect(&mut stream, 1, |message| Some(describe(message)));
    assert_eq!(
        found,
        [
            "message false now x",
            "begin",
            "relation t Default id*:23 b:17",
            "insert [00, 00, 01, 02],[00, ff]",
            "commit"
        ]
    );
}

/// A large transaction with rolled back parts, streamed while in progress: the ids in the blocks tell what to drop.
fn streamed_changes(db: &TempDatabase, options: &str) {
    db.sql("create table t (id int primary key, a text)");
    let (_, mut stream) = replicate(db, options);
    db.sql(
        "set logical_decoding_work_mem = '64kB';
         begin;
         insert into t select i, repeat('x', 200) from generate_series(1, 2000) i;
         savepoint s;
         insert into t select i, repeat('y', 200) from generate_series(2001, 4000) i;
         rollback to s;
         insert into t select i, repeat('z', 200) from generate_series(4001, 6000) i;
         commit",
    );
    let mut top = None;
    let mut rows = Vec::new();
    let mut blocks = 0;
    collect(&mut stream, 1, |message| -> Option<()> {
        match message {
            Message::StreamStart(start) => {
                assert_eq!(start.first_segment, top.is_none());
                assert_eq!(*top.get_or_insert(start.xid), start.xid);
                blocks += 1;
            }
            Message::Insert(insert) => {
                let xid = insert.xid.expect("an xid inside a block");
                let Some(Cell::Text(id)) = insert.new.iter().next() else { panic!("no id") };
                rows.push((xid, String::from_utf8_lossy(id).parse::<u32>().expect("a number")));
            }
            Message::StreamAbort(abort) => {
                assert_eq!(Some(abort.xid), top);
                rows.retain(|(xid, _)| *xid != abort.subxid);
                assert_eq!(abort.abort.is_some(), options.contains("parallel"));
            }
            Message::StreamCommit(commit) => assert_eq!(Some(commit.xid), top),
            Message::Relation(relation) => assert!(relation.xid.is_some()),
            Message::StreamStop | Message::Type(_) => {}
            other => panic!("{other:?}"),
        }
        None
    });
    assert!(blocks > 1, "the transaction was not streamed");
    let ids: Vec<_> = rows.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, (1..=2000).chain(4001..=6000).collect::<Vec<_>>());
}

/// The memory for decoding is the walsender's setting, so it must be the server's.
fn small_decoding_memory(major: u32) -> TempDatabase {
    use walspring_testkit::Postgres;
    let server = Postgres::start(Postgres::builder(major).option("logical_decoding_work_mem", "64kB"));
    Arc::new(server).database()
}

#[test]
fn transactions_in_progress_are_streamed() {
    streamed_changes(&small_decoding_memory(15), "proto_version '2', streaming 'on'");
}

#[test]
fn parallel_streaming_adds_the_abort_lsn() {
    streamed_changes(&small_decoding_memory(17), "proto_version '4', streaming 'parallel'");
}

#[test]
fn prepared_transactions() {
    let db = database();
    db.sql("create table t (id int primary key); create publication p for all tables");
    let slot = db.slot("s");
    let mut connection = walsender(&db);
    connection.batch_execute(&format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput (TWO_PHASE)")).expect("a slot");
    let mut stream = start(connection, &slot, "proto_version '3', two_phase 'on'");
    for (gid, end) in [("g1", "commit"), ("g2", "rollback")] {
        db.sql(&format!("begin; insert into t values (1); prepare transaction '{gid}'"));
        db.sql(&format!("{end} prepared '{gid}'"));
        db.sql("truncate t");
    }
    let found = collect(&mut stream, 2, |message| match message {
        Message::BeginPrepare(m) => Some(format!("begin prepare {}", String::from_utf8_lossy(m.gid))),
        Message::Prepare(m) => Some(format!("prepare {}", String::from_utf8_lossy(m.gid))),
        Message::CommitPrepared(m) => Some(format!("commit {}", String::from_utf8_lossy(m.gid))),
        Message::RollbackPrepared(m) => Some(format!("rollback {}", String::from_utf8_lossy(m.gid))),
        _ => None,
    });
    assert_eq!(found, ["begin prepare g1", "prepare g1", "commit g1", "begin prepare g2", "prepare g2", "rollback g2"]);
}

#[test]
fn a_confirmed_position_reaches_the_slot_and_keepalives_answer() {
    let db = database();
    db.sql("create table t (id int)");
    let (slot, mut stream) = replicate(&db, "proto_version '1'");
    db.sql("insert into t values (1)");
    let end = collect(&mut stream, 1, |message| match message {
        Message::Commit(commit) => Some(commit.end_lsn),
        _ => None,
    })[0];
    stream.writer().send_status(end, end, end, true).expect("a status");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline);
        match stream.next(Duration::from_secs(1)).expect("a frame") {
            Some(Frame::KeepAlive { wal_end, server_time_us, .. }) if wal_end >= end => {
                assert!(server_time_us > 800_000_000_000_000, "a time after 2025: {server_time_us}");
                break;
            }
            _ => {}
        }
    }
    let confirmed = format!("select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = '{slot}'");
    // That keepalive may have been under way before the status came.
    walspring_testkit::wait_for("the slot's position", PATIENCE, || {
        (db.value(&confirmed) == end.to_string()).then_some(())
    });
    // And the connection is good for queries again.
    let mut connection = stream.finish(PATIENCE).expect("a connection");
    let row = connection.query_one("IDENTIFY_SYSTEM").expect("a row");
    assert_eq!(row.get("dbname"), Some(db.name()));
    // The slot is free at once; a new stream needs a new connection.
    let mut again = start(walsender(&db), &slot, "proto_version '1'");
    again.next(Duration::from_millis(200)).expect("alive");
}

/// Under back-pressure nobody reads; the status messages alone must keep the server content.
fn stays_alive_unread(db: &TempDatabase, config: ConnectConfig) {
    db.sql("create table t (id int, a text); create publication p for all tables");
    let mut config = config;
    config.replication = true;
    config.options.push(("options".to_owned(), "-c wal_sender_timeout=2s".to_owned()));
    let mut connection = Connection::connect(&config).expect("a connection");
    let slot = db.slot("s");
    connection.batch_execute(&format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput")).expect("a slot");
    let mut stream = start(connection, &slot, "proto_version '1'");
    // More than the socket buffers of both sides take: the walsender blocks in its send.
    db.sql("insert into t select i, repeat('x', 1000) from generate_series(1, 40000) i");
    let writer = stream.writer();
    let sending = std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            writer.send_status(0, 0, 0, false).expect("a status");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    sending.join().expect("no panic");
    let inserts = collect(&mut stream, 1, |message| matches!(message, Message::Insert(_)).then_some(()));
    assert_eq!(inserts.len(), 40_000);
}

#[test]
fn status_messages_keep_an_unread_stream_alive() {
    let db = database();
    stays_alive_unread(&db, crate::support::config(&db));
}

#[test]
fn status_messages_keep_an_unread_stream_alive_under_tls() {
    let secured = secured();
    let name = "tls_stream".to_owned();
    secured.server.sql("postgres", &format!("create database {name}"));
    let mut config = secured.config("postgres", SslMode::Require);
    config.dbname.clone_from(&name);
    let server = &secured.server;
    server.sql(&name, "create table t (id int, a text); create publication p for all tables");
    config.replication = true;
    config.options.push(("options".to_owned(), "-c wal_sender_timeout=2s".to_owned()));
    let mut connection = Connection::connect(&config).expect("a connection");
    assert!(connection.is_encrypted());
    connection.batch_execute(&format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput")).expect("a slot");
    let mut stream = start(connection, &name, "proto_version '1'");
    let writer = stream.writer();
    // A reader that waits in vain must not hold up the writer, and a status must not wait for a frame.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let sending = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let begin = Instant::now();
            writer.send_status(0, 0, 0, false).expect("a status");
            times.push(begin.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        times.sort();
        times
    });
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        stream.next(Duration::from_millis(700)).expect("alive");
    }
    server.sql(&name, "insert into t select i, repeat('x', i % 5000) from generate_series(1, 20000) i");
    let inserts = collect(&mut stream, 1, |message| matches!(message, Message::Insert(_)).then_some(()));
    assert_eq!(inserts.len(), 20_000);
    stop.store(true, Ordering::Relaxed);
    let times = sending.join().expect("no panic");
    // Not the slowest: a machine that does other things too may hold up any of them.
    let median = times[times.len() / 2];
    assert!(median < Duration::from_millis(300), "a status message took {median:?}");
}

#[test]
fn silence_is_none_and_no_more() {
    let db = database();
    let (_, mut stream) = replicate(&db, "proto_version '1'");
    // Other tests write to the same server, of which keepalives tell.
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < limit, "it is never silent");
        let begin = Instant::now();
        match stream.next(Duration::from_millis(50)).expect("alive") {
            Some(Frame::KeepAlive { .. }) => {}
            Some(frame) => panic!("{frame:?}"),
            None => {
                assert!((50..30_000).contains(&begin.elapsed().as_millis()));
                assert!(!stream.has_buffered());
                if !stream.try_fill().expect("alive") {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_terminated_walsender_says_why() {
    let db = database();
    let (_, mut stream) = replicate(&db, "proto_version '1'");
    connect(&db).query_one(&format!("select pg_terminate_backend({})", stream.backend_pid())).expect("a row");
    let error = loop {
        match stream.next(Duration::from_secs(5)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some("57P01"), "{error}");
    assert!(error.is_transient());
    assert!(stream.next(Duration::from_secs(1)).is_err());
}

#[test]
fn a_shutdown_from_another_thread_wakes_the_reader() {
    let db = database();
    let (slot, mut stream) = replicate(&db, "proto_version '1'");
    let writer = stream.writer();
    let stopping = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        writer.shutdown();
        writer.send_status(0, 0, 0, false)
    });
    let begin = Instant::now();
    let error = loop {
        match stream.next(Duration::from_secs(20)) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.is_transient(), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(stopping.join().expect("no panic").is_err());
    // The slot is free for the next one, which waits for it no longer than the server takes to notice.
    db.wait_unread(&slot);
}

#[test]
fn an_active_slot_is_transient_and_a_missing_one_is_not() {
    let db = database();
    let (slot, _stream) = replicate(&db, "proto_version '1'");
    let begin = |slot: &str| {
        let sql = format!("START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'p')");
        walsender(&db).start_replication(&sql).err().expect("an error")
    };
    let error = begin(&slot);
    assert_eq!(error.code(), Some("55006"), "{error}");
    assert!(error.is_transient());
    let error = begin("nowhere");
    assert_eq!(error.code(), Some("42704"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn large_rows_pass_and_small_ones_after_them() {
    let db = database();
    db.sql("create table t (id int, a text); alter table t alter a set storage external");
    let (_, mut stream) = replicate(&db, "proto_version '1'");
    db.sql(
        "insert into t values (1, repeat('x', 100000000));
         insert into t select i, 'y' from generate_series(2, 1000) i;
         insert into t values (1001, repeat('z', 300000))",
    );
    let lengths = collect(&mut stream, 1, |message| match message {
        Message::Insert(insert) => match insert.new.iter().nth(1) {
            Some(Cell::Text(text)) => Some(text.len()),
            other => panic!("{other:?}"),
        },
        _ => None,
    });
    assert_eq!(lengths.len(), 1001);
    assert_eq!([lengths[0], lengths[1], lengths[999], lengths[1000]], [100_000_000, 1, 1, 300_000]);
}
