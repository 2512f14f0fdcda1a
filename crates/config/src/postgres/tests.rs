use super::*;

fn parse(options: &[(&str, &str)]) -> Result<(PostgresConnectorConfig, Vec<Warning>), ConfigErrors> {
    let base = [
        ("database.hostname", "db"),
        ("database.user", "me"),
        ("database.dbname", "shop"),
        ("topic.prefix", "shop"),
        ("plugin.name", "pgoutput"),
    ];
    PostgresConnectorConfig::parse(&base.iter().chain(options).copied().collect())
}

fn parsed(options: &[(&str, &str)]) -> PostgresConnectorConfig {
    parse(options).unwrap().0
}

#[test]
fn a_strategy_that_is_left_out_is_not_the_default_that_is_shown() {
    let given = |options: &[(&str, &str)]| parsed(options).slot.offset_mismatch;
    assert_eq!(given(&[]), None);
    assert_eq!(given(&[("offset.mismatch.strategy", "no_validation")]), Some(OffsetMismatchStrategy::NoValidation));
    assert_eq!(given(&[("offset.mismatch.strategy", "trust_slot")]), Some(OffsetMismatchStrategy::TrustSlot));
    assert_eq!(given(&[("slot.seek.to.known.offset.on.start", "true")]), Some(OffsetMismatchStrategy::TrustOffset));
}

#[test]
fn several_hosts_are_there_for_a_failover() {
    let target = |options: &[(&str, &str)]| parsed(options).connection.target_session;
    let list = ("database.hostname", "a:1,b");
    assert_eq!(parsed(&[list]).connection.hosts, [("a".to_owned(), 1), ("b".to_owned(), 5432)]);
    assert_eq!((target(&[]), target(&[list])), (TargetSession::Any, TargetSession::Primary));
    assert_eq!(target(&[list, ("walspring.target.session.attrs", "standby")]), TargetSession::Standby);
    assert!(parse(&[("database.hostname", "a:1,b c")]).is_err());
    assert!(parse(&[("walspring.target.session.attrs", "prefer-standby")]).is_err());
}

#[test]
fn has_the_originals_defaults() {
    let config = parsed(&[]);
    assert_eq!(config.connection.hosts, [("db".to_owned(), 5432)]);
    assert_eq!((config.connection.target_session, config.connection.ssl_mode), (TargetSession::Any, SslMode::Prefer));
    assert_eq!(config.connection.query_timeout, Some(Duration::from_secs(600)));
    assert_eq!((config.slot.name.as_str(), config.publication.name.as_str()), ("debezium", "dbz_publication"));
    assert_eq!(config.slot.flush_mode, LsnFlushMode::Connector);
    assert_eq!(config.slot.create_timeout, Duration::from_secs(90));
    assert_eq!(config.publication.autocreate, PublicationAutocreate::AllTables);
    assert_eq!(config.snapshot.mode, SnapshotMode::Initial);
    assert_eq!(config.representation.time_precision, TimePrecision::Adaptive);
    assert_eq!(config.representation.money_fraction_digits, 2);
    assert_eq!(config.representation.unavailable_value.text, "__debezium_unavailable_value");
    assert_eq!(config.topics.transaction, "shop.transaction");
    assert_eq!(config.topics.heartbeat, "__debezium-heartbeat.shop");
    assert_eq!(config.events.heartbeat_interval, None);
    assert!(config.events.skipped.truncate && !config.events.skipped.explicit && !config.events.skipped.create);
    assert_eq!((config.tuning.batch_size_max, config.tuning.queue_size_max), (2048, 8192));
    assert_eq!(config.tuning.retries_max, None);
    assert!(config.events.extended_headers && config.events.tombstones_on_delete);
}

#[test]
fn reads_what_is_given() {
    let config = parsed(&[
        ("database.port", "6543"),
        ("database.password", "hunter2"),
        ("snapshot.mode", "NO_DATA"),
        ("database.initial.statements", "SET a = 'x;;y'; ;SELECT 1;"),
        ("slot.stream.params", "origin=any; streaming=on"),
        ("skipped.operations", "c, u"),
        ("unavailable.value.placeholder", "hex:4A4b"),
        ("poll.interval.ms", "60000"),
        ("errors.max.retries", "3"),
        ("topic.delimiter", "_"),
        ("topic.heartbeat.name", "beat"),
        ("replica.identity.autoset.values", "public.a:FULL, public.b:INDEX b_i"),
        ("lsn.flush.mode", "connector_and_driver"),
        ("guardrail.collections.max", "5"),
        ("guardrail.collections.limit.action", "fail"),
    ]);
    assert_eq!(config.guardrail, Some(Guardrail { tables_max: 5, fail: true }));
    assert_eq!(config.connection.hosts, [("db".to_owned(), 6543)]);
    assert_eq!(config.connection.password.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.snapshot.mode, SnapshotMode::NoData);
    assert_eq!(config.connection.initial_statements, ["SET a = 'x;y'", "SELECT 1"]);
    assert_eq!(config.slot.stream_params.len(), 2);
    let skipped = config.events.skipped;
    assert!(skipped.create && skipped.update && !skipped.truncate && skipped.explicit);
    assert_eq!(config.representation.unavailable_value, Placeholder { text: "JK".into(), bytes: b"JK".to_vec() });
    assert_eq!(config.tuning.poll_interval, Duration::from_secs(5));
    assert_eq!(config.tuning.retries_max, Some(3));
    assert_eq!((config.topics.transaction.as_str(), config.topics.heartbeat.as_str()), ("shop_transaction", "beat"));
    assert_eq!(config.publication.replica_identities[1].identity, ReplicaIdentity::Index("b_i".into()));
    assert_eq!(config.events.heartbeat_interval, Some(Duration::from_secs(600)));
}

#[test]
fn understands_older_spellings_with_a_warning() {
    let (config, warnings) = parse(&[("snapshot.mode", "schema_only"), ("table.whitelist", "public.a")]).unwrap();
    assert_eq!(config.snapshot.mode, SnapshotMode::NoData);
    assert!(config.filters.captures("public", "a").unwrap() && !config.filters.captures("public", "b").unwrap());
    assert_eq!(warnings.len(), 2);
}

#[test]
fn reports_every_error_once() {
    let errors = parse(&[("database.port", "x"), ("slot.name", "Bad"), ("table.include.list", "(")]).unwrap_err();
    let names: Vec<&str> = errors.0.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(names, ["database.port", "table.include.list", "slot.name"]);
}

#[test]
fn filters_as_the_original_does() {
    type Row = (&'static [(&'static str, &'static str)], &'static str, &'static str, bool);
    let table: &[Row] = &[
        (&[], "public", "a", true),
        (&[], "pg_catalog", "pg_class", false),
        (&[], "pg_temp_3", "x", false),
        (&[], "public", "spatial_ref_sys", false),
        (&[("table.ignore.builtin", "false")], "public", "spatial_ref_sys", true),
        (&[("table.include.list", "public.a")], "PUBLIC", "A", true),
        (&[("table.include.list", "public.a")], "public", "ab", false),
        (&[("table.include.list", "public\\.a.*, s.t")], "public", "ab", true),
        (&[("table.include.list", "")], "public", "a", true),
        (&[("table.exclude.list", "public.a")], "public", "a", false),
        (&[("table.exclude.list", "public.a")], "public", "b", true),
        (&[("schema.include.list", "inventory")], "public", "a", false),
        (&[("schema.exclude.list", "inv.*")], "inventory", "a", false),
        (&[("schema.include.list", "x"), ("signal.data.collection", "public.sig")], "public", "sig", true),
    ];
    for (options, schema, name, expected) in table {
        let filters = parsed(options).filters;
        assert_eq!(filters.captures(schema, name).unwrap(), *expected, "{options:?} {schema}.{name}");
    }
}

#[test]
fn finds_the_columns_of_custom_keys() {
    let key = parsed(&[("message.key.columns", "public.a:x,y; (.*).b:Z")]).key_columns;
    let columns = ["id", "y", "x", "z"];
    assert_eq!(key.of_table("public", "a", &columns).unwrap(), Some(vec![2, 1]));
    assert_eq!(key.of_table("s", "b", &columns).unwrap(), Some(vec![3]));
    assert_eq!(key.of_table("public", "c", &columns).unwrap(), None);
}
