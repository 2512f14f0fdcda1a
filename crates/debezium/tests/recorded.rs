//! What the original answered (`conformance/cases` and `cases/` beside this), made again from the cells that PostgreSQL prints (`cells/`, written by
//! `dump_cells.py`): values of snapshots and of the stream, and whole schemas where they were recorded.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use walspring_debezium::{
    DecimalHandling, EventConfig, HstoreHandling, IntervalHandling, LogicalMessage, MappingConfig, NameAdjustment,
    TimePrecision, TopicNames, TransactionCounters, Unavailable, heartbeat, logical_message, message_source, plan,
    transaction_begin, transaction_end,
};
use walspring_record::leaf::{BinaryForm, Reader};
use walspring_record::{
    Cell, Change, ChangeBatch, ChangeKind, Column, Lsn, OldRow, PgType, Record, RecordPlan, Relation, ReplicaIdentity,
    RowPlan, RowRef, Schema, SnapshotMark, Transaction, Type, TypeKind, TypeRef, Value, Warnings,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A case of the corpus, or one of those that were recorded for this crate.
fn case_folder(case: &str) -> PathBuf {
    let own = root().join("tests/cases").join(case);
    if own.exists() { own } else { root().join("../../conformance/cases").join(case) }
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn events_are_as_recorded() {
    let mut cases: Vec<String> = std::fs::read_dir(root().join("tests/cells"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    cases.sort();
    let mut differences = Vec::new();
    let mut compared = 0;
    for case in &cases {
        compared += check_case(case, &mut differences);
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(compared >= cases.len(), "only {compared} events were compared");
}

/// The first record of a topic in a recorded case, which must have schemas.
fn recorded(case: &str, topic: &str) -> Json {
    let lines = read(case_folder(case).join("expected.jsonl"));
    let mut records = lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    records.find(|r| r["topic"] == topic).unwrap_or_else(|| panic!("{case} has nothing on {topic}"))
}

/// Schemas and values; numbers that change from run to run are not compared.
#[track_caller]
fn check_record(expected: &Json, record: &Record) {
    assert_eq!(expected["topic"], *record.topic);
    for (side, typed) in [("key", &record.key), ("value", &record.value)] {
        let schema = typed.schema.as_ref().unwrap();
        let (expected, got) = (&expected[side], schema_json(schema, None));
        assert!(same(&expected["schema"], &got, false), "expected {}\ngot {got}", expected["schema"]);
        let got = without_numbers(value_json(&typed.value, schema));
        assert!(same(&expected["payload"], &got, false), "expected {}\ngot {got}", expected["payload"]);
    }
}

/// As the recorder leaves them out.
fn without_numbers(value: Json) -> Json {
    let volatile = |name: &str| name.starts_with("ts_") || matches!(name, "lsn" | "txId");
    match value {
        Json::Object(o) => o
            .into_iter()
            .map(|(k, v)| {
                let v = if volatile(&k) && v.is_number() { json!("<number>") } else { without_numbers(v) };
                (k, v)
            })
            .collect(),
        Json::Array(a) => a.into_iter().map(without_numbers).collect(),
        other => other,
    }
}

#[test]
fn rarer_records_are_as_recorded() {
    let config = |case: &str| config(case, &json!({}));

    let mut heartbeats = config("topic_heartbeat_prefix");
    heartbeats.topics.heartbeat_prefix = "hb".into();
    let expected = recorded("topic_heartbeat_prefix", "hb.c_topic_heartbeat_prefix");
    check_record(&expected, &heartbeat(&heartbeats, 1));

    let case = "ops_transaction_metadata_schemas";
    let lines = read(case_folder(case).join("expected.jsonl"));
    let transaction: Vec<Json> = (lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()))
        .filter(|r| r["topic"] == format!("c_{case}.transaction"))
        .collect();
    check_record(&transaction[0], &transaction_begin(&config(case), "<tx 1:1>", 1));
    let mut counters = TransactionCounters::default();
    counters.begin(1);
    counters.event(&"public.a".into());
    let (events, collections) = counters.end();
    check_record(&transaction[1], &transaction_end(&config(case), "<tx 1:2>", events, &collections, 1));

    let case = "ops_message_schemas";
    let mut messages = config(case);
    messages.version = "<string>".into();
    let change = Change {
        kind: ChangeKind::Record,
        old_row: OldRow::None,
        snapshot: SnapshotMark::False,
        plan: 0,
        transaction: 0,
        new: 0,
        old: 0,
        change_lsn: Lsn(1),
        seen_us: 0,
        order: Default::default(),
    };
    let transaction = Transaction {
        xid: Some(1),
        commit_us: 0,
        last_commit_lsn: None,
        has_lsn: true,
        xmin: None,
        origin: None,
        origin_lsn: None,
    };
    let batch = ChangeBatch { transactions: vec![transaction], ..Default::default() };
    let message = LogicalMessage {
        prefix: "pre",
        content: b"x",
        now_ms: 1,
        source: message_source(&messages).tree(&batch, &change),
        transaction: Value::Null,
    };
    let mut expected = recorded(case, "c_ops_message_schemas.message");
    // The recorder keeps only the shape of it.
    expected["value"]["payload"]["source"]["sequence"] = json!("[null,\"1\"]");
    check_record(&expected, &logical_message(&messages, message).unwrap());
}

/// Compares all events of a case, and gives their number.
fn check_case(case: &str, differences: &mut Vec<String>) -> usize {
    let folder = case_folder(case);
    let definition: Json = serde_json::from_str(&read(folder.join("case.json"))).unwrap();
    let config = config(case, &definition["config"]);
    let tables: Vec<Json> = serde_json::from_str(&read(root().join(format!("tests/cells/{case}.json")))).unwrap();
    let tables: Vec<Table> = tables.iter().map(|t| Table::new(t, &config)).collect();
    let mut compared = 0;
    let mut snapshot_rows: HashMap<String, usize> = HashMap::new();
    let mut toasted: Vec<String> = Vec::new();
    for line in read(folder.join("expected.jsonl")).lines() {
        let record: Json = serde_json::from_str(line).unwrap();
        let Some(topic) = record["topic"].as_str() else { continue };
        let Some(table) = tables.iter().find(|t| &*t.stream.topic == topic) else { continue };
        let (spelled, value) = match &record["value"] {
            Json::Object(o) if o.len() == 1 && o.contains_key("spelled") => (true, &o["spelled"]),
            value => (false, value),
        };
        let (schema, payload) = match value.get("payload") {
            Some(payload) => (value.get("schema"), payload),
            None => (None, value),
        };
        let mut check = |what: &str, expected: &Json, got: Json| {
            if !same(expected, &got, spelled) {
                differences.push(format!("{case} {topic} {what}\n  expected {expected}\n  got      {got}"));
            }
        };
        let (plan, row) = match payload["op"].as_str() {
            Some("r") => {
                let next = snapshot_rows.entry(topic.to_owned()).or_default();
                *next += 1;
                (&table.snapshot, table.snapshot_rows.get(*next - 1))
            }
            Some("c") => {
                let key = payload["after"].as_object().unwrap().values().next().unwrap();
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                (&table.stream, table.stream_rows.iter().find(|r| r[0].as_deref() == Some(&key)))
            }
            Some("d") => {
                compared += 1;
                check("before", &payload["before"], row_json(&table.stream.row, &table.old_row(&record["key"])));
                continue;
            }
            Some("u") if case.starts_with("ops_toast") && !toasted.contains(&topic.to_owned()) => {
                toasted.push(topic.to_owned());
                compared += 1;
                check("unchanged", &payload["after"], table.unchanged(&payload["after"]));
                continue;
            }
            _ => continue,
        };
        let Some(row) = row else { continue };
        if let Some(schema) = schema.filter(|s| !s.is_null()) {
            check("schema", schema, schema_json(&plan.envelope, None));
        }
        check("after", &payload["after"], row_json(&plan.row, row));
        if let (Some(key), Some(expected)) = (&plan.key, record["key"].as_object()) {
            match expected.get("schema") {
                Some(schema) => {
                    check("key schema", schema, schema_json(&key.schema, None));
                    check("key", &expected["payload"], row_json(key, row));
                }
                None => check("key", &record["key"], row_json(key, row)),
            }
        }
        compared += 1;
    }
    compared
}

struct Table {
    snapshot: RecordPlan,
    stream: RecordPlan,
    snapshot_rows: Vec<Vec<Option<String>>>,
    stream_rows: Vec<Vec<Option<String>>>,
}

impl Table {
    fn new(table: &Json, config: &EventConfig) -> Table {
        let text = |v: &Json| -> Arc<str> { v.as_str().unwrap_or_default().into() };
        let columns: Vec<Column> = (table["columns"].as_array().unwrap().iter())
            .map(|c| Column {
                name: text(&c["name"]),
                ty: type_of(&table["types"], c["type"].as_str().unwrap()),
                modifier: c["modifier"].as_i64().unwrap() as i32,
                nullable: c["nullable"] == true,
                default: c["default"].as_str().filter(|_| c["generated"] != true).map(Arc::from),
                generated: c["generated"] == true,
                comment: c["comment"].as_str().map(Arc::from),
            })
            .collect();
        let place = |name: &str| columns.iter().position(|c| &*c.name == name).unwrap();
        let key = match key_columns(config, text(&table["name"])) {
            Some(names) => names.iter().map(|n| place(n)).collect(),
            None => {
                let key = table["key"].as_array().cloned().unwrap_or_default();
                key.iter().map(|k| k.as_u64().unwrap() as usize).collect()
            }
        };
        let relation = Arc::new(Relation {
            oid: 0,
            namespace: text(&table["namespace"]),
            name: text(&table["name"]),
            identity: ReplicaIdentity::Default,
            columns,
            identifying: Vec::new(),
            key_may_repeat: false,
            key,
        });
        let rows = |name: &str| serde_json::from_value(table[name].clone()).unwrap();
        Table {
            snapshot: plan(relation.clone(), config, Reader::Snapshot).unwrap(),
            stream: plan(relation, config, Reader::Stream).unwrap(),
            snapshot_rows: rows("snapshot"),
            stream_rows: rows("stream"),
        }
    }
}

impl Table {
    /// What the replica identity DEFAULT leaves of an old row: the key.
    fn old_row(&self, key: &Json) -> Vec<Option<String>> {
        let relation = &self.stream.relation;
        let key = key.get("payload").unwrap_or(key);
        let fields = self.stream.key.as_ref().unwrap();
        let mut row = vec![None; relation.columns.len()];
        for (field, schema) in fields.fields.iter().zip(&fields.schema.fields) {
            let value = &key[&*schema.name];
            // The two keys that are not what PostgreSQL prints.
            let text = match (value.as_str(), &*relation.columns[field.column].ty.name) {
                (Some("AJY="), "numeric") => "1.50".into(),
                (Some(text), "timestamptz") => text.replace('T', " ").replace('Z', "+00"),
                (Some(text), _) => text.to_owned(),
                (None, _) => value.to_string(),
            };
            row[field.column] = Some(text);
        }
        row
    }

    /// A row whose every column was left out, but for the two that are numbers, which are taken from the answer.
    fn unchanged(&self, expected: &Json) -> Json {
        let cells = vec![Cell::UNCHANGED; self.stream.relation.columns.len()];
        let tree = self.stream.row.tree(RowRef { bytes: b"", cells: &cells }, &mut Warnings::default()).unwrap();
        let mut got = value_json(&tree, &self.stream.row.schema);
        for number in ["id", "a"] {
            got[number] = expected[number].clone();
        }
        got
    }
}

/// The one case with `message.key.columns`; the option is resolved elsewhere.
fn key_columns(config: &EventConfig, table: Arc<str>) -> Option<&'static [&'static str]> {
    (&*config.database == "c_types_array_key" && &*table == "t").then_some(&["a", "j"])
}

fn type_of(types: &Json, oid: &str) -> TypeRef {
    let t = &types[oid];
    let text = |name: &str| t[name].as_str().unwrap_or_default();
    let kind = match (text("typtype"), text("category")) {
        ("e", _) => {
            TypeKind::Enum(t["labels"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().into()).collect())
        }
        ("d", _) => TypeKind::Domain(type_of(types, text("base")), t["modifier"].as_i64().unwrap() as i32),
        ("c", _) => TypeKind::Composite,
        ("r", _) => TypeKind::Range,
        ("m", _) => TypeKind::Multirange,
        (_, "A") if text("element") != "0" => TypeKind::Array(type_of(types, text("element"))),
        _ => TypeKind::Base,
    };
    Arc::new(PgType { oid: oid.parse().unwrap(), name: text("name").into(), namespace: text("namespace").into(), kind })
}

fn config(case: &str, options: &Json) -> EventConfig {
    let name = format!("c_{case}");
    let option = |name: &str| options[name].as_str().unwrap_or("");
    let names = |option: &str| match option {
        "avro" => NameAdjustment::Avro,
        "avro_unicode" => NameAdjustment::AvroUnicode,
        _ => NameAdjustment::None,
    };
    let mapping = MappingConfig {
        decimal: match option("decimal.handling.mode") {
            "double" => DecimalHandling::Double,
            "string" => DecimalHandling::String,
            _ => DecimalHandling::Precise,
        },
        time: match option("time.precision.mode") {
            "connect" => TimePrecision::Connect,
            "isostring" => TimePrecision::Isostring,
            "adaptive_time_microseconds" => TimePrecision::AdaptiveTimeMicroseconds,
            "microseconds" => TimePrecision::Microseconds,
            "nanoseconds" => TimePrecision::Nanoseconds,
            "structured" => TimePrecision::Structured,
            _ => TimePrecision::Adaptive,
        },
        binary: match option("binary.handling.mode") {
            "hex" => BinaryForm::Hex,
            "base64" => BinaryForm::Base64,
            "base64-url-safe" => BinaryForm::Base64Url,
            _ => BinaryForm::Bytes,
        },
        hstore: if option("hstore.handling.mode") == "map" { HstoreHandling::Map } else { HstoreHandling::Json },
        interval: match option("interval.handling.mode") {
            "string" => IntervalHandling::String,
            _ => IntervalHandling::Numeric,
        },
        money_fraction_digits: option("money.fraction.digits").parse().unwrap_or(2),
        unknown_types: option("include.unknown.datatypes") == "true",
        schema_names: names(option("schema.name.adjustment.mode")),
        field_names: names(option("field.name.adjustment.mode")),
        unavailable: match option("unavailable.value.placeholder") {
            "" => Unavailable::default(),
            placeholder => Unavailable::parse(placeholder).unwrap(),
        },
        ..MappingConfig::default()
    };
    EventConfig { mapping, ..EventConfig::new(TopicNames::new(&*name), &*name, "run") }
}

fn row_json(plan: &RowPlan, row: &[Option<String>]) -> Json {
    let (mut bytes, mut cells) = (Vec::new(), Vec::new());
    for cell in row {
        cells.push(match cell {
            Some(text) => {
                bytes.extend(text.bytes());
                Cell::text(bytes.len() - text.len(), text.len())
            }
            None => Cell::NULL,
        });
    }
    match plan.tree(RowRef { bytes: &bytes, cells: &cells }, &mut Warnings::default()) {
        Ok(tree) => value_json(&tree, &plan.schema),
        Err(e) => json!({ "error": e.to_string() }),
    }
}

/// As the original's JSON converter, which puts a default in the place of null.
fn value_json(value: &Value, schema: &Schema) -> Json {
    let item = |v: &Value| value_json(v, schema.items.as_ref().unwrap());
    match value {
        Value::Null => match &schema.default {
            Some(default) => value_json(default, &Schema { default: None, ..schema.clone() }),
            None => Json::Null,
        },
        Value::Boolean(b) => json!(b),
        Value::Int8(i) => json!(i),
        Value::Int16(i) => json!(i),
        Value::Int32(i) => json!(i),
        Value::Int64(i) => json!(i),
        Value::Float32(f) => float_json(f.to_string().parse().unwrap()),
        Value::Float64(f) => float_json(*f),
        Value::String(s) => json!(&**s),
        Value::Bytes(b) => {
            let leaf = walspring_record::Leaf::TextBytes(BinaryForm::Base64);
            let Ok(Value::String(text)) = leaf.value(b) else { unreachable!() };
            json!(&*text)
        }
        Value::Array(v) => v.iter().map(item).collect(),
        Value::Map(m) => {
            let pair = |(k, v): &(Value, Value)| match k {
                Value::String(k) => (k.to_string(), item(v)),
                _ => panic!("a key that is no string"),
            };
            Json::Object(m.iter().map(pair).collect())
        }
        Value::Struct(v) => {
            let fields = schema.fields.iter().zip(v);
            Json::Object(fields.map(|(f, v)| (f.name.to_string(), value_json(v, &f.schema))).collect())
        }
    }
}

fn float_json(f: f64) -> Json {
    match f {
        f if f.is_nan() => json!("NaN"),
        f if f.is_infinite() => json!(if f > 0.0 { "Infinity" } else { "-Infinity" }),
        f => json!(format!("<{f:?}>")),
    }
}

/// As the original prints a schema.
fn schema_json(schema: &Schema, field: Option<&str>) -> Json {
    let mut out = Map::new();
    let mut put = |name: &str, value: Json| drop(out.insert(name.into(), value));
    put(
        "type",
        json!(match schema.ty {
            Type::Int8 => "int8",
            Type::Int16 => "int16",
            Type::Int32 => "int32",
            Type::Int64 => "int64",
            Type::Float32 => "float",
            Type::Float64 => "double",
            Type::Boolean => "boolean",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Array => "array",
            Type::Map => "map",
            Type::Struct => "struct",
        }),
    );
    match schema.ty {
        Type::Struct => put("fields", schema.fields.iter().map(|f| schema_json(&f.schema, Some(&f.name))).collect()),
        Type::Array => put("items", schema_json(schema.items.as_ref().unwrap(), None)),
        Type::Map => {
            put("keys", schema_json(schema.keys.as_ref().unwrap(), None));
            put("values", schema_json(schema.items.as_ref().unwrap(), None));
        }
        _ => {}
    }
    put("optional", json!(schema.optional));
    if let Some(name) = &schema.name {
        put("name", json!(&**name));
    }
    if let Some(version) = schema.version {
        put("version", json!(version));
    }
    if let Some(doc) = &schema.doc {
        put("doc", json!(&**doc));
    }
    if !schema.parameters.is_empty() {
        put("parameters", Json::Object(schema.parameters.iter().map(|(k, v)| (k.to_string(), json!(&**v))).collect()));
    }
    if let Some(default) = &schema.default {
        put("default", value_json(default, schema));
    }
    if let Some(field) = field {
        put("field", json!(field));
    }
    Json::Object(out)
}

/// Equal, order of fields included; numbers with a fraction by what they are, and text with its escapes read.
fn same(expected: &Json, got: &Json, spelled: bool) -> bool {
    match (expected, got) {
        (Json::Object(e), Json::Object(g)) => {
            e.len() == g.len() && e.iter().zip(g).all(|((ek, ev), (gk, gv))| ek == gk && same(ev, gv, spelled))
        }
        (Json::Array(e), Json::Array(g)) => e.len() == g.len() && e.iter().zip(g).all(|(e, g)| same(e, g, spelled)),
        (Json::String(e), Json::String(g)) if e != g => {
            let number = |s: &str| s.strip_prefix('<')?.strip_suffix('>')?.parse::<f64>().ok();
            let unescaped = || serde_json::from_str::<String>(&format!("\"{}\"", e.replace('"', "\\\""))).ok();
            match (number(e), number(g)) {
                (Some(e), Some(g)) => e == g,
                _ => spelled && unescaped().as_ref() == Some(g),
            }
        }
        (e, g) => e == g,
    }
}
