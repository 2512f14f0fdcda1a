//! Everything about unwrapping that follows from the schema of an envelope.

use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Field, Schema, SchemaRef, Type, Value};

use super::field_reference::{FieldReference, Place};
use super::{DELETED, Options};
use crate::row::{Defaults, defaults, fill, push, struct_of};

pub(super) struct Plan {
    /// Where the rows are among the envelope's values.
    pub before: usize,
    pub after: usize,
    pub after_schema: SchemaRef,
    pub before_row: FlatRow,
    pub after_row: FlatRow,
    pub fields: Vec<Added>,
    pub headers: Vec<Added>,
    /// What [`DELETED`] says of a row that is there, and of one that is gone.
    pub deleted_texts: [Value; 2],
}

/// Something of the envelope that the row or the record gets.
pub(super) struct Added {
    pub name: Arc<str>,
    pub place: Place,
    pub schema: SchemaRef,
}

/// What is made of a row.
pub(super) struct FlatRow {
    /// Of the row's fields, [`DELETED`] and the added fields.
    pub schema: SchemaRef,
    /// Columns whose null is replaced under the rewrite modes.
    defaults: Defaults,
    /// The column that `route.by.field` names.
    route: Option<Result<usize, ConvertError>>,
}

impl Plan {
    /// `None`: it is not the schema of an envelope.
    pub fn of(schema: &Schema, options: &Options) -> Result<Option<Plan>, ConvertError> {
        if schema.ty != Type::Struct || !schema.name.as_deref().is_some_and(|name| name.ends_with(".Envelope")) {
            return Ok(None);
        }
        let place = |name: &str| {
            schema.index_of(name).ok_or_else(|| ConvertError {
                class: "java.lang.IllegalArgumentException",
                message: format!("Unknown field: {name}"),
            })
        };
        let (before, after) = (place("before")?, place("after")?);
        let fields = added(&options.add_fields, schema)?;
        let headers = added(&options.add_headers, schema)?;
        let row = |at: usize| FlatRow::of(&schema.fields[at].schema, &fields, options);
        let (before_row, after_row) = (row(before)?, row(after)?);
        let after_schema = schema.fields[after].schema.clone();
        let deleted_texts = [Value::string("false"), Value::string("true")];
        Ok(Some(Plan { before, after, after_schema, before_row, after_row, fields, headers, deleted_texts }))
    }
}

impl FlatRow {
    fn of(row: &Schema, added: &[Added], options: &Options) -> Result<FlatRow, ConvertError> {
        let mut fields = row.fields.clone();
        if options.mode.rewrites() {
            push(&mut fields, DELETED.into(), Schema::new(Type::String).optional().into())?;
        }
        let route = options.route_by.as_ref().map(|name| text_field(&fields, name));
        for field in added {
            push(&mut fields, field.name.clone(), field.schema.clone())?;
        }
        let defaults = defaults(&row.fields, options.mode.rewrites() && options.replace_nulls);
        Ok(FlatRow { schema: struct_of(row, fields).into(), defaults, route })
    }

    /// Puts defaults in place of nulls, where that is wanted.
    pub fn fill(&self, row: &mut [Value]) {
        fill(row, &self.defaults);
    }

    /// What `route.by.field` says in a row.
    pub fn topic(&self, row: &Value) -> Result<Option<Arc<str>>, ConvertError> {
        let at = match &self.route {
            Some(Ok(at)) => *at,
            Some(Err(e)) => return Err(e.clone()),
            None => return Ok(None),
        };
        Ok(match row {
            Value::Struct(values) => match values.get(at) {
                Some(Value::String(topic)) => Some(topic.clone()),
                _ => None,
            },
            _ => None,
        })
    }
}

fn added(references: &[FieldReference], envelope: &Schema) -> Result<Vec<Added>, ConvertError> {
    let mut found = Vec::with_capacity(references.len());
    for reference in references {
        if let Some((place, schema)) = reference.resolve(envelope)? {
            let schema = Schema { optional: true, default: None, ..(*schema).clone() };
            found.push(Added { name: reference.name.clone(), place, schema: schema.into() });
        }
    }
    Ok(found)
}

fn text_field(fields: &[Field], name: &str) -> Result<usize, ConvertError> {
    let at = fields.iter().position(|field| *field.name == *name);
    let at = at.ok_or_else(|| ConvertError::data(format!("{name} is not a valid field name")))?;
    if fields[at].schema.ty != Type::String {
        return Err(ConvertError::data(format!("Field '{name}' is not of type STRING")));
    }
    Ok(at)
}
