//! Passwords and certificates that are changed under a running connection: it goes on, and the next one needs the new ones.

use walspring_postgres_source::wire::{ConnectConfig, Connection, Pem, PgError, Secret, SslMode};
use walspring_testkit::Certificates;

use crate::support::secured;

#[test]
fn a_password_that_is_changed_ends_no_session_and_the_next_one_needs_the_new_one() {
    let secured = secured();
    let mut config = secured.config("rotated_user", SslMode::Disable);
    let mut session = Connection::connect(&config).expect("a session");
    let mut walsender =
        Connection::connect(&ConnectConfig { replication: true, ..config.clone() }).expect("a walsender");
    secured.server.sql("postgres", "alter role rotated_user password 'next'");
    session.query_one("select 1").expect("it goes on");
    walsender.query_one("IDENTIFY_SYSTEM").expect("it goes on");
    let refused = Connection::connect(&config).expect_err("the old one");
    assert!(refused.code() == Some("28P01") && !refused.is_transient(), "{refused}");
    config.password = Some(Secret::new("next"));
    Connection::connect(&config).expect("a session by the new one");
    // Valid until yesterday reads like a wrong one.
    secured.server.sql("postgres", "alter role rotated_user valid until '2020-01-01'");
    let refused = Connection::connect(&config).expect_err("it has run out");
    assert_eq!(refused.code(), Some("28P01"), "{refused}");
    session.query_one("select 1").expect("it goes on");
}

#[test]
fn certificates_are_read_from_their_files_at_each_connect() {
    let secured = secured();
    let other = Certificates::new("cert_user");
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let write = |of: &Certificates, ca: &Certificates| {
        std::fs::write(file("client.crt"), &of.client_certificate).expect("a file");
        std::fs::write(file("client.key"), &of.client_key).expect("a file");
        std::fs::write(file("ca.crt"), &ca.ca).expect("a file");
    };
    let mut config = secured.config("cert_user", SslMode::VerifyCa);
    config.password = None;
    config.ssl.client_cert = Some(Pem::Path(file("client.crt")));
    config.ssl.client_key = Some(Pem::Path(file("client.key")));
    config.ssl.root_cert = Some(Pem::Path(file("ca.crt")));
    let own = &secured.certificates;
    write(own, own);
    let mut session = Connection::connect(&config).expect("a session");
    // Another authority's: the server does not know who we are, or we do not know the server.
    write(&other, own);
    Connection::connect(&config).expect_err("a certificate of another authority");
    write(own, &other);
    assert!(matches!(Connection::connect(&config), Err(PgError::Tls(_))));
    session.query_one("select 1").expect("it goes on");
    write(own, own);
    Connection::connect(&config).expect("a session by what is there now");
}
