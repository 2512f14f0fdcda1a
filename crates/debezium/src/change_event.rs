//! What a record says happened to a row: read from an envelope or from a flat record, with or without schemas. What sinks
//! ask instead of looking into values themselves.

use walspring_record::{FieldRef, Fields, Typed, Value};

/// What happened, as the envelope's `op` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `c`
    Create,
    /// `r`; and a flat record, which does not say.
    Read,
    /// `u`
    Update,
    /// `d`; and a flat record whose `__deleted` is true, or whose `__op` is `d`.
    Delete,
    /// `t`
    Truncate,
    /// `m`: a logical message, which is no row.
    Message,
}

/// A change as a sink sees it.
#[derive(Debug, Clone, Copy)]
pub enum ChangeEvent<'a> {
    /// No value at all.
    Tombstone,
    Row {
        op: Op,
        /// Of an envelope only.
        before: Option<Fields<'a>>,
        /// Of a flat record all of it.
        after: Option<Fields<'a>>,
        /// Of an envelope only.
        source: Option<Fields<'a>>,
        flat: bool,
    },
    /// A value that has no fields: a text, a number, an array.
    Other(&'a Typed),
}

impl<'a> ChangeEvent<'a> {
    pub fn of(value: &'a Typed) -> ChangeEvent<'a> {
        if value.value.is_null() {
            return ChangeEvent::Tombstone;
        }
        let Some(fields) = Fields::of_typed(value) else { return ChangeEvent::Other(value) };
        if !fields.is_envelope() {
            let op = if is_flat_delete(&fields) { Op::Delete } else { Op::Read };
            return ChangeEvent::Row { op, before: None, after: Some(fields), source: None, flat: true };
        }
        let op = match fields.get("op").and_then(text) {
            Some("c") => Op::Create,
            Some("u") => Op::Update,
            Some("d") => Op::Delete,
            Some("t") => Op::Truncate,
            Some("m") => Op::Message,
            _ => Op::Read,
        };
        let (before, after, source) = (fields.below("before"), fields.below("after"), fields.below("source"));
        ChangeEvent::Row { op, before, after, source, flat: false }
    }
}

fn is_flat_delete(fields: &Fields<'_>) -> bool {
    let deleted =
        fields.get("__deleted").is_some_and(|f| matches!(f.value, Value::Boolean(true)) || text(f) == Some("true"));
    deleted || fields.get("__op").and_then(text) == Some("d")
}

fn text(field: FieldRef<'_>) -> Option<&str> {
    match field.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record::{Schema, Type};

    fn map(pairs: &[(&str, Value)]) -> Value {
        Value::Map(pairs.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect())
    }

    fn event(value: Value) -> (Op, bool, bool, bool) {
        let typed = Typed { schema: None, value };
        match ChangeEvent::of(&typed) {
            ChangeEvent::Row { op, before, after, flat, .. } => (op, before.is_some(), after.is_some(), flat),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn envelopes_and_flat_records_are_told_apart() {
        let row = map(&[("id", Value::Int64(1))]);
        let source = map(&[("lsn", Value::Int64(1))]);
        let envelope = |op: &str, before: Value, after: Value| {
            map(&[("before", before), ("after", after), ("source", source.clone()), ("op", Value::string(op))])
        };
        assert_eq!(event(envelope("c", Value::Null, row.clone())), (Op::Create, false, true, false));
        assert_eq!(event(envelope("d", row.clone(), Value::Null)), (Op::Delete, true, false, false));
        assert_eq!(event(row.clone()), (Op::Read, false, true, true));
        assert_eq!(event(map(&[("id", Value::Int64(1)), ("__deleted", Value::string("true"))])).0, Op::Delete);
        assert_eq!(event(map(&[("op", Value::string("d"))])), (Op::Read, false, true, true), "a column called op");
    }

    #[test]
    fn a_schema_s_name_tells_an_envelope() {
        let row = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32)).optional();
        let schema = Schema::new(Type::Struct)
            .field("before", row.clone())
            .field("after", row)
            .field("op", Schema::new(Type::String))
            .named("s.public.t.Envelope");
        let value = Value::Struct(vec![Value::Null, Value::Struct(vec![Value::Int32(1)]), Value::string("u")]);
        let typed = Typed::new(schema.into(), value);
        assert!(matches!(
            ChangeEvent::of(&typed),
            ChangeEvent::Row { op: Op::Update, after: Some(_), flat: false, .. }
        ));
        assert!(matches!(ChangeEvent::of(&Typed::NULL), ChangeEvent::Tombstone));
    }
}
