//! `walspring.strict`: leaves that write what the database holds, or refuse it. Decided once per relation version.

use std::sync::Arc;

use walspring_config::postgres::ColumnRule;
use walspring_record::leaf::{ArrayLeaf, Strict, Truncated};
use walspring_record::{ConversionFailure, Leaf, Relation, Value};

use crate::field::ColumnField;
use crate::surprises;

/// The field as strict mode has it.
pub(crate) fn exact(
    mut field: ColumnField,
    place: usize,
    relation: &Relation,
    rule: Option<&ColumnRule>,
) -> ColumnField {
    let column = &relation.columns[place];
    let name: Arc<str> = format!("{}.{}", relation.qualified_name(), column.name).into();
    if !surprises::is_known(relation, place) {
        // Some old rows do not have it: null says so, where the original makes up a zero.
        field.schema = field.schema.with_optional(true).with_default(None);
        field.null = Value::Null;
    } else if column.nullable && matches!(rule, Some(ColumnRule::Mask(_))) {
        field.null = Value::Null;
    }
    if is_made_up(&field) {
        field.unavailable = Value::Null;
    }
    // What no row carries unchanged needs no look.
    let unknown = field.unavailable == Value::Null && can_be_toasted(&field.leaf);
    field.leaf = match leaf(field.leaf, &name) {
        exact @ Leaf::Strict(_) => exact,
        exact if unknown => Leaf::Strict(Arc::new(Strict { leaf: exact, column: name })),
        exact => exact,
    };
    field.on_error = ConversionFailure::Fail;
    field
}

/// A leaf that is the same in strict mode stays as it is, and as fast.
fn leaf(of: Leaf, column: &Arc<str>) -> Leaf {
    let leaf = match of {
        Leaf::Text
        | Leaf::Constant(_)
        | Leaf::Boolean
        | Leaf::Bit
        | Leaf::Int16
        | Leaf::Int32
        | Leaf::Int64
        | Leaf::Float32
        | Leaf::Float64
        | Leaf::Bytea(_)
        | Leaf::TextBytes(_)
        | Leaf::Bits
        | Leaf::DecimalText
        | Leaf::TimestampTz { .. }
        | Leaf::Hstore(_)
        | Leaf::Hashed(_) => return of,
        Leaf::Array(array) => {
            let element = leaf(array.element.clone(), column);
            Leaf::Array(Arc::new(ArrayLeaf { element, null_fails: false }))
        }
        Leaf::Truncated(truncated) => {
            Leaf::Truncated(Arc::new(Truncated { leaf: leaf(truncated.leaf.clone(), column), ..(*truncated).clone() }))
        }
        other => other,
    };
    Leaf::Strict(Arc::new(Strict { leaf, column: column.clone() }))
}

/// Values of more than two kilobytes, at most.
fn can_be_toasted(leaf: &Leaf) -> bool {
    !matches!(
        leaf,
        Leaf::Constant(_)
            | Leaf::Boolean
            | Leaf::Int16
            | Leaf::Int32
            | Leaf::Int64
            | Leaf::Float32
            | Leaf::Float64
            | Leaf::TimestampTz { .. }
    )
}

/// The placeholder of an unchanged array as numbers, or as a UUID that no row has.
fn is_made_up(field: &ColumnField) -> bool {
    let uuids = || {
        let items = field.schema.items.as_deref();
        items.is_some_and(|items| items.name.as_deref() == Some("io.debezium.data.Uuid"))
    };
    match &field.unavailable {
        Value::Array(values) => matches!(values.first(), Some(Value::Int32(_) | Value::Int64(_))) || uuids(),
        _ => false,
    }
}
