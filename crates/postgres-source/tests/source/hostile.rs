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

        // An event that is small but for its old row comes, whatever the action: else a row that is gone would stay.
        db.sql("alter table t replica identity full; update t set d = 'z' where id = 5; delete from t where id = 3");
        let mut seen = Vec::new();
        source_until(&mut source, |source, step| {
            seen.extend(fates(source.batch()).into_iter().filter(|row| row.len() == 5));
            seen.extend(step.iter().filter(|e| e.op == 'd').map(|e| format!("d {}", e.number("id"))));
            seen.len() > 1
        });
        assert_eq!(seen, ["5====", "d 3"], "{action}");
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

/// Names that look like SQL, JSON, paths, formats; the last two are as long as names can be.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "x\"; drop table public.y; --",
        "';drop table public.y;--",
        "a.b.c",
        "new\nline",
        "tab\tand\rreturn",
        "\u{1F600} smile",
        "select",
        "UPPER Case",
        "back\\slash\\N",
        "$1 $$ ${a} $a$",
        "100%s%n%x",
        "{\"json\": [1]}",
        " spaces ",
        "a,b;c|d",
        "\\.",
        "\u{202E}right to left\u{200B}",
        "*",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("é".repeat(31) + "x");
    names.push("\"".repeat(63));
    names
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// As Debezium makes a topic's name of a table's: whatever Kafka does not take is an underscore, UTF-16 unit by unit.
fn topic(namespace: &str, table: &str) -> String {
    let full = format!("t.{namespace}.{table}");
    let legal = |unit: u16| u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    full.encode_utf16().map(|unit| if legal(unit) { char::from(unit as u8) } else { '_' }).collect()
}

/// Each name as a table, a column of the key, a column, a type, a label and a value; in schemas with such names.
fn hostile_names(major: u32) {
    let db = postgres(major).database();
    let names = names();
    let schemas = ["public", "s\"; drop schema public cascade; --", "S.p \u{1F600}"];
    db.sql("create table y (id int primary key); insert into y values (1); create table signal (id text primary key, type text, data text)");
    schemas[1..].iter().for_each(|schema| drop(db.sql(&format!("create schema {}", ident(schema)))));
    let mut expected = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let (schema, other) = (schemas[n % 3], &names[(n + 1) % names.len()]);
        // A table's own type has the table's name.
        let ty =
            format!("{}.{}", ident(schema), ident(&name.chars().rev().take(20).chain("T".chars()).collect::<String>()));
        let table = format!("{}.{}", ident(schema), ident(name));
        let label = name.chars().take(15).collect::<String>();
        db.sql(&format!(
            "create type {ty} as enum ('ok', {}); create table {table} ({} text primary key, {} {ty}, big text); \
             comment on column {table}.{} is {}; insert into {table} values ({}, {}, null)",
            literal(&label),
            ident(name),
            ident(other),
            ident(name),
            literal(name),
            literal(name),
            literal(&label),
        ));
        expected.push((schema.to_owned(), name.clone(), other.clone(), label, table));
    }
    let mut connector = Connector::new(
        &db,
        &[
            ("publication.autocreate.mode", "filtered"),
            ("table.exclude.list", "public\\.signal"),
            ("signal.data.collection", "public.signal"),
            ("signal.poll.interval.ms", "10"),
            ("include.schema.comments", "true"),
        ],
    );
    connector.set("publication.name", "p\"; drop table public.y; --'\\");
    let mut source = connector.start(None);

    let check = |events: &[(Event, String)], op: char, what: &str| {
        assert_eq!(events.len(), expected.len() + 1, "{what}");
        for (schema, name, other, label, _) in &expected {
            let of = |(event, _): &&(Event, String)| event.table == format!("{schema}.{name}");
            let (event, to) = events.iter().find(of).unwrap_or_else(|| panic!("{what}: nothing of {schema}.{name}"));
            assert_eq!((event.op, to), (op, &topic(schema, name)), "{what}");
            assert_eq!(event.get(name), Some(&**name), "{what}: {event:?}");
            assert_eq!(event.get(other), Some(&**label), "{what}: {event:?}");
            assert_eq!(event.key, std::slice::from_ref(name), "{what}");
        }
    };
    let take = |source: &mut Source, op: char| {
        let mut all = Vec::new();
        source_until(source, |source, step| {
            for (event, change) in step.iter().zip(&source.batch().changes) {
                if event.op == op {
                    all.push((event.clone(), source.batch().plans[change.plan as usize].topic.to_string()));
                }
            }
            all.len() > expected.len()
        });
        all
    };
    check(&take(&mut source, 'r'), 'r', "snapshot");

    let updates: String = expected
        .iter()
        .map(|(_, name, _, _, table)| {
            format!("update {table} set big = 'b' where {} = {};", ident(name), literal(name))
        })
        .collect();
    db.sql(&format!("{updates} update y set id = id"));
    check(&take(&mut source, 'u'), 'u', "stream");

    let tables: Vec<String> = expected
        .iter()
        .map(|(schema, name, ..)| format!("{schema}.{name}"))
        .chain(["public.y".to_owned()])
        .map(|table| format!("\\Q{table}\\E"))
        .collect();
    let data = serde_json::json!({ "data-collections": tables }).to_string();
    db.sql(&format!("insert into signal values ('1', 'execute-snapshot', {})", literal(&data)));
    check(&take(&mut source, 'r'), 'r', "incremental snapshot");

    // Nothing of what they say was done.
    assert_eq!(db.value("select count(*) from y"), "1");
    assert_eq!(db.value("select count(*) from pg_publication"), "1");
    let offset = source.close();
    db.sql(&updates.replace("'b'", "'c'"));
    db.sql("update y set id = id");
    check(&take(&mut connector.streaming(offset.as_ref()), 'u'), 'u', "after a restart");
}

#[track_caller]
fn source_until(source: &mut Source, mut done: impl FnMut(&Source, &[Event]) -> bool) {
    let end = std::time::Instant::now() + WAIT;
    loop {
        assert!(std::time::Instant::now() < end, "nothing more came");
        match source.poll(Duration::from_millis(50)) {
            Ok(None) => {}
            Ok(Some(step)) => {
                if done(source, &step.events) {
                    return;
                }
            }
            Err(e) => panic!("{}", e.trace()),
        }
    }
}

#[test]
fn hostile_names_of_tables_columns_types_and_labels_survive_and_do_nothing() {
    hostile_names(15);
    hostile_names(18);
}

#[test]
fn a_table_of_1600_columns_is_read_and_streamed() {
    for major in [15, 18] {
        let db = postgres(major).database();
        let columns: String = (1..=1594).map(|n| format!(", c{n} smallint default {}", n % 1000)).collect();
        let texts: String = (1..=5).map(|n| format!(", t{n} text")).collect();
        db.sql(&format!("create table w (id int primary key{columns}{texts})"));
        db.sql("alter table w alter t1 set storage external, alter t2 set storage external");
        db.sql("insert into w (id, t1, t2) values (1, repeat('a', 5000), repeat('b', 5000))");
        let mut source = Connector::new(&db, &[]).start(None);
        let rows = source.read_snapshot();
        assert_eq!((rows.len(), rows[0].row.len()), (1, 1600));
        assert_eq!((rows[0].get("c1594"), rows[0].get("t1").map(str::len)), (Some("594"), Some(5000)));

        db.sql("update w set c1594 = 7 where id = 1; alter table w replica identity full; update w set c1 = 8, t2 = null; delete from w");
        let mut events = Vec::new();
        let mut unchanged = Vec::new();
        source_until(&mut source, |source, step| {
            for (event, change) in step.iter().zip(&source.batch().changes) {
                let cells = source.batch().row(change.new, 1600).cells;
                unchanged.push(if event.op == 'u' {
                    cells.iter().filter(|cell| cell.is_unchanged()).count()
                } else {
                    0
                });
                events.push(event.clone());
            }
            events.len() == 3
        });
        assert_eq!(unchanged, [2, 0, 0]);
        assert_eq!((events[0].get("c1594"), events[0].get("c1593")), (Some("7"), Some("593")));
        assert_eq!((events[1].get("t1").map(str::len), events[1].get("t2")), (Some(5000), None));
        assert_eq!((events[2].op, events[2].get("c1"), events[2].row.len()), ('d', Some("8"), 1600));
    }
}

#[test]
fn databases_of_other_encodings_are_transcoded() {
    for (major, encoding, text) in [
        (15, "LATIN1", "\u{e4}\u{df}\u{b5} ÿ"),
        (15, "WIN1252", "€ „ä“ ™"),
        (15, "EUC_JP", "日本語 テスト ｶﾅ"),
        (18, "LATIN1", "é"),
    ] {
        let db = postgres(major).database_with(&format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"));
        let (table, column) = (format!("t.{}", text.chars().next().expect("a letter")), text);
        db.sql(&format!(
            "create type mood as enum ({0}); create table {1} (id int primary key, {2} text, m mood, a text[]); \
             insert into {1} values (1, {0}, {0}, array[{0}])",
            literal(text),
            ident(&table),
            ident(column),
        ));
        let mut source = Connector::new(&db, &[]).start(None);
        let mut events = source.read_snapshot();
        db.sql(&format!("alter table {0} replica identity full; update {0} set id = 2", ident(&table)));
        events.extend(source.take(1));
        for event in &events {
            assert_eq!(event.table, format!("public.{table}"));
            let quoted = if text.contains(' ') { format!("{{\"{text}\"}}") } else { format!("{{{text}}}") };
            assert_eq!((event.get(column), event.get("m"), event.get("a")), (Some(text), Some(text), Some(&*quoted)));
        }
    }
}

/// PostgreSQL itself refuses to send them where the client's encoding is UTF-8, as the original's is.
#[test]
fn bytes_that_are_no_text_in_a_database_without_encoding_are_refused_by_name() {
    let db = postgres(15).database_with("encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'");
    db.sql("create table good (id int primary key, a text); create table bad (id int primary key, a text); insert into good values (1, 'é')");
    let connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    assert_eq!(source.read_snapshot().iter().map(Event::short).collect::<Vec<_>>(), ["public.good r 1,é"]);
    db.sql("insert into good values (2, 'ü'); insert into bad values (1, E'a\\xff')");
    let (error, events) = failure(&mut source);
    assert_eq!(events.iter().map(Event::short).collect::<Vec<_>>(), ["public.good c 2,ü"]);
    let check = |error: &TaskError, place: &str| {
        assert_eq!(error.kind, Kind::Definite);
        let trace = error.trace();
        for word in ["invalid byte sequence for encoding \"UTF8\": 0xff", place, "leave the column out"] {
            assert!(trace.contains(word), "{word}: {trace}");
        }
    };
    check(&error, "associated LSN");
    source.close();
    let again = Connector::new(&db, &[("slot.name", &db.slot("b")), ("publication.name", "b")]);
    let (error, _) = failure(&mut again.start(None));
    check(&error, "Snapshotting of table public.bad failed");
}

/// Rows that a policy hides are never left out in silence, be the role the one that the policy is for or not.
#[test]
fn a_snapshot_under_row_security_is_an_error_and_not_fewer_rows() {
    for major in [15, 18] {
        let db = postgres(major).database();
        let role = format!("{}_reader", db.name());
        db.sql(&format!(
            "create table t (id int primary key); insert into t select generate_series(1, 5); create table signal (id text primary key, type text, data text); \
             create role {role} login replication password 'secret'; grant select on t to {role}; grant all on signal to {role}; \
             create publication p for table t, signal; alter table t enable row level security; \
             create policy few on t for select to {role} using (id < 3)"
        ));
        let connector = Connector::new(
            &db,
            &[
                ("database.user", &role),
                ("publication.autocreate.mode", "disabled"),
                ("signal.data.collection", "public.signal"),
                ("signal.poll.interval.ms", "10"),
            ],
        );
        let (error, events) = failure(&mut connector.start(None));
        assert_eq!((error.kind, events.len()), (Kind::Definite, 0));
        let trace = error.trace();
        for word in ["row-level security policy for table \"t\"", "BYPASSRLS", "public.t"] {
            assert!(trace.contains(word), "{word}: {trace}");
        }
        // What is read beside the stream too.
        let mut beside = Connector::new(&db, &[("slot.name", &db.slot("b")), ("snapshot.mode", "no_data")]);
        connector
            .config
            .iter()
            .filter(|(k, _)| !matches!(&k[..], "slot.name" | "snapshot.mode"))
            .for_each(|(k, v)| beside.set(k, v));
        let mut source = beside.streaming(None);
        db.sql(r#"insert into signal values ('1', 'execute-snapshot', '{"data-collections": ["public.t"]}')"#);
        let (error, events) = failure(&mut source);
        assert!(events.iter().all(|event| event.table != "public.t"), "{events:?}");
        assert!(error.trace().contains("row-level security"), "{}", error.trace());
        source.close();
        // The one who may see all gets all.
        db.sql(&format!("alter role {role} bypassrls"));
        let mut source = connector.start(None);
        assert_eq!(source.read_snapshot().iter().filter(|event| event.table == "public.t").count(), 5);
        source.close();
        db.sql(&format!("drop owned by {role}; drop role {role}"));
    }
}
