//! The type mapping: for each type of PostgreSQL its schema, its leaf, and what stands for a value that is not there.

use std::sync::Arc;

use walspring_record::leaf::{
    self, ArrayLeaf, BinaryForm, DateForm, HstoreForm, IntervalForm, MoneyForm, Reader, Shape, TimeForm, TimestampForm,
    ZonedForm,
};
use walspring_record::{Leaf, PgType, Schema, Type, TypeKind, Value};

use crate::config::{DecimalHandling, HstoreHandling, IntervalHandling, MappingConfig, TimePrecision};
use crate::modifier::{Modifier, parse_modifier};
use crate::semantic;

/// A type, mapped.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Required, unless the original has it optional in any case.
    pub schema: Schema,
    pub leaf: Leaf,
    /// What a required field holds when the value is not known: zero, in the shape of the type.
    pub zero: Value,
    /// What stands for an unchanged TOASTed value.
    pub unavailable: Value,
    /// The original reads values of this type from snapshots, and takes those of the stream for nulls.
    pub null_in_stream: bool,
}

/// A column's type, by its modifier; `None`: the original leaves such columns out.
pub fn map(ty: &PgType, modifier: i32, config: &MappingConfig, reader: Reader) -> Option<Mapped> {
    let (ty, modifier, in_domain) = root(ty, modifier);
    // What the driver of snapshots makes of dates is not what they are.
    let reader = if config.strict { Reader::Stream } else { reader };
    let mapper = Mapper { config, reader };
    match &ty.kind {
        TypeKind::Array(element) => mapper.array(ty, element, modifier, in_domain),
        _ => mapper.scalar(ty, modifier, in_domain),
    }
}

/// The type below all domains, with the modifier that the innermost of them gives, and whether there was any.
pub(crate) fn root(mut ty: &PgType, mut modifier: i32) -> (&PgType, i32, bool) {
    let mut in_domain = false;
    while let TypeKind::Domain(base, of_domain) = &ty.kind {
        if modifier == -1 {
            modifier = *of_domain;
        }
        ty = base;
        in_domain = true;
    }
    (ty, modifier, in_domain)
}

/// A type's name if it is one of the core's, else with what no core type begins with: `ext.hstore`.
fn qualified(ty: &PgType) -> String {
    if &*ty.namespace == "pg_catalog" { ty.name.to_string() } else { format!("ext.{}", ty.name) }
}

struct Mapper<'a> {
    config: &'a MappingConfig,
    reader: Reader,
}

impl Mapper<'_> {
    fn scalar(&self, ty: &PgType, modifier: i32, in_domain: bool) -> Option<Mapped> {
        if let TypeKind::Enum(labels) = &ty.kind {
            return Some(self.text(semantic::enumeration(&labels.join(","))).unavailable(Value::Null));
        }
        let name = qualified(ty);
        let m = match parse_modifier(modifier, &name) {
            m if self.config.strict => without_negative_scale(m),
            m => m,
        };
        Some(match name.as_str() {
            "bool" => fixed(Type::Boolean, Leaf::Boolean, Value::Boolean(false)),
            "bit" | "varbit" => self.bits(m),
            "int2" => fixed(Type::Int16, Leaf::Int16, Value::Int16(0)),
            "int4" => fixed(Type::Int32, Leaf::Int32, Value::Int32(0)),
            "int8" | "oid" => fixed(Type::Int64, Leaf::Int64, Value::Int64(0)),
            "float4" => fixed(Type::Float32, Leaf::Float32, Value::Float32(0.0)),
            "float8" => fixed(Type::Float64, Leaf::Float64, Value::Float64(0.0)),
            "numeric" => self.numeric(m),
            "money" => self.money(),
            "bpchar" | "varchar" | "text" | "char" | "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range"
            | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" | "ext.citext" | "ext.isbn" => {
                self.text(semantic::string())
            }
            "name" => Mapped { null_in_stream: !self.unknown_types(), ..self.text(semantic::string()) },
            "bytea" => self.binary(Leaf::Bytea(self.config.binary)),
            "json" | "jsonb" => self.text(semantic::named_string("io.debezium.data.Json")),
            "xml" => self.text(semantic::named_string("io.debezium.data.Xml")),
            "uuid" => self.text(semantic::named_string("io.debezium.data.Uuid")),
            "tsvector" => self.text(semantic::named_string("io.debezium.data.Tsvector")),
            "ext.ltree" => self.text(semantic::named_string("io.debezium.data.Ltree")),
            "ext.hstore" => self.hstore(in_domain),
            "date" => self.date(),
            "time" => self.time(m.scale as u8),
            "timestamp" => self.timestamp(m.scale as u8),
            "timetz" => self.zoned_time(m.scale as u8),
            "timestamptz" => self.zoned_timestamp(m.scale as u8),
            "interval" => self.interval(m.scale as u16),
            "point" => structure(semantic::point(), Leaf::Point, leaf::point_value(0.0, 0.0)),
            "box" => shape(Shape::Box, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
            "lseg" => shape(Shape::Lseg, &[0.0, 0.0, 1.0, 0.0]),
            "path" => shape(Shape::Path, &[0.0, 0.0, 1.0, 0.0]),
            "polygon" => shape(Shape::Polygon, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
            "circle" => {
                structure(semantic::circle(), Leaf::Geometric(Shape::Circle), leaf::circle_value(0.0, 0.0, 0.0))
            }
            "line" => structure(semantic::line(), Leaf::Geometric(Shape::Line), leaf::line_value(0.0, 1.0, 0.0)),
            "ext.geometry" => structure(
                semantic::geometry(),
                Leaf::Geometry { extensions: true },
                Value::Struct(vec![empty_geometry(), Value::Null, Value::Null]),
            ),
            "ext.geography" => structure(
                semantic::geography(),
                Leaf::Geometry { extensions: false },
                Value::Struct(vec![empty_geometry(), Value::Null]),
            ),
            "ext.vector" => {
                structure(semantic::vector(Type::Float64, "io.debezium.data.DoubleVector"), Leaf::Vector, empty_list())
            }
            "ext.halfvec" => structure(
                semantic::vector(Type::Float32, "io.debezium.data.FloatVector"),
                Leaf::HalfVector,
                empty_list(),
            ),
            "ext.sparsevec" => {
                let zero = Value::Struct(vec![Value::Int16(0), Value::Map(Vec::new())]);
                structure(semantic::sparse_vector(), Leaf::SparseVector, zero)
            }
            _ if self.unknown_types() => self.binary(Leaf::TextBytes(self.config.binary)),
            _ => return None,
        })
    }

    /// Strict mode leaves no type out.
    fn unknown_types(&self) -> bool {
        self.config.unknown_types || self.config.strict
    }

    /// An array of any type, whose elements are what single values are, or null.
    fn exact_array(&self, ty: &PgType, element: &PgType, modifier: i32) -> Option<Mapped> {
        let (element, modifier, _) = root(element, modifier);
        let mapped = self.scalar(element, modifier, false)?;
        let unavailable = self.unavailable_list(ty, &mapped);
        Some(Mapped {
            schema: Schema::array(mapped.schema.optional()),
            leaf: Leaf::Array(Arc::new(ArrayLeaf { element: mapped.leaf, null_fails: false })),
            zero: empty_list(),
            unavailable,
            null_in_stream: false,
        })
    }

    fn array(&self, ty: &PgType, element: &PgType, modifier: i32, in_domain: bool) -> Option<Mapped> {
        if self.config.strict {
            return self.exact_array(ty, element, modifier);
        }
        let list = |items: Schema, element: Leaf, null_fails: bool| Mapped {
            schema: Schema::array(items),
            leaf: Leaf::Array(Arc::new(ArrayLeaf { element, null_fails })),
            zero: empty_list(),
            unavailable: Value::Null,
            null_in_stream: false,
        };
        if let TypeKind::Enum(labels) = &element.kind {
            return Some(list(semantic::enumeration(&labels.join(",")), Leaf::Text, true));
        }
        if let TypeKind::Domain(..) = element.kind {
            // The original knows no element type below a domain.
            let mapped = self.config.unknown_types.then(|| self.binary(Leaf::TextBytes(self.config.binary)))?;
            return Some(list(mapped.schema, mapped.leaf, true));
        }
        let name = qualified(element);
        // Dates in arrays come through the JDBC driver in the stream too.
        let elements = Mapper { config: self.config, reader: Reader::Snapshot };
        match name.as_str() {
            "money" | "name" | "interval" | "varbit" | "xml" | "point" | "refcursor" => None,
            // The original takes such a column for its element type, and then has no value that fits.
            "bit" => Some(Mapped { leaf: Leaf::Unconvertible, ..self.bits(parse_modifier(modifier, "bit")) }),
            "int2" | "int4" | "int8" | "oid" | "char" | "varchar" | "text" | "bpchar" | "inet" | "cidr" | "macaddr"
            | "macaddr8" | "tsrange" | "tstzrange" | "daterange" | "int4range" | "numrange" | "int8range"
            | "numeric" | "float4" | "float8" | "bool" | "date" | "uuid" | "json" | "jsonb" | "time" | "timetz"
            | "timestamp" | "timestamptz" | "bytea" | "ext.hstore" | "ext.geometry" | "ext.geography"
            | "ext.citext" | "ext.ltree" => {
                let mapped = elements.scalar(element, modifier, false)?;
                let unavailable = if in_domain { Value::Null } else { self.unavailable_list(ty, &mapped) };
                let null_fails = name == "ext.ltree";
                Some(list(mapped.schema.optional(), mapped.leaf, null_fails).unavailable(unavailable))
            }
            _ => {
                let mapped = elements.scalar(element, modifier, false)?;
                // The original makes the elements' structs of another schema than the field's.
                let fails = mapped.schema.ty == Type::Struct;
                Some(list(mapped.schema, if fails { Leaf::Unconvertible } else { mapped.leaf }, true))
            }
        }
    }

    /// What stands for an unchanged array: the placeholder made to a list of what the elements are, where the original
    /// has thought of it.
    fn unavailable_list(&self, array: &PgType, element: &Mapped) -> Value {
        let placeholder = &self.config.unavailable;
        // Java's bytes have a sign.
        let list = |number: fn(i8) -> Value| placeholder.0.iter().map(|b| number(*b as i8)).collect();
        Value::Array(match (&*array.name, element.schema.ty) {
            ("_text" | "_varchar" | "_bpchar" | "_json" | "_jsonb", _) => vec![Value::string(placeholder.text())],
            ("_bytea", Type::Bytes) => vec![Value::bytes(&placeholder.0[..])],
            ("_int4", _) => list(|b| Value::Int32(b.into())),
            // Connect's own Date is an object in Java, which a number is not.
            ("_date", Type::Int32) if self.config.time != TimePrecision::Connect => list(|b| Value::Int32(b.into())),
            ("_int8", _) => list(|b| Value::Int64(b.into())),
            ("_uuid", _) => vec![Value::string(name_based_uuid(&placeholder.0))],
            _ => return Value::Null,
        })
    }

    /// A string; its placeholder is the option's text.
    fn text(&self, schema: Schema) -> Mapped {
        let unavailable = Value::string(self.config.unavailable.text());
        Mapped { schema, leaf: Leaf::Text, zero: Value::string(""), unavailable, null_in_stream: false }
    }

    fn binary(&self, leaf: Leaf) -> Mapped {
        if self.config.binary != BinaryForm::Bytes {
            return Mapped { leaf, ..self.text(semantic::string()) };
        }
        let unavailable = Value::bytes(&self.config.unavailable.0[..]);
        fixed(Type::Bytes, leaf, Value::bytes(Vec::new())).unavailable(unavailable)
    }

    fn bits(&self, m: Modifier) -> Mapped {
        match m.length.unwrap_or(i32::MAX) {
            ..=1 => fixed(Type::Boolean, Leaf::Bit, Value::Boolean(false)),
            length => structure(semantic::bits(length), Leaf::Bits, Value::bytes(Vec::new())),
        }
    }

    fn numeric(&self, m: Modifier) -> Mapped {
        let zero_byte = || Value::bytes(vec![0]);
        match (self.config.decimal, m.length) {
            (DecimalHandling::Precise, None) => {
                let zero = Value::Struct(vec![Value::Int32(0), zero_byte()]);
                structure(semantic::variable_scale_decimal(), Leaf::VariableScaleDecimal, zero)
            }
            (DecimalHandling::Precise, Some(precision)) => {
                let scale = m.scale as u32;
                let schema = semantic::decimal(scale).parameter("connect.decimal.precision", precision.to_string());
                structure(schema, Leaf::Decimal { scale }, zero_byte())
            }
            (DecimalHandling::Double, _) => fixed(Type::Float64, Leaf::DecimalDouble, Value::Float64(0.0)),
            (DecimalHandling::String, _) => {
                let zero = Value::string(zero_text(if m.length.is_some() { m.scale as usize } else { 0 }));
                Mapped { leaf: Leaf::DecimalText, zero, ..self.text(semantic::string()) }
            }
        }
    }

    fn money(&self) -> Mapped {
        let scale = self.config.money_fraction_digits;
        match self.config.decimal {
            DecimalHandling::Precise => {
                structure(semantic::decimal(scale), Leaf::Money(MoneyForm::Decimal { scale }), Value::bytes(vec![0]))
            }
            DecimalHandling::Double => fixed(Type::Float64, Leaf::Money(MoneyForm::Double), Value::Float64(0.0)),
            DecimalHandling::String => {
                let zero = Value::string(zero_text(scale as usize));
                structure(semantic::string(), Leaf::Money(MoneyForm::Text), zero)
            }
        }
    }

    fn hstore(&self, in_domain: bool) -> Mapped {
        let text = self.config.unavailable.text();
        match self.config.hstore {
            HstoreHandling::Json => {
                let mut json = Vec::new();
                leaf::write_hstore_json(std::iter::once((text.as_str(), Some(text.as_str()))), &mut json);
                let json = String::from_utf8_lossy(&json).into_owned();
                Mapped {
                    leaf: Leaf::Hstore(HstoreForm::Json),
                    zero: Value::string("{}"),
                    unavailable: Value::string(if in_domain { text } else { json }),
                    ..self.text(semantic::named_string("io.debezium.data.Json"))
                }
            }
            HstoreHandling::Map => {
                let schema = Schema::map(semantic::string(), semantic::string().optional());
                let pair = (Value::string(text.as_str()), Value::string(text.as_str()));
                let unavailable = if in_domain { Value::Null } else { Value::Map(vec![pair]) };
                structure(schema, Leaf::Hstore(HstoreForm::Map), Value::Map(Vec::new())).unavailable(unavailable)
            }
        }
    }

    fn date(&self) -> Mapped {
        let leaf = |form| Leaf::Date { form, reader: self.reader };
        let days = |name| structure(semantic::named(Type::Int32, name), leaf(DateForm::Days), Value::Int32(0));
        match self.config.time {
            TimePrecision::Connect => days("org.apache.kafka.connect.data.Date"),
            TimePrecision::Isostring => self.iso("io.debezium.time.IsoDate", leaf(DateForm::Iso), "1970-01-01Z"),
            TimePrecision::Structured => {
                let zero = Value::Struct(vec![Value::Int32(1970), Value::Int8(1), Value::Int8(1), Value::Null]);
                structure(semantic::structured_date(), leaf(DateForm::Structured), zero)
            }
            _ => days("io.debezium.time.Date"),
        }
    }

    fn time(&self, precision: u8) -> Mapped {
        let leaf = |form| Leaf::Time { form, precision };
        let millis = |name| structure(semantic::named(Type::Int32, name), leaf(TimeForm::Millis), Value::Int32(0));
        let long = |name, form| structure(semantic::named(Type::Int64, name), leaf(form), Value::Int64(0));
        match self.config.time {
            TimePrecision::Adaptive if precision <= 3 => millis("io.debezium.time.Time"),
            TimePrecision::Adaptive | TimePrecision::AdaptiveTimeMicroseconds | TimePrecision::Microseconds => {
                long("io.debezium.time.MicroTime", TimeForm::Micros)
            }
            TimePrecision::Nanoseconds => long("io.debezium.time.NanoTime", TimeForm::Nanos),
            TimePrecision::Connect => millis("org.apache.kafka.connect.data.Time"),
            TimePrecision::Isostring => self.iso("io.debezium.time.IsoTime", leaf(TimeForm::Iso), "00:00:00Z"),
            TimePrecision::Structured => read_zero(semantic::structured_time(), leaf(TimeForm::Structured), "00:00:00"),
        }
    }

    fn timestamp(&self, precision: u8) -> Mapped {
        let leaf = |form| Leaf::Timestamp { form, precision };
        let long = |name, form| structure(semantic::named(Type::Int64, name), leaf(form), Value::Int64(0));
        match self.config.time {
            TimePrecision::Adaptive | TimePrecision::AdaptiveTimeMicroseconds if precision <= 3 => {
                long("io.debezium.time.Timestamp", TimestampForm::Millis)
            }
            TimePrecision::Adaptive | TimePrecision::AdaptiveTimeMicroseconds | TimePrecision::Microseconds => {
                long("io.debezium.time.MicroTimestamp", TimestampForm::Micros)
            }
            TimePrecision::Nanoseconds => long("io.debezium.time.NanoTimestamp", TimestampForm::Nanos),
            TimePrecision::Connect => long("org.apache.kafka.connect.data.Timestamp", TimestampForm::Millis),
            TimePrecision::Isostring => {
                self.iso("io.debezium.time.IsoTimestamp", leaf(TimestampForm::Iso), "1970-01-01T00:00:00Z")
            }
            TimePrecision::Structured => {
                read_zero(semantic::structured_timestamp(), leaf(TimestampForm::Structured), "1970-01-01 00:00:00")
            }
        }
    }

    fn zoned_time(&self, precision: u8) -> Mapped {
        let leaf = |form| Leaf::TimeTz { form, precision };
        match self.config.time {
            TimePrecision::Structured => {
                read_zero(semantic::structured_zoned_time(), leaf(ZonedForm::Structured), "00:00:00+00")
            }
            _ => self.iso("io.debezium.time.ZonedTime", leaf(ZonedForm::Text), "00:00:00Z"),
        }
    }

    fn zoned_timestamp(&self, precision: u8) -> Mapped {
        let leaf = |form| Leaf::TimestampTz { form, precision };
        match self.config.time {
            TimePrecision::Structured => {
                let mut mapped = read_zero(
                    semantic::structured_zoned_timestamp(),
                    leaf(ZonedForm::Structured),
                    "1970-01-01 00:00:00+00",
                );
                // The made-up instant has an offset and no zone.
                if let Value::Struct(fields) = &mut mapped.zero {
                    fields[8] = Value::Null;
                }
                mapped
            }
            _ => self.iso("io.debezium.time.ZonedTimestamp", leaf(ZonedForm::Text), "1970-01-01T00:00:00Z"),
        }
    }

    fn interval(&self, precision: u16) -> Mapped {
        match (self.config.time, self.config.interval) {
            (TimePrecision::Structured, _) => read_zero(
                semantic::structured_duration(),
                Leaf::Interval(IntervalForm::Structured { precision }),
                "00:00:00",
            ),
            (_, IntervalHandling::String) => {
                self.iso("io.debezium.time.Interval", Leaf::Interval(IntervalForm::Iso), "P0Y0M0DT0H0M0S")
            }
            _ => structure(
                semantic::named(Type::Int64, "io.debezium.time.MicroDuration"),
                Leaf::Interval(IntervalForm::Micros),
                Value::Int64(0),
            ),
        }
    }

    /// A moment as ISO text.
    fn iso(&self, name: &str, leaf: Leaf, zero: &str) -> Mapped {
        structure(semantic::named_string(name), leaf, Value::string(zero))
    }
}

/// `numeric(5,-2)` holds whole numbers of seven digits.
fn without_negative_scale(m: Modifier) -> Modifier {
    // Eleven bits with a sign, which the driver reads without.
    match m.scale {
        scale @ 1024..=2047 => Modifier { length: m.length.map(|length| length + 2048 - scale), scale: 0 },
        _ => m,
    }
}

impl Mapped {
    fn unavailable(self, unavailable: Value) -> Mapped {
        Mapped { unavailable, ..self }
    }
}

fn fixed(ty: Type, leaf: Leaf, zero: Value) -> Mapped {
    structure(Schema::new(ty), leaf, zero)
}

/// Anything whose values are never replaced by a placeholder, or for which the original has none.
fn structure(schema: Schema, leaf: Leaf, zero: Value) -> Mapped {
    Mapped { schema, leaf, zero, unavailable: Value::Null, null_in_stream: false }
}

/// The zero is what the leaf reads of a text.
fn read_zero(schema: Schema, leaf: Leaf, zero: &str) -> Mapped {
    let zero = leaf.value(zero.as_bytes()).unwrap_or(Value::Null);
    structure(schema, leaf, zero)
}

fn shape(shape: Shape, zero: &[f64]) -> Mapped {
    structure(semantic::geometry(), Leaf::Geometric(shape), leaf::shape_value(shape, zero, None))
}

fn empty_list() -> Value {
    Value::Array(Vec::new())
}

/// `GEOMETRYCOLLECTION EMPTY`
fn empty_geometry() -> Value {
    Value::bytes(vec![1, 7, 0, 0, 0, 0, 0, 0, 0])
}

fn zero_text(scale: usize) -> String {
    if scale == 0 { "0".into() } else { format!("0.{}", "0".repeat(scale)) }
}

/// Java's `UUID.nameUUIDFromBytes`: version 3 without a namespace.
pub(crate) fn name_based_uuid(name: &[u8]) -> String {
    use md5::Digest;
    let mut bytes: [u8; 16] = md5::Md5::digest(name).into();
    bytes[6] = bytes[6] & 0x0F | 0x30;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (i, b) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{b:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_of_a_uuid_array() {
        assert_eq!(name_based_uuid(b"__debezium_unavailable_value"), "b68a35a7-17ad-35b3-af2a-ae46edb4545a");
    }
}
