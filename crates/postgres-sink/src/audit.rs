//! `walspring.sink.mode=audit`: one row for each event, deletes and `before` included. The record's place is the key, so a
//! replay adds nothing.

use walspring_connect::{Outcome, SinkRecord};
use walspring_debezium::{ChangeEvent, Op as EventOp};
use walspring_record::{Fields, Typed, Value};

use crate::batch::{Act, Batch, Cell, Op};
use crate::decode::DecodeError;
use crate::errors::SqlError;
use crate::session::Session;
use crate::tables::Tables;
use crate::values::write_json;

const COLUMNS: &str = "topic text NOT NULL, partition integer NOT NULL, kafka_offset bigint NOT NULL, op text NOT NULL, \
     ts timestamp with time zone, lsn pg_lsn, tx_id bigint, key jsonb, before jsonb, after jsonb, \
     PRIMARY KEY (topic, partition, kafka_offset)";

const KEY: [&str; 3] = ["topic", "partition", "kafka_offset"];

/// What makes the table.
pub fn create_table(sql_name: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {sql_name} ({COLUMNS})")
}

pub fn record(
    tables: &mut Tables,
    session: &mut Session,
    index: usize,
    record: &SinkRecord,
    batch: &mut Batch,
) -> Result<Outcome, DecodeError> {
    let (op, before, after, source) = match ChangeEvent::of(&record.value) {
        // The delete before it is the event.
        ChangeEvent::Tombstone => return Ok(Outcome::Ignore),
        ChangeEvent::Other(_) => ("r", None, Some(json(&record.value)), None),
        ChangeEvent::Row { op, before, after, source, flat } => {
            let name = match op {
                EventOp::Create => "c",
                EventOp::Read => "r",
                EventOp::Update => "u",
                EventOp::Delete => "d",
                EventOp::Truncate => "t",
                EventOp::Message => "m",
            };
            let image = |name: &str| child_json(&record.value, name);
            match flat {
                // The row of a flat delete is what was there before.
                true if op == EventOp::Delete => (name, Some(json(&record.value)), None, None),
                true => (name, None, Some(json(&record.value)), None),
                false => (name, before.and_then(|_| image("before")), after.and_then(|_| image("after")), source),
            }
        }
    };
    let at = tables.destination(session, record, source, None)?;
    let number = |name: &str| {
        source.and_then(|source| source.get(name)).and_then(|field| match field.value {
            Value::Int64(n) => Some(*n),
            _ => None,
        })
    };
    let ts_ms = number("ts_ms").or(record.timestamp_ms);
    let origin = &record.origin;
    let key = (!record.key.value.is_null()).then(|| json(&record.key));
    let values: [(&str, Option<Vec<u8>>); 10] = [
        ("topic", Some(origin.topic.as_bytes().to_vec())),
        ("partition", Some(origin.partition.to_string().into_bytes())),
        ("kafka_offset", Some(origin.kafka_offset.to_string().into_bytes())),
        ("op", Some(op.as_bytes().to_vec())),
        ("ts", ts_ms.map(|ms| moment(tables, ms)).transpose()?),
        ("lsn", number("lsn").map(|lsn| format!("{:X}/{:X}", lsn >> 32 & 0xffff_ffff, lsn & 0xffff_ffff).into_bytes())),
        ("tx_id", number("txId").map(|tx| tx.to_string().into_bytes())),
        ("key", key),
        ("before", before),
        ("after", after),
    ];
    let cells = batch.cells.len();
    let destination = &mut tables.destinations[at];
    batch.cells.resize(cells + destination.table.columns.len(), Cell::Absent);
    for (name, value) in values {
        let Some(column) = destination.table.column(name) else {
            let error = format!("the audit table {} has no column {name}", destination.table.sql_name);
            return Err(SqlError::definite(error).hinted(create_table(&destination.table.sql_name)).into());
        };
        batch.cells[cells + column] = match value {
            None => Cell::Null,
            Some(text) => {
                let start = batch.bytes.len();
                batch.bytes.extend_from_slice(&text);
                Cell::Text { start, len: text.len() }
            }
        };
    }
    let columns: Vec<usize> = KEY.iter().filter_map(|name| destination.table.column(name)).collect();
    let key_set = destination.key_set(&columns);
    batch.ops.push(Op { record: index, destination: at, key_set, act: Act::InsertNew, cells });
    Ok(Outcome::Insert)
}

fn moment(tables: &Tables, ms: i64) -> Result<Vec<u8>, DecodeError> {
    let schema = walspring_record::Schema::new(walspring_record::Type::Int64).named("io.debezium.time.Timestamp");
    let mut text = Vec::new();
    let target = crate::target::Target::TimestampTz { precision: 3 };
    tables.reading.write(&target, Some(&schema), &Value::Int64(ms), &mut text).map_err(|e| DecodeError::Record(e.0))?;
    // Whatever the session's zone is.
    text.extend_from_slice(b"+00");
    Ok(text)
}

fn json(typed: &Typed) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(typed.schema.as_deref(), &typed.value, &mut out);
    out
}

fn child_json(typed: &Typed, name: &str) -> Option<Vec<u8>> {
    let field = Fields::of_typed(typed)?.get(name).filter(|field| !field.value.is_null())?;
    let mut out = Vec::new();
    write_json(field.schema.map(|schema| &**schema), field.value, &mut out);
    Some(out)
}
