//! The sinks of this process: each class with its options, and in whose words values are refused.

use std::sync::Arc;

use walspring_config::option::OptionTable;
use walspring_config::tables::http_sink::{AIVEN_HTTP_SINK, HTTP_SINK, HTTP_SINK_GROUPS};
use walspring_config::tables::opensearch_sink::{ELASTICSEARCH_SINK, OPENSEARCH_SINK};
use walspring_config::tables::postgres_sink::{POSTGRES_SINK, POSTGRES_SINK_GROUPS};
use walspring_config::tables::redis_sink::{REDIS_SINK, REDIS_SINK_GROUPS};
use walspring_config::validate::{PluginKind, Words};
use walspring_connect::SinkPlugin;
use walspring_http_sink::AIVEN_CLASS;
use walspring_opensearch_sink::{ElasticsearchSinkPlugin, OpenSearchSinkPlugin};
use walspring_postgres_sink::PostgresSinkPlugin;
use walspring_redis_sink::RedisSinkPlugin;
use walspring_runtime::ConnectorTable;

use super::worker_file::WorkerFile;

/// Whom HTTP sinks may call.
pub const ALLOWED_ADDRESSES: &str = "walspring.http.allow.addresses";

pub struct Sink {
    pub plugin: Arc<dyn SinkPlugin>,
    words: Words,
    options: OptionTable,
    groups: &'static [&'static str],
}

pub fn sinks(file: &WorkerFile) -> Vec<Sink> {
    let mut sinks = vec![
        // The words of Debezium's connectors, of which it is one.
        sink(PostgresSinkPlugin::new(), Words::Debezium, POSTGRES_SINK, POSTGRES_SINK_GROUPS),
        sink(RedisSinkPlugin::new(), Words::Kafka, REDIS_SINK, REDIS_SINK_GROUPS),
        sink(OpenSearchSinkPlugin::new(), Words::Kafka, OPENSEARCH_SINK, &[]),
        // Its name since version 4.
        sink(OpenSearchSinkPlugin::renamed(), Words::Kafka, OPENSEARCH_SINK, &[]),
        sink(ElasticsearchSinkPlugin::new(), Words::Kafka, ELASTICSEARCH_SINK, &[]),
    ];
    sinks.extend(http(file));
    sinks
}

/// Below the list of addresses in the worker's file, which was checked when the file was read.
fn http(file: &WorkerFile) -> Vec<Sink> {
    let allowed = file.resolved.get(ALLOWED_ADDRESSES);
    let plugins = match allowed {
        Some(allowed) => walspring_http_sink::plugins_within(allowed).unwrap_or_default(),
        None => walspring_http_sink::plugins(),
    };
    let sink = |plugin: Arc<dyn SinkPlugin>| {
        let options = if plugin.class() == AIVEN_CLASS { AIVEN_HTTP_SINK } else { HTTP_SINK };
        Sink { plugin, words: Words::Kafka, options, groups: HTTP_SINK_GROUPS }
    };
    plugins.into_iter().map(sink).collect()
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
