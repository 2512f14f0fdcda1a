//! TimescaleDB's catalog, simulated: the extension is not to be had everywhere.

use std::sync::Arc;

use walspring_connect::{HypertableCatalog, RETRIABLE_EXCEPTION, TableName};
use walspring_postgres_source::TimescaleCatalog;
use walspring_testkit::{Postgres, Shutdown, TempDatabase, postgres};

fn options(db: &TempDatabase) -> Vec<(String, String)> {
    let port = db.server().port().to_string();
    let host = db.server().host();
    [("hostname", host), ("port", &port), ("user", "postgres"), ("password", "secret"), ("dbname", db.name())]
        .map(|(name, value)| (format!("database.{name}"), value.to_owned()))
        .into_iter()
        .chain([("schema.list".to_owned(), "_timescaledb_internal".to_owned())])
        .collect()
}

fn extension(db: &TempDatabase, version: &str, chunk_columns: &str) {
    db.sql(&format!(
        "set allow_system_table_mods = on;
         insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
         values (1, 'timescaledb', 10, 2200, false, '{version}');
         create schema _timescaledb_catalog;
         create schema _timescaledb_internal;
         create table _timescaledb_internal.chunk_1 (v int);
         create table _timescaledb_catalog.hypertable (id int, schema_name name, table_name name);
         create table _timescaledb_catalog.chunk (id int, hypertable_id int, {chunk_columns});
         create table _timescaledb_catalog.continuous_agg
           (mat_hypertable_id int, raw_hypertable_id int, user_view_schema name, user_view_name name);
         insert into _timescaledb_catalog.hypertable values (7, 'public', 'metrics');
         insert into _timescaledb_catalog.continuous_agg values (7, 1, 'public', 'daily')",
    ));
}

#[test]
fn the_catalog_of_older_and_newer_versions() {
    for (version, columns, chunk) in [
        ("2.17.2", "schema_name name, table_name name", "'_timescaledb_internal', 'chunk_1'"),
        ("2.29.0", "relid oid", "'_timescaledb_internal.chunk_1'::regclass"),
    ] {
        let db = postgres(15).database();
        extension(&db, version, columns);
        let mut catalog = TimescaleCatalog::open(&options(&db)).unwrap();
        assert!(catalog.read().unwrap().chunks.is_empty());
        db.sql(&format!("insert into _timescaledb_catalog.chunk values (1, 7, {chunk})"));
        let metrics = TableName::new("public", "metrics");
        let read = catalog.read().unwrap();
        assert_eq!(read.chunks, [(TableName::new("_timescaledb_internal", "chunk_1"), metrics.clone())]);
        assert_eq!(read.numbers, [(7, metrics.clone())]);
        assert_eq!(read.aggregates, [(metrics, TableName::new("public", "daily"))]);
        // A lost connection is opened again.
        db.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walspring' and datname = current_database()");
        assert_eq!(catalog.read().unwrap(), read);
        // What is definite says the server's words.
        db.sql("drop table _timescaledb_catalog.continuous_agg");
        let error = catalog.read().unwrap_err();
        assert!(error.message.contains("continuous_agg\" does not exist"), "{error}");
    }
}

#[test]
fn without_the_extension_it_is_refused_and_a_server_that_is_away_is_waited_for() {
    let server = Arc::new(Postgres::start(Postgres::builder(15)));
    let db = server.database();
    let refused = TimescaleCatalog::open(&options(&db)).err().unwrap();
    assert!(refused.message.starts_with("io.debezium.DebeziumException: TimescaleDB extension is not installed"));
    extension(&db, "2.17.2", "schema_name name, table_name name");
    server.server().stop(Shutdown::Fast);
    let mut catalog = TimescaleCatalog::open(&options(&db)).unwrap();
    assert_eq!(catalog.read().unwrap_err().class, RETRIABLE_EXCEPTION);
    server.server().restart(Shutdown::Fast).unwrap();
    assert_eq!(catalog.read().unwrap().numbers.len(), 1);
    let nothing = TimescaleCatalog::open(&[]).err().unwrap();
    assert!(nothing.message.contains("database.hostname"), "{nothing}");
}
