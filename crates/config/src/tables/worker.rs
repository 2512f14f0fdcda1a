//! The options of a worker, under the names and defaults of Kafka Connect's distributed worker. Clients' options
//! (`bootstrap.servers` apart) belong to the crate of the Kafka client; here they are only known by prefix.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable};

pub const WORKER: OptionTable = OptionTable::new(OPTIONS);

const NO_JVM: &str = "there is no Java here";
const NO_GROUP: &str = "membership of several workers is not implemented yet";
const NO_INTERNAL_REST: &str = "there are no requests between workers";

/// What begins the options that go to the clients unchanged.
pub const CLIENT_PREFIXES: &[&str] = &["producer.", "consumer.", "admin."];

/// Options of every Kafka client, which a worker's file gives without a prefix.
pub const COMMON_CLIENT_PREFIXES: &[&str] = &["ssl.", "sasl.", "security."];

const OPTIONS: &[OptionDef] = &[
    // The cluster and the group.
    OptionDef::list("bootstrap.servers")
        .high()
        .doc("Kafka servers, as host:port. Without them the worker runs on its embedded log."),
    OptionDef::string("group.id").high().checks(&[NonEmpty]).doc("Name of the worker's group."),
    OptionDef::string("client.id").low().default("").doc("Name that clients tell the broker."),
    OptionDef::string("client.dns.lookup").low().default("use_all_dns_ips").doc("How clients resolve server names."),
    OptionDef::string("security.protocol")
        .default("PLAINTEXT")
        .checks(&[OneOfAnyCase(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])])
        .doc("How clients talk to the brokers."),
    OptionDef::int("request.timeout.ms").default("40000").checks(&[AtLeast(0)]).doc("Longest wait for a reply."),
    OptionDef::long("retry.backoff.ms").low().default("100").checks(&[AtLeast(0)]).doc("Wait before trying again."),
    OptionDef::long("retry.backoff.max.ms").low().default("1000").checks(&[AtLeast(0)]).doc("Longest such wait."),
    OptionDef::long("metadata.max.age.ms")
        .low()
        .default("300000")
        .checks(&[AtLeast(0)])
        .doc("Age at which metadata is read anew."),
    OptionDef::long("connections.max.idle.ms")
        .low()
        .default("540000")
        .doc("Idle time after which a connection is closed."),
    OptionDef::long("reconnect.backoff.ms")
        .low()
        .default("50")
        .checks(&[AtLeast(0)])
        .doc("Wait before connecting again."),
    OptionDef::long("reconnect.backoff.max.ms").low().default("1000").checks(&[AtLeast(0)]).doc("Longest such wait."),
    OptionDef::long("socket.connection.setup.timeout.ms").low().default("10000").doc("Longest wait for a connection."),
    OptionDef::long("socket.connection.setup.timeout.max.ms")
        .low()
        .default("30000")
        .doc("Longest such wait after failures."),
    OptionDef::int("send.buffer.bytes")
        .low()
        .default("131072")
        .checks(&[AtLeast(-1)])
        .doc("Size of the sockets' send buffers."),
    OptionDef::int("receive.buffer.bytes")
        .low()
        .default("32768")
        .checks(&[AtLeast(-1)])
        .doc("Size of the sockets' receive buffers."),
    OptionDef::string("metadata.recovery.strategy")
        .low()
        .default("rebootstrap")
        .doc("What clients do when no known broker answers."),
    OptionDef::long("metadata.recovery.rebootstrap.trigger.ms").low().default("300000").doc("When they do so."),
    // Converters.
    OptionDef::class("key.converter").high().doc("Class that turns keys into bytes, unless the connector names one."),
    OptionDef::class("value.converter")
        .high()
        .doc("Class that turns values into bytes, unless the connector names one."),
    OptionDef::class("header.converter")
        .low()
        .default(super::converters::SIMPLE_HEADER_CONVERTER_CLASS)
        .doc("Class that turns headers into bytes, unless the connector names one."),
    OptionDef::string("key.converter.plugin.version").low().doc("Version of the key converter's class."),
    OptionDef::string("value.converter.plugin.version").low().doc("Version of the value converter's class."),
    OptionDef::string("header.converter.plugin.version").low().doc("Version of the header converter's class."),
    OptionDef::class("internal.key.converter").low().no_effect("internal topics are always JSON"),
    OptionDef::class("internal.value.converter").low().no_effect("internal topics are always JSON"),
    // The internal topics.
    OptionDef::string("config.storage.topic")
        .high()
        .checks(&[NonEmpty])
        .doc("Topic of the connectors' configurations."),
    OptionDef::short("config.storage.replication.factor")
        .low()
        .default("3")
        .doc("Replicas of that topic; -1 leaves it to the broker."),
    OptionDef::string("offset.storage.topic").high().checks(&[NonEmpty]).doc("Topic of the connectors' positions."),
    OptionDef::int("offset.storage.partitions")
        .low()
        .default("25")
        .doc("Partitions of that topic; -1 leaves it to the broker."),
    OptionDef::short("offset.storage.replication.factor")
        .low()
        .default("3")
        .doc("Replicas of that topic; -1 leaves it to the broker."),
    OptionDef::string("status.storage.topic").high().checks(&[NonEmpty]).doc("Topic of the connectors' states."),
    OptionDef::int("status.storage.partitions")
        .low()
        .default("5")
        .doc("Partitions of that topic; -1 leaves it to the broker."),
    OptionDef::short("status.storage.replication.factor")
        .low()
        .default("3")
        .doc("Replicas of that topic; -1 leaves it to the broker."),
    OptionDef::string("config.storage.SETTING")
        .low()
        .pattern("config.storage.", "")
        .doc("Settings of the topic of configurations."),
    OptionDef::string("offset.storage.SETTING")
        .low()
        .pattern("offset.storage.", "")
        .doc("Settings of the topic of positions."),
    OptionDef::string("status.storage.SETTING")
        .low()
        .pattern("status.storage.", "")
        .doc("Settings of the topic of states."),
    OptionDef::string("offset.storage.file.filename").high().later("files of a standalone worker are not read yet"),
    // Running connectors.
    OptionDef::long("offset.flush.interval.ms")
        .low()
        .default("60000")
        .checks(&[AtLeast(0)])
        .doc("How often positions are stored at the latest, in milliseconds."),
    OptionDef::long("offset.flush.timeout.ms")
        .low()
        .default("5000")
        .checks(&[AtLeast(0)])
        .doc("Longest wait for that, in milliseconds.")
        .no_effect("storing an offset is tried until it succeeds"),
    OptionDef::long("task.shutdown.graceful.timeout.ms")
        .low()
        .default("5000")
        .checks(&[AtLeast(0)])
        .doc("Longest wait for a task to stop in order, in milliseconds."),
    OptionDef::string("exactly.once.source.support")
        .high()
        .effective_default("disabled")
        .checks(&[OneOfAnyCase(&["DISABLED", "ENABLED", "PREPARING"])])
        .doc("disabled, preparing or enabled. Left out: exactly once where the cluster grants it."),
    OptionDef::boolean("topic.creation.enable")
        .low()
        .default("true")
        .doc("Whether connectors may have rules for new topics."),
    OptionDef::boolean("topic.tracking.enable")
        .low()
        .default("true")
        .doc("Whether the topics a connector writes to are recorded."),
    OptionDef::boolean("topic.tracking.allow.reset").low().default("true").doc("Whether that record may be cleared."),
    OptionDef::string("connector.client.config.override.policy")
        .default("All")
        .doc("What connectors may change about their clients: All, None, Principal or Allowlist."),
    OptionDef::list("connector.client.config.override.allowlist")
        .default("")
        .doc("What they may change under the policy Allowlist."),
    OptionDef::list("config.providers")
        .low()
        .default("")
        .doc("Names of the providers of values given as ${provider:path:key}."),
    OptionDef::string("config.providers.NAME.OPTION")
        .low()
        .pattern("config.providers.", "")
        .doc("Class and parameters of a provider."),
    // REST.
    OptionDef::list("listeners")
        .low()
        .effective_default("http://127.0.0.1:8083")
        .doc("Where REST is served, as http://host:port. By default on loopback only."),
    OptionDef::string("rest.advertised.host.name").low().doc("Name under which other workers reach this one."),
    OptionDef::int("rest.advertised.port").low().doc("Port under which other workers reach this one."),
    OptionDef::string("rest.advertised.listener")
        .low()
        .doc("Protocol under which other workers reach this one: http or https.")
        .no_effect("there are no requests between workers"),
    OptionDef::list("admin.listeners")
        .low()
        .doc("Where the admin resources are served; with the others by default, nowhere if empty."),
    OptionDef::string("access.control.allow.origin")
        .low()
        .default("")
        .doc("Access-Control-Allow-Origin of the answers."),
    OptionDef::string("access.control.allow.methods")
        .low()
        .default("")
        .doc("Access-Control-Allow-Methods of the answers."),
    OptionDef::string("response.http.headers.config")
        .low()
        .default("")
        .later("further response headers are not implemented yet"),
    OptionDef::list("rest.extension.classes").low().default("").later("REST extensions are Java classes"),
    OptionDef::string("rest.host.name").low().doc("Older spelling of the host in listeners."),
    OptionDef::int("rest.port").low().doc("Older spelling of the port in listeners."),
    OptionDef::string("listeners.https.OPTION")
        .low()
        .pattern("listeners.https.", "")
        .later("REST over TLS is not implemented yet"),
    // Membership.
    OptionDef::string("connect.protocol").low().default("sessioned").no_effect(NO_GROUP),
    OptionDef::int("session.timeout.ms").high().default("10000").no_effect(NO_GROUP),
    OptionDef::int("heartbeat.interval.ms").high().default("3000").no_effect(NO_GROUP),
    OptionDef::int("rebalance.timeout.ms").high().default("60000").no_effect(NO_GROUP),
    OptionDef::int("worker.sync.timeout.ms").default("3000").no_effect(NO_GROUP),
    OptionDef::int("worker.unsync.backoff.ms").default("300000").no_effect(NO_GROUP),
    OptionDef::int("scheduled.rebalance.max.delay.ms").low().default("300000").no_effect(NO_GROUP),
    OptionDef::string("inter.worker.key.generation.algorithm").low().default("HmacSHA256").no_effect(NO_INTERNAL_REST),
    OptionDef::int("inter.worker.key.size").low().no_effect(NO_INTERNAL_REST),
    OptionDef::int("inter.worker.key.ttl.ms").low().default("3600000").no_effect(NO_INTERNAL_REST),
    OptionDef::string("inter.worker.signature.algorithm").low().default("HmacSHA256").no_effect(NO_INTERNAL_REST),
    OptionDef::list("inter.worker.verification.algorithms").low().default("HmacSHA256").no_effect(NO_INTERNAL_REST),
    // The Java process.
    OptionDef::list("plugin.path").low().no_effect(NO_JVM),
    OptionDef::string("plugin.discovery").low().default("hybrid_warn").no_effect(NO_JVM),
    OptionDef::list("metric.reporters")
        .low()
        .default("org.apache.kafka.common.metrics.JmxReporter")
        .no_effect("metrics are served at /metrics"),
    OptionDef::int("metrics.num.samples").low().default("2").no_effect("metrics are served at /metrics"),
    OptionDef::long("metrics.sample.window.ms").low().default("30000").no_effect("metrics are served at /metrics"),
    OptionDef::string("metrics.recording.level").low().default("INFO").no_effect("metrics are served at /metrics"),
    OptionDef::boolean("auto.include.jmx.reporter").low().no_effect(NO_JVM),
];
