//! A column as a field: the type mapping, completed by nullability, default, comment and placeholder.
//! What rules for single columns make of it stands in `column_rule`.

use std::sync::Arc;

use walspring_record::leaf::{Reader, TimestampForm};
use walspring_record::{Column, ConversionFailure, Leaf, Schema, Value};

use crate::config::MappingConfig;
use crate::{defaults, surprises, types};

/// A column's field.
#[derive(Debug, Clone)]
pub struct ColumnField {
    pub name: Arc<str>,
    pub schema: Schema,
    pub leaf: Leaf,
    /// What a NULL becomes.
    pub null: Value,
    /// What an unchanged TOASTed value becomes.
    pub unavailable: Value,
    pub on_error: ConversionFailure,
}

/// Maps columns by a configuration, as who reads them does.
#[derive(Debug, Clone, Copy)]
pub struct TypeMapper<'a> {
    pub config: &'a MappingConfig,
    pub reader: Reader,
}

impl TypeMapper<'_> {
    /// `None`: the original leaves such a column out.
    pub fn column_field(&self, column: &Column) -> Option<ColumnField> {
        let mapped = types::map(&column.ty, column.modifier, self.config, self.reader)?;
        let default = defaults::default_value(column, &mapped).filter(|_| {
            // A converter may write the default for a NULL.
            !self.config.strict || (!column.nullable && surprises::has_sure_default(column))
        });
        let null = match &default {
            _ if column.nullable => Value::Null,
            Some(default) => default.clone(),
            None => mapped.zero,
        };
        let optional = column.nullable || mapped.schema.optional;
        let leaf = match self.reader {
            Reader::Stream if mapped.null_in_stream => Leaf::Constant(null.clone()),
            _ => mapped.leaf,
        };
        let on_error = match self.config.on_error {
            // Null cannot stand for a value of a required field, whatever the option says.
            _ if !optional => ConversionFailure::Fail,
            // The original does not see that the time is beyond the unit's range.
            ConversionFailure::Fail if matches!(leaf, Leaf::Timestamp { form: TimestampForm::Nanos, .. }) => {
                ConversionFailure::Warn
            }
            on_error => on_error,
        };
        Some(ColumnField {
            name: self.config.field_names.field_name(&column.name).into(),
            // No `doc`: `include.schema.comments` has no effect in the original (recorded in filter_comments).
            schema: mapped.schema.with_optional(optional).with_default(default),
            leaf,
            null,
            unavailable: mapped.unavailable,
            on_error,
        })
    }
}
