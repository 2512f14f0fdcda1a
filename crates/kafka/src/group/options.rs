//! The configuration of a group's member: Java's options, with Kafka Connect's defaults for sinks and our bounds.

use rdkafka::ClientConfig;

use crate::client_config::{ClientConfigError, ClientOptions};

/// Bound on what is fetched ahead, for all partitions together; more made no sink faster.
const QUEUED_KIB_MAX: &str = "1024";
/// A partition's share of one answer, as in Java. A larger batch still comes: the broker sends at least one.
const PARTITION_FETCH_BYTES: &str = "1048576";
/// One answer, as it is sent: unpacked it may be ten times as much, and all of it is at once. Java's 50 MiB are unpacked
/// bit by bit.
const FETCH_BYTES: &str = "4194304";
/// New topics and partitions are found within this; Java's default is five minutes.
pub const METADATA_AGE_MS: u64 = 30_000;
/// What an answer may have beside its records.
const ANSWER_OVERHEAD_BYTES: i64 = 1 << 20;

/// Java's names of ways to assign partitions, the client's, and whether partitions are moved one by one.
const ASSIGNORS: [(&str, &str, bool); 3] = [
    ("org.apache.kafka.clients.consumer.RangeAssignor", "range", false),
    ("org.apache.kafka.clients.consumer.RoundRobinAssignor", "roundrobin", false),
    ("org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "cooperative-sticky", true),
];

/// The configuration of a member of `group`.
pub fn member_config(options: &ClientOptions, role: &str, group: &str) -> Result<ClientConfig, ClientConfigError> {
    let mut config = options.kept(role)?;
    for (name, value) in [
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
        ("fetch.message.max.bytes", PARTITION_FETCH_BYTES),
        ("fetch.max.bytes", FETCH_BYTES),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ] {
        if config.get(name).is_none_or(str::is_empty) {
            config.set(name, value);
        }
    }
    let fetch_bytes = config.get("fetch.max.bytes").and_then(|bytes| bytes.parse::<i64>().ok()).unwrap_or(0);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Batches take the end of a partition for a record: the client would go on one behind it, which is not there, and
        // so begin anew.
        .set("enable.partition.eof", "false")
        .set("queued.max.messages.kbytes", QUEUED_KIB_MAX)
        .set("queued.min.messages", "100000")
        .set("receive.message.max.bytes", (fetch_bytes + ANSWER_OVERHEAD_BYTES).max(100_000_000).to_string())
        .set("fetch.error.backoff.ms", "50")
        // By default a second passes after each time that the queue was full.
        .set("fetch.queue.backoff.ms", "2")
        .set("allow.auto.create.topics", "false");
    if let Some(instance) = options.get("group.instance.id").filter(|id| !id.is_empty()) {
        config.set("group.instance.id", instance);
    }
    let poll_ms = milliseconds(options, "max.poll.interval.ms", 86_400_000)?.unwrap_or(300_000);
    if options.get("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer")) {
        config.set("group.protocol", "consumer").set("max.poll.interval.ms", poll_ms.to_string());
        if let Some(assignor) = options.get("group.remote.assignor").filter(|name| !name.is_empty()) {
            config.set("group.remote.assignor", assignor);
        }
        return Ok(config);
    }
    let session_ms = milliseconds(options, "session.timeout.ms", 3_600_000)?.unwrap_or(45_000);
    config.set("session.timeout.ms", session_ms.to_string());
    // The kept client refuses a shorter one.
    config.set("max.poll.interval.ms", poll_ms.max(session_ms).to_string());
    if let Some(ms) = milliseconds(options, "heartbeat.interval.ms", 3_600_000)? {
        config.set("heartbeat.interval.ms", ms.to_string());
    }
    config.set("partition.assignment.strategy", assignors(options.get("partition.assignment.strategy"))?);
    Ok(config)
}

/// How many records a poll brings at most: `max.poll.records`.
pub fn poll_records_max(options: &ClientOptions) -> Result<usize, ClientConfigError> {
    let Some(text) = options.get("max.poll.records").filter(|text| !text.is_empty()) else { return Ok(usize::MAX) };
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
        ClientConfigError(format!("max.poll.records: {text} is not a positive number; leave it out for no bound"))
    })
}

fn milliseconds(options: &ClientOptions, name: &str, max: i64) -> Result<Option<i64>, ClientConfigError> {
    let Some(text) = options.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let ms: i64 = text.parse().map_err(|_| ClientConfigError(format!("{name}: {text} is not a number")))?;
    Ok(Some(ms.clamp(1, max)))
}

/// The client's names. It cannot offer ways that take all partitions away first beside one that moves them one by one;
/// where both are named, those of the first kind are offered, which is what Java's consumers then agree on.
fn assignors(names: Option<&str>) -> Result<String, ClientConfigError> {
    let mut found = Vec::new();
    for name in names.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = ASSIGNORS.iter().find(|(java, kept, _)| *java == name || *kept == name);
        found.push(known.ok_or_else(|| {
            let known: Vec<_> = ASSIGNORS.iter().map(|(java, ..)| java.rsplit('.').next().unwrap_or(java)).collect();
            ClientConfigError(format!(
                "partition.assignment.strategy: {name} is not known; {} of org.apache.kafka.clients.consumer are",
                known.join(", ")
            ))
        })?);
    }
    if found.is_empty() {
        return Ok("range".into());
    }
    let eager_only = found.iter().any(|(.., cooperative)| !cooperative);
    let names: Vec<_> =
        found.iter().filter(|(.., cooperative)| !(eager_only && *cooperative)).map(|(_, kept, _)| *kept).collect();
    Ok(names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_config::keys::Owner;

    fn config(pairs: &[(&str, &str)]) -> Result<ClientConfig, ClientConfigError> {
        let worker = [("bootstrap.servers".to_owned(), "h:1".to_owned()), ("session.timeout.ms".into(), "7".into())];
        let options = ClientOptions::for_connector(Owner::Consumer, &worker.into(), pairs.iter().copied())?;
        assert!(options.warnings.is_empty(), "{:?}", options.warnings);
        member_config(&options, "connector-consumer-c-0", "connect-c")
    }

    #[test]
    fn defaults_are_connects_and_overrides_hold() {
        let plain = config(&[]).expect("a configuration");
        for (name, value) in [
            ("client.id", "connector-consumer-c-0"),
            ("group.id", "connect-c"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("partition.assignment.strategy", "range"),
            // The worker's own group is another one.
            ("session.timeout.ms", "45000"),
            ("max.poll.interval.ms", "300000"),
        ] {
            assert_eq!(plain.get(name), Some(value), "{name}");
        }
        let strategy = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        let given = config(&[
            ("consumer.override.auto.offset.reset", "latest"),
            ("consumer.override.isolation.level", "read_uncommitted"),
            ("consumer.override.session.timeout.ms", "60000"),
            ("consumer.override.max.poll.interval.ms", "30000"),
            ("consumer.override.group.instance.id", "one"),
            ("consumer.override.max.partition.fetch.bytes", "4096"),
            ("consumer.override.partition.assignment.strategy", strategy),
        ])
        .expect("a configuration");
        for (name, value) in [
            ("auto.offset.reset", "latest"),
            ("isolation.level", "read_uncommitted"),
            ("session.timeout.ms", "60000"),
            ("max.poll.interval.ms", "60000"),
            ("group.instance.id", "one"),
            ("fetch.message.max.bytes", "4096"),
            ("partition.assignment.strategy", "cooperative-sticky"),
        ] {
            assert_eq!(given.get(name), Some(value), "{name}");
        }
        let both = assignors(Some("cooperative-sticky, org.apache.kafka.clients.consumer.RangeAssignor"));
        assert_eq!(both, Ok("range".into()));
        assert!(assignors(Some("org.example.Own")).is_err());
    }
}
