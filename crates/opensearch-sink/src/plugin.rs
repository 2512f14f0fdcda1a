//! The two classes: one sink under the names of Aiven's connector and of Confluent's.

use walspring_config::Config;
use walspring_connect::{CONFIG_EXCEPTION, SinkPlugin, SinkTask, SinkTaskContext, TaskError};

use crate::config::{Flavour, SinkConfig};
use crate::task::OpenSearchTask;
use crate::tls;

/// All of them, to be registered.
pub fn plugins() -> Vec<Box<dyn SinkPlugin>> {
    vec![
        Box::new(OpenSearchSinkPlugin::new()),
        Box::new(OpenSearchSinkPlugin::renamed()),
        Box::new(ElasticsearchSinkPlugin::new()),
    ]
}

/// Aiven's connector; its options are the table `OPENSEARCH_SINK`.
#[derive(Debug)]
pub struct OpenSearchSinkPlugin {
    class: &'static str,
}

impl OpenSearchSinkPlugin {
    /// The class's name up to version 3, `OpensearchSinkConnector`.
    pub fn new() -> OpenSearchSinkPlugin {
        OpenSearchSinkPlugin { class: "io.aiven.kafka.connect.opensearch.OpensearchSinkConnector" }
    }

    /// Its name from version 4 on, `OpenSearchSinkConnector`.
    pub fn renamed() -> OpenSearchSinkPlugin {
        OpenSearchSinkPlugin { class: "io.aiven.kafka.connect.opensearch.OpenSearchSinkConnector" }
    }
}

impl Default for OpenSearchSinkPlugin {
    fn default() -> OpenSearchSinkPlugin {
        OpenSearchSinkPlugin::new()
    }
}

impl SinkPlugin for OpenSearchSinkPlugin {
    fn class(&self) -> &'static str {
        self.class
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        check(Flavour::OpenSearch, config)
    }

    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        start(Flavour::OpenSearch, context)
    }
}

/// `io.confluent.connect.elasticsearch.ElasticsearchSinkConnector`; its options are the table `ELASTICSEARCH_SINK`.
#[derive(Debug, Default)]
pub struct ElasticsearchSinkPlugin(());

impl ElasticsearchSinkPlugin {
    pub fn new() -> ElasticsearchSinkPlugin {
        ElasticsearchSinkPlugin::default()
    }
}

impl SinkPlugin for ElasticsearchSinkPlugin {
    fn class(&self) -> &'static str {
        "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        check(Flavour::Elasticsearch, config)
    }

    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        start(Flavour::Elasticsearch, context)
    }
}

fn check(flavour: Flavour, config: &[(String, String)]) -> Vec<(String, String)> {
    let config: Config = config.iter().cloned().collect();
    match SinkConfig::read(flavour, &config) {
        Err(error) => vec![(error.name, error.message)],
        Ok(read) => match tls::config(&read.tls) {
            // Of the TLS options it names itself which is wrong; the URL is what they are for.
            Err(error) => vec![("connection.url".to_owned(), error.to_string())],
            Ok(_) => Vec::new(),
        },
    }
}

fn start(flavour: Flavour, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
    let config: Config = context.config.iter().cloned().collect();
    let config = SinkConfig::read(flavour, &config).map_err(|e| TaskError::definite(CONFIG_EXCEPTION, e.message))?;
    Ok(Box::new(OpenSearchTask::new(config, context)?))
}
