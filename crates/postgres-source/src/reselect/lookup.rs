//! Which columns of a table are read again, and by what its rows are found: worked out once per version of the table.

use std::sync::Arc;

use walspring_config::postgres::Reselect as Options;
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_debezium::UnavailableValues;
use walspring_record::{Cell, ChangeBatch, PgType, RecordPlan, RowPlan, RowRef, Schema, Type, TypeKind, Value};

use super::asking;
use crate::catalog;
use crate::config::{SourceConfig, too_complex};
use crate::errors::PSQL_EXCEPTION;
use crate::wire::{Connection, quote_identifier, quote_literal};

pub struct Lookup {
    pub plan: Arc<RecordPlan>,
    columns: Vec<Column>,
    /// What rows are found by; or why they cannot be.
    pub key: Result<Vec<KeyColumn>, String>,
    /// The values of some types are read as the original's driver gives them: with less precision.
    pub as_driver: bool,
}

struct Column {
    /// In the relation.
    place: u32,
    /// Read again where the stream left it out.
    unchanged: bool,
    /// Read again where it is null.
    null: bool,
}

pub struct KeyColumn {
    pub place: usize,
    /// Quoted, of the table and of its type.
    pub name: String,
    pub ty: String,
}

impl Lookup {
    /// `None`: no column of the table is ever read again.
    pub fn new(
        plan: &Arc<RecordPlan>,
        options: &Options,
        config: &SourceConfig,
        placeholder: &UnavailableValues,
        connection: &mut Option<Connection>,
    ) -> Result<Option<Lookup>, TaskError> {
        let relation = &plan.relation;
        let table = relation.qualified_name();
        // As in the original: what has no key is left alone, and so is the table of signals.
        let Some(event_key) = &plan.key else { return Ok(None) };
        if config.typed.filters.signal_table.as_ref().is_some_and(|signals| *signals == table) {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for (field, schema) in plan.row.fields.iter().zip(&plan.row.schema.fields) {
            let column = &relation.columns[field.column];
            // A null of a column with a default is printed as the default.
            let reads_null = options.nulls && schema.schema.default.is_none();
            let unchanged = match &field.unavailable {
                // Whatever stands for it: strict mode refuses what has no placeholder of its own.
                _ if config.typed.strict => options.unavailable,
                Value::Null => reads_null,
                // The original does not know this placeholder of its own.
                value => options.unavailable && !is_uuids(&column.ty) && placeholder.has(value),
            };
            let null = reads_null && field.null.is_null();
            let in_key = relation.key.contains(&field.column);
            if (unchanged || null)
                && !in_key
                && options.columns.admits(&format!("{table}:{}", column.name)).map_err(too_complex)?
            {
                columns.push(Column { place: field.column as u32, unchanged, null });
            }
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let strict = config.typed.strict;
        let places = if options.event_key { relation.key.clone() } else { natural_key(plan, config, connection)? };
        let shown = if options.event_key { event_key } else { &plan.row };
        let key = match why_not(plan, &places, shown) {
            Some(why) if !strict => Err(why),
            _ if places.is_empty() => Err("the table has no primary key".to_owned()),
            _ => match unknown_to_driver(plan, &places, config, connection)? {
                Some(why) if !strict => Err(why),
                _ => Ok(places.into_iter().map(|place| key_column(plan, place)).collect()),
            },
        };
        Ok(Some(Lookup { plan: plan.clone(), columns, key, as_driver: !strict }))
    }

    /// The columns that a row lacks; empty: none.
    pub fn lacking(&self, row: &RowRef<'_>) -> Vec<u32> {
        let lacks = |column: &&Column| match row.cells[column.place as usize] {
            cell if cell.is_unchanged() => column.unchanged,
            Cell::NULL => column.null,
            _ => false,
        };
        self.columns.iter().filter(lacks).map(|column| column.place).collect()
    }

    /// What stands for a column in the list of a SELECT.
    pub fn expression(&self, place: u32) -> String {
        let column = &self.plan.relation.columns[place as usize];
        let name = quote_identifier(&column.name);
        // Of a time the original's driver gives milliseconds, of one with a zone seconds.
        match &*column.ty.name {
            "time" if self.as_driver && is_builtin(&column.ty) => {
                format!("pg_catalog.regexp_replace({name}::text, '([.]\\d\\d?\\d?)\\d*', '\\1')")
            }
            "timetz" if self.as_driver && is_builtin(&column.ty) => {
                format!("pg_catalog.regexp_replace({name}::text, '[.]\\d*', '')")
            }
            _ => name,
        }
    }

    /// The columns of the event's key, and where in the log its change is: which row it is, without what is in it.
    pub fn printed_key(&self, batch: &ChangeBatch, change: usize) -> String {
        let names = self.plan.key.iter().flat_map(|key| &key.schema.fields).map(|field| &*field.name);
        format!("Struct{{{}}}, changed at {}", names.collect::<Vec<_>>().join(","), batch.changes[change].change_lsn)
    }
}

fn key_column(plan: &RecordPlan, place: usize) -> KeyColumn {
    let column = &plan.relation.columns[place];
    let ty = format!("{}.{}", quote_identifier(&column.ty.namespace), quote_identifier(&column.ty.name));
    KeyColumn { place, name: quote_identifier(&column.name), ty }
}

fn is_builtin(ty: &PgType) -> bool {
    &*ty.namespace == "pg_catalog"
}

fn is_uuids(ty: &PgType) -> bool {
    matches!(&ty.kind, TypeKind::Array(item) if &*item.name == "uuid")
}

/// The table's own key, where the events have another one.
fn natural_key(
    plan: &RecordPlan,
    config: &SourceConfig,
    connection: &mut Option<Connection>,
) -> Result<Vec<usize>, TaskError> {
    let relation = &plan.relation;
    let names: Vec<&str> = relation.columns.iter().map(|c| &*c.name).collect();
    let custom = config.typed.key_columns.of_table(&relation.namespace, &relation.name, &names).map_err(too_complex)?;
    if custom.is_none() {
        return Ok(relation.key.clone());
    }
    let details = asking(config, connection, |c| catalog::details(c, &[relation.oid]))?.map_err(unanswered)?;
    let found = details.get(&relation.oid).cloned().unwrap_or_default();
    let place = |name: &String| names.iter().position(|known| known == name);
    let key = [&found.primary_key, &found.unique_key].into_iter().find(|key| !key.is_empty());
    Ok(key.and_then(|key| key.iter().map(place).collect::<Option<Vec<_>>>()).unwrap_or_default())
}

/// The answer is kept for as long as the table stays as it is: one that has not come is waited for.
fn unanswered(why: String) -> TaskError {
    TaskError::transient(CONNECT_EXCEPTION, "Reading the key of a table failed").caused_by(PSQL_EXCEPTION, why)
}

/// Why the original cannot find rows by these columns: it binds the values as events have them, and its driver, or the
/// server, does not take all of those for the column's type.
fn why_not(plan: &RecordPlan, places: &[usize], shown: &RowPlan) -> Option<String> {
    if places.is_empty() {
        return Some("the table has no primary key".to_owned());
    }
    places.iter().find_map(|&place| {
        let field = shown.fields.iter().position(|field| field.column == place)?;
        let column = &plan.relation.columns[place];
        (!binds(&shown.schema.fields[field].schema, &column.ty)).then(|| {
            format!(
                "as in the original, rows are not found by {}, which is of type {}; walspring.strict=true finds them",
                column.name, column.ty.name
            )
        })
    })
}

fn binds(schema: &Schema, ty: &PgType) -> bool {
    let base = base(ty);
    let named = |name: &str| schema.name.as_deref() == Some(name);
    match schema.ty {
        // In events the value of a name is empty, and a time has lost its own zone, which counts when it is compared.
        Type::String => !matches!(base, "name" | "timetz"),
        Type::Boolean => base == "bool",
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Float32 | Type::Float64 => {
            matches!(base, "int2" | "int4" | "int8" | "oid" | "float4" | "float8" | "numeric" | "money")
        }
        Type::Bytes => named("org.apache.kafka.connect.data.Decimal"),
        Type::Struct => named("io.debezium.data.VariableScaleDecimal"),
        Type::Array | Type::Map => false,
    }
}

fn base(ty: &PgType) -> &str {
    match &ty.kind {
        TypeKind::Domain(base_type, _) => base(base_type),
        _ => &ty.name,
    }
}

/// The original writes the names of key columns and of their types without quotes and without a schema.
fn unknown_to_driver(
    plan: &RecordPlan,
    places: &[usize],
    config: &SourceConfig,
    connection: &mut Option<Connection>,
) -> Result<Option<String>, TaskError> {
    let columns = places.iter().map(|&place| {
        let column = &plan.relation.columns[place];
        let name = quote_literal(&column.name);
        let oid = column.ty.oid;
        format!("pg_catalog.quote_ident({name}) = {name} AND pg_catalog.pg_type_is_visible({oid})")
    });
    let sql = format!("SELECT {}", columns.collect::<Vec<_>>().join(", "));
    let row = asking(config, connection, |c| c.query_one(&sql))?.map_err(unanswered)?;
    let unknown = places.iter().enumerate().find(|(n, _)| row.get(*n) != Some("t"));
    Ok(unknown.map(|(_, &place)| {
        format!(
            "as in the original, rows are not found by {}: its name, or its type's, would have to be quoted; \
             walspring.strict=true finds them",
            plan.relation.columns[place].name
        )
    }))
}
