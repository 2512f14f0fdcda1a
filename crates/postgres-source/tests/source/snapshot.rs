//! A snapshot and the stream after it, while others write: together exactly the table, each version once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use walspring_testkit::{TempDatabase, postgres, wait_for};

use crate::support::{Connector, Event, Source, confirmed, fold, number};

/// Sessions that commit all the time: row `id` goes through versions 1, 2, 3, …
struct Writers {
    stop: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(db: &TempDatabase, tables: &'static [&'static str]) -> Writers {
        let (stop, commits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..3u64)
            .map(|writer| {
                let (mut session, stop, commits) = (db.connect(), stop.clone(), commits.clone());
                std::thread::spawn(move || {
                    let mut n = 0u64;
                    while !stop.load(Ordering::Acquire) {
                        n += 1;
                        // Each writer has rows of its own, so that none waits for another.
                        let old = writer + 3 * (n % 40);
                        let new = 1_000_000 + 3 * n + writer;
                        let sql: String = tables
                            .iter()
                            .map(|t| {
                                format!(
                                    "update {t} set version = version + 1 where id = {old}; \
                                     insert into {t} values ({new}, 1, repeat('n', 50)); "
                                )
                            })
                            .collect();
                        session.batch_execute(&format!("begin; {sql} commit")).expect("a commit");
                        commits.fetch_add(1, Ordering::Release);
                    }
                })
            })
            .collect();
        let writers = Writers { stop, commits, threads };
        writers.more(20);
        writers
    }

    /// Waits until so many more have committed.
    fn more(&self, count: u64) {
        let end = self.commits.load(Ordering::Acquire) + count;
        wait_for("commits", Duration::from_secs(30), || (self.commits.load(Ordering::Acquire) >= end).then_some(()));
    }

    fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.threads.into_iter().for_each(|t| t.join().expect("a writer"));
    }
}

fn tables(db: &TempDatabase, names: &[&str], rows: u64) {
    for t in names {
        db.sql(&format!(
            "create table {t} (id bigint primary key, version bigint, pad text); \
             insert into {t} select g, 1, repeat('x', 200) from generate_series(0, {rows} - 1) g"
        ));
    }
}

/// No version is missing and none comes twice; what came folds to what the tables hold.
#[track_caller]
fn check(db: &TempDatabase, names: &[&str], events: &[Event]) {
    let mut newest: BTreeMap<(String, i64), i64> = BTreeMap::new();
    let mut streaming = false;
    for e in events.iter().filter(|e| e.op != 'm' && e.number("id") >= 0) {
        let before = newest.insert((e.table.clone(), e.number("id")), e.number("version"));
        streaming |= e.op != 'r';
        match (e.op, before) {
            ('r', None) => assert!(!streaming, "a row of the snapshot after the stream began: {e:?}"),
            ('c', None) => assert_eq!(e.number("version"), 1, "{e:?}"),
            ('u', Some(before)) => assert_eq!(e.number("version"), before + 1, "after {before}: {e:?}"),
            (_, before) => panic!("after {before:?}: {e:?}"),
        }
    }
    let mut folded = BTreeMap::new();
    fold(events, &mut folded);
    for t in names {
        let prefix = format!("public.{t} ");
        let mut have: Vec<_> = folded.iter().filter(|(k, _)| k.starts_with(&prefix)).map(|(_, v)| v.clone()).collect();
        let mut want = db.sql(&format!("select id, version, pad from {t}"));
        have.sort();
        want.sort();
        assert!(have == want, "{t}: {} rows instead of {}", have.len(), want.len());
    }
}

/// Reads on while the writers write, then until their end is there.
fn read_on(db: &TempDatabase, writers: Writers, source: &mut Source, last: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..10 {
        if let Some(step) = source.poll(Duration::from_millis(50)).expect("no error") {
            events.extend(step.events);
        }
    }
    writers.end();
    db.sql(&format!("insert into {last} values (-1, 1, 'end')"));
    events.extend(source.events_until("the last row", |e| e.number("id") == -1));
    events
}

fn slot_of_a_dba(db: &TempDatabase) {
    db.sql(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')", db.slot("s")));
}

fn existing_slot(major: u32, mode: &str, threads: &str) {
    let db = postgres(major).database();
    tables(&db, &["a", "b"], 3000);
    slot_of_a_dba(&db);
    let writers = Writers::start(&db, &["a", "b"]);
    // Of a snapshot that goes on see `snapshot_resume`.
    let begins_again = ("walspring.snapshot.resume", "false");
    let options = [("snapshot.mode", mode), ("snapshot.max.threads", threads), begins_again];
    let connector = Connector::new(&db, &options);
    let connector = connector.limits(|l| l.range_pages = 8);
    // The first try ends in the middle of the snapshot.
    let mut crashed = connector.start(None);
    crashed.until("a row", |step| !step.events.is_empty());
    let in_snapshot = crashed.offset.clone();
    drop(crashed);
    writers.more(20);
    let slot = db.slot("s");
    let before = confirmed(&db, &slot);

    let mut source = connector.start(in_snapshot.as_ref());
    let mut events = source.read_snapshot();
    events.extend(read_on(&db, writers, &mut source, "a"));
    check(&db, &["a", "b"], &events);
    // Nothing was stored, so nothing is confirmed.
    assert_eq!(confirmed(&db, &slot), before);
    let temporary =
        db.server().sql("postgres", "select 1 from pg_replication_slots where slot_name ~ '^walspring_snap'");
    assert!(temporary.len() <= 1, "only a test beside this one may have one");
    source.close();
}

#[test]
fn with_a_slot_of_before_nothing_is_missing_and_nothing_twice_on_15() {
    existing_slot(15, "initial", "1");
    existing_slot(15, "always", "4");
}

#[test]
fn with_a_slot_of_before_nothing_is_missing_and_nothing_twice_on_18() {
    existing_slot(18, "always", "1");
    existing_slot(18, "initial", "4");
}

#[test]
fn after_a_snapshot_over_an_older_slot_a_restart_repeats_nothing_of_before() {
    let db = postgres(15).database();
    tables(&db, &["a"], 10);
    slot_of_a_dba(&db);
    // Published before the snapshot, and in it: the stream must not bring them, after a restart neither.
    db.sql("create publication p for table a");
    db.sql("update a set version = version + 1");
    let connector = Connector::new(&db, &[]).limits(|l| l.batch_changes = 1);
    let mut source = connector.start(None);
    assert_eq!(source.read_snapshot().len(), 10);
    let completed = source.offset.clone().expect("an offset");
    db.sql("insert into a values (100, 1, ''), (101, 1, '')");
    assert_eq!(source.take(1)[0].number("id"), 100);
    let inside = source.offset.clone().expect("an offset");
    drop(source);
    let mut source = connector.streaming(Some(&inside));
    assert_eq!(source.take(1)[0].number("id"), 101);
    source.quiet_for(Duration::from_millis(200));
    drop(source);
    let mut source = connector.streaming(Some(&completed));
    assert_eq!(source.take(1)[0].number("id"), 100);
    assert_eq!(source.take(1)[0].number("id"), 101);
    // The stored point is what the slot is confirmed to.
    source.stored(&completed);
    let point = number(&completed, "lsn").expect("the point");
    wait_for("the confirmation", Duration::from_secs(5), || (confirmed(&db, &db.slot("s")) == point).then_some(()));
}

fn new_slot(major: u32, threads: &str) {
    let db = postgres(major).database();
    tables(&db, &["a", "b", "c"], 4000);
    let writers = Writers::start(&db, &["a", "b", "c"]);
    let connector = Connector::new(&db, &[("snapshot.max.threads", threads)]).limits(|l| l.range_pages = 16);
    let mut source = connector.start(None);
    let mut events = source.read_snapshot();
    assert_eq!(events.iter().filter(|e| e.mark == "first").count(), 1);
    assert_eq!(events.last().map(|e| e.mark), Some("last"));
    events.extend(read_on(&db, writers, &mut source, "c"));
    check(&db, &["a", "b", "c"], &events);
}

#[test]
fn with_a_new_slot_nothing_is_missing_and_nothing_twice() {
    new_slot(15, "1");
    new_slot(15, "4");
    new_slot(18, "4");
}

#[test]
fn one_thread_reads_in_heap_order_and_tables_in_their_order() {
    let db = postgres(15).database();
    tables(&db, &["b", "a"], 3000);
    db.sql("update a set version = 2 where id % 7 = 0");
    let mut source = Connector::new(&db, &[("snapshot.mode", "initial_only")]).start(None);
    let events = source.read_snapshot();
    let have: Vec<(String, i64)> = events.iter().map(|e| (e.table.clone(), e.number("id"))).collect();
    let mut want = Vec::new();
    for t in ["a", "b"] {
        let rows = db.sql(&format!("select id from {t} order by ctid"));
        want.extend(rows.iter().map(|r| (format!("public.{t}"), r[0].as_deref().unwrap().parse::<i64>().unwrap())));
    }
    assert!(have == want);
    // It wants no slot, and says that it is finished.
    source.until("the end", |step| step.finished);
    assert!(db.sql(&format!("select 1 from pg_replication_slots where slot_name = '{}'", db.slot("s"))).is_empty());
}

#[test]
fn ranges_of_a_table_that_was_never_analyzed_cover_it() {
    let db = postgres(15).database();
    db.sql("create table a (id bigint primary key, version bigint, pad text) with (autovacuum_enabled = off)");
    db.sql("insert into a select g, 1, repeat('x', 200) from generate_series(1, 5000) g");
    let options = [("snapshot.mode", "initial_only"), ("snapshot.max.threads", "3")];
    let mut source = Connector::new(&db, &options).limits(|l| l.range_pages = 3).start(None);
    let mut ids: Vec<i64> = source.read_snapshot().iter().map(|e| e.number("id")).collect();
    let sorted = ids.is_sorted();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=5000));
    assert!(!sorted, "it was read in ranges");
}

#[test]
fn a_partitioned_table_is_read_through_its_root() {
    let db = postgres(15).database();
    db.sql(
        "create table p (id bigint primary key, version bigint, pad text) partition by range (id); \
         create table p1 partition of p for values from (minvalue) to (100); \
         create table p2 partition of p for values from (100) to (maxvalue); \
         insert into p select g, 1, 'x' from generate_series(1, 300) g",
    );
    let options =
        [("table.include.list", "public.p"), ("publish.via.partition.root", "true"), ("snapshot.max.threads", "4")];
    let mut source = Connector::new(&db, &options).limits(|l| l.range_pages = 1).start(None);
    let writers = Writers::start(&db, &["p"]);
    let mut events = source.read_snapshot();
    events.extend(read_on(&db, writers, &mut source, "p"));
    check(&db, &["p"], &events);
    assert!(events.iter().all(|e| e.table == "public.p"));
}

#[test]
fn a_table_made_while_the_slot_waits_is_not_lost() {
    let db = postgres(15).database();
    tables(&db, &["a"], 5);
    let mut old = db.connect();
    old.batch_execute("begin; insert into a values (50, 1, '')").unwrap();
    let options = [("publication.autocreate.mode", "all_tables")];
    let connector = Connector::new(&db, &options);
    let mut source = connector.start(None);
    let reading = std::thread::spawn(move || {
        let events = source.read_snapshot();
        (source, events)
    });
    wait_for("the slot", Duration::from_secs(10), || {
        let waits =
            "select 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%' and wait_event_type = 'Lock'";
        (!db.server().sql("postgres", waits).is_empty()).then_some(())
    });
    tables(&db, &["made_meanwhile"], 3);
    old.batch_execute("commit").unwrap();
    let (_source, events) = reading.join().expect("the snapshot");
    assert_eq!(events.iter().filter(|e| e.table == "public.made_meanwhile").count(), 3);
    assert_eq!(events.iter().filter(|e| e.table == "public.a").count(), 6);
}
