//! Rows by plan and rows through trees become the same records, in the same order, with the same headers.

use std::sync::Mutex;
use std::time::Duration;

use walspring_connect::StopToken;
use walspring_connect::writer::{Ticket, TopicInfo, WriteError};
use walspring_record::{
    Cell, Column, ConversionFailure, FieldPlan, Leaf, Lsn, OldRow, PgType, Relation, ReplicaIdentity, RowPlan, Schema,
    SnapshotMark, SourcePlan, Transaction, TransactionOrder, Type, TypeKind,
};

use super::*;
use crate::errors::log::ErrorLog;
use crate::errors::retry::Retry;
use crate::errors::source::Tolerance;
use crate::metrics::Metrics;
use crate::plugins::{Plugin, Plugins};

/// Prints trees. With `compiled`, rows are encoded by plan.
struct Printer {
    compiled: bool,
}

fn print(value: &Value, out: &mut Vec<u8>) -> Result<Presence, ConvertError> {
    match value {
        Value::Null => Ok(Presence::Null),
        value if format!("{value:?}").contains("poison") => Err(ConvertError::data("poison")),
        value => {
            out.extend(format!("{value:?}").bytes());
            Ok(Presence::Bytes)
        }
    }
}

impl Converter for Printer {
    fn encode(
        &self,
        _: &str,
        _: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        print(value, out)
    }
    fn decode(&self, _: &str, _: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(Typed::NULL)
    }
    fn row_encoder(&self, plan: &Arc<RecordPlan>, side: Side) -> Option<Box<dyn RowEncoder>> {
        self.compiled.then(|| Box::new(ByPlan { plan: plan.clone(), side }) as Box<dyn RowEncoder>)
    }
}

impl HeaderConverter for Printer {
    fn encode_header(
        &self,
        _: &str,
        _: &str,
        _: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let mut out = Vec::new();
        Ok((print(value, &mut out)? == Presence::Bytes).then_some(out))
    }
    fn decode_header(&self, _: &str, _: &str, _: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(Typed::NULL)
    }
}

struct ByPlan {
    plan: Arc<RecordPlan>,
    side: Side,
}

impl RowEncoder for ByPlan {
    fn encode(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<Presence, ConvertError> {
        let tree = match self.side {
            Side::Key => self.plan.key_tree(batch, step, warnings)?,
            Side::Value => self.plan.value_tree(batch, change, step, warnings)?,
        };
        print(&tree, out)
    }
}

struct Lines(Arc<Mutex<Vec<String>>>, Vec<Vec<HeaderBytes>>);

impl BatchAssembler for Lines {
    fn topic(&mut self, _: &Arc<str>, _: &TopicInfo) -> TopicId {
        TopicId(0)
    }
    fn headers(&mut self, headers: &[HeaderBytes]) -> HeadersId {
        self.1.push(headers.to_vec());
        HeadersId(self.1.len() as u32 - 1)
    }
    fn append(&mut self, r: &RecordBytes<'_>) {
        let text = |b: Option<&[u8]>| b.map_or("null".into(), |b| String::from_utf8(b.to_vec()).unwrap());
        let headers = r.own_headers.iter().chain(&self.1[r.headers.0 as usize]);
        let headers: Vec<String> = headers.map(|(n, v)| format!("{n}={}", text(v.as_deref()))).collect();
        self.0.lock().unwrap().push(format!("{} -> {} {headers:?}", text(r.key), text(r.value)));
    }
    fn size_alone(&self, r: &RecordBytes<'_>) -> usize {
        r.value.map_or(0, <[u8]>::len)
    }
    fn take(&mut self) -> Vec<EncodedBatch> {
        Vec::new()
    }
}

struct NoWriter(Vec<String>);

impl RecordWriter for NoWriter {
    fn topic(&mut self, name: &str) -> Result<TopicInfo, WriteError> {
        self.0.push(name.to_owned());
        Ok(TopicInfo { partitions: 1, batch_bytes_max: 1 << 20 })
    }
    fn submit(&mut self, _: Ticket) -> Result<(), WriteError> {
        Ok(())
    }
    fn flush(&mut self, _: Duration) -> Result<(), WriteError> {
        Ok(())
    }
    fn abort(self: Box<Self>) {}
}

struct Nothing;

impl walspring_connect::Transform for Nothing {
    fn apply(&mut self, record: Record) -> Result<Option<Record>, ConvertError> {
        Ok(Some(record))
    }
}

fn plan() -> Arc<RecordPlan> {
    let text = || Arc::new(Schema::new(Type::String));
    let ty = Arc::new(PgType { oid: 25, name: "text".into(), namespace: "pg_catalog".into(), kind: TypeKind::Base });
    let column = |name: &str| Column {
        name: name.into(),
        ty: ty.clone(),
        modifier: -1,
        nullable: true,
        default: None,
        generated: false,
        comment: None,
    };
    let field = |column, leaf| FieldPlan {
        column,
        leaf,
        null: Value::Null,
        unavailable: Value::string("?"),
        on_error: ConversionFailure::Fail,
    };
    let row = |fields: Vec<FieldPlan>, names: &[&str]| RowPlan {
        schema: Arc::new(names.iter().fold(Schema::new(Type::Struct), |s, n| s.field(*n, text()))),
        fields,
    };
    Arc::new(RecordPlan {
        id: RecordPlan::next_id(),
        relation: Arc::new(Relation {
            oid: 1,
            namespace: "public".into(),
            name: "t".into(),
            identity: ReplicaIdentity::Full,
            columns: vec![column("id"), column("n")],
            key: vec![0],
            identifying: vec![0],
            key_may_repeat: false,
        }),
        topic: "p.public.t".into(),
        key: Some(row(vec![field(0, Leaf::Text)], &["id"])),
        row: row(vec![field(0, Leaf::Text), field(1, Leaf::Int32)], &["id", "n"]),
        envelope: Arc::new(Schema::new(Type::Struct)),
        source: SourcePlan {
            schema: Arc::new(Schema::new(Type::Struct)),
            version: "v".into(),
            connector: "c".into(),
            name: "p".into(),
            db: "d".into(),
            namespace: "public".into(),
            table: "t".into(),
        },
        headers: vec![Header { name: "constant".into(), value: Typed::new(text(), Value::string("x")) }],
        tombstones: true,
        skipped: Default::default(),
        surprises: Vec::new(),
    })
}

type Row<'a> = Option<[&'a str; 2]>;

/// Each change: kind, new row, old row.
fn batch(rows: &[(ChangeKind, Row<'_>, Row<'_>)]) -> ChangeBatch {
    let mut batch = ChangeBatch::default();
    let plan = batch.plan_index(&plan());
    batch.transactions.push(Transaction {
        xid: Some(1),
        commit_us: 1,
        last_commit_lsn: None,
        has_lsn: true,
        xmin: None,
        origin: None,
        origin_lsn: None,
    });
    for (kind, new, old) in rows {
        let mut add = |row: &Row<'_>| {
            let first = batch.cells.len() as u32;
            for cell in row.iter().flatten() {
                let start = batch.bytes.len();
                batch.bytes.extend(cell.bytes());
                batch.cells.push(Cell::text(start, cell.len()));
            }
            first
        };
        let (first_new, first_old) = (add(new), add(old));
        batch.changes.push(Change {
            kind: *kind,
            old_row: if old.is_some() { OldRow::Full } else { OldRow::None },
            snapshot: SnapshotMark::False,
            plan,
            transaction: 0,
            new: first_new,
            old: first_old,
            change_lsn: Lsn(7),
            seen_us: 1,
            order: TransactionOrder::default(),
        });
    }
    batch
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ByPlan,
    ByTree,
    Transformed,
}

fn encode(way: Way, batch: &ChangeBatch, tolerance: Tolerance) -> (Vec<String>, Result<(), TaskError>) {
    encode_traced(way, batch, tolerance, None)
}

fn encode_traced(
    way: Way,
    batch: &ChangeBatch,
    tolerance: Tolerance,
    tracing: Option<SourceTracing>,
) -> (Vec<String>, Result<(), TaskError>) {
    encode_with(way, batch, tolerance, tracing, Unreadable::Fails)
}

fn encode_with(
    way: Way,
    batch: &ChangeBatch,
    tolerance: Tolerance,
    tracing: Option<SourceTracing>,
    unreadable: Unreadable,
) -> (Vec<String>, Result<(), TaskError>) {
    let plugins = Plugins {
        sources: Vec::new(),
        sinks: Vec::new(),
        converters: Vec::new(),
        header_converters: Vec::new(),
        transforms: vec![Plugin { class: "test.Nothing", version: None, make: Box::new(|_| Ok(Box::new(Nothing))) }],
        predicates: Vec::new(),
        assembler: Box::new(|| panic!("none")),
        options: Box::new(crate::TableOptions {
            connectors: Vec::new(),
            plugins: Vec::new(),
            providers: walspring_config::providers::Providers::preconfigured(),
            key_converter: String::new(),
            value_converter: String::new(),
            header_converter: String::new(),
            override_policy: Box::new(|_| None),
        }),
        source_observer: None,
        sink_observer: None,
    };
    let config: Vec<(String, String)> =
        [("transforms", "a"), ("transforms.a.type", "Nothing")].map(|(k, v)| (k.into(), v.into())).into();
    let config = if way == Way::Transformed { config } else { Vec::new() };
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let topics: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = topics.clone();
    let printer = || Arc::new(Printer { compiled: way == Way::ByPlan });
    let metrics = Arc::new(TaskMetrics::new(&Arc::new(Metrics::default()), "a", 0, true));
    let retry = Retry::read(&[], StopToken::default(), metrics.errors.clone());
    let errors = SourceErrors::new(tolerance, retry, ErrorLog::read("a", 0, &[]), &metrics);
    let mut encoder = RecordEncoder::new(
        Converters {
            key: printer(),
            value: printer(),
            header: printer(),
            key_class: "k",
            value_class: "v",
            header_class: "h",
        },
        TransformChain::new(&plugins, &config).unwrap(),
        Box::new(Lines(lines.clone(), Vec::new())),
        errors,
        metrics,
        Box::new(move |topic| heard.lock().unwrap().push(topic.to_owned())),
    );
    encoder.trace(tracing);
    encoder.on_unreadable(unreadable);
    let mut writer = NoWriter(Vec::new());
    let result = encoder.encode(batch, &mut writer, 5);
    assert!(writer.0.len() <= 1 && *topics.lock().unwrap() == writer.0, "a topic is asked for once");
    let lines = lines.lock().unwrap().clone();
    (lines, result)
}

fn tolerant(record_bytes_max: usize) -> Tolerance {
    Tolerance::All { record_bytes_max, uncompressed: true }
}

#[test]
fn every_way_gives_the_same() {
    let batch = batch(&[
        (ChangeKind::Read, Some(["a", "1"]), None),
        (ChangeKind::Insert, Some(["b", "2"]), None),
        (ChangeKind::Update, Some(["b", "3"]), Some(["b", "2"])),
        (ChangeKind::Update, Some(["c", "3"]), Some(["b", "3"])),
        (ChangeKind::Delete, None, Some(["c", "3"])),
        (ChangeKind::Truncate, None, None),
    ]);
    let (lines, result) = encode(Way::ByPlan, &batch, Tolerance::None);
    result.unwrap();
    for way in [Way::ByTree, Way::Transformed] {
        assert_eq!(encode(way, &batch, Tolerance::None).0, lines);
    }
    let short = |line: &String| {
        let (key, rest) = line.split_once(" -> ").unwrap();
        let (value, headers) = rest.rsplit_once(" [").unwrap();
        let op = value.rsplit_once("Int64(0), Int64").map_or(value, |(head, _)| head);
        let op = op.rsplit_once("Null, String(\"").map_or("tombstone", |(_, op)| &op[..1]);
        format!("{key} {op} [{headers}")
    };
    assert_eq!(
        lines.iter().map(short).collect::<Vec<_>>(),
        [
            r#"Struct([String("a")]) r ["constant=String(\"x\")"]"#,
            r#"Struct([String("b")]) c ["constant=String(\"x\")"]"#,
            r#"Struct([String("b")]) u ["constant=String(\"x\")"]"#,
            r#"Struct([String("b")]) d ["__debezium.newkey=Struct([String(\"c\")])", "constant=String(\"x\")"]"#,
            r#"Struct([String("b")]) tombstone ["__debezium.newkey=Struct([String(\"c\")])", "constant=String(\"x\")"]"#,
            r#"Struct([String("c")]) c ["__debezium.oldkey=Struct([String(\"b\")])", "constant=String(\"x\")"]"#,
            r#"Struct([String("c")]) d ["constant=String(\"x\")"]"#,
            r#"Struct([String("c")]) tombstone ["constant=String(\"x\")"]"#,
            r#"null t ["constant=String(\"x\")"]"#,
        ]
    );
}

/// Samples every second record.
#[derive(Default)]
struct Alternating(Mutex<Vec<String>>);

impl walspring_connect::SourceObserver for Alternating {
    fn sent(&self, connector: &str, topic: &str, started_ms: Option<i64>) -> Option<String> {
        let mut heard = self.0.lock().unwrap();
        heard.push(format!("{connector} {topic} {started_ms:?}"));
        (heard.len() % 2 == 1).then(|| format!("context-{}", heard.len()))
    }
}

#[test]
fn a_record_that_is_sampled_carries_its_context() {
    let batch = batch(&[
        (ChangeKind::Insert, Some(["b", "2"]), None),
        (ChangeKind::Insert, Some(["c", "2"]), None),
        (ChangeKind::Update, Some(["d", "3"]), Some(["b", "3"])),
    ]);
    let untraced = encode(Way::ByPlan, &batch, Tolerance::None).0;
    for way in [Way::ByPlan, Way::ByTree, Way::Transformed] {
        let observer = Arc::new(Alternating::default());
        let (lines, result) =
            encode_traced(way, &batch, Tolerance::None, Some(SourceTracing::new(observer.clone(), "orders")));
        result.unwrap();
        let heard = observer.0.lock().unwrap();
        assert_eq!((heard.len(), lines.len()), (5, 5));
        let committed_ms = batch.transactions[0].commit_us / 1000;
        assert!(heard.iter().all(|heard| *heard == format!("orders {} Some({committed_ms})", batch.plans[0].topic)));
        for (i, (line, untraced)) in lines.iter().zip(&untraced).enumerate() {
            let context = format!("\"traceparent=String(\\\"context-{}\\\")\"", i + 1);
            assert_eq!(line.contains(&context), i % 2 == 0, "{line}");
            // The order of headers is nobody's promise.
            let without = line.replace(&format!("{context}, "), "").replace(&format!(", {context}"), "");
            assert_eq!(without, *untraced);
        }
    }
}

#[test]
fn what_the_source_cannot_read_is_never_tolerated() {
    let mut batch =
        batch(&[(ChangeKind::Insert, Some(["a", "1"]), None), (ChangeKind::Insert, Some(["b", "no"]), None)]);
    let serde_json::Value::Object(offset) = serde_json::json!({"lsn": 7, "messageType": "INSERT"}) else { panic!() };
    batch.offset = Some(offset);
    for way in [Way::ByPlan, Way::ByTree, Way::Transformed] {
        let (lines, result) = encode(way, &batch, tolerant(1 << 20));
        assert_eq!(lines.len(), 1);
        let trace = result.unwrap_err().trace();
        assert!(
            trace.starts_with(
                "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. \
                 This connector will be stopped.\nCaused by: org.apache.kafka.connect.errors.ConnectException: Error \
                 while processing event at offset {lsn=7, messageType=INSERT}\nCaused by: \
                 org.apache.kafka.connect.errors.DataException: "
            ),
            "{trace}"
        );
    }
}

#[test]
fn what_the_source_cannot_read_is_left_out_if_asked_for_but_not_of_a_snapshot() {
    let leave_out = Unreadable::LeftOut { with_warning: true };
    for way in [Way::ByPlan, Way::ByTree, Way::Transformed] {
        // A deleted row that cannot be read takes its tombstone with it.
        let streamed = batch(&[
            (ChangeKind::Insert, Some(["a", "1"]), None),
            (ChangeKind::Insert, Some(["b", "no"]), None),
            (ChangeKind::Delete, None, Some(["b", "no"])),
            (ChangeKind::Insert, Some(["c", "3"]), None),
        ]);
        let (lines, result) = encode_with(way, &streamed, Tolerance::None, None, leave_out);
        assert!(result.is_ok());
        assert_eq!(lines.len(), 2, "{lines:?}");
        let snapshot = batch(&[(ChangeKind::Read, Some(["b", "no"]), None)]);
        assert!(encode_with(way, &snapshot, Tolerance::None, None, leave_out).1.is_err());
    }
}

#[test]
fn what_a_converter_refuses_and_what_is_too_large_may_be_left_out() {
    let rows =
        batch(&[(ChangeKind::Insert, Some(["poison", "1"]), None), (ChangeKind::Insert, Some(["b", "2"]), None)]);
    for way in [Way::ByTree, Way::Transformed] {
        let (lines, result) = encode(way, &rows, tolerant(1 << 20));
        assert_eq!((lines.len(), result.is_ok()), (1, true));
        assert!(encode(way, &rows, Tolerance::None).1.unwrap_err().trace().contains("Tolerance exceeded"));
    }
    let (lines, result) = encode(Way::ByPlan, &batch(&[(ChangeKind::Insert, Some(["b", "2"]), None)]), tolerant(5));
    assert_eq!((lines.len(), result.is_ok()), (0, true));
}
