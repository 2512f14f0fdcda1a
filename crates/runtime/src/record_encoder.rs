//! Turns a batch of changes into records as bytes: by each relation's compiled plan, or through trees of values where a
//! converter or a transform asks for them.
//!
//! Per row there is no lock, log line or lookup by name: plans of a batch are looked up once per batch, topics and
//! constant headers once per plan.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_connect::writer::{
    BatchAssembler, EncodedBatch, HeaderBytes, HeadersId, RecordBytes, RecordWriter, TopicId, TopicInfo,
};
use walspring_connect::{
    CONNECT_EXCEPTION, ConvertError, Converter, HeaderConverter, PRODUCER_FAILED, Presence, RowEncoder, Side, TaskError,
};
use walspring_record::{
    Change, ChangeBatch, ChangeKind, Header, KeyHeader, LeafError, Record, RecordPlan, SchemaRef, Step, Typed, Value,
    Warnings,
};

use crate::committer::write_error;
use crate::errors::Stage;
use crate::errors::source::{SourceErrors, TOO_LARGE, tolerance_exceeded};
use crate::metrics::TaskMetrics;
use crate::plugins::Converters;
use crate::source_tracing::SourceTracing;
use crate::surprise_log::SurpriseLog;
use crate::transform_chain::TransformChain;

/// Plans of relation versions that are gone stay until there are this many; then all are compiled anew.
const PLANS_MAX: usize = 8192;

pub(crate) struct RecordEncoder {
    converters: Converters,
    chain: TransformChain,
    assembler: Box<dyn BatchAssembler>,
    errors: SourceErrors,
    unreadable: Unreadable,
    metrics: Arc<TaskMetrics>,
    /// Hears of each topic once.
    on_topic: Box<dyn FnMut(&str) + Send>,
    tracing: Option<SourceTracing>,
    surprises: SurpriseLog,

    plans: Vec<CompiledPlan>,
    plan_ids: HashMap<u64, usize>,
    /// With the largest batch that each takes.
    topics: HashMap<Arc<str>, (TopicId, usize)>,
    no_headers: HeadersId,
    /// For the open batch: the compiled plan of each of its plans.
    of_batch: Vec<usize>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// `event.processing.failure.handling.mode`: what becomes of a change in the stream that no event can be made of. A row of
/// a snapshot always fails the task, as in the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Fails,
    LeftOut { with_warning: bool },
}

struct CompiledPlan {
    topic: TopicId,
    /// Where larger records are left out.
    record_bytes_max: Option<usize>,
    headers: HeadersId,
    key: Option<Box<dyn RowEncoder>>,
    value: Option<Box<dyn RowEncoder>>,
}

/// Why a record did not come about.
enum Failed {
    /// In the source's part of the way, which the original does before Connect sees the record: never tolerated.
    Leaf(LeafError),
    /// In a converter or a transform.
    Convert(Stage, ConvertError),
    /// It has so many bytes, and errors are tolerated.
    TooLarge(usize),
    Task(TaskError),
}

impl From<LeafError> for Failed {
    fn from(e: LeafError) -> Failed {
        Failed::Leaf(e)
    }
}

impl Failed {
    fn at(stage: Stage) -> impl FnOnce(ConvertError) -> Failed {
        move |e| Failed::Convert(stage, e)
    }
}

impl RecordEncoder {
    pub fn new(
        converters: Converters,
        chain: TransformChain,
        mut assembler: Box<dyn BatchAssembler>,
        errors: SourceErrors,
        metrics: Arc<TaskMetrics>,
        on_topic: Box<dyn FnMut(&str) + Send>,
    ) -> RecordEncoder {
        let no_headers = assembler.headers(&[]);
        RecordEncoder {
            converters,
            chain,
            assembler,
            errors,
            unreadable: Unreadable::Fails,
            metrics,
            on_topic,
            tracing: None,
            surprises: SurpriseLog::default(),
            plans: Vec::new(),
            plan_ids: HashMap::new(),
            topics: HashMap::new(),
            no_headers,
            of_batch: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// From now on records carry a trace context, if there is anyone to give them one.
    pub fn trace(&mut self, tracing: Option<SourceTracing>) {
        self.tracing = tracing;
    }

    pub fn on_unreadable(&mut self, unreadable: Unreadable) {
        self.unreadable = unreadable;
    }

    /// Encodes all of a batch. On an error what came before the failed change is still there to be taken.
    pub fn encode(&mut self, batch: &ChangeBatch, writer: &mut dyn RecordWriter, now_ms: i64) -> Result<(), TaskError> {
        let mut warnings = Warnings::default();
        let result = self.encode_changes(batch, writer, now_ms, &mut warnings);
        if warnings.count > 0 {
            self.metrics.warnings.add(warnings.count);
        }
        self.surprises.tell(batch, &warnings.surprises, &self.metrics);
        // One huge row must not keep its memory.
        self.key.shrink_to(1 << 16);
        self.value.shrink_to(1 << 20);
        result
    }

    /// The encoded batches so far.
    pub fn take(&mut self) -> Vec<EncodedBatch> {
        let batches = self.assembler.take();
        self.metrics.records.add(batches.iter().map(|b| u64::from(b.records)).sum());
        self.metrics.record_bytes.add(batches.iter().map(|b| b.bytes.len() as u64).sum());
        batches
    }

    fn encode_changes(
        &mut self,
        batch: &ChangeBatch,
        writer: &mut dyn RecordWriter,
        now_ms: i64,
        warnings: &mut Warnings,
    ) -> Result<(), TaskError> {
        let through_trees = !self.chain.is_empty();
        if !through_trees {
            self.compile_plans(batch, writer)?;
        }
        for change in &batch.changes {
            if change.kind == ChangeKind::Record {
                let record = batch.records[change.plan as usize].clone();
                let topic = record.topic.clone();
                let result = self.append_tree(record, writer, now_ms, None);
                self.tolerate(result, batch, change, &topic)?;
                continue;
            }
            let plan = &batch.plans[change.plan as usize];
            for step in plan.steps(batch, change).iter() {
                let result = if through_trees {
                    tree(plan, batch, change, step, warnings)
                        .map_err(Failed::Leaf)
                        .and_then(|record| self.append_tree(record, writer, now_ms, committed_us(batch, change)))
                } else {
                    self.append_row(plan, batch, change, step, now_ms, warnings)
                };
                warnings.surprises.locate(&plan.relation);
                match result {
                    Ok(()) => {}
                    // Neither its other events nor its tombstone come.
                    Err(Failed::Leaf(e)) if self.leaves_out(change, plan, &e) => break,
                    failed => self.tolerate(failed, batch, change, &plan.topic)?,
                }
            }
        }
        Ok(())
    }

    /// Finds or compiles the plans of a batch.
    fn compile_plans(&mut self, batch: &ChangeBatch, writer: &mut dyn RecordWriter) -> Result<(), TaskError> {
        if self.plans.len() > PLANS_MAX {
            self.plans.clear();
            self.plan_ids.clear();
        }
        self.of_batch.clear();
        self.new_topics(batch, writer)?;
        for plan in &batch.plans {
            let index = match self.plan_ids.get(&plan.id) {
                Some(index) => *index,
                None => {
                    let compiled = self.compile(plan, writer)?;
                    self.plans.push(compiled);
                    self.plan_ids.insert(plan.id, self.plans.len() - 1);
                    self.plans.len() - 1
                }
            };
            self.of_batch.push(index);
        }
        Ok(())
    }

    fn compile(&mut self, plan: &Arc<RecordPlan>, writer: &mut dyn RecordWriter) -> Result<CompiledPlan, TaskError> {
        let headers =
            encode_headers(&*self.converters.header, &plan.topic, &plan.headers).map_err(|e| tolerance_exceeded(&e))?;
        let (topic, batch_bytes_max) = self.topic(&plan.topic, writer)?;
        Ok(CompiledPlan {
            topic,
            record_bytes_max: self.errors.record_bytes_max(batch_bytes_max),
            headers: self.assembler.headers(&headers),
            key: self.converters.key.row_encoder(plan, Side::Key),
            value: self.converters.value.row_encoder(plan, Side::Value),
        })
    }

    /// Those of the batch that are seen for the first time, together: each may have to be made.
    fn new_topics(&mut self, batch: &ChangeBatch, writer: &mut dyn RecordWriter) -> Result<(), TaskError> {
        let of_new_plans = batch.plans.iter().filter(|plan| !self.plan_ids.contains_key(&plan.id));
        let mut new: Vec<Arc<str>> =
            of_new_plans.map(|plan| plan.topic.clone()).filter(|topic| !self.topics.contains_key(topic)).collect();
        new.sort_unstable();
        new.dedup();
        // One alone is asked for where its plan is compiled.
        if new.len() > 1 {
            let infos = writer.topics(&new).map_err(|e| write_error(&e))?;
            for (name, info) in new.iter().zip(&infos) {
                self.add_topic(name, info);
            }
        }
        Ok(())
    }

    /// And the largest batch that it takes.
    fn topic(&mut self, name: &Arc<str>, writer: &mut dyn RecordWriter) -> Result<(TopicId, usize), TaskError> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(*topic);
        }
        let info = writer.topic(name).map_err(|e| write_error(&e))?;
        Ok(self.add_topic(name, &info))
    }

    fn add_topic(&mut self, name: &Arc<str>, info: &TopicInfo) -> (TopicId, usize) {
        let topic = (self.assembler.topic(name, info), info.batch_bytes_max);
        self.topics.insert(name.clone(), topic);
        (self.on_topic)(name);
        topic
    }

    #[inline]
    fn append_row(
        &mut self,
        plan: &Arc<RecordPlan>,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        now_ms: i64,
        warnings: &mut Warnings,
    ) -> Result<(), Failed> {
        let compiled = &mut self.plans[self.of_batch[change.plan as usize]];
        self.key.clear();
        self.value.clear();

        let key = match (&plan.key, step.key, &mut compiled.key) {
            (None, ..) | (_, None, _) => Presence::Null,
            (Some(_), Some(_), Some(encoder)) => {
                encoder.encode(batch, change, step, &mut self.key, warnings).map_err(leaf)?
            }
            (Some(key), Some(_), None) => {
                let tree = plan.key_tree(batch, step, warnings)?;
                let converter = &self.converters.key;
                self.errors
                    .retry
                    .run(|| encode(&**converter, &plan.topic, Some(&key.schema), &tree, &mut self.key))
                    .map_err(Failed::at(Stage::KeyConverter))?
            }
        };
        let value = match &mut compiled.value {
            _ if step.tombstone => Presence::Null,
            Some(encoder) => encoder.encode(batch, change, step, &mut self.value, warnings).map_err(leaf)?,
            None => {
                let tree = plan.value_tree(batch, change, step, warnings)?;
                let converter = &self.converters.value;
                self.errors
                    .retry
                    .run(|| encode(&**converter, &plan.topic, Some(&plan.envelope), &tree, &mut self.value))
                    .map_err(Failed::at(Stage::ValueConverter))?
            }
        };
        // Most records have none; then nothing is allocated.
        let mut own_headers = Vec::new();
        if let Some(header) = step.key_header {
            own_headers.push(key_header(&*self.converters.header, plan, batch, header, warnings)?);
        }
        if let Some(tracing) = &self.tracing {
            own_headers.extend(tracing.header(&*self.converters.header, &plan.topic, committed_us(batch, change)));
        }
        let record = RecordBytes {
            topic: compiled.topic,
            partition: None,
            timestamp_ms: now_ms,
            key: (key == Presence::Bytes).then_some(&self.key),
            value: (value == Presence::Bytes).then_some(&self.value),
            own_headers: &own_headers,
            headers: compiled.headers,
        };
        append(&mut *self.assembler, &record, compiled.record_bytes_max)
    }

    fn append_tree(
        &mut self,
        record: Record,
        writer: &mut dyn RecordWriter,
        now_ms: i64,
        committed_us: Option<i64>,
    ) -> Result<(), Failed> {
        let retry = &self.errors.retry;
        let Some(record) = self.chain.apply(record, retry).map_err(Failed::at(Stage::Transformation))? else {
            return Ok(());
        };
        let run = |converter: &dyn Converter, typed: &Typed, out: &mut Vec<u8>| {
            retry.run(|| encode(converter, &record.topic, typed.schema.as_ref(), &typed.value, out))
        };
        let key = run(&*self.converters.key, &record.key, &mut self.key).map_err(Failed::at(Stage::KeyConverter))?;
        let value =
            run(&*self.converters.value, &record.value, &mut self.value).map_err(Failed::at(Stage::ValueConverter))?;
        let mut headers = retry
            .run(|| encode_headers(&*self.converters.header, &record.topic, &record.headers))
            .map_err(Failed::at(Stage::HeaderConverter))?;
        let (topic, batch_bytes_max) = self.topic(&record.topic, writer).map_err(Failed::Task)?;
        if let Some(tracing) = &self.tracing {
            headers.extend(tracing.header(&*self.converters.header, &record.topic, committed_us));
        }
        let record = RecordBytes {
            topic,
            partition: record.partition,
            timestamp_ms: record.timestamp_ms.unwrap_or(now_ms),
            key: (key == Presence::Bytes).then_some(&self.key),
            value: (value == Presence::Bytes).then_some(&self.value),
            own_headers: &headers,
            headers: self.no_headers,
        };
        append(&mut *self.assembler, &record, self.errors.record_bytes_max(batch_bytes_max))
    }

    fn leaves_out(&self, change: &Change, plan: &RecordPlan, why: &LeafError) -> bool {
        let Unreadable::LeftOut { with_warning } = self.unreadable else { return false };
        if change.kind == ChangeKind::Read {
            return false;
        }
        self.metrics.skipped.add(1);
        if with_warning {
            let table = plan.relation.qualified_name();
            tracing::warn!(%table, "a change is left out, as event.processing.failure.handling.mode says: {why}");
        }
        true
    }

    /// What becomes of a record of this change, whose topic was this before any transform.
    #[inline]
    fn tolerate(
        &mut self,
        result: Result<(), Failed>,
        batch: &ChangeBatch,
        change: &Change,
        topic: &str,
    ) -> Result<(), TaskError> {
        match result {
            Ok(()) => Ok(()),
            Err(failed) => self.failed(failed, batch, change, topic),
        }
    }

    #[cold]
    fn failed(&mut self, failed: Failed, batch: &ChangeBatch, change: &Change, topic: &str) -> Result<(), TaskError> {
        let place = || place(batch, change, topic);
        match failed {
            Failed::Task(e) => Err(e),
            Failed::Leaf(e) => Err(source_failed(&e, batch)),
            Failed::TooLarge(bytes) => {
                self.errors.too_large(bytes, place);
                Ok(())
            }
            Failed::Convert(stage, e) => {
                let class = match stage {
                    Stage::KeyConverter => self.converters.key_class,
                    Stage::HeaderConverter => self.converters.header_class,
                    Stage::Transformation => self.chain.last_class(),
                    _ => self.converters.value_class,
                };
                self.errors.refused(stage, class, e, place)
            }
        }
    }
}

/// When the change was committed, or read by a snapshot.
fn committed_us(batch: &ChangeBatch, change: &Change) -> Option<i64> {
    batch.transactions.get(change.transaction as usize).map(|transaction| transaction.commit_us)
}

/// Where a record that failed stood; never what is in it.
fn place(batch: &ChangeBatch, change: &Change, topic: &str) -> String {
    let xid = batch.transactions.get(change.transaction as usize).and_then(|transaction| transaction.xid);
    // Records that were made as trees have none.
    let mut offset = match change.kind {
        ChangeKind::Record => String::new(),
        _ => format!("lsn={}", change.change_lsn.0),
    };
    if let Some(xid) = xid.filter(|_| !offset.is_empty()) {
        offset.push_str(&format!(", txId={xid}"));
    }
    format!(", where source record is = SourceRecord{{sourceOffset={{{offset}}}}} ConnectRecord{{topic='{topic}'}}")
}

fn append(
    assembler: &mut dyn BatchAssembler,
    record: &RecordBytes<'_>,
    record_bytes_max: Option<usize>,
) -> Result<(), Failed> {
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    if bytes > RECORD_BYTES_MAX {
        return Err(Failed::Task(unwritable(bytes)));
    }
    if let Some(max) = record_bytes_max {
        let bytes = assembler.size_alone(record);
        if bytes > max {
            return Err(Failed::TooLarge(bytes));
        }
    }
    assembler.append(record);
    Ok(())
}

/// No format of records has a length for it, and neither has Java an array.
const RECORD_BYTES_MAX: usize = i32::MAX as usize - (1 << 20);

#[cold]
fn unwritable(bytes: usize) -> TaskError {
    let message = "Unrecoverable exception from producer send callback";
    TaskError::definite(CONNECT_EXCEPTION, message)
        .caused_by(
            TOO_LARGE,
            format!("The message is {bytes} bytes when serialized, and no record can be longer than 2 GiB."),
        )
        .hint("set walspring.value.max.bytes, or leave the column out by column.exclude.list")
}

/// Into an emptied buffer: an attempt that failed may have left something.
fn encode(
    converter: &dyn Converter,
    topic: &str,
    schema: Option<&SchemaRef>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<Presence, ConvertError> {
    out.clear();
    converter.encode(topic, schema, value, out)
}

/// An encoder compiled from a plan fails only where a cell's text is not what its type promises.
fn leaf(e: ConvertError) -> Failed {
    Failed::Leaf(LeafError(e.message))
}

fn encode_headers(
    converter: &dyn HeaderConverter,
    topic: &str,
    headers: &[Header],
) -> Result<Vec<HeaderBytes>, ConvertError> {
    let encode = |h: &Header| {
        let schema = h.value.schema.as_ref().map(SchemaRef::as_ref);
        Ok((h.name.clone(), converter.encode_header(topic, &h.name, schema, &h.value.value)?))
    };
    headers.iter().map(encode).collect()
}

/// The other key of a key change, as a header.
fn key_header(
    converter: &dyn HeaderConverter,
    plan: &RecordPlan,
    batch: &ChangeBatch,
    header: KeyHeader,
    warnings: &mut Warnings,
) -> Result<HeaderBytes, Failed> {
    let tree = plan.key_header_tree(batch, header, warnings)?;
    let schema = plan.key.as_ref().map(|key| &*key.schema);
    let bytes = converter
        .encode_header(&plan.topic, header.name(), schema, &tree)
        .map_err(Failed::at(Stage::HeaderConverter))?;
    Ok((header.name().into(), bytes))
}

/// The record of one step as a tree.
fn tree(
    plan: &RecordPlan,
    batch: &ChangeBatch,
    change: &Change,
    step: &Step,
    warnings: &mut Warnings,
) -> Result<Record, LeafError> {
    let typed = |schema: &SchemaRef, value: Value| {
        if value.is_null() { Typed::NULL } else { Typed::new(schema.clone(), value) }
    };
    let key = match &plan.key {
        Some(key) if step.key.is_some() => typed(&key.schema, plan.key_tree(batch, step, warnings)?),
        _ => Typed::NULL,
    };
    let value = plan.value_tree(batch, change, step, warnings)?;
    let mut headers = Vec::with_capacity(plan.headers.len() + 1);
    if let Some(header) = step.key_header
        && let Some(key) = &plan.key
    {
        let value = plan.key_header_tree(batch, header, warnings)?;
        headers.push(Header { name: header.name().into(), value: Typed::new(key.schema.clone(), value) });
    }
    headers.extend(plan.headers.iter().cloned());
    Ok(Record {
        topic: plan.topic.clone(),
        partition: None,
        key,
        value: typed(&plan.envelope, value),
        headers,
        timestamp_ms: None,
    })
}

/// As Debezium, which converts values before Connect sees them.
fn source_failed(e: &LeafError, batch: &ChangeBatch) -> TaskError {
    let offset: Vec<String> = batch.offset.iter().flatten().map(|(k, v)| format!("{k}={}", java(v))).collect();
    TaskError::definite(CONNECT_EXCEPTION, PRODUCER_FAILED)
        .caused_by(CONNECT_EXCEPTION, format!("Error while processing event at offset {{{}}}", offset.join(", ")))
        .caused_by("org.apache.kafka.connect.errors.DataException", &e.0)
}

fn java(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
