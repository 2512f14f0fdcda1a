//! Nanoseconds a row of encoding inserts into the benchmark's table (`bench`: nine columns, 850 bytes of value), key and
//! value, without and with schemas; and, for comparison, by way of the tree.
//!
//! `cargo run --release -p walspring-converters --example encode_rows`

use std::sync::Arc;
use std::time::Instant;

use walspring_connect::{Converter, Side};
use walspring_converters::converter;
use walspring_record::leaf::ZonedForm;
use walspring_record::*;

const ROWS: usize = 2000;
const ROUNDS: usize = 200;

fn columns() -> Vec<(&'static str, Leaf, Schema)> {
    let named = |ty, name: &str| Schema::new(ty).named(name).versioned(1);
    let decimal = named(Type::Bytes, "org.apache.kafka.connect.data.Decimal");
    let decimal = decimal.parameter("scale", "2").parameter("connect.decimal.precision", "12");
    let created = Leaf::TimestampTz { form: ZonedForm::Text, precision: 6 };
    vec![
        ("id", Leaf::Int64, Schema::new(Type::Int64)),
        ("account", Leaf::Int32, Schema::new(Type::Int32)),
        ("status", Leaf::Text, Schema::new(Type::String)),
        ("note", Leaf::Text, Schema::new(Type::String).optional()),
        ("amount", Leaf::Decimal { scale: 2 }, decimal.optional()),
        ("created", created, named(Type::String, "io.debezium.time.ZonedTimestamp")),
        ("payload", Leaf::Text, named(Type::String, "io.debezium.data.Json").optional()),
        ("token", Leaf::Text, named(Type::String, "io.debezium.data.Uuid").optional()),
        ("active", Leaf::Boolean, Schema::new(Type::Boolean).optional()),
    ]
}

fn plan() -> RecordPlan {
    let mut row = Schema::new(Type::Struct).optional().named("bench.public.bench.Value");
    let mut fields = Vec::new();
    for (column, (name, leaf, schema)) in columns().into_iter().enumerate() {
        row = row.field(name, schema);
        fields.push(FieldPlan {
            column,
            leaf,
            null: Value::Null,
            unavailable: Value::Null,
            on_error: ConversionFailure::Warn,
        });
    }
    let row = Arc::new(row);
    let (string, long) = (|| Schema::new(Type::String), || Schema::new(Type::Int64));
    let mut source = Schema::new(Type::Struct).named("io.debezium.connector.postgresql.Source").versioned(1);
    for name in ["version", "connector", "name"] {
        source = source.field(name, string());
    }
    let source = source
        .field("ts_ms", long())
        .field("snapshot", string().optional().with_default(Some(Value::string("false"))))
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
        .field("origin_lsn", long().optional());
    let source = Arc::new(source);
    let block = Schema::new(Type::Struct).optional().field("id", string());
    let block = block.field("total_order", long()).field("data_collection_order", long());
    let envelope = Schema::new(Type::Struct)
        .named("bench.public.bench.Envelope")
        .versioned(2)
        .field("before", row.clone())
        .field("after", row.clone())
        .field("source", source.clone())
        .field("transaction", block)
        .field("op", string())
        .field("ts_ms", long().optional())
        .field("ts_us", long().optional())
        .field("ts_ns", long().optional());
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
    let id = FieldPlan {
        column: 0,
        leaf: Leaf::Int64,
        null: Value::Null,
        unavailable: Value::Null,
        on_error: ConversionFailure::Warn,
    };
    RecordPlan {
        id: RecordPlan::next_id(),
        relation: Arc::new(Relation {
            oid: 1,
            namespace: "public".into(),
            name: "bench".into(),
            identity: ReplicaIdentity::Default,
            columns: columns().iter().map(|(name, ..)| column(name)).collect(),
            key: vec![0],
            identifying: vec![0],
            key_may_repeat: false,
        }),
        topic: "bench.public.bench".into(),
        key: Some(RowPlan {
            schema: Arc::new(Schema::new(Type::Struct).named("bench.public.bench.Key").field("id", long())),
            fields: vec![id],
        }),
        row: RowPlan { schema: row, fields },
        envelope: Arc::new(envelope),
        source: SourcePlan {
            schema: source,
            version: "3.7.0.Final".into(),
            connector: "postgresql".into(),
            name: "bench".into(),
            db: "bench".into(),
            namespace: "public".into(),
            table: "bench".into(),
        },
        headers: vec![],
        tombstones: true,
        skipped: Default::default(),
        surprises: Vec::new(),
    }
}

fn batch(plan: &Arc<RecordPlan>) -> ChangeBatch {
    let mut batch = ChangeBatch::default();
    batch.plans.push(plan.clone());
    for i in 0..ROWS {
        // Transactions of a thousand rows.
        if i % 1000 == 0 {
            batch.transactions.push(Transaction {
                xid: Some(1000 + i as u32),
                commit_us: 1_767_225_600_123_456 + i as i64,
                last_commit_lsn: Some(Lsn(0x1_6B37_4D84 + i as u64)),
                has_lsn: true,
                xmin: None,
                origin: None,
                origin_lsn: None,
            });
        }
        let hash = format!("{:032x}", (i as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        let texts = [
            (1_000_000 + i).to_string(),
            ((i * 7919) % 100_000).to_string(),
            ["new", "paid", "sent", "done"][i % 4].to_owned(),
            hash.repeat(3),
            format!("{}.{:02}", i * 37 % 10_000, i % 100),
            format!("2026-01-01 00:{:02}:{:02}.{:03}+00", i / 60 % 60, i % 60, i % 1000),
            format!("{{\"k\": {i}, \"name\": \"{hash}\", \"tags\": [\"a\", \"b\"]}}"),
            format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]),
            if i % 2 == 0 { "t" } else { "f" }.to_owned(),
        ];
        let new = batch.cells.len() as u32;
        for text in texts {
            batch.cells.push(Cell::text(batch.bytes.len(), text.len()));
            batch.bytes.extend_from_slice(text.as_bytes());
        }
        batch.changes.push(Change {
            kind: ChangeKind::Insert,
            old_row: OldRow::None,
            snapshot: SnapshotMark::False,
            plan: 0,
            transaction: batch.transactions.len() as u32 - 1,
            new,
            old: 0,
            change_lsn: Lsn(0x1_6B37_4D84 + i as u64 * 300),
            seen_us: 1_767_225_601_123_456 + i as i64,
            order: TransactionOrder::default(),
        });
    }
    batch
}

/// The best of the rounds, and the bytes of one row.
fn measure(rounds: usize, mut round: impl FnMut(&mut Vec<u8>)) -> (f64, usize) {
    let mut out = Vec::new();
    let mut best = f64::MAX;
    for _ in 0..rounds {
        out.clear();
        let start = Instant::now();
        round(&mut out);
        best = best.min(start.elapsed().as_nanos() as f64 / ROWS as f64);
    }
    (best, out.len() / ROWS)
}

fn main() {
    let plan = Arc::new(plan());
    let batch = batch(&plan);
    for schemas in ["false", "true"] {
        let options = [("schemas.enable".to_owned(), schemas.to_owned())];
        let converter: Box<dyn Converter> = converter("JsonConverter", Side::Value, &options).expect("it is known");
        let mut warnings = Warnings::default();
        for side in [Side::Key, Side::Value] {
            let mut encoder = converter.row_encoder(&plan, side).expect("the plan has the usual form");
            let (ns, bytes) = measure(ROUNDS, |out| {
                for change in &batch.changes {
                    for step in plan.steps(&batch, change).iter() {
                        encoder.encode(&batch, change, step, out, &mut warnings).expect("the rows are good");
                    }
                }
            });
            println!("schemas.enable={schemas} {side:?}: {ns:.0} ns/row, {bytes} bytes");
        }
        let (ns, _) = measure(ROUNDS / 10, |out| {
            for change in &batch.changes {
                for step in plan.steps(&batch, change).iter() {
                    let tree = plan.value_tree(&batch, change, step, &mut warnings).expect("the rows are good");
                    converter.encode("t", Some(&plan.envelope), &tree, out).expect("the rows are good");
                }
            }
        });
        println!("schemas.enable={schemas} Value by the tree: {ns:.0} ns/row");
    }
}
