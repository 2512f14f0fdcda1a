use super::*;
use crate::testing::{config, envelope, event, map, record, row, shown};

fn unwrap(options: &[(&str, &str)]) -> ExtractNewRecordState {
    ExtractNewRecordState::new(&config(options)).unwrap()
}

const MODE: &str = "delete.tombstone.handling.mode";

#[test]
fn deletes_and_tombstones_by_mode() {
    let schema = envelope();
    for (mode, delete, tombstone) in [
        ("drop", None, false),
        ("tombstone", Some(None), false),
        ("rewrite", Some(Some(Value::string("true"))), false),
        ("rewrite-with-tombstone", Some(Some(Value::string("true"))), true),
        ("delete-to-tombstone", Some(None), false),
    ] {
        let mut unwrap = unwrap(&[(MODE, mode)]);
        let deleted = unwrap.apply(event(&schema, "d", row(1, Some(2), "x"), Value::Null)).unwrap();
        let field = |r: Record| shown(&r.value).into_iter().find(|(name, _)| name == DELETED).map(|(_, v)| v);
        let found = deleted.clone().map(|r| if r.value.value.is_null() { None } else { field(r) });
        assert_eq!(found, delete, "{mode}");
        if let Some(deleted) = deleted.filter(|d| d.value.value.is_null()) {
            assert_eq!(deleted.value.schema.is_some(), mode == "tombstone", "{mode}: a null that has the row's schema");
        }
        assert_eq!(unwrap.apply(record("t")).unwrap().is_some(), tombstone, "{mode}");
        let created = unwrap.apply(event(&schema, "c", Value::Null, row(1, Some(2), "x"))).unwrap().unwrap();
        let says = mode.starts_with("rewrite").then(|| Value::string("false"));
        assert_eq!(field(created), says, "{mode}");
    }
}

#[test]
fn the_flat_schema_is_built_once() {
    let schema = envelope();
    let mut unwrap = unwrap(&[("add.fields", "op,table,lsn:position,transaction.id,nothing")]);
    let mut flat = || {
        let record = unwrap.apply(event(&schema, "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        (record.value.schema.clone().unwrap(), record)
    };
    let (first, record) = flat();
    assert!(Arc::ptr_eq(&first, &flat().0));
    assert_eq!(first.name.as_deref(), Some("s.public.t.Value"));
    assert!(!first.optional);
    let names: Vec<&str> = first.fields.iter().map(|f| &*f.name).collect();
    assert_eq!(names, ["id", "a", "b", "__op", "__table", "__position", "__transaction_id"]);
    assert!(first.fields[4..].iter().all(|f| f.schema.optional));
    let values: Vec<Value> = shown(&record.value).into_iter().map(|(_, v)| v).collect();
    assert_eq!(values[3..], [Value::string("c"), Value::string("t"), Value::Int64(42), Value::Null]);
    assert_eq!(values[1], Value::Null, "defaults are put in by rewrite only");
}

#[test]
fn rewrite_puts_defaults_in_place_of_nulls_unless_told_otherwise() {
    let schema = envelope();
    for (replace, a) in [("true", Value::Int32(5)), ("false", Value::Null)] {
        let mut unwrap = unwrap(&[(MODE, "rewrite"), ("replace.null.with.default", replace)]);
        let record = unwrap.apply(event(&schema, "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        assert_eq!(shown(&record.value)[1].1, a);
    }
}

#[test]
fn what_is_no_row_goes_by_and_truncates_are_dropped() {
    let schema = envelope();
    let mut unwrap = unwrap(&[]);
    assert_eq!(unwrap.apply(event(&schema, "t", Value::Null, Value::Null)).unwrap(), None);
    let heartbeat = Schema::new(Type::Struct)
        .named("io.debezium.connector.common.Heartbeat")
        .field("ts_ms", Schema::new(Type::Int64));
    let beat = Record { value: Typed::new(heartbeat.into(), Value::Struct(vec![Value::Int64(1)])), ..record("h") };
    assert_eq!(unwrap.apply(beat.clone()).unwrap(), Some(beat));
    let message = map(&[("op", Value::string("m")), ("source", map(&[])), ("message", map(&[]))]);
    let message = Record { value: Typed { schema: None, value: message }, ..record("m") };
    assert_eq!(unwrap.apply(message.clone()).unwrap(), Some(message));
    let text = Record { value: Typed { schema: None, value: Value::string("x") }, ..record("m") };
    assert_eq!(unwrap.apply(text.clone()).unwrap(), Some(text));
}

#[test]
fn routes_by_a_column() {
    let schema = envelope();
    let mut by_b = unwrap(&[("route.by.field", "b"), (MODE, "rewrite")]);
    let topic = |unwrap: &mut ExtractNewRecordState, op, before, after| {
        unwrap.apply(event(&schema, op, before, after)).map(|r| r.unwrap().topic.to_string())
    };
    assert_eq!(topic(&mut by_b, "c", Value::Null, row(1, None, "new")).unwrap(), "new");
    assert_eq!(topic(&mut by_b, "c", Value::Null, row(1, None, " ")).unwrap(), "s.public.t");
    assert_eq!(topic(&mut by_b, "d", row(1, None, "old"), Value::Null).unwrap(), "old");
    let error = topic(&mut unwrap(&[("route.by.field", "id")]), "c", Value::Null, row(1, None, "")).unwrap_err();
    assert_eq!(error.message, "Field 'id' is not of type STRING");
    let error = topic(&mut unwrap(&[("route.by.field", "no")]), "c", Value::Null, row(1, None, "")).unwrap_err();
    assert_eq!(error.message, "no is not a valid field name");
}

#[test]
fn headers_are_added_and_a_tombstone_has_the_operation_only() {
    let schema = envelope();
    let mut unwrap =
        unwrap(&[("add.headers", "op,table:t"), ("add.headers.prefix", "h."), (MODE, "rewrite-with-tombstone")]);
    let headers = |record: Option<Record>| {
        let headers = record.unwrap().headers;
        headers.iter().map(|h| (h.name.to_string(), h.value.value.clone())).collect::<Vec<_>>()
    };
    let named = |name: &str, value: &str| (name.to_owned(), Value::string(value));
    let updated = unwrap.apply(event(&schema, "u", Value::Null, row(1, None, "x"))).unwrap();
    assert_eq!(headers(updated), [named("h.op", "u"), named("h.t", "t")]);
    assert_eq!(headers(unwrap.apply(record("t")).unwrap()), [named("h.op", "d")]);
}

#[test]
fn a_struct_that_is_not_there_fails_as_in_the_original() {
    let error = unwrap(&[("add.fields", "no.such")]).apply(event(&envelope(), "c", Value::Null, row(1, None, "x")));
    assert_eq!(error.unwrap_err().class, "java.lang.NullPointerException");
    let schema = envelope();
    let error = unwrap(&[("add.fields", "source.table:id"), ("add.fields.prefix", "")]).apply(event(
        &schema,
        "c",
        Value::Null,
        row(1, None, "x"),
    ));
    assert_eq!(error.unwrap_err().message, "Cannot create field because of field name duplication id");
}

#[test]
fn a_header_lists_fields_to_drop() {
    let schema = envelope();
    let list = |names: &[&str]| {
        let names = names.iter().map(|n| Value::string(*n)).collect();
        Header { name: "drop".into(), value: Typed { schema: None, value: Value::Array(names) } }
    };
    let names = |options: &[(&str, &str)], op, before, after, drop: &[&str]| {
        let mut record = event(&schema, op, before, after);
        record.headers.push(list(drop));
        let mut all = vec![("drop.fields.header.name", "drop"), (MODE, "rewrite"), ("add.fields", "op")];
        all.extend(options);
        let record = unwrap(&all).apply(record).unwrap().unwrap();
        let names = |typed| shown(typed).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        (names(&record.key), names(&record.value))
    };
    let new = || row(1, Some(1), "x");
    let (key, value) = names(&[], "c", Value::Null, new(), &["id", "b", "__op"]);
    assert_eq!((key, value), (vec!["id".to_owned()], vec!["id".to_owned(), "a".into(), "__deleted".into()]));
    let all = ("drop.fields.keep.schema.compatible", "false");
    let (key, value) = names(&[all, ("drop.fields.from.key", "true")], "c", Value::Null, new(), &["id", "b"]);
    assert_eq!((key, value), (vec![], vec!["a".to_owned(), "__deleted".into(), "__op".into()]));
    let (_, value) = names(&[], "d", new(), Value::Null, &["b", "__op"]);
    assert_eq!(value, ["id", "a", "__deleted", "__op"], "what is added to a delete comes after");
    let mut dropped = unwrap(&[("drop.fields.header.name", "drop"), (MODE, "delete-to-tombstone")]);
    let mut delete = event(&schema, "d", new(), Value::Null);
    delete.headers.push(list(&["b"]));
    assert_eq!(dropped.apply(delete).unwrap().unwrap().value, Typed::NULL);
}

#[test]
fn schemaless_envelopes_are_unwrapped_too() {
    let after = map(&[("id", Value::Int64(1)), ("b", Value::string("x"))]);
    let source = map(&[("table", Value::string("t")), ("lsn", Value::Int64(42))]);
    let event = |op: &str, before: Value, after: Value| Record {
        value: Typed {
            schema: None,
            value: map(&[
                ("before", before),
                ("after", after),
                ("source", source.clone()),
                ("op", Value::string(op)),
                ("ts_ms", Value::Int64(7)),
            ]),
        },
        ..record("t")
    };
    let mut unwrap = unwrap(&[
        (MODE, "rewrite"),
        ("add.fields", "op,source.lsn:LSN,transaction.id,nothing"),
        ("add.headers", "table"),
        ("route.by.field", "b"),
    ]);
    let created = unwrap.apply(event("c", Value::Null, after.clone())).unwrap().unwrap();
    let expected = map(&[
        ("id", Value::Int64(1)),
        ("b", Value::string("x")),
        ("__deleted", Value::string("false")),
        ("__op", Value::string("c")),
        ("__LSN", Value::Int64(42)),
        ("__transaction_id", Value::Null),
    ]);
    assert_eq!((created.value.value, &*created.topic), (expected, "x"));
    assert_eq!((&*created.headers[0].name, &created.headers[0].value.value), ("__table", &Value::string("t")));
    let deleted = unwrap.apply(event("d", after.clone(), Value::Null)).unwrap().unwrap();
    assert_eq!(shown(&deleted.value)[2].1, Value::string("true"));
    assert_eq!(unwrap.apply(event("t", Value::Null, Value::Null)).unwrap(), None);
    let mut plain = ExtractNewRecordState::new(&[]).unwrap();
    assert_eq!(plain.apply(event("d", after.clone(), Value::Null)).unwrap().unwrap().value, Typed::NULL);
    let flat = Record { value: Typed { schema: None, value: after }, ..record("t") };
    assert_eq!(plain.apply(flat.clone()).unwrap(), Some(flat));
}

#[test]
fn debezium_2_options_are_understood() {
    let schema = envelope();
    let mut legacy = unwrap(&[("delete.handling.mode", "rewrite"), ("drop.tombstones", "false")]);
    assert!(legacy.apply(record("t")).unwrap().is_some());
    let mut both = unwrap(&[("delete.handling.mode", "rewrite"), (MODE, "drop")]);
    assert_eq!(both.apply(event(&schema, "d", row(1, None, "x"), Value::Null)).unwrap(), None);
    let error = ExtractNewRecordState::new(&config(&[(MODE, "no")])).err().unwrap();
    assert!(error.message.starts_with("Invalid value no for configuration delete.tombstone.handling.mode"), "{error}");
}
