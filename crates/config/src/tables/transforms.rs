//! The options of the transforms and predicates, under the names of the originals. They are given with a prefix:
//! `transforms.ALIAS.regex`.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const REGEX_ROUTER_CLASS: &str = "org.apache.kafka.connect.transforms.RegexRouter";
pub const INSERT_HEADER_CLASS: &str = "org.apache.kafka.connect.transforms.InsertHeader";
pub const CAST_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.Cast$Key";
pub const CAST_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.Cast$Value";
pub const DROP_HEADERS_CLASS: &str = "org.apache.kafka.connect.transforms.DropHeaders";
pub const EXTRACT_FIELD_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.ExtractField$Key";
pub const EXTRACT_FIELD_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.ExtractField$Value";
pub const FILTER_CLASS: &str = "org.apache.kafka.connect.transforms.Filter";
pub const FLATTEN_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.Flatten$Key";
pub const FLATTEN_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.Flatten$Value";
pub const HEADER_FROM_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.HeaderFrom$Key";
pub const HEADER_FROM_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.HeaderFrom$Value";
pub const HOIST_FIELD_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.HoistField$Key";
pub const HOIST_FIELD_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.HoistField$Value";
pub const INSERT_FIELD_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.InsertField$Key";
pub const INSERT_FIELD_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.InsertField$Value";
pub const MASK_FIELD_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.MaskField$Key";
pub const MASK_FIELD_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.MaskField$Value";
pub const REPLACE_FIELD_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.ReplaceField$Key";
pub const REPLACE_FIELD_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.ReplaceField$Value";
pub const SET_SCHEMA_METADATA_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.SetSchemaMetadata$Key";
pub const SET_SCHEMA_METADATA_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.SetSchemaMetadata$Value";
pub const TIMESTAMP_CONVERTER_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.TimestampConverter$Key";
pub const TIMESTAMP_CONVERTER_VALUE_CLASS: &str = "org.apache.kafka.connect.transforms.TimestampConverter$Value";
pub const TIMESTAMP_ROUTER_CLASS: &str = "org.apache.kafka.connect.transforms.TimestampRouter";
pub const VALUE_TO_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.ValueToKey";
pub const CHANGED_FIELDS_CLASS: &str = "io.debezium.transforms.ExtractChangedRecordState";
pub const UNWRAP_CLASS: &str = "io.debezium.transforms.ExtractNewRecordState";
pub const LOGICAL_TABLE_ROUTER_CLASS: &str = "io.debezium.transforms.ByLogicalTableRouter";
pub const LOGICAL_TOPIC_ROUTER_CLASS: &str = "io.debezium.transforms.ToLogicalTopicRouter";
pub const TIMESCALE_CLASS: &str = "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb";
pub const TOPIC_NAME_MATCHES_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
pub const HAS_HEADER_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";
pub const RECORD_IS_TOMBSTONE_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";

/// Every transform with its options, in the order in which `/connector-plugins` lists them.
pub const TRANSFORMS: &[(&str, OptionTable)] = &[
    (LOGICAL_TABLE_ROUTER_CLASS, LOGICAL_ROUTER),
    (CHANGED_FIELDS_CLASS, CHANGED_FIELDS),
    (UNWRAP_CLASS, UNWRAP),
    (LOGICAL_TOPIC_ROUTER_CLASS, LOGICAL_ROUTER),
    (CAST_KEY_CLASS, CAST),
    (CAST_VALUE_CLASS, CAST),
    (DROP_HEADERS_CLASS, DROP_HEADERS),
    (EXTRACT_FIELD_KEY_CLASS, EXTRACT_FIELD),
    (EXTRACT_FIELD_VALUE_CLASS, EXTRACT_FIELD),
    (FILTER_CLASS, FILTER),
    (FLATTEN_KEY_CLASS, FLATTEN),
    (FLATTEN_VALUE_CLASS, FLATTEN),
    (HEADER_FROM_KEY_CLASS, HEADER_FROM),
    (HEADER_FROM_VALUE_CLASS, HEADER_FROM),
    (HOIST_FIELD_KEY_CLASS, HOIST_FIELD),
    (HOIST_FIELD_VALUE_CLASS, HOIST_FIELD),
    (INSERT_FIELD_KEY_CLASS, INSERT_FIELD),
    (INSERT_FIELD_VALUE_CLASS, INSERT_FIELD),
    (INSERT_HEADER_CLASS, INSERT_HEADER),
    (MASK_FIELD_KEY_CLASS, MASK_FIELD),
    (MASK_FIELD_VALUE_CLASS, MASK_FIELD),
    (REGEX_ROUTER_CLASS, REGEX_ROUTER),
    (REPLACE_FIELD_KEY_CLASS, REPLACE_FIELD),
    (REPLACE_FIELD_VALUE_CLASS, REPLACE_FIELD),
    (SET_SCHEMA_METADATA_KEY_CLASS, SET_SCHEMA_METADATA),
    (SET_SCHEMA_METADATA_VALUE_CLASS, SET_SCHEMA_METADATA),
    (TIMESTAMP_CONVERTER_KEY_CLASS, TIMESTAMP_CONVERTER),
    (TIMESTAMP_CONVERTER_VALUE_CLASS, TIMESTAMP_CONVERTER),
    (TIMESTAMP_ROUTER_CLASS, TIMESTAMP_ROUTER),
    (VALUE_TO_KEY_CLASS, VALUE_TO_KEY),
    (TIMESCALE_CLASS, TIMESCALE),
];

/// Every predicate with its options.
pub const PREDICATES: &[(&str, OptionTable)] = &[
    (HAS_HEADER_KEY_CLASS, HAS_HEADER_KEY),
    (RECORD_IS_TOMBSTONE_CLASS, RECORD_IS_TOMBSTONE),
    (TOPIC_NAME_MATCHES_CLASS, TOPIC_NAME_MATCHES),
];

/// The options of a transform or predicate by its class.
pub fn table_of(class: &str) -> Option<OptionTable> {
    let found = TRANSFORMS.iter().chain(PREDICATES).find(|(known, _)| *known == class);
    found.map(|(_, table)| *table)
}

pub const REGEX_ROUTER: OptionTable = OptionTable::new(&[
    OptionDef::string("regex")
        .required()
        .high()
        .checks(&[Regex])
        .doc("Java regular expression that the whole name of the topic has to match."),
    OptionDef::string("replacement")
        .required()
        .high()
        .doc("The topic's new name; `$1` stands for the first group, `${name}` for a named one."),
]);

/// What begins with `database.` reaches the database, under the connector's names; the original does not list it.
pub const TIMESCALE: OptionTable = OptionTable::new(&[
    OptionDef::list("schema.list")
        .default("_timescaledb_internal")
        .high()
        .width(Width::Medium)
        .label("The list of TimescaleDB data schemas")
        .doc("Schemas that hold TimescaleDB's chunks; records of other schemas are left as they are."),
    OptionDef::string("target.topic.prefix")
        .default("timescaledb")
        .width(Width::Medium)
        .label("The prefix of TimescaleDB topic names")
        .doc("What begins the new topic, before the schema and the name of the hypertable or continuous aggregate."),
    OptionDef::string("database.hostname")
        .unlisted()
        .doc("Host of the database whose catalog tells the hypertables; as the connector's own."),
    OptionDef::string("database.port").default("5432").unlisted().doc("Its port."),
    OptionDef::string("database.dbname").unlisted().doc("The database."),
    OptionDef::string("database.user").unlisted().doc("A role that may read the schema _timescaledb_catalog."),
    OptionDef::password("database.password").unlisted().doc("Its password."),
    OptionDef::string("database.sslmode")
        .default("prefer")
        .unlisted()
        .doc("Whether TLS is used; as the connector's own."),
    OptionDef::string("database.sslrootcert").unlisted().doc("File with the certificates that are trusted."),
    OptionDef::string("database.sslcert").unlisted().doc("File with the certificate of this side."),
    OptionDef::string("database.sslkey").unlisted().doc("File with its key."),
    OptionDef::password("database.sslpassword").unlisted().doc("The key's password."),
]);

pub const INSERT_HEADER: OptionTable = OptionTable::new(&[
    OptionDef::string("header").required().high().checks(&[EntryNonNull]).doc("Name of the header."),
    OptionDef::string("value.literal")
        .required()
        .high()
        .checks(&[EntryNonNull])
        .doc("Its value; its type is that which it looks like: `1` is a number, `[1,2]` a list, `abc` text."),
]);

pub const DELETE_MODE: &str = "delete.tombstone.handling.mode";
/// Debezium 2's options, in the order of [`legacy_delete_mode`]'s arguments.
pub const LEGACY_DELETES: [&str; 2] = ["delete.handling.mode", "drop.tombstones"];
/// In the order in which the original lists them in an error.
pub const DELETE_MODES: &[&str] = &["drop", "tombstone", "rewrite-with-tombstone", "rewrite", "delete-to-tombstone"];

/// Those of [`LEGACY_DELETES`] are understood.
pub const UNWRAP: OptionTable = OptionTable::new(&[
    OptionDef::string(DELETE_MODE)
        .default("tombstone")
        .checks(&[OneOfInTransform(DELETE_MODES)])
        .width(Width::Medium)
        .order(1)
        .label("Deletes and tombstones")
        .doc(
            "What becomes of a delete and of the tombstone behind it. drop: neither is left. tombstone: the delete \
             becomes a null, the tombstone goes. rewrite: the delete becomes the last row with __deleted=true (others \
             have false), the tombstone goes. rewrite-with-tombstone: so, and the tombstone stays. \
             delete-to-tombstone: the delete becomes a tombstone, tombstones go.",
        ),
    OptionDef::string("route.by.field")
        .default("")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Topic from a field")
        .doc("Column of type text whose value becomes the topic; null or empty leaves the topic as it is."),
    OptionDef::string("add.fields.prefix")
        .default("__")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Prefix of added fields")
        .doc("Put before the name of each field of add.fields."),
    OptionDef::list("add.fields").default("").low().width(Width::Long).order(1).label("Fields to add").doc(
        "Parts of the envelope that the row gets as fields: `op`, `table` (which is `source.table`), \
             `source.ts_ms`, `transaction.id`, `before.COLUMN`. `source.ts_ms:changed_at` gives a name.",
    ),
    OptionDef::string("add.headers.prefix")
        .default("__")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Prefix of added headers")
        .doc("Put before the name of each header of add.headers."),
    OptionDef::list("add.headers")
        .default("")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Headers to add")
        .doc("Parts of the envelope that the record gets as headers, written as in add.fields."),
    OptionDef::string("drop.fields.header.name")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Header that lists fields to drop")
        .doc("Name of a header whose list of names says which fields of the row are left out."),
    OptionDef::boolean("drop.fields.from.key")
        .default("false")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Drop them from the key too")
        .doc("Leave those fields out of the key as well."),
    OptionDef::boolean("drop.fields.keep.schema.compatible")
        .default("true")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Drop optional fields only")
        .doc("Leave out only those fields that the schema calls optional."),
    OptionDef::boolean("replace.null.with.default")
        .default("true")
        .low()
        .width(Width::Short)
        .unlisted()
        .doc("Under rewrite: put a field's default in place of null."),
    OptionDef::string("delete.handling.mode")
        .checks(&[OneOfInTransform(&["drop", "rewrite", "none"])])
        .low()
        .unlisted()
        .doc("Debezium 2's option for deletes; understood with a warning. Use delete.tombstone.handling.mode."),
    OptionDef::boolean("drop.tombstones")
        .low()
        .unlisted()
        .doc("Debezium 2's option for tombstones; understood with a warning. Use delete.tombstone.handling.mode."),
]);

/// What Debezium 2's two options are in today's one. `None`: neither is given.
///
/// Left out, `delete.handling.mode` is `drop` and `drop.tombstones` true, as they were then. A delete that stayed as a
/// null with a tombstone behind it (`none` and false) is one null today.
pub fn legacy_delete_mode(deletes: Option<&str>, drop_tombstones: Option<&str>) -> Option<&'static str> {
    if deletes.is_none() && drop_tombstones.is_none() {
        return None;
    }
    let dropped = drop_tombstones.is_none_or(|v| !v.trim().eq_ignore_ascii_case("false"));
    Some(match (deletes.unwrap_or("drop").trim().to_ascii_lowercase().as_str(), dropped) {
        ("rewrite", true) => "rewrite",
        ("rewrite", false) => "rewrite-with-tombstone",
        ("none", _) => "tombstone",
        (_, true) => "drop",
        // The tombstone was all that was left.
        (_, false) => "tombstone",
    })
}

pub const CHANGED_FIELDS: OptionTable = OptionTable::new(&[
    OptionDef::string("header.changed.name")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Header of changed columns")
        .doc("Name of a header that lists the columns that an update changed; without it there is none."),
    OptionDef::string("header.unchanged.name")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Header of unchanged columns")
        .doc("Name of a header that lists the columns that an update did not change; without it there is none."),
]);

pub const LOGICAL_ROUTER: OptionTable = OptionTable::new(&[
    OptionDef::string("topic.regex")
        .checks(&[Required, Regex])
        .low()
        .width(Width::Long)
        .order(1)
        .label("Topic regex")
        .doc("Java regular expression; records whose whole topic matches it get a new topic."),
    OptionDef::string("topic.replacement")
        .checks(&[Required])
        .low()
        .width(Width::Long)
        .order(1)
        .label("Topic replacement")
        .doc("The new topic; `$1` stands for the first group of topic.regex."),
    OptionDef::boolean("key.enforce.uniqueness")
        .default("true")
        .low()
        .width(Width::Short)
        .order(1)
        .label("Tell tables apart in the key")
        .doc("Add a field to the key that says which table it is of, so that rows of different tables differ."),
    OptionDef::string("key.field.regex")
        .checks(&[Regex])
        .low()
        .width(Width::Long)
        .order(1)
        .label("Key field regex")
        .doc("Java regular expression for the old topic, from which the added field's value is made."),
    OptionDef::string("key.field.replacement")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Key field replacement")
        .doc("The added field's value, with groups of key.field.regex; without that the old topic is the value."),
    OptionDef::int("logical.destination.cache.size")
        .default("16")
        .low()
        .width(Width::Long)
        .order(1)
        .label("Cache size")
        .doc("Most topics and schemas whose result is kept.")
        .aliases(&["logical.table.cache.size"]),
    OptionDef::string("key.field.name").low().width(Width::Long).unlisted().doc(
        "Name of the added field. `__dbz__physicalTableIdentifier` under ByLogicalTableRouter, else \
             `__dbz__sourceIdentifier`.",
    ),
    OptionDef::string("schema.name.adjustment.mode")
        .default("none")
        .checks(&[OneOf(&["none", "avro", "avro_unicode"])])
        .low()
        .width(Width::Medium)
        .unlisted()
        .doc("How names of schemas are made fit for Avro: none, avro or avro_unicode."),
]);

pub const TOPIC_NAME_MATCHES: OptionTable = OptionTable::new(&[OptionDef::string("pattern")
    .required()
    .checks(&[NonEmpty, Regex])
    .doc("Java regular expression that the whole name of the topic has to match.")]);

pub const HAS_HEADER_KEY: OptionTable = OptionTable::new(&[OptionDef::string("name")
    .required()
    .checks(&[NonEmpty])
    .doc("Name of the header that the record has to have, once or more often.")]);

pub const RECORD_IS_TOMBSTONE: OptionTable = OptionTable::new(&[]);

/// `replace.null.with.default`, which most of Kafka's transforms have.
const REPLACE_NULLS: OptionDef =
    OptionDef::boolean("replace.null.with.default").default("true").doc("Put a field's default in place of null.");

pub const CAST: OptionTable = OptionTable::new(&[
    OptionDef::list("spec").required().high().checks(&[CastSpecs]).doc(
        "Fields and their new types, `field:type,field:type`, or one type for the whole. Types are int8, int16, int32, \
         int64, float32, float64, boolean and string.",
    ),
    REPLACE_NULLS,
]);

pub const DROP_HEADERS: OptionTable = OptionTable::new(&[OptionDef::list("headers")
    .required()
    .high()
    .checks(&[SomeValues])
    .doc("Names of the headers that go.")]);

pub const EXTRACT_FIELD: OptionTable = OptionTable::new(&[
    OptionDef::string("field").required().doc("Name of the field that takes the place of the whole."),
    OptionDef::string("field.syntax.version")
        .default("V1")
        .high()
        .checks(&[OneOfAnyCase(&["V1", "V2"])])
        .doc("V2: dots in `field` lead into nested fields; a name with dots stands in backticks."),
    REPLACE_NULLS,
]);

pub const FILTER: OptionTable = OptionTable::new(&[]);

pub const FLATTEN: OptionTable =
    OptionTable::new(&[OptionDef::string("delimiter").default(".").doc("Put between the names of nested fields.")]);

pub const HEADER_FROM: OptionTable = OptionTable::new(&[
    OptionDef::list("fields").required().high().checks(&[NonEmptyList]).doc("Names of the fields."),
    OptionDef::list("headers")
        .required()
        .high()
        .checks(&[NonEmptyList])
        .doc("Names of the headers that they become, in the same order."),
    OptionDef::string("operation")
        .required()
        .high()
        .checks(&[OneOfExactly(&["move", "copy"])])
        .doc("Whether the fields stay."),
    REPLACE_NULLS,
]);

pub const HOIST_FIELD: OptionTable = OptionTable::new(&[OptionDef::string("field")
    .required()
    .doc("Name of the field that gets the whole key or value.")]);

pub const INSERT_FIELD: OptionTable = OptionTable::new(&[
    OptionDef::string("topic.field")
        .doc("Field for the topic. `!` behind the name makes the field required, `?` optional, as it is without."),
    OptionDef::string("partition.field").doc("Field for the partition, where it is known: in sinks."),
    OptionDef::string("offset.field")
        .doc("Field for the record's offset.")
        .later("transforms are not told a record's offset"),
    OptionDef::string("timestamp.field").doc("Field for the record's timestamp, where it has one: in sinks."),
    OptionDef::string("static.field").doc("Field for `static.value`."),
    OptionDef::string("static.value").doc("Text for `static.field`."),
    REPLACE_NULLS,
]);

pub const MASK_FIELD: OptionTable = OptionTable::new(&[
    OptionDef::list("fields").required().high().checks(&[SomeValues]).doc("Names of the fields to mask."),
    OptionDef::string("replacement")
        .low()
        .doc("What stands in their place, as text or number; without it an empty text, 0, false, an empty list."),
    REPLACE_NULLS,
]);

pub const REPLACE_FIELD: OptionTable = OptionTable::new(&[
    OptionDef::list("exclude").default("").doc("Fields to leave out; they win over `include`."),
    OptionDef::list("include").default("").doc("Fields to keep; all, if it is empty."),
    OptionDef::list("renames").default("").checks(&[RenameMappings]).doc("New names, `old:new,old:new`."),
    REPLACE_NULLS,
]);

pub const SET_SCHEMA_METADATA: OptionTable = OptionTable::new(&[
    OptionDef::string("schema.name").high().doc("The schema's new name."),
    OptionDef::int("schema.version").high().doc("The schema's new version."),
    REPLACE_NULLS,
]);

pub const TIMESTAMP_CONVERTER: OptionTable = OptionTable::new(&[
    OptionDef::string("field").default("").high().doc("Field with the time; empty: the whole is the time."),
    OptionDef::string("target.type")
        .required()
        .high()
        .checks(&[OneOfExactly(&["string", "unix", "Date", "Time", "Timestamp"])])
        .doc("What it becomes."),
    OptionDef::string("format")
        .default("")
        .doc("Pattern of Java's SimpleDateFormat for times that are text, before or after; in UTC."),
    OptionDef::string("unix.precision")
        .default("milliseconds")
        .low()
        .checks(&[OneOfExactly(&["nanoseconds", "microseconds", "milliseconds", "seconds"])])
        .doc("Unit of times that are numbers, before or after."),
    REPLACE_NULLS,
]);

pub const TIMESTAMP_ROUTER: OptionTable = OptionTable::new(&[
    OptionDef::string("topic.format")
        .default("${topic}-${timestamp}")
        .high()
        .doc("The new topic; `${topic}` and `${timestamp}` are put in."),
    OptionDef::string("timestamp.format")
        .default("yyyyMMdd")
        .high()
        .doc("Pattern of Java's SimpleDateFormat for the record's timestamp; in UTC."),
]);

pub const VALUE_TO_KEY: OptionTable = OptionTable::new(&[
    OptionDef::list("fields").required().high().checks(&[SomeValues]).doc("Fields of the value that make the key."),
    REPLACE_NULLS,
]);

/// One item of Cast's `spec`; the type in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastSpec {
    /// `None`: the whole key or value.
    pub field: Option<String>,
    pub ty: String,
}

/// What Cast's `spec` says. The error is whole, in the words of the original.
pub fn cast_specs(items: &[String]) -> Result<Vec<CastSpec>, String> {
    const TYPES: [&str; 8] = ["INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING"];
    const OTHERS: [&str; 4] = ["BYTES", "ARRAY", "MAP", "STRUCT"];
    if items.is_empty() {
        return Err("Must specify at least one field to cast.".to_owned());
    }
    let spec = |item: &String| {
        let parts: Vec<&str> = item.split(':').map(str::trim).collect();
        let (field, ty) = match parts[..] {
            [ty] => (None, ty),
            [field, ty] => (Some(field.to_owned()), ty),
            _ => {
                let list = items.join(", ");
                return Err(format!(
                    "Invalid value [{list}] for configuration renames: Invalid rename mapping: {item}"
                ));
            }
        };
        let upper = ty.to_ascii_uppercase();
        if OTHERS.contains(&upper.as_str()) {
            let types = TYPES.join(", ");
            return Err(format!(
                "Cast transformation does not support casting to {upper}; supported types are [{types}]"
            ));
        }
        if !TYPES.contains(&upper.as_str()) {
            return Err(format!("Invalid type found in casting spec: {ty}"));
        }
        Ok(CastSpec { field, ty: upper })
    };
    let specs = items.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    if specs.len() > 1 && specs.iter().any(|spec| spec.field.is_none()) {
        return Err(
            "Cast transformations that specify a type to cast the entire value to may only specify a single cast \
                    in their spec"
                .to_owned(),
        );
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debezium_2_modes_have_a_name_today() {
        for (deletes, tombstones, today) in [
            (None, None, None),
            (Some("drop"), None, Some("drop")),
            (Some("drop"), Some("false"), Some("tombstone")),
            (Some("rewrite"), None, Some("rewrite")),
            (Some("Rewrite"), Some("true"), Some("rewrite")),
            (Some("rewrite"), Some("false"), Some("rewrite-with-tombstone")),
            (Some("none"), Some("true"), Some("tombstone")),
            (Some("none"), Some("false"), Some("tombstone")),
            (None, Some("true"), Some("drop")),
            (None, Some("false"), Some("tombstone")),
        ] {
            assert_eq!(legacy_delete_mode(deletes, tombstones), today, "{deletes:?} {tombstones:?}");
        }
    }

    #[test]
    fn every_class_is_listed_once() {
        let mut classes: Vec<_> = TRANSFORMS.iter().chain(PREDICATES).map(|(class, _)| *class).collect();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), TRANSFORMS.len() + PREDICATES.len());
    }
}
