//! Records that cannot be written, tables that change, and what an operator is told.

use std::sync::Arc;

use walspring_connect::{Outcome::*, PutError};
use walspring_testkit::Postgres;

use crate::support::*;

fn named(error: PutError) -> Vec<usize> {
    match error {
        PutError::Named(list) => list.into_iter().map(|(at, _)| at).collect(),
        other => panic!("{}", told(&other)),
    }
}

#[test]
fn poison_rows_are_named_and_the_others_written() {
    let db = database();
    db.sql("create table t (id int primary key, n int check (n < 100), name varchar(3), at timestamp)");
    let mut task = start(&db, &[]);
    let row = |id: u32, more: &str| upsert(&format!(r#"{{"id":{id}}}"#), &format!(r#"{{"id":{id}{more}}}"#));
    let batch = records(
        0,
        &[
            row(1, r#","n":1"#),
            row(2, r#","n":"secret""#),
            row(3, r#","n":100"#),
            row(4, r#","name":"long""#),
            row(5, r#","at":1700000000000"#),
            row(6, r#","name":"\u0000""#),
            (None, Some(r#"{"id":7}"#.into())),
            (Some(r#"{"id":8}"#.into()), Some("5".into())),
            row(9, r#","n":9"#),
        ],
    );
    let error = refused(&mut task, &batch);
    let text = told(&error);
    assert_eq!(named(error), [1, 2, 3, 4, 5, 6, 7], "{text}");
    assert_eq!(rows(&db, "select id, n from t order by id"), ["1|1", "9|9"]);
    assert!(text.contains("time.precision.mode=isostring"), "{text}");
    assert!(text.contains("constraint t_n_check"), "{text}");
    assert!(text.contains("primary.key.mode=record_value"), "{text}");
    assert!(text.contains("s.public.t, partition 0, offset 1"), "{text}");
    assert!(!text.contains("secret") && !text.contains("long\""), "values stay out: {text}");
}

#[test]
fn what_cannot_be_known_without_a_schema_is_refused() {
    let db = database();
    for (ty, value, setting) in [
        ("numeric(10,2)", r#""D54=""#, "decimal.handling.mode=string"),
        ("numeric", r#""1234""#, "walspring.sink.decimal.handling.mode"),
        ("timestamp", "1700000000000000", "walspring.sink.time.precision.mode"),
        ("timestamptz", "1700000000000000", "time.precision.mode=isostring"),
        ("time", "3600000000", "time.precision.mode=isostring"),
        ("interval", "3600000000", "interval.handling.mode=string"),
    ] {
        db.sql(&format!("drop table if exists t; create table t (id int primary key, c {ty})"));
        let mut task = start(&db, &[]);
        let after = format!(r#"{{"id":1,"c":{value}}}"#);
        let text = told(&refused(&mut task, &records(0, &[upsert(r#"{"id":1}"#, &after)])));
        assert!(text.contains(setting), "{ty}: {text}");
    }
}

#[test]
fn placeholders_of_unchanged_values_overwrite_nothing() {
    let db = database();
    db.sql(
        "create table t (id int primary key, body text, must text not null, raw bytea, tags text[], n int[]); \
         insert into t values (1, 'kept', 'kept too', '\\x01', '{x}', '{1}')",
    );
    let p = "__debezium_unavailable_value";
    let numbers: Vec<String> = p.bytes().map(|b| b.to_string()).collect();
    let base64 = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
    let after = |id: u32, must: &str| {
        format!(
            r#"{{"id":{id},"body":"{p}","must":"{must}","raw":"{base64}","tags":["{p}"],"n":[{}]}}"#,
            numbers.join(",")
        )
    };
    let mut task = start(&db, &[]);
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, &after(1, p))]));
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, &after(1, "new"))]));
    assert_eq!(rows(&db, "select * from t"), ["1|kept|new|\\x01|{x}|{1}"]);
    // A row that is not there gets what there is; without a value that it must have, it is refused.
    let error =
        refused(&mut task, &records(0, &[upsert(r#"{"id":2}"#, &after(2, "m")), upsert(r#"{"id":3}"#, &after(3, p))]));
    assert!(
        told(&error).contains("column \"must\"") && told(&error).contains("REPLICA IDENTITY FULL"),
        "{}",
        told(&error)
    );
    assert_eq!(named(error), [1]);
    assert_eq!(rows(&db, "select * from t where id > 1"), ["2|∅|m|∅|∅|∅"]);

    let mut task = start(&db, &[("walspring.sink.unavailable.value.placeholder", "hex:ff00")]);
    put(&mut task, &records(0, &[upsert(r#"{"id":2}"#, r#"{"id":2,"body":"b","must":"m","raw":"/wA="}"#)]));
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1,"body":"b","must":"m","raw":"/wA="}"#)]));
    assert_eq!(rows(&db, "select id, body, raw from t order by id"), ["1|b|\\x01", "2|b|∅"]);
}

#[test]
fn fields_that_the_table_lacks_are_left_out_or_refused() {
    let db = database();
    db.sql("create table t (id int primary key)");
    let batch = records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1,"more":5}"#)]);
    put(&mut start(&db, &[]), &batch);
    assert_eq!(rows(&db, "select * from t"), ["1"]);
    let mut strict = start(&db, &[("walspring.sink.unknown.fields", "fail")]);
    assert!(told(&refused(&mut strict, &batch)).contains("no column for its field more"));
    // A column that comes later is found.
    db.sql("alter table t add column more int");
    put(&mut start(&db, &[("walspring.sink.unknown.fields", "fail")]), &batch);
    assert_eq!(rows(&db, "select * from t"), ["1|5"]);
}

#[test]
fn a_table_that_changes_is_looked_up_again() {
    let db = database();
    db.sql("create table t (id int primary key, a text, b int)");
    let mut task = start(&db, &[]);
    let batch = |a: &str| records(0, &[upsert(r#"{"id":1}"#, &format!(r#"{{"id":1,"a":"{a}","b":2}}"#))]);
    put(&mut task, &batch("x"));
    db.sql("alter table t drop column b, add column first text default 'd'");
    put(&mut task, &batch("y"));
    assert_eq!(rows(&db, "select * from t"), ["1|y|d"]);
    db.sql("alter table t alter a type varchar(50)");
    put(&mut task, &batch("z"));
    db.sql("drop table t; create table t (a text, id bigint primary key)");
    put(&mut task, &batch("w"));
    assert_eq!(rows(&db, "select * from t"), ["w|1"]);
}

#[test]
fn errors_say_the_sql_that_mends_them() {
    let db = database();
    let batch = records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#)]);
    let mut task = start(&db, &[]);
    let text = told(&refused(&mut task, &batch));
    assert!(text.starts_with("task Definite") && text.contains("CREATE TABLE \"t\""), "{text}");

    db.sql("create table t (id int)");
    let text = told(&refused(&mut task, &batch));
    assert!(text.contains("ALTER TABLE \"t\" ADD PRIMARY KEY (\"id\")"), "{text}");

    let role = format!("{}_writer", db.name());
    db.sql(&format!(
        "alter table t add primary key (id); create role {role} login; grant connect on database {} to {role}",
        db.name()
    ));
    let mut task = start(&db, &[("connection.username", &role)]);
    let text = told(&refused(&mut task, &batch));
    assert!(text.starts_with("task Definite") && text.contains("GRANT SELECT, INSERT"), "{text}");
    db.sql(&format!("grant select, insert, update on t to {role}"));
    assert_eq!(put(&mut task, &batch), [Upsert]);
    db.sql("create schema hidden; create table hidden.t (id int primary key)");
    let mut task = start(&db, &[("connection.username", &role), ("collection.name.format", "hidden.t")]);
    let text = told(&refused(&mut task, &batch));
    assert!(text.contains("GRANT USAGE ON SCHEMA") || text.contains("no table"), "{text}");
    drop(task);
    db.sql(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_connection_that_is_lost_is_transient_and_made_again() {
    let db = database();
    db.sql("create table t (id int primary key)");
    let waits = Arc::new(Waits::default());
    let mut task = start_watched(config(&db, &upserts(), &[]), "lost", waits.clone()).unwrap();
    let batch = records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#)]);
    put(&mut task, &batch);
    db.sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}' and application_name = 'walspring-sink lost'", db.name()));
    // A new session writes it, without an error of the batch.
    put(&mut task, &batch);
    assert!(!matches!(waits.all().last(), Some(Some(_))), "nothing is waited for");
    // A server that has become read-only comes back as another.
    db.sql(&format!("alter database {} set default_transaction_read_only = on", db.name()));
    let mut task = start(&db, &[]);
    assert!(told(&refused(&mut task, &batch)).starts_with("task Transient"));
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let own = Postgres::start(Postgres::builder(15));
    own.sql("postgres", "create table t (id int primary key)");
    let url = format!("jdbc:postgresql://{}:{}/postgres?user=postgres", own.host(), own.port());
    let mut options: Vec<(String, String)> = upserts().iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    options.push(("connection.url".into(), url));
    let mut task = start_with(options, "away").unwrap();
    let batch = records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#)]);
    put(&mut task, &batch);
    own.server().stop(walspring_testkit::Shutdown::Immediate);
    for _ in 0..2 {
        assert!(told(&refused(&mut task, &batch)).starts_with("task Transient"));
    }
    own.server().start().unwrap();
    put(&mut task, &batch);
}

#[test]
fn hostile_names_are_names() {
    let db = database();
    db.sql(
        r#"create schema "S.x""y"; create table "S.x""y"."t'; drop table u;--😀" ("Id.""a" int primary key, "a b" text, "select" text, "ÿ;" text)"#,
    );
    let routes = r#"s.public.t -> "S.x""y"."t'; drop table u;--😀"("id":"Id.""a"*, "a b", "select", "ÿ;")"#;
    let mut task = start(&db, &[("walspring.sink.routes", routes)]);
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1,"a b":"x'\"","select":"$1","ÿ;":"\\"}"#)]));
    assert_eq!(rows(&db, r#"select * from "S.x""y"."t'; drop table u;--😀""#), ["1|x'\"|$1|\\"]);
    put(&mut task, &records(1, &[delete(r#"{"id":1}"#)]));
    assert!(rows(&db, r#"select * from "S.x""y"."t'; drop table u;--😀""#).is_empty());
}

#[test]
fn a_constraint_that_is_checked_at_the_end_leaves_the_runtime_to_find_the_record() {
    let db = database();
    db.sql(
        "create table parent (id int primary key); insert into parent values (1); \
         create table t (id int primary key, parent int references parent deferrable initially deferred)",
    );
    let mut task = start(&db, &[]);
    let row =
        |id: u32, parent: u32| upsert(&format!(r#"{{"id":{id}}}"#), &format!(r#"{{"id":{id},"parent":{parent}}}"#));
    let batch = records(0, &[row(1, 1), row(2, 2)]);
    assert!(matches!(refused(&mut task, &batch), PutError::Records(_)));
    assert!(rows(&db, "select * from t").is_empty());
    put(&mut task, &batch[..1]);
    assert!(matches!(refused(&mut task, &batch[1..]), PutError::Records(_)));
    assert_eq!(rows(&db, "select * from t"), ["1|1"]);
}

#[test]
fn a_trigger_s_exception_is_the_record_s() {
    let db = database();
    db.sql(
        "create table t (id int primary key); create function no() returns trigger language plpgsql as \
         $$ begin if new.id = 2 then raise exception 'not two'; end if; return new; end $$; \
         create trigger no before insert on t for each row execute function no()",
    );
    let mut task = start(&db, &[]);
    let row = |id: u32| upsert(&format!(r#"{{"id":{id}}}"#), &format!(r#"{{"id":{id}}}"#));
    let nothing = (Some(r#"{"x":1}"#.to_owned()), Some(r#"{"y":1}"#.to_owned()));
    assert_eq!(named(refused(&mut task, &records(0, &[row(1), row(2), row(3)]))), [1]);
    assert_eq!(rows(&db, "select * from t order by 1"), ["1", "3"]);
    let mut keyless =
        start(&db, &[("insert.mode", "insert"), ("primary.key.mode", "none"), ("delete.enabled", "false")]);
    let text = told(&refused(&mut keyless, &records(0, &[nothing])));
    assert!(text.contains("none of its fields is a column"), "{text}");
}
