//! The connector's class: checks, and starting a task.

use walspring_connect::{SinkPlugin, SinkTask, SinkTaskContext, TaskError, threads};

use crate::config::SinkConfig;
use crate::session::{Session, SqlError};
use crate::task::PostgresSinkTask;

/// Debezium's JDBC sink connector by its class name and configuration, for PostgreSQL.
#[derive(Debug, Default)]
pub struct PostgresSinkPlugin;

impl PostgresSinkPlugin {
    pub const CLASS: &str = "io.debezium.connector.jdbc.JdbcSinkConnector";
    /// The version whose contract is kept.
    pub const VERSION: &str = "3.7.0.Final";

    pub fn new() -> PostgresSinkPlugin {
        PostgresSinkPlugin
    }
}

impl SinkPlugin for PostgresSinkPlugin {
    fn class(&self) -> &'static str {
        Self::CLASS
    }

    fn version(&self) -> &'static str {
        Self::VERSION
    }

    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        let config = match SinkConfig::parse(config) {
            Ok(config) => config,
            Err(errors) => return errors.into_iter().map(|error| (error.name, error.message)).collect(),
        };
        // On a thread of its own: the client library blocks, and whoever asks may be inside an async runtime.
        let connect = || Session::connect(&config, "validation").map(drop);
        let connected = std::thread::scope(|scope| match threads::spawn_scoped(scope, "validation", connect) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(SqlError::definite("the client library failed"))),
            Err(e) => Err(SqlError::definite(format!("no thread can be started to look: {e}"))),
        });
        match connected {
            Ok(_) => Vec::new(),
            Err(error) => {
                let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                vec![("connection.url".to_owned(), format!("The database cannot be reached: {}{hint}", error.message))]
            }
        }
    }

    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError> {
        let config = SinkConfig::parse_for_task(&context.config)?;
        Ok(Box::new(PostgresSinkTask::new(context, config)))
    }
}
