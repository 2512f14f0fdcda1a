//! What is told of a snapshot, on its topic, and when. Fields and order are held by `conformance/cases/notification_*`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use walspring_record::Value;
use walspring_testkit::postgres;

use crate::support::{Connector, Source, number};

/// Kind and additional data.
type Told = (String, BTreeMap<String, String>);

const CHANNELS: [(&str, &str); 2] =
    [("notification.enabled.channels", "sink,log"), ("notification.sink.topic.name", "told")];

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

/// What the last poll told.
fn told(source: &Source) -> Vec<Told> {
    let notifications = source.records().iter().filter(|r| &*r.topic == "told");
    notifications
        .map(|record| {
            let Value::Struct(fields) = &record.value.value else { panic!("{record:?}") };
            let Value::Map(additional) = &fields[3] else { panic!("{record:?}") };
            (text(&fields[1]), additional.iter().map(|(k, v)| (text(k), text(v))).collect())
        })
        .collect()
}

/// `KIND table`
fn short((kind, additional): &Told) -> String {
    let table = additional.get("current_collection_in_progress").or_else(|| additional.get("scanned_collection"));
    table.map_or_else(|| kind.clone(), |table| format!("{kind} {table}"))
}

#[test]
fn a_snapshot_that_goes_on_tells_what_it_has_read_before() {
    let db = postgres(15).database();
    db.sql(
        "create table a (id int primary key); insert into a values (1); create table b (id int primary key, pad text)",
    );
    db.sql(
        "insert into b select i, repeat('x', 1000) from generate_series(1, 900) i; create table c (id int primary key)",
    );
    let connector = Connector::new(&db, &CHANNELS);
    let mut source = connector.start(None);
    source.until("a part of b", |step| step.offset.is_some() && step.events.iter().any(|e| e.table == "public.b"));
    let offset = source.close();
    let mut source = connector.start(offset.as_ref());
    let mut all = Vec::new();
    while !all.iter().any(|t: &Told| t.0 == "COMPLETED") {
        source.poll(Duration::from_millis(50)).expect("no error");
        all.extend(told(&source));
    }
    source.close();
    let shorts: Vec<String> = all.iter().map(short).collect();
    assert_eq!(shorts[..4], ["STARTED", "DATA_COLLECTIONS_RESOLVED", "RESUMED", "IN_PROGRESS public.b"]);
    let of = |name: &str| all[2].1.get(name).map(String::as_str);
    assert_eq!((of("tables_read_before"), of("tables_read_in_part")), (Some("1"), Some("1")));
    assert_eq!(of("data_collections"), Some("public.c,public.b"));
    assert!(!shorts.iter().any(|told| told.ends_with("public.a")), "{shorts:?}");
}

#[test]
fn readers_side_by_side_tell_of_each_table_and_of_the_end_with_its_offset() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key, filler text); create table b (id int primary key); create table e ()");
    db.sql("insert into a select i, repeat('x', 200) from generate_series(1, 20000) i; insert into b values (1), (2)");
    let mut connector = Connector::new(&db, &CHANNELS);
    connector.set("snapshot.max.threads", "3");
    let mut source = connector.limits(|l| l.range_pages = 50).start(None);
    let (mut all, mut completed_with_offset, mut rows) = (Vec::new(), false, 0);
    loop {
        let Some(step) = source.poll(Duration::from_millis(50)).expect("no error") else { continue };
        let now = told(&source);
        rows += step.events.iter().filter(|e| e.op == 'r').count();
        let end = step.offset.as_ref().is_some_and(|o| o.get("snapshot_completed") == Some(&true.into()));
        completed_with_offset |= end && now.iter().any(|t| t.0 == "COMPLETED");
        all.extend(now);
        if end {
            break;
        }
    }
    assert!(completed_with_offset, "{all:?}");
    assert_eq!(rows, 20_002);
    let shorts: Vec<String> = all.iter().map(short).collect();
    assert_eq!(shorts[..2], ["STARTED", "DATA_COLLECTIONS_RESOLVED"]);
    assert_eq!(all[1].1["data_collections"], "public.a,public.b,public.e");
    assert_eq!(shorts.last().map(String::as_str), Some("COMPLETED"));
    for (table, rows) in [("a", "20000"), ("b", "2"), ("e", "0")] {
        let at = |kind: &str| {
            let found: Vec<usize> = (0..all.len()).filter(|&i| shorts[i] == format!("{kind} public.{table}")).collect();
            assert_eq!(found.len(), 1, "{kind} of {table}: {shorts:?}");
            found[0]
        };
        let end = at("TABLE_SCAN_COMPLETED");
        assert!(at("IN_PROGRESS") < end, "{shorts:?}");
        assert_eq!(all[end].1["total_rows_scanned"], rows);
        assert_eq!(all[end].1["status"], "SUCCEEDED");
    }
    source.close();
}

#[test]
fn a_table_that_is_waited_for_is_told_while_it_is() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key); create table b (id int primary key); insert into a values (1)");
    let mut holder = db.connect();
    holder.batch_execute("begin; lock table b in access exclusive mode").expect("a lock");
    // A slot would wait for the transaction that holds the lock.
    let mut connector = Connector::new(&db, &CHANNELS);
    connector.set("snapshot.mode", "initial_only");
    let mut source = connector.start(None);
    let mut shorts: Vec<String> = Vec::new();
    let end = Instant::now() + Duration::from_secs(60);
    while shorts.last().is_none_or(|s| s != "IN_PROGRESS public.b") {
        source.poll(Duration::from_millis(50)).expect("no error");
        shorts.extend(told(&source).iter().map(short));
        assert!(Instant::now() < end, "{shorts:?}");
    }
    assert!(shorts.contains(&"TABLE_SCAN_COMPLETED public.a".to_owned()), "{shorts:?}");
    holder.batch_execute("commit").expect("the lock's end");
    source.read_snapshot();
    source.close();
}

#[test]
fn a_snapshot_that_cannot_be_started_is_told_before_the_error() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    let mut failing = Connector::new(&db, &CHANNELS);
    failing.set("snapshot.mode", "initial_only");
    failing.set("snapshot.locking.mode", "shared");
    failing.set("snapshot.lock.timeout.ms", "1");
    let mut holder = db.connect();
    holder.batch_execute("begin; lock table a in access exclusive mode").expect("a lock");
    let mut source = failing.start(None);
    let mut shorts: Vec<String> = Vec::new();
    let error = loop {
        match source.poll(Duration::from_millis(50)) {
            Ok(_) => shorts.extend(told(&source).iter().map(short)),
            Err(e) => break e,
        }
    };
    assert_eq!(shorts, ["STARTED", "DATA_COLLECTIONS_RESOLVED", "ABORTED"], "{}", error.trace());
    holder.batch_execute("commit").expect("the lock's end");
}

#[test]
fn nothing_is_told_unless_a_channel_is_enabled() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key); insert into a values (1)");
    let mut source = Connector::new(&db, &[("notification.sink.topic.name", "told")]).start(None);
    let events = source.read_snapshot();
    assert!(events.iter().all(|e| e.table == "public.a"), "{events:?}");
    source.close();
}

#[test]
fn xmin_is_the_slots_and_in_the_offset() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    let offset_after = |options: &[(&str, &str)], id: i32| {
        let mut connector = Connector::new(&db, options);
        connector.set("snapshot.mode", "no_data");
        connector.set("slot.name", &db.slot(&format!("s{id}")));
        let mut source = connector.streaming(None);
        db.sql(&format!("insert into a values ({id})"));
        let events = source.events_until("the row", |e| e.op == 'c');
        assert_eq!(events.len(), 1);
        source.close().expect("an offset")
    };
    assert_eq!(number(&offset_after(&[], 1), "xmin"), None);
    let xmin = number(&offset_after(&[("xmin.fetch.interval.ms", "1")], 2), "xmin").expect("an xmin");
    let slot = db.slot("s2");
    let now = db.value(&format!("select catalog_xmin::text from pg_replication_slots where slot_name = '{slot}'"));
    assert!(xmin > 0 && xmin <= now.parse::<u64>().expect("a number"), "{xmin} {now}");
}
