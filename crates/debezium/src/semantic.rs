//! Schemas with a meaning: the types of `io.debezium.*` and of Connect that columns become. Required and without default.

use walspring_record::{Schema, Type};

pub fn string() -> Schema {
    Schema::new(Type::String)
}

/// A string with a meaning, such as `io.debezium.data.Json`.
pub fn named_string(name: &str) -> Schema {
    named(Type::String, name)
}

pub fn named(ty: Type, name: &str) -> Schema {
    Schema::new(ty).named(name).versioned(1)
}

pub fn bits(length: i32) -> Schema {
    named(Type::Bytes, "io.debezium.data.Bits").parameter("length", length.to_string())
}

pub fn enumeration(allowed: &str) -> Schema {
    named_string("io.debezium.data.Enum").parameter("allowed", allowed)
}

pub fn decimal(scale: u32) -> Schema {
    named(Type::Bytes, "org.apache.kafka.connect.data.Decimal").parameter("scale", scale.to_string())
}

pub fn variable_scale_decimal() -> Schema {
    structure("io.debezium.data.VariableScaleDecimal", 1)
        .documented("Variable scaled decimal")
        .field("scale", Schema::new(Type::Int32))
        .field("value", Schema::new(Type::Bytes))
}

pub fn structure(name: &str, version: i32) -> Schema {
    named(Type::Struct, name).versioned(version)
}

/// A struct of optional numbers and strings.
fn optionals(name: &str, fields: &[(&str, Type)]) -> Schema {
    fields.iter().fold(structure(name, 1), |schema, (field, ty)| schema.field(*field, Schema::new(*ty).optional()))
}

const DATE: [(&str, Type); 3] = [("year", Type::Int32), ("month", Type::Int8), ("day", Type::Int8)];
const CLOCK: [(&str, Type); 4] =
    [("hour", Type::Int8), ("minute", Type::Int8), ("second", Type::Int8), ("nanos", Type::Int32)];
const OFFSET: (&str, Type) = ("offsetSeconds", Type::Int32);
const ZONE: (&str, Type) = ("zoneId", Type::String);
const SPECIAL: (&str, Type) = ("specialValue", Type::String);
const PRECISION: (&str, Type) = ("precision", Type::Int32);

pub fn structured_date() -> Schema {
    optionals("io.debezium.time.StructuredDate", &[&DATE[..], &[SPECIAL]].concat())
}

pub fn structured_time() -> Schema {
    optionals("io.debezium.time.StructuredTime", &[&CLOCK[..], &[PRECISION]].concat())
}

pub fn structured_zoned_time() -> Schema {
    optionals("io.debezium.time.StructuredZonedTime", &[&CLOCK[..], &[OFFSET, PRECISION]].concat())
}

pub fn structured_timestamp() -> Schema {
    let fields = [&DATE[..], &CLOCK, &[SPECIAL, PRECISION]].concat();
    optionals("io.debezium.time.StructuredTimestamp", &fields)
}

pub fn structured_zoned_timestamp() -> Schema {
    let fields = [&DATE[..], &CLOCK, &[OFFSET, ZONE, SPECIAL, PRECISION]].concat();
    optionals("io.debezium.time.StructuredZonedTimestamp", &fields)
}

pub fn structured_duration() -> Schema {
    optionals(
        "io.debezium.time.StructuredDuration",
        &[
            ("years", Type::Int32),
            ("months", Type::Int32),
            ("days", Type::Int32),
            ("hours", Type::Int32),
            ("minutes", Type::Int32),
            ("seconds", Type::Int64),
            ("nanos", Type::Int32),
            PRECISION,
        ],
    )
}

pub fn point() -> Schema {
    structure("io.debezium.data.geometry.Point", 1)
        .documented("Geometry (POINT)")
        .field("x", Schema::new(Type::Float64))
        .field("y", Schema::new(Type::Float64))
        .field("wkb", Schema::new(Type::Bytes).optional())
        .field("srid", Schema::new(Type::Int32).optional())
}

/// Optional even where the column is not, as are circles and lines.
pub fn geometry() -> Schema {
    structure("io.debezium.data.geometry.Geometry", 2)
        .optional()
        .documented("Geometry")
        .field("wkb", Schema::new(Type::Bytes))
        .field("srid", Schema::new(Type::Int32).optional())
        .field("extensions", Schema::map(string(), string()).optional())
}

pub fn geography() -> Schema {
    structure("io.debezium.data.geometry.Geography", 1)
        .documented("Geography")
        .field("wkb", Schema::new(Type::Bytes))
        .field("srid", Schema::new(Type::Int32).optional())
}

pub fn circle() -> Schema {
    structure("io.debezium.data.geometry.Circle", 1)
        .optional()
        .documented("Geometry (CIRCLE)")
        .field("center", point())
        .field("radius", Schema::new(Type::Float64))
}

pub fn line() -> Schema {
    ["a", "b", "c"].into_iter().fold(
        structure("io.debezium.data.geometry.Line", 1).optional().documented("Geometry (LINE)"),
        |schema, name| schema.field(name, Schema::new(Type::Float64)),
    )
}

pub fn vector(items: Type, name: &str) -> Schema {
    Schema::array(Schema::new(items)).named(name).versioned(1)
}

pub fn sparse_vector() -> Schema {
    structure("io.debezium.data.SparseDoubleVector", 1)
        .documented("Sparse double vector")
        .field("dimensions", Schema::new(Type::Int16))
        .field("vector", Schema::map(Schema::new(Type::Int16), Schema::new(Type::Float64)))
}
