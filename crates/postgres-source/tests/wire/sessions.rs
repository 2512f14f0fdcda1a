//! Getting in, and being turned away.

use crate::support::{config, connect, database, secured};
use std::time::{Duration, Instant};
use walspring_postgres_source::wire::{ConnectConfig, Connection, PgError, Secret, SslMode, TargetSession};
use walspring_testkit::Postgres;

fn refused(config: &ConnectConfig) -> PgError {
    Connection::connect(config).expect_err("a refusal")
}

#[test]
fn trust_lets_us_in_and_the_server_introduces_itself() {
    let db = database();
    let mut connection = connect(&db);
    assert_eq!(connection.parameter("server_encoding"), Some("UTF8"));
    assert_eq!(connection.parameter("client_encoding"), Some("UTF8"));
    assert_eq!(connection.parameter("application_name"), Some("walspring"));
    assert_eq!(connection.server_version_num() / 10_000, 15);
    let row = connection.query_one("select pg_backend_pid(), current_setting('server_version_num')").expect("a row");
    assert_eq!(row.get(0), Some(&connection.backend_pid().to_string()[..]));
    assert_eq!(row.get(1), Some(&connection.server_version_num().to_string()[..]));
}

#[test]
fn startup_parameters_are_settings() {
    let db = database();
    let mut config = config(&db);
    config.options.push(("search_path".to_owned(), String::new()));
    config.options.push(("options".to_owned(), "-c statement_timeout=1234ms".to_owned()));
    let mut connection = Connection::connect(&config).expect("a connection");
    let row = connection
        .query_one("select current_setting('search_path') as a, current_setting('statement_timeout') as b")
        .expect("a row");
    assert_eq!((row.get("a"), row.get("b")), (Some(""), Some("1234ms")));
}

#[test]
fn every_password_method_works() {
    let secured = secured();
    for user in ["scram_user", "md5_user", "plain_user"] {
        for mode in [SslMode::Disable, SslMode::Prefer] {
            let mut connection = Connection::connect(&secured.config(user, mode)).expect(user);
            let row = connection.query_one("select current_user").expect("a row");
            assert_eq!(row.get(0), Some(user));
            assert_eq!(connection.is_encrypted(), mode == SslMode::Prefer);
        }
    }
}

#[test]
fn a_wrong_password_reads_as_postgresql_says_it() {
    let secured = secured();
    for user in ["scram_user", "md5_user", "plain_user"] {
        let mut config = secured.config(user, SslMode::Prefer);
        config.password = Some(Secret::new("wrong"));
        let error = refused(&config);
        assert!(!error.is_transient());
        assert_eq!(error.code(), Some("28P01"));
        let expected = format!("FATAL: password authentication failed for user \"{user}\" (SQLSTATE 28P01)");
        assert_eq!(error.to_string(), expected);
        config.password = None;
        let error = refused(&config);
        assert!(matches!(error, PgError::Auth(_)), "{error}");
        assert!(error.to_string().contains("none is configured"), "{error}");
    }
}

#[test]
fn a_missing_database_is_definite() {
    let db = database();
    let error = refused(&ConnectConfig { dbname: "nowhere".to_owned(), ..config(&db) });
    assert_eq!(error.code(), Some("3D000"));
    assert!(!error.is_transient());
}

#[test]
fn a_refused_connection_is_transient_and_names_the_address() {
    let port = walspring_testkit::free_port();
    let error = refused(&ConnectConfig::new("127.0.0.1", port, "u", "d"));
    assert!(error.is_transient());
    let expected = format!("connection to server at \"127.0.0.1\" (127.0.0.1, port {port}) failed: Connection refused");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn an_unknown_host_is_transient() {
    let error = refused(&ConnectConfig::new("no-such-host.invalid", 5432, "u", "d"));
    assert!(error.is_transient());
    assert!(error.to_string().starts_with("could not translate host name \"no-such-host.invalid\""), "{error}");
}

#[test]
fn the_next_host_is_tried_when_one_is_down() {
    let db = database();
    let mut config = config(&db);
    config.hosts.insert(0, ("127.0.0.1".to_owned(), walspring_testkit::free_port()));
    config.hosts.insert(0, ("no-such-host.invalid".to_owned(), 5432));
    assert!(Connection::connect(&config).is_ok());
}

#[test]
fn a_silent_server_does_not_hold_us() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let mut config = ConnectConfig::new("127.0.0.1", port, "u", "d");
    config.connect_timeout = Some(Duration::from_millis(200));
    for mode in [SslMode::Disable, SslMode::Require] {
        config.ssl.mode = mode;
        let start = Instant::now();
        let error = refused(&config);
        assert!(error.is_transient(), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn a_unix_socket_is_a_host() {
    use std::os::unix::fs::PermissionsExt;
    // The server may run as another user, and a socket's path must be short.
    let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let path = directory.path().to_str().expect("a plain path");
    let server =
        Postgres::start(Postgres::builder(15).option("unix_socket_directories", path).hba("local all all trust"));
    let mut config = ConnectConfig::new(path, server.port(), "postgres", "postgres");
    config.ssl.mode = SslMode::VerifyFull;
    let mut connection = Connection::connect(&config).expect("a connection");
    assert!(!connection.is_encrypted());
    assert_eq!(connection.query_one("select inet_client_addr()").expect("a row").get(0), None);
    config.hosts[0].1 = 1;
    let error = refused(&config);
    assert!(error.is_transient() && error.to_string().contains("/.s.PGSQL.1"), "{error}");
}

#[test]
fn a_server_that_starts_up_or_is_full_is_transient() {
    let secured = secured();
    secured.server.sql("postgres", "create role narrow login connection limit 0");
    let error = refused(&secured.config("narrow", SslMode::Prefer));
    assert_eq!(error.code(), Some("53300"));
    assert!(error.is_transient());
}

#[test]
fn a_server_of_the_wrong_role_is_passed_over() {
    let db = database();
    for (target, read_only, fits) in [
        (TargetSession::Any, true, true),
        (TargetSession::ReadWrite, false, true),
        (TargetSession::ReadWrite, true, false),
        (TargetSession::ReadOnly, true, true),
        (TargetSession::ReadOnly, false, false),
        (TargetSession::Primary, true, true),
        (TargetSession::Standby, true, false),
    ] {
        let mut config = config(&db);
        config.target_session = target;
        config.replication = true;
        config
            .options
            .push(("default_transaction_read_only".to_owned(), if read_only { "on" } else { "off" }.to_owned()));
        match Connection::connect(&config) {
            Ok(_) => assert!(fits, "{target:?}"),
            Err(error) => assert!(!fits && error.is_transient(), "{target:?}: {error}"),
        }
    }
}
