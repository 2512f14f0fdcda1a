//! Encrypted connections, passwords, client certificates, and several addresses.

use walspring_connect::SinkPlugin;
use walspring_postgres_sink::PostgresSinkPlugin;
use walspring_testkit::{Certificates, Postgres, free_port};

use crate::support::*;

fn check(server: &Postgres, user: &str, host: &str, more: &str) -> Result<(), String> {
    let url = format!("jdbc:postgresql://{host}:{}/postgres?user={user}&password=p%26q{more}", server.port());
    let config: Vec<(String, String)> = [("connection.url", &*url), ("walspring.sink.origin", "none")]
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    match PostgresSinkPlugin::new().check(&config).pop() {
        None => Ok(()),
        Some((name, error)) => Err(format!("{name}: {error}")),
    }
}

#[test]
fn sslmode_means_what_it_means_to_libpq() {
    let certificates = Certificates::new("certified");
    let server = Postgres::start(
        Postgres::builder(15)
            .option("ssl", "on")
            .option("ssl_ca_file", "ca.crt")
            .file("server.crt", certificates.server_certificate.clone())
            .file("server.key", certificates.server_key.clone())
            .file("ca.crt", certificates.ca.clone())
            .hba("hostssl all scram 127.0.0.0/8 scram-sha-256")
            .hba("host all scram 127.0.0.0/8 reject")
            .hba("hostssl all certified 127.0.0.0/8 cert"),
    );
    server.sql("postgres", "create role scram login password 'p&q'; create role certified login");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let ca = file("ca", &certificates.ca);
    let stranger = file("stranger", &Certificates::new("x").ca);
    let (cert, key) = (file("cert", &certificates.client_certificate), file("key", &certificates.client_key));
    let check = |user: &str, host: &str, more: &str| check(&server, user, host, more);

    assert_eq!(check("scram", "127.0.0.1", ""), Ok(()), "prefer is what holds by default");
    assert_eq!(check("scram", "127.0.0.1", "&sslmode=require"), Ok(()));
    assert_eq!(check("scram", "localhost", &format!("&sslmode=verify-full&sslrootcert={ca}")), Ok(()));
    assert_eq!(check("scram", "127.0.0.1", &format!("&ssl=true&sslrootcert={ca}")), Ok(()));
    assert!(check("scram", "127.0.0.1", "&sslmode=disable").unwrap_err().contains("28000"));
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = check("scram", "127.0.0.1", &format!("&sslmode={mode}&sslrootcert={stranger}")).unwrap_err();
        assert!(error.contains("certificate") && error.contains("sslrootcert"), "{error}");
    }
    let wrong = check("scram", "127.0.0.1", "&password=wrong").unwrap_err();
    assert!(wrong.contains("connection.password") && !wrong.contains("wrong"), "{wrong}");
    assert!(check("certified", "127.0.0.1", "").is_err());
    assert_eq!(check("certified", "127.0.0.1", &format!("&sslcert={cert}&sslkey={key}")), Ok(()));
    assert!(check("certified", "127.0.0.1", &format!("&sslcert={cert}")).unwrap_err().contains("sslkey"));
}

#[test]
fn of_several_addresses_the_one_that_takes_writes_is_used() {
    let db = database();
    db.sql("create table t (id int primary key)");
    let server = db.server();
    let url = format!(
        "jdbc:postgresql://127.0.0.1:{},{}:{}/{}?user=postgres&targetServerType=primary",
        free_port(),
        server.host(),
        server.port(),
        db.name()
    );
    let mut task = start(&db, &[("connection.url", &url)]);
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#)]));
    assert_eq!(rows(&db, "select * from t"), ["1"]);
}

#[test]
fn validation_says_what_is_wrong() {
    let check = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        PostgresSinkPlugin::new().check(&pairs)
    };
    let url = format!("jdbc:postgresql://127.0.0.1:{}/x?user=u&connectTimeout=2", free_port());
    let errors = check(&[("connection.url", &url)]);
    assert!(errors[0].0 == "connection.url" && errors[0].1.contains("cannot be reached"), "{errors:?}");
    let errors = check(&[("connection.url", "jdbc:mariadb://h/x")]);
    assert!(errors[0].1.contains("MariaDB is not supported"), "{errors:?}");
    let errors = check(&[("connection.url", "jdbc:postgresql://h/x"), ("insert.mode", "upsert")]);
    let names: Vec<&str> = errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["connection.username", "primary.key.mode"]);
}
