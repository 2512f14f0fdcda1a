use super::*;

const KAFKA: &[(&str, &str)] = &[
    ("bootstrap.servers", "a:9092, b:9092"),
    ("group.id", "g"),
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("key.converter.schemas.enable", "false"),
    ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
    ("config.storage.topic", "c"),
    ("offset.storage.topic", "o"),
    ("status.storage.topic", "s"),
];

fn parse(base: &[(&str, &str)], options: &[(&str, &str)]) -> Result<(WorkerConfig, Vec<Warning>), ConfigErrors> {
    WorkerConfig::parse(&base.iter().chain(options).copied().collect())
}

#[test]
fn needs_nothing_for_the_embedded_log() {
    let (config, warnings) = parse(&[], &[]).unwrap();
    assert!(!config.has_kafka() && warnings.is_empty());
    assert_eq!(config.listeners, [Listener { host: Some("127.0.0.1".into()), port: 8083 }]);
    assert!(config.listeners[0].is_loopback());
    assert_eq!(config.exactly_once, ExactlyOnce::Unset);
    let topics = [&config.config_topic, &config.offset_topic, &config.status_topic];
    assert_eq!(topics.map(|topic| topic.name.as_str()), ["walspring-configs", "walspring-offsets", "walspring-status"]);
    assert_eq!(topics.map(|topic| (topic.partitions, topic.replication_factor)), [(1, 3), (25, 3), (5, 3)]);
    assert_eq!(config.offset_flush_interval, Duration::from_secs(60));
    assert_eq!(config.value_converter.class, JSON_CONVERTER_CLASS);
    assert_eq!(config.override_policy, OverridePolicy::All);
}

#[test]
fn reads_a_distributed_workers_file() {
    let (config, warnings) = parse(
        KAFKA,
        &[
            ("exactly.once.source.support", "Enabled"),
            ("listeners", "http://:8083,http://[::1]:9000"),
            ("config.storage.replication.factor", "-1"),
            ("offset.storage.partitions", "7"),
            ("offset.storage.min.insync.replicas", "2"),
            ("producer.linger.ms", "5"),
            ("plugin.path", "/usr/share/java"),
            ("ofset.flush.interval.ms", "1"),
            ("topic.creation.enable", "false"),
        ],
    )
    .unwrap();
    assert_eq!(config.bootstrap_servers, ["a:9092", "b:9092"]);
    assert_eq!(config.key_converter.options.get("schemas.enable"), Some("false"));
    assert_eq!(config.exactly_once, ExactlyOnce::Enabled);
    assert_eq!(config.listeners[0], Listener { host: None, port: 8083 });
    assert!(!config.listeners[0].is_loopback() && config.listeners[1].is_loopback());
    assert_eq!((config.config_topic.replication_factor, config.offset_topic.partitions), (-1, 7));
    let settings: Vec<_> = config.offset_topic.settings.iter().collect();
    assert_eq!(settings, [("min.insync.replicas", "2")]);
    assert_eq!(config.producer.get("linger.ms"), Some("5"));
    assert!(!config.topic_creation);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "ofset.flush.interval.ms is not a known option; it is ignored. Is offset.flush.interval.ms meant?",
            "plugin.path has no effect: there is no Java here",
        ]
    );
}

#[test]
fn says_everything_that_is_wrong() {
    let options = [("bootstrap.servers", "a:1"), ("group.id", "g"), ("offset.flush.interval.ms", "x")];
    let errors = parse(&options, &[("exactly.once.source.support", "maybe")]).unwrap_err();
    let expected = "Invalid value maybe for configuration exactly.once.source.support: String must be one of (case \
                    insensitive): DISABLED, ENABLED, PREPARING\n\
                    Invalid value x for configuration offset.flush.interval.ms: Not a number of type LONG\n\
                    Missing required configuration \"config.storage.topic\" which has no default value.\n\
                    Missing required configuration \"offset.storage.topic\" which has no default value.\n\
                    Missing required configuration \"status.storage.topic\" which has no default value.\n\
                    Missing required configuration \"key.converter\" which has no default value.\n\
                    Missing required configuration \"value.converter\" which has no default value.";
    let mut lines: Vec<_> = errors.to_string().lines().map(str::to_owned).collect();
    let mut wanted: Vec<_> = expected.lines().map(str::to_owned).collect();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
    for (listener, why) in [("https://a:1", "REST over TLS"), ("a:1", "http://host:port"), ("http://a", "port")] {
        let error = parse(&[], &[("listeners", listener)]).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn gives_security_to_the_connectors_clients_too() {
    let secured = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("producer.acks", "all")];
    let (config, _) = parse(KAFKA, &secured).unwrap();
    assert_eq!(config.producer.get("sasl.mechanism"), Some("PLAIN"));
    assert_eq!(config.own_clients.get("security.protocol"), Some("SASL_SSL"));
    let (config, _) = parse(KAFKA, &[secured[0], secured[1], ("producer.security.protocol", "PLAINTEXT")]).unwrap();
    assert_eq!(config.producer.get("security.protocol"), Some("PLAINTEXT"));
    assert_eq!(config.producer.get("sasl.mechanism"), None);
    assert_eq!(config.consumer.get("sasl.mechanism"), Some("PLAIN"));
}

#[test]
fn judges_overrides_by_policy() {
    let table =
        [("All", "x", true), ("None", "x", false), ("Principal", "sasl.mechanism", true), ("Allowlist", "a", true)];
    for (policy, option, allowed) in table {
        let policy = OverridePolicy::parse(policy, vec!["a".to_owned()]).unwrap();
        assert_eq!(policy.refusal(option).is_none(), allowed);
    }
    let refusal = OverridePolicy::None.refusal("linger.ms").unwrap();
    let expected = "The 'None' policy does not allow 'linger.ms' to be overridden in the connector configuration.";
    assert_eq!(refusal, expected);
    assert!(OverridePolicy::parse("Some", vec![]).is_err());
}

#[test]
fn resolves_references_in_its_own_values() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("s.properties");
    std::fs::write(&file, "servers=k:9092\n").unwrap();
    let reference = format!("${{file:{}:servers}}", file.display());
    let raw: Config = KAFKA.iter().skip(1).copied().chain([("bootstrap.servers", reference.as_str())]).collect();
    assert_eq!(WorkerConfig::load(&raw).unwrap().config.bootstrap_servers, ["k:9092"]);
}

#[test]
fn keeps_data_in_the_state_directory() {
    let environment = |pairs: &'static [(&str, &str)]| {
        move |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let of = |pairs| default_data_dir(environment(pairs));
    assert_eq!(of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some(PathBuf::from("/s/walspring")));
    assert_eq!(of(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]), Some(PathBuf::from("/h/.local/state/walspring")));
    assert_eq!(of(&[]), None);
}
