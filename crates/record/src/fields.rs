//! A view of named fields, whether they come from a struct with its schema or from schemaless data.

use crate::schema::{Schema, SchemaRef, Type};
use crate::value::{Typed, Value};

/// The fields of a struct, or of a map whose keys are texts.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    inner: Inner<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Inner<'a> {
    Struct(&'a Schema, &'a [Value]),
    Map(&'a [(Value, Value)]),
}

/// One of them; without a schema where the data has none.
#[derive(Debug, Clone, Copy)]
pub struct FieldRef<'a> {
    pub name: &'a str,
    pub schema: Option<&'a SchemaRef>,
    pub value: &'a Value,
}

impl<'a> Fields<'a> {
    /// `None`: it is null, or has no fields.
    pub fn of(schema: Option<&'a Schema>, value: &'a Value) -> Option<Fields<'a>> {
        match (schema, value) {
            (Some(schema), Value::Struct(values)) if schema.ty == Type::Struct => {
                Some(Fields { inner: Inner::Struct(schema, values) })
            }
            // A map with a schema is data, not a row.
            (None, Value::Map(pairs)) => Some(Fields { inner: Inner::Map(pairs) }),
            _ => None,
        }
    }

    pub fn of_typed(typed: &'a Typed) -> Option<Fields<'a>> {
        Fields::of(typed.schema.as_deref(), &typed.value)
    }

    /// The struct's schema; `None`: schemaless.
    pub fn schema(&self) -> Option<&'a Schema> {
        match self.inner {
            Inner::Struct(schema, _) => Some(schema),
            Inner::Map(_) => None,
        }
    }

    pub fn len(&self) -> usize {
        match self.inner {
            Inner::Struct(_, values) => values.len(),
            Inner::Map(pairs) => pairs.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they are those of Debezium's envelope around a row. With a schema its name tells, as in the original;
    /// without one its fields do: a row that has a column called `op` is not taken for an envelope.
    pub fn is_envelope(&self) -> bool {
        match self.schema().and_then(|schema| schema.name.as_deref()) {
            Some(name) => name.ends_with(".Envelope") || name == "Envelope",
            None => {
                let has = |name| self.get(name).is_some();
                has("op")
                    && has("source")
                    && (has("after") || has("before") || has("message") || self.below("source").is_some())
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<FieldRef<'a>> {
        self.iter().find(|field| field.name == name)
    }

    /// The fields below a field.
    pub fn below(&self, name: &str) -> Option<Fields<'a>> {
        let field = self.get(name)?;
        Fields::of(field.schema.map(|schema| &**schema), field.value)
    }

    /// In their order. Keys of a map that are no texts are left out.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'a>> + use<'a> {
        let (structs, maps) = match self.inner {
            Inner::Struct(schema, values) => (Some((schema, values)), None),
            Inner::Map(pairs) => (None, Some(pairs)),
        };
        let structs = structs.into_iter().flat_map(|(schema, values)| {
            let both = schema.fields.iter().zip(values);
            both.map(|(field, value)| FieldRef { name: &field.name, schema: Some(&field.schema), value })
        });
        let maps = maps.into_iter().flatten().filter_map(|(key, value)| match key {
            Value::String(name) => Some(FieldRef { name, schema: None, value }),
            _ => None,
        });
        structs.chain(maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_and_maps_look_alike() {
        let inner = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32));
        let schema = Schema::new(Type::Struct).field("after", inner).field("op", Schema::new(Type::String));
        let value = Value::Struct(vec![Value::Struct(vec![Value::Int32(7)]), Value::string("c")]);
        let fields = Fields::of(Some(&schema), &value).unwrap();
        assert_eq!(fields.below("after").unwrap().get("id").unwrap().value, &Value::Int32(7));
        assert_eq!(fields.iter().map(|f| f.name).collect::<Vec<_>>(), ["after", "op"]);

        let after = Value::Map(vec![(Value::string("id"), Value::Int64(7))]);
        let value = Value::Map(vec![(Value::string("after"), after), (Value::Int32(1), Value::Null)]);
        let fields = Fields::of(None, &value).unwrap();
        assert_eq!(fields.below("after").unwrap().get("id").unwrap().value, &Value::Int64(7));
        assert_eq!(fields.iter().map(|f| f.name).collect::<Vec<_>>(), ["after"]);
        assert!(Fields::of(None, &Value::Null).is_none());
    }
}
