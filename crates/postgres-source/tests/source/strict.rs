//! `walspring.strict` on real servers: what the server prints, both ways into a row, and what validation says.

use std::collections::BTreeMap;

use walspring_connect::SourcePlugin as _;
use walspring_postgres_source::PostgresPlugin;
use walspring_record::{ChangeKind, OldRow, Surprise, Value, Warnings};
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Source};

/// What the last batch makes of each change: a row's values by name, or the error; and what surprised.
type Row = BTreeMap<String, Value>;

fn rows(source: &Source, surprises: &mut Warnings) -> Vec<Result<Row, String>> {
    let batch = source.batch();
    let mut rows = Vec::new();
    for change in &batch.changes {
        let plan = &batch.plans[change.plan as usize];
        let first = match change.kind {
            ChangeKind::Delete if change.old_row != OldRow::None => change.old,
            ChangeKind::Read | ChangeKind::Insert | ChangeKind::Update => change.new,
            _ => continue,
        };
        let row = batch.row(first, plan.relation.columns.len());
        rows.push(match plan.row.tree(row, surprises) {
            Ok(Value::Struct(values)) => {
                Ok(plan.row.schema.fields.iter().map(|f| f.name.to_string()).zip(values).collect())
            }
            Ok(other) => panic!("no row: {other:?}"),
            Err(e) => Err(e.to_string()),
        });
        surprises.surprises.locate(&plan.relation);
    }
    rows
}

/// As many rows.
fn take(source: &mut Source, count: usize, surprises: &mut Warnings) -> Vec<Result<Row, String>> {
    let mut all = Vec::new();
    let end = std::time::Instant::now() + crate::support::WAIT;
    while all.len() < count {
        assert!(std::time::Instant::now() < end, "{} of {count} rows came", all.len());
        if source.poll(std::time::Duration::from_millis(50)).unwrap_or_else(|e| panic!("{}", e.trace())).is_some() {
            all.extend(rows(source, surprises));
        }
    }
    all
}

const TABLE: &str = "create type mood as enum ('sad', 'ok');
    create domain positive as int check (value > 0);
    create table t (id int primary key, note text not null, born date, ends date, seen timestamp(3), at time[],
        old timestamptz[], moods mood[], money money[], small positive[], zone timetz, pair point[],
        round numeric(5, -2), who name, double int generated always as (id * 2) stored)";

fn insert(id: u32) -> String {
    format!(
        "insert into t values ({id}, 'n', '0044-03-15 BC', 'infinity', '-infinity', '{{01:02:03.123456}}',
            '{{0044-03-15 12:00:00+00 BC}}', '{{ok,NULL}}', '{{1.50,NULL}}', '{{1,NULL}}', '01:00:00+00:17:30',
            '{{\"(1,2)\"}}', 12345, 'me')"
    )
}

fn read(db: &TempDatabase, strict: &str) -> (Row, Row, Row, Vec<Surprise>) {
    db.sql(&insert(1));
    let connector = Connector::new(
        db,
        &[("walspring.strict", strict), ("slot.name", &db.slot(strict)), ("publication.name", strict)],
    );
    let mut source = connector.start(None);
    let mut surprises = Warnings::default();
    let snapshot = take(&mut source, 1, &mut surprises).remove(0).unwrap();
    // The snapshot's rows come before its end does.
    source.until("the snapshot's end", |step| {
        step.offset.as_ref().is_some_and(|o| o.get("snapshot_completed") == Some(&true.into()))
    });
    db.sql(&format!("{}; delete from t where id = 2; delete from t where id = 1", insert(2)));
    let mut streamed = take(&mut source, 3, &mut surprises).into_iter().map(Result::unwrap);
    let (inserted, deleted) = (streamed.next().unwrap(), streamed.next().unwrap());
    source.close();
    let mut seen: Vec<Surprise> = surprises.surprises.seen.iter().map(|s| s.surprise).collect();
    seen.sort();
    seen.dedup();
    (snapshot, inserted, deleted, seen)
}

#[test]
fn snapshot_and_stream_give_what_the_database_holds() {
    let db = postgres(15).database();
    db.sql(TABLE);
    let (mut snapshot, mut inserted, deleted, seen) = read(&db, "true");
    assert_eq!(seen, []);
    assert_eq!((snapshot.remove("id"), inserted.remove("id")), (Some(Value::Int32(1)), Some(Value::Int32(2))));
    assert_eq!(snapshot, inserted);
    let list = |values: &[Value]| Value::Array(values.to_vec());
    let expected = [
        ("at", list(&[Value::Int64(3_723_123_456)])),
        // 44 BC is the year -43; what is before 1970 is negative.
        ("born", Value::Int32(-735_160)),
        ("ends", Value::Int32(i32::MAX)),
        ("money", list(&[Value::bytes([0, 150]), Value::Null])),
        ("moods", list(&[Value::string("ok"), Value::Null])),
        ("note", Value::string("n")),
        ("old", list(&[Value::string("-0043-03-15T12:00:00.000000Z")])),
        ("round", Value::bytes([0x30, 0x0C])),
        ("seen", Value::Int64(i64::MIN)),
        ("small", list(&[Value::Int32(1), Value::Null])),
        ("who", Value::string("me")),
        ("zone", Value::string("00:42:30Z")),
    ];
    // The server is the oracle for the day.
    let day: i32 = db.value("select '0044-03-15 BC'::date - '1970-01-01'::date").parse().unwrap();
    assert_eq!(day, -735_160);
    for (name, value) in expected {
        assert_eq!(snapshot.remove(name), Some(value), "{name}");
    }
    assert!(matches!(snapshot.remove("pair"), Some(Value::Array(points)) if points.len() == 1));
    assert_eq!(snapshot, Row::new(), "no generated column: the stream has none");
    // The old row has the key only; the rest is not known.
    assert!(deleted.iter().all(|(name, value)| name == "id" || *value == Value::Null), "{deleted:?}");
}

#[test]
fn without_it_the_originals_values_are_kept_and_told() {
    let db = postgres(15).database();
    db.sql(TABLE);
    let (snapshot, inserted, deleted, seen) = read(&db, "false");
    use Surprise::*;
    assert_eq!(seen, [ArrayNull, ArrayTimeCut, DateInfinite, DateOld, TimestampInfinite, TimetzOffset]);
    // 44 AD, and two numbers for what has no end.
    assert_eq!((&snapshot["born"], &inserted["born"]), (&Value::Int32(-703_383), &Value::Int32(-735_160)));
    assert_eq!((&snapshot["ends"], &inserted["ends"]), (&Value::Int32(-622_191_234), &Value::Int32(2_146_033_979)));
    assert_eq!((&snapshot["moods"], &inserted["who"]), (&Value::Null, &Value::Null));
    assert_eq!(deleted["note"], Value::string(""));
    assert!(snapshot.contains_key("double") && !inserted.contains_key("double") && !inserted.contains_key("money"));
}

#[test]
fn what_cannot_be_written_is_refused_with_its_column_and_the_setting() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, n numeric(10, 2), a int[], big numeric[]); alter table t alter big set storage external");
    let connector = Connector::new(&db, &[("walspring.strict", "true"), ("snapshot.mode", "no_data")]);
    let mut source = connector.streaming(None);
    db.sql("insert into t values (1, 'NaN'); insert into t values (2, 1, '{{1,2},{3,4}}')");
    let mut surprises = Warnings::default();
    let refused: Vec<String> = take(&mut source, 2, &mut surprises).into_iter().map(Result::unwrap_err).collect();
    assert!(
        refused[0].starts_with("public.t.n: ") && refused[0].contains("decimal.handling.mode=string"),
        "{refused:?}"
    );
    assert!(refused[1].starts_with("public.t.a: ") && refused[1].contains("jsonb"), "{refused:?}");
    db.sql(
        "insert into t select 3, 1, null, array_agg(random()) from generate_series(1, 2000); update t set n = 2 where id = 3",
    );
    let mut rows = take(&mut source, 2, &mut surprises).into_iter();
    assert!(rows.next().unwrap().is_ok());
    let unknown = rows.next().unwrap().unwrap_err();
    assert!(unknown.starts_with("public.t.big: ") && unknown.contains("REPLICA IDENTITY FULL"), "{unknown}");
    source.close();
}

#[test]
fn validation_refuses_tables_whose_events_would_lie() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, other int not null unique, secret int, name text)");
    let check = |options: &[(&str, &str)]| {
        let mut connector = Connector::new(&db, options);
        connector.set("walspring.strict", "true");
        let strict = PostgresPlugin::new().check(&connector.config);
        connector.set("walspring.strict", "false");
        assert_eq!(PostgresPlugin::new().check(&connector.config), [], "only strict mode refuses");
        strict
    };
    #[track_caller]
    fn one(refused: &[(String, String)], option: &str, words: &[&str]) {
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0].0, option);
        assert!(words.iter().all(|word| refused[0].1.contains(word)), "{refused:?}");
    }
    assert_eq!(check(&[("column.mask.with.3.chars", "public.t.name")]), []);
    let masked = check(&[("column.mask.with.3.chars", "public.t.secret")]);
    one(&masked, "walspring.strict", &["public.t.secret", "mask_ignored", "column.exclude.list"]);
    let excluded = check(&[("column.exclude.list", "public.t.id")]);
    one(&excluded, "walspring.strict", &["public.t.id", "key_excluded", "message.key.columns"]);
    let double = check(&[("decimal.handling.mode", "double")]);
    one(&double, "decimal.handling.mode", &["precise or string"]);
    db.sql("create table \"a$b\" (id int primary key); create table \"a#b\" (id int primary key)");
    let shared = check(&[("table.include.list", "public.a.b")]);
    one(&shared, "walspring.strict", &["public.a$b", "topic_shared", "t.public.a_b"]);
    db.sql("drop table \"a#b\"");
    db.sql("alter table t replica identity using index t_other_key");
    one(&check(&[]), "walspring.strict", &["public.t.id", "key_identity", "REPLICA IDENTITY"]);
    assert_eq!(check(&[("message.key.columns", "public.t:other")]), []);
    db.sql("alter table t replica identity full");
    assert_eq!(check(&[]), []);
    // The worker's default counts where the connector says nothing.
    let connector = Connector::new(&db, &[("column.exclude.list", "public.t.id")]);
    assert_eq!(PostgresPlugin::new().strict(true).check(&connector.config).len(), 1);
    // No validation came before: the start refuses all the same.
    let connector = Connector::new(&db, &[("walspring.strict", "true"), ("slot.drop.on.stop", "true")]);
    let why = connector.refusal(None).trace();
    assert!(why.contains("slot.drop.on.stop") && why.contains("set false"), "{why}");
}

/// Columns of the key, of the first row of each table.
fn keys(db: &TempDatabase, strict: &str) -> BTreeMap<String, Vec<String>> {
    let slot = db.slot(strict);
    let connector =
        Connector::new(db, &[("walspring.strict", strict), ("slot.name", &slot), ("publication.name", strict)]);
    let mut source = connector.start(None);
    let events = source.read_snapshot();
    source.close();
    events.into_iter().map(|event| (event.table, event.key)).collect()
}

#[test]
fn only_an_index_that_tells_all_rows_apart_is_a_key() {
    let db = postgres(15).database();
    db.sql(
        "create table nullable (a int unique, b int not null);
         create table partial (a int not null, b int not null);
         create unique index partial_a on partial (a) where b > 0;
         create unique index partial_b on partial (b);
         create table sure (a int not null unique, b int unique);
         insert into nullable values (1, 1); insert into partial values (1, 1); insert into sure values (1, 1)",
    );
    let key = |keys: &BTreeMap<String, Vec<String>>, table: &str| keys[&format!("public.{table}")].join(",");
    let (original, strict) = (keys(&db, "false"), keys(&db, "true"));
    for (table, of_original, of_strict) in [("nullable", "a", ""), ("partial", "a", "b"), ("sure", "a", "a")] {
        assert_eq!((&*key(&original, table), &*key(&strict, table)), (of_original, of_strict), "{table}");
    }
}

#[test]
fn a_snapshot_reads_parts_as_the_stream_names_them() {
    let db = postgres(15).database();
    db.sql(
        "create table p (id int primary key) partition by range (id);
         create table p1 partition of p for values from (0) to (10);
         create table p2 partition of p for values from (10) to (20);
         create table base (id int primary key); create table child (primary key (id)) inherits (base);
         insert into p values (1), (11); insert into base values (1); insert into child values (2)",
    );
    let read = |name: &str, options: &[(&str, &str)]| {
        let slot = db.slot(name);
        let mut connector = Connector::new(&db, options);
        connector.set("slot.name", &slot);
        connector.set("publication.name", name);
        let mut source = connector.start(None);
        let mut rows: Vec<String> = source.read_snapshot().iter().map(|event| event.short()).collect();
        source.close();
        rows.sort();
        rows
    };
    let strict = ("walspring.strict", "true");
    let inherited = ["public.base r 1", "public.child r 2"];
    let parts = read("parts", &[strict]);
    assert_eq!(parts, [&inherited[..], &["public.p1 r 1", "public.p2 r 11"]].concat());
    let root = read("root", &[strict, ("publish.via.partition.root", "true")]);
    assert_eq!(root, [&inherited[..], &["public.p r 1", "public.p r 11"]].concat());
    // The original's: each of them twice.
    assert_eq!(read("original", &[]).len(), 4 + 3);
}
