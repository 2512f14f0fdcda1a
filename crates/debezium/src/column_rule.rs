//! What a rule for a column (`column.truncate.…`, `column.mask.…`, `….propagate.source.type`) makes of its field. Decided
//! once per relation version; what is left for each row is a leaf.

use std::sync::Arc;

use walspring_config::postgres::{ColumnHash, ColumnRule};
use walspring_record::leaf::{BinaryForm, HashAlgorithm, HashInput, Hashed, Reader, Truncated};
use walspring_record::{Column, Leaf, PgType, Type, TypeKind, Value};

use crate::dimensions::dimensions;
use crate::field::ColumnField;
use crate::types::root;

/// The field with the rule applied.
pub(crate) fn apply(rule: &ColumnRule, column: &Column, field: ColumnField, reader: Reader) -> ColumnField {
    match rule {
        ColumnRule::Truncate(length_max) => truncated(*length_max, column, field, reader),
        ColumnRule::Mask(length) => masked(*length, column, field),
        ColumnRule::Hash(hash) => hashed(hash, column, field, reader),
        ColumnRule::PropagateType => with_source_type(column, field, reader),
    }
}

/// Whether masks and hashes have anything to act on: others are left as they are by the original, without a word.
pub(crate) fn is_text(ty: &PgType) -> bool {
    let (ty, ..) = root(ty, -1);
    match ty.kind {
        TypeKind::Enum(_) => true,
        TypeKind::Base if &*ty.namespace == "pg_catalog" => {
            matches!(&*ty.name, "bpchar" | "varchar" | "text" | "name" | "char")
        }
        _ => false,
    }
}

fn truncated(length_max: usize, column: &Column, mut field: ColumnField, reader: Reader) -> ColumnField {
    let length = dimensions(&column.ty, column.modifier, reader).length;
    if usize::try_from(length).is_ok_and(|length| length <= length_max) {
        return field;
    }
    field.schema = field.schema.parameter("truncateLength", length_max.to_string());
    let bytes = matches!(field.leaf, Leaf::Bytea(BinaryForm::Bytes) | Leaf::TextBytes(BinaryForm::Bytes));
    if field.schema.ty == Type::String || bytes {
        let truncated = Truncated { leaf: field.leaf, length_max, bytes };
        field.null = truncated.value(field.null);
        field.unavailable = truncated.value(field.unavailable);
        field.leaf = Leaf::Truncated(Arc::new(truncated));
    }
    field
}

fn masked(length: usize, column: &Column, mut field: ColumnField) -> ColumnField {
    field.schema = field.schema.parameter("masked", "true");
    if is_text(&column.ty) {
        // NULL too, as the original does.
        let mask = Value::string("*".repeat(length));
        field.null = mask.clone();
        field.unavailable = mask.clone();
        field.leaf = Leaf::Constant(mask);
    }
    field
}

fn hashed(hash: &ColumnHash, column: &Column, mut field: ColumnField, reader: Reader) -> ColumnField {
    field.schema = field.schema.parameter("masked", "true");
    if is_text(&column.ty) {
        let length = dimensions(&column.ty, column.modifier, reader).length;
        let input = if hash.plain { HashInput::Plain } else { HashInput::JavaSerialized };
        let length_max = usize::try_from(length).ok().filter(|length| *length > 0).unwrap_or(usize::MAX);
        let hashed = Hashed::new(algorithm(hash.algorithm), input, hash.salt.expose(), length_max);
        field.null = hashed.value(field.null);
        field.unavailable = hashed.value(field.unavailable);
        if field.leaf == Leaf::Text {
            field.leaf = Leaf::Hashed(Arc::new(hashed));
        }
    }
    field
}

/// By the names that the configuration admits.
fn algorithm(name: &str) -> HashAlgorithm {
    match name {
        "MD5" => HashAlgorithm::Md5,
        "SHA-1" => HashAlgorithm::Sha1,
        "SHA-224" => HashAlgorithm::Sha224,
        "SHA-384" => HashAlgorithm::Sha384,
        "SHA-512" => HashAlgorithm::Sha512,
        "SHA-512/224" => HashAlgorithm::Sha512Of224,
        "SHA-512/256" => HashAlgorithm::Sha512Of256,
        _ => HashAlgorithm::Sha256,
    }
}

fn with_source_type(column: &Column, mut field: ColumnField, reader: Reader) -> ColumnField {
    let dimensions = dimensions(&column.ty, column.modifier, reader);
    let mut schema = field.schema.parameter("__debezium.source.column.type", type_name(column).to_uppercase());
    if dimensions.length != -1 {
        schema = schema.parameter("__debezium.source.column.length", dimensions.length.to_string());
    }
    if let Some(scale) = dimensions.scale {
        schema = schema.parameter("__debezium.source.column.scale", scale.to_string());
    }
    field.schema = schema.parameter("__debezium.source.column.name", column.name.to_string());
    field
}

/// The type's name as the driver has it: an integer that takes its values of a sequence is a serial.
pub(crate) fn type_name(column: &Column) -> &str {
    let serial = column.default.as_deref().is_some_and(|default| default.contains("nextval("));
    match &*column.ty.name {
        "int2" if serial => "smallserial",
        "int4" if serial => "serial",
        "int8" if serial => "bigserial",
        name => name,
    }
}
