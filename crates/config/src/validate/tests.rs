use super::*;
use crate::config::Config;
use crate::option::{Check, OptionDef, OptionTable, Support};
use crate::tables::converters::*;
use crate::tables::postgres::{POSTGRES, POSTGRES_GROUPS};
use crate::tables::source_connector::SOURCE_CONNECTOR;

const CONNECTOR: &str = "io.debezium.connector.postgresql.PostgresConnector";

const REGEX_ROUTER: OptionTable = OptionTable::new(&[
    OptionDef::string("regex").required().high().checks(&[Check::Regex]),
    OptionDef::string("replacement").required().high(),
]);

const UNWRAP: OptionTable = OptionTable::new(&[
    OptionDef::string("route.by.field").default("").low().order(1),
    OptionDef::string("delete.tombstone.handling.mode")
        .default("tombstone")
        .order(1)
        .checks(&[Check::OneOfInTransform(&["drop", "tombstone", "rewrite"])]),
    OptionDef::list("add.fields").default("").low().order(1),
]);

fn plugins() -> Vec<PluginInfo> {
    let kafka = |class, kind, options| PluginInfo { class, kind, version: "4.3.1", options };
    let debezium = |class, kind, options| PluginInfo { class, kind, version: "3.7.0.Final", options };
    use PluginKind::*;
    let mut plugins = vec![
        kafka("org.apache.kafka.connect.transforms.RegexRouter", Transformation, REGEX_ROUTER),
        debezium("io.debezium.transforms.ExtractNewRecordState", Transformation, UNWRAP),
        kafka(SIMPLE_HEADER_CONVERTER_CLASS, HeaderConverter, SIMPLE_HEADER_CONVERTER),
        debezium("io.debezium.converters.CloudEventsConverter", Converter, OptionTable::new(&[])),
    ];
    for kind in [Converter, HeaderConverter] {
        plugins.push(kafka(JSON_CONVERTER_CLASS, kind, JSON_CONVERTER));
        plugins.push(kafka(STRING_CONVERTER_CLASS, kind, STRING_CONVERTER));
        plugins.push(debezium("io.debezium.converters.BinaryDataConverter", kind, OptionTable::new(&[])));
        plugins.push(debezium("io.debezium.converters.ByteArrayConverter", kind, OptionTable::new(&[])));
        plugins.push(kafka(BYTE_ARRAY_CONVERTER_CLASS, kind, BYTE_ARRAY_CONVERTER));
        for class in [
            "org.apache.kafka.connect.converters.BooleanConverter",
            "org.apache.kafka.connect.converters.DoubleConverter",
            "org.apache.kafka.connect.converters.FloatConverter",
            "org.apache.kafka.connect.converters.IntegerConverter",
            "org.apache.kafka.connect.converters.LongConverter",
            "org.apache.kafka.connect.converters.ShortConverter",
        ] {
            plugins.push(kafka(class, kind, BYTE_ARRAY_CONVERTER));
        }
    }
    plugins
}

fn with_context<T>(null_names: &[&str], run: impl FnOnce(&ConnectorContext<'_>) -> T) -> T {
    run(&ConnectorContext {
        plugins: Plugins(&plugins()),
        kind: PluginKind::Source,
        table: POSTGRES,
        words: Words::Debezium,
        groups: POSTGRES_GROUPS,
        version: "3.7.0.Final",
        key_converter: JSON_CONVERTER_CLASS,
        value_converter: JSON_CONVERTER_CLASS,
        header_converter: SIMPLE_HEADER_CONVERTER_CLASS,
        exactly_once: false,
        null_names,
        override_policy: &|_| None,
    })
}

fn validate(config: &Config) -> ValidationReport {
    with_context(&[], |context| validate_connector(config, context))
}

/// A good configuration, with these options set or, at `None`, left out.
fn changed(options: &[(&str, Option<&str>)]) -> Config {
    let mut config: Config = [
        ("name", "x"),
        ("connector.class", CONNECTOR),
        ("tasks.max", "1"),
        ("plugin.name", "pgoutput"),
        ("database.hostname", "127.0.0.1"),
        ("database.port", "5432"),
        ("database.user", "postgres"),
        ("database.password", "postgres"),
        ("database.dbname", "d"),
        ("topic.prefix", "p"),
    ]
    .into_iter()
    .collect();
    for (name, value) in options {
        config.remove(name);
        if let Some(value) = value {
            config.insert(*name, *value);
        }
    }
    config
}

fn errors_of(options: &[(&str, Option<&str>)]) -> Vec<String> {
    validate(&changed(options)).errors().0.into_iter().map(|error| error.message).collect()
}

/// The recorded answers of the original, whole but for the sentences, which are ours.
#[test]
fn answers_as_recorded() {
    for (case, change) in [
        ("rest_validate_good", None),
        ("rest_validate_bad", Some([("snapshot.mode", Some("sometimes")), ("database.hostname", None)])),
    ] {
        let file = format!("{}/../../conformance/cases/{case}/expected.jsonl", env!("CARGO_MANIFEST_DIR"));
        let recorded = std::fs::read_to_string(file).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(recorded.lines().next().unwrap()).unwrap();
        let mut expected = recorded["body"].clone();
        let mut config = changed(&[
            ("name", None),
            ("key.converter", Some(JSON_CONVERTER_CLASS)),
            ("key.converter.schemas.enable", Some("false")),
            ("value.converter", Some(JSON_CONVERTER_CLASS)),
            ("value.converter.schemas.enable", Some("false")),
            ("poll.interval.ms", Some("50")),
            ("slot.name", Some("c")),
            ("publication.name", Some("c")),
        ]);
        for (name, value) in change.into_iter().flatten() {
            config.remove(name);
            value.map(|value| config.insert(name, value));
        }
        let mut answered = serde_json::to_value(validate(&config)).unwrap();
        for (body, wildcards) in [(&mut expected, false), (&mut answered, true)] {
            for entry in body["configs"].as_array_mut().unwrap() {
                entry["definition"]["documentation"] = "".into();
                if entry["value"]["name"] == "connector.plugin.version" && wildcards {
                    // The recorder replaced versions.
                    entry["definition"]["default_value"] = "<string>".into();
                    entry["value"]["value"] = "<string>".into();
                    entry["value"]["recommended_values"] = vec!["<string>"].into();
                }
            }
        }
        for (expected, answered) in
            expected["configs"].as_array().unwrap().iter().zip(answered["configs"].as_array().unwrap())
        {
            assert_eq!(expected, answered);
        }
        assert_eq!(expected, answered);
    }
}

#[test]
fn writes_the_keys_in_the_originals_order() {
    let report = validate(&changed(&[]));
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.starts_with(&format!("{{\"name\":\"{CONNECTOR}\",\"error_count\":0,\"groups\":[\"Common\"")));
    let definition = serde_json::to_string(&report.entries[0].definition).unwrap();
    let expected = "{\"name\":\"name\",\"type\":\"STRING\",\"required\":true,\"default_value\":null,\"importance\":\"HIGH\",\
                    \"documentation\":\"Name of the connector, unique in the cluster.\",\"group\":\"Common\",\
                    \"order_in_group\":1,\"width\":\"MEDIUM\",\"display_name\":\"Connector name\",\"dependents\":[]}";
    assert_eq!(definition, expected);
}

/// Asked of Kafka Connect 4.3.1 with Debezium 3.7.0.Final: an option, a wrong value, the errors.
#[test]
fn words_errors_as_the_original() {
    let invalid = |name: &str, why: &str| format!("The '{name}' value is invalid: {why}");
    let kafka = |name: &str, value: &str, why: &str| format!("Invalid value {value} for configuration {name}: {why}");
    let one_of_modes =
        "Value must be one of always, initial_only, configuration_based, when_needed, initial, custom, no_data";
    let regex = "A comma-separated list of valid regular expressions is expected, but Unclosed group near index 1\n(";
    let format = "has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)";
    let slot =
        "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63";
    let own: &[(&str, &str, &[&str])] = &[
        ("database.hostname", "", &["A value is required"]),
        ("database.hostname", "a b", &[&format!("a b {format}")]),
        ("database.port", "x", &["An integer is expected", "An integer is expected"]),
        ("database.port", " 1 ", &["An integer is expected", "An integer is expected"]),
        ("database.query.timeout.ms", "1.5", &["An integer is expected"]),
        ("topic.prefix", "", &["A value is required", &format!(" {format}")]),
        ("tombstones.on.delete", "abc", &["Either 'true' or 'false' is expected"; 2]),
        ("slot.failover", "1", &["Either 'true' or 'false' is expected"]),
        ("snapshot.mode", "sometimes", &[one_of_modes]),
        ("snapshot.mode", "", &[one_of_modes]),
        ("topic.naming.strategy", "1.5", &["A Java class name is expected"]),
        ("schema.include.list", "(", &[regex]),
        ("table.include.list", "(", &[regex, regex]),
        ("skipped.operations", "C", &["Invalid operation"]),
        ("skipped.operations", "none,c", &["'none' cannot be specified with other skipped operation types"]),
        ("slot.name", "a-b", &[slot]),
        ("slot.name", "", &[slot]),
        ("max.batch.size", "0", &["A positive, non-zero integer value is expected"]),
        ("max.queue.size", "-1", &["A positive queue size is required", "Must be larger than the maximum batch size"]),
        ("max.queue.size", "x", &["An integer is expected"]),
        ("heartbeat.interval.ms", "-1", &["An non-negative integer is expected"]),
        ("snapshot.delay.ms", "x", &["A long value is expected", "A non-negative long value is expected"]),
        ("poll.interval.ms", "99999999999", &["A positive, non-zero integer value is expected"]),
        ("slot.retry.delay.ms", "99999999999", &["An integer is expected"]),
        ("executor.shutdown.timeout.ms", "0", &["A positive, non-zero long value is expected"]),
        (
            "message.key.columns",
            "",
            &["Must not be empty", " has an invalid format (expecting '^\\s*([^:]+):([^:,]+(,[^:,]+)*)\\s*$')"],
        ),
        (
            "message.key.columns",
            "a:b;c",
            &["c has an invalid format (expecting '^\\s*([^:]+):([^:,]+(,[^:,]+)*)\\s*$')"],
        ),
        (
            "replica.identity.autoset.values",
            "a.b:BAD",
            &[
                "a.b:BAD has an invalid format (expecting '(?i)^\\s*(?<tablepredicate>[^\\s:]+):(?<replicaidentity>DEFAULT|(INDEX) (?<indexname>.\\w*)|FULL|NOTHING)\\s*$')",
            ],
        ),
    ];
    for (name, value, expected) in own {
        let expected: Vec<String> = expected.iter().map(|why| invalid(name, why)).collect();
        assert_eq!(errors_of(&[(name, Some(value))]), expected, "{name}={value}");
    }
    let framework: &[(&str, &str, &str, &str)] = &[
        ("name", "", "", "String may not be empty"),
        ("name", "a\nb", "a\nb", "String may not contain control sequences but had the following ASCII chars: 10"),
        ("tasks.max", "0", "0", "Value must be at least 1"),
        ("tasks.max.enforce", "x", "x", "Expected value to be either true or false"),
        ("errors.tolerance", "ALL", "ALL", "String must be one of: none, all"),
        ("config.action.reload", " x ", "x", "String must be one of: none, restart"),
        ("errors.retry.timeout", " x ", " x ", "Not a number of type LONG"),
        ("exactly.once.support", "x", "x", "String must be one of (case insensitive): REQUIRED, REQUESTED"),
        ("transaction.boundary.interval.ms", "-1", "-1", "Value must be at least 0"),
        ("offsets.storage.topic", "", "", "String must be non-empty"),
        ("topic.creation.groups", "a,a", "[a, a]", "Duplicate alias provided."),
        ("key.converter", " x ", " x ", "Class  x  could not be found."),
    ];
    for (name, value, shown, why) in framework {
        assert_eq!(errors_of(&[(name, Some(value))]), [kafka(name, shown, why)], "{name}={value}");
    }
    assert_eq!(
        errors_of(&[("tasks.max", Some("abc"))]),
        [kafka("tasks.max", "abc", "Not a number of type INT"), kafka("tasks.max", "null", "Value must be non-null"),]
    );
    assert_eq!(
        errors_of(&[("exactly.once.support", Some("REQUIRED"))]),
        ["This worker does not have exactly-once source support enabled."]
    );
    assert_eq!(errors_of(&[("name", None)]), ["Missing required configuration \"name\" which has no default value."]);
}

#[test]
fn checks_options_against_each_other() {
    for list in ["table", "schema", "message.prefix"] {
        let (include, exclude) = (format!("{list}.include.list"), format!("{list}.exclude.list"));
        let expected = format!("The '{exclude}' value is invalid: \"{include}\" is already specified");
        assert_eq!(errors_of(&[(&include, Some("a")), (&exclude, Some("b"))]), [expected]);
    }
    let queue = "The 'max.queue.size' value is invalid: Must be larger than the maximum batch size";
    assert_eq!(errors_of(&[("max.batch.size", Some("9000"))]), [queue]);
    assert_eq!(errors_of(&[("max.batch.size", Some("10")), ("max.queue.size", Some("10"))]), [queue]);
    let custom = errors_of(&[("snapshot.query.mode", Some("custom"))]);
    let expected = "The 'snapshot.query.mode.custom.name' value is invalid: snapshot.query.mode.custom.name cannot be \
                    empty when snapshot.query.mode 'custom' is defined";
    assert!(custom.contains(&expected.to_owned()), "{custom:?}");
}

#[test]
fn accepts_what_the_original_accepts() {
    for (name, value) in [
        ("snapshot.mode", " INITIAL "),
        ("tombstones.on.delete", " TRUE "),
        ("table.include.list", "a\\,b,,c"),
        ("table.include.list", "a++"),
        ("skipped.operations", " c , u "),
        ("message.key.columns", "a:b;"),
        ("replica.identity.autoset.values", "a.b:FULL,c.d:INDEX i, e.f:default"),
        ("slot.name", "a_1"),
        ("tasks.max", " 2 "),
        ("transaction.boundary", "INTERVAL"),
        ("topic.delimiter", "$"),
    ] {
        assert_eq!(errors_of(&[(name, Some(value))]), Vec::<String>::new(), "{name}={value}");
    }
}

#[test]
fn describes_transforms_as_the_original_does() {
    let config = changed(&[
        ("transforms", Some("u,r,b")),
        ("transforms.u.type", Some("io.debezium.transforms.ExtractNewRecordState")),
        ("transforms.u.negate", Some("abc")),
        ("transforms.u.delete.tombstone.handling.mode", Some("abc")),
        ("transforms.r.type", Some("RegexRouter")),
        ("transforms.r.regex", Some("(")),
        ("predicates", Some("p")),
        ("predicates.p.type", Some("no.such.Predicate")),
    ]);
    let report = validate(&config);
    let listed: Vec<(&str, i32)> = report
        .entries
        .iter()
        .filter(|entry| entry.value.name.starts_with("transforms."))
        .map(|entry| (entry.value.name.as_str(), entry.definition.as_ref().unwrap().order_in_group))
        .collect();
    assert_eq!(
        listed,
        [
            ("transforms.u.type", 0),
            ("transforms.u.plugin.version", 1),
            ("transforms.u.negate", 2),
            ("transforms.u.predicate", 3),
            ("transforms.u.delete.tombstone.handling.mode", 4),
            ("transforms.u.add.fields", 5),
            ("transforms.u.route.by.field", 6),
            ("transforms.r.type", 0),
            ("transforms.r.plugin.version", 1),
            ("transforms.r.regex", 2),
            ("transforms.r.replacement", 3),
            ("transforms.r.negate", 4),
            ("transforms.r.predicate", 5),
            ("transforms.b.type", 0),
            ("transforms.b.plugin.version", 1),
        ]
    );
    assert_eq!(
        report.groups[7..12],
        ["Transforms: u", "Transforms: r", "Transforms: b", "Predicates: p", "CONNECTION"]
    );
    let kind = report.entry("transforms.r.type").unwrap();
    assert_eq!(kind.value.value.as_deref(), Some("org.apache.kafka.connect.transforms.RegexRouter"));
    assert_eq!(kind.definition.as_ref().unwrap().display_name, "Transformation type for r");
    let errors: Vec<String> = report.errors().0.into_iter().map(|error| error.message).collect();
    assert_eq!(
        errors,
        [
            "Config 'transforms.u.negate' was provided but there is no config 'transforms.u.predicate' defining a predicate to be negated.",
            "Invalid value abc for configuration transforms.u.negate: Expected value to be either true or false",
            "Invalid value abc for configuration delete.tombstone.handling.mode: Value must be one of drop, tombstone, rewrite",
            "Invalid value ( for configuration regex: Invalid regex: Unclosed group near index 1\n(",
            "Missing required configuration \"transforms.r.replacement\" which has no default value.",
            "Missing required configuration \"transforms.b.type\" which has no default value.",
            "Invalid value no.such.Predicate for configuration predicates.p.type: Class no.such.Predicate could not be found.",
        ]
    );
}

#[test]
fn describes_converters_and_overrides() {
    let report = validate(&changed(&[
        ("key.converter", Some("String")),
        ("value.converter", Some(JSON_CONVERTER_CLASS)),
        ("value.converter.schemas.enable", Some("abc")),
        ("value.converter.decimal.format", Some("numeric")),
        ("header.converter", Some("io.debezium.converters.CloudEventsConverter")),
        ("producer.override.linger.ms", Some("5")),
    ]));
    assert_eq!(report.entry("key.converter").unwrap().value.value.as_deref(), Some(STRING_CONVERTER_CLASS));
    let last: Vec<&str> = report.entries.iter().rev().take(9).rev().map(|entry| entry.value.name.as_str()).collect();
    assert_eq!(
        last,
        [
            "producer.override.linger.ms",
            "key.converter.converter.type",
            "key.converter.converter.encoding",
            "value.converter.decimal.format",
            "value.converter.converter.type",
            "value.converter.schemas.cache.size",
            "value.converter.replace.null.with.default",
            "value.converter.schemas.enable",
            "value.converter.schema.content",
        ]
    );
    assert_eq!(report.groups[report.groups.len() - 2..], ["Serialization", "Schemas"]);
    let errors: Vec<String> = report.errors().0.into_iter().map(|error| error.message).collect();
    assert_eq!(
        errors,
        [
            "Class class io.debezium.converters.CloudEventsConverter does not implement the HeaderConverter interface",
            "Invalid value abc for configuration schemas.enable: Expected value to be either true or false",
        ]
    );
}

#[test]
fn rejects_a_creation_in_the_originals_words() {
    let names = ["topic.prefix", "database.hostname", "database.user", "database.dbname"];
    let report = validate(&changed(&names.map(|name| (name, None))));
    let required = |name: &str| format!("The '{name}' value is invalid: A value is required\n");
    let expected = format!(
        "Connector configuration is invalid and contains the following 4 error(s):\n{}{}{}{}You can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        required("database.hostname"),
        required("database.user"),
        required("database.dbname"),
        required("topic.prefix"),
    );
    assert_eq!(report.rejection(), Some(expected));
    let mut report = validate(&changed(&[]));
    assert_eq!(report.rejection(), None);
    report.add_error("database.hostname", "Error while validating connector config: refused");
    assert_eq!(report.error_count(), 1);
}

#[test]
fn refuses_null_for_options_of_the_framework() {
    let config = changed(&[("tasks.max", None)]);
    let report = with_context(&["tasks.max"], |context| validate_connector(&config, context));
    let errors = &report.entry("tasks.max").unwrap().value.errors;
    assert_eq!(errors.last().unwrap(), "Null value can not be supplied as the configuration value.");
}

#[test]
fn refuses_what_it_cannot_do_yet() {
    let table = [("plugin.name", "decoderbufs"), ("converters", "isbn")];
    for (name, value) in table {
        let errors = errors_of(&[(name, Some(value))]);
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].contains("is not supported by this version of Walspring: "), "{errors:?}");
    }
    // What says the default asks for nothing.
    for (name, value) in [("skip.messages.without.change", "false"), ("incremental.snapshot.chunk.size", "1024")] {
        assert_eq!(errors_of(&[(name, Some(value))]), Vec::<String>::new());
    }
}

#[test]
fn warns_of_what_the_original_passes_over() {
    let report = validate(&changed(&[
        ("slot.naem", Some("s")),
        ("completely.else", Some("1")),
        ("database.autosave", Some("never")),
        ("snapshot.fetch.size", Some("5")),
        ("database.server.name", Some("q")),
        ("transforms", Some("unwrap")),
        ("transforms.unwarp.type", Some("x")),
        ("transforms.unwrap.type", Some("RegexRouter")),
        ("producer.override.linger.ms", Some("5")),
        ("topic.creation.default.partitions", Some("1")),
    ]));
    let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "database.server.name is an older spelling; today it is topic.prefix",
            "completely.else is not a known option; it is ignored",
            "database.autosave has no effect: the original passes it on to its Java driver, which is not here",
            "slot.naem is not a known option; it is ignored. Is slot.name meant?",
            "snapshot.fetch.size has no effect: snapshots are read by COPY, which streams",
            "transforms.unwarp.type is not a known option; it is ignored. Is transforms.unwrap.type meant?",
        ]
    );
}

#[test]
fn lists_the_connectors_options_before_the_frameworks() {
    let definitions = with_context(&[], list_options);
    let names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
    assert_eq!((names.len(), names[0], names[164]), (165, "database.hostname", "offsets.storage.topic"));
    let converter = definitions.iter().find(|definition| definition.name == "key.converter").unwrap();
    assert_eq!(converter.default_value, None);
}

#[test]
fn tables_are_sound() {
    for table in [POSTGRES, SOURCE_CONNECTOR] {
        for option in table.iter() {
            assert!(!option.doc.is_empty(), "{} has no sentence", option.name);
            assert_eq!(table.iter().filter(|other| other.name == option.name).count(), 1, "{} twice", option.name);
            if let Support::LaterValues(values, _) = option.support
                && option.kind != crate::option::Kind::List
            {
                let allowed = option.allowed_values().unwrap_or_default();
                assert!(values.iter().all(|value| allowed.contains(value)), "{}", option.name);
            }
            for alias in option.aliases {
                let listed = table.get(alias).is_none_or(|option| option.listed);
                assert!(listed, "{alias} names two options");
            }
        }
    }
}

/// The options that Debezium 3.7 documents or reads.
#[test]
fn has_every_option_of_the_original() {
    const NAMES: &str = "
        connector.class tasks.max database.hostname database.port database.user database.password database.dbname
        database.connection.factory.class database.initial.statements database.query.timeout.ms database.tcpKeepAlive
        database.sslmode database.sslcert database.sslkey database.sslpassword database.sslrootcert database.sslfactory
        connection.validation.timeout.ms driver.anything plugin.name slot.name slot.drop.on.stop slot.failover
        slot.stream.params slot.max.retries slot.retry.delay.ms internal.create.slot.command.timeout publication.name
        publication.autocreate.mode publish.via.partition.root replica.identity.autoset.values offset.mismatch.strategy
        internal.slot.seek.to.known.offset.on.start lsn.flush.mode flush.lsn.source lsn.flush.timeout.ms
        lsn.flush.timeout.action status.update.interval.ms xmin.fetch.interval.ms read.only schema.include.list
        schema.exclude.list table.include.list table.exclude.list table.ignore.builtin column.include.list
        column.exclude.list skipped.operations skip.messages.without.change message.prefix.include.list
        message.prefix.exclude.list include.unknown.datatypes guardrail.collections.max
        guardrail.collections.limit.action snapshot.mode snapshot.mode.custom.name
        snapshot.mode.configuration.based.snapshot.data snapshot.mode.configuration.based.snapshot.schema
        snapshot.mode.configuration.based.start.stream snapshot.mode.configuration.based.snapshot.on.schema.error
        snapshot.mode.configuration.based.snapshot.on.data.error snapshot.isolation.mode snapshot.locking.mode
        snapshot.locking.mode.custom.name snapshot.lock.timeout.ms snapshot.query.mode snapshot.query.mode.custom.name
        snapshot.include.collection.list snapshot.select.statement.overrides
        snapshot.select.statement.overrides.public.t snapshot.tables.order.by.row.count snapshot.fetch.size
        snapshot.delay.ms streaming.delay.ms snapshot.max.threads snapshot.max.threads.multiplier
        legacy.snapshot.max.threads internal.snapshot.scan.all.columns.force time.precision.mode decimal.handling.mode
        binary.handling.mode hstore.handling.mode interval.handling.mode money.fraction.digits
        unavailable.value.placeholder schema.refresh.mode schema.name.adjustment.mode field.name.adjustment.mode
        column.truncate.to.9.chars column.mask.with.9.chars column.mask.hash.SHA-256.with.salt.abc
        column.mask.hash.v2.SHA-256.with.salt.abc column.propagate.source.type datatype.propagate.source.type
        include.schema.comments converters post.processors topic.prefix topic.naming.strategy topic.delimiter
        topic.cache.size topic.transaction topic.heartbeat.prefix topic.heartbeat.name topic.regex topic.replacement
        topic.key.enforce.uniqueness topic.key.field.name topic.key.field.regex topic.key.field.replacement
        message.key.columns tombstones.on.delete extended.headers.enabled sourceinfo.struct.maker heartbeat.interval.ms
        heartbeat.action.query heartbeat.topics.prefix provide.transaction.metadata transaction.metadata.factory
        signal.data.collection signal.enabled.channels signal.poll.interval.ms signal.kafka.topic signal.kafka.groupId
        signal.kafka.bootstrap.servers signal.kafka.poll.timeout.ms signal.consumer.anything signal.file
        incremental.snapshot.chunk.size incremental.snapshot.watermarking.strategy
        incremental.snapshot.allow.schema.changes signal.emit.failure.max.retries signal.emit.failure.backoff.ms
        notification.enabled.channels notification.sink.topic.name max.queue.size max.batch.size max.queue.size.in.bytes
        poll.interval.ms poll.dispatch.interval.ms queue.provider.type query.fetch.size errors.max.retries
        retriable.restart.connector.wait.ms event.processing.failure.handling.mode
        event.converting.failure.handling.mode executor.shutdown.timeout.ms custom.metric.tags statistics.metrics.enabled
        custom.sanitize.pattern internal.custom.retriable.exception internal.log.position.check.enable
        internal.offset.activity.monitor.interval.ms memory.management.schemas.class memory.management.tables.class
        openlineage.integration.enabled openlineage.integration.config.file.path openlineage.integration.job.namespace
        openlineage.integration.job.description openlineage.integration.job.tags openlineage.integration.job.owners
        openlineage.integration.dataset.kafka.bootstrap.servers key.converter value.converter header.converter transforms
        predicates topic.creation.groups topic.creation.default.partitions topic.creation.g.include errors.tolerance
        exactly.once.support transaction.boundary offsets.storage.topic";
    for name in NAMES.split_whitespace() {
        assert!(POSTGRES.get(name).or(SOURCE_CONNECTOR.get(name)).is_some(), "{name} has no entry");
    }
}

#[test]
fn older_and_unknown_options_of_transforms_draw_a_warning() {
    let warnings = |options: &[(&str, &str)]| {
        let mut config = changed(&[]);
        config.insert("transforms", "u");
        config.insert("transforms.u.type", "io.debezium.transforms.ExtractNewRecordState");
        for (name, value) in options {
            config.insert(*name, *value);
        }
        validate(&config).warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&[("transforms.u.add.fields", "op"), ("transforms.u.predicate", "p")]), Vec::<String>::new());
    assert_eq!(
        warnings(&[("transforms.u.delete.handling.mode", "rewrite"), ("transforms.u.drop.tombstones", "false")])[0],
        "transforms.u.delete.handling.mode is an older spelling; today it is \
         transforms.u.delete.tombstone.handling.mode=rewrite-with-tombstone"
    );
    assert_eq!(
        warnings(&[("transforms.u.add.field", "op")]),
        ["transforms.u.add.field is not a known option; it is ignored. Is transforms.u.add.fields meant?"]
    );
}

const FILE_SINK: OptionTable = OptionTable::new(&[OptionDef::string("file").high()]);

/// Of a sink of files, as Kafka's own: the oracle of these answers is Kafka Connect 4.3.1 with FileStreamSinkConnector.
fn validate_sink(options: &[(&str, &str)]) -> ValidationReport {
    let config: Config =
        [("name", "x"), ("connector.class", "FileStreamSink")].iter().chain(options).copied().collect();
    let context = ConnectorContext {
        plugins: Plugins(&plugins()),
        kind: PluginKind::Sink,
        table: FILE_SINK,
        words: Words::Kafka,
        groups: &[],
        version: "4.3.1",
        key_converter: JSON_CONVERTER_CLASS,
        value_converter: JSON_CONVERTER_CLASS,
        header_converter: SIMPLE_HEADER_CONVERTER_CLASS,
        exactly_once: false,
        null_names: &[],
        override_policy: &|option| (option == "group.instance.id").then(|| "refused".to_owned()),
    };
    validate_connector(&config, &context)
}

#[test]
fn judges_a_sinks_topics_as_the_original_does() {
    let check = |options: &[(&str, &str)], expected: &[(&str, &str)]| {
        let errors = validate_sink(options).errors();
        let errors: Vec<_> = errors.0.iter().map(|e| (e.name.as_str(), e.message.as_str())).collect();
        assert_eq!(errors, expected, "{options:?}");
    };
    check(&[("topics", "a,b")], &[]);
    check(&[("topics.regex", "a.*"), ("errors.deadletterqueue.topic.name", "b")], &[]);
    let none = "Must configure one of topics or topics.regex";
    check(&[], &[("topics", none), ("topics.regex", none)]);
    check(&[("topics", " ")], &[("topics", none), ("topics.regex", none)]);
    let both = "topics and topics.regex are mutually exclusive options, but both are set.";
    check(&[("topics", "a"), ("topics.regex", "b")], &[("topics", both), ("topics.regex", both)]);
    check(&[("topics", "a,b,a")], &[("topics", "Configuration 'topics' values must not be duplicated.")]);
    check(&[("topics", "a,,b")], &[("topics", "Configuration 'topics' values must not be empty.")]);
    check(
        &[("topics", "a,b"), ("errors.deadletterqueue.topic.name", "b")],
        &[(
            "topics",
            "The DLQ topic 'b' may not be included in the list of topics ('topics=[a, b]') consumed by the connector",
        )],
    );
    check(
        &[("topics.regex", "a.*"), ("errors.deadletterqueue.topic.name", "ab")],
        &[(
            "topics.regex",
            "The DLQ topic 'ab' may not be matched by the regex for the topics ('topics.regex=a.*') consumed by the \
             connector",
        )],
    );
    let factor = "errors.deadletterqueue.topic.replication.factor";
    let headers = "errors.deadletterqueue.context.headers.enable";
    check(
        &[("topics", "a"), (factor, "x"), (headers, "maybe")],
        &[
            (factor, &format!("Invalid value x for configuration {factor}: Not a number of type SHORT")),
            (
                headers,
                &format!("Invalid value maybe for configuration {headers}: Expected value to be either true or false"),
            ),
        ],
    );
    let own = "consumer.override.group.instance.id";
    check(&[("topics", "a"), (own, "1")], &[(own, "refused")]);
}

#[test]
fn lists_a_sinks_options_as_the_original_does() {
    let report = validate_sink(&[("topics", "a"), ("consumer.override.group.id", "g")]);
    assert_eq!(report.groups, ["Common", "Transforms", "Predicates", "Error Handling"]);
    let line = |entry: &ConfigEntry| {
        let d = entry.definition.as_ref()?;
        let group = d.group.clone().unwrap_or_default();
        let kind = d.option.kind.name();
        Some(format!("{} {kind} {:?} {group} {}", d.name, d.default_value, d.order_in_group))
    };
    let lines: Vec<_> = report.entries.iter().filter_map(line).skip(17).collect();
    assert_eq!(
        lines,
        [
            r#"errors.log.enable BOOLEAN Some("false") Error Handling 4"#,
            r#"errors.log.include.messages BOOLEAN Some("false") Error Handling 5"#,
            r#"topics LIST Some("") Common 4"#,
            r#"topics.regex STRING Some("") Common 4"#,
            r#"errors.deadletterqueue.topic.name STRING Some("") Error Handling 6"#,
            r#"errors.deadletterqueue.topic.replication.factor SHORT Some("3") Error Handling 7"#,
            r#"errors.deadletterqueue.context.headers.enable BOOLEAN Some("false") Error Handling 8"#,
            "file STRING None  -1",
        ]
    );
    let unknown: Vec<_> = validate_sink(&[("topics", "a"), ("topic", "b")]).warnings;
    assert!(format!("{unknown:?}").contains("topics"), "{unknown:?}");
}
