//! The options that Kafka Connect itself reads from a sink connector's configuration.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};
use crate::tables::connector::{COMMON, PATTERNS, joined};

pub const SINK_CONNECTOR: OptionTable = OptionTable::new(&OPTIONS);

/// In the order in which the groups are answered, before those of transforms and of the connector.
pub const FRAMEWORK_GROUPS: &[&str] = &["Common", "Transforms", "Predicates", "Error Handling"];

const OPTIONS: [OptionDef; COMMON.len() + OWN.len() + PATTERNS.len()] = joined(&COMMON, OWN, &PATTERNS);

const OWN: &[OptionDef] = &[
    OptionDef::boolean("errors.log.enable")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 4)
        .label("Log Errors")
        .doc("Log each record that could not be processed. Without it the log says from time to time how many."),
    OptionDef::boolean("errors.log.include.messages")
        .default("false")
        .width(Width::Short)
        .at("Error Handling", 5)
        .label("Log Error Details")
        .doc("Name the failed record's topic, partition and offset in that log; never what is in it."),
    OptionDef::list("topics")
        .default("")
        .high()
        .width(Width::Long)
        .at("Common", 4)
        .label("Topics")
        .doc("The topics that are read. Either this or topics.regex."),
    OptionDef::string("topics.regex")
        .default("")
        .checks(&[Regex])
        .high()
        .width(Width::Long)
        .at("Common", 4)
        .label("Topics regex")
        .doc("A regular expression that the names of the topics match as a whole; topics that come later are found."),
    OptionDef::string("errors.deadletterqueue.topic.name")
        .default("")
        .width(Width::Medium)
        .at("Error Handling", 6)
        .label("Dead Letter Queue Topic Name")
        .doc("Topic for records that could not be processed, as they were read. Empty: they are left out."),
    OptionDef::short("errors.deadletterqueue.topic.replication.factor")
        .default("3")
        .width(Width::Medium)
        .at("Error Handling", 7)
        .label("Dead Letter Queue Topic Replication Factor")
        .doc("Replicas of that topic where it is not there yet; it gets one partition."),
    OptionDef::boolean("errors.deadletterqueue.context.headers.enable")
        .default("false")
        .width(Width::Medium)
        .at("Error Handling", 8)
        .label("Enable Error Context Headers")
        .doc("Say in headers __connect.errors.* where the record was read, and why and where it failed."),
    // Read by Kafka Connect without being listed.
    OptionDef::string("consumer.override.OPTION")
        .unlisted()
        .pattern("consumer.override.", "")
        .doc("Options of the connector's consumers, such as group.id, auto.offset.reset, max.poll.records."),
    OptionDef::string("producer.override.OPTION")
        .unlisted()
        .pattern("producer.override.", "")
        .doc("Options of what writes to the dead letter queue."),
    OptionDef::string("admin.override.OPTION")
        .unlisted()
        .pattern("admin.override.", "")
        .doc("Options of what makes the dead letter queue's topic."),
];
