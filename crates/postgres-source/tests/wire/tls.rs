//! Each sslmode, as libpq means it; channel binding; client certificates.

use crate::support::secured;
use walspring_postgres_source::wire::{ChannelBinding, ConnectConfig, Connection, Pem, PgError, Secret, SslMode};
use walspring_testkit::{Certificates, Postgres};

fn encrypted(config: &ConnectConfig) -> Result<bool, PgError> {
    let mut connection = Connection::connect(config)?;
    let row = connection.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()")?;
    assert_eq!(row.get(0) == Some("t"), connection.is_encrypted());
    Ok(connection.is_encrypted())
}

fn tls_error(config: &ConnectConfig) -> String {
    match Connection::connect(config) {
        Err(PgError::Tls(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_mode_decides() {
    let secured = secured();
    for (mode, expected) in [
        (SslMode::Disable, false),
        (SslMode::Allow, false),
        (SslMode::Prefer, true),
        (SslMode::Require, true),
        (SslMode::VerifyCa, true),
        (SslMode::VerifyFull, true),
    ] {
        let mut config = secured.config("scram_user", mode);
        config.ssl.root_cert = Some(Pem::Bytes(secured.certificates.ca.clone().into_bytes()));
        assert_eq!(encrypted(&config).expect("a connection"), expected, "{mode:?}");
    }
}

#[test]
fn allow_and_prefer_follow_pg_hba() {
    let secured = secured();
    assert!(encrypted(&secured.config("ssl_only", SslMode::Allow)).expect("a connection"));
    assert!(encrypted(&secured.config("ssl_only", SslMode::Prefer)).expect("a connection"));
    assert!(!encrypted(&secured.config("plain_only", SslMode::Allow)).expect("a connection"));
    assert!(!encrypted(&secured.config("plain_only", SslMode::Prefer)).expect("a connection"));
    for (user, mode) in [("ssl_only", SslMode::Disable), ("plain_only", SslMode::Require)] {
        let error = Connection::connect(&secured.config(user, mode)).expect_err("pg_hba.conf rejects it");
        assert_eq!(error.code(), Some("28000"), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn a_server_without_tls() {
    let db = crate::support::database();
    let mut config = crate::support::config(&db);
    for mode in [SslMode::Disable, SslMode::Allow, SslMode::Prefer] {
        config.ssl.mode = mode;
        assert!(!encrypted(&config).expect("a connection"));
    }
    for mode in [SslMode::Require, SslMode::VerifyFull] {
        config.ssl.mode = mode;
        config.ssl.root_cert = None;
        assert_eq!(tls_error(&config), "The server does not support SSL.");
    }
}

#[test]
fn an_unknown_authority_is_refused_and_require_does_not_ask() {
    let secured = secured();
    let stranger = Certificates::new("x").ca.into_bytes();
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        let mut config = secured.config("scram_user", mode);
        config.ssl.root_cert = Some(Pem::Bytes(stranger.clone()));
        let reason = tls_error(&config);
        assert!(reason.contains("invalid peer certificate"), "{reason}");
    }
    let mut config = secured.config("scram_user", SslMode::VerifyFull);
    // The system's authorities do not know it, or there are none on this machine.
    tls_error(&config);
    config.ssl.mode = SslMode::Require;
    assert!(encrypted(&config).expect("a connection"));
}

#[test]
fn only_verify_full_looks_at_the_name() {
    let secured = secured();
    let mut config = secured.config("scram_user", SslMode::VerifyFull);
    config.ssl.root_cert = Some(Pem::Bytes(secured.certificates.ca.clone().into_bytes()));
    config.hosts[0].0 = "localhost".to_owned();
    assert!(encrypted(&config).expect("the certificate names localhost"));
    // Linux answers on all of 127/8; the certificate names 127.0.0.1 only.
    let own = own_server("127.0.0.2", &secured.certificates);
    config.hosts = vec![("127.0.0.2".to_owned(), own.port())];
    config.user = "postgres".to_owned();
    let reason = tls_error(&config);
    assert!(reason.contains("not valid for name"), "{reason}");
    config.ssl.mode = SslMode::VerifyCa;
    assert!(encrypted(&config).expect("a connection"));
}

/// A server that listens on one more address.
fn own_server(address: &str, certificates: &Certificates) -> Postgres {
    let builder = Postgres::builder(15)
        .option("listen_addresses", format!("127.0.0.1,{address}"))
        .option("ssl", "on")
        .file("server.crt", certificates.server_certificate.clone())
        .file("server.key", certificates.server_key.clone())
        .hba("host all all 127.0.0.0/8 trust");
    Postgres::start(builder)
}

#[test]
fn a_self_signed_certificate_is_its_own_authority() {
    // As PostgreSQL's manual makes one: an authority's flag, a common name, no alternative names.
    let directory = tempfile::tempdir().expect("a directory");
    let (key, certificate) = (directory.path().join("k"), directory.path().join("c"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path| std::fs::read(path).expect("a file of openssl's");
    let builder =
        Postgres::builder(15).option("ssl", "on").file("server.crt", read(&certificate)).file("server.key", read(&key));
    let server = Postgres::start(builder);
    let mut config = ConnectConfig::new("localhost", server.port(), "postgres", "postgres");
    config.ssl.mode = SslMode::VerifyFull;
    config.ssl.root_cert = Some(Pem::Path(certificate));
    assert!(encrypted(&config).expect("verify-full by common name"));
    config.hosts[0].0 = "127.0.0.1".to_owned();
    assert!(tls_error(&config).contains("not valid for name"));
    config.ssl.mode = SslMode::VerifyCa;
    assert!(encrypted(&config).expect("verify-ca"));
}

#[test]
fn scram_is_bound_to_the_channel_where_it_can_be() {
    let secured = secured();
    let mut config = secured.config("scram_user", SslMode::Require);
    config.ssl.channel_binding = ChannelBinding::Require;
    assert!(encrypted(&config).expect("bound"));
    config.ssl.channel_binding = ChannelBinding::Disable;
    assert!(encrypted(&config).expect("not bound"));
    config.ssl.channel_binding = ChannelBinding::Require;
    for user in ["md5_user", "plain_user", "ssl_only"] {
        config.user = user.to_owned();
        match Connection::connect(&config) {
            Err(PgError::Auth(reason)) => assert!(reason.starts_with("channel binding is required"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    config.user = "scram_user".to_owned();
    config.ssl.mode = SslMode::Disable;
    assert!(matches!(Connection::connect(&config), Err(PgError::Auth(_))));
}

#[test]
fn a_client_certificate_stands_for_a_password() {
    let secured = secured();
    let mut config = secured.config("cert_user", SslMode::Require);
    config.password = None;
    assert!(Connection::connect(&config).is_err());
    config.ssl.client_cert = Some(Pem::Bytes(secured.certificates.client_certificate.clone().into_bytes()));
    assert!(tls_error(&config).contains("needs its key"));
    config.ssl.client_key = Some(Pem::Bytes(secured.certificates.client_key.clone().into_bytes()));
    assert!(encrypted(&config).expect("a connection"));
}

#[test]
fn client_keys_may_be_encrypted_or_der() {
    let secured = secured();
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("key.pem");
    std::fs::write(&key, &secured.certificates.client_key).expect("a file");
    let convert = |name: &str, args: &[&str]| {
        let out = directory.path().join(name);
        let made = std::process::Command::new("openssl")
            .args(["pkcs8", "-topk8", "-in"])
            .arg(&key)
            .arg("-out")
            .arg(&out)
            .args(args)
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        out
    };
    let mut config = secured.config("cert_user", SslMode::Require);
    config.ssl.client_cert = Some(Pem::Bytes(secured.certificates.client_certificate.clone().into_bytes()));
    for (name, args) in [
        ("plain.pem", &["-nocrypt"][..]),
        ("plain.der", &["-nocrypt", "-outform", "DER"]),
        ("locked.pem", &["-passout", "pass:hush"]),
        ("locked.der", &["-passout", "pass:hush", "-outform", "DER"]),
    ] {
        config.ssl.client_key = Some(Pem::Path(convert(name, args)));
        config.ssl.key_password = Some(Secret::new("hush"));
        assert!(encrypted(&config).expect(name));
        if name.starts_with("locked") {
            config.ssl.key_password = Some(Secret::new("loud"));
            assert!(tls_error(&config).contains("cannot be decrypted with the password given"));
            config.ssl.key_password = None;
            assert!(tls_error(&config).contains("it is encrypted, and no password is given"));
        }
    }
    config.ssl.client_key = Some(Pem::Path("/nowhere/key".into()));
    assert!(tls_error(&config).contains("could not read the client key \"/nowhere/key\""));
}
