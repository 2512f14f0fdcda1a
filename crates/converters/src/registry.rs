//! Converters by the names of their Java classes.

use walspring_connect::{ConvertError, Converter, HeaderConverter, Side};
use walspring_record::Type;

use crate::binary_data::BinaryDataConverter;
use crate::byte_array::ByteArrayConverter;
use crate::header::SimpleHeaderConverter;
use crate::json::JsonConverter;
use crate::number::NumberConverter;
use crate::options::{CONFIG_EXCEPTION, Config};
use crate::string::StringConverter;

/// Kafka's version, whose converters these are.
const KAFKA: &str = "4.3.1";
/// Debezium's.
const DEBEZIUM: &str = "3.7.0.Final";

/// As `/connector-plugins` calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginType {
    Converter,
    HeaderConverter,
}

impl PluginType {
    pub fn as_str(self) -> &'static str {
        match self {
            PluginType::Converter => "converter",
            PluginType::HeaderConverter => "header_converter",
        }
    }
}

/// A class of this crate, as `/connector-plugins?connectorsOnly=false` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plugin {
    pub class: &'static str,
    pub ty: PluginType,
    pub version: &'static str,
}

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTE_ARRAY: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const SIMPLE_HEADER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
const BINARY_DATA: &str = "io.debezium.converters.BinaryDataConverter";
const DEBEZIUM_BYTE_ARRAY: &str = "io.debezium.converters.ByteArrayConverter";

/// By name.
const CLASSES: &[(&str, &str, &[PluginType])] = {
    use PluginType::{Converter, HeaderConverter};
    &[
        (BINARY_DATA, DEBEZIUM, &[Converter, HeaderConverter]),
        (DEBEZIUM_BYTE_ARRAY, DEBEZIUM, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.BooleanConverter", KAFKA, &[Converter, HeaderConverter]),
        (BYTE_ARRAY, KAFKA, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.DoubleConverter", KAFKA, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.FloatConverter", KAFKA, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.IntegerConverter", KAFKA, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.LongConverter", KAFKA, &[Converter, HeaderConverter]),
        ("org.apache.kafka.connect.converters.ShortConverter", KAFKA, &[Converter, HeaderConverter]),
        (JSON, KAFKA, &[Converter, HeaderConverter]),
        (SIMPLE_HEADER, KAFKA, &[HeaderConverter]),
        (STRING, KAFKA, &[Converter, HeaderConverter]),
    ]
};

/// Every class, converters first, by name; one that is both comes twice.
pub fn plugins() -> Vec<Plugin> {
    let of = |ty: PluginType| {
        let classes = CLASSES.iter().filter(move |(_, _, types)| types.contains(&ty));
        classes.map(move |(class, version, _)| Plugin { class, ty, version })
    };
    of(PluginType::Converter).chain(of(PluginType::HeaderConverter)).collect()
}

/// The full name of a class given in full or by its simple name. `ByteArrayConverter` alone is Kafka's.
fn resolve(class: &str, ty: PluginType) -> Option<&'static str> {
    let of_type = || CLASSES.iter().filter(|(_, _, types)| types.contains(&ty)).map(|(class, _, _)| *class);
    let simple = |name: &str| name.rsplit('.').next() == Some(class);
    of_type().find(|c| *c == class).or_else(|| of_type().filter(|c| simple(c)).max_by_key(|c| c.starts_with("org.")))
}

/// What Connect says of a class that it does not have. `option`: such as `key.converter`.
pub fn unknown_class(option: &str, class: &str) -> String {
    format!("Invalid value {class} for configuration {option}: Class {class} could not be found.")
}

fn unknown(option: &str, class: &str) -> ConvertError {
    ConvertError { class: CONFIG_EXCEPTION, message: unknown_class(option, class) }
}

/// A converter by its Java class, in full or by its simple name. `config`: its properties, without the prefix
/// (`key.converter.`).
pub fn converter(class: &str, side: Side, config: &[(String, String)]) -> Result<Box<dyn Converter>, ConvertError> {
    let Some(name) = resolve(class.trim(), PluginType::Converter) else {
        return Err(unknown(if side == Side::Key { "key.converter" } else { "value.converter" }, class));
    };
    Ok(match name {
        JSON => Box::new(JsonConverter::from_config(config)?),
        STRING => Box::new(StringConverter::from_config(&string_config(
            config,
            if side == Side::Key { "key.converter.encoding" } else { "value.converter.encoding" },
        ))?),
        BYTE_ARRAY => Box::new(ByteArrayConverter::default()),
        BINARY_DATA | DEBEZIUM_BYTE_ARRAY => Box::new(BinaryDataConverter::from_config(side, config)?),
        _ => Box::new(NumberConverter::new(number_type(name))),
    })
}

/// A converter for headers by its Java class. `config`: its properties, without the prefix (`header.converter.`).
pub fn header_converter(class: &str, config: &[(String, String)]) -> Result<Box<dyn HeaderConverter>, ConvertError> {
    let Some(name) = resolve(class.trim(), PluginType::HeaderConverter) else {
        return Err(unknown("header.converter", class));
    };
    Ok(match name {
        JSON => Box::new(JsonConverter::from_config(config)?),
        STRING => Box::new(StringConverter::from_config(config)?),
        SIMPLE_HEADER => Box::new(SimpleHeaderConverter),
        BYTE_ARRAY => Box::new(ByteArrayConverter::default()),
        BINARY_DATA | DEBEZIUM_BYTE_ARRAY => Box::new(BinaryDataConverter::from_config(Side::Value, config)?),
        _ => Box::new(NumberConverter::new(number_type(name))),
    })
}

fn number_type(class: &str) -> Type {
    match class.rsplit('.').next() {
        Some("BooleanConverter") => Type::Boolean,
        Some("ShortConverter") => Type::Int16,
        Some("IntegerConverter") => Type::Int32,
        Some("LongConverter") => Type::Int64,
        Some("FloatConverter") => Type::Float32,
        _ => Type::Float64,
    }
}

/// Kafka's serializer knows `encoding` under two more names.
fn string_config(config: &[(String, String)], sided: &str) -> Vec<(String, String)> {
    let config = Config(config);
    let encoding = config.get("converter.encoding").or_else(|| config.get(sided)).or_else(|| config.get("encoding"));
    encoding.map(|e| ("converter.encoding".to_owned(), e.to_owned())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_is_listed_can_be_made() {
        for plugin in plugins() {
            match plugin.ty {
                PluginType::Converter => assert!(converter(plugin.class, Side::Key, &[]).is_ok()),
                PluginType::HeaderConverter => assert!(header_converter(plugin.class, &[]).is_ok()),
            }
        }
        assert_eq!(resolve("ByteArrayConverter", PluginType::Converter), Some(BYTE_ARRAY));
        assert_eq!(resolve("JsonConverter", PluginType::HeaderConverter), Some(JSON));
        assert_eq!(resolve(SIMPLE_HEADER, PluginType::Converter), None);
        let error = converter("no.such.Converter", Side::Value, &[]).err().unwrap();
        assert_eq!(
            error.message,
            "Invalid value no.such.Converter for configuration value.converter: Class no.such.Converter could not be found."
        );
    }
}
