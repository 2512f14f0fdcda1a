//! Errors in the words of the originals.

use walspring_connect::ConvertError;
use walspring_record::{Schema, Value, java};

pub(crate) const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";

pub(crate) fn config(message: impl Into<String>) -> ConvertError {
    ConvertError { class: CONFIG_EXCEPTION, message: message.into() }
}

/// A value that an option cannot have.
pub(crate) fn invalid(option: &str, value: &str, why: impl std::fmt::Display) -> ConvertError {
    config(format!("Invalid value {value} for configuration {option}: {why}"))
}

/// What Connect says of a class that it does not have.
pub fn unknown_class(option: &str, class: &str) -> String {
    format!("Invalid value {class} for configuration {option}: Class {class} could not be found.")
}

/// A value is no row: it has no fields. `purpose`: the original's words for what was to be done.
pub(crate) fn no_struct(schema: Option<&Schema>, value: &Value, purpose: &str) -> ConvertError {
    let found = java::class_name(schema, value);
    let wanted = if schema.is_some() { "Struct" } else { "Map" };
    let of = if schema.is_some() { "" } else { " in absence of schema" };
    ConvertError::data(format!("Only {wanted} objects supported{of} for [{purpose}], found: {found}"))
}

pub(crate) fn duplicate_field(name: &str) -> ConvertError {
    ConvertError {
        class: "org.apache.kafka.connect.errors.SchemaBuilderException",
        message: format!("Cannot create field because of field name duplication {name}"),
    }
}
