//! Records as requests: which of them share one, and what its body is.

use std::sync::Arc;

use ureq::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use walspring_connect::{Converter, SinkRecord, TaskError};
use walspring_converters::json::JsonConverter;
use walspring_debezium::ChangeEvent;
use walspring_record::{Fields, Value};

use crate::client::uri;
use crate::config::{HttpSinkConfig, Tombstones};

pub const DATA_EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";
/// Most bytes of a batch's records; one record may be larger.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A record, ready to be sent alone or with its neighbours.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub topic: Arc<str>,
    pub partition: i32,
    pub kafka_offset: i64,
    pub delete: bool,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    /// The body is JSON, not a text or bytes of the record's.
    json: bool,
}

/// What is to be done with a record.
#[derive(Debug)]
pub enum Step {
    Send(Prepared),
    /// Nothing, by the configuration.
    Ignore,
}

pub fn prepare(config: &HttpSinkConfig, json: &JsonConverter, record: &SinkRecord) -> Result<Step, TaskError> {
    let delete = record.is_tombstone();
    if delete {
        match config.tombstones {
            Tombstones::Delete => {}
            Tombstones::Fail => return Err(poison("it has no value (behavior.on.null.values=fail)")),
            Tombstones::Ignore => return Ok(Step::Ignore),
            Tombstones::Log => {
                let origin = &record.origin;
                let (topic, partition, offset) = (&*origin.topic, origin.partition, origin.kafka_offset);
                tracing::info!(topic, partition, offset, "a record without value is left out");
                return Ok(Step::Ignore);
            }
        }
    }
    let row = row(record);
    let url = config.url.render(record, row).map_err(|why| poison(&format!("its URL: {why}")))?;
    let mut headers = Vec::with_capacity(config.headers.len());
    for (name, value) in &config.headers {
        let text = value.header(record, row).map_err(|why| poison(&format!("its header {name}: {why}")))?;
        let value = HeaderValue::from_bytes(text.as_bytes());
        headers.push((name.clone(), value.map_err(|_| poison(&format!("its header {name}: no value of a header")))?));
    }
    let (body, json) = if delete { (Vec::new(), false) } else { body(config, json, record)? };
    Ok(Step::Send(Prepared {
        topic: record.origin.topic.clone(),
        partition: record.origin.partition,
        kafka_offset: record.origin.kafka_offset,
        delete,
        uri: uri(&url).map_err(|why| poison(&why))?,
        headers,
        body,
        json,
    }))
}

/// The row of an envelope, for the fields of URLs and headers.
fn row(record: &SinkRecord) -> Option<Fields<'_>> {
    match ChangeEvent::of(&record.value) {
        ChangeEvent::Row { before, after, .. } => after.or(before),
        _ => None,
    }
}

/// The bytes, and whether they are JSON.
fn body(config: &HttpSinkConfig, json: &JsonConverter, record: &SinkRecord) -> Result<(Vec<u8>, bool), TaskError> {
    match &record.value.value {
        Value::String(text) if !config.body.json => return Ok((text.as_bytes().to_vec(), false)),
        Value::Bytes(bytes) if !config.body.json && record.value.schema.as_ref().is_none_or(|s| s.name.is_none()) => {
            return Ok((bytes.to_vec(), false));
        }
        _ => {}
    }
    let mut out = Vec::new();
    json.encode(&record.topic, record.value.schema.as_ref(), &record.value.value, &mut out)
        .map_err(|e| poison(&format!("its value has no JSON: {}", e.message)))?;
    Ok((out, true))
}

/// Whether the next record can be in the request of these.
pub fn joins(config: &HttpSinkConfig, batch: &[Prepared], next: &Prepared) -> bool {
    let Some(first) = batch.first() else { return true };
    let bytes: usize = batch.iter().map(|record| record.body.len()).sum();
    batch.len() < config.body.records_max
        && !first.delete
        && !next.delete
        && bytes + next.body.len() <= BATCH_BYTES_MAX
        && (&first.topic, first.partition) == (&next.topic, next.partition)
        && first.uri == next.uri
        && first.headers == next.headers
}

/// The request of records that belong together. `now`: seconds since 1970.
pub fn request(config: &HttpSinkConfig, batch: &[Prepared], now: u64) -> Result<Request<Vec<u8>>, TaskError> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Err(poison("there is none")) };
    let body = if first.delete { Vec::new() } else { framed(config, batch) };
    let method = if first.delete { Method::DELETE } else { config.method.clone() };
    let mut request = Request::builder().method(method).uri(first.uri.clone());
    let has = |name: &HeaderName| first.headers.iter().any(|(known, _)| known == name);
    if !first.delete && !has(&header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, content_type(config, batch));
    }
    for (name, value) in &first.headers {
        request = request.header(name, value);
    }
    if let Some(value) = &config.authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    if let Some(name) = &config.idempotency {
        let mut id = format!("{}-{}-{}", first.topic, first.partition, first.kafka_offset);
        if batch.len() > 1 {
            id.push_str(&format!("-{}", last.kafka_offset));
        }
        request = request.header(name, id);
    }
    if let Some((name, signer)) = &config.signature {
        request = request.header(name, signer.sign(&body, now));
    }
    request.body(body).map_err(|_| poison("its request cannot be made"))
}

fn framed(config: &HttpSinkConfig, batch: &[Prepared]) -> Vec<u8> {
    let body = &config.body;
    let mut out = Vec::new();
    if body.framed {
        out.extend_from_slice(body.prefix.as_bytes());
    }
    for (i, record) in batch.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(body.separator.as_bytes());
        }
        out.extend_from_slice(&record.body);
    }
    if body.framed {
        out.extend_from_slice(body.suffix.as_bytes());
    }
    out
}

fn content_type(config: &HttpSinkConfig, batch: &[Prepared]) -> &'static str {
    let body = &config.body;
    let bare = !body.framed || (body.prefix.is_empty() && body.suffix.is_empty());
    let one = matches!(batch, [record] if record.json && bare);
    if body.json || one { "application/json" } else { "text/plain; charset=utf-8" }
}

pub fn poison(why: &str) -> TaskError {
    TaskError::definite(DATA_EXCEPTION, format!("The record cannot be sent: {why}"))
}
