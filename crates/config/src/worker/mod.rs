//! A worker's configuration, checked and typed: the file of a Kafka Connect distributed worker, or what
//! [`crate::environment`] makes of the environment.
//!
//! Without `bootstrap.servers` the worker runs on its embedded log, and nothing has to be given.

mod listener;
mod policy;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, ConfigError, ConfigErrors, Reader};
use crate::nearest::nearest;
use crate::option::Support;
use crate::providers::{ProviderError, Providers, Unresolved};
use crate::tables::converters::JSON_CONVERTER_CLASS;
use crate::tables::walspring::WALSPRING_WORKER;
use crate::tables::worker::{CLIENT_PREFIXES, COMMON_CLIENT_PREFIXES, WORKER};
use crate::validate::{Section, Words};
use crate::warning::{Warning, WarningKind};

pub use listener::Listener;
pub use policy::OverridePolicy;

#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Empty: the embedded log.
    pub bootstrap_servers: Vec<String>,
    pub group_id: String,
    pub key_converter: ConverterConfig,
    pub value_converter: ConverterConfig,
    pub header_converter: ConverterConfig,
    pub config_topic: InternalTopic,
    pub offset_topic: InternalTopic,
    pub status_topic: InternalTopic,
    /// Of our own, beside Connect's three.
    pub state_topic: String,
    pub offset_flush_interval: Duration,
    pub offset_flush_timeout: Duration,
    pub shutdown_timeout: Duration,
    pub exactly_once: ExactlyOnce,
    pub listeners: Vec<Listener>,
    pub advertised_host: Option<String>,
    pub advertised_port: Option<u16>,
    pub advertised_listener: Option<String>,
    /// None: with the others. Empty: nowhere.
    pub admin_listeners: Option<Vec<Listener>>,
    pub allow_origin: String,
    pub allow_methods: String,
    pub topic_creation: bool,
    pub topic_tracking: bool,
    pub topic_tracking_reset: bool,
    pub override_policy: OverridePolicy,
    pub providers: Providers,
    /// None: [`default_data_dir`].
    pub data_dir: Option<PathBuf>,
    pub producer_kind: ProducerKind,
    /// The default of the connectors.
    pub strict: bool,
    /// `walspring.spill.dir`
    pub spill_dir: Option<PathBuf>,
    /// Options of the worker's own clients, for the internal topics, in Java's names.
    pub own_clients: Config,
    /// Options of the connectors' clients.
    pub producer: Config,
    pub consumer: Config,
    pub admin: Config,
}

/// A converter's class and its options without their prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterConfig {
    pub class: String,
    pub options: Config,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopic {
    pub name: String,
    /// −1 leaves it to the broker.
    pub partitions: i32,
    /// −1 leaves it to the broker.
    pub replication_factor: i16,
    /// Further settings of the topic. What they say of `cleanup.policy` is not for the user to choose.
    pub settings: Config,
}

/// `exactly.once.source.support`. Left out is a state of its own: on where the cluster grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnce {
    Unset,
    Disabled,
    Preparing,
    Enabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerKind {
    Native,
    Librdkafka,
}

/// Why a worker cannot start with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum WorkerConfigError {
    #[error(transparent)]
    Options(#[from] ConfigErrors),
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// What was read, and what to tell about it.
#[derive(Debug)]
pub struct LoadedWorker {
    pub config: WorkerConfig,
    pub warnings: Vec<Warning>,
    pub unresolved: Vec<Unresolved>,
}

impl WorkerConfig {
    /// Resolves references in the worker's own values, too, by the providers it names.
    pub fn load(raw: &Config) -> Result<LoadedWorker, WorkerConfigError> {
        let resolved = Providers::from_config(raw)?.resolve(raw)?;
        let (config, warnings) = WorkerConfig::parse(&resolved.to_config())?;
        Ok(LoadedWorker { config, warnings, unresolved: resolved.unresolved })
    }

    pub fn parse(config: &Config) -> Result<(WorkerConfig, Vec<Warning>), ConfigErrors> {
        let mut errors = Vec::new();
        for table in [WORKER, WALSPRING_WORKER] {
            let section = Section { prefix: "", table, words: Words::Kafka, defaults: &[] };
            for entry in section.entries(config) {
                let messages = entry.value.errors.into_iter();
                errors.extend(messages.map(|message| ConfigError::new(entry.value.name.clone(), message)));
            }
        }
        errors.extend(unsupported(config));
        if config.get("bootstrap.servers").is_some_and(|servers| !servers.trim().is_empty()) {
            let required = ["group.id", "config.storage.topic", "offset.storage.topic", "status.storage.topic"];
            let required = required.into_iter().chain(["key.converter", "value.converter"]);
            errors.extend(required.filter(|name| !config.contains(name)).map(ConfigError::missing));
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        Ok((read(config)?, warnings_about(config)))
    }

    /// Whether there is a Kafka cluster behind the worker.
    pub fn has_kafka(&self) -> bool {
        !self.bootstrap_servers.is_empty()
    }
}

fn read(config: &Config) -> Result<WorkerConfig, ConfigErrors> {
    let options = config.reader(WORKER);
    let own = config.reader(WALSPRING_WORKER);
    let converter = |name: &str| ConverterConfig {
        class: options.optional_nonempty(name).unwrap_or_else(|| JSON_CONVERTER_CLASS.to_owned()),
        options: config.with_prefix(&format!("{name}.")),
    };
    let offset_topic = internal_topic(options, config, "offset", "walspring-offsets")?;
    let state_topic = own.optional_nonempty("walspring.state.topic");
    Ok(WorkerConfig {
        bootstrap_servers: options.list("bootstrap.servers").into_iter().filter(|s| !s.is_empty()).collect(),
        group_id: options.optional_nonempty("group.id").unwrap_or_else(|| "walspring".to_owned()),
        key_converter: converter("key.converter"),
        value_converter: converter("value.converter"),
        header_converter: converter("header.converter"),
        config_topic: internal_topic(options, config, "config", "walspring-configs")?,
        state_topic: state_topic.unwrap_or_else(|| format!("{}-walspring", offset_topic.name)),
        offset_topic,
        status_topic: internal_topic(options, config, "status", "walspring-status")?,
        offset_flush_interval: options.milliseconds("offset.flush.interval.ms")?,
        offset_flush_timeout: options.milliseconds("offset.flush.timeout.ms")?,
        shutdown_timeout: options.milliseconds("task.shutdown.graceful.timeout.ms")?,
        exactly_once: exactly_once(config),
        listeners: listeners(options, config)?,
        advertised_host: options.optional_nonempty("rest.advertised.host.name"),
        advertised_port: port(options, config, "rest.advertised.port")?,
        advertised_listener: options.optional_nonempty("rest.advertised.listener"),
        admin_listeners: match config.get("admin.listeners") {
            None => None,
            Some(list) => Some(Listener::parse_list("admin.listeners", list)?),
        },
        allow_origin: options.string("access.control.allow.origin")?,
        allow_methods: options.string("access.control.allow.methods")?,
        topic_creation: options.boolean("topic.creation.enable")?,
        topic_tracking: options.boolean("topic.tracking.enable")?,
        topic_tracking_reset: options.boolean("topic.tracking.allow.reset")?,
        override_policy: OverridePolicy::parse(
            &options.string("connector.client.config.override.policy")?,
            options.list("connector.client.config.override.allowlist"),
        )?,
        providers: Providers::from_config(config)?,
        data_dir: own.optional_nonempty("walspring.data.dir").map(PathBuf::from),
        producer_kind: match own.choice("walspring.producer")? {
            "librdkafka" => ProducerKind::Librdkafka,
            _ => ProducerKind::Native,
        },
        strict: own.boolean("walspring.strict")?,
        spill_dir: own.optional_nonempty("walspring.spill.dir").map(PathBuf::from),
        own_clients: own_clients(config),
        producer: client(config, "producer."),
        consumer: client(config, "consumer."),
        admin: client(config, "admin."),
    })
}

fn exactly_once(config: &Config) -> ExactlyOnce {
    let given = config.get("exactly.once.source.support").map(|given| given.trim().to_ascii_lowercase());
    match given.as_deref() {
        None => ExactlyOnce::Unset,
        Some("enabled") => ExactlyOnce::Enabled,
        Some("preparing") => ExactlyOnce::Preparing,
        Some(_) => ExactlyOnce::Disabled,
    }
}

fn internal_topic(
    options: Reader<'_>,
    config: &Config,
    which: &str,
    default_name: &str,
) -> Result<InternalTopic, ConfigError> {
    let prefix = format!("{which}.storage.");
    let name = options.optional_nonempty(&format!("{prefix}topic"));
    let replication_factor = format!("{prefix}replication.factor");
    let factor = options.int(&replication_factor)?;
    let partitions_name = format!("{prefix}partitions");
    // The order of configurations is that of one partition.
    let partitions = if which == "config" { 1 } else { options.int(&partitions_name)? };
    for (name, value) in [(&replication_factor, factor), (&partitions_name, partitions)] {
        if value != -1 && value < 1 {
            let why = "Value must be -1 or at least 1";
            return Err(ConfigError::invalid(name, &value.to_string(), why));
        }
    }
    let known = ["topic", "replication.factor", "partitions", "file.filename"];
    let settings = config.with_prefix(&prefix);
    Ok(InternalTopic {
        name: name.unwrap_or_else(|| default_name.to_owned()),
        partitions,
        replication_factor: factor as i16,
        settings: settings.iter().filter(|(name, _)| !known.contains(name)).collect(),
    })
}

fn listeners(options: Reader<'_>, config: &Config) -> Result<Vec<Listener>, ConfigError> {
    if config.contains("listeners") {
        let listeners = Listener::parse_list("listeners", config.get("listeners").unwrap_or_default())?;
        if !listeners.is_empty() {
            return Ok(listeners);
        }
    }
    if config.contains("rest.port") || config.contains("rest.host.name") {
        let host = options.optional_nonempty("rest.host.name").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = port(options, config, "rest.port")?.unwrap_or(8083);
        return Ok(vec![Listener { host: Some(host), port }]);
    }
    Listener::parse_list("listeners", &options.string("listeners")?)
}

fn port(options: Reader<'_>, config: &Config, name: &str) -> Result<Option<u16>, ConfigError> {
    if !config.contains(name) {
        return Ok(None);
    }
    let port = options.int(name)?;
    let fits = u16::try_from(port);
    fits.map(Some).map_err(|_| ConfigError::invalid(name, &port.to_string(), "Value must be between 0 and 65535"))
}

/// Of a worker's own clients: what stands in the file without a prefix, if it is not Connect's own.
fn own_clients(config: &Config) -> Config {
    const SHARED: &[&str] = &[
        "bootstrap.servers",
        "client.id",
        "client.dns.lookup",
        "request.timeout.ms",
        "retry.backoff.ms",
        "retry.backoff.max.ms",
        "metadata.max.age.ms",
        "connections.max.idle.ms",
        "reconnect.backoff.ms",
        "reconnect.backoff.max.ms",
        "socket.connection.setup.timeout.ms",
        "socket.connection.setup.timeout.max.ms",
        "send.buffer.bytes",
        "receive.buffer.bytes",
    ];
    config.iter().filter(|(name, _)| SHARED.contains(name) || is_security(name)).collect()
}

/// The original's connectors get only what has the prefix, and then fail on a secured cluster if that was forgotten.
/// Here the worker's own security holds for them, unless there is any under the prefix.
fn client(config: &Config, prefix: &str) -> Config {
    let prefixed = config.with_prefix(prefix);
    let secured = prefixed.names().any(is_security);
    let shared = config.iter().filter(|(name, _)| *name == "bootstrap.servers" || (!secured && is_security(name)));
    shared.collect::<Config>().overlaid_with(&prefixed)
}

fn is_security(name: &str) -> bool {
    COMMON_CLIENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn unsupported(config: &Config) -> Vec<ConfigError> {
    let refused = config.iter().filter_map(|(name, given)| {
        let option = WORKER.get(name)?;
        let Support::Later(reason) = option.support else { return None };
        let asks = !given.trim().is_empty() && option.value_by_default() != Some(given.trim());
        let message = format!("{name} is not supported by this version of Walspring: {reason}");
        asks.then(|| ConfigError::new(name, message))
    });
    refused.collect()
}

fn warnings_about(config: &Config) -> Vec<Warning> {
    const OTHER_PREFIXES: &[&str] = &["key.converter.", "value.converter.", "header.converter.", "metrics.context."];
    let prefixes = || CLIENT_PREFIXES.iter().chain(COMMON_CLIENT_PREFIXES).chain(OTHER_PREFIXES);
    let tables = [WORKER, WALSPRING_WORKER];
    let mut warnings = Vec::new();
    for (name, given) in config.iter() {
        let kind = match tables.iter().find_map(|table| table.get(name)) {
            Some(option) => match option.support {
                Support::NoEffect(reason) if option.value_by_default() != Some(given.trim()) => {
                    WarningKind::NoEffect { reason: reason.to_owned() }
                }
                _ => continue,
            },
            None if prefixes().any(|prefix| name.starts_with(prefix)) => continue,
            None => {
                let known = tables.iter().flat_map(|table| table.options.iter()).map(|option| option.name);
                WarningKind::Unknown { nearest: nearest(name, known).map(str::to_owned) }
            }
        };
        warnings.push(Warning { name: name.to_owned(), kind });
    }
    warnings
}

/// `walspring` in the XDG state directory of who runs the worker.
pub fn default_data_dir(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |value: String| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").and_then(absolute);
    let state = state.or_else(|| variable("HOME").and_then(absolute).map(|home| home.join(".local/state")));
    state.map(|state| state.join("walspring"))
}

#[cfg(test)]
mod tests;
