//! What envelopes and flat records do to a table.

use walspring_connect::Outcome::*;

use crate::support::*;

#[test]
fn envelopes_without_schemas_are_applied() {
    let db = database();
    db.sql("create table t (id int primary key, name text, price numeric(10,2), ok bool, at timestamptz, tags text[], doc jsonb)");
    let mut task = start(&db, &[]);
    let batch = records(
        0,
        &[
            upsert(
                r#"{"id":1}"#,
                r#"{"id":1,"name":"é\"'","price":"39.98","ok":true,"at":"2024-02-29T12:00:00.123456Z","tags":["a","b,c",null],"doc":"{\"x\": [1]}"}"#,
            ),
            upsert(r#"{"id":2}"#, r#"{"id":2,"name":null,"price":1.5,"ok":null,"at":null,"tags":null,"doc":{"y":2}}"#),
            upsert(r#"{"id":1}"#, r#"{"id":1,"name":"new","price":"-0.05","ok":false,"at":null,"tags":[],"doc":null}"#),
            upsert(r#"{"id":3}"#, r#"{"id":3,"name":"gone"}"#),
            delete(r#"{"id":3}"#),
            tombstone(r#"{"id":3}"#),
        ],
    );
    assert_eq!(put(&mut task, &batch), [Upsert, Upsert, Upsert, Upsert, Delete, Delete]);
    assert_eq!(rows(&db, "select * from t order by id"), ["1|new|-0.05|f|∅|{}|∅", "2|∅|1.50|∅|∅|∅|{\"y\": 2}"]);
    // Again: nothing changes.
    put(&mut task, &batch);
    assert_eq!(rows(&db, "select id, name from t order by id"), ["1|new", "2|∅"]);
    put(&mut task, &batch[..1]);
    assert_eq!(
        rows(&db, "select name, price, at at time zone 'UTC', tags, doc from t where id = 1"),
        ["é\"'|39.98|2024-02-29 12:00:00.123456|{a,\"b,c\",NULL}|{\"x\": [1]}"]
    );
}

#[test]
fn a_key_that_changes_moves_its_row() {
    let db = database();
    db.sql("create table t (id int primary key, name text unique)");
    let mut task = start(&db, &[]);
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1,"name":"a"}"#)]));
    let moved = [delete(r#"{"id":1}"#), tombstone(r#"{"id":1}"#), upsert(r#"{"id":2}"#, r#"{"id":2,"name":"a"}"#)];
    put(&mut task, &records(1, &moved));
    assert_eq!(rows(&db, "select * from t"), ["2|a"]);
}

#[test]
fn flat_records_are_upserted_and_deleted() {
    let db = database();
    db.sql("create table t (id uuid primary key, email text not null)");
    let mut task = start(&db, &[]);
    let id = "11111111-2222-3333-4444-555555555555";
    let key = format!(r#"{{"id":"{id}"}}"#);
    let flat = |email: &str, deleted: &str| {
        let row = format!(r#"{{"id":"{id}","email":"{email}","__deleted":"{deleted}"}}"#);
        (Some(key.clone()), Some(row))
    };
    assert_eq!(put(&mut task, &records(0, &[flat("a@b", "false")])), [Upsert]);
    assert_eq!(rows(&db, "select email from t"), ["a@b"]);
    assert_eq!(put(&mut task, &records(1, &[flat("a@b", "true"), tombstone(&key)])), [Delete, Delete]);
    assert!(rows(&db, "select * from t").is_empty());
}

#[test]
fn deletes_are_passed_over_where_they_are_not_enabled() {
    let db = database();
    db.sql("create table t (id int primary key)");
    for more in [[("delete.enabled", "false")], [("walspring.sink.deletes", "skip")]] {
        let mut task = start(&db, &more);
        let batch =
            records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#), delete(r#"{"id":1}"#), tombstone(r#"{"id":1}"#)]);
        assert_eq!(put(&mut task, &batch), [Upsert, Ignore, Ignore]);
        assert_eq!(rows(&db, "select * from t"), ["1"]);
    }
}

#[test]
fn tombstones_are_ignored_where_the_delete_is_a_record_of_its_own() {
    let db = database();
    db.sql("create table t (id int primary key)");
    let mut task = start(&db, &[("walspring.sink.tombstones", "ignore")]);
    let (key, row) = (r#"{"id":1}"#, r#"{"id":1}"#);
    assert_eq!(put(&mut task, &records(0, &[upsert(key, row), tombstone(key)])), [Upsert, Ignore]);
    assert_eq!(rows(&db, "select * from t"), ["1"]);
    assert_eq!(put(&mut task, &records(2, &[delete(key), tombstone(key)])), [Delete, Ignore]);
    assert!(rows(&db, "select * from t").is_empty());
}

#[test]
fn records_with_schemas_are_applied() {
    let db = database();
    db.sql("create table t (id int primary key, price numeric, at timestamp, day date, span interval, bits bit(4), raw bytea)");
    let mut task = start(&db, &[]);
    let field =
        |name: &str, ty: &str, more: &str| format!(r#"{{"field":"{name}","type":"{ty}","optional":true{more}}}"#);
    let fields = [
        field("id", "int32", ""),
        field("price", "bytes", r#","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}"#),
        field("at", "int64", r#","name":"io.debezium.time.MicroTimestamp""#),
        field("day", "int32", r#","name":"io.debezium.time.Date""#),
        field("span", "int64", r#","name":"io.debezium.time.MicroDuration""#),
        field("bits", "bytes", r#","name":"io.debezium.data.Bits","parameters":{"length":"4"}"#),
        field("raw", "bytes", ""),
    ];
    let row =
        r#"{"id":1,"price":"D54=","at":1700000000123456,"day":-1,"span":90000000,"bits":"BQ==","raw":"3q2+7w=="}"#;
    let value = format!(r#"{{"schema":{{"type":"struct","fields":[{}]}},"payload":{row}}}"#, fields.join(","));
    let key = r#"{"schema":{"type":"struct","fields":[{"field":"id","type":"int32"}]},"payload":{"id":1}}"#;
    put(&mut task, &records(0, &[(Some(key.to_owned()), Some(value))]));
    assert_eq!(
        rows(&db, "select * from t"),
        ["1|39.98|2023-11-14 22:13:20.123456|1969-12-31|00:01:30|0101|\\xdeadbeef"]
    );
}
