//! The sinks of this process: each class with its options, and in whose words values are refused.

use std::sync::Arc;

use walspring_config::option::OptionTable;
use walspring_config::tables::opensearch_sink::{ELASTICSEARCH_SINK, OPENSEARCH_SINK};
use walspring_config::tables::postgres_sink::{POSTGRES_SINK, POSTGRES_SINK_GROUPS};
use walspring_config::tables::redis_sink::{REDIS_SINK, REDIS_SINK_GROUPS};
use walspring_config::validate::{PluginKind, Words};
use walspring_connect::SinkPlugin;
use walspring_opensearch_sink::{ElasticsearchSinkPlugin, OpenSearchSinkPlugin};
use walspring_postgres_sink::PostgresSinkPlugin;
use walspring_redis_sink::RedisSinkPlugin;
use walspring_runtime::ConnectorTable;

pub struct Sink {
    pub plugin: Arc<dyn SinkPlugin>,
    words: Words,
    options: OptionTable,
    groups: &'static [&'static str],
}

pub fn sinks() -> Vec<Sink> {
    vec![
        // The words of Debezium's connectors, of which it is one.
        sink(PostgresSinkPlugin::new(), Words::Debezium, POSTGRES_SINK, POSTGRES_SINK_GROUPS),
        sink(RedisSinkPlugin::new(), Words::Kafka, REDIS_SINK, REDIS_SINK_GROUPS),
        sink(OpenSearchSinkPlugin::new(), Words::Kafka, OPENSEARCH_SINK, &[]),
        sink(ElasticsearchSinkPlugin::new(), Words::Kafka, ELASTICSEARCH_SINK, &[]),
    ]
}

fn sink(
    plugin: impl SinkPlugin + 'static,
    words: Words,
    options: OptionTable,
    groups: &'static [&'static str],
) -> Sink {
    Sink { plugin: Arc::new(plugin), words, options, groups }
}

impl Sink {
    pub fn table(&self) -> ConnectorTable {
        ConnectorTable {
            kind: PluginKind::Sink,
            class: self.plugin.class(),
            version: self.plugin.version(),
            table: self.options,
            words: self.words,
            groups: self.groups,
        }
    }
}
