//! Input that nobody expects: values that are too large, names that look like SQL, a thousand columns, other encodings, rows
//! that are hidden. On real servers; what a server that means harm may send is in `tests/wire/hostile.rs`.

use std::time::Duration;

use walspring_connect::{Kind, TaskError};
use walspring_record::{ChangeBatch, ChangeKind};
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Event, Source, WAIT};

/// The error that ends the task, and the events before it.
#[track_caller]
fn failure(source: &mut Source) -> (TaskError, Vec<Event>) {
    let (end, mut events) = (std::time::Instant::now() + WAIT, Vec::new());
    loop {
        assert!(std::time::Instant::now() < end, "no error came");
        match source.poll(Duration::from_millis(50)) {
            Err(e) => return (e, events),
            Ok(step) => events.extend(step.into_iter().flat_map(|step| step.events)),
        }
    }
}

const LARGE_ROWS: &str = "create table t (id int primary key, a text, b bytea, c jsonb, d citext); \
    insert into t values (1, 'small', '\\x01', '1', 'x'), \
    (2, repeat('ä', 200000) || 'end', '\\x02', '2', 'x'), \
    (3, 'three', convert_to(repeat('b', 300000), 'UTF8'), '3', 'x'), \
    (4, 'four', '\\x04', to_jsonb(repeat('c', 250000)), 'x'), \
    (5, 'five', '\\x05', '5', repeat('d', 100001)), \
    (6, 'last', '\\x06', '6', 'x')";

fn large(db: &TempDatabase, options: &[(&str, &str)]) -> Connector {
    let mut connector = Connector::new(db, &[("walspring.value.max.bytes", "100000"), ("snapshot.max.threads", "1")]);
    options.iter().for_each(|(name, value)| connector.set(name, value));
    connector
}

/// Each change's id with what became of its columns: `=` as it was, `~` cut, `?` the placeholder, `0` null.
fn fates(batch: &ChangeBatch) -> Vec<String> {
    let rows = batch.changes.iter().filter(|change| !matches!(change.kind, ChangeKind::Record | ChangeKind::Delete));
    rows.map(|change| {
        let columns = batch.plans[change.plan as usize].relation.columns.len();
        let row = batch.row(change.new, columns);
        let id = String::from_utf8_lossy(row.get(0).expect("an id")).into_owned();
        let fate = |column: usize| match row.get(column) {
            _ if row.cells[column].is_unchanged() => '?',
            None => '0',
            Some(text) if text.ends_with(b" bytes]") || text.ends_with(b"62797465735d") => {
                assert!(text.len() <= 200_002, "{}", text.len());
                '~'
            }
            Some(text) => {
                assert!(text.len() <= 200_002, "{}", text.len());
                '='
            }
        };
        id + &(1..columns).map(fate).collect::<String>()
    })
    .collect()
}

#[track_caller]
fn take_fates(source: &mut Source, count: usize) -> Vec<String> {
    let (end, mut all) = (std::time::Instant::now() + WAIT, Vec::new());
    while all.len() < count {
        assert!(std::time::Instant::now() < end, "{all:?}");
        if source.poll(Duration::from_millis(50)).unwrap_or_else(|e| panic!("{}", e.trace())).is_some() {
            all.extend(fates(source.batch()));
        }
    }
    all
}

const UPDATES: &str = "begin; \
    update t set a = a || '!' where id = 1; \
    update t set a = repeat('e', 150000) where id = 6; \
    delete from t where id = 2; \
    update t set d = 'y' where id = 2; \
    insert into t values (7, 'seven', null, null, null); commit";

/// In the snapshot, in the stream and in an incremental snapshot; what is small is never touched.
fn large_values(major: u32) {
    let server = postgres(major);
    for (action, read, streamed) in [
        ("truncate", &["1====", "2~===", "3=~==", "4==?=", "5===~", "6===="][..], &["1====", "6~===", "7=000"][..]),
        ("placeholder", &["1====", "2?===", "3=?==", "4==?=", "5===?", "6===="], &["1====", "6?===", "7=000"]),
        ("skip", &["1====", "6===="], &["1====", "7=000"]),
    ] {
        let db = server.database();
        db.sql("create extension citext; create table signal (id text primary key, type text, data text)");
        db.sql(LARGE_ROWS);
        let connector = large(
            &db,
            &[
                ("walspring.value.too.large", action),
                ("signal.data.collection", "public.signal"),
                ("incremental.snapshot.chunk.size", "2"),
                ("signal.poll.interval.ms", "10"),
            ],
        );
        let mut source = connector.start(None);
        assert_eq!(take_fates(&mut source, read.len()), read, "{action}");
        db.sql(UPDATES);
        assert_eq!(take_fates(&mut source, streamed.len()), streamed, "{action}");

        db.sql("update t set a = 'small' where id in (1, 6)");
        take_fates(&mut source, 2);
        db.sql(r#"insert into signal values ('1', 'execute-snapshot', '{"data-collections": ["public.t"]}')"#);
        let read: Vec<_> = read.iter().filter(|row| !row.starts_with('2')).map(|row| (*row).to_owned()).collect();
        let mut rows = Vec::new();
        while rows.len() <= read.len() {
            source.until("rows", |step| step.events.iter().any(|e| e.op == 'r'));
            rows.extend(fates(source.batch()).into_iter().filter(|row| row.starts_with(char::is_numeric)));
        }
        rows.retain(|row| row.len() == 5);
        assert_eq!(rows[..read.len()], read, "{action}");
        assert!(rows[read.len()].starts_with('7'), "{rows:?}");
    }
}

#[test]
fn values_above_the_limit_are_cut_replaced_or_left_out_on_15() {
    large_values(15);
}

#[test]
fn values_above_the_limit_are_cut_replaced_or_left_out_on_18() {
    large_values(18);
}

#[test]
fn a_value_above_the_limit_fails_the_task_by_its_name() {
    let db = postgres(15).database();
    db.sql("create extension citext");
    db.sql(LARGE_ROWS);
    let check = |error: TaskError, column: &str, bytes: &str, mend: &str| {
        assert_eq!(error.kind, Kind::Definite);
        let trace = error.trace();
        for word in [column, "of table public.t", bytes, "walspring.value.max.bytes (100000)", mend] {
            assert!(trace.contains(word), "{word}: {trace}");
        }
        assert!(trace.len() < 2000, "no values in it: {trace}");
    };
    let mend = "set walspring.value.too.large to truncate, placeholder or skip";
    let (error, _) = failure(&mut large(&db, &[]).start(None));
    check(error, "\"a\"", "400003 bytes", mend);

    // What comes before it is sent, and a key is never shortened. The stream goes on once the limit is raised.
    db.sql("truncate t; alter table t replica identity full, drop constraint t_pkey");
    let keyed = [("message.key.columns", "public.t:d"), ("walspring.value.too.large", "truncate")];
    let mut connector = large(&db, &keyed);
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("begin; insert into t values (8, 'a', null, null, 'k'); insert into t values (9, 'a', null, null, repeat('k', 200000)); commit");
    let (error, events) = failure(&mut source);
    check(error, "\"d\"", "200000 bytes", "is of the key, which is not shortened");
    assert_eq!(events.iter().map(Event::short).collect::<Vec<_>>(), ["public.t c 8,a,null,null,k"]);
    let offset = source.close();
    connector.set("walspring.value.max.bytes", "200000");
    assert_eq!(connector.streaming(offset.as_ref()).take(1)[0].number("id"), 9);
}
