//! Snapshots that go on after a restart: what must not be read again, lost, or left older than the table.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use walspring_record::SourceOffset;
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Event, Random, Source, Step, UnseenCommit, server_without_its_standby};

/// A snapshot batch holds 256 rows or so of these.
const PAD: &str = "repeat('x', 1000)";

fn is_complete(offset: &SourceOffset) -> bool {
    offset.get("snapshot_completed") == Some(&true.into())
}

fn says_how_far(offset: &SourceOffset) -> bool {
    offset.contains_key("walspring_snapshot")
}

/// As soon as its walsender has gone.
fn drop_slot(db: &TempDatabase) {
    let sql = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{}'",
        db.slot("s")
    );
    walspring_testkit::wait_for("the slot", Duration::from_secs(60), || db.try_sql(&sql).ok());
}

/// Events and the newest offset up to where `enough` holds; then it is killed.
fn cut(source: Source, enough: impl Fn(&[Event], &Step) -> bool) -> (Vec<Event>, SourceOffset) {
    let (mut source, mut events, mut offset) = (source, Vec::new(), None);
    source.until("the cut", |step| {
        events.extend(step.events.iter().cloned());
        offset = step.offset.clone().or(offset.take());
        step.offset.is_some() && enough(&events, step)
    });
    (events, offset.expect("an offset"))
}

fn reads<'a>(events: &'a [Event], table: &str) -> Vec<&'a Event> {
    let name = format!("public.{table}");
    events.iter().filter(|e| e.op == 'r' && e.table == name).collect()
}

fn ids(events: &[Event], table: &str) -> Vec<i64> {
    reads(events, table).iter().map(|e| e.number("id")).collect()
}

fn table(db: &TempDatabase, name: &str, rows: u64) {
    db.sql(&format!(
        "create table {name} (id int primary key, v int, pad text); insert into {name} select g, 0, {PAD} from \
         generate_series(1, {rows}) g"
    ));
}

/// As exactly once has it: what stands in an offset has been sent, and nothing else.
fn goes_on_after_each_batch(major: u32, threads: &str) {
    let db = postgres(major).database();
    table(&db, "a", 10);
    table(&db, "b", 2000);
    table(&db, "c", 600);
    db.sql("create table empty (id int primary key)");
    let role = format!("{}_role", db.name());
    db.sql(&format!("create role {role} login replication in role pg_monitor; create publication p for all tables"));
    let mut connector = Connector::new(&db, &[("snapshot.max.threads", threads)]).limits(|l| l.range_pages = 32);
    connector.set("publication.autocreate.mode", "disabled");
    connector.set("database.user", &role);
    let mut cuts = 1;
    loop {
        db.sql(&format!("grant select on all tables in schema public to {role}"));
        drop_slot(&db);
        let batches = std::cell::Cell::new(0);
        let (mut events, offset) = cut(connector.start(None), |_, _| {
            batches.set(batches.get() + 1);
            batches.get() >= cuts
        });
        let complete = is_complete(&offset);
        assert_eq!(says_how_far(&offset), !complete, "{offset:?}");
        if complete {
            break;
        }
        // What has been read whole may not be read any more.
        let progress: serde_json::Value = serde_json::from_str(offset["walspring_snapshot"].as_str().unwrap()).unwrap();
        let mut oid = 0;
        for distance in progress["done"].as_array().unwrap() {
            oid += distance.as_i64().unwrap();
            let name = db.value(&format!("select {oid}::regclass"));
            db.sql(&format!("revoke select on {name} from {role}"));
        }
        let mut source = connector.start(Some(&offset));
        let rest = source.read_snapshot();
        assert!(!says_how_far(source.offset.as_ref().unwrap()), "the last offset is as without a restart");
        events.extend(rest);
        for (name, rows) in [("a", 10), ("b", 2000), ("c", 600)] {
            let mut have = ids(&events, name);
            have.sort_unstable();
            assert!(have.iter().copied().eq(1..=rows), "{name}, cut {cuts}: {} rows", have.len());
        }
        db.sql("insert into a values (0, 0, '')");
        assert_eq!(source.take(1)[0].short(), "public.a c 0,0,");
        db.sql("delete from a where id = 0");
        source.take(1);
        source.close();
        cuts += 1;
    }
    assert!(cuts > 8, "{cuts}");
    db.sql(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn stopped_after_any_batch_it_goes_on_behind_it_and_touches_no_table_that_is_read() {
    goes_on_after_each_batch(15, "1");
}

#[test]
fn stopped_after_any_batch_of_several_readers_it_goes_on_behind_it() {
    goes_on_after_each_batch(18, "3");
}

/// At least once, offsets are stored behind the rows.
#[test]
fn behind_a_late_offset_only_what_was_not_stored_comes_again() {
    let db = postgres(15).database();
    table(&db, "a", 1200);
    table(&db, "b", 1200);
    let connector = Connector::new(&db, &[("snapshot.max.threads", "2")]).limits(|l| l.range_pages = 64);
    let mut source = connector.start(None);
    let (mut sent, mut steps) = (Vec::new(), Vec::new());
    source.until("six batches", |step| {
        sent.extend(step.events.iter().map(|e| (e.table.clone(), e.number("id"))));
        steps.extend(step.offset.clone().map(|offset| (sent.len(), offset)));
        steps.len() == 6
    });
    source.close();
    let (stored, offset) = &steps[3];
    let mut source = connector.start(Some(offset));
    let again: Vec<_> = source.read_snapshot().iter().map(|e| (e.table.clone(), e.number("id"))).collect();
    source.close();
    let twice = sent.iter().filter(|row| again.contains(row)).count();
    assert_eq!((twice, stored + again.len()), (sent.len() - stored, 2400));
}

#[test]
fn whoever_asks_hears_how_far_it_is() {
    let db = postgres(15).database();
    for name in ["a", "b", "c"] {
        table(&db, name, 600);
    }
    db.sql("analyze a; analyze b");
    let connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    assert!(source.signals.snapshot().is_null());
    source.until("half of b", |step| step.events.iter().any(|e| e.table == "public.b"));
    let told = source.signals.snapshot();
    let states = |told: &serde_json::Value| {
        let of =
            |t: &serde_json::Value| format!("{} {} {}", t["table"], t["state"], t["rows_estimated"]).replace('"', "");
        told["tables"].as_array().expect("tables").iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!((&told["type"], &told["goes_on"]), (&"initial".into(), &false.into()));
    let told_states = states(&told);
    assert_eq!(told_states[..2], ["public.a READ 600", "public.b READING 600"], "{told}");
    assert_eq!(told_states[2], "public.c WAITING null");
    assert!(
        told["rows_read"].as_u64() > Some(600) && told["rows_estimated"].is_null() && told["eta_seconds"].is_null()
    );
    assert_eq!((&told["chunks_done"], &told["chunks"]), (&1.into(), &3.into()));
    let offset = source.close().expect("an offset");
    db.sql("analyze c");
    let mut source = connector.start(Some(&offset));
    source.until("a row", |step| !step.events.is_empty());
    let told = source.signals.snapshot();
    assert_eq!(states(&told).last().map(String::as_str), Some("public.a READ_BEFORE null"), "{told}");
    assert!(told["goes_on"] == true && told["rows_estimated"].as_u64() < Some(1200), "{told}");
    assert!(told["eta_seconds"].as_f64().is_some() && told["rows_per_second"].as_u64() > Some(0), "{told}");
    source.read_snapshot();
    assert!(source.signals.snapshot().is_null());
    source.close();
}

/// What a reader of the topics has: `None` for a value that was left out and never came.
#[derive(Default)]
struct Folded {
    rows: BTreeMap<(String, i64), Vec<Option<String>>>,
}

impl Folded {
    fn apply(&mut self, events: &[Event]) {
        for e in events {
            let key = (e.table.clone(), e.number("id"));
            if e.op == 'd' {
                self.rows.remove(&key);
                continue;
            }
            if e.op == 'u' && key.1 > 100_000 {
                // Its key has changed; the former one is told by how it has.
                self.rows.remove(&(e.table.clone(), key.1 - 100_000));
            }
            let before = self.rows.get(&key);
            // Columns are NOT NULL: what is missing has not changed.
            let value = |(n, (_, value)): (usize, &(String, Option<String>))| {
                value.clone().or_else(|| before.and_then(|row| row[n].clone()))
            };
            let row = e.row.iter().enumerate().map(value).collect();
            self.rows.insert(key, row);
        }
    }

    #[track_caller]
    fn is(&self, db: &TempDatabase, tables: &[&str], what: &str) {
        for table in tables {
            let rows = db.sql(&format!("select * from {table}"));
            let id = |row: &[Option<String>]| row[0].as_deref().and_then(|id| id.parse::<i64>().ok()).expect("an id");
            let want: BTreeMap<i64, Vec<Option<String>>> = rows.into_iter().map(|row| (id(&row), row)).collect();
            let name = format!("public.{table}");
            let have = self.rows.iter().filter(|((of, _), _)| *of == name).map(|((_, id), row)| (*id, row.clone()));
            let have: BTreeMap<i64, Vec<Option<String>>> = have.collect();
            let short = |row: Option<&Vec<Option<String>>>| {
                let cut = |v: &Option<String>| v.as_ref().map(|v| v.chars().take(12).collect::<String>());
                row.map(|row| row.iter().map(cut).collect::<Vec<_>>())
            };
            for id in want.keys().chain(have.keys()) {
                let (have, want) = (have.get(id), want.get(id));
                assert!(have == want, "{what}: {table} {id}: {:?} instead of {:?}", short(have), short(want));
            }
        }
    }
}

/// A value that stands outside of its row.
const LARGE: &str = "(select string_agg(md5(random()::text), '') from generate_series(1, 120))";

fn change(random: &mut Random) -> String {
    let table = ["a", "b"][random.below(2) as usize];
    let id = 1 + random.below(1300);
    let n = random.below(1_000_000);
    match random.below(8) {
        0 => format!("delete from {table} where id = {id}"),
        1 => format!(
            "update {table} set id = id + 100000, big = {LARGE} where id = {id} and not exists (select from {table} where id = {id} + 100000)"
        ),
        2 => format!(
            "insert into {table} values ({}, {n}, {PAD}, {LARGE}) on conflict do nothing",
            2000 + random.below(500)
        ),
        3 => format!("update {table} set big = {LARGE} where id = {id}"),
        4 => format!("vacuum {table}"),
        // Rows move, and their large values stay.
        _ => format!("update {table} set v = {n} where id between {id} and {id} + 6"),
    }
}

/// Kills of one snapshot. What has changed is looked for anew each time, so that it has to be let go on at last.
const KILLS: usize = 8;

/// Killed again and again, also behind offsets that were stored late, while others write.
fn changes_fold_to_the_tables(major: u32, threads: &str, seed: u64) {
    let db = postgres(major).database();
    for table in ["a", "b"] {
        db.sql(&format!(
            "create table {table} (id int primary key, v int not null, pad text not null, big text not null); \
             alter table {table} alter big set storage external; \
             insert into {table} select g, 0, {PAD}, {LARGE} || g from generate_series(1, 1200) g"
        ));
    }
    let connector = Connector::new(&db, &[("snapshot.max.threads", threads)]).limits(|l| l.range_pages = 64);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, mut session, mut random) = (stop.clone(), db.connect(), Random::new(seed));
        move || {
            while !stop.load(Ordering::Acquire) {
                session.batch_execute(&change(&mut random)).expect("a change");
            }
        }
    });
    let (mut folded, mut offset, mut random, mut kills) =
        (Folded::default(), None::<SourceOffset>, Random::new(seed + 1), 0);
    loop {
        let mut source = connector.start(offset.as_ref());
        let steps = std::cell::Cell::new(2 + random.below(4) as i64);
        let mut late = offset.clone();
        let stores_late = random.below(2) == 0;
        let mut complete = false;
        source.until("the cut", |step| {
            folded.apply(&step.events);
            if let Some(new) = &step.offset {
                if !stores_late || steps.get() > 1 {
                    late = Some(new.clone());
                }
                complete |= is_complete(new);
                steps.set(steps.get() - 1);
            }
            complete || (steps.get() <= 0 && kills < KILLS)
        });
        if !complete {
            offset = late;
            kills += 1;
            continue;
        }
        stop.store(true, Ordering::Release);
        writer.join().expect("the writer");
        db.sql("insert into a values (0, 0, '', '')");
        folded.apply(&source.events_until("the last row", |e| e.number("id") == 0));
        source.close();
        break;
    }
    folded.is(&db, &["a", "b"], &format!("version {major}, seed {seed}, {kills} kills"));
    assert!(kills > 3, "{kills} kills");
}

#[test]
fn changes_before_and_beside_it_fold_to_the_tables_on_15() {
    changes_fold_to_the_tables(15, "1", 1);
    changes_fold_to_the_tables(15, "3", 2);
}

#[test]
fn changes_before_and_beside_it_fold_to_the_tables_on_18() {
    changes_fold_to_the_tables(18, "1", 3);
}

/// A row that an UPDATE moves to where all has been sent, and whose large value the stream leaves out.
#[test]
fn a_large_value_of_a_row_that_was_moved_is_not_lost() {
    let db = postgres(15).database();
    db.sql(&format!(
        "create table a (id int primary key, v int not null, pad text not null, big text not null) \
         with (autovacuum_enabled = off); alter table a alter big set storage external; \
         insert into a select g, 0, {PAD}, repeat('y', 3000) || g from generate_series(1, 1200) g"
    ));
    let connector = Connector::new(&db, &[]);
    let (events, offset) = cut(connector.start(None), |events, _| events.len() > 300);
    let sent = events.len();
    // There is room at the table's beginning now.
    db.sql("delete from a where id <= 100");
    db.sql("vacuum a");
    db.sql("update a set v = 1 where id = 1000");
    let page =
        |row: &str| db.value(&format!("select split_part(trim('()' from ctid::text), ',', 1)::int from a where {row}"));
    let (moved, border) =
        (page("id = 1000").parse::<u32>().unwrap(), page(&format!("id = {sent}")).parse::<u32>().unwrap());
    assert!(moved < border, "it was not moved: page {moved} of {border}");
    let mut folded = Folded::default();
    folded.apply(&events);
    let mut source = connector.start(Some(&offset));
    let rest = source.read_snapshot();
    assert!(
        rest.iter().any(|e| e.op == 'u' && e.number("id") == 1000 && e.get("big").is_none()),
        "a value is left out"
    );
    // What is left, and the row that was moved.
    let read = ids(&rest, "a");
    assert_eq!(read.len(), 1200 - sent, "{:?}", read.iter().filter(|id| **id <= sent as i64).collect::<Vec<_>>());
    folded.apply(&rest);
    folded.is(&db, &["a"], "after the restart");
    source.close();
}

/// Rows of a table without a key cannot be told apart: it is read again, alone, and once.
#[test]
fn a_table_without_a_key_is_read_again_alone_and_its_changes_of_before_do_not_come_twice() {
    let db = postgres(15).database();
    table(&db, "a", 600);
    db.sql(&format!(
        "create table b (id int, v int, pad text); insert into b select g, 0, {PAD} from generate_series(1, 900) g"
    ));
    table(&db, "c", 10);
    let connector = Connector::new(&db, &[]).limits(|l| l.batch_changes = 1);
    let (first, offset) = cut(connector.start(None), |events, _| reads(events, "b").len() > 300);
    db.sql(&format!(
        "insert into b values (1001, 1, ''); update a set v = 1 where id = 1; begin; insert into b select g, 2, {PAD} \
         from generate_series(1002, 1010) g; insert into c values (11, 0, ''); commit"
    ));
    let mut source = connector.start(Some(&offset));
    let second = source.read_snapshot();
    let completed = source.offset.clone().expect("an offset");
    db.sql("insert into b values (1999, 3, '')");
    db.sql("insert into b values (2000, 3, '')");
    let streamed = source.events_until("the last row", |e| e.number("id") == 2000);
    source.close();
    assert_eq!(ids(&first, "a").len() + ids(&second, "a").len(), 600);
    assert!(ids(&second, "b").into_iter().eq((1..=900).chain(1001..=1010)), "{:?}", ids(&second, "b"));
    let changes = |events: &[Event]| {
        let changes = events.iter().filter(|e| e.op != 'r');
        changes.map(|e| format!("{} {} {}", e.table, e.op, e.number("id"))).collect::<Vec<_>>()
    };
    assert_eq!(changes(&second), ["public.a u 1", "public.c c 11"]);
    assert_eq!(changes(&streamed), ["public.b c 1999", "public.b c 2000"]);
    assert!(!says_how_far(&completed), "{completed:?}");
    let mut source = connector.streaming(Some(&completed));
    assert_eq!(source.events_until("the last row", |e| e.number("id") == 2000), streamed);
    source.close();
}

/// The stream comes to a later point first, and says on its way how far the snapshot is: killed at any event of it, the next
/// start goes on with the next.
#[test]
fn killed_on_its_way_to_the_point_it_goes_on_with_the_next_event() {
    for major in [15, 18] {
        let db = postgres(major).database();
        table(&db, "a", 900);
        db.sql("create table b (id int, v int, pad text)");
        let options = [("provide.transaction.metadata", "true")];
        let connector = Connector::new(&db, &options).limits(|l| l.batch_changes = 1);
        let (first, start) = cut(connector.start(None), |events, _| reads(events, "a").len() > 300);
        db.sql("update a set v = v + 1 where id in (1, 2, 900)");
        let mut sessions = [db.connect(), db.connect()];
        for (n, session) in sessions.iter_mut().enumerate() {
            session
                .batch_execute(&format!("begin; insert into a select g, 7, '' from generate_series(1{n}01, 1{n}03) g"))
                .expect("changes");
            session.batch_execute("insert into b values (1, 1, '')").expect("changes");
        }
        db.sql("delete from a where id = 899");
        for session in sessions.iter_mut().rev() {
            session.batch_execute("insert into a values (5000 + pg_backend_pid(), 7, ''); commit").expect("changes");
        }
        let wanted = {
            let mut source = connector.start(Some(&start));
            let events = source.read_snapshot();
            source.close();
            events
        };
        let streamed = wanted.iter().take_while(|e| e.op != 'r').count();
        assert!(streamed >= 3 + 4 + 1 + 4, "{streamed} changes");
        let rows = |events: &[Event]| ids(events, "a").len();
        assert!(wanted[streamed..].iter().all(|e| e.op == 'r'), "rows come behind the changes");
        // Two of the rows that were sent have moved to where nothing had been.
        assert_eq!(rows(&first) + rows(&wanted), 900 - 1 + 8 + 2);
        let (mut events, mut offset, mut kills) = (Vec::new(), start, 0);
        let rest = loop {
            let (more, next) = cut(connector.start(Some(&offset)), |events, _| !events.is_empty());
            if more[0].op == 'r' {
                let mut source = connector.start(Some(&offset));
                let rest = source.read_snapshot();
                source.close();
                break rest;
            }
            assert!(says_how_far(&next) && next["snapshot"] == "INITIAL", "{next:?}");
            events.extend(more);
            (offset, kills) = (next, kills + 1);
        };
        let seen = |events: &[Event]| events.iter().map(Event::short).collect::<Vec<_>>();
        assert_eq!(seen(&events), seen(&wanted[..streamed]), "{kills} kills");
        assert!(kills > 10 && rest.iter().all(|e| e.op == 'r') && rows(&rest) == rows(&wanted), "{kills} kills");
    }
}

/// Killed again and again, while others write: what comes of a row is never older than what came of it before.
#[test]
fn a_rows_events_come_in_the_order_of_what_has_happened_to_it() {
    let db = postgres(15).database();
    for name in ["a", "b"] {
        table(&db, name, 1200);
    }
    let connector = Connector::new(&db, &[("snapshot.max.threads", "2")]).limits(|l| l.range_pages = 64);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, mut session, mut random) = (stop.clone(), db.connect(), Random::new(4));
        move || {
            while !stop.load(Ordering::Acquire) {
                let (table, from) = (["a", "b"][random.below(2) as usize], random.below(1200));
                let sql = format!("update {table} set v = v + 1 where id between {from} and {from} + 9");
                session.batch_execute(&sql).expect("a change");
            }
        }
    });
    let (mut newest, mut offset, mut random) = (BTreeMap::<(String, i64), i64>::new(), None, Random::new(5));
    let (mut kills, mut complete) = (0, false);
    while !complete {
        let mut source = connector.start(offset.as_ref());
        let mut steps = 1 + random.below(6);
        source.until("the cut", |step| {
            for e in &step.events {
                let (v, newest) = (e.number("v"), newest.entry((e.table.clone(), e.number("id"))).or_default());
                assert!(v >= *newest, "{} behind {newest}, after {kills} kills", e.short().split('x').next().unwrap());
                *newest = v;
            }
            if let Some(new) = &step.offset {
                offset = Some(new.clone());
                complete |= is_complete(new);
                steps = steps.saturating_sub(1);
            }
            complete || (steps == 0 && kills < 12)
        });
        kills += usize::from(!complete);
        source.close();
    }
    stop.store(true, Ordering::Release);
    writer.join().expect("the writer");
    assert!(kills > 5, "{kills} kills");
}

/// Neither side says a word of itself on a timer.
#[test]
fn what_the_server_has_said_once_is_enough_to_read_the_rest() {
    let db = postgres(15).database();
    table(&db, "a", 900);
    db.sql(&format!("alter database {} set wal_sender_timeout = 0", db.name()));
    let never = [("status.update.interval.ms", "86400000")];
    let connector = Connector::new(&db, &never).limits(|l| l.quiet_bytes = 0);
    let (first, offset) = cut(connector.start(None), |events, _| events.len() > 300);
    let mut source = connector.start(Some(&offset));
    assert_eq!(first.len() + source.read_snapshot().len(), 900);
    source.close();
}

#[test]
fn a_table_that_was_rewritten_is_read_again_alone() {
    for rewrite in [
        "vacuum full b",
        "alter table b alter v type bigint",
        "truncate b; insert into b select g, 7, '' from generate_series(1, 5) g",
    ] {
        let db = postgres(18).database();
        table(&db, "a", 20);
        table(&db, "b", 900);
        table(&db, "c", 20);
        let connector = Connector::new(&db, &[("skipped.operations", "none")]);
        let (first, offset) = cut(connector.start(None), |events, _| reads(events, "b").len() > 300);
        db.sql(rewrite);
        let mut source = connector.start(Some(&offset));
        let second = source.read_snapshot();
        source.close();
        let rows: usize = db.value("select count(*) from b").parse().unwrap();
        assert_eq!((ids(&first, "a").len(), ids(&second, "a").len()), (20, 0), "{rewrite}");
        assert_eq!((ids(&second, "b").len(), ids(&second, "c").len()), (rows, 20), "{rewrite}");
    }
}

/// To older snapshots such a table is empty, and the stream has nothing of what ALTER TABLE writes.
#[test]
fn a_table_that_is_rewritten_before_its_turn_comes_is_read_as_of_a_later_point() {
    for sql in ["alter table b alter v type bigint", "truncate b"] {
        let db = postgres(15).database();
        table(&db, "a", 4000);
        table(&db, "b", 300);
        let connector = Connector::new(&db, &[]);
        let mut source = connector.start(None);
        let (mut first, mut offset) = (Vec::new(), None);
        source.until("rows of a", |step| {
            first.extend(step.events.iter().cloned());
            offset = step.offset.clone().or(offset.take());
            !first.is_empty()
        });
        db.sql(sql);
        let end = Instant::now() + Duration::from_secs(30);
        let error = loop {
            assert!(Instant::now() < end, "no error came");
            match source.poll(Duration::from_millis(50)) {
                Ok(Some(step)) => {
                    first.extend(step.events);
                    offset = step.offset.or(offset);
                }
                Ok(None) => {}
                Err(e) => break e,
            }
        };
        source.close();
        assert!(error.is_transient() && error.message.contains("public.b was rewritten or truncated"), "{error:?}");
        let mut source = connector.start(offset.as_ref());
        let second = source.read_snapshot();
        source.close();
        let rows: usize = db.value("select count(*) from b").parse().expect("a count");
        assert_eq!((ids(&first, "a").len() + ids(&second, "a").len(), ids(&second, "b").len()), (4000, rows), "{sql}");
    }
}

#[test]
fn a_table_that_was_made_again_and_one_that_is_new_are_read() {
    let db = postgres(15).database();
    table(&db, "a", 20);
    table(&db, "b", 900);
    let connector = Connector::new(&db, &[]);
    let (_, offset) = cut(connector.start(None), |events, _| reads(events, "b").len() > 300);
    db.sql("drop table a");
    table(&db, "a", 30);
    table(&db, "d", 5);
    let mut source = connector.start(Some(&offset));
    let second = source.read_snapshot();
    source.close();
    assert_eq!((ids(&second, "a").len(), ids(&second, "d").len()), (30, 5));
    assert!(ids(&second, "b").len() < 600);
}

#[test]
fn where_the_slot_has_not_what_is_needed_it_begins_again() {
    let db = postgres(15).database();
    table(&db, "a", 600);
    let mut connector = Connector::new(&db, &[]);
    let slot = db.slot("s");
    let (_, offset) = cut(connector.start(None), |events, _| events.len() > 200);
    let rows = |connector: &Connector, offset: &SourceOffset| {
        let mut source = connector.start(Some(offset));
        let rows = source.read_snapshot().len();
        source.close();
        rows
    };
    assert!(rows(&connector, &offset) < 600);
    // Stored by the original, by another version, or without the setting.
    let mut of_another = offset.clone();
    of_another.remove("walspring_snapshot");
    assert_eq!(rows(&connector, &of_another), 600);
    of_another.insert("walspring_snapshot".into(), "{\"version\":3}".into());
    assert_eq!(rows(&connector, &of_another), 600);
    connector.set("walspring.snapshot.resume", "false");
    assert_eq!(rows(&connector, &offset), 600);
    connector.set("walspring.snapshot.resume", "true");
    db.sql("select pg_switch_wal()");
    let advance = format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())");
    walspring_testkit::wait_for("the slot", Duration::from_secs(60), || db.try_sql(&advance).ok());
    assert_eq!(rows(&connector, &offset), 600);
    drop_slot(&db);
    assert_eq!(rows(&connector, &offset), 600);
}

/// A commit is in the log, and would be in the stream, before a reader of tables sees it: the point as of which the rest is
/// read waits for it.
#[test]
fn a_commit_that_is_not_visible_yet_is_neither_missed_nor_overtaken() {
    let db = server_without_its_standby(15).database();
    table(&db, "a", 900);
    db.sql(&format!(
        "create table b (id int, v int, pad text); insert into b select g, 0, {PAD} from generate_series(1, 20) g"
    ));
    let connector = Connector::new(&db, &[]);
    let (first, offset) = cut(connector.start(None), |events, _| reads(events, "a").len() > 300);
    let sql = "begin; update a set v = 1; delete from a where id in (1, 900); insert into b values (21, 1, ''); commit";
    let unseen = UnseenCommit::start(&db, sql);
    assert_eq!(db.value("select max(v) from a"), "0", "the commit is visible already");
    let mut source = connector.start(Some(&offset));
    let reading = std::thread::spawn(move || {
        let rows = source.read_snapshot();
        (source, rows)
    });
    let waits =
        "select 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%' and wait_event_type = 'Lock'";
    walspring_testkit::wait_for("the point", Duration::from_secs(20), || (!db.sql(waits).is_empty()).then_some(()));
    unseen.show(&db);
    let (mut source, second) = reading.join().expect("the snapshot");
    assert!(reads(&second, "a").iter().all(|e| e.number("v") == 1), "rows of before the commit");
    let mut folded = Folded::default();
    folded.apply(&first);
    folded.apply(&second);
    db.sql("insert into a values (0, 0, '')");
    let streamed = source.events_until("the last row", |e| e.number("id") == 0);
    source.close();
    folded.apply(&streamed);
    folded.is(&db, &["a"], "after the commit");
    let of_b: Vec<i64> =
        second.iter().chain(&streamed).filter(|e| e.table == "public.b").map(|e| e.number("id")).collect();
    assert!(of_b.iter().copied().eq(1..=21), "{of_b:?}");
}
