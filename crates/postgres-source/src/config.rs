//! What the source needs of a connector's configuration, beside what `walspring-config` has typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use walspring_config::config::Config;
use walspring_config::java_regex::MatchError;
use walspring_config::postgres::{self as typed, PostgresConnectorConfig};
use walspring_connect::{CONFIG_EXCEPTION, CONNECT_EXCEPTION, TaskError};

use crate::errors::from_pg;
use crate::metrics::{MetricsConfig, Tags};
use crate::relations::SILENCE_MAX;
use crate::streamed::Streaming;
use crate::value_limit::ValueLimit;
use crate::wire::{self, ConnectConfig, Connection, SslMode, TargetSession};

const SLOT_WATCH_INTERVAL: &str = "walspring.slot.watch.interval.ms";
const SNAPSHOT_RESUME: &str = "walspring.snapshot.resume";
const METRICS_TABLES_MAX: &str = "walspring.metrics.tables.max";

#[derive(Clone)]
pub struct SourceConfig {
    pub typed: PostgresConnectorConfig,
    pub connect: ConnectConfig,
    /// `walspring.slot.temporary`: the slot ends with the connection, so nothing is left in the database.
    pub slot_temporary: bool,
    /// `walspring.snapshot.resume`
    pub snapshot_resume: bool,
    /// `walspring.slot.watch.interval.ms`; zero: the slot is not looked at.
    pub slot_watch_interval: Duration,
    /// `walspring.metrics.tables.max`
    pub metrics_tables_max: usize,
    pub streaming: Streaming,
    /// `walspring.value.max.bytes`, `walspring.value.too.large`
    pub value_limit: ValueLimit,
    /// Milliseconds: after what silence of the server's a session is looked after, once the server has told.
    silence_max: Arc<AtomicU64>,
}

/// All our sessions: text output as pgoutput has it, none of the time limits that a role or a database may set, which would
/// cut a snapshot or end a session that waits for its next use, and rows that a policy hides are an error instead of
/// missing. The `search_path` stays the role's, for the statements that users give us.
const SESSION: [(&str, &str); 10] = [
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("row_security", "off"),
    // A warning can mean that the stream leaves changes out.
    ("client_min_messages", "notice"),
];

/// As before: what came in later versions.
const SESSION_SINCE: [(u32, &str, &str); 2] = [(14, "idle_session_timeout", "0"), (17, "transaction_timeout", "0")];

impl SourceConfig {
    /// From a configuration whose secrets are resolved.
    pub fn parse(config: &[(String, String)]) -> Result<SourceConfig, TaskError> {
        let config: Config = config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let slot_temporary = config.get("walspring.slot.temporary").is_some_and(|v| v.trim() == "true");
        let (typed, warnings) = PostgresConnectorConfig::parse(&config)
            .map_err(|e| TaskError::definite(CONFIG_EXCEPTION, e.to_string()))?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let connect = connect_config(&typed);
        let number = |name, default| config.get(name).and_then(|v| v.trim().parse().ok()).unwrap_or(default);
        Ok(SourceConfig {
            slot_watch_interval: Duration::from_millis(number(SLOT_WATCH_INTERVAL, 10_000)),
            metrics_tables_max: number(METRICS_TABLES_MAX, 100) as usize,
            streaming: Streaming::parse(&config, &typed.slot.stream_params),
            value_limit: ValueLimit::parse(&config).map_err(|e| TaskError::definite(CONFIG_EXCEPTION, e))?,
            typed,
            connect,
            slot_temporary,
            silence_max: Arc::new(AtomicU64::new(SILENCE_MAX.as_millis() as u64)),
            snapshot_resume: config.get(SNAPSHOT_RESUME).is_none_or(|v| v.trim() != "false"),
        })
    }

    pub fn metrics(&self) -> MetricsConfig {
        let queue = self.typed.raw.get("max.queue.size").and_then(|v| v.trim().parse().ok());
        MetricsConfig {
            server: self.typed.topics.prefix.clone(),
            queue_max: queue.unwrap_or(8192),
            tables_max: self.metrics_tables_max,
            skips_unchanged: self.typed.events.skip_unchanged,
            too_large: self.value_limit.counts.clone(),
            tags: Tags::parse(self.typed.raw.get("custom.metric.tags").unwrap_or_default()),
        }
    }

    /// Connects for ordinary queries, which `database.query.timeout.ms` bounds, and runs `database.initial.statements`.
    pub fn open(&self, doing: &str) -> Result<Connection, TaskError> {
        self.open_any(doing).map(|(connection, _)| connection)
    }

    /// The same, and at which place of the hosts it was.
    pub fn open_any(&self, doing: &str) -> Result<(Connection, usize), TaskError> {
        let silence = Duration::from_millis(self.silence_max.load(Ordering::Relaxed));
        let mut connect = ConnectConfig { silence_max: Some(silence), ..self.connect.clone() };
        if let Some(limit) = self.typed.connection.query_timeout {
            set_option(&mut connect, "statement_timeout", &limit.as_millis().to_string());
        }
        let (mut connection, at) = Connection::connect_any(&connect).map_err(|e| from_pg(doing, e))?;
        for sql in &self.typed.connection.initial_statements {
            connection.batch_execute(sql).map_err(|e| from_pg("Running database.initial.statements", e))?;
        }
        Ok((connection, at))
    }

    /// Sessions that are opened from now on are looked after when the server has been silent for as long, from their first
    /// question on.
    pub fn set_silence_max(&self, silence: Duration) {
        self.silence_max.store(silence.as_millis() as u64, Ordering::Relaxed);
    }

    /// How to connect to any of the hosts, also those that are not read.
    pub fn all_hosts(&self) -> ConnectConfig {
        ConnectConfig { hosts: self.typed.connection.hosts.clone(), ..self.connect.clone() }
    }

    pub fn captures(&self, namespace: &str, table: &str) -> Result<bool, TaskError> {
        self.typed.filters.captures(namespace, table).map_err(too_complex)
    }
}

/// An expression that needs more steps than are allowed: it would hold the stream up.
pub fn too_complex(e: MatchError) -> TaskError {
    TaskError::definite(
        CONNECT_EXCEPTION,
        format!("A regular expression of the connector's lists cannot be matched: {e}"),
    )
    .hint("write the expression without nested repetition")
}

pub fn set_option(connect: &mut ConnectConfig, name: &str, value: &str) {
    connect.options.retain(|(option, _)| option != name);
    connect.options.push((name.to_owned(), value.to_owned()));
}

fn connect_config(config: &PostgresConnectorConfig) -> ConnectConfig {
    let c = &config.connection;
    let mut connect = ConnectConfig::new("", 0, &c.user, &c.database);
    connect.hosts.clone_from(&c.hosts);
    connect.target_session = match c.target_session {
        typed::TargetSession::Any => TargetSession::Any,
        typed::TargetSession::ReadWrite => TargetSession::ReadWrite,
        typed::TargetSession::ReadOnly => TargetSession::ReadOnly,
        typed::TargetSession::Primary => TargetSession::Primary,
        typed::TargetSession::Standby => TargetSession::Standby,
    };
    connect.password = c.password.as_ref().map(|p| wire::Secret::new(p.expose()));
    connect.ssl.mode = match c.ssl_mode {
        typed::SslMode::Disable => SslMode::Disable,
        typed::SslMode::Allow => SslMode::Allow,
        typed::SslMode::Prefer => SslMode::Prefer,
        typed::SslMode::Require => SslMode::Require,
        typed::SslMode::VerifyCa => SslMode::VerifyCa,
        typed::SslMode::VerifyFull => SslMode::VerifyFull,
    };
    let file = |path: &Option<String>| path.as_ref().map(|p| wire::Pem::Path(p.into()));
    connect.ssl.root_cert = file(&c.ssl_root_certificate);
    connect.ssl.client_cert = file(&c.ssl_certificate);
    connect.ssl.client_key = file(&c.ssl_key);
    connect.ssl.key_password = c.ssl_key_password.as_ref().map(|p| wire::Secret::new(p.expose()));
    if !c.tcp_keepalive {
        connect.tcp_keepalive = None;
    }
    connect.silence_max = Some(SILENCE_MAX);
    connect_options(connect)
}

/// What a session of ours is called, and has set.
pub fn connect_options(mut connect: ConnectConfig) -> ConnectConfig {
    connect.application_name = "walspring".to_owned();
    connect.options = SESSION.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    connect.options_since = SESSION_SINCE.to_vec();
    connect
}
