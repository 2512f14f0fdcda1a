//! `docs/options.md`: every option of the tables, with what this version does about it.
//!
//! The page is committed; a test fails when it is not what the tables say.

use std::fmt::Write as _;
use std::path::PathBuf;

use walspring_config::option::{Check, OptionDef, OptionTable, Support};
use walspring_config::tables::{
    converters, http_sink, opensearch_sink, postgres, postgres_sink, redis_sink, sink_connector, source_connector,
    transforms, walspring, worker,
};

const HEAD: &str = "# Options

Written by `cargo run -p walspring-xtask -- options` from the tables in `crates/config/src/tables`; do not edit it by hand.

What the columns say:

- *default*: what holds when the option is left out; `-` is nothing.
- *here*: **yes**, this version does what the option says; **refused**, setting it to anything but its default is refused,
  with the reason; **no effect**, it is accepted with a warning, because there is nothing for it to act on; **read, nothing
  acts on it**, the same, without the warning. \"yes, but\" names the values that are refused.

Unknown options are accepted, as in Kafka Connect, with a warning that names the nearest known one. What `validate` answers
for each option has the same source as this page.
";

/// The page's place in the repository.
pub fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "options.md"].iter().collect()
}

pub fn render() -> String {
    let mut out = HEAD.to_owned();
    let mut sections: Vec<(&str, &str, OptionTable)> = vec![
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
        ("Our own, of a source connector", "In a connector's configuration.", walspring::WALSPRING_CONNECTOR),
        (
            "Every sink connector",
            "What Kafka Connect itself reads from a sink connector's configuration (docs/sinks/README.md).",
            sink_connector::SINK_CONNECTOR,
        ),
        (
            "PostgreSQL sink",
            "`connector.class=io.debezium.connector.jdbc.JdbcSinkConnector`, under Debezium's names.",
            postgres_sink::POSTGRES_SINK,
        ),
        (
            "Redis sink",
            "`connector.class=com.redis.kafka.connect.RedisSinkConnector`, under the names of Redis's connector.",
            redis_sink::REDIS_SINK,
        ),
        (
            "OpenSearch sink",
            "`connector.class=io.aiven.kafka.connect.opensearch.OpensearchSinkConnector`, under Aiven's names.",
            opensearch_sink::OPENSEARCH_SINK,
        ),
        (
            "Elasticsearch sink",
            "`connector.class=io.confluent.connect.elasticsearch.ElasticsearchSinkConnector`, under Confluent's names.",
            opensearch_sink::ELASTICSEARCH_SINK,
        ),
        (
            "HTTP sink",
            "`connector.class=io.confluent.connect.http.HttpSinkConnector`, under Confluent's names.",
            http_sink::HTTP_SINK,
        ),
        (
            "HTTP sink, Aiven's",
            "`connector.class=io.aiven.kafka.connect.http.HttpSinkConnector`, under Aiven's names.",
            http_sink::AIVEN_HTTP_SINK,
        ),
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
    let named: Vec<(&str, String, OptionTable)> = (transforms::TRANSFORMS.iter().map(|entry| (entry, "transforms")))
        .chain(transforms::PREDICATES.iter().map(|entry| (entry, "predicates")))
        // Those of keys and of values have the same options.
        .filter(|((class, _), _)| !class.ends_with("$Key"))
        .map(|((class, table), list)| {
            let simple = class.rsplit('.').next().unwrap_or(class);
            let (title, classes) = match (simple.strip_suffix("$Value"), class.strip_suffix("Value")) {
                (Some(title), Some(stem)) => (title, format!("`{stem}Key` and `{class}`")),
                _ => (simple, format!("`{class}`")),
            };
            (title, format!("{classes}, with the prefix `{list}.NAME.`."), *table)
        })
        .collect();
    sections.extend(named.iter().map(|(title, about, table)| (*title, about.as_str(), *table)));
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
    match option.support {
        Support::Yes => "yes".into(),
        Support::Later(why) => format!("refused: {}", cell(why)),
        Support::LaterValues(values, why) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("yes, but {}: {}", values.join(", "), cell(why))
        }
        Support::OnlyValues(values, why) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("yes, with {}: {}", values.join(", "), cell(why))
        }
        Support::NoEffect(why) => format!("no effect: {}", cell(why)),
    }
}

/// Text that neither ends a table's cell nor becomes a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
