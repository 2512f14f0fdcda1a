//! Records to operations on tables: which table, which act, and each value as text. No SQL but the catalog's.

use std::sync::Arc;

use walspring_connect::CONNECT_EXCEPTION;
use walspring_connect::{Outcome, SinkRecord, TaskError};
use walspring_debezium::{ChangeEvent, Op as EventOp};
use walspring_record::{FieldRef, Fields, SchemaRef, Value};

use crate::batch::{Act, Batch, Cell, Op};
use crate::config::{InsertMode, KeyMode};
use crate::destination::{self, Field};
use crate::errors::SqlError;
use crate::session::Session;
use crate::tables::Tables;

/// Why a record became no operation.
pub enum DecodeError {
    /// The record's own fault; the rest goes on.
    Record(String),
    /// The database's, or the configuration's.
    Sql(SqlError),
}

impl From<SqlError> for DecodeError {
    fn from(error: SqlError) -> DecodeError {
        DecodeError::Sql(error)
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, DecodeError> {
    Err(DecodeError::Record(why.into()))
}

/// The error of one record.
pub fn record_error(record: &SinkRecord, why: &str) -> TaskError {
    let origin = &record.origin;
    let place = format!("{}, partition {}, offset {}", origin.topic, origin.partition, origin.kafka_offset);
    TaskError::definite(CONNECT_EXCEPTION, format!("The record of {place} cannot be written: {why}"))
}

/// Where the values of key columns are looked for.
struct KeySource<'a> {
    /// Of the record's key.
    key: Option<Fields<'a>>,
    /// A key that is no struct.
    bare: Option<(&'a Value, Option<&'a SchemaRef>)>,
    /// Of the row; of a delete what there is of it.
    row: Option<Fields<'a>>,
}

/// Appends the record's operation to the batch, if it has one, and says what is done with it.
pub fn record(
    tables: &mut Tables,
    session: &mut Session,
    index: usize,
    record: &SinkRecord,
    batch: &mut Batch,
) -> Result<Outcome, DecodeError> {
    if tables.config.audit {
        return crate::audit::record(tables, session, index, record, batch);
    }
    let (act, row, source) = match ChangeEvent::of(&record.value) {
        // A tombstone says nothing that its key does not.
        ChangeEvent::Tombstone if tables.config.tombstones_ignored => return Ok(Outcome::Ignore),
        ChangeEvent::Tombstone => match tables.config.deletes && !record.key.value.is_null() {
            true if tables.config.key_mode == KeyMode::RecordValue && !routed_key(tables, record) => {
                return Ok(Outcome::Ignore);
            }
            true => (Act::Delete, None, None),
            false => return Ok(Outcome::Ignore),
        },
        ChangeEvent::Other(_) => return wrong("its value is neither an object nor an envelope"),
        ChangeEvent::Row { op, before, after, source, flat: _ } => match op {
            EventOp::Message => return Ok(Outcome::Ignore),
            EventOp::Delete if !tables.config.deletes => return Ok(Outcome::Ignore),
            EventOp::Delete => (Act::Delete, before.or(after), source),
            EventOp::Truncate if !tables.config.truncates => return Ok(Outcome::Ignore),
            EventOp::Truncate => (Act::Truncate, None, source),
            EventOp::Create | EventOp::Read | EventOp::Update => {
                let act = match tables.config.insert_mode {
                    InsertMode::Insert => Act::Insert,
                    InsertMode::Upsert => Act::Upsert,
                    InsertMode::Update => Act::Update,
                };
                match after {
                    Some(after) => (act, Some(after), source),
                    None => return wrong("its envelope has no after"),
                }
            }
        },
    };
    if act == Act::Delete && source.is_none() && destination::depends_on_source(&tables.config, &record.topic) {
        // The delete before this tombstone has said all of it.
        return Ok(Outcome::Ignore);
    }
    let at = tables.destination(session, record, source, row)?;
    let width = tables.destinations[at].table.columns.len();
    let cells = batch.cells.len();
    batch.cells.resize(cells + width, Cell::Absent);
    let rollback = |batch: &mut Batch, bytes: usize| {
        batch.cells.truncate(cells);
        batch.bytes.truncate(bytes);
    };
    let bytes = batch.bytes.len();
    let made = (|| {
        let key_set = match act {
            Act::Truncate => 0,
            _ => key(tables, at, record, row, act, cells, batch)?,
        };
        if let (Some(row), false) = (row, act == Act::Delete) {
            columns(tables, session, at, row, cells, batch)?;
            if batch.cells[cells..].iter().all(|cell| *cell == Cell::Absent) {
                return wrong(format!("none of its fields is a column of {}", tables.destinations[at].table.sql_name));
            }
        }
        Ok(key_set)
    })();
    match made {
        Ok(key_set) => batch.ops.push(Op { record: index, destination: at, key_set, act, cells }),
        Err(error) => {
            rollback(batch, bytes);
            return Err(error);
        }
    }
    Ok(match act {
        Act::Insert | Act::InsertNew => Outcome::Insert,
        Act::Upsert => Outcome::Upsert,
        Act::Update => Outcome::Update,
        Act::Delete => Outcome::Delete,
        Act::Truncate => Outcome::Truncate,
    })
}

fn routed_key(tables: &Tables, record: &SinkRecord) -> bool {
    tables.config.route(&record.topic).is_some_and(|route| route.has_key())
}

/// Fills the cells of key columns; answers which set of them it is.
fn key(
    tables: &mut Tables,
    at: usize,
    record: &SinkRecord,
    row: Option<Fields<'_>>,
    act: Act,
    cells: usize,
    batch: &mut Batch,
) -> Result<usize, DecodeError> {
    let key = Fields::of_typed(&record.key);
    let bare = match &record.key.value {
        Value::Null => None,
        value if key.is_none() => Some((value, record.key.schema.as_ref())),
        _ => None,
    };
    let from = KeySource { key, bare, row };
    let mut columns: Vec<usize> = Vec::new();
    let keyed = routed_key(tables, record);
    let mode = tables.config.key_mode;
    if keyed {
        let route = tables.destinations[at].route().cloned();
        for column in route.iter().flat_map(|route| route.columns.iter().flatten()).filter(|column| column.key) {
            let field = match mode {
                KeyMode::RecordValue => from.in_row(&column.field).or_else(|| from.in_key(&column.field)),
                KeyMode::RecordHeader => None,
                _ => from.in_key(&column.field).or_else(|| from.in_row(&column.field)),
            };
            let header = match mode {
                KeyMode::RecordHeader => header(record, &column.field),
                _ => None,
            };
            // One key column and a key that is no struct: it is that column's value.
            let single = route.as_ref().is_some_and(|r| r.columns.iter().flatten().filter(|c| c.key).count() == 1);
            let bare = from.bare.filter(|_| single && mode != KeyMode::RecordValue);
            let bare = bare.map(|(value, schema)| FieldRef { name: &column.field, schema, value });
            let Some(field) = field.or(header).or(bare) else {
                return wrong(format!("neither its key nor its row has the key field {}", column.field));
            };
            columns.push(write_key(tables, at, &column.field, field, cells, batch)?);
        }
        return Ok(tables.destinations[at].key_set(&columns));
    }
    let wanted = tables.config.key_fields.clone();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|field| field == name);
    match mode {
        KeyMode::None if act == Act::Insert => {}
        KeyMode::None => return wrong("there are no key columns: set primary.key.mode"),
        KeyMode::Kafka => {
            let origin = &record.origin;
            let values = [
                ("__connect_topic", Value::string(origin.topic.clone())),
                ("__connect_partition", Value::Int32(origin.partition)),
                ("__connect_offset", Value::Int64(origin.kafka_offset)),
            ];
            for (name, value) in &values {
                let field = FieldRef { name, schema: None, value };
                columns.push(write_key(tables, at, name, field, cells, batch)?);
            }
        }
        KeyMode::RecordKey => match (from.key, from.bare) {
            (Some(fields), _) => {
                for field in fields.iter().filter(|field| is_wanted(field.name)) {
                    columns.push(write_key(tables, at, field.name, field, cells, batch)?);
                }
                all_found(&wanted, &fields, "key")?;
            }
            (None, Some((value, schema))) => match &wanted[..] {
                [name] => {
                    let field = FieldRef { name, schema, value };
                    columns.push(write_key(tables, at, name, field, cells, batch)?);
                }
                _ => return wrong("its key is no struct: name its column with primary.key.fields"),
            },
            (None, None) if act == Act::Insert => {}
            (None, None) => {
                return wrong(
                    "it has no key: give the source's table a key (message.key.columns), or use primary.key.mode=record_value",
                );
            }
        },
        KeyMode::RecordValue => {
            let Some(fields) = from.row else { return wrong("it has no row to take the key from") };
            for field in fields.iter().filter(|field| is_wanted(field.name)) {
                // All fields are the key: those that the table lacks are not part of it.
                if wanted.is_empty() && tables.destinations[at].key_column(field.name).is_none() {
                    continue;
                }
                columns.push(write_key(tables, at, field.name, field, cells, batch)?);
            }
            all_found(&wanted, &fields, "row")?;
        }
        KeyMode::RecordHeader => {
            if wanted.is_empty() {
                for h in &record.headers {
                    let field = FieldRef { name: &h.name, schema: h.value.schema.as_ref(), value: &h.value.value };
                    // Other headers than those of columns travel along.
                    if tables.destinations[at].key_column(&h.name).is_some() {
                        columns.push(write_key(tables, at, &h.name, field, cells, batch)?);
                    }
                }
            }
            for name in &wanted {
                let Some(field) = header(record, name) else { return wrong(format!("it has no header {name}")) };
                columns.push(write_key(tables, at, name, field, cells, batch)?);
            }
        }
    }
    if columns.is_empty() && mode != KeyMode::None && act != Act::Insert {
        return wrong("none of its key fields is a column of the table");
    }
    Ok(tables.destinations[at].key_set(&columns))
}

fn all_found(wanted: &[String], fields: &Fields<'_>, of: &str) -> Result<(), DecodeError> {
    match wanted.iter().find(|name| fields.get(name).is_none()) {
        Some(name) => wrong(format!("its {of} has no field {name}, which primary.key.fields names")),
        None => Ok(()),
    }
}

impl<'a> KeySource<'a> {
    fn in_key(&self, name: &str) -> Option<FieldRef<'a>> {
        self.key.and_then(|fields| fields.get(name))
    }

    fn in_row(&self, name: &str) -> Option<FieldRef<'a>> {
        self.row.and_then(|fields| fields.get(name))
    }
}

fn header<'a>(record: &'a SinkRecord, name: &str) -> Option<FieldRef<'a>> {
    let header = record.headers.iter().rev().find(|header| &*header.name == name)?;
    Some(FieldRef { name: &header.name, schema: header.value.schema.as_ref(), value: &header.value.value })
}

fn write_key(
    tables: &mut Tables,
    at: usize,
    name: &str,
    field: FieldRef<'_>,
    cells: usize,
    batch: &mut Batch,
) -> Result<usize, DecodeError> {
    let destination = &tables.destinations[at];
    let Some(column) = destination.key_column(name) else {
        return Err(DecodeError::Sql(
            SqlError::definite(format!("the table {} has no column for the key field {name}", destination.table.sql_name))
                .hinted(format!(
                    "ALTER TABLE {} ADD COLUMN {} …; or name other key columns with primary.key.fields or walspring.sink.routes",
                    destination.table.sql_name,
                    crate::catalog::quote(name)
                )),
        ));
    };
    if field.value.is_null() {
        return wrong(format!("its key field {name} is null"));
    }
    write_cell(tables, at, column, field, cells, batch)?;
    Ok(column)
}

/// Fills the cells of the row, but for those that the key has filled.
fn columns(
    tables: &mut Tables,
    session: &mut Session,
    at: usize,
    row: Fields<'_>,
    cells: usize,
    batch: &mut Batch,
) -> Result<(), DecodeError> {
    for field in row.iter() {
        let mut decided = tables.field(at, field.name);
        if decided == Field::Unknown {
            if tables.look_again(session, at, &field, row)? {
                // The columns are others now: what was filled stands at other places.
                return Err(DecodeError::Sql(SqlError {
                    kind: crate::errors::SqlErrorKind::Drift,
                    code: String::new(),
                    message: format!("{} has other columns than before", tables.destinations[at].table.sql_name),
                    hint: None,
                }));
            }
            decided = tables.field(at, field.name);
        }
        match decided {
            Field::Column(column) if batch.cells[cells + column] == Cell::Absent => {
                if field.value.is_null() {
                    batch.cells[cells + column] = Cell::Null;
                } else if !tables.unavailable.has(field.value) {
                    write_cell(tables, at, column, field, cells, batch)?;
                }
            }
            Field::Unknown if tables.config.unknown_fields_fail => {
                return wrong(format!(
                    "the table {} has no column for its field {} (walspring.sink.unknown.fields=fail)",
                    tables.destinations[at].table.sql_name, field.name
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn write_cell(
    tables: &Tables,
    at: usize,
    column: usize,
    field: FieldRef<'_>,
    cells: usize,
    batch: &mut Batch,
) -> Result<(), DecodeError> {
    let start = batch.bytes.len();
    let into = &tables.destinations[at].table.columns[column];
    let schema = field.schema.map(|schema: &Arc<_>| &**schema);
    if let Err(why) = tables.reading.write(&into.target, schema, field.value, &mut batch.bytes) {
        return wrong(format!(
            "the field {} into {}.{} ({}): {why}",
            field.name, tables.destinations[at].table.sql_name, into.sql_name, into.sql_type
        ));
    }
    batch.cells[cells + column] = Cell::Text { start, len: batch.bytes.len() - start };
    Ok(())
}
