//! encode(row) = encode(tree(row)), byte for byte: over plans, rows, leaves and options of all kinds.

use std::sync::Arc;

use proptest::prelude::*;
use walspring_connect::{Converter, Presence, Side};
use walspring_converters::converter;
use walspring_record::leaf::{
    ArrayLeaf, BinaryForm, DateForm, HashAlgorithm, HashInput, HstoreForm, IntervalForm, MoneyForm, Reader, TimeForm,
    TimestampForm, ZonedForm,
};
use walspring_record::*;

/// What a column may be: its leaf, its field's schema, and texts of which most are what PostgreSQL prints.
fn kinds() -> Vec<(Leaf, Schema, Vec<&'static str>)> {
    let usual = usual_kinds();
    let strict = usual.iter().map(|(leaf, schema, texts)| {
        let strict = walspring_record::leaf::Strict { leaf: leaf.clone(), column: "public.t.c".into() };
        (Leaf::Strict(Arc::new(strict)), schema.clone(), texts.clone())
    });
    strict.chain(usual.iter().cloned()).collect()
}

fn usual_kinds() -> Vec<(Leaf, Schema, Vec<&'static str>)> {
    use Leaf::*;
    let plain = Schema::new;
    let named = |ty, name: &str| Schema::new(ty).named(name).versioned(1);
    let connect = |ty, name: &str| named(ty, &format!("org.apache.kafka.connect.data.{name}"));
    let decimal = |scale: &str| connect(Type::Bytes, "Decimal").parameter("scale", scale);
    let variable =
        || plain(Type::Struct).field("scale", plain(Type::Int32)).field("value", plain(Type::Bytes)).documented("odd");
    let integers = || {
        vec![
            "0",
            "-0",
            "1",
            "-1",
            "007",
            "32767",
            "-32768",
            "32768",
            "2147483648",
            "9223372036854775807",
            "-9223372036854775808",
            "999999999999999999",
            "1000000000000000000",
            "+1",
            "",
            "-",
            "1x",
        ]
    };
    let texts = || {
        vec![
            "",
            "x",
            "plain text of some length, with a comma",
            "é",
            "日本語",
            "😀 and \u{10FFFF}",
            "quote \" in it",
            "back\\slash",
            "\u{1}\u{1f}\u{7f}\t\n\r\u{8}\u{c}",
            "{\"k\": 1, \"tags\": [\"a\", \"b\"]}",
            "seven..",
            "eight...",
            "eight..\"",
            "a\u{2028}/<>&",
        ]
    };
    let numbers = || {
        vec![
            "0",
            "0.00",
            "-0.00",
            "1.50",
            "-1.28",
            "127.00",
            "128",
            "1.28",
            "-0.01",
            "99999999999999.99",
            "1234567890123456789012345678901234567890.12",
            "NaN",
            "Infinity",
            "1.5",
            "00.50",
            "-.50",
            ".50",
            "1.234",
            "0.000001",
            "0.0000001",
            "1e5",
            "",
            "-",
            ".",
            "1.2.",
            "123456789012345678",
            "-9999999999999999.99",
        ]
    };
    let floats = || {
        vec!["0", "-0", "1.5", "1e+20", "1e23", "NaN", "Infinity", "-Infinity", "0.1", "4.9e-324", "x", "1527385.25"]
    };
    let moments = || {
        vec![
            "2026-01-01 00:00:00.001+00",
            "2024-02-29 13:14:15+00",
            "2024-12-28 23:59:59.123456+00",
            "2024-12-31 23:59:59.12+00",
            "2023-02-29 01:01:01+00",
            "2024-06-15 10:00:00.5+02",
            "2024-06-15 10:00:00.123456+05:30",
            "0044-03-15 12:00:00+00 BC",
            "12024-06-15 10:00:00+00",
            "infinity",
            "-infinity",
            "2024-13-01 00:00:00+00",
            "2024-01-01 24:00:00+00",
            "2024-01-01 00:60:00+00",
            "2024-01-01 00:00:60+00",
            "2024-01-01",
            "2024-01-01 00:00:00",
            "2024-01-01T00:00:00+00",
            "2024-01-01 00:00:00.+00",
            "2024-01-01 00:00:00.1234567+00",
            "0001-01-01 00:00:00+00",
            "2024-00-10 00:00:00+00",
            "2024-01-00 00:00:00+00",
            "garbage",
        ]
    };
    let bytes = || vec!["\\x", "\\x00", "\\x0102ff", "\\x0", "abc"];
    let array = |element| Array(Arc::new(ArrayLeaf { element, null_fails: false }));
    let cut =
        |leaf, length_max| Truncated(Arc::new(walspring_record::leaf::Truncated { leaf, length_max, bytes: true }));
    let hash = |algorithm, input, length_max| {
        Hashed(Arc::new(walspring_record::leaf::Hashed::new(algorithm, input, "s", length_max)))
    };
    let zoned = |precision| TimestampTz { form: ZonedForm::Text, precision };
    vec![
        (Text, plain(Type::String), texts()),
        (Text, named(Type::String, "io.debezium.data.Json"), texts()),
        (Text, plain(Type::Bytes), texts()),
        (Boolean, plain(Type::Boolean), vec!["t", "f", "true", ""]),
        (Bit, plain(Type::Boolean), vec!["1", "0", "2"]),
        (Int16, plain(Type::Int16), integers()),
        (Int32, plain(Type::Int32), integers()),
        (Int32, connect(Type::Int32, "Date"), integers()),
        (Int32, plain(Type::Int64), integers()),
        (Int64, plain(Type::Int64), integers()),
        (Float32, plain(Type::Float32), floats()),
        (Float64, plain(Type::Float64), floats()),
        (cut(Text, 3), plain(Type::String), texts()),
        (cut(Text, 3), named(Type::String, "io.debezium.data.Json"), texts()),
        (cut(zoned(3), 10), plain(Type::String), moments()),
        (cut(Bytea(BinaryForm::Bytes), 1), plain(Type::Bytes), bytes()),
        (cut(Int32, 1), plain(Type::Int32), integers()),
        (hash(HashAlgorithm::Sha256, HashInput::JavaSerialized, 20), plain(Type::String), texts()),
        (hash(HashAlgorithm::Md5, HashInput::Plain, usize::MAX), plain(Type::String), texts()),
        (Constant(Value::string("***")), plain(Type::String), texts()),
        (Bytea(BinaryForm::Bytes), plain(Type::Bytes), bytes()),
        (Bytea(BinaryForm::Hex), plain(Type::String), bytes()),
        (TextBytes(BinaryForm::Bytes), plain(Type::Bytes), texts()),
        (Bits, named(Type::Bytes, "io.debezium.data.Bits"), vec!["0", "1010", "111111111", "2"]),
        (Decimal { scale: 2 }, decimal("2"), numbers()),
        (Decimal { scale: 0 }, decimal("0"), numbers()),
        (Decimal { scale: 7 }, decimal("7"), numbers()),
        (Decimal { scale: 2 }, decimal("3"), numbers()),
        (Decimal { scale: 2 }, decimal("x"), numbers()),
        (Decimal { scale: 2 }, plain(Type::Bytes), numbers()),
        (VariableScaleDecimal, variable(), numbers()),
        (VariableScaleDecimal, plain(Type::Struct).field("scale", plain(Type::Int32)), numbers()),
        (DecimalDouble, plain(Type::Float64), numbers()),
        (DecimalText, plain(Type::String), numbers()),
        (Money(MoneyForm::Decimal { scale: 2 }), decimal("2"), vec!["$1.50", "-$1,234.56", "($1.00)", "x"]),
        (Date { form: DateForm::Days, reader: Reader::Stream }, connect(Type::Int32, "Date"), moments()),
        (Date { form: DateForm::Iso, reader: Reader::Stream }, plain(Type::String), moments()),
        (Time { form: TimeForm::Micros, precision: 6 }, plain(Type::Int64), vec!["01:02:03.5", "24:00:00", "x"]),
        (Timestamp { form: TimestampForm::Micros, precision: 6 }, plain(Type::Int64), moments()),
        (Timestamp { form: TimestampForm::Millis, precision: 3 }, connect(Type::Int64, "Timestamp"), moments()),
        (Timestamp { form: TimestampForm::Iso, precision: 3 }, plain(Type::String), moments()),
        (zoned(6), named(Type::String, "io.debezium.time.ZonedTimestamp"), moments()),
        (zoned(3), plain(Type::String), moments()),
        (zoned(1), plain(Type::String), moments()),
        (zoned(0), plain(Type::String), moments()),
        (Interval(IntervalForm::Iso), plain(Type::String), vec!["1 year 2 mons 3 days 04:05:06.78", "x"]),
        (Hstore(HstoreForm::Json), plain(Type::String), vec!["\"a\"=>\"1\", \"b\"=>NULL", "", "x"]),
        (
            Hstore(HstoreForm::Map),
            Schema::map(plain(Type::String), plain(Type::String).optional()),
            vec!["\"a\"=>\"1\", \"b\"=>NULL", "\"k\\\"q\"=>\"v\"", "", "x"],
        ),
        (array(Int32), Schema::array(plain(Type::Int32).optional()), vec!["{}", "{1,NULL,3}", "{x}", "{1"]),
        (array(Text), Schema::array(plain(Type::String).optional()), vec!["{}", "{a,\"b,\\\"c\"}", "{NULL}"]),
        (array(VariableScaleDecimal), Schema::array(variable().optional()), vec!["{1.50,NULL}", "{NaN}"]),
        (Constant(Value::string("always")), plain(Type::String), vec!["x"]),
        (Constant(Value::Null), plain(Type::String), vec!["x"]),
        (Unconvertible, plain(Type::String), vec!["x"]),
    ]
}

#[derive(Debug, Clone)]
struct ColumnSpec {
    kind: usize,
    name: String,
    optional: bool,
    default: Option<usize>,
    null: Option<usize>,
    unavailable: Option<usize>,
    on_error: u8,
}

#[derive(Debug, Clone)]
enum CellSpec {
    Null,
    Unchanged,
    Usual(usize),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
struct ChangeSpec {
    kind: usize,
    old: usize,
    snapshot: usize,
    lsn: u64,
    seen_us: i64,
    order: u64,
    cells: Vec<CellSpec>,
}

#[derive(Debug, Clone)]
struct TransactionSpec {
    xid: Option<u32>,
    commit_us: i64,
    last: Option<u64>,
    has_lsn: bool,
    xmin: Option<u64>,
    origin: Option<String>,
    origin_lsn: Option<u64>,
}

fn column() -> impl Strategy<Value = ColumnSpec> {
    let name = prop_oneof![3 => "[a-z]{1,6}", 1 => "\\PC{1,4}"];
    let index = || prop::option::weighted(0.3, 0..20usize);
    (0..1000usize, name, prop::bool::weighted(0.8), index(), index(), index(), 0..3u8).prop_map(
        |(kind, name, optional, default, null, unavailable, on_error)| ColumnSpec {
            kind,
            name,
            optional,
            default,
            null,
            unavailable,
            on_error,
        },
    )
}

fn cell() -> impl Strategy<Value = CellSpec> {
    prop_oneof![
        1 => Just(CellSpec::Null),
        1 => Just(CellSpec::Unchanged),
        10 => (0..1000usize).prop_map(CellSpec::Usual),
        1 => prop::collection::vec(any::<u8>(), 0..24).prop_map(CellSpec::Bytes),
        1 => "\\PC{0,40}".prop_map(|s| CellSpec::Bytes(s.into_bytes())),
        1 => "-?[0-9]{0,20}(\\.[0-9]{0,9})?".prop_map(|s| CellSpec::Bytes(s.into_bytes())),
    ]
}

fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_600_000_000_000_000..1_900_000_000_000_000i64, 1 => -2000..2000i64, 1 => any::<i64>()]
}

fn change() -> impl Strategy<Value = ChangeSpec> {
    let cells = prop::collection::vec(cell(), 24);
    (0..1000usize, 0..3usize, 0..7usize, any::<u64>(), moment(), 0..3u64, cells).prop_map(
        |(kind, old, snapshot, lsn, seen_us, order, cells)| ChangeSpec {
            kind,
            old,
            snapshot,
            lsn,
            seen_us,
            order,
            cells,
        },
    )
}

fn transaction() -> impl Strategy<Value = TransactionSpec> {
    use prop::option::of;
    (of(any::<u32>()), moment(), of(any::<u64>()), any::<bool>(), of(any::<u64>()), of("\\PC{0,5}"), of(any::<u64>()))
        .prop_map(|(xid, commit_us, last, has_lsn, xmin, origin, origin_lsn)| TransactionSpec {
            xid,
            commit_us,
            last,
            has_lsn,
            xmin,
            origin,
            origin_lsn,
        })
}

fn source_schema() -> Schema {
    let (string, long) = (|| Schema::new(Type::String), || Schema::new(Type::Int64));
    Schema::new(Type::Struct)
        .field("version", string())
        .field("connector", string())
        .field("name", string())
        .field("ts_ms", long())
        .field(
            "snapshot",
            string().optional().named("io.debezium.data.Enum").with_default(Some(Value::string("false"))),
        )
        .field("db", string())
        .field("sequence", string().optional())
        .field("ts_us", long().optional())
        .field("ts_ns", long().optional())
        .field("schema", string())
        .field("table", string())
        .field("txId", long().optional())
        .field("lsn", long().optional())
        .field("xmin", long().optional())
        .field("origin", string().optional())
        .field("origin_lsn", long().optional())
}

/// A value of a kind, if one of its texts gives one.
fn sample(kind: &(Leaf, Schema, Vec<&str>), index: usize) -> Value {
    kind.0.value(kind.2[index % kind.2.len()].as_bytes()).unwrap_or(Value::Null)
}

fn plan(columns: &[ColumnSpec], key: Option<usize>, required_row: bool) -> RecordPlan {
    let kinds = kinds();
    let mut row = Schema::new(Type::Struct).optional().named("t.Value");
    let mut fields = Vec::new();
    let mut names = Vec::new();
    for (i, spec) in columns.iter().enumerate() {
        let kind = &kinds[spec.kind % kinds.len()];
        let value = |index: Option<usize>| index.map_or(Value::Null, |i| sample(kind, i));
        let default = Some(value(spec.default)).filter(|d| !d.is_null());
        let schema = kind.1.clone().with_optional(spec.optional).with_default(default);
        // Names differ in the table.
        let name: Arc<str> = format!("{}{i}", spec.name).into();
        names.push(name.clone());
        row = row.field(name, schema);
        fields.push(FieldPlan {
            column: i,
            leaf: kind.0.clone(),
            null: value(spec.null),
            unavailable: value(spec.unavailable),
            on_error: [ConversionFailure::Fail, ConversionFailure::Warn, ConversionFailure::Skip]
                [spec.on_error as usize],
        });
    }
    let row = Arc::new(row);
    let key = key.map(|column| {
        let column = column % columns.len();
        let schema = Schema::new(Type::Struct).named("t.Key");
        let schema = schema.field(row.fields[column].name.clone(), row.fields[column].schema.clone());
        let f = &fields[column];
        let field = FieldPlan {
            column,
            leaf: f.leaf.clone(),
            null: f.null.clone(),
            unavailable: f.unavailable.clone(),
            on_error: f.on_error,
        };
        RowPlan { schema: Arc::new(schema), fields: vec![field] }
    });
    let source = Arc::new(source_schema());
    let block = Schema::new(Type::Struct)
        .optional()
        .field("id", Schema::new(Type::String))
        .field("total_order", Schema::new(Type::Int64))
        .field("data_collection_order", Schema::new(Type::Int64));
    let before = if required_row { Arc::new((*row).clone().with_optional(false)) } else { row.clone() };
    let long = || Schema::new(Type::Int64).optional();
    let envelope = Schema::new(Type::Struct)
        .named("t.Envelope")
        .versioned(2)
        .field("before", before)
        .field("after", row.clone())
        .field("source", source.clone())
        .field("transaction", block)
        .field("op", Schema::new(Type::String))
        .field("ts_ms", long())
        .field("ts_us", long())
        .field("ts_ns", long());
    let ty = Arc::new(PgType { oid: 25, name: "text".into(), namespace: "pg_catalog".into(), kind: TypeKind::Base });
    let column = |name: &Arc<str>| Column {
        name: name.clone(),
        ty: ty.clone(),
        modifier: -1,
        nullable: true,
        default: None,
        generated: false,
        comment: None,
    };
    let relation = Relation {
        oid: 1,
        namespace: "public".into(),
        name: "t".into(),
        identity: ReplicaIdentity::Default,
        columns: names.iter().map(column).collect(),
        key: vec![],
        identifying: vec![],
        key_may_repeat: false,
    };
    RecordPlan {
        id: RecordPlan::next_id(),
        relation: Arc::new(relation),
        topic: "p.public.t".into(),
        key,
        row: RowPlan { schema: row, fields },
        envelope: Arc::new(envelope),
        source: SourcePlan {
            schema: source,
            version: "3.7.0.Final".into(),
            connector: "postgresql".into(),
            name: "p\"😀".into(),
            db: "d\\b".into(),
            namespace: "public".into(),
            table: "t".into(),
        },
        headers: vec![],
        tombstones: true,
        skipped: Default::default(),
        surprises: Vec::new(),
    }
}

fn batch(columns: &[ColumnSpec], plan: &Arc<RecordPlan>, change: &ChangeSpec, t: &TransactionSpec) -> ChangeBatch {
    let kinds = kinds();
    let mut batch = ChangeBatch::default();
    batch.bytes.extend_from_slice(b"before the first");
    let mut cells = change.cells.iter().cycle();
    for i in 0..columns.len() * 2 {
        let kind = &kinds[columns[i % columns.len()].kind % kinds.len()];
        let text = match cells.next().unwrap() {
            CellSpec::Null => {
                batch.cells.push(Cell::NULL);
                continue;
            }
            CellSpec::Unchanged => {
                batch.cells.push(Cell::UNCHANGED);
                continue;
            }
            CellSpec::Usual(index) => kind.2[index % kind.2.len()].as_bytes().to_vec(),
            CellSpec::Bytes(bytes) => bytes.clone(),
        };
        batch.cells.push(Cell::text(batch.bytes.len(), text.len()));
        batch.bytes.extend_from_slice(&text);
    }
    batch.plans.push(plan.clone());
    batch.transactions.push(Transaction {
        xid: t.xid,
        commit_us: t.commit_us,
        last_commit_lsn: t.last.map(Lsn),
        has_lsn: t.has_lsn,
        xmin: t.xmin,
        origin: t.origin.as_deref().map(Arc::from),
        origin_lsn: t.origin_lsn.map(Lsn),
    });
    use ChangeKind::{Delete, Insert, Read, Truncate, Update};
    batch.changes.push(Change {
        kind: [Update, Insert, Read, Delete, Truncate][change.kind % 5],
        old_row: [OldRow::None, OldRow::Key, OldRow::Full][change.old],
        snapshot: [
            SnapshotMark::False,
            SnapshotMark::True,
            SnapshotMark::First,
            SnapshotMark::FirstInDataCollection,
            SnapshotMark::LastInDataCollection,
            SnapshotMark::Last,
            SnapshotMark::Incremental,
        ][change.snapshot],
        plan: 0,
        transaction: 0,
        new: 0,
        old: columns.len() as u32,
        change_lsn: Lsn(change.lsn),
        seen_us: change.seen_us,
        order: TransactionOrder { total: change.order, data_collection: change.order },
    });
    batch
}

/// A row, and what it takes over of the row before.
type RowSpec = (ChangeSpec, TransactionSpec, [bool; 7]);

/// An encoder may still have what it wrote for the row before.
fn resemble((change, t, keeps): &mut RowSpec, (change_before, t_before, _): &RowSpec) {
    fn keep<T: Clone>(keeps: bool, own: &mut T, before: &T) {
        if keeps {
            own.clone_from(before);
        }
    }
    let [kind, snapshot, seen, lsn, commit, last, xid] = *keeps;
    keep(kind, &mut change.kind, &change_before.kind);
    keep(snapshot, &mut change.snapshot, &change_before.snapshot);
    keep(seen, &mut change.seen_us, &change_before.seen_us);
    keep(lsn, &mut change.lsn, &change_before.lsn);
    keep(commit, &mut t.commit_us, &t_before.commit_us);
    keep(last, &mut t.last, &t_before.last);
    keep(xid, &mut t.xid, &t_before.xid);
}

type Encoded = Result<Option<Vec<u8>>, ()>;

fn tree(converter: &dyn Converter, schema: &SchemaRef, value: Result<Value, LeafError>) -> Encoded {
    let value = value.map_err(|_| ())?;
    let schema = Some(schema).filter(|_| !value.is_null());
    let mut out = Vec::new();
    match converter.encode("t", schema, &value, &mut out) {
        Ok(Presence::Bytes) => Ok(Some(out)),
        Ok(Presence::Null) => Ok(None),
        Err(_) => Err(()),
    }
}

fn show(encoded: &Encoded) -> String {
    match encoded {
        Ok(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Ok(None) => "absent".to_owned(),
        Err(()) => "an error".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_row_and_its_tree_give_the_same_bytes(
        columns in prop::collection::vec(column(), 1..12),
        key in prop::option::of(0..12usize),
        required_row in prop::bool::weighted(0.1),
        mut rows in prop::collection::vec((change(), transaction(), prop::array::uniform7(any::<bool>())), 1..4),
        options in prop::array::uniform3(any::<bool>()),
    ) {
        let options: Vec<(String, String)> = vec![
            ("schemas.enable".into(), options[0].to_string()),
            ("replace.null.with.default".into(), options[1].to_string()),
            ("decimal.format".into(), if options[2] { "NUMERIC" } else { "BASE64" }.into()),
        ];
        let converter = converter("JsonConverter", Side::Value, &options).unwrap();
        let plan = Arc::new(plan(&columns, key, required_row));
        for i in 1..rows.len() {
            let (before, after) = rows.split_at_mut(i);
            resemble(&mut after[0], &before[i - 1]);
        }
        let mut sides = [Side::Key, Side::Value].map(|side| converter.row_encoder(&plan, side).map(|e| (side, e)));
        for (change, t, _) in &rows {
            let batch = batch(&columns, &plan, change, t);
            let change = &batch.changes[0];
            for (side, encoder) in sides.iter_mut().flatten() {
                for step in plan.steps(&batch, change).iter() {
                    let (mut by_tree, mut by_row) = (Warnings::default(), Warnings::default());
                    let expected = match *side {
                        Side::Key => match &plan.key {
                            Some(key) => tree(&*converter, &key.schema, plan.key_tree(&batch, step, &mut by_tree)),
                            None => Ok(None),
                        },
                        Side::Value => tree(&*converter, &plan.envelope, plan.value_tree(&batch, change, step, &mut by_tree)),
                    };
                    let mut out = b"before".to_vec();
                    let got = match encoder.encode(&batch, change, step, &mut out, &mut by_row) {
                        Ok(Presence::Bytes) => Ok(Some(out.split_off(6))),
                        Ok(Presence::Null) => Ok(None),
                        Err(_) => Err(()),
                    };
                    prop_assert_eq!(&out, b"before");
                    prop_assert!(expected == got, "{:?}\ntree {}\nrow  {}", side, show(&expected), show(&got));
                    if got.is_ok() {
                        prop_assert_eq!(by_tree.count, by_row.count);
                        let seen = |warnings: &Warnings| {
                            let seen = warnings.surprises.seen.iter();
                            let mut seen: Vec<_> = seen.map(|s| (s.column.clone(), s.surprise, s.count)).collect();
                            seen.sort();
                            seen
                        };
                        prop_assert_eq!(seen(&by_tree), seen(&by_row));
                    }
                }
            }
        }
    }
}

/// Each kind by itself, with each of its texts: what a chance may leave out.
#[test]
fn every_leaf_and_text_gives_the_same_bytes() {
    let mut encoded = 0;
    for (i, kind) in kinds().iter().enumerate() {
        for text in 0..kind.2.len() {
            for format in ["BASE64", "NUMERIC"] {
                let spec = ColumnSpec {
                    kind: i,
                    name: "c".into(),
                    optional: true,
                    default: None,
                    null: None,
                    unavailable: None,
                    on_error: 0,
                };
                let options = [
                    ("schemas.enable".to_owned(), "false".to_owned()),
                    ("decimal.format".to_owned(), format.to_owned()),
                ];
                let converter = converter("JsonConverter", Side::Value, &options).unwrap();
                let columns = [spec];
                let plan = Arc::new(plan(&columns, Some(0), false));
                let change = ChangeSpec {
                    kind: 1,
                    old: 0,
                    snapshot: 0,
                    lsn: 1,
                    seen_us: 1_700_000_000_123_456,
                    order: 0,
                    cells: vec![CellSpec::Usual(text)],
                };
                let t = TransactionSpec {
                    xid: Some(1),
                    commit_us: 1_700_000_000_123_456,
                    last: None,
                    has_lsn: true,
                    xmin: None,
                    origin: None,
                    origin_lsn: None,
                };
                let batch = batch(&columns, &plan, &change, &t);
                let steps = plan.steps(&batch, &batch.changes[0]);
                let step = steps.iter().next().unwrap();
                let mut warnings = Warnings::default();
                let key = plan.key.as_ref().unwrap();
                let expected = tree(&*converter, &key.schema, plan.key_tree(&batch, step, &mut warnings));
                let mut out = Vec::new();
                let mut encoder = converter.row_encoder(&plan, Side::Key).unwrap();
                let got = encoder.encode(&batch, &batch.changes[0], step, &mut out, &mut warnings);
                let got = got.map(|_| Some(out)).map_err(|_| ());
                assert!(expected == got, "{:?} {:?}: {} {}", kind.0, kind.2[text], show(&expected), show(&got));
                encoded += usize::from(got.is_ok());
            }
        }
    }
    assert!(encoded > 400, "{encoded}");
}
