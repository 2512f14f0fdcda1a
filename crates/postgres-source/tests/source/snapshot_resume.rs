//! Snapshots that go on after a restart: what must not be read again, lost, or left older than the table.


use walspring_record::SourceOffset;
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Event, Source, Step};

/// A snapshot batch holds 256 rows or so of these.
const PAD: &str = "repeat('x', 1000)";

fn is_complete(offset: &SourceOffset) -> bool {
    offset.get("snapshot_completed") == Some(&true.into())
}

fn says_how_far(offset: &SourceOffset) -> bool {
    offset.contains_key("walspring_snapshot")
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
        db.sql(&format!(
            "grant select on all tables in schema public to {role}; select pg_drop_replication_slot(slot_name) \
             from pg_replication_slots where slot_name = '{}'",
            db.slot("s")
        ));
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
            oid += distance.as_u64().unwrap();
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
