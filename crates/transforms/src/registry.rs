//! Which classes there are, and how one of each is made.

use walspring_config::tables::transforms::*;
use walspring_connect::{ConvertError, Predicate, Transform};

use crate::cast::Cast;
use crate::changed_fields::ExtractChangedRecordState;
use crate::drop_headers::DropHeaders;
use crate::error::{config, unknown_class};
use crate::extract_field::ExtractField;
use crate::filter::Filter;
use crate::flatten::Flatten;
use crate::header_from::HeaderFrom;
use crate::hoist_field::HoistField;
use crate::insert_field::InsertField;
use crate::insert_header::InsertHeader;
use crate::logical_router::LogicalRouter;
use crate::mask_field::MaskField;
use crate::predicates::{HasHeaderKey, RecordIsTombstone, TopicNameMatches};
use crate::regex_router::RegexRouter;
use crate::replace_field::ReplaceField;
use crate::row::Side;
use crate::set_schema_metadata::SetSchemaMetadata;
use crate::timestamp_converter::TimestampConverter;
use crate::timestamp_router::TimestampRouter;
use crate::unwrap::ExtractNewRecordState;
use crate::value_to_key::ValueToKey;

type Properties<'a> = &'a [(String, String)];
type MakeTransform = fn(Properties<'_>) -> Result<Box<dyn Transform>, ConvertError>;
type MakePredicate = fn(Properties<'_>) -> Result<Box<dyn Predicate>, ConvertError>;

/// The releases whose behaviour these have.
const KAFKA: &str = "4.3.1";
const DEBEZIUM: &str = "3.7.0.Final";

/// A class as `/connector-plugins` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plugin {
    pub class: &'static str,
    pub version: &'static str,
}

const MAKE_TRANSFORM: &[(&str, MakeTransform)] = &[
    (LOGICAL_TABLE_ROUTER_CLASS, |c| Ok(Box::new(LogicalRouter::new(c, "__dbz__physicalTableIdentifier")?))),
    (CHANGED_FIELDS_CLASS, |c| Ok(Box::new(ExtractChangedRecordState::new(c)?))),
    (UNWRAP_CLASS, |c| Ok(Box::new(ExtractNewRecordState::new(c)?))),
    (LOGICAL_TOPIC_ROUTER_CLASS, |c| Ok(Box::new(LogicalRouter::new(c, "__dbz__sourceIdentifier")?))),
    (CAST_KEY_CLASS, |c| Ok(Box::new(Cast::new(c, Side::Key)?))),
    (CAST_VALUE_CLASS, |c| Ok(Box::new(Cast::new(c, Side::Value)?))),
    (DROP_HEADERS_CLASS, |c| Ok(Box::new(DropHeaders::new(c)?))),
    (EXTRACT_FIELD_KEY_CLASS, |c| Ok(Box::new(ExtractField::new(c, Side::Key)?))),
    (EXTRACT_FIELD_VALUE_CLASS, |c| Ok(Box::new(ExtractField::new(c, Side::Value)?))),
    (FILTER_CLASS, |_| Ok(Box::new(Filter))),
    (FLATTEN_KEY_CLASS, |c| Ok(Box::new(Flatten::new(c, Side::Key)?))),
    (FLATTEN_VALUE_CLASS, |c| Ok(Box::new(Flatten::new(c, Side::Value)?))),
    (HEADER_FROM_KEY_CLASS, |c| Ok(Box::new(HeaderFrom::new(c, Side::Key)?))),
    (HEADER_FROM_VALUE_CLASS, |c| Ok(Box::new(HeaderFrom::new(c, Side::Value)?))),
    (HOIST_FIELD_KEY_CLASS, |c| Ok(Box::new(HoistField::new(c, Side::Key)?))),
    (HOIST_FIELD_VALUE_CLASS, |c| Ok(Box::new(HoistField::new(c, Side::Value)?))),
    (INSERT_FIELD_KEY_CLASS, |c| Ok(Box::new(InsertField::new(c, Side::Key)?))),
    (INSERT_FIELD_VALUE_CLASS, |c| Ok(Box::new(InsertField::new(c, Side::Value)?))),
    (INSERT_HEADER_CLASS, |c| Ok(Box::new(InsertHeader::new(c)?))),
    (MASK_FIELD_KEY_CLASS, |c| Ok(Box::new(MaskField::new(c, Side::Key)?))),
    (MASK_FIELD_VALUE_CLASS, |c| Ok(Box::new(MaskField::new(c, Side::Value)?))),
    (REGEX_ROUTER_CLASS, |c| Ok(Box::new(RegexRouter::new(c)?))),
    (REPLACE_FIELD_KEY_CLASS, |c| Ok(Box::new(ReplaceField::new(c, Side::Key)?))),
    (REPLACE_FIELD_VALUE_CLASS, |c| Ok(Box::new(ReplaceField::new(c, Side::Value)?))),
    (SET_SCHEMA_METADATA_KEY_CLASS, |c| Ok(Box::new(SetSchemaMetadata::new(c, Side::Key)?))),
    (SET_SCHEMA_METADATA_VALUE_CLASS, |c| Ok(Box::new(SetSchemaMetadata::new(c, Side::Value)?))),
    (TIMESTAMP_CONVERTER_KEY_CLASS, |c| Ok(Box::new(TimestampConverter::new(c, Side::Key)?))),
    (TIMESTAMP_CONVERTER_VALUE_CLASS, |c| Ok(Box::new(TimestampConverter::new(c, Side::Value)?))),
    (TIMESTAMP_ROUTER_CLASS, |c| Ok(Box::new(TimestampRouter::new(c)?))),
    (VALUE_TO_KEY_CLASS, |c| Ok(Box::new(ValueToKey::new(c)?))),
    // Made by `timescale`, by whoever can read a database for it.
    (TIMESCALE_CLASS, |_| Err(config("There is no way to a database here, which TimescaleDb needs"))),
];

const MAKE_PREDICATE: &[(&str, MakePredicate)] = &[
    (HAS_HEADER_KEY_CLASS, |c| Ok(Box::new(HasHeaderKey::new(c)?))),
    (RECORD_IS_TOMBSTONE_CLASS, |_| Ok(Box::new(RecordIsTombstone))),
    (TOPIC_NAME_MATCHES_CLASS, |c| Ok(Box::new(TopicNameMatches::new(c)?))),
];

/// A transform by its Java class. `option`: the one that names it, such as `transforms.route.type`; `config`: its
/// properties, without the prefix (`transforms.route.`). Errors are definite, in Connect's words.
pub fn transform(option: &str, class: &str, config: Properties<'_>) -> Result<Box<dyn Transform>, ConvertError> {
    find(MAKE_TRANSFORM, option, class)?(config)
}

/// A predicate by its Java class; as [`transform`].
pub fn predicate(option: &str, class: &str, config: Properties<'_>) -> Result<Box<dyn Predicate>, ConvertError> {
    find(MAKE_PREDICATE, option, class)?(config)
}

/// The classes of transforms, as `/connector-plugins?connectorsOnly=false` lists them.
pub fn transforms() -> Vec<&'static str> {
    MAKE_TRANSFORM.iter().map(|(class, _)| *class).collect()
}

/// The classes of predicates.
pub fn predicates() -> Vec<&'static str> {
    MAKE_PREDICATE.iter().map(|(class, _)| *class).collect()
}

pub fn transform_plugins() -> impl Iterator<Item = Plugin> {
    MAKE_TRANSFORM.iter().map(|(class, _)| plugin(class))
}

pub fn predicate_plugins() -> impl Iterator<Item = Plugin> {
    MAKE_PREDICATE.iter().map(|(class, _)| plugin(class))
}

fn plugin(class: &'static str) -> Plugin {
    Plugin { class, version: if class.starts_with("io.debezium.") { DEBEZIUM } else { KAFKA } }
}

fn find<M: Copy>(known: &[(&str, M)], option: &str, class: &str) -> Result<M, ConvertError> {
    let found = known.iter().find(|(known, _)| *known == class);
    found.map(|(_, make)| *make).ok_or_else(|| config(unknown_class(option, class)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_class_is_named_with_its_option() {
        let error = transform("transforms.a.type", "no.such.Transform", &[]).err().unwrap();
        assert_eq!(
            error.message,
            "Invalid value no.such.Transform for configuration transforms.a.type: Class no.such.Transform could not be found."
        );
        assert!(predicate("predicates.p.type", "no.such.Predicate", &[]).is_err());
    }

    #[test]
    fn every_class_has_its_options_and_every_table_its_class() {
        let tables = |tables: &[(&'static str, _)]| tables.iter().map(|(class, _)| *class).collect::<Vec<_>>();
        assert_eq!(transforms(), tables(TRANSFORMS));
        assert_eq!(predicates(), tables(PREDICATES));
    }
}
