//! A running task: each batch as bulk requests, in its order, all of it durable when `put` returns (the cluster answers
//! after it has synced its translog, unless an index says `index.translog.durability=async`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tracing::warn;
use walspring_connect::{Outcome, PutError, SinkRecord, SinkTask, SinkTaskContext, TaskError, TopicPartition};
use walspring_debezium::{ChangeEvent, Op, UnavailableValues};
use walspring_record::{Fields, Value};

use crate::bulk::{Action, Bulk, Target};
use crate::client::Client;
use crate::config::{IdStrategy, OnDelete, OnRefusal, OnUnavailable, SinkConfig, WriteMethod};
use crate::document::{self, Cell, Style};
use crate::document_id;
use crate::indices::{IndexOptions, Indices};
use crate::unavailable::{DocumentKey, KnownFields, LOOKUPS_MAX, Wanted};
use crate::writer::{self, RetryPolicy, Verdict};

const DATA_EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";
/// So many records in a row that the cluster has newer documents for are worth a word: a replay, or offsets that began
/// again because the topic was made anew.
const SUPERSEDED_TELLING: u64 = 10_000;

pub struct OpenSearchTask {
    config: SinkConfig,
    context: SinkTaskContext,
    client: Client,
    indices: Indices,
    unavailable: UnavailableValues,
    known: KnownFields,
    bulk: Bulk,
    /// What was warned of, once each.
    said: HashSet<String>,
    /// The topic whose offsets an index's versions are.
    origins: HashMap<String, Arc<str>>,
    superseded: HashMap<(Arc<str>, i32), u64>,
}

/// What a record is to the index.
enum Step<'a> {
    Nothing,
    Delete(DocumentKey),
    Write { key: (String, Option<String>), row: Fields<'a>, unavailable: Vec<&'a str> },
}

/// What a batch has come to so far.
struct Progressed<'a> {
    records: &'a [SinkRecord],
    outcomes: &'a mut [Outcome],
    refused: Vec<(usize, TaskError)>,
}

impl OpenSearchTask {
    pub fn new(config: SinkConfig, context: SinkTaskContext) -> Result<OpenSearchTask, TaskError> {
        Ok(OpenSearchTask {
            client: Client::new(&config)?,
            unavailable: UnavailableValues::new(&config.placeholder),
            config,
            context,
            indices: Indices::default(),
            known: KnownFields::default(),
            bulk: Bulk::default(),
            said: HashSet::new(),
            origins: HashMap::new(),
            superseded: HashMap::new(),
        })
    }

    fn put_all(&mut self, batch: &mut Progressed<'_>) -> Result<(), TaskError> {
        let records = batch.records;
        for (place, record) in records.iter().enumerate() {
            match self.step(record) {
                Err(why) => self.invalid(place, why, batch),
                Ok(Step::Nothing) => {}
                Ok(Step::Delete(key)) => {
                    self.indices.ensure(&mut self.client, &key.0, None, None, index_options(&self.config))?;
                    self.known.forget_fields(&key);
                    self.delete(place, record, &key, batch)?;
                }
                Ok(Step::Write { key, row, unavailable }) => {
                    let identity = record.value.schema.as_ref().filter(|_| !self.config.ignores_schema(&record.topic));
                    let (client, options) = (&mut self.client, index_options(&self.config));
                    self.indices.ensure(client, &key.0, identity, row.schema(), options)?;
                    self.fetch_unavailable(place, &key, &unavailable, batch)?;
                    self.document(place, record, key, &row, &unavailable, batch)?;
                }
            }
        }
        self.flush(batch)
    }

    /// Errors are those of the record.
    fn step<'a>(&mut self, record: &'a SinkRecord) -> Result<Step<'a>, String> {
        let strategy = self.config.id_strategy(&record.topic);
        let row = match ChangeEvent::of(&record.value) {
            ChangeEvent::Tombstone => None,
            ChangeEvent::Row { op: Op::Delete, .. } => None,
            ChangeEvent::Row { op: Op::Truncate, .. } => {
                self.say(&record.topic, "truncates are left out: the documents stay");
                return Ok(Step::Nothing);
            }
            ChangeEvent::Row { op: Op::Message, .. } => return Ok(Step::Nothing),
            ChangeEvent::Row { after: Some(row), .. } => Some(row),
            ChangeEvent::Row { after: None, .. } => return Err("the event has no row in `after`".to_owned()),
            ChangeEvent::Other(_) => return Err("the value has no fields, so it is no document".to_owned()),
        };
        let Some(row) = row else {
            return match self.config.on_delete {
                OnDelete::Ignore => Ok(Step::Nothing),
                OnDelete::Fail => Err("the record is a delete, and behavior.on.null.values is fail".to_owned()),
                // A key that is not the document's id says nothing about what to delete; nor does none.
                OnDelete::Delete if strategy != IdStrategy::RecordKey || record.key.value.is_null() => {
                    Ok(Step::Nothing)
                }
                OnDelete::Delete => Ok(Step::Delete((self.index(record)?, document_id::of_key(&record.key)?))),
            };
        };
        let id = match strategy {
            IdStrategy::RecordKey => Some(document_id::of_key(&record.key)?),
            IdStrategy::Position => Some(document_id::of_position(&record.origin)),
            IdStrategy::Cluster => None,
        };
        let unavailable: Vec<&str> =
            row.iter().filter(|field| self.unavailable.has(field.value)).map(|field| field.name).collect();
        if !unavailable.is_empty() && self.config.on_unavailable == OnUnavailable::Fail {
            let columns = unavailable.join(", ");
            return Err(format!(
                "the event does not have the unchanged value of {columns}; set REPLICA IDENTITY FULL on the table, or \
                 walspring.unavailable.values=keep"
            ));
        }
        Ok(Step::Write { key: (self.index(record)?, id), row, unavailable })
    }

    fn index(&mut self, record: &SinkRecord) -> Result<String, String> {
        let index = match &self.config.resources {
            Some(resources) => resources
                .get(&*record.topic)
                .cloned()
                .ok_or_else(|| format!("topic {} is not mapped to an index or alias", record.topic))?,
            None => self.config.index_name.index_of(&record.topic)?,
        };
        match self.origins.get(&index) {
            None => {
                self.origins.insert(index.clone(), record.origin.topic.clone());
            }
            Some(first) if *first != record.origin.topic && self.config.version_header.is_none() => {
                let message = "more than one topic is written to an index: of two records with one key, the one with the \
                               higher offset stays, whichever topic it is of; set external.version.header, or give each its index";
                let key = format!("topics of {index}");
                if self.said.insert(key) {
                    warn!(index, first = %first, second = %record.origin.topic, message);
                }
            }
            Some(_) => {}
        }
        Ok(index)
    }

    /// `None`: the document's version is not checked.
    fn version(&self, record: &SinkRecord) -> Result<Option<i64>, String> {
        let keyed = self.config.id_strategy(&record.topic) == IdStrategy::RecordKey;
        if !keyed || self.config.write_method == WriteMethod::Upsert {
            return Ok(None);
        }
        let Some(name) = &self.config.version_header else { return Ok(Some(record.origin.kafka_offset)) };
        let header = record.headers.iter().rev().find(|header| *header.name == **name);
        let version = header.and_then(|header| match &header.value.value {
            Value::Int8(v) => Some(i64::from(*v)),
            Value::Int16(v) => Some(i64::from(*v)),
            Value::Int32(v) => Some(i64::from(*v)),
            Value::Int64(v) => Some(*v),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            _ => None,
        });
        match version.filter(|version| *version >= 0) {
            Some(version) => Ok(Some(version)),
            None => Err(format!("the header {name} (external.version.header) is not a number of at least 0")),
        }
    }

    fn delete(
        &mut self,
        place: usize,
        record: &SinkRecord,
        key: &DocumentKey,
        batch: &mut Progressed<'_>,
    ) -> Result<(), TaskError> {
        let version = match self.version(record) {
            Ok(version) => version,
            Err(why) => {
                self.invalid(place, why, batch);
                return Ok(());
            }
        };
        let routing = self.config.route_by_key.then_some(&*key.1);
        let target = Target { index: &key.0, id: Some(&key.1), version, routing };
        let Ok(()) = self.bulk.push(place, Action::Delete, &target, |_| Ok::<(), std::convert::Infallible>(()));
        self.flush_if_full(batch)
    }

    fn document(
        &mut self,
        place: usize,
        record: &SinkRecord,
        key: (String, Option<String>),
        row: &Fields<'_>,
        unavailable: &[&str],
        batch: &mut Progressed<'_>,
    ) -> Result<(), TaskError> {
        let version = match self.version(record) {
            Ok(version) => version,
            Err(why) => {
                self.invalid(place, why, batch);
                return Ok(());
            }
        };
        let action = match (&key.1, self.config.write_method) {
            (None, _) => Action::Create,
            (Some(_), WriteMethod::Insert) => Action::Index,
            (Some(_), WriteMethod::Upsert) => Action::Upsert,
        };
        let routing = key.1.as_deref().filter(|_| self.config.route_by_key);
        let target = Target { index: &key.0, id: key.1.as_deref(), version, routing };
        let document_key = (key.0.clone(), key.1.clone().unwrap_or_default());
        let (style, known) = (style(&self.config), &self.known);
        let (mut written, mut missing) = (0..0, false);
        let pushed = self.bulk.push(place, action, &target, |out| {
            let start = out.len();
            document::write_row(
                style,
                row,
                |field| {
                    if !unavailable.contains(&field.name) {
                        return Cell::Value;
                    }
                    known.field(&document_key, field.name).map_or(Cell::Nothing, Cell::Json)
                },
                out,
            )?;
            written = start..out.len();
            Ok::<(), String>(())
        });
        if action != Action::Upsert {
            missing = unavailable.iter().any(|field| self.known.field(&document_key, field).is_none());
        }
        match pushed {
            Err(why) => self.invalid(place, why, batch),
            Ok(()) if self.known.contains(&document_key) => {
                self.known.replace(&document_key, self.bulk.written(written));
            }
            Ok(()) => {}
        }
        if missing {
            self.say(
                &record.topic,
                "events lack unchanged values (TOAST) that the index does not have either: the fields are left out; \
                 REPLICA IDENTITY FULL on the table sends them",
            );
        }
        self.flush_if_full(batch)
    }

    /// Asks for what this record lacks, and for what those after it lack, in one request.
    fn fetch_unavailable(
        &mut self,
        place: usize,
        key: &(String, Option<String>),
        unavailable: &[&str],
        batch: &mut Progressed<'_>,
    ) -> Result<(), TaskError> {
        let (index, Some(id)) = key else { return Ok(()) };
        let wanted_here = !unavailable.is_empty()
            && self.config.on_unavailable == OnUnavailable::Keep
            && self.config.write_method == WriteMethod::Insert
            && self.config.id_strategy(&batch.records[place].topic) == IdStrategy::RecordKey;
        if !wanted_here || self.known.contains(&(index.clone(), id.clone())) {
            return Ok(());
        }
        // What comes before has to be there when we ask.
        self.flush(batch)?;
        self.known.clear();
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut places = HashMap::new();
        for record in &batch.records[place..] {
            // Errors are met again when it is the record's turn.
            let Ok(Step::Write { key: (index, Some(id)), unavailable, .. }) = self.step(record) else { continue };
            if unavailable.is_empty() || self.config.id_strategy(&record.topic) != IdStrategy::RecordKey {
                continue;
            }
            let key = (index, id);
            let at = match places.get(&key) {
                Some(at) => *at,
                None if wanted.len() == LOOKUPS_MAX => break,
                None => {
                    let routing = self.config.route_by_key.then(|| key.1.clone());
                    places.insert(key.clone(), wanted.len());
                    wanted.push(Wanted { key, routing, fields: Vec::new() });
                    wanted.len() - 1
                }
            };
            for field in unavailable {
                if !wanted[at].fields.iter().any(|known| known == field) {
                    wanted[at].fields.push(field.to_owned());
                }
            }
        }
        self.known.look_up(&mut self.client, wanted)
    }

    fn flush_if_full(&mut self, batch: &mut Progressed<'_>) -> Result<(), TaskError> {
        if self.bulk.bytes() > self.config.bulk_bytes && self.bulk.len() > 1 {
            let last = self.bulk.split_last();
            self.flush(batch)?;
            self.bulk = last;
        }
        if self.bulk.len() >= self.config.batch_records || self.bulk.bytes() >= self.config.bulk_bytes {
            self.flush(batch)?;
        }
        Ok(())
    }

    fn flush(&mut self, batch: &mut Progressed<'_>) -> Result<(), TaskError> {
        if self.bulk.is_empty() {
            return Ok(());
        }
        let policy =
            RetryPolicy { retries: self.config.retries, backoff: self.config.backoff, at_most: self.config.retry_for };
        let bulk = std::mem::take(&mut self.bulk);
        let verdicts = writer::write(&mut self.client, &bulk, policy, &self.context.stop)?;
        for (item, verdict) in verdicts {
            self.settle(bulk.item(item).place, verdict, batch);
        }
        // Its memory is used again.
        self.bulk = bulk;
        self.bulk.clear();
        Ok(())
    }

    fn settle(&mut self, place: usize, verdict: Verdict, batch: &mut Progressed<'_>) {
        let record = &batch.records[place];
        let partition = (record.origin.topic.clone(), record.origin.partition);
        match verdict {
            Verdict::Done(outcome) => {
                self.superseded.remove(&partition);
                batch.outcomes[place] = outcome;
            }
            Verdict::Superseded => {
                let in_a_row = self.superseded.entry(partition).or_default();
                *in_a_row += 1;
                if *in_a_row == SUPERSEDED_TELLING {
                    warn!(
                        topic = %record.origin.topic, partition = record.origin.partition, in_a_row,
                        "the index has newer documents than these records: as it should be in a replay. If the topic was \
                         made anew its offsets began again: write to a new index then, or set external.version.header"
                    );
                }
                if self.config.on_conflict != OnRefusal::Ignore {
                    let why = "the index has this or a newer version of the document".to_owned();
                    self.refuse(place, why, self.config.on_conflict, batch);
                }
            }
            Verdict::Refused(error) => {
                let row = match ChangeEvent::of(&record.value) {
                    ChangeEvent::Row { after: Some(row), .. } => Some(row),
                    _ => None,
                };
                let is_field = |name: &str| row.as_ref().is_some_and(|row| row.get(name).is_some());
                let why = format!("the cluster refuses the document: {}", error.shown(&is_field));
                self.refuse(place, why, self.config.on_malformed, batch);
            }
            Verdict::TooLarge => {
                let why = "the document is larger than the cluster takes (http.max_content_length)".to_owned();
                self.refuse(place, why, self.config.on_malformed, batch);
            }
        }
    }

    /// The record cannot become a document.
    fn invalid(&mut self, place: usize, why: String, batch: &mut Progressed<'_>) {
        let then = if self.config.drop_invalid { OnRefusal::Warn } else { OnRefusal::Fail };
        self.refuse(place, why, then, batch);
    }

    fn refuse(&self, place: usize, why: String, then: OnRefusal, batch: &mut Progressed<'_>) {
        let origin = &batch.records[place].origin;
        match then {
            OnRefusal::Ignore => {}
            OnRefusal::Warn => {
                warn!(topic = %origin.topic, partition = origin.partition, offset = origin.kafka_offset, why, "a record is left out");
            }
            OnRefusal::Fail => {
                let message = format!("Record {}-{}@{}: {why}", origin.topic, origin.partition, origin.kafka_offset);
                batch.refused.push((place, TaskError::definite(DATA_EXCEPTION, message)));
            }
        }
    }

    /// Once for each topic.
    fn say(&mut self, topic: &str, message: &'static str) {
        if self.said.insert(format!("{topic} {message}")) {
            warn!(topic, message);
        }
    }
}

fn style(config: &SinkConfig) -> Style {
    Style { compact_maps: config.compact_maps, temporal_as_dates: config.temporal_as_dates }
}

fn index_options(config: &SinkConfig) -> IndexOptions {
    IndexOptions { style: style(config), templates: config.index_templates, external: config.resources.is_some() }
}

impl SinkTask for OpenSearchTask {
    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
        outcomes.clear();
        outcomes.resize(records.len(), Outcome::Ignore);
        self.bulk.clear();
        self.known.clear();
        let mut batch = Progressed { records, outcomes, refused: Vec::new() };
        if let Err(error) = self.put_all(&mut batch) {
            self.indices.forget();
            return Err(PutError::Task(error));
        }
        if batch.refused.is_empty() {
            return Ok(());
        }
        batch.refused.sort_by_key(|(place, _)| *place);
        Err(PutError::Named(batch.refused))
    }

    fn close(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.superseded.retain(|(topic, number), _| **topic != *partition.topic || *number != partition.partition);
        }
    }
}
