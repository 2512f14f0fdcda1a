//! On a real OpenSearch.

mod common;

use std::time::Duration;

use common::{envelope, flat, map, record, schemaless, start, start_elasticsearch};
use serde_json::{Value as Json, json};
use walspring_connect::{Outcome, PutError};
use walspring_record::{Header, Schema, Type, Value};
use walspring_testkit::{OpenSearch, opensearch, wait_for};

fn get(path: &str) -> Json {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut response = agent.get(format!("{}{path}", opensearch().url())).call().unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

fn send(method: &str, path: &str, body: &Json) {
    let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", opensearch().url()));
    let request = request.header("Content-Type", "application/json").body(body.to_string()).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    agent.run(request).unwrap();
}

/// The document, or null; and its version.
fn document(index: &str, id: &str) -> (Json, Json) {
    let found = get(&format!("/{index}/_doc/{id}"));
    (found["_source"].clone(), found["_version"].clone())
}

#[test]
fn rows_become_documents_and_order_cannot_invert() {
    let mut sink = start(opensearch().url(), &[]);
    let row = |offset, id, name: &str| {
        flat("Orders-A", offset, id, map(&[("id", Value::Int64(id)), ("name", Value::string(name))]))
    };
    let outcomes = sink.put_all(&[row(3, 1, "old"), row(4, 2, "b"), row(5, 1, "new")]);
    assert_eq!(outcomes, [Outcome::Upsert; 3]);
    assert_eq!(document("orders-a", "1"), (json!({"id": 1, "name": "new"}), json!(5)));
    assert_eq!(document("orders-a", "2").0, json!({"id": 2, "name": "b"}));

    // A replay, and a late request of a worker that was thought dead.
    assert_eq!(sink.put_all(&[row(3, 1, "old"), row(4, 2, "b"), row(5, 1, "new")]), [Outcome::Ignore; 3]);
    let mut other = start(opensearch().url(), &[]);
    assert_eq!(other.put_all(&[row(3, 1, "old")]), [Outcome::Ignore]);
    assert_eq!(document("orders-a", "1"), (json!({"id": 1, "name": "new"}), json!(5)));

    let mut strict = start(opensearch().url(), &[("behavior.on.version.conflict", "fail")]);
    let Err(PutError::Named(refused)) = strict.put(&[row(3, 1, "old"), row(6, 1, "newer")]) else { panic!() };
    assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0]);
    assert_eq!(document("orders-a", "1").0["name"], "newer");

    // The first record of a partition has offset 0.
    assert_eq!(sink.put_all(&[row(0, 9, "first")]), [Outcome::Upsert]);
}

#[test]
fn deletes_and_tombstones_delete() {
    let mut sink = start(opensearch().url(), &[]);
    let row = |offset, id| flat("deletes", offset, id, map(&[("id", Value::Int64(id))]));
    let gone = |offset, id| {
        flat("deletes", offset, id, map(&[("id", Value::Int64(id)), ("__deleted", Value::string("true"))]))
    };
    let tombstone = |offset, id| flat("deletes", offset, id, Value::Null);
    let outcomes = sink.put_all(&[row(0, 1), row(1, 2), row(2, 3), gone(3, 1), tombstone(4, 1), tombstone(5, 2)]);
    use Outcome::{Delete, Ignore, Upsert};
    assert_eq!(outcomes, [Upsert, Upsert, Upsert, Delete, Ignore, Delete]);
    assert_eq!(document("deletes", "1").0, Json::Null);
    assert_eq!(document("deletes", "2").0, Json::Null);
    assert_eq!(document("deletes", "3").0, json!({"id": 3}));
    // A deleted document does not come back by a replay.
    assert_eq!(sink.put_all(&[row(0, 1)]), [Ignore]);
    assert_eq!(document("deletes", "1").0, Json::Null);

    let mut keeps = start(opensearch().url(), &[("behavior.on.null.values", "ignore")]);
    assert_eq!(keeps.put_all(&[gone(9, 3), tombstone(10, 3)]), [Ignore, Ignore]);
    assert_eq!(document("deletes", "3").0, json!({"id": 3}));
    let mut fails = start(opensearch().url(), &[("behavior.on.null.values", "fail")]);
    let Err(PutError::Named(refused)) = fails.put(&[row(11, 4), tombstone(12, 3)]) else { panic!() };
    assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    assert_eq!(document("deletes", "4").0, json!({"id": 4}));
}

fn typed_row() -> Schema {
    Schema::new(Type::Struct)
        .field("id", Schema::new(Type::Int32))
        .field("price", Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal").parameter("scale", "2"))
        .field("day", Schema::new(Type::Int32).named("io.debezium.time.Date"))
        .field("at", Schema::new(Type::Int64).named("io.debezium.time.MicroTimestamp"))
        .field("ms", Schema::new(Type::Int64).named("io.debezium.time.Timestamp"))
        .field("zoned", Schema::new(Type::String).named("io.debezium.time.ZonedTimestamp"))
        .field("title", Schema::new(Type::String).optional())
}

fn typed_values(id: i32, at: i64, zoned: &str, title: Value) -> Value {
    Value::Struct(vec![
        Value::Int32(id),
        Value::bytes([0x30, 0x39]),
        Value::Int32(19_782),
        Value::Int64(at),
        Value::Int64(-5),
        Value::string(zoned),
        title,
    ])
}

#[test]
fn schemas_become_mappings_before_the_first_document() {
    let mut sink = start(opensearch().url(), &[]);
    let row = typed_row();
    let at = 1_709_210_096_123_456;
    let first = envelope(
        "typed",
        0,
        &row,
        "c",
        Value::Null,
        typed_values(1, at, "2024-02-29T12:34:56.123456Z", Value::string("a book")),
    );
    // Infinity, in a type with a number and in one with a text.
    let odd = envelope("typed", 1, &row, "u", Value::Null, typed_values(2, i64::MAX, "infinity", Value::Null));
    assert_eq!(sink.put_all(&[first, odd]), [Outcome::Upsert; 2]);
    let types = |index: &str| {
        let mapping = get(&format!("/{index}/_mapping"));
        let properties = mapping[index]["mappings"]["properties"].as_object().unwrap().clone();
        properties.into_iter().map(|(name, field)| (name, field["type"].clone())).collect::<Vec<_>>()
    };
    let mut found = types("typed");
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("at", "date"),
        ("day", "date"),
        ("id", "integer"),
        ("ms", "date"),
        ("price", "double"),
        ("title", "text"),
        ("zoned", "date"),
    ];
    assert_eq!(found, expected.map(|(name, ty)| (name.to_owned(), json!(ty))));
    let (source, _) = document("typed", "1");
    assert_eq!(
        source,
        json!({"id": 1, "price": 123.45, "day": "2024-02-29", "at": "2024-02-29T12:34:56.123456Z", "ms": -5,
               "zoned": "2024-02-29T12:34:56.123456Z", "title": "a book"})
    );
    send("POST", "/typed/_refresh", &json!({}));
    let hits =
        get("/typed/_search?q=at:%5B2024-02-29T12:34:56.123%20TO%202024-02-29T12:34:56.124%5D%20AND%20day:2024-02-29");
    assert_eq!(hits["hits"]["total"]["value"], 1, "{hits}");
    assert_eq!(get("/typed/_search?q=price:123.45")["hits"]["total"]["value"], 2);

    // A column is added.
    let wider = row.clone().field("pages", Schema::new(Type::Int16).optional());
    let Value::Struct(mut values) = typed_values(3, at, "2024-02-29T12:34:56Z", Value::Null) else { panic!() };
    values.push(Value::Int16(7));
    sink.put_all(&[envelope("typed", 2, &wider, "c", Value::Null, Value::Struct(values))]);
    assert!(types("typed").contains(&("pages".to_owned(), json!("short"))));

    // The index is dropped and comes back by the next document, with its mapping, by the template.
    send("DELETE", "/typed", &json!({}));
    sink.put_all(&[envelope(
        "typed",
        3,
        &row,
        "c",
        Value::Null,
        typed_values(1, at, "2024-02-29T12:34:56Z", Value::Null),
    )]);
    assert!(types("typed").contains(&("price".to_owned(), json!("double"))));
    assert!(types("typed").contains(&("pages".to_owned(), json!("short"))));
}

#[test]
fn an_index_of_the_originals_keeps_its_numbers_by_a_setting() {
    send("PUT", "/migrated", &json!({"mappings": {"properties": {"at": {"type": "long"}}}}));
    let row = typed_row();
    let event = |offset| {
        envelope("migrated", offset, &row, "c", Value::Null, typed_values(1, 7, "2024-02-29T12:34:56Z", Value::Null))
    };
    let Err(PutError::Task(error)) = start(opensearch().url(), &[]).put(&[event(0)]) else { panic!() };
    assert!(!error.is_transient());
    assert!(error.hint.unwrap().contains("walspring.temporal.values=plain"));
    let mut sink = start_elasticsearch(opensearch().url(), &[("walspring.temporal.values", "plain")]);
    assert_eq!(sink.put_all(&[event(0)]), [Outcome::Upsert]);
    assert_eq!(document("migrated", "1").0["at"], json!(7));
}

#[test]
fn documents_that_do_not_fit_are_named_without_their_values() {
    let topic = "misfits";
    send("PUT", "/misfits", &json!({"mappings": {"properties": {"qty": {"type": "integer"}}}}));
    let row = |offset, id, qty: &str| flat(topic, offset, id, map(&[("qty", Value::string(qty))]));
    let mut sink = start(opensearch().url(), &[]);
    let batch = [row(0, 1, "7"), row(1, 2, "4711-secret"), row(2, 3, "8"), flat(topic, 3, 4, Value::string("text"))];
    let Err(PutError::Named(refused)) = sink.put(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 3]);
    let error = &refused[0].1;
    assert!(!error.is_transient());
    assert!(error.message.contains("misfits-0@1"), "{error}");
    assert!(error.message.contains("failed to parse field [qty] of type [integer]"), "{error}");
    assert!(!error.trace().contains("4711") && !error.trace().contains("'2'"), "{}", error.trace());
    assert_eq!(document(topic, "1").0, json!({"qty": "7"}));
    assert_eq!(document(topic, "3").0, json!({"qty": "8"}));
    assert_eq!(document(topic, "2").0, Json::Null);

    let mut warns =
        start(opensearch().url(), &[("behavior.on.malformed.documents", "warn"), ("drop.invalid.message", "true")]);
    assert_eq!(warns.put_all(&batch), [Outcome::Ignore; 4]);
}

#[test]
fn unchanged_values_are_kept() {
    let topic = "toast";
    let missing = || Value::string("__debezium_unavailable_value");
    let row = |offset, id, a: i64, long: Value| flat(topic, offset, id, map(&[("a", Value::Int64(a)), ("long", long)]));
    let mut sink = start(opensearch().url(), &[]);
    sink.put_all(&[row(0, 1, 1, Value::string("long one")), row(1, 2, 1, Value::string("long two"))]);
    sink.put_all(&[row(2, 1, 2, missing()), row(3, 2, 2, Value::string("other")), row(4, 2, 3, missing())]);
    assert_eq!(document(topic, "1").0, json!({"a": 2, "long": "long one"}));
    assert_eq!(document(topic, "2").0, json!({"a": 3, "long": "other"}));
    // Within one batch: changed, deleted, made again; and a row that the index never had.
    let tombstone = flat(topic, 6, 1, Value::Null);
    sink.put_all(&[row(5, 1, 3, missing()), tombstone, row(7, 1, 4, missing()), row(8, 7, 1, missing())]);
    assert_eq!(document(topic, "1").0, json!({"a": 4}));
    assert_eq!(document(topic, "7").0, json!({"a": 1}));

    let mut upserts = start(opensearch().url(), &[("index.write.method", "upsert")]);
    assert_eq!(upserts.put_all(&[row(9, 2, 9, missing())]), [Outcome::Upsert]);
    assert_eq!(document(topic, "2").0, json!({"a": 9, "long": "other"}));

    let mut fails = start(opensearch().url(), &[("walspring.unavailable.values", "fail")]);
    let Err(PutError::Named(refused)) = fails.put(&[row(10, 2, 10, missing())]) else { panic!() };
    assert!(refused[0].1.message.contains("REPLICA IDENTITY FULL"), "{}", refused[0].1);
}

#[test]
fn ids_versions_and_names_follow_the_settings() {
    // One document an event.
    let mut audit =
        start(opensearch().url(), &[("key.ignore", "true"), ("walspring.index.name.format", "audit-${topic}")]);
    let row = |offset| flat("Log", offset, 1, map(&[("n", Value::Int64(offset))]));
    assert_eq!(
        audit.put_all(&[row(0), row(1), flat("Log", 2, 1, Value::Null)]),
        [Outcome::Upsert, Outcome::Upsert, Outcome::Ignore,]
    );
    assert_eq!(document("audit-log", "Log+0+1").0, json!({"n": 1}));
    assert_eq!(audit.put_all(&[row(1)]), [Outcome::Upsert]);

    // Ids of the cluster's.
    let mut anonymous = start_elasticsearch(opensearch().url(), &[("use.autogenerated.ids", "true")]);
    assert_eq!(anonymous.put_all(&[flat("anonymous", 0, 1, map(&[("n", Value::Int64(0))]))]), [Outcome::Insert]);
    send("POST", "/anonymous/_refresh", &json!({}));
    assert_eq!(get("/anonymous/_count")["count"], 1);

    // Versions from a header, gzip, and an alias that is there already.
    send("PUT", "/real", &json!({"aliases": {"other": {}}}));
    let mut sink = start(
        opensearch().url(),
        &[
            ("external.version.header", "v"),
            ("connection.compression", "true"),
            ("existing.resource.type", "index_alias"),
            ("topic.to.existing.resource.mapping", "t.x:other"),
            ("routing.type", "key"),
        ],
    );
    let versioned = |offset, version: &str, n| {
        let mut record = flat("t.x", offset, 1, map(&[("n", Value::Int64(n))]));
        record.headers.push(Header { name: "v".into(), value: schemaless(Value::string(version)) });
        record
    };
    assert_eq!(sink.put_all(&[versioned(0, "70", 1)]), [Outcome::Upsert]);
    assert_eq!(sink.put_all(&[versioned(100, "69", 2)]), [Outcome::Ignore]);
    assert_eq!(document("real", "1?routing=1"), (json!({"n": 1}), json!(70)));
    assert!(matches!(sink.put(&[versioned(101, "x", 3)]), Err(PutError::Named(_))));
    assert!(matches!(sink.put(&[flat("unmapped", 0, 1, map(&[]))]), Err(PutError::Named(_))));
    let unkeyed = record("t.x", 1, schemaless(Value::Null), schemaless(map(&[("n", Value::Int64(1))])));
    assert!(matches!(sink.put(&[unkeyed]), Err(PutError::Named(_))));

    let conflicts =
        start(opensearch().url(), &[("behavior.on.version.conflict", "fail"), ("walspring.index.name.format", "real")]);
    let mut conflicts = conflicts;
    assert!(matches!(conflicts.put(&[flat("t.x", 1, 1, map(&[]))]), Ok(_) | Err(PutError::Named(_))));
}

#[test]
fn envelopes_without_schemas_are_unwrapped() {
    let row = |id| map(&[("id", Value::Int64(id)), ("tags", Value::Array(vec![Value::string("a")]))]);
    let event = |offset, op: &str, before: Value, after: Value| {
        let source = map(&[("lsn", Value::Int64(1))]);
        let value = map(&[("before", before), ("after", after), ("source", source), ("op", Value::string(op))]);
        flat("enveloped", offset, 1, value)
    };
    let mut sink = start(opensearch().url(), &[]);
    let outcomes = sink.put_all(&[event(0, "r", Value::Null, row(1)), event(1, "t", Value::Null, Value::Null)]);
    assert_eq!(outcomes, [Outcome::Upsert, Outcome::Ignore]);
    assert_eq!(document("enveloped", "1").0, json!({"id": 1, "tags": ["a"]}));
    assert_eq!(sink.put_all(&[event(2, "d", row(1), Value::Null)]), [Outcome::Delete]);
    assert_eq!(document("enveloped", "1").0, Json::Null);
}

#[test]
fn a_write_block_is_waited_for_and_a_missing_resource_is_not() {
    let row = |offset| flat("blocked", offset, 1, map(&[("n", Value::Int64(offset))]));
    let mut sink = start(opensearch().url(), &[("max.retries", "1"), ("retry.backoff.ms", "1")]);
    sink.put_all(&[row(0)]);
    // As the cluster itself does where a disk is full.
    send("PUT", "/blocked/_settings", &json!({"index.blocks.write": true}));
    let Err(PutError::Task(error)) = sink.put(&[row(1)]) else { panic!() };
    assert!(error.is_transient() && error.message.contains("cluster_block_exception"), "{error}");
    send("PUT", "/blocked/_settings", &json!({"index.blocks.write": false}));
    assert_eq!(sink.put_all(&[row(1)]), [Outcome::Upsert]);

    let missing =
        [("existing.resource.type", "index"), ("topic.to.existing.resource.mapping", "blocked:no-such-index")];
    let Err(PutError::Task(error)) = start(opensearch().url(), &missing).put(&[row(2)]) else { panic!() };
    assert!(!error.is_transient() && error.message.contains("no-such-index"), "{error}");
}

#[test]
fn large_batches_are_many_requests() {
    let mut sink = start(opensearch().url(), &[("batch.size", "100"), ("bulk.size.bytes", "20000")]);
    let text = "x".repeat(500);
    let batch: Vec<_> = (0..1000)
        .map(|n| flat("large", n, n % 700, map(&[("n", Value::Int64(n)), ("text", Value::string(&*text))])))
        .collect();
    assert_eq!(sink.put_all(&batch), [Outcome::Upsert; 1000]);
    send("POST", "/large/_refresh", &json!({}));
    assert_eq!(get("/large/_count")["count"], 700);
    assert_eq!(document("large", "250").0["n"], 950);
}

#[test]
fn a_restart_is_waited_for() {
    let own = OpenSearch::start();
    let mut sink = start(own.url(), &[("max.retries", "1"), ("retry.backoff.ms", "10")]);
    let row = |offset, id| flat("restarted", offset, id, map(&[("id", Value::Int64(id))]));
    sink.put_all(&[row(0, 1)]);
    own.kill();
    for _ in 0..2 {
        match sink.put(&[row(1, 2), row(2, 1)]) {
            Err(PutError::Task(error)) => assert!(error.is_transient(), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    own.restart();
    let outcomes =
        wait_for("the batch to be written", Duration::from_secs(60), || sink.put(&[row(1, 2), row(2, 1)]).ok());
    assert_eq!(outcomes, [Outcome::Upsert; 2]);
    // What was durable before the kill is refused as old.
    assert_eq!(sink.put_all(&[row(0, 1)]), [Outcome::Ignore]);
}
