//! The connector's class: checks, starting a task.

use std::time::Duration;

use walspring_connect::{CONFIG_EXCEPTION, SinkPlugin, SinkTask, SinkTaskContext, TaskError};

use crate::config::RedisSinkConfig;
use crate::connection::Connection;
use crate::task::RedisSinkTask;

/// Redis's own sink connector by its class name and configuration.
#[derive(Debug, Default)]
pub struct RedisSinkPlugin {}

impl RedisSinkPlugin {
    pub const CLASS: &str = "com.redis.kafka.connect.RedisSinkConnector";
    /// The version whose options are kept.
    pub const VERSION: &str = "1.1.0";

    pub fn new() -> RedisSinkPlugin {
        RedisSinkPlugin::default()
    }
}

/// A configuration is checked while somebody waits.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

impl SinkPlugin for RedisSinkPlugin {
    fn class(&self) -> &'static str {
        Self::CLASS
    }

    fn version(&self) -> &'static str {
        Self::VERSION
    }

    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        let parsed = match RedisSinkConfig::parse(config) {
            Ok(parsed) => parsed,
            Err(errors) => return errors.0.into_iter().map(|error| (error.name, error.message)).collect(),
        };
        let timeout = parsed.timeout.min(CHECK_TIMEOUT);
        let mut connection = Connection::new(parsed.server.clone(), timeout);
        match connection.ask(&[b"PING"]) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let by_uri = config.iter().any(|(name, value)| name == "redis.uri" && !value.trim().is_empty());
                let name = if by_uri { "redis.uri" } else { "redis.host" };
                vec![(name.to_owned(), error.to_string())]
            }
        }
    }

    /// Does not connect: a server that is away is waited for by the first batch.
    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        let config = RedisSinkConfig::parse(&context.config)
            .map_err(|errors| TaskError::definite(CONFIG_EXCEPTION, errors.to_string()))?;
        Ok(Box::new(RedisSinkTask::new(config)))
    }
}
