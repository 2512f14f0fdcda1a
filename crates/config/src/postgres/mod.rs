//! The PostgreSQL connector's configuration, checked and typed. [`PostgresConnectorConfig::parse`] reads today's and
//! older spellings, reports every error at once, and takes its defaults from the option table.

mod columns;
mod filters;
mod hosts;
mod modes;
mod post_processors;
mod signals;
mod strict;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::decode_hex;
use crate::config::{Config, ConfigError, ConfigErrors, Reader};
use crate::legacy;
use crate::secret::Secret;
use crate::tables::postgres::POSTGRES;
use crate::tables::walspring::WALSPRING_CONNECTOR;
use crate::validate::{Section, Words};
use crate::warning::Warning;

pub use columns::{ColumnHash, ColumnRule, ColumnRules, HASH_ALGORITHMS};
pub use filters::{Filters, KeyColumns, NameFilter, ReplicaIdentity, ReplicaIdentityRule};
pub use hosts::{Host, hosts};
pub use modes::*;
pub(crate) use post_processors::warning_about;
pub use post_processors::{PostProcessorError, RESELECT_CLASS, Reselect, post_processors};
pub use signals::{KafkaSignals, SignalConfig};
pub use topics::{NAMING_STRATEGIES, RegexNaming, Rewrite, SourceKey, TopicForm, TopicNaming};

#[derive(Debug, Clone)]
pub struct PostgresConnectorConfig {
    pub connection: ConnectionConfig,
    pub slot: SlotConfig,
    pub publication: PublicationConfig,
    pub filters: Filters,
    pub columns: ColumnRules,
    pub key_columns: KeyColumns,
    pub snapshot: SnapshotConfig,
    pub representation: RepresentationConfig,
    pub topics: TopicConfig,
    pub events: EventConfig,
    pub tuning: TuningConfig,
    pub notifications: NotificationConfig,
    pub signals: SignalConfig,
    /// `guardrail.collections.*`
    pub guardrail: Option<Guardrail>,
    /// `walspring.strict`
    pub strict: bool,
    /// As given, in today's spelling: for options that have no place above.
    pub raw: Config,
}

#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// In the order in which they are tried; one at least.
    pub hosts: Vec<Host>,
    /// `walspring.target.session.attrs`
    pub target_session: TargetSession,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub ssl_mode: SslMode,
    pub ssl_certificate: Option<String>,
    pub ssl_key: Option<String>,
    pub ssl_key_password: Option<Secret>,
    pub ssl_root_certificate: Option<String>,
    pub tcp_keepalive: bool,
    /// Limit of one statement outside replication.
    pub query_timeout: Option<Duration>,
    pub validation_timeout: Duration,
    pub initial_statements: Vec<String>,
    pub read_only: bool,
}

#[derive(Debug, Clone)]
pub struct SlotConfig {
    pub plugin: OutputPlugin,
    pub name: String,
    pub drop_on_stop: bool,
    pub failover: bool,
    pub stream_params: Vec<(String, String)>,
    pub retries_max: i32,
    pub retry_delay: Duration,
    pub create_timeout: Duration,
    /// `None`: not said, which is stricter than what `validate` shows as the default.
    pub offset_mismatch: Option<OffsetMismatchStrategy>,
    pub check_position: bool,
    pub flush_mode: LsnFlushMode,
    /// Longest time until a confirmation is handed to the connection, and what follows.
    pub flush_timeout: Duration,
    pub flush_timeout_action: LsnFlushTimeoutAction,
    pub status_interval: Duration,
    pub xmin_interval: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct PublicationConfig {
    pub name: String,
    pub autocreate: PublicationAutocreate,
    pub via_partition_root: bool,
    pub replica_identities: Vec<ReplicaIdentityRule>,
}

#[derive(Debug, Clone)]
pub struct SnapshotConfig {
    pub mode: SnapshotMode,
    /// What `configuration_based` asks for.
    pub configured: ConfiguredSnapshot,
    pub isolation: SnapshotIsolation,
    pub locking: SnapshotLocking,
    pub lock_timeout: Duration,
    pub order: SnapshotOrder,
    pub threads: usize,
    pub chunks_per_thread: usize,
    pub one_thread_per_table: bool,
    /// `snapshot.select.statement.overrides`: by `schema.table`, as written, the query that reads the table. Empty: the
    /// table is not read.
    pub queries: BTreeMap<String, String>,
    pub delay: Duration,
    pub streaming_delay: Duration,
}

/// `snapshot.mode.configuration.based.*`, as far as PostgreSQL has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfiguredSnapshot {
    /// Rows are read at each start.
    pub data: bool,
    pub stream: bool,
    /// A stored position that is lost does not fail the task.
    pub on_data_error: bool,
}

#[derive(Debug, Clone)]
pub struct RepresentationConfig {
    pub time_precision: TimePrecision,
    pub decimal: DecimalHandling,
    pub binary: BinaryHandling,
    pub hstore: HstoreHandling,
    pub interval: IntervalHandling,
    pub money_fraction_digits: u32,
    pub unavailable_value: Placeholder,
    pub schema_names: NameAdjustment,
    pub field_names: NameAdjustment,
    pub converting_failure: ConvertingFailure,
    pub include_unknown_types: bool,
    pub include_comments: bool,
}

/// What stands for a value that a change did not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    pub text: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct TopicConfig {
    pub prefix: String,
    pub naming: TopicNaming,
    pub delimiter: String,
    /// The topic of BEGIN and END.
    pub transaction: String,
    pub heartbeat: String,
}

#[derive(Debug, Clone)]
pub struct EventConfig {
    pub tombstones_on_delete: bool,
    pub extended_headers: bool,
    pub transaction_metadata: bool,
    pub skipped: SkippedOperations,
    pub skip_unchanged: bool,
    pub heartbeat_interval: Option<Duration>,
    pub heartbeat_query: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedOperations {
    pub create: bool,
    pub read: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
    /// Given, and not by default: a publication that the connector makes then leaves them out as well.
    pub explicit: bool,
}

#[derive(Debug, Clone)]
pub struct TuningConfig {
    pub batch_size_max: usize,
    pub queue_size_max: usize,
    /// No limit of its own at 0.
    pub queue_bytes_max: Option<u64>,
    pub poll_interval: Duration,
    pub dispatch_interval: Duration,
    /// None: for ever.
    pub retries_max: Option<u32>,
    pub retry_wait: Duration,
    pub processing_failure: ProcessingFailure,
}

/// `notification.*`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationConfig {
    /// The channel `log`.
    pub log: bool,
    /// The topic of the channel `sink`, if that is enabled.
    pub topic: Option<String>,
}

/// A limit to the number of captured tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guardrail {
    pub tables_max: usize,
    /// More fail the task; else there is a warning.
    pub fail: bool,
}

/// The original caps `poll.interval.ms` without a word.
const POLL_INTERVAL_MAX: Duration = Duration::from_millis(5000);

/// What the original sets when it has to confirm positions and nothing else would make records.
const HEARTBEAT_FOR_DRIVER: Duration = Duration::from_secs(600);

impl PostgresConnectorConfig {
    pub fn parse(config: &Config) -> Result<(PostgresConnectorConfig, Vec<Warning>), ConfigErrors> {
        let (config, warnings) = legacy::modernized(config);
        let mut errors = Vec::new();
        for table in [POSTGRES, WALSPRING_CONNECTOR] {
            let section = Section { prefix: "", table, words: Words::Debezium, defaults: &[] };
            for entry in section.entries(&config) {
                let mut messages = entry.value.errors;
                messages.dedup();
                errors.extend(messages.into_iter().map(|message| ConfigError::new(entry.value.name.clone(), message)));
            }
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        Ok((read(&config)?, warnings))
    }
}

fn read(config: &Config) -> Result<PostgresConnectorConfig, ConfigErrors> {
    let options = config.reader(POSTGRES);
    let slot = slot(options, config)?;
    let topics = topics(options)?;
    let events = events(options, config, slot.flush_mode)?;
    Ok(PostgresConnectorConfig {
        connection: connection(options, config)?,
        publication: publication(options)?,
        filters: filters(options, config)?,
        columns: ColumnRules::from_config(config)?,
        key_columns: KeyColumns::parse(&options.optional("message.key.columns").unwrap_or_default())?,
        snapshot: snapshot(options, config)?,
        representation: representation(options)?,
        tuning: tuning(options)?,
        notifications: notifications(options),
        signals: SignalConfig::read(options)?,
        guardrail: guardrail(options)?,
        strict: config.get("walspring.strict").is_some_and(|strict| crate::values::boolean(strict) == Some(true)),
        raw: config.clone(),
        slot,
        topics,
        events,
    })
}

fn connection(options: Reader<'_>, config: &Config) -> Result<ConnectionConfig, ConfigError> {
    const TARGET: &str = "walspring.target.session.attrs";
    let port = options.int("database.port")?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| {
        ConfigError::invalid("database.port", &port.to_string(), "a port between 1 and 65535 is expected")
    })?;
    let names = options.string("database.hostname")?;
    let hosts = hosts(&names, port)
        .ok_or_else(|| ConfigError::invalid("database.hostname", &names, "host, or host:port,host:port is expected"))?;
    // Several servers are given for a failover: standbys are for later.
    let usual = if hosts.len() > 1 { TargetSession::Primary } else { TargetSession::Any };
    Ok(ConnectionConfig {
        hosts,
        target_session: config.get(TARGET).and_then(TargetSession::from_name).unwrap_or(usual),
        user: options.string("database.user")?,
        password: options.secret("database.password"),
        database: options.string("database.dbname")?,
        ssl_mode: mode(options, "database.sslmode", SslMode::from_name)?,
        ssl_certificate: options.optional_nonempty("database.sslcert"),
        ssl_key: options.optional_nonempty("database.sslkey"),
        ssl_key_password: options.secret("database.sslpassword"),
        ssl_root_certificate: options.optional_nonempty("database.sslrootcert"),
        tcp_keepalive: options.boolean("database.tcpKeepAlive")?,
        query_timeout: options.milliseconds_unless_zero("database.query.timeout.ms")?,
        validation_timeout: options.milliseconds("connection.validation.timeout.ms")?,
        initial_statements: statements(&options.optional("database.initial.statements").unwrap_or_default()),
        read_only: options.boolean("read.only")?,
    })
}

fn slot(options: Reader<'_>, config: &Config) -> Result<SlotConfig, ConfigError> {
    const MISMATCH: &str = "offset.mismatch.strategy";
    Ok(SlotConfig {
        plugin: mode(options, "plugin.name", OutputPlugin::from_name)?,
        name: options.string("slot.name")?,
        drop_on_stop: options.boolean("slot.drop.on.stop")?,
        failover: options.boolean("slot.failover")?,
        stream_params: pairs(&options.optional("slot.stream.params").unwrap_or_default())?,
        retries_max: options.int("slot.max.retries")?,
        retry_delay: options.milliseconds("slot.retry.delay.ms")?,
        create_timeout: options.count("internal.create.slot.command.timeout").map(Duration::from_secs)?,
        offset_mismatch: match config.contains(MISMATCH) {
            true => Some(mode(options, MISMATCH, OffsetMismatchStrategy::from_name)?),
            false => None,
        },
        check_position: options.boolean("internal.log.position.check.enable")?,
        flush_mode: mode(options, "lsn.flush.mode", LsnFlushMode::from_name)?,
        flush_timeout: options.milliseconds("lsn.flush.timeout.ms")?,
        flush_timeout_action: mode(options, "lsn.flush.timeout.action", LsnFlushTimeoutAction::from_name)?,
        status_interval: options.milliseconds("status.update.interval.ms")?,
        xmin_interval: options.milliseconds_unless_zero("xmin.fetch.interval.ms")?,
    })
}

fn publication(options: Reader<'_>) -> Result<PublicationConfig, ConfigError> {
    let identities = options.optional("replica.identity.autoset.values").unwrap_or_default();
    Ok(PublicationConfig {
        name: options.string("publication.name")?,
        autocreate: mode(options, "publication.autocreate.mode", PublicationAutocreate::from_name)?,
        via_partition_root: options.boolean("publish.via.partition.root")?,
        replica_identities: ReplicaIdentityRule::parse_list(&identities)?,
    })
}

fn filters(options: Reader<'_>, config: &Config) -> Result<Filters, ConfigError> {
    Ok(Filters {
        schemas: NameFilter::from_config(config, "schema.include.list", "schema.exclude.list")?,
        tables: NameFilter::from_config(config, "table.include.list", "table.exclude.list")?,
        snapshot_tables: NameFilter::from_config(config, "snapshot.include.collection.list", "")?,
        messages: NameFilter::from_config(config, "message.prefix.include.list", "message.prefix.exclude.list")?,
        ignore_builtin: options.boolean("table.ignore.builtin")?,
        signal_table: options.optional_nonempty("signal.data.collection"),
    })
}

fn snapshot(options: Reader<'_>, config: &Config) -> Result<SnapshotConfig, ConfigError> {
    Ok(SnapshotConfig {
        mode: mode(options, "snapshot.mode", SnapshotMode::from_name)?,
        configured: ConfiguredSnapshot {
            data: options.boolean("snapshot.mode.configuration.based.snapshot.data")?,
            stream: options.boolean("snapshot.mode.configuration.based.start.stream")?,
            on_data_error: options.boolean("snapshot.mode.configuration.based.snapshot.on.data.error")?,
        },
        isolation: mode(options, "snapshot.isolation.mode", SnapshotIsolation::from_name)?,
        locking: mode(options, "snapshot.locking.mode", SnapshotLocking::from_name)?,
        lock_timeout: options.milliseconds("snapshot.lock.timeout.ms")?,
        order: mode(options, "snapshot.tables.order.by.row.count", SnapshotOrder::from_name)?,
        threads: options.count("snapshot.max.threads")? as usize,
        chunks_per_thread: options.count("snapshot.max.threads.multiplier")? as usize,
        one_thread_per_table: options.boolean("legacy.snapshot.max.threads")?,
        queries: snapshot_queries(config),
        delay: options.milliseconds("snapshot.delay.ms")?,
        streaming_delay: options.milliseconds("streaming.delay.ms")?,
    })
}

/// A table without a query is read as any other, with a warning.
fn snapshot_queries(config: &Config) -> BTreeMap<String, String> {
    const NAME: &str = "snapshot.select.statement.overrides";
    let tables = config.get(NAME).unwrap_or_default().split(',').map(str::trim).filter(|table| !table.is_empty());
    let query = |table: &str| Some((table.to_owned(), config.get(&format!("{NAME}.{table}"))?.trim().to_owned()));
    tables.filter_map(query).collect()
}

fn representation(options: Reader<'_>) -> Result<RepresentationConfig, ConfigError> {
    Ok(RepresentationConfig {
        time_precision: mode(options, "time.precision.mode", TimePrecision::from_name)?,
        decimal: mode(options, "decimal.handling.mode", DecimalHandling::from_name)?,
        binary: mode(options, "binary.handling.mode", BinaryHandling::from_name)?,
        hstore: mode(options, "hstore.handling.mode", HstoreHandling::from_name)?,
        interval: mode(options, "interval.handling.mode", IntervalHandling::from_name)?,
        money_fraction_digits: options.count("money.fraction.digits")? as u32,
        unavailable_value: Placeholder::parse(&options.string("unavailable.value.placeholder")?),
        schema_names: mode(options, "schema.name.adjustment.mode", NameAdjustment::from_name)?,
        field_names: mode(options, "field.name.adjustment.mode", NameAdjustment::from_name)?,
        converting_failure: mode(options, "event.converting.failure.handling.mode", ConvertingFailure::from_name)?,
        include_unknown_types: options.boolean("include.unknown.datatypes")?,
        include_comments: options.boolean("include.schema.comments")?,
    })
}

impl Placeholder {
    fn parse(text: &str) -> Placeholder {
        match text.strip_prefix("hex:").and_then(decode_hex) {
            Some(bytes) => Placeholder { text: String::from_utf8_lossy(&bytes).into_owned(), bytes },
            None => Placeholder { text: text.to_owned(), bytes: text.as_bytes().to_vec() },
        }
    }
}

fn topics(options: Reader<'_>) -> Result<TopicConfig, ConfigError> {
    let prefix = options.string("topic.prefix")?;
    let delimiter = options.string("topic.delimiter")?;
    let transaction = options.string("topic.transaction")?;
    let heartbeat = options.string("topic.heartbeat.prefix")?;
    let heartbeat = format!("{heartbeat}{delimiter}{prefix}");
    Ok(TopicConfig {
        naming: TopicNaming::parse(options)?,
        transaction: format!("{prefix}{delimiter}{transaction}"),
        heartbeat: options.optional_nonempty("topic.heartbeat.name").unwrap_or(heartbeat),
        prefix,
        delimiter,
    })
}

fn events(options: Reader<'_>, config: &Config, flush_mode: LsnFlushMode) -> Result<EventConfig, ConfigError> {
    let transaction_metadata = options.boolean("provide.transaction.metadata")?;
    let mut heartbeat_interval = options.milliseconds_unless_zero("heartbeat.interval.ms")?;
    if flush_mode == LsnFlushMode::ConnectorAndDriver && !transaction_metadata {
        heartbeat_interval = heartbeat_interval.or(Some(HEARTBEAT_FOR_DRIVER));
    }
    let skipped = options.list("skipped.operations");
    let skips = |operation: &str| skipped.iter().any(|skipped| skipped == operation);
    Ok(EventConfig {
        tombstones_on_delete: options.boolean("tombstones.on.delete")?,
        extended_headers: options.boolean("extended.headers.enabled")?,
        transaction_metadata,
        skipped: SkippedOperations {
            create: skips("c"),
            read: skips("r"),
            update: skips("u"),
            delete: skips("d"),
            truncate: skips("t"),
            explicit: config.contains("skipped.operations"),
        },
        skip_unchanged: options.boolean("skip.messages.without.change")?,
        heartbeat_interval,
        heartbeat_query: options.optional_nonempty("heartbeat.action.query"),
    })
}

fn tuning(options: Reader<'_>) -> Result<TuningConfig, ConfigError> {
    Ok(TuningConfig {
        batch_size_max: options.count("max.batch.size")? as usize,
        queue_size_max: options.count("max.queue.size")? as usize,
        queue_bytes_max: Some(options.count("max.queue.size.in.bytes")?).filter(|bytes| *bytes > 0),
        poll_interval: options.milliseconds("poll.interval.ms")?.min(POLL_INTERVAL_MAX),
        dispatch_interval: options.milliseconds("poll.dispatch.interval.ms")?,
        retries_max: u32::try_from(options.int("errors.max.retries")?).ok(),
        retry_wait: options.milliseconds("retriable.restart.connector.wait.ms")?,
        processing_failure: mode(options, "event.processing.failure.handling.mode", ProcessingFailure::from_name)?,
    })
}

fn notifications(options: Reader<'_>) -> NotificationConfig {
    let channels = options.list("notification.enabled.channels");
    let enabled = |name: &str| channels.iter().any(|channel| channel == name);
    let topic = options.optional_nonempty("notification.sink.topic.name");
    NotificationConfig { log: enabled("log"), topic: topic.filter(|_| enabled("sink")) }
}

fn guardrail(options: Reader<'_>) -> Result<Option<Guardrail>, ConfigError> {
    let tables_max = options.count("guardrail.collections.max")? as usize;
    let fail = options.choice("guardrail.collections.limit.action")? == "fail";
    Ok((tables_max > 0).then_some(Guardrail { tables_max, fail }))
}

fn mode<T>(options: Reader<'_>, name: &str, from_name: fn(&str) -> Option<T>) -> Result<T, ConfigError> {
    let value = options.choice(name)?;
    from_name(value).ok_or_else(|| ConfigError::invalid(name, value, "it is in the table and not among the modes"))
}

/// At semicolons; two of them stand for one inside a statement.
fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let doubled = character == ';' && characters.next_if_eq(&';').is_some();
        match statements.last_mut() {
            Some(statement) if character != ';' || doubled => statement.push(character),
            _ => statements.push(String::new()),
        }
    }
    statements.iter().map(|statement| statement.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

/// `name=value;name=value`
fn pairs(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match item.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(ConfigError::invalid("slot.stream.params", item, "name=value is expected")),
        })
        .collect()
}

#[cfg(test)]
mod tests;
