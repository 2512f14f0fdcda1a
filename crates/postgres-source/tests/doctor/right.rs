//! A server as the doctor wants it: nothing fails, nothing is warned of.

use walspring_doctor::Outcome::{Fail, Pass, Skip, Warn};
use walspring_testkit::{Certificates, Postgres};

use crate::support::{PASSWORD, check, config, report};

#[test]
fn nothing_is_wrong_with_what_is_right() {
    let certificates = Certificates::new("cdc");
    let server = Postgres::start(
        Postgres::builder(18)
            .durable(true)
            .hba("hostssl all cdc 127.0.0.1/32 scram-sha-256")
            .option("ssl", "on")
            .file("server.crt", certificates.server_certificate.clone())
            .file("server.key", certificates.server_key.clone())
            .option("max_slot_wal_keep_size", "10GB"),
    );
    let sql = |statement: &str| server.sql("postgres", statement);
    sql(&format!("create role cdc login replication password '{PASSWORD}' connection limit 20"));
    sql("grant pg_read_all_stats to cdc");
    sql("create table public.orders (id int primary key, what text not null)");
    sql("create table public.items (id int primary key); alter table public.items replica identity full");
    sql("create table public.signals (id varchar(42) primary key, type varchar(32) not null, data varchar(2048))");
    sql("create table public.beat (id int primary key)");
    sql("grant select on all tables in schema public to cdc; grant insert on public.signals, public.beat to cdc");
    sql("create publication shop for table public.orders, public.items, public.signals");
    sql("select pg_create_logical_replication_slot('shop', 'pgoutput')");
    let directory = tempfile::tempdir().expect("a directory");
    let authority = directory.path().join("ca.crt");
    std::fs::write(&authority, &certificates.ca).expect("a file");
    let config = config(
        &server,
        "cdc",
        &[
            ("database.hostname", "localhost"),
            ("database.sslmode", "verify-full"),
            ("database.sslrootcert", authority.to_str().expect("a path")),
            ("slot.name", "shop"),
            ("publication.name", "shop"),
            ("publication.autocreate.mode", "disabled"),
            ("table.include.list", r"public\.orders,public\.items"),
            ("signal.data.collection", "public.signals"),
            ("heartbeat.interval.ms", "1000"),
            ("heartbeat.action.query", "insert into public.beat values (1) on conflict do nothing"),
        ],
    );
    let found = report(&config);
    let wrong: Vec<_> = found.entries().iter().filter(|e| matches!(e.finding.outcome, Fail | Warn | Skip)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    check(
        &found,
        &[
            ("pg.tls", Pass, "encrypted"),
            ("pg.tls_verified", Pass, "verify-full"),
            ("pg.tls_certificate", Pass, "days"),
            ("pg.password_method", Pass, "SCRAM"),
            ("pg.replication_connection", Pass, ""),
            ("pg.role.select", Pass, "3 captured tables"),
            ("pg.publication.tables", Pass, ""),
            ("pg.slot.wal_status", Pass, ""),
            ("pg.slot.long_transactions", Pass, ""),
            ("pg.tables.identity", Pass, "3 published tables"),
            ("pg.tables.heartbeat", Pass, "can be run"),
            ("pg.limits.slot_wal_keep_size", Pass, "10 GiB"),
        ],
    );
    // It planned, and ran nothing; and nothing else was left behind.
    assert_eq!(server.value("postgres", "select count(*) from public.beat"), "0");
    assert_eq!(server.value("postgres", "select count(*) from pg_replication_slots"), "1");
    assert_eq!(server.value("postgres", "select count(*) from pg_publication"), "1");
}

/// What comes with 15 to 18 differs; none of it may be asked of a server that lacks it.
#[test]
fn every_version_can_be_asked() {
    for major in [14, 15, 16, 17, 18] {
        let database = walspring_testkit::postgres(major).database();
        database.sql("create table t (id int primary key); create publication p for table t");
        let slot = database.slot("s");
        database.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
        let more = [("database.dbname", database.name()), ("slot.name", &slot), ("publication.name", "p")];
        let found = report(&config(database.server(), "postgres", &more));
        check(
            &found,
            &[("pg.publication.tables", Pass, ""), ("pg.slot.plugin", Pass, ""), ("pg.tables.captured", Pass, "1 of")],
        );
        let skipped: Vec<_> = found.entries().iter().filter(|e| e.finding.outcome == Skip).collect();
        assert!(skipped.is_empty(), "{major}: {skipped:#?}");
    }
}
