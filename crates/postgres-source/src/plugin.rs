//! The connector's class: checks, task configurations, starting a task.

use std::path::PathBuf;

use walspring_config::postgres::post_processors;
use walspring_connect::{SourcePlugin, SourceSignal, SourceTask, SourceTaskContext, TaskError};
use walspring_doctor::Outcome;

use crate::config::SourceConfig;
use crate::doctor::{self, words};
use crate::events::Events;
use crate::limits::Limits;
use crate::reselect;
use crate::signals;
use crate::streamed::Refusals;
use crate::strict;
use crate::task::PostgresTask;
use crate::wire::Connection;

/// Debezium's PostgreSQL connector by its class name and configuration.
#[derive(Debug, Default)]
pub struct PostgresPlugin {
    limits: Limits,
    strict: bool,
    spill_dir: Option<PathBuf>,
    refusals: Refusals,
}

impl PostgresPlugin {
    pub const CLASS: &str = "io.debezium.connector.postgresql.PostgresConnector";
    pub const TASK_CLASS: &str = "io.debezium.connector.postgresql.PostgresConnectorTask";
    /// The version whose contract is kept: `source.version` of each event.
    pub const VERSION: &str = "3.7.0.Final";

    pub fn new() -> PostgresPlugin {
        PostgresPlugin::default()
    }

    /// With other limits than the usual ones, for tests.
    pub fn with_limits(limits: Limits) -> PostgresPlugin {
        PostgresPlugin { limits, ..PostgresPlugin::default() }
    }

    /// The worker's `walspring.strict`, for connectors that do not say.
    pub fn strict(self, strict: bool) -> PostgresPlugin {
        PostgresPlugin { strict, ..self }
    }

    /// The worker's `walspring.spill.dir`: where what is kept of transactions in progress goes beyond memory.
    pub fn spill_dir(self, spill_dir: Option<PathBuf>) -> PostgresPlugin {
        PostgresPlugin { spill_dir, ..self }
    }

    fn parse(&self, config: &[(String, String)]) -> Result<SourceConfig, TaskError> {
        const STRICT: &str = "walspring.strict";
        let mut config = config.to_vec();
        if self.strict && config.iter().all(|(name, _)| name != STRICT) {
            config.push((STRICT.to_owned(), "true".to_owned()));
        }
        SourceConfig::parse(&config)
    }
}

impl SourcePlugin for PostgresPlugin {
    fn class(&self) -> &'static str {
        Self::CLASS
    }

    fn version(&self) -> &'static str {
        Self::VERSION
    }

    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        let config = match self.parse(config) {
            Ok(config) => config,
            // The tables found nothing wrong; what only the whole shows is told at the first key.
            Err(e) => return vec![("connector.class".into(), e.to_string())],
        };
        if let Err(e) = post_processors(&config.typed.raw)
            && !e.late
        {
            return vec![(e.option, e.message)];
        }
        let conflicts = config.typed.strict_conflicts();
        if !conflicts.is_empty() {
            return conflicts.into_iter().map(|conflict| (conflict.name, conflict.message)).collect();
        }
        let mut connect = config.connect.clone();
        let limit = config.typed.connection.validation_timeout;
        connect.connect_timeout = Some(connect.connect_timeout.map_or(limit, |t| t.min(limit)));
        connect.read_timeout = Some(limit);
        match Connection::connect(&connect) {
            Ok(mut connection) => {
                if let Some(why) = doctor::pooler(&mut connection, &connect) {
                    return vec![(
                        "database.hostname".into(),
                        format!("Error while validating connector config: {why}"),
                    )];
                }
                // What cannot be read now is told at the start.
                if config.typed.strict {
                    let refused = strict::refused_tables(config, connection).unwrap_or_default().into_iter();
                    return refused.map(|refused| ("walspring.strict".to_owned(), refused)).collect();
                }
                tell_of(&mut connection, &config);
                Vec::new()
            }
            Err(e) => {
                let mut why = words::connection_failed(&connect.hosts, &connect.user, &connect.dbname, &e).message;
                if let Some(hint) = words::pooler(&e) {
                    why = format!("{why}; {hint}");
                }
                vec![("database.hostname".into(), format!("Error while validating connector config: {why}"))]
            }
        }
    }

    fn task_configs(&self, config: &[(String, String)], _max: u32) -> Result<Vec<Vec<(String, String)>>, TaskError> {
        // One slot, one reader, whatever `tasks.max` says.
        let mut task: Vec<(String, String)> = config.iter().filter(|(k, _)| k != "task.class").cloned().collect();
        task.push(("task.class".into(), Self::TASK_CLASS.into()));
        Ok(vec![task])
    }

    fn start(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>, TaskError> {
        let mut config = self.parse(&context.config)?;
        config.streaming.refused = self.refusals.of(&context.connector, &context.config);
        config.streaming.dir = self.spill_dir.clone().unwrap_or(config.streaming.dir);
        strict::check_settings(&config)?;
        reselect::processors(&config)?;
        let events = Events::new(&config, context.task)?;
        Ok(Box::new(PostgresTask::new(config, self.limits, events, context)))
    }

    fn read_signals(&self, given: &serde_json::Value) -> Option<Result<Vec<SourceSignal>, Vec<String>>> {
        Some(signals::read_request(given))
    }
}

/// What will stop the task, for the log: the original says the like there, and registers the connector all the same.
fn tell_of(connection: &mut Connection, config: &SourceConfig) {
    for finding in doctor::at_validation(connection, config).unwrap_or_default() {
        match finding.outcome {
            Outcome::Fail => tracing::error!(mend = finding.hint(), "{}", finding.message),
            Outcome::Warn => tracing::warn!(mend = finding.hint(), "{}", finding.message),
            _ => {}
        }
    }
}
