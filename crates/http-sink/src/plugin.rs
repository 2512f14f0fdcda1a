//! The connectors' classes: checks, starting a task.

use std::sync::Arc;
use std::time::Duration;

use walspring_config::{Config, ConfigErrors};
use walspring_connect::{CONFIG_EXCEPTION, SinkPlugin, SinkTask, SinkTaskContext, TaskError};
use walspring_net::addresses::Ceiling;

use crate::client::{HttpClient, check_address};
use crate::config::HttpSinkConfig;
use crate::task::HttpSinkTask;
use crate::{aiven, confluent};

pub const CONFLUENT_CLASS: &str = "io.confluent.connect.http.HttpSinkConnector";
pub const AIVEN_CLASS: &str = "io.aiven.kafka.connect.http.HttpSinkConnector";

/// Both classes, calling what is public or private ([`Ceiling::DEFAULT`]).
pub fn plugins() -> Vec<Arc<dyn SinkPlugin>> {
    plugins_below(&Ceiling::default())
}

/// Both classes below the operator's list: the worker's `walspring.http.allow.addresses`.
pub fn plugins_within(ceiling: &str) -> Result<Vec<Arc<dyn SinkPlugin>>, String> {
    Ok(plugins_below(&Ceiling::parse(ceiling)?))
}

fn plugins_below(ceiling: &Ceiling) -> Vec<Arc<dyn SinkPlugin>> {
    let plugin = |class, version, parse| Arc::new(HttpSinkPlugin { class, version, parse, ceiling: ceiling.clone() });
    vec![
        plugin(CONFLUENT_CLASS, "1.7.8", confluent::parse as Parse),
        plugin(AIVEN_CLASS, "0.9.0", aiven::parse as Parse),
    ]
}

type Parse = fn(&Config, &Ceiling) -> Result<HttpSinkConfig, ConfigErrors>;

struct HttpSinkPlugin {
    class: &'static str,
    /// Whose options are kept.
    version: &'static str,
    parse: Parse,
    ceiling: Ceiling,
}

impl HttpSinkPlugin {
    fn parse(&self, config: &[(String, String)]) -> Result<(HttpSinkConfig, HttpClient), ConfigErrors> {
        let config: Config = config.iter().cloned().collect();
        let config = (self.parse)(&config, &self.ceiling)?;
        let client = HttpClient::new(&config)?;
        Ok((config, client))
    }
}

impl SinkPlugin for HttpSinkPlugin {
    fn class(&self) -> &'static str {
        self.class
    }

    fn version(&self) -> &'static str {
        self.version
    }

    /// Asks for the host's address, but sends nothing: the service would take it for a change.
    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        match self.parse(config) {
            Ok((config, _)) => match check_address(&config) {
                Ok(()) => Vec::new(),
                Err(why) => vec![(config.url_option.to_owned(), why)],
            },
            Err(errors) => errors.0.into_iter().map(|error| (error.name, error.message)).collect(),
        }
    }

    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        let (config, client) =
            self.parse(&context.config).map_err(|errors| TaskError::definite(CONFIG_EXCEPTION, errors.to_string()))?;
        let interval = context.config.iter().find(|(name, _)| name == "consumer.override.max.poll.interval.ms");
        let interval = interval.and_then(|(_, value)| value.trim().parse().ok()).map(Duration::from_millis);
        Ok(Box::new(HttpSinkTask::new(config, client, context.stop, interval)))
    }
}
