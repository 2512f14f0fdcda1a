//! The options that Kafka Connect itself reads from a source connector's configuration. Defaults that depend on the
//! worker (converters, versions) are filled in by the caller.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};
use crate::tables::connector::{COMMON, PATTERNS, joined};

pub const SOURCE_CONNECTOR: OptionTable = OptionTable::new(&OPTIONS);

const OPTIONS: [OptionDef; COMMON.len() + OWN.len() + PATTERNS.len()] = joined(&COMMON, OWN, &PATTERNS);

/// In the order in which the groups are answered, before those of transforms and of the connector.
pub const FRAMEWORK_GROUPS: &[&str] = &[
    "Common",
    "Transforms",
    "Predicates",
    "Error Handling",
    "Topic Creation",
    "Exactly Once Support",
    "offsets.topic",
];

const OWN: &[OptionDef] = &[
    OptionDef::boolean("errors.log.enable")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 4)
        .label("Log Errors")
        .doc("Log each record that could not be transformed, converted or written. Without it the log says from time to time how many were left out."),
    OptionDef::boolean("errors.log.include.messages")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 5)
        .label("Log Error Details")
        .doc("Name the failed record's topic and position in that log; never what is in it."),
    OptionDef::list("topic.creation.groups")
        .default("")
        .checks(&[NoDuplicates])
        .low()
        .width(Width::Long)
        .at("Topic Creation", 1)
        .label("Topic Creation Groups")
        .doc("Names of rules for the settings of new topics."),
    OptionDef::string("exactly.once.support")
        .default("requested")
        .checks(&[OneOfAnyCase(&["REQUIRED", "REQUESTED"])])
        .width(Width::Short)
        .at("Exactly Once Support", 2)
        .label("Exactly once support")
        .doc("required refuses the connector where exactly once cannot be had, requested uses it where it can."),
    OptionDef::string("transaction.boundary")
        .default("poll")
        .checks(&[OneOfAnyCase(&["INTERVAL", "POLL", "CONNECTOR"])])
        .width(Width::Short)
        .at("Exactly Once Support", 3)
        .label("Transaction Boundary")
        .doc("What ends a Kafka transaction: poll ends it when nothing more waits, at 250 ms or 8 MiB; interval when transaction.boundary.interval.ms is over, or at 256 MiB. connector is refused, as by the original: its connector defines no transactions."),
    OptionDef::long("transaction.boundary.interval.ms")
        .checks(&[AtLeast(0)])
        .low()
        .width(Width::Short)
        .at("Exactly Once Support", 4)
        .label("Transaction boundary interval")
        .doc("With transaction.boundary=interval: how long a transaction lasts, in milliseconds; the worker's offset.flush.interval.ms if it is left out."),
    OptionDef::string("offsets.storage.topic")
        .checks(&[NonEmpty])
        .low()
        .width(Width::Long)
        .at("offsets.topic", 1)
        .label("Offsets topic")
        .doc("Topic for this connector's positions, in place of the worker's."),
    // Read by Kafka Connect without being listed.
    OptionDef::int("topic.creation.default.replication.factor")
        .unlisted()
        .doc("Replicas of new topics; -1 leaves it to the broker. With the number of partitions it turns topic creation on."),
    OptionDef::int("topic.creation.default.partitions").unlisted().doc("Partitions of new topics; -1 leaves it to the broker."),
    OptionDef::string("topic.creation.GROUP.OPTION")
        .unlisted()
        .pattern("topic.creation.", "")
        .doc("Per rule: include and exclude (regular expressions of topics), replication.factor, partitions, and settings of the topic."),
    OptionDef::string("producer.override.OPTION").unlisted().pattern("producer.override.", "").doc("Options of the connector's producer."),
    OptionDef::string("consumer.override.OPTION").unlisted().pattern("consumer.override.", "").doc("Options of the connector's consumers."),
    OptionDef::string("admin.override.OPTION").unlisted().pattern("admin.override.", "").doc("Options of the connector's admin client."),
];
