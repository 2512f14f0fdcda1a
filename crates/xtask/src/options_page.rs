//! `docs/options.md`: every option of the tables, with what this version does about it.
//!
//! The page is committed; a test fails when it is not what the tables say.

use std::fmt::Write as _;
use std::path::PathBuf;

use walspring_config::option::{Check, OptionDef, OptionTable, Support};
use walspring_config::tables::{converters, postgres, source_connector, walspring, worker};

const HEAD: &str = "# Options

Written by `cargo run -p walspring-xtask -- options` from the tables in `crates/config/src/tables`; do not edit it by hand.

What the columns say:

- *default*: what holds when the option is left out; `-` is nothing.
- *here*: **yes**, this version does what the option says; **not yet**, setting it to anything but its default is refused,
  with the reason; **no effect**, it is accepted with a warning, because there is nothing for it to act on; **read, nothing
  acts on it**, the same, without the warning. \"yes, but\" names the values that are refused.

Unknown options are accepted, as in Kafka Connect, with a warning that names the nearest known one. What `validate` answers
for each option has the same source as this page.
";

/// Options that are read and checked, but that nothing acts on yet. When something does, or the table says so itself, the
/// line goes.
const INERT: &[(&str, &str)] = &[
    ("config.action.reload", "secrets are resolved at each start of a task"),
    ("database.query.timeout.ms", "statements have no time limit"),
    ("errors.log.enable", "failures are always logged, without the record"),
    ("errors.log.include.messages", "rows' values are never logged"),
    ("errors.retry.delay.max.ms", "conversions are not repeated"),
    ("errors.retry.timeout", "conversions are not repeated"),
    ("event.processing.failure.handling.mode", "an event that cannot be processed fails the task"),
    ("executor.shutdown.timeout.ms", "task.shutdown.graceful.timeout.ms bounds it"),
    ("include.schema.comments", "Debezium's PostgreSQL connector ignores it as well"),
    ("internal.create.slot.command.timeout", "making a slot is waited for, and the status says for whom"),
    ("internal.slot.seek.to.known.offset.on.start", "the stored offset is always trusted"),
    ("offset.flush.timeout.ms", "storing an offset is tried until it succeeds"),
    ("offset.mismatch.strategy", "the stored offset is always trusted"),
    ("rest.advertised.listener", "there are no requests between workers"),
    ("retriable.restart.connector.wait.ms", "the back-off is from 0.2 to 30 seconds"),
    ("slot.max.retries", "a slot that is in use is waited for with the task's back-off"),
    ("slot.retry.delay.ms", "a slot that is in use is waited for with the task's back-off"),
    ("tasks.max.enforce", "the connector never makes more than one task"),
    ("topic.key.enforce.uniqueness", "it is for a naming strategy that is not built in"),
    ("topic.key.field.name", "it is for a naming strategy that is not built in"),
    ("topic.key.field.regex", "it is for a naming strategy that is not built in"),
    ("topic.key.field.replacement", "it is for a naming strategy that is not built in"),
    ("topic.regex", "it is for a naming strategy that is not built in"),
    ("topic.replacement", "it is for a naming strategy that is not built in"),
    ("transaction.boundary", "a transaction ends when nothing waits, at 250 ms or 8 MiB"),
    ("transaction.boundary.interval.ms", "a transaction ends when nothing waits, at 250 ms or 8 MiB"),
];

/// The page's place in the repository.
pub fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "options.md"].iter().collect()
}

pub fn render() -> String {
    let mut out = HEAD.to_owned();
    let sections: [(&str, &str, OptionTable); 9] = [
        (
            "PostgreSQL connector",
            "`connector.class=io.debezium.connector.postgresql.PostgresConnector`, under Debezium's names.",
            postgres::POSTGRES,
        ),
        (
            "Every source connector",
            "What Kafka Connect itself reads from a connector's configuration.",
            source_connector::SOURCE_CONNECTOR,
        ),
        ("Our own, of a connector", "In a connector's configuration.", walspring::WALSPRING_CONNECTOR),
        (
            "Worker",
            "In the worker's file, or in its environment (docs/worker.md). Options of the Kafka clients are in \
             docs/worker.md too.",
            worker::WORKER,
        ),
        ("Our own, of a worker", "In the worker's file.", walspring::WALSPRING_WORKER),
        (
            "JsonConverter",
            "`org.apache.kafka.connect.json.JsonConverter`, with the prefix `key.converter.`, `value.converter.` or \
             `header.converter.`.",
            converters::JSON_CONVERTER,
        ),
        ("StringConverter", "`org.apache.kafka.connect.storage.StringConverter`.", converters::STRING_CONVERTER),
        (
            "ByteArrayConverter",
            "`org.apache.kafka.connect.converters.ByteArrayConverter`.",
            converters::BYTE_ARRAY_CONVERTER,
        ),
        (
            "SimpleHeaderConverter",
            "`org.apache.kafka.connect.storage.SimpleHeaderConverter`.",
            converters::SIMPLE_HEADER_CONVERTER,
        ),
    ];
    for (title, about, table) in sections {
        let _ = write!(out, "\n## {title}\n\n{about}\n");
        if table.options.is_empty() {
            out.push_str("\nIt has no options.\n");
            continue;
        }
        out.push_str("\n| option | type | default | what it does | here |\n| --- | --- | --- | --- | --- |\n");
        for option in table.iter() {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} | {} |",
                name(option),
                option.kind.name().to_ascii_lowercase(),
                default(option),
                what(option),
                support(option)
            );
        }
    }
    out
}

/// A pattern shows as its fixed parts around `*`.
fn name(option: &OptionDef) -> String {
    match option.pattern {
        Some((before, after)) => format!("{before}*{after}"),
        None => option.name.to_owned(),
    }
}

fn default(option: &OptionDef) -> String {
    match option.value_by_default() {
        None if option.required || option.checks.contains(&Check::Required) => "required".into(),
        None => "-".into(),
        Some("") => "empty".into(),
        Some(value) => format!("`{}`", cell(value)),
    }
}

fn what(option: &OptionDef) -> String {
    let mut text = cell(option.doc);
    if let Some(values) = option.allowed_values() {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    if !option.aliases.is_empty() {
        let names: Vec<String> = option.aliases.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(text, " Formerly {}.", names.join(", "));
    }
    text.trim().to_owned()
}

fn support(option: &OptionDef) -> String {
    let inert = INERT.iter().find(|(name, _)| *name == option.name);
    match option.support {
        Support::Yes => inert.map_or_else(|| "yes".into(), |(_, why)| format!("read, nothing acts on it: {why}")),
        Support::Later(why) => format!("not yet: {}", cell(why)),
        Support::LaterValues(values, why) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("yes, but {}: {}", values.join(", "), cell(why))
        }
        Support::NoEffect(why) => format!("no effect: {}", cell(why)),
    }
}

/// Text that neither ends a table's cell nor becomes a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_acts_on_is_not_said_twice() {
        let tables = [postgres::POSTGRES, source_connector::SOURCE_CONNECTOR, worker::WORKER];
        for (name, _) in INERT {
            let option = tables.iter().find_map(|table| table.get(name));
            let support = option.unwrap_or_else(|| panic!("there is no option {name}: take its line out")).support;
            assert_eq!(support, Support::Yes, "the table of {name} says it itself: take its line out");
        }
    }
}
