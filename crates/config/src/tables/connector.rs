//! The options that Kafka Connect itself reads from every connector's configuration. Defaults that depend on the worker
//! (converters, versions) are filled in by the caller.

use crate::option::Check::*;
use crate::option::{OptionDef, Width};

/// In their order, before those of sources or sinks.
pub(super) const COMMON: [OptionDef; 17] = [
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
        .no_effect("no connector makes more tasks than this"),
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
        .doc("How long a transform or converter that failed for a reason that goes away by itself is tried again, in milliseconds; -1 for ever, 0 not at all."),
    OptionDef::long("errors.retry.delay.max.ms")
        .default("60000")
        .width(Width::Medium)
        .at("Error Handling", 2)
        .label("Maximum Delay Between Retries for Errors")
        .doc("Longest wait between these attempts, in milliseconds; the first is 300, each further one twice as long."),
    OptionDef::string("errors.tolerance")
        .default("none")
        .checks(&[OneOfExactly(&["none", "all"])])
        .width(Width::Short)
        .at("Error Handling", 3)
        .label("Error Tolerance")
        .doc("none stops the task at a record that cannot be processed, all leaves the record out."),
];

/// Read by Kafka Connect without being listed.
pub(super) const PATTERNS: [OptionDef; 5] = [
    OptionDef::string("transforms.NAME.OPTION").unlisted().pattern("transforms.", "").doc("Options of a transform."),
    OptionDef::string("predicates.NAME.OPTION").unlisted().pattern("predicates.", "").doc("Options of a predicate."),
    OptionDef::string("key.converter.OPTION")
        .unlisted()
        .pattern("key.converter.", "")
        .doc("Options of the key's converter."),
    OptionDef::string("value.converter.OPTION")
        .unlisted()
        .pattern("value.converter.", "")
        .doc("Options of the value's converter."),
    OptionDef::string("header.converter.OPTION")
        .unlisted()
        .pattern("header.converter.", "")
        .doc("Options of the headers' converter."),
];

/// One list of three.
pub(super) const fn joined<const N: usize>(a: &[OptionDef], b: &[OptionDef], c: &[OptionDef]) -> [OptionDef; N] {
    let mut all = [COMMON[0]; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < a.len() {
            a[i]
        } else if i < a.len() + b.len() {
            b[i - a.len()]
        } else {
            c[i - a.len() - b.len()]
        };
        i += 1;
    }
    all
}
