//! Where records go: routes, names, keys, filters, modes.

use walspring_connect::Outcome::*;
use walspring_record::{Header, Typed, Value};

use crate::support::*;

#[test]
fn routes_map_topics_to_tables_keys_and_columns() {
    let db = database();
    db.sql(
        "create table fact_orders (id int primary key, user_id int, state text); \
         create table fact_inventory (book_id int primary key, quantity int); create schema other; \
         create table other.books (id int primary key, title text, secret text)",
    );
    let routes = "ecom.public.orders -> fact_orders(id*, user_id, status:state); \
                  inventory.* -> fact_inventory(book_id*, quantity); ecom.public.* -> other.${source.table}";
    let mut task = start(&db, &[("walspring.sink.routes", routes), ("field.exclude.list", "secret")]);
    let order = r#"{"id":1,"user_id":2,"status":"NEW","total":"5.00"}"#;
    let batch = [
        record("ecom.public.orders", 0, Some(r#"{"id":1}"#), Some(order)),
        // The key is another than the source's.
        record("inventory.public.inventory", 0, Some(r#"{"id":9}"#), Some(r#"{"id":9,"book_id":3,"quantity":4}"#)),
        record(
            "ecom.public.books",
            0,
            Some(r#"{"id":5}"#),
            Some(
                &envelope("c", "null", r#"{"id":5,"title":"T","secret":"x"}"#)
                    .replace(r#""table":"t""#, r#""table":"books""#),
            ),
        ),
    ];
    assert_eq!(put(&mut task, &batch), [Upsert; 3]);
    assert_eq!(rows(&db, "select * from fact_orders"), ["1|2|NEW"]);
    assert_eq!(rows(&db, "select * from fact_inventory"), ["3|4"]);
    assert_eq!(rows(&db, "select * from other.books"), ["5|T|∅"]);
    // A delete says its key in the old row where the record's key does not.
    let gone = envelope("d", r#"{"id":9,"book_id":3,"quantity":0}"#, "null");
    put(&mut task, &[record("inventory.public.inventory", 1, Some(r#"{"id":9}"#), Some(&gone))]);
    assert!(rows(&db, "select * from fact_inventory").is_empty());
}

#[test]
fn names_are_folded_unless_they_are_quoted() {
    let db = database();
    db.sql(r#"create table "S_public_T" (id int primary key, "userId" int); create table lower_case (id int primary key, userid int)"#);
    let row = |topic: &str| record(topic, 0, Some(r#"{"id":1}"#), Some(r#"{"id":1,"userId":7}"#));
    let format = ("collection.name.format", "${topic}");
    put(&mut start(&db, &[format]), &[row("S.public.T"), row("Lower.Case")]);
    assert_eq!(rows(&db, r#"select * from "S_public_T" union all select * from lower_case"#), ["1|7", "1|7"]);
    let mut quoted = start(&db, &[format, ("quote.identifiers", "true")]);
    assert!(told(&refused(&mut quoted, &[row("Lower.Case")])).contains("\"Lower_Case\""));
    let mut schema = start(&db, &[("collection.name.format", "public.${source.table}")]);
    db.sql("create table t (id int primary key)");
    put(
        &mut schema,
        &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#), delete(r#"{"id":1}"#), tombstone(r#"{"id":1}"#)]),
    );
    assert!(rows(&db, "select * from t").is_empty());
}

#[test]
fn keys_come_from_where_primary_key_mode_says() {
    let db = database();
    let one = |mode: &str, fields: &str, table: &str, make: &dyn Fn() -> walspring_connect::SinkRecord| {
        db.sql(&format!("drop table if exists t; create table t ({table})"));
        let mut task =
            start(&db, &[("primary.key.mode", mode), ("primary.key.fields", fields), ("delete.enabled", "false")]);
        put(&mut task, &[make()]);
        put(&mut task, &[make()]);
        rows(&db, "select * from t")
    };
    let flat = || record("s.public.t", 5, Some(r#"{"id":1,"x":2}"#), Some(r#"{"a":3,"b":4}"#));
    assert_eq!(one("record_key", "id", "id int primary key, a int, b int", &flat), ["1|3|4"]);
    assert_eq!(one("record_key", "", "id int, x int, a int, b int, primary key (x, id)", &flat), ["1|2|3|4"]);
    assert_eq!(one("record_value", "b", "a int, b int primary key", &flat), ["3|4"]);
    let bare = || record("s.public.t", 5, Some("17"), Some(r#"{"a":3}"#));
    assert_eq!(one("record_key", "id", "id int primary key, a int", &bare), ["17|3"]);
    let kafka = "__connect_topic text, __connect_partition int, __connect_offset bigint, a int, \
                 primary key (__connect_topic, __connect_partition, __connect_offset)";
    assert_eq!(one("kafka", "", kafka, &flat), ["s.public.t|0|5|3"]);
    let headed = || {
        let mut record = flat();
        let value = Typed { schema: None, value: Value::Int64(8) };
        record.headers.push(Header { name: "h".into(), value });
        record
    };
    assert_eq!(one("record_header", "h", "h int primary key, a int", &headed), ["8|3"]);
}

#[test]
fn inserts_updates_and_truncates() {
    let db = database();
    db.sql("create table t (id int primary key, v int)");
    let row = |id: u32, v: u32| upsert(&format!(r#"{{"id":{id}}}"#), &format!(r#"{{"id":{id},"v":{v}}}"#));
    let mut task = start(&db, &[("insert.mode", "insert"), ("truncate.enabled", "true")]);
    assert_eq!(
        put(&mut task, &records(0, &[row(1, 1), delete(r#"{"id":1}"#), row(1, 2), row(2, 2)])),
        [Insert, Delete, Insert, Insert]
    );
    assert_eq!(rows(&db, "select * from t order by 1"), ["1|2", "2|2"]);
    assert!(told(&refused(&mut task, &records(4, &[row(3, 1), row(1, 9)]))).contains("t_pkey"));
    assert_eq!(rows(&db, "select * from t order by 1"), ["1|2", "2|2", "3|1"]);
    let truncate = (None, Some(envelope("t", "null", "null")));
    assert_eq!(put(&mut task, &records(5, &[row(7, 7), truncate.clone(), row(8, 8)])), [Insert, Truncate, Insert]);
    assert_eq!(rows(&db, "select * from t"), ["8|8"]);

    let mut task = start(&db, &[("insert.mode", "update")]);
    assert_eq!(put(&mut task, &records(6, &[row(8, 9), row(9, 9), truncate])), [Update, Update, Ignore]);
    assert_eq!(rows(&db, "select * from t"), ["8|9"]);
}

#[test]
fn columns_that_postgres_makes_itself_and_identities() {
    let db = database();
    db.sql("create table t (id int generated always as identity primary key, a int, twice int generated always as (a * 2) stored)");
    put(&mut start(&db, &[]), &records(0, &[upsert(r#"{"id":41}"#, r#"{"id":41,"a":2,"twice":9}"#)]));
    assert_eq!(rows(&db, "select * from t"), ["41|2|4"]);
}

#[test]
fn an_audit_has_a_row_for_each_event() {
    let db = database();
    let options = [("walspring.sink.mode", "audit"), ("collection.name.format", "log"), ("schema.evolution", "basic")];
    let mut strict = start(&db, &options[..2]);
    let batch = records(
        0,
        &[
            upsert(r#"{"id":1}"#, r#"{"id":1,"n":"a"}"#),
            (Some(r#"{"id":1}"#.into()), Some(envelope("d", r#"{"id":1,"n":"a"}"#, "null"))),
            tombstone(r#"{"id":1}"#),
            (Some(r#"{"id":2}"#.into()), Some(r#"{"id":2,"__deleted":"true"}"#.into())),
        ],
    );
    assert!(told(&refused(&mut strict, &batch)).contains("CREATE TABLE IF NOT EXISTS \"log\" (topic text"));
    let mut task = start(&db, &options);
    for _ in 0..2 {
        assert_eq!(put(&mut task, &batch), [Insert, Insert, Ignore, Insert]);
    }
    assert_eq!(
        rows(
            &db,
            "select kafka_offset, op, extract(epoch from ts)::bigint, lsn, tx_id, key, before, after from log order by 1"
        ),
        [
            "0|u|1700000000|1/0|7|{\"id\": 1}|∅|{\"n\": \"a\", \"id\": 1}",
            "1|d|1700000000|1/0|7|{\"id\": 1}|{\"n\": \"a\", \"id\": 1}|∅",
            "3|d|1700000000|∅|∅|{\"id\": 2}|{\"id\": 2, \"__deleted\": \"true\"}|∅",
        ]
    );
}

#[test]
fn tables_and_columns_are_made_from_schemas() {
    let db = database();
    let value = |more: &str, row: &str| {
        Some(format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"field":"id","type":"int64"}},
            {{"field":"price","type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"2","connect.decimal.precision":"10"}}}},
            {{"field":"at","type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp"}},
            {{"field":"Tags","type":"array","optional":true,"items":{{"type":"string","optional":true}}}}{more}]}},"payload":{row}}}"#
        ))
    };
    let key =
        Some(r#"{"schema":{"type":"struct","fields":[{"field":"id","type":"int64"}]},"payload":{"id":1}}"#.to_owned());
    let first = value("", r#"{"id":1,"price":"D54=","at":"2024-01-01T00:00:00Z","Tags":["x"]}"#);
    let later = value(
        r#",{"field":"note","type":"string","optional":true},{"field":"doc","type":"string","optional":true,"name":"io.debezium.data.Json"}"#,
        r#"{"id":1,"price":"D54=","at":null,"Tags":null,"note":"n","doc":"{}"}"#,
    );
    let mut none = start(&db, &[]);
    let text = told(&refused(&mut none, &records(0, &[(key.clone(), first.clone())])));
    assert!(
        text.contains("CREATE TABLE IF NOT EXISTS \"t\" (\"id\" bigint NOT NULL, \"price\" numeric(10,2)"),
        "{text}"
    );
    let mut task = start(&db, &[("schema.evolution", "basic")]);
    put(&mut task, &records(0, &[(key.clone(), first), (key, later)]));
    assert_eq!(
        rows(
            &db,
            "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute where attrelid = 't'::regclass and attnum > 0 order by attnum"
        ),
        [
            "id|bigint|t",
            "price|numeric(10,2)|f",
            "at|timestamp(6) with time zone|f",
            "tags|text[]|f",
            "note|text|f",
            "doc|json|f"
        ]
    );
    assert_eq!(rows(&db, "select id, price, note, doc from t"), ["1|39.98|n|{}"]);

    // A route's key column that only the record's key has.
    let routes = ("walspring.sink.routes", "s.public.t -> routed(key_id:id*, id:number, at)");
    let mut task = start(&db, &[("schema.evolution", "basic"), routes]);
    let key = r#"{"schema":{"type":"struct","fields":[{"field":"key_id","type":"string"}]},"payload":{"key_id":"k"}}"#;
    let row = value("", r#"{"id":1,"price":"D54=","at":"2024-01-01T00:00:00Z","Tags":["x"]}"#);
    put(&mut task, &records(0, &[(Some(key.to_owned()), row)]));
    assert_eq!(rows(&db, "select id, number, at is not null from routed"), ["k|1|t"]);
}

#[test]
fn a_table_that_was_empty_at_first_is_not_read_as_a_whole() {
    let db = database();
    db.sql("create table t (id int primary key, v text not null) with (autovacuum_enabled = off)");
    // The index's own scan is counted before what follows.
    db.sql("select pg_stat_force_next_flush()");
    let mut task = start(&db, &[]);
    let scans = "select pg_stat_clear_snapshot(), seq_scan, idx_scan from pg_stat_user_tables where relname = 't'";
    let before = db.value("select seq_scan from pg_stat_user_tables where relname = 't'");
    // An update where a value is missing, and a delete.
    let toast = upsert(r#"{"id":1}"#, r#"{"id":1,"v":"__debezium_unavailable_value"}"#);
    let batch = [upsert(r#"{"id":1}"#, r#"{"id":1,"v":"a"}"#), delete(r#"{"id":2}"#)];
    put(&mut task, &records(0, &batch));
    put(&mut task, &records(2, &[toast, delete(r#"{"id":2}"#)]));
    // The counts come when the session ends.
    task.stop();
    walspring_testkit::wait_for("the counts of scans", std::time::Duration::from_secs(20), || {
        let row = db.sql(scans).remove(0);
        (row[2].as_deref() != Some("0")).then(|| assert_eq!(row[1].as_deref(), Some(&*before)))
    });
}

#[test]
fn values_without_a_zone_are_of_use_time_zone() {
    let db = database();
    db.sql("create table t (id int primary key, zoned timestamptz, local timestamp)");
    let field = |name: &str, ty: &str, of: &str| {
        format!(r#"{{"field":"{name}","type":"{ty}","optional":true,"name":"io.debezium.time.{of}"}}"#)
    };
    let value = |zoned: (&str, &str), local: (&str, &str), row: &str| {
        let fields = [
            r#"{"field":"id","type":"int32"}"#.to_owned(),
            field("zoned", zoned.0, zoned.1),
            field("local", local.0, local.1),
        ];
        let value = format!(r#"{{"schema":{{"type":"struct","fields":[{}]}},"payload":{row}}}"#, fields.join(","));
        records(0, &[(Some(r#"{"id":1}"#.to_owned()), Some(value))])
    };
    let (millis, zoned) = (("int64", "Timestamp"), ("string", "ZonedTimestamp"));
    let mut task = start(&db, &[("use.time.zone", "America/New_York")]);
    put(&mut task, &value(millis, millis, r#"{"id":1,"zoned":1704067200000,"local":1704067200000}"#));
    let shown = "select zoned at time zone 'UTC', local from t";
    assert_eq!(rows(&db, shown), ["2024-01-01 05:00:00|2024-01-01 00:00:00"]);
    put(&mut task, &value(zoned, millis, r#"{"id":1,"zoned":"2024-01-01T00:00:00Z","local":0}"#));
    assert_eq!(rows(&db, shown), ["2024-01-01 00:00:00|1970-01-01 00:00:00"]);
    let wrong = value(millis, zoned, r#"{"id":1,"zoned":0,"local":"2024-01-01T00:00:00Z"}"#);
    assert!(told(&refused(&mut task, &wrong)).contains("use.time.zone"));
    put(&mut start(&db, &[]), &wrong);
    assert_eq!(rows(&db, shown), ["1970-01-01 00:00:00|2024-01-01 00:00:00"]);
}
