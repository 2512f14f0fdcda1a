//! The options of the converters, under Kafka's names. They are given with a prefix: `value.converter.schemas.enable`.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const JSON_CONVERTER_CLASS: &str = "org.apache.kafka.connect.json.JsonConverter";
pub const STRING_CONVERTER_CLASS: &str = "org.apache.kafka.connect.storage.StringConverter";
pub const BYTE_ARRAY_CONVERTER_CLASS: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
pub const SIMPLE_HEADER_CONVERTER_CLASS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// Whether the converter is for keys, values or headers; the framework sets it.
const CONVERTER_TYPE: OptionDef =
    OptionDef::string("converter.type").required().low().doc("What is converted: key, value or header.");

pub const JSON_CONVERTER: OptionTable = OptionTable::new(&[
    OptionDef::string("decimal.format")
        .default("BASE64")
        .checks(&[OneOfAnyCase(&["NUMERIC", "BASE64"])])
        .low()
        .width(Width::Medium)
        .at("Serialization", 0)
        .label("Decimal Format")
        .doc("How decimals are written: BASE64 (the bytes of the unscaled value) or NUMERIC (a number)."),
    CONVERTER_TYPE,
    OptionDef::int("schemas.cache.size")
        .default("1000")
        .high()
        .width(Width::Medium)
        .at("Schemas", 1)
        .label("Schema Cache Size")
        .doc("Schemas kept in memory."),
    OptionDef::boolean("replace.null.with.default")
        .default("true")
        .low()
        .width(Width::Medium)
        .at("Serialization", 1)
        .label("Replace null with default")
        .doc("Write a field's default in place of null."),
    OptionDef::boolean("schemas.enable")
        .default("true")
        .high()
        .width(Width::Medium)
        .at("Schemas", 0)
        .label("Enable Schemas")
        .doc("Write the schema beside each value."),
    OptionDef::string("schema.content").high().width(Width::Medium).at("Schemas", 2).label("Schema Content").doc(
        "A fixed schema, as JSON, for reading values without one. A source does not read: it has no effect there.",
    ),
]);

pub const STRING_CONVERTER: OptionTable = OptionTable::new(&[
    CONVERTER_TYPE,
    OptionDef::string("converter.encoding")
        .default("UTF-8")
        .high()
        .width(Width::Medium)
        .label("Encoding")
        .doc("Character encoding. Walspring writes UTF-8."),
]);

pub const BYTE_ARRAY_CONVERTER: OptionTable = OptionTable::new(&[CONVERTER_TYPE]);

pub const SIMPLE_HEADER_CONVERTER: OptionTable = OptionTable::new(&[]);
