//! The options of the transforms and predicates, under the names of the originals. They are given with a prefix:
//! `transforms.ALIAS.regex`.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const REGEX_ROUTER_CLASS: &str = "org.apache.kafka.connect.transforms.RegexRouter";
pub const INSERT_HEADER_CLASS: &str = "org.apache.kafka.connect.transforms.InsertHeader";
pub const UNWRAP_CLASS: &str = "io.debezium.transforms.ExtractNewRecordState";
pub const LOGICAL_TABLE_ROUTER_CLASS: &str = "io.debezium.transforms.ByLogicalTableRouter";
pub const LOGICAL_TOPIC_ROUTER_CLASS: &str = "io.debezium.transforms.ToLogicalTopicRouter";
pub const TOPIC_NAME_MATCHES_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
pub const HAS_HEADER_KEY_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.HasHeaderKey";
pub const RECORD_IS_TOMBSTONE_CLASS: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";

/// Every transform with its options, in the order in which `/connector-plugins` lists them.
pub const TRANSFORMS: &[(&str, OptionTable)] = &[
    (LOGICAL_TABLE_ROUTER_CLASS, LOGICAL_ROUTER),
    (UNWRAP_CLASS, UNWRAP),
    (LOGICAL_TOPIC_ROUTER_CLASS, LOGICAL_ROUTER),
    (INSERT_HEADER_CLASS, INSERT_HEADER),
    (REGEX_ROUTER_CLASS, REGEX_ROUTER),
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
