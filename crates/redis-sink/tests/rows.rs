//! What becomes of rows in a real Redis: as hashes, as texts, as members, by each kind of event.

mod support;

use support::*;
use walspring_connect::{Outcome, PutError};
use walspring_record::{Schema, Type, Typed, Value};
use walspring_testkit::redis;

fn text(text: &str) -> Value {
    Value::string(text)
}

fn row(id: i64, status: &str, note: Value) -> Value {
    map(&[("id", Value::Int64(id)), ("status", text(status)), ("note", note)])
}

#[test]
fn a_row_is_kept_as_a_hash_until_it_is_deleted() {
    let uri = redis().database();
    let (mut task, mut client) =
        (task(&uri, &[("redis.type", "HASH"), ("walspring.sink.key", "booking:{id}")]), Client::new(&uri));
    let read = event("r", 7, Value::Null, row(7, "new", text("x")));
    let update = event("u", 7, Value::Null, row(7, "paid", Value::Null));
    assert_eq!(put(&mut *task, &[read, update]).unwrap(), [Outcome::Upsert, Outcome::Upsert]);
    assert_eq!(client.keys(), ["booking:7"]);
    let hash = client.hash("booking:7");
    assert_eq!(hash.get("status").map(String::as_str), Some("paid"));
    assert!(!hash.contains_key("note"), "a null is no field: {hash:?}");
    let delete = event("d", 7, map(&[("id", Value::Int64(7))]), Value::Null);
    assert_eq!(put(&mut *task, &[delete, tombstone(7)]).unwrap(), [Outcome::Delete, Outcome::Delete]);
    assert!(client.keys().is_empty());
}

#[test]
fn a_row_is_kept_as_json_with_numbers_as_they_are() {
    let uri = redis().database();
    let (mut task, mut client) = (task(&uri, &[("redis.type", "STRING")]), Client::new(&uri));
    let decimal =
        Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal").parameter("scale", "2").optional();
    let fields = [
        ("total", decimal, Value::bytes([0x0F, 0x9E])),
        ("big", Schema::new(Type::Int64), Value::Int64(i64::MAX)),
        ("title", Schema::new(Type::String).optional(), text("é\"\n")),
        ("none", Schema::new(Type::String).with_default(Some(text("d"))).optional(), Value::Null),
        ("__deleted", Schema::new(Type::String).optional(), text("false")),
    ];
    put(&mut *task, &[flat(1, &fields)]).unwrap();
    let json = client.text("shop.public.booking:1").unwrap();
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["title"], "é\"\n");
    assert!(json.contains("\"total\":39.98,\"big\":9223372036854775807,"), "{json}");
    assert!(json.ends_with("\"none\":null}"), "{json}");

    let deleted = ("__deleted", Schema::new(Type::String).optional(), text("true"));
    assert_eq!(put(&mut *task, &[flat(1, &[deleted])]).unwrap(), [Outcome::Delete]);
    assert!(client.keys().is_empty());
}

#[test]
fn values_without_fields_are_kept_as_they_are() {
    let uri = redis().database();
    let mut client = Client::new(&uri);
    let key = || schemaless(text("k"));
    let mut strings = task(&uri, &[("redis.type", "STRING"), ("redis.keyspace", "")]);
    put(&mut *strings, &[record(key(), schemaless(Value::bytes(*b"raw")))]).unwrap();
    assert_eq!(client.text("k").as_deref(), Some("raw"));
    put(&mut *strings, &[record(key(), schemaless(Value::Array(vec![Value::Int64(1)])))]).unwrap();
    assert_eq!(client.text("k").as_deref(), Some("[1]"));
    put(&mut *strings, &[record(key(), Typed::NULL)]).unwrap();
    assert_eq!(client.text("k"), None);

    let mut sets = task(&uri, &[("redis.type", "SET"), ("redis.keyspace", "members:${topic}")]);
    put(&mut *sets, &[event("c", 1, Value::Null, row(1, "a", Value::Null)), event("c", 2, Value::Null, Value::Null)])
        .unwrap_err();
    put(&mut *sets, &[event("c", 1, Value::Null, row(1, "a", Value::Null)), tombstone(2)]).unwrap();
    assert_eq!(client.state()["members:shop.public.booking"], "[\"1\"]");

    let mut hashes = task(&uri, &[("redis.type", "HASH")]);
    let Err(PutError::Named(poison)) = put(&mut *hashes, &[record(key(), schemaless(text("x"))), tombstone(1)]) else {
        panic!("a text has no fields")
    };
    assert_eq!(poison.len(), 1);
    assert!(poison[0].0 == 0 && poison[0].1.message.contains("redis.type=STRING"), "{}", poison[0].1);
}

#[test]
fn a_change_only_deletes_the_key_where_that_is_asked_for() {
    let uri = redis().database();
    let options = [("redis.type", "STRING"), ("walspring.sink.key", "b:{id}"), ("walspring.sink.mode", "invalidate")];
    let (mut task, mut client) = (task(&uri, &options), Client::new(&uri));
    for change in [
        event("c", 1, Value::Null, row(1, "a", Value::Null)),
        event("u", 1, Value::Null, row(1, "b", Value::Null)),
        event("d", 1, row(1, "b", Value::Null), Value::Null),
    ] {
        client.ask("SET b:1 filled-by-the-application");
        client.ask("SET b:2 stays");
        assert_eq!(put(&mut *task, &[change]).unwrap(), [Outcome::Delete]);
        assert_eq!(client.keys(), ["b:2"]);
    }
}

#[test]
fn unchanged_values_are_kept() {
    let uri = redis().database();
    let mut client = Client::new(&uri);
    for (kind, key) in [("HASH", "h:{id}"), ("STRING", "s:{id}")] {
        let mut task = task(&uri, &[("redis.type", kind), ("walspring.sink.key", key)]);
        let create = event("c", 1, Value::Null, row(1, "new", text("long [\"text\"]")));
        let update = |status: &str| event("u", 1, Value::Null, row(1, status, text(PLACEHOLDER)));
        // In one batch, in two, and once more.
        put(&mut *task, &[create, update("paid")]).unwrap();
        put(&mut *task, &[update("sent")]).unwrap();
        put(&mut *task, &[update("paid"), update("sent")]).unwrap();
        // Nothing is known of its note.
        put(&mut *task, &[event("u", 2, Value::Null, row(2, "x", text(PLACEHOLDER)))]).unwrap();
    }
    let hash = client.hash("h:1");
    assert_eq!((&*hash["status"], &*hash["note"]), ("sent", "long [\"text\"]"));
    assert_eq!(client.text("s:1").unwrap(), r#"{"id":1,"status":"sent","note":"long [\"text\"]"}"#);
    assert_eq!(client.hash("h:2").len(), 2);
    assert_eq!(client.text("s:2").unwrap(), r#"{"id":2,"status":"x"}"#);
}

#[test]
fn a_row_that_moves_leaves_no_key_behind() {
    let uri = redis().database();
    let options = [("redis.type", "STRING"), ("walspring.sink.key", "{status}:{id}")];
    let (mut task, mut client) = (task(&uri, &options), Client::new(&uri));
    let moved = event("u", 1, row(1, "new", text("n")), row(1, "paid", text(PLACEHOLDER)));
    put(&mut *task, &[event("c", 1, Value::Null, row(1, "new", text("n"))), moved]).unwrap();
    assert_eq!(
        client.state().into_iter().collect::<Vec<_>>(),
        [("paid:1".to_owned(), r#"{"id":1,"status":"paid","note":"n"}"#.to_owned())]
    );
    // The tombstone's key says nothing of the status; the delete does.
    assert_eq!(put(&mut *task, &[tombstone(1)]).unwrap(), [Outcome::Ignore]);
    put(&mut *task, &[event("d", 1, row(1, "paid", Value::Null), Value::Null)]).unwrap();
    assert!(client.keys().is_empty());
}

#[test]
fn keys_expire() {
    let uri = redis().database();
    let mut client = Client::new(&uri);
    for (kind, key) in [("HASH", "h:{id}"), ("STRING", "s:{id}"), ("SET", "set")] {
        let options = [("redis.type", kind), ("walspring.sink.key", key), ("redis.key.ttl", "100")];
        let mut task = task(&uri, &options);
        let change = || event("c", 1, Value::Null, row(1, "new", Value::Null));
        let name = key.replace("{id}", "1");
        put(&mut *task, &[change()]).unwrap();
        assert!((90..=100).contains(&client.expiry(&name)), "{kind}");
        put(&mut *task, &[with_header(change(), "redis.key.ttl", text("1000"))]).unwrap();
        assert!((990..=1000).contains(&client.expiry(&name)), "{kind}");
        put(&mut *task, &[with_header(change(), "redis.key.ttl", text("soon"))]).unwrap();
        assert!((90..=100).contains(&client.expiry(&name)), "{kind}");
    }
}

#[test]
fn deletes_may_be_left_out() {
    let uri = redis().database();
    let options = [("redis.type", "HASH"), ("walspring.sink.deletes", "skip")];
    let (mut task, mut client) = (task(&uri, &options), Client::new(&uri));
    let truncate = event("t", 1, Value::Null, Value::Null);
    let delete = event("d", 1, row(1, "a", Value::Null), Value::Null);
    let all = [event("c", 1, Value::Null, row(1, "a", Value::Null)), delete, tombstone(1), truncate];
    let outcomes = put(&mut *task, &all).unwrap();
    assert_eq!(outcomes, [Outcome::Upsert, Outcome::Ignore, Outcome::Ignore, Outcome::Ignore]);
    assert_eq!(client.keys(), ["shop.public.booking:1"]);
}

#[test]
fn wrong_configurations_say_what_to_set() {
    let uri = redis().database();
    let wrong = |options: &[(&str, &str)]| {
        let errors = check(&uri, options);
        assert_eq!(errors.len(), 1, "{options:?}: {errors:?}");
        errors[0].clone()
    };
    assert_eq!(wrong(&[]).0, "redis.type", "the original's default is a stream");
    assert_eq!(wrong(&[("redis.type", "HASH"), ("walspring.sink.key", "{id")]).0, "walspring.sink.key");
    assert_eq!(wrong(&[("redis.type", "HASH"), ("redis.username", "u")]).0, "redis.password");
    assert_eq!(wrong(&[("redis.type", "HASH"), ("redis.cacert", "/nowhere")]).0, "redis.cacert");
    for (uri, word) in
        [("localhost", "redis://"), ("redis-sentinel://h", "Sentinel"), ("redis://u:secret@h:1?x=1", "?")]
    {
        let (name, message) = check(uri, &[("redis.type", "HASH")]).remove(0);
        assert!(name == "redis.uri" && message.contains(word) && !message.contains("secret"), "{message}");
    }
    assert_eq!(check(&uri, &[("redis.type", "hash")]), []);
}
