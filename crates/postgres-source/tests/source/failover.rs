//! Standbys that are promoted with and without what was sent, and standbys that are read themselves. A promotion under load
//! is `walspring/tests/failover`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_connect::TaskError;
use walspring_postgres_source::wire::{ConnectConfig, Connection, TargetSession};
use walspring_record::SourceOffset;
use walspring_testkit::{Postgres, Shutdown, Standby, TempDatabase, free_port, postgres, wait_for};

use crate::support::{Connector, Event, Heard, Source, WAIT};

const STANDBY: &str = "standby1";

/// A server, its standby, and a table with a publication `p`.
struct Pair {
    primary: Arc<Postgres>,
    standby: Arc<Postgres>,
    db: TempDatabase,
}

impl Pair {
    fn new(major: u32) -> Pair {
        let primary = Arc::new(Postgres::start(Postgres::builder(major)));
        let how = if major >= 17 { Standby::synced(STANDBY) } else { Standby::new(STANDBY) };
        let standby = Arc::new(primary.standby(how));
        let db = primary.database();
        db.sql("create table t (id int primary key); create publication p for table t");
        standby.wait_replayed(&primary);
        Pair { primary, standby, db }
    }

    /// One that is told of both servers.
    fn connector(&self, options: &[(&str, &str)]) -> Connector {
        let mut connector = Connector::new(&self.db, &[("snapshot.mode", "no_data")]);
        let places = [&self.primary, &self.standby].map(|server| format!("{}:{}", server.host(), server.port()));
        connector.set("database.hostname", &places.join(","));
        connector.set("publication.autocreate.mode", "disabled");
        connector.set("walspring.slot.watch.interval.ms", "100");
        options.iter().for_each(|(name, value)| connector.set(name, value));
        connector
    }

    /// Until the slot would survive: once it is confirmed past what the standby had when it first saw it.
    fn wait_synced(&self, source: &mut Source) -> SourceOffset {
        self.wait_slot_synced(source, "s")
    }

    fn wait_slot_synced(&self, source: &mut Source, slot: &str) -> SourceOffset {
        let slot = self.db.slot(slot);
        let ready =
            format!("select 1 from pg_replication_slots where slot_name = '{slot}' and synced and not temporary");
        wait_for("the slot on the standby", WAIT, || {
            self.db.sql("insert into t select 1000 + count(*) from t");
            source.events_until("a row", |e| e.table == "public.t");
            let stored = source.offset.clone().expect("an offset");
            source.stored(&stored);
            self.primary.sql("postgres", "select pg_log_standby_snapshot()");
            (!self.standby.sql("postgres", &ready).is_empty()).then_some(stored)
        })
    }

    /// From now on the standby gets nothing.
    fn cut(&self) {
        set(&self.standby, "primary_conninfo = ''");
        wait_for("the standby to be alone", WAIT, || {
            (self.standby.value("postgres", "select count(*) from pg_stat_wal_receiver") == "0").then_some(())
        });
    }

    /// The promoted standby's copy of the database.
    fn promote(&self) -> TempDatabase {
        self.primary.server().stop(Shutdown::Immediate);
        self.standby.promote();
        self.standby.copy_of(&self.db)
    }
}

fn set(server: &Postgres, setting: &str) {
    server.sql("postgres", &format!("alter system set {setting}"));
    server.sql("postgres", "select pg_reload_conf()");
}

fn insert(db: &TempDatabase, id: i32) {
    db.sql(&format!("insert into t values ({id})"));
}

/// A stream that has had a row, and the offset after it, stored and confirmed.
fn streaming(connector: &Connector, db: &TempDatabase, id: i32) -> (Source, SourceOffset) {
    let mut source = connector.streaming(None);
    insert(db, id);
    source.take(1);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    (source, stored)
}

fn heard(heard: &Heard, text: &str) -> bool {
    heard.waiting.lock().unwrap().iter().flatten().any(|what| what.contains(text))
}

#[track_caller]
fn stops(error: &TaskError, parts: &[&str]) {
    let text = format!("{error} {}", error.trace());
    assert!(!error.is_transient(), "{text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part} in: {text}"));
}

#[test]
fn what_a_standby_lacks_is_not_sent_and_a_former_primary_is_passed_over() {
    let pair = Pair::new(18);
    hosts_are_tried_in_their_order(&pair);
    set(&pair.primary, &format!("synchronized_standby_slots = '{STANDBY}'"));
    let connector = pair.connector(&[("slot.failover", "true")]);
    let (mut source, _) = streaming(&connector, &pair.db, 1);
    let stored = pair.wait_synced(&mut source);
    // The copy is not for reading; that passes with a promotion.
    let place = format!("{}:{}", pair.standby.host(), pair.standby.port());
    let error = pair.connector(&[("database.hostname", &place)]).refusal(None);
    assert!(error.is_transient() && error.message.contains("in step with its primary's"), "{}", error.trace());
    pair.cut();
    insert(&pair.db, 2);
    wait_for("the reason", WAIT, || {
        source.quiet_for(Duration::from_millis(50));
        heard(&source.heard, "no standby is connected by standby1").then_some(())
    });
    source.close();

    // Row 2 was committed, is lost with the primary, and was not sent.
    let db = pair.promote();
    let mut source = connector.streaming(Some(&stored));
    insert(&db, 3);
    assert_eq!(source.take(1)[0].number("id"), 3);

    // As a copy has it that was made after the primary waited for its standby.
    set(&pair.standby, &format!("synchronized_standby_slots = '{STANDBY}'"));
    insert(&db, 4);
    wait_for("the reason", WAIT, || {
        source.quiet_for(Duration::from_millis(50));
        heard(&source.heard, "ALTER SYSTEM RESET synchronized_standby_slots").then_some(())
    });
    db.sql("alter system reset synchronized_standby_slots");
    db.sql("select pg_reload_conf()");
    assert_eq!(source.take(1)[0].number("id"), 4);
    wait_for("no reason", WAIT, || {
        source.heard.waiting.lock().unwrap().last().is_some_and(Option::is_none).then_some(())
    });
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();

    // It comes back, knows nothing of the failover, and takes writes; it is the first in the list.
    pair.primary.server().start().expect("a start");
    insert(&pair.db, 5);
    let mut source = connector.streaming(Some(&stored));
    insert(&db, 6);
    assert_eq!(source.take(1)[0].number("id"), 6);
}

#[test]
fn a_slot_of_before_is_made_one_that_survives() {
    let db = postgres(17).database();
    db.sql("create table t (id int primary key)");
    let mut connector = Connector::new(&db, &[("snapshot.mode", "no_data")]);
    let (source, stored) = streaming(&connector, &db, 1);
    source.close();
    let survives = format!("select failover from pg_replication_slots where slot_name = '{}'", db.slot("s"));
    assert_eq!(db.value(&survives), "f");
    connector.set("slot.failover", "true");
    let mut source = connector.streaming(Some(&stored));
    assert_eq!(db.value(&survives), "t");
    insert(&db, 2);
    assert_eq!(source.take(1)[0].number("id"), 2);
}

fn hosts_are_tried_in_their_order(pair: &Pair) {
    let place = |server: &Postgres| (server.host().to_owned(), server.port());
    let (down, primary, standby) = (("127.0.0.1".to_owned(), free_port()), place(&pair.primary), place(&pair.standby));
    let found = |target, hosts: &[&(String, u16)]| {
        let mut config = ConnectConfig::new("", 0, "postgres", "postgres");
        config.target_session = target;
        config.hosts = hosts.iter().map(|host| (*host).clone()).collect();
        Connection::connect_any(&config).map(|(_, at)| at)
    };
    let all = [&down, &standby, &primary];
    for (target, at) in [
        (TargetSession::Any, 1),
        (TargetSession::Standby, 1),
        (TargetSession::ReadOnly, 1),
        (TargetSession::Primary, 2),
        (TargetSession::ReadWrite, 2),
    ] {
        assert_eq!(found(target, &all).ok(), Some(at), "{target:?}");
    }
    assert_eq!(found(TargetSession::Any, &[&primary, &standby]).ok(), Some(0));
    let error = found(TargetSession::Primary, &all[..2]).unwrap_err();
    assert!(error.is_transient());
    let text = error.to_string();
    for part in [&format!("127.0.0.1:{}: connection", down.1), "Connection refused", "server is in hot standby mode"] {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    // What takes connections and says nothing, as a machine that died, holds us for two seconds, not for ten.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let silent = ("127.0.0.1".to_owned(), silent.local_addr().map(|at| at.port()).expect("an address"), silent);
    let begun = Instant::now();
    assert_eq!(found(TargetSession::Primary, &[&(silent.0.clone(), silent.1), &primary]).ok(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    // A task waits for one of them, says for what, and can be stopped.
    let mut connector = pair.connector(&[]);
    connector.set("database.hostname", &format!("127.0.0.1:{},{}:{}", down.1, standby.0, standby.1));
    let mut source = connector.start(None);
    let (hears, stop) = (source.heard.clone(), source.stop.clone());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wait_for("what it waits for", WAIT, || heard(&hears, "server is in hot standby mode").then_some(()));
            stop.stop();
        });
        assert!(source.poll(Duration::ZERO).unwrap_err().is_transient());
    });
}

#[test]
fn a_promoted_standby_that_lacks_rows_a_commit_or_the_slot() {
    let pair = Pair::new(17);
    let connector = pair.connector(&[("slot.failover", "true")]);
    let mut other = pair.connector(&[]);
    let lonely = pair.db.slot("lonely");
    other.set("slot.name", &lonely);
    let (source, of_lonely) = streaming(&other, &pair.db, 1);
    source.close();
    let (mut source, _) = streaming(&connector, &pair.db, 2);
    let before = pair.wait_synced(&mut source);
    // The standby has the row, but not its commit.
    let mut session = pair.db.connect();
    session.batch_execute("begin; insert into t values (3)").expect("a row");
    pair.primary.sql("postgres", "select pg_switch_wal()");
    pair.standby.wait_replayed(&pair.primary);
    pair.cut();
    session.batch_execute("commit").expect("a commit");
    drop(session);
    assert_eq!(source.take(1)[0].number("id"), 3);
    let cut_in_two = source.offset.clone().expect("an offset");
    insert(&pair.db, 4);
    assert_eq!(source.take(1)[0].number("id"), 4);
    let beyond = source.offset.clone().expect("an offset");
    // Nothing of it is confirmed: only the offset tells.
    source.close();

    let db = pair.promote();
    insert(&db, 5);
    let again = "DELETE /connectors/c/offsets";
    stops(&connector.refusal(Some(&beyond)), &["left timeline 1 at", "events were sent up to", again]);
    stops(&connector.refusal(Some(&cut_in_two)), &["Events of transaction", "has not committed", again]);
    // What the standby had is no reason to stop.
    let mut source = connector.streaming(Some(&before));
    assert_eq!(source.take(1)[0].number("id"), 5);

    let lost =
        ["has been promoted (timeline 2, 1 was read)", "does not have the replication slot", "bytes of the log", again];
    stops(&other.refusal(Some(&of_lonely)), &lost);
    let slots = format!("select count(*) from pg_replication_slots where slot_name = '{lonely}'");
    assert_eq!(db.value(&slots), "0", "a slot was made in silence");
    other.set("offset.mismatch.strategy", "trust_slot");
    let mut source = other.streaming(Some(&of_lonely));
    insert(&db, 6);
    assert_eq!(source.take(1)[0].number("id"), 6);
}

/// Starts a connector whose slot waits for the primary; `told` is called when it says so.
fn made_on_a_standby(connector: &Connector, told: impl FnOnce() + Send) -> Source {
    let mut source = connector.start(None);
    let hears = source.heard.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wait_for("what it waits for", WAIT, || heard(&hears, "on a standby").then_some(()));
            told();
        });
        source.read_snapshot();
    });
    source
}

#[test]
fn a_standby_is_read_until_its_slot_is_invalidated_and_beyond_its_promotion() {
    let pair = Pair::new(16);
    let place = format!("{}:{}", pair.standby.host(), pair.standby.port());
    insert(&pair.db, 1);
    pair.standby.wait_replayed(&pair.primary);
    let mut connector = pair.connector(&[("snapshot.mode", "initial"), ("database.hostname", &place)]);
    let waits = "select pg_log_standby_snapshot()";
    let mut source = made_on_a_standby(&connector, || drop(pair.primary.sql("postgres", waits)));
    assert!(heard(&source.heard, "SELECT pg_catalog.pg_log_standby_snapshot()"), "it was not told");
    insert(&pair.db, 2);
    assert_eq!(source.take(1)[0].number("id"), 2);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);

    // Vacuum on the primary takes rows away that the slot on the standby needs.
    let feedback =
        format!("select count(*) from pg_replication_slots where slot_name = '{STANDBY}' and catalog_xmin is null");
    set(&pair.standby, "hot_standby_feedback = off");
    wait_for("no more feedback", WAIT, || (pair.primary.value("postgres", &feedback) == "1").then_some(()));
    pair.db.sql("create table gone (id int)");
    pair.db.sql("drop table gone");
    pair.db.sql("vacuum pg_catalog.pg_class");
    let end = Instant::now() + WAIT;
    while source.poll(Duration::from_millis(50)).is_ok() {
        assert!(Instant::now() < end, "the slot is not taken away");
        insert(&pair.db, 100 + (end - Instant::now()).as_millis() as i32);
    }
    source.close();
    let reason = ["hot_standby_feedback", "pg_drop_replication_slot", &pair.db.slot("s")];
    stops(&connector.refusal(Some(&stored)), &reason);

    // Another one, that knows the primary and helps itself.
    set(&pair.standby, "hot_standby_feedback = on");
    let feedback = feedback.replace("catalog_xmin is", "xmin is not");
    wait_for("feedback", WAIT, || (pair.primary.value("postgres", &feedback) == "1").then_some(()));
    connector = pair.connector(&[("snapshot.mode", "initial"), ("walspring.target.session.attrs", "standby")]);
    connector.set("slot.name", &pair.db.slot("again"));
    let mut source = made_on_a_standby(&connector, || ());
    assert!(heard(&source.heard, "its primary was asked"));
    insert(&pair.db, 3);
    assert_eq!(source.take(1)[0].number("id"), 3);
    let db = pair.promote();
    insert(&db, 4);
    // The session is one of the promoted server now.
    assert_eq!(source.take(1)[0].number("id"), 4);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();
    connector.set("walspring.target.session.attrs", "any");
    let mut source = connector.streaming(Some(&stored));
    insert(&db, 5);
    assert_eq!(source.take(1)[0].number("id"), 5);
}

/// The standby that is read follows another one, and that is promoted: the stream goes over to the new timeline under it.
#[test]
fn a_standby_is_read_beyond_the_promotion_of_the_server_that_it_follows() {
    let pair = Pair::new(18);
    let upstream = pair.primary.standby(Standby::new("upstream"));
    pair.standby.follow(&upstream, "cascading");
    let connector = pair.connector(&[("walspring.target.session.attrs", "standby"), ("snapshot.mode", "initial")]);
    let mut source = made_on_a_standby(&connector, || ());
    insert(&pair.db, 1);
    assert_eq!(source.take(1)[0].number("id"), 1);
    pair.primary.server().stop(Shutdown::Immediate);
    upstream.promote();
    let upstream = Arc::new(upstream);
    let db = upstream.copy_of(&pair.db);
    insert(&db, 2);
    assert_eq!(source.take(1)[0].number("id"), 2);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();
    let mut source = connector.streaming(Some(&stored));
    insert(&db, 3);
    assert_eq!(source.take(1)[0].number("id"), 3);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    // And then it is promoted itself.
    upstream.server().stop(Shutdown::Immediate);
    pair.standby.promote();
    let db = pair.standby.copy_of(&pair.db);
    insert(&db, 4);
    assert_eq!(source.take(1)[0].number("id"), 4);
}

/// The ids of a snapshot's first rows, and the offset after them; then it is killed.
fn first_rows(mut source: Source) -> (Vec<i64>, SourceOffset) {
    let mut ids = Vec::new();
    source.until("rows", |step| {
        ids.extend(step.events.iter().map(|event| event.number("id")));
        !ids.is_empty() && step.offset.is_some()
    });
    let offset = source.offset.clone().expect("an offset");
    (ids, offset)
}

#[test]
fn a_snapshot_that_a_failover_breaks_off_goes_on_unless_the_new_server_lacks_what_was_read() {
    let pair = Pair::new(18);
    pair.db.sql(
        "create table b (id int primary key, pad text); alter publication p set table b; \
         insert into b select g, repeat('x', 1000) from generate_series(1, 1500) g",
    );
    let slots = ["s", "r"].map(|slot| pair.db.slot(slot));
    for slot in &slots {
        let make = format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput', failover => true)");
        pair.db.sql(&make);
    }
    let ready = "select 1 from pg_replication_slots where synced and not temporary";
    wait_for("the slots on the standby", WAIT, || {
        for slot in &slots {
            pair.db.sql(&format!(
                "select pg_log_standby_snapshot(), pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"
            ));
        }
        (pair.standby.sql("postgres", ready).len() == 2).then_some(())
    });
    let [one, other] =
        slots.each_ref().map(|slot| pair.connector(&[("snapshot.mode", "initial"), ("slot.name", slot)]));
    let (read, offset) = first_rows(one.start(None));
    let (_, other_offset) = first_rows(other.start(None));
    pair.standby.wait_replayed(&pair.primary);
    pair.cut();
    // What is read from now on shows what the standby will never have.
    pair.db.sql("insert into b values (5000, 'lost')");
    let (_, other_offset) = first_rows(other.start(Some(&other_offset)));

    let db = pair.promote();
    let mut source = one.start(Some(&offset));
    let rest: Vec<i64> = source.read_snapshot().iter().map(|event| event.number("id")).collect();
    assert!([read, rest].concat().into_iter().eq(1..=1500), "not each row once");
    let mut again = other.start(Some(&other_offset));
    let all = again.read_snapshot().iter().map(|event| event.number("id")).collect::<Vec<_>>();
    assert!(all.into_iter().eq(1..=1500), "not all of the new server");
    db.sql("insert into b values (6000, 'new')");
    assert_eq!((source.take(1)[0].number("id"), again.take(1)[0].number("id")), (6000, 6000));
}

const SIGNAL_TABLE: &str = "create table signal (id varchar(64) primary key, type varchar(32), data varchar(2048))";

/// A pair with a table `b` of rows that are read by signals.
fn signalled(major: u32, rows: u32) -> Pair {
    let pair = Pair::new(major);
    pair.db.sql(SIGNAL_TABLE);
    pair.db.sql(&format!(
        "create table b (id int primary key, v int, pad text); alter publication p add table b, signal; \
         insert into b select g, 0, repeat('x', 1000) from generate_series(1, {rows}) g"
    ));
    pair
}

const SIGNALS: [(&str, &str); 2] = [("slot.failover", "true"), ("signal.data.collection", "public.signal")];

fn ask_for(db: &TempDatabase, kind: &str) {
    let data = format!(r#"{{"type": "{kind}", "data-collections": ["public.b"]}}"#);
    db.sql(&format!("insert into signal values (gen_random_uuid(), 'execute-snapshot', '{data}')"));
}

fn reads(events: &[Event]) -> Vec<(i64, i64)> {
    events.iter().filter(|e| e.op == 'r').map(|e| (e.number("id"), e.number("v"))).collect()
}

/// Keys and values, as a consumer has them.
fn fold_b(events: &[Event]) -> BTreeMap<i64, i64> {
    events.iter().filter(|e| e.table == "public.b").map(|e| (e.number("id"), e.number("v"))).collect()
}

fn table_b(db: &TempDatabase) -> BTreeMap<i64, i64> {
    let number = |value: &Option<String>| value.as_deref().and_then(|v| v.parse().ok()).expect("a number");
    db.sql("select id, v from b").iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

#[test]
fn incremental_snapshots_with_a_window_open_go_on_behind_their_last_row_at_the_promoted_server() {
    const ROWS: usize = 300;
    let pair = signalled(17, ROWS as u32);
    let options = [&SIGNALS[..], &[("incremental.snapshot.chunk.size", "20")]].concat();
    let marks = pair.connector(&options);
    let mut read_only = pair.connector(&[&options[..], &[("read.only", "true")]].concat());
    read_only.set("slot.name", &pair.db.slot("r"));
    let all = [&marks, &read_only];
    let mut sources = all.map(|connector| connector.streaming(None));
    for (source, slot) in sources.iter_mut().zip(["s", "r"]) {
        pair.wait_slot_synced(source, slot);
    }
    set(&pair.primary, &format!("synchronized_standby_slots = '{STANDBY}'"));
    ask_for(&pair.db, "incremental");
    // What has been sent, as exactly once has it, and the offset after it.
    let mut sent = [Vec::new(), Vec::new()];
    let mut stored = [None, None];
    for ((source, sent), stored) in sources.iter_mut().zip(&mut sent).zip(&mut stored) {
        let mut pending = Vec::new();
        source.until("some chunks", |step| {
            pending.extend(step.events.iter().cloned());
            if step.offset.is_some() {
                sent.append(&mut pending);
                stored.clone_from(&step.offset);
            }
            reads(sent).len() >= 60 && pending.is_empty()
        });
    }
    pair.cut();
    // Seen by the chunks that are read now, and lost: their windows never close.
    pair.db.sql("update b set v = -1");
    for ((source, sent), stored) in sources.iter_mut().zip(&mut sent).zip(&mut stored) {
        let mut pending = Vec::new();
        wait_for("the reason", WAIT, || {
            if let Some(step) = source.poll(Duration::from_millis(50)).expect("no error") {
                pending.extend(step.events);
                if step.offset.is_some() {
                    sent.append(&mut pending);
                    *stored = step.offset;
                }
            }
            heard(&source.heard, "no standby is connected by standby1").then_some(())
        });
        assert!(!sent.iter().any(|e| e.get("v") == Some("-1")), "a row was sent that the standby lacks");
        assert!(reads(sent).len() < ROWS, "nothing is left to read");
    }
    for source in sources {
        source.close();
    }

    let db = pair.promote();
    db.sql("update b set v = 1 where id % 3 = 0");
    for ((connector, mut events), stored) in all.into_iter().zip(sent).zip(stored) {
        let before = reads(&events).len();
        let mut source = connector.streaming(stored.as_ref());
        source.until("the end of the snapshot", |step| {
            events.extend(step.events.iter().cloned());
            step.offset.as_ref().is_some_and(|o| !o.contains_key("incremental_snapshot_collections"))
                && reads(&events).len() > before
        });
        db.sql("update b set v = v + 1 where id = 1");
        events.extend(source.events_until("the last change", |e| e.get("id") == Some("1") && e.op == 'u'));
        let read: Vec<i64> = reads(&events).into_iter().map(|(id, _)| id).collect();
        assert!(read.iter().zip(&read[1..]).all(|(one, next)| one < next), "not each row once: {read:?}");
        assert_eq!(fold_b(&events), table_b(&db));
        assert_eq!(fold_b(&events).len(), ROWS);
    }
}

#[test]
fn a_blocking_snapshot_is_read_again_at_the_promoted_server_which_has_all_that_was_sent() {
    let pair = signalled(18, 1500);
    let connector = pair.connector(&SIGNALS);
    let mut source = connector.streaming(None);
    pair.wait_slot_synced(&mut source, "s");
    set(&pair.primary, &format!("synchronized_standby_slots = '{STANDBY}'"));
    ask_for(&pair.db, "blocking");
    source.events_until("the signal", |e| e.table == "public.signal");
    // The standby does not have what the snapshot will see.
    let upstream = pair.standby.value("postgres", "show primary_conninfo");
    pair.cut();
    pair.db.sql("update b set v = 1");
    wait_for("the reason", WAIT, || {
        source.quiet_for(Duration::from_millis(50));
        heard(&source.heard, "not sent before standbys have the log up to").then_some(())
    });
    set(&pair.standby, &format!("primary_conninfo = '{upstream}'"));
    let mut events = Vec::new();
    source.until("rows", |step| {
        events.extend(step.events.iter().cloned());
        !reads(&events).is_empty()
    });
    assert!(reads(&events).iter().all(|(_, v)| *v == 1));
    let stored = source.offset.clone().expect("an offset");
    let db = pair.promote();
    let end = Instant::now() + WAIT;
    // What it had read already may still come; nobody stores it.
    while source.poll(Duration::from_millis(50)).is_ok() {
        assert!(Instant::now() < end, "it does not notice");
    }
    source.close();
    let mut source = connector.streaming(Some(&stored));
    let mut events = source.read_snapshot();
    assert_eq!(reads(&events), (1..=1500).map(|id| (id, 1)).collect::<Vec<_>>());
    db.sql("update b set v = 2 where id = 1");
    events.extend(source.events_until("the last change", |e| e.get("v") == Some("2")));
    assert_eq!(fold_b(&events), table_b(&db));
}

#[test]
fn an_initial_snapshot_sends_nothing_that_a_standby_lacks_which_may_be_promoted() {
    let pair = Pair::new(18);
    set(&pair.primary, &format!("synchronized_standby_slots = '{STANDBY}'"));
    let upstream = pair.standby.value("postgres", "show primary_conninfo");
    pair.cut();
    insert(&pair.db, 1);
    let mut source = pair.connector(&[("slot.failover", "true"), ("snapshot.mode", "initial")]).start(None);
    wait_for("the reason", WAIT, || {
        source.quiet_for(Duration::from_millis(50));
        heard(&source.heard, "of the snapshot are not sent before standbys have the log up to").then_some(())
    });
    set(&pair.standby, &format!("primary_conninfo = '{upstream}'"));
    assert_eq!(source.read_snapshot().len(), 1);
    assert_eq!(pair.standby.value(pair.db.name(), "select count(*) from t"), "1");
}

#[test]
fn a_promoted_server_that_lacks_what_a_blocking_snapshot_read_is_told() {
    let pair = signalled(18, 3);
    let connector = pair.connector(&SIGNALS);
    let mut source = connector.streaming(None);
    pair.wait_slot_synced(&mut source, "s");
    ask_for(&pair.db, "blocking");
    source.events_until("the signal", |e| e.table == "public.signal");
    pair.standby.wait_replayed(&pair.primary);
    pair.cut();
    pair.db.sql("insert into b values (4, 4)");
    let events = source.read_snapshot();
    assert_eq!(reads(&events).len(), 4);
    let stored = source.close().expect("an offset");
    let db = pair.promote();
    insert(&db, 1);
    stops(&connector.refusal(Some(&stored)), &["left timeline 1 at", "events were sent up to"]);
}
