//! What a record asks of Redis: what one key is to be after it.

use walspring_connect::{Outcome, SinkRecord, TaskError};
use walspring_debezium::{ChangeEvent, Op};
use walspring_record::{FieldRef, Fields, Typed, Value};

use crate::config::{Mode, RedisSinkConfig, Target};
use crate::errors::DATA_EXCEPTION;
use crate::key::NoKey;
use crate::text::Texts;

/// A header's value wins over the option of this name.
const EXPIRY: &str = "redis.key.ttl";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub key: Vec<u8>,
    /// A key that the row had before: it is deleted.
    pub obsolete: Option<Vec<u8>>,
    pub then: Then,
    /// Seconds.
    pub expiry: Option<u64>,
}

/// What the key is after the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    Gone,
    Text(Vec<u8>),
    /// A row as JSON.
    Document(Vec<DocumentField>),
    /// These fields of a hash are set, those are gone; others stay. Of some the record does not say what they are.
    Hash {
        set: Vec<(Vec<u8>, Vec<u8>)>,
        remove: Vec<Vec<u8>>,
        unchanged: Vec<Vec<u8>>,
    },
    /// The member is in the set, or not.
    Member(Vec<u8>, bool),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentField {
    pub name: String,
    /// JSON; `None`: it did not change, and the record does not say what it is.
    pub json: Option<Vec<u8>>,
}

impl Operation {
    /// `None`: there is nothing to do.
    pub fn of(config: &RedisSinkConfig, texts: &Texts, record: &SinkRecord) -> Result<Option<Operation>, TaskError> {
        let change = match ChangeEvent::of(&record.value) {
            ChangeEvent::Tombstone => Change { deletes: true, ..Change::default() },
            ChangeEvent::Row { op: Op::Truncate | Op::Message, .. } => return Ok(None),
            ChangeEvent::Row { op: Op::Delete, before, after, flat, .. } => {
                Change { deletes: true, row: before.or(after), flat, ..Change::default() }
            }
            ChangeEvent::Row { before, after: Some(row), flat, .. } => {
                Change { row: Some(row), before, flat, ..Change::default() }
            }
            ChangeEvent::Row { after: None, .. } => return Err(poison("the event has no row in its field after")),
            ChangeEvent::Other(value) => Change { other: Some(value), ..Change::default() },
        };
        let deletes = change.deletes || config.mode == Mode::Invalidate;
        if change.deletes && !config.deletes && config.mode == Mode::Write {
            return Ok(None);
        }
        if config.key.fields().any(|name| {
            let field = change.row.and_then(|row| row.get(name));
            field.is_some_and(|field| config.unavailable.has(field.value))
        }) {
            return Err(poison("a column of walspring.sink.key is unchanged and TOASTed, so its value is not known"));
        }
        let key = match config.key.render(record, change.row, texts) {
            Ok(key) => key,
            // Its row is not known any more; the delete before it did the work.
            Err(NoKey::Field(_)) if change.row.is_none() && change.other.is_none() => return Ok(None),
            Err(why) => return Err(no_key(why)),
        };
        let before = change.before.filter(|_| config.key.depends_on_row(record));
        let obsolete = before.and_then(|row| config.key.render(record, Some(row), texts).ok());
        let then = match config.target {
            Target::Set => {
                let mut member = Vec::new();
                config.key.record_key(&record.key, texts, &mut member).map_err(no_key)?;
                Then::Member(member, !deletes)
            }
            _ if deletes => Then::Gone,
            Target::String => match (change.row, change.other) {
                (Some(row), _) => Then::Document(document(config, texts, row, change.flat)?),
                (None, Some(value)) => Then::Text(text(texts, value)?),
                (None, None) => Then::Gone,
            },
            Target::Hash => match change.row {
                Some(row) => hash(config, texts, row, change.flat)?,
                None => {
                    let why = "its value has no fields, which redis.type=HASH needs: use redis.type=STRING, or a \
                               converter that makes a struct or a map";
                    return Err(poison(why));
                }
            },
        };
        let obsolete = obsolete.filter(|old| *old != key && config.target != Target::Set);
        Ok(Some(Operation { key, obsolete, then, expiry: expiry(record).or(config.expiry) }))
    }

    pub fn outcome(&self) -> Outcome {
        match self.then {
            Then::Gone | Then::Member(_, false) => Outcome::Delete,
            _ => Outcome::Upsert,
        }
    }

    /// The fields of a hash that have to be taken along from the old key.
    pub fn taken_along(&self) -> Option<(&[u8], &[Vec<u8>])> {
        match (&self.obsolete, &self.then) {
            (Some(old), Then::Hash { unchanged, .. }) if !unchanged.is_empty() => Some((old, unchanged)),
            _ => None,
        }
    }

    /// How many bytes it holds, about.
    pub fn size(&self) -> usize {
        let then = match &self.then {
            Then::Gone => 0,
            Then::Text(text) | Then::Member(text, _) => text.len(),
            Then::Document(fields) => {
                fields.iter().map(|f| f.name.len() + f.json.as_ref().map_or(0, Vec::len) + 4).sum()
            }
            Then::Hash { set, remove, .. } => {
                let set = set.iter().map(|(name, value)| name.len() + value.len() + 24);
                set.sum::<usize>() + remove.iter().map(|name| name.len() + 12).sum::<usize>()
            }
        };
        self.key.len() + then + 64
    }
}

/// A change, taken apart.
#[derive(Default)]
struct Change<'a> {
    deletes: bool,
    row: Option<Fields<'a>>,
    before: Option<Fields<'a>>,
    flat: bool,
    other: Option<&'a Typed>,
}

/// The columns of a row, without what unwrapping adds to say that it is no delete.
fn columns(row: Fields<'_>, flat: bool) -> impl Iterator<Item = FieldRef<'_>> {
    row.iter().filter(move |field| !(flat && field.name == "__deleted"))
}

fn document(
    config: &RedisSinkConfig,
    texts: &Texts,
    row: Fields<'_>,
    flat: bool,
) -> Result<Vec<DocumentField>, TaskError> {
    let field = |field: FieldRef<'_>| {
        let name = field.name.to_owned();
        if config.unavailable.has(field.value) {
            return Ok(DocumentField { name, json: None });
        }
        let mut json = Vec::new();
        // A null is a null, whatever default the column has.
        let schema = field.schema.filter(|_| !field.value.is_null());
        texts.json(schema, field.value, &mut json).map_err(|e| unwritable(field.name, &e.message))?;
        Ok(DocumentField { name, json: Some(json) })
    };
    columns(row, flat).map(field).collect()
}

fn hash(config: &RedisSinkConfig, texts: &Texts, row: Fields<'_>, flat: bool) -> Result<Then, TaskError> {
    let (mut set, mut remove, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    for field in columns(row, flat) {
        let name = field.name.as_bytes().to_vec();
        if config.unavailable.has(field.value) {
            unchanged.push(name);
            continue;
        }
        if field.value.is_null() {
            remove.push(name);
            continue;
        }
        let mut value = Vec::new();
        texts.plain(field, &mut value).map_err(|e| unwritable(field.name, &e.message))?;
        set.push((name, value));
    }
    Ok(Then::Hash { set, remove, unchanged })
}

fn text(texts: &Texts, value: &Typed) -> Result<Vec<u8>, TaskError> {
    let mut out = Vec::new();
    match &value.value {
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        other => texts.json(value.schema.as_ref(), other, &mut out).map_err(|e| unwritable("value", &e.message))?,
    }
    Ok(out)
}

/// Seconds from the record's header; one that is no positive number is left out of account, as in the original.
fn expiry(record: &SinkRecord) -> Option<u64> {
    let header = record.headers.iter().rev().find(|header| &*header.name == EXPIRY)?;
    let seconds = match &header.value.value {
        Value::Int8(v) => i64::from(*v),
        Value::Int16(v) => i64::from(*v),
        Value::Int32(v) => i64::from(*v),
        Value::Int64(v) => *v,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok()?,
        _ => return None,
    };
    // Redis counts milliseconds in 63 bits.
    u64::try_from(seconds).ok().filter(|seconds| (1..=u64::MAX / 4000).contains(seconds))
}

fn poison(why: &str) -> TaskError {
    TaskError::definite(DATA_EXCEPTION, format!("The record cannot be written to Redis: {why}"))
}

fn unwritable(field: &str, why: &str) -> TaskError {
    poison(&format!("field {field}: {why}"))
}

fn no_key(why: NoKey) -> TaskError {
    match why {
        NoKey::Record => poison("it has no key").hint("set walspring.sink.key to a pattern of the row's columns"),
        NoKey::Field(name) => poison(&format!("neither its key nor its row has field {name}, or it is null"))
            .hint("name columns of the primary key in walspring.sink.key; the delete of a row has others only with REPLICA IDENTITY FULL"),
        NoKey::Value(why) => poison(&format!("its key has no text: {why}")),
    }
}
