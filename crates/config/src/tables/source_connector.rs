//! The options that Kafka Connect itself reads from a source connector's configuration. Defaults that depend on the
//! worker (converters, versions) are filled in by the caller.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const SOURCE_CONNECTOR: OptionTable = OptionTable::new(OPTIONS);

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

const OPTIONS: &[OptionDef] = &[
    OptionDef::string("name")
        .required()
        .checks(&[NotEmptyNoControl])
        .high()
        .width(Width::Medium)
        .at("Common", 1)
        .label("Connector name")
        .doc("Name of the connector, unique in the cluster."),
    OptionDef::string("connector.class")
        .required()
        .high()
        .width(Width::Long)
        .at("Common", 2)
        .label("Connector class")
        .doc("Class of the connector; its simple name, with or without Connector at the end, does too."),
    OptionDef::string("connector.plugin.version")
        .width(Width::Medium)
        .at("Common", 3)
        .label("Connector version")
        .doc("Version of the connector's class."),
    OptionDef::int("tasks.max")
        .default("1")
        .checks(&[AtLeast(1), NonNull])
        .high()
        .width(Width::Short)
        .at("Common", 4)
        .label("Tasks max")
        .doc("Most tasks the connector may have. The PostgreSQL connector always has one."),
    OptionDef::boolean("tasks.max.enforce")
        .default("true")
        .low()
        .width(Width::Short)
        .at("Common", 5)
        .label("Enforce tasks max")
        .doc("Fail a connector that makes more tasks than tasks.max.")
        .no_effect("the connector never makes more than one task"),
    OptionDef::class("key.converter")
        .low()
        .width(Width::Short)
        .at("Common", 6)
        .label("Key converter class")
        .doc("Class that turns keys into bytes; the worker's if it is left out."),
    OptionDef::string("key.converter.plugin.version")
        .low()
        .width(Width::Short)
        .at("Common", 7)
        .label("Key converter version")
        .doc("Version of that class."),
    OptionDef::class("value.converter")
        .low()
        .width(Width::Short)
        .at("Common", 8)
        .label("Value converter class")
        .doc("Class that turns values into bytes; the worker's if it is left out."),
    OptionDef::string("value.converter.plugin.version")
        .low()
        .width(Width::Short)
        .at("Common", 9)
        .label("Value converter version")
        .doc("Version of that class."),
    OptionDef::class("header.converter")
        .low()
        .width(Width::Short)
        .at("Common", 10)
        .label("Header converter class")
        .doc("Class that turns headers into bytes; the worker's if it is left out."),
    OptionDef::string("header.converter.plugin.version")
        .low()
        .width(Width::Short)
        .at("Common", 11)
        .label("Header converter version")
        .doc("Version of that class."),
    OptionDef::list("transforms")
        .default("")
        .checks(&[NoDuplicates])
        .low()
        .width(Width::Long)
        .at("Transforms", 12)
        .label("Transforms")
        .doc("Names of the transforms that each record goes through, in their order."),
    OptionDef::list("predicates")
        .default("")
        .checks(&[NoDuplicates])
        .low()
        .width(Width::Long)
        .at("Predicates", 13)
        .label("Predicates")
        .doc("Names of the predicates that transforms may refer to."),
    OptionDef::string("config.action.reload")
        .default("restart")
        .checks(&[OneOfExactly(&["none", "restart"])])
        .low()
        .width(Width::Medium)
        .at("Common", 14)
        .label("Reload Action")
        .doc("Whether a connector restarts when a value from a provider expires: restart or none.")
        .no_effect("secrets are resolved at each start of a task"),
    OptionDef::long("errors.retry.timeout")
        .default("0")
        .width(Width::Medium)
        .at("Error Handling", 1)
        .label("Retry Timeout for Errors")
        .doc("How long a failed operation is tried again, in milliseconds; -1 for ever, 0 not at all.")
        .no_effect("conversions are not repeated"),
    OptionDef::long("errors.retry.delay.max.ms")
        .default("60000")
        .width(Width::Medium)
        .at("Error Handling", 2)
        .label("Maximum Delay Between Retries for Errors")
        .doc("Longest wait between these attempts, in milliseconds.")
        .no_effect("conversions are not repeated"),
    OptionDef::string("errors.tolerance")
        .default("none")
        .checks(&[OneOfExactly(&["none", "all"])])
        .width(Width::Short)
        .at("Error Handling", 3)
        .label("Error Tolerance")
        .doc("none stops the task at a record that cannot be processed, all leaves the record out."),
    OptionDef::boolean("errors.log.enable")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 4)
        .label("Log Errors")
        .doc("Log each failed operation.")
        .no_effect("failures are always logged, without the record"),
    OptionDef::boolean("errors.log.include.messages")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 5)
        .label("Log Error Details")
        .doc("Name the failed record's topic and offset in that log.")
        .no_effect("rows' values are never logged"),
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
        .doc("What ends a Kafka transaction: poll (a batch), interval (time), connector.")
        .no_effect("a transaction ends when nothing waits, at 250 ms or 8 MiB"),
    OptionDef::long("transaction.boundary.interval.ms")
        .checks(&[AtLeast(0)])
        .low()
        .width(Width::Short)
        .at("Exactly Once Support", 4)
        .label("Transaction boundary interval")
        .doc("With transaction.boundary=interval: how long a transaction lasts, in milliseconds.")
        .no_effect("a transaction ends when nothing waits, at 250 ms or 8 MiB"),
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
    OptionDef::string("transforms.NAME.OPTION").unlisted().pattern("transforms.", "").doc("Options of a transform."),
    OptionDef::string("predicates.NAME.OPTION").unlisted().pattern("predicates.", "").doc("Options of a predicate."),
    OptionDef::string("key.converter.OPTION").unlisted().pattern("key.converter.", "").doc("Options of the key's converter."),
    OptionDef::string("value.converter.OPTION").unlisted().pattern("value.converter.", "").doc("Options of the value's converter."),
    OptionDef::string("header.converter.OPTION").unlisted().pattern("header.converter.", "").doc("Options of the headers' converter."),
    OptionDef::string("producer.override.OPTION").unlisted().pattern("producer.override.", "").doc("Options of the connector's producer."),
    OptionDef::string("consumer.override.OPTION").unlisted().pattern("consumer.override.", "").doc("Options of the connector's consumers."),
    OptionDef::string("admin.override.OPTION").unlisted().pattern("admin.override.", "").doc("Options of the connector's admin client."),
];
