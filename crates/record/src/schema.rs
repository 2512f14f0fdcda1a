//! Schemas of records, with the model of Kafka Connect's `org.apache.kafka.connect.data.Schema`.

use std::sync::Arc;

use crate::value::Value;

pub type SchemaRef = Arc<Schema>;

/// The type of a value, as Connect names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

/// A type with everything that Connect can say of it. Two schemas are the same when all of it is equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub ty: Type,
    pub optional: bool,
    /// The semantic name, such as `io.debezium.time.Date`; of a struct, its full name.
    pub name: Option<Arc<str>>,
    pub version: Option<i32>,
    pub doc: Option<Arc<str>>,
    /// In the order in which they are printed.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    pub default: Option<Value>,
    /// Of a struct; else empty.
    pub fields: Vec<Field>,
    /// Of an array its items, of a map its values.
    pub items: Option<SchemaRef>,
    /// Of a map.
    pub keys: Option<SchemaRef>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub schema: SchemaRef,
}

impl Schema {
    /// A required schema with nothing but a type.
    pub fn new(ty: Type) -> Schema {
        Schema {
            ty,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            default: None,
            fields: Vec::new(),
            items: None,
            keys: None,
        }
    }

    pub fn optional(mut self) -> Schema {
        self.optional = true;
        self
    }

    pub fn with_optional(mut self, optional: bool) -> Schema {
        self.optional = optional;
        self
    }

    pub fn named(mut self, name: impl Into<Arc<str>>) -> Schema {
        self.name = Some(name.into());
        self
    }

    pub fn versioned(mut self, version: i32) -> Schema {
        self.version = Some(version);
        self
    }

    pub fn documented(mut self, doc: impl Into<Arc<str>>) -> Schema {
        self.doc = Some(doc.into());
        self
    }

    pub fn parameter(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Schema {
        self.parameters.push((name.into(), value.into()));
        self
    }

    pub fn with_default(mut self, default: Option<Value>) -> Schema {
        self.default = default;
        self
    }

    pub fn field(mut self, name: impl Into<Arc<str>>, schema: impl Into<SchemaRef>) -> Schema {
        self.fields.push(Field { name: name.into(), schema: schema.into() });
        self
    }

    pub fn array(items: impl Into<SchemaRef>) -> Schema {
        Schema { items: Some(items.into()), ..Schema::new(Type::Array) }
    }

    pub fn map(keys: impl Into<SchemaRef>, values: impl Into<SchemaRef>) -> Schema {
        Schema { keys: Some(keys.into()), items: Some(values.into()), ..Schema::new(Type::Map) }
    }

    /// The position of a struct's field.
    pub fn index_of(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|f| &*f.name == field)
    }
}
