//! From bytes of the stream to record batches, without either end: what the processor does for a row, and nothing else.
//!
//! The loops are those of `change_reader` (source) and `record_encoder` (runtime), which are private to their crates,
//! for inserts: the pieces that they call are the product's own.

use std::sync::Arc;
use std::time::Instant;

use walspring_config::postgres::ColumnRules;
use walspring_connect::writer::{
    BatchAssembler, EncodedBatch, HeaderBytes, HeadersId, RecordBytes, TopicId, TopicInfo,
};
use walspring_connect::{Converter, HeaderConverter, RowEncoder, Side};
use walspring_debezium::{EventConfig, TopicNames};
use walspring_pgoutput::{CellKind, Decoder, Message};
use walspring_record::leaf::Reader;
use walspring_record::{
    Cell, Change, ChangeBatch, ChangeKind, Lsn, OldRow, RecordPlan, SnapshotMark, Transaction, TransactionOrder,
    Warnings,
};
use walspring_record_batch::Assembler;

use crate::stream::Stream;
use crate::{Result, rows};

/// A batch is closed at this size, as the source does.
const BATCH_BYTES: usize = 256 * 1024;
const TOPIC: &str = "bench.public.bench";

/// What one round made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub records: u64,
    pub bytes: u64,
}

/// The record path for one table.
pub struct Pipeline {
    plan: Arc<RecordPlan>,
    key: Box<dyn RowEncoder>,
    value: Box<dyn RowEncoder>,
    assembler: Assembler,
    topic: TopicId,
    headers: HeadersId,
    decoder: Decoder,
    batch: ChangeBatch,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
}

impl Pipeline {
    /// With the default options of the connector, and JSON with or without schemas.
    pub fn new(schemas: bool) -> Result<Pipeline> {
        Pipeline::with_columns(schemas, ColumnRules::default())
    }

    /// With some columns left out, cut, masked or hashed.
    pub fn with_columns(schemas: bool, columns: ColumnRules) -> Result<Pipeline> {
        let mut events = EventConfig::new(TopicNames::new("bench"), "bench", "00000000-0000-4000-8000-000000000000");
        events.columns = Arc::new(columns);
        let plan = walspring_debezium::plan(Arc::new(rows::relation()), &events, Reader::Stream)?;
        let plan = Arc::new(plan);
        let options = [("schemas.enable".to_owned(), schemas.to_string())];
        let encoder = |side| -> Result<Box<dyn RowEncoder>> {
            let converter: Box<dyn Converter> = walspring_converters::converter("JsonConverter", side, &options)?;
            Ok(converter.row_encoder(&plan, side).ok_or("the JSON converter compiles every plan")?)
        };
        let mut assembler = Assembler::new();
        let topic = assembler.topic(&TOPIC.into(), &TopicInfo { partitions: 1, batch_bytes_max: 1 << 20 });
        let headers = assembler.headers(&context_headers(&plan)?);
        Ok(Pipeline {
            key: encoder(Side::Key)?,
            value: encoder(Side::Value)?,
            plan: plan.clone(),
            assembler,
            topic,
            headers,
            decoder: Decoder::new(),
            batch: ChangeBatch::default(),
            key_bytes: Vec::new(),
            value_bytes: Vec::new(),
        })
    }

    /// Decodes and encodes the whole stream; `take` gets each change batch's record batches.
    pub fn run(&mut self, stream: &Stream, mut take: impl FnMut(Vec<EncodedBatch>)) -> Result<Made> {
        let mut made = Made::default();
        let mut close = |this: &mut Pipeline| -> Result<()> {
            this.encode()?;
            let batches = this.assembler.take();
            made.records += batches.iter().map(|b| u64::from(b.records)).sum::<u64>();
            made.bytes += batches.iter().map(|b| b.bytes.len() as u64).sum::<u64>();
            take(batches);
            this.batch.clear(BATCH_BYTES * 2);
            Ok(())
        };
        let mut open = None;
        for (lsn, payload) in stream.messages() {
            self.decode(lsn, payload, &mut open)?;
            if self.batch.size() >= BATCH_BYTES {
                close(self)?;
            }
        }
        close(self)?;
        Ok(made)
    }

    fn decode(&mut self, lsn: Lsn, payload: &[u8], open: &mut Option<(u32, i64)>) -> Result<()> {
        let batch = &mut self.batch;
        match self.decoder.decode(payload)? {
            Message::Insert(m) => {
                let base = batch.bytes.len();
                batch.bytes.extend_from_slice(payload);
                let new = batch.cells.len() as u32;
                m.new.push_cells(|kind, start, len| {
                    batch.cells.push(match kind {
                        CellKind::Text | CellKind::Binary => Cell::text(base + start, len),
                        CellKind::Null => Cell::NULL,
                        CellKind::Unchanged => Cell::UNCHANGED,
                    });
                });
                if batch.transactions.is_empty()
                    || open.is_some_and(|(xid, _)| batch.transactions.last().is_none_or(|t| t.xid != Some(xid)))
                {
                    let (xid, commit_us) = open.ok_or("a change outside of a transaction")?;
                    batch.transactions.push(transaction(xid, commit_us, lsn));
                }
                let plan = batch.plan_index(&self.plan);
                batch.changes.push(Change {
                    kind: ChangeKind::Insert,
                    old_row: OldRow::None,
                    snapshot: SnapshotMark::False,
                    plan,
                    transaction: batch.transactions.len() as u32 - 1,
                    new,
                    old: 0,
                    change_lsn: lsn,
                    seen_us: 1_767_225_601_123_456,
                    order: TransactionOrder::default(),
                });
            }
            Message::Begin(m) => *open = Some((m.xid, m.commit_ts.unix_us())),
            Message::Commit(_) => *open = None,
            _ => {}
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<()> {
        let mut warnings = Warnings::default();
        for change in &self.batch.changes {
            for step in self.plan.steps(&self.batch, change).iter() {
                self.key_bytes.clear();
                self.value_bytes.clear();
                self.key.encode(&self.batch, change, step, &mut self.key_bytes, &mut warnings)?;
                self.value.encode(&self.batch, change, step, &mut self.value_bytes, &mut warnings)?;
                self.assembler.append(&RecordBytes {
                    topic: self.topic,
                    partition: None,
                    timestamp_ms: 1_767_225_601_123,
                    key: Some(&self.key_bytes),
                    value: Some(&self.value_bytes),
                    own_headers: &[],
                    headers: self.headers,
                });
            }
        }
        if warnings.count > 0 {
            return Err(
                format!("{} values could not be converted: {:?}", warnings.count, warnings.surprises.seen).into()
            );
        }
        Ok(())
    }
}

fn transaction(xid: u32, commit_us: i64, lsn: Lsn) -> Transaction {
    Transaction {
        xid: Some(xid),
        commit_us,
        last_commit_lsn: Some(lsn),
        has_lsn: true,
        xmin: None,
        origin: None,
        origin_lsn: None,
    }
}

fn context_headers(plan: &RecordPlan) -> Result<Vec<HeaderBytes>> {
    let converter: Box<dyn HeaderConverter> = walspring_converters::header_converter("SimpleHeaderConverter", &[])?;
    let header = |h: &walspring_record::Header| -> Result<HeaderBytes> {
        let value = converter.encode_header(TOPIC, &h.name, h.value.schema.as_deref(), &h.value.value)?;
        Ok((h.name.clone(), value))
    };
    plan.headers.iter().map(header).collect()
}

/// The best round: nanoseconds a row, and what a round makes.
pub fn measure(pipeline: &mut Pipeline, stream: &Stream, rounds: usize) -> Result<(f64, Made)> {
    let (mut best, mut made) = (f64::MAX, Made::default());
    for _ in 0..rounds {
        let start = Instant::now();
        made = pipeline.run(stream, drop)?;
        best = best.min(start.elapsed().as_nanos() as f64 / stream.rows as f64);
    }
    Ok((best, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record_batch::batches;

    #[test]
    fn a_row_becomes_the_event_of_its_insert() {
        let stream = Stream::of_inserts(3, 2);
        let mut pipeline = Pipeline::new(false).unwrap();
        let mut seen = Vec::new();
        let made = pipeline.run(&stream, |b| seen.extend(b)).unwrap();
        assert_eq!((made.records, seen.len()), (3, 1));
        let batch = batches(&seen[0].bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let record = batch.records(&mut scratch, usize::MAX).unwrap().nth(2).unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
        assert_eq!(record.key, Some(&br#"{"id":1000002}"#[..]));
        assert_eq!(value["op"], "c");
        assert_eq!(value["after"]["account"], 15838);
        assert_eq!(value["after"]["created"], "2026-01-01T00:00:02.002000Z");
        assert_eq!(value["source"]["txId"], 701, "the second transaction's");
        assert_eq!(record.headers().count(), 4);
    }
}
