//! What stops a task for good says which SQL or setting mends it; what heals is transient, and nothing is lost over it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use walspring_connect::TaskError;
use walspring_testkit::{Postgres, Shutdown, TempDatabase, postgres};

use crate::support::Connector;

fn database() -> TempDatabase {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    db
}

#[track_caller]
fn definite(error: &TaskError, words: &[&str]) {
    let text = error.trace();
    assert!(!error.is_transient(), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
}

#[test]
fn wal_level_replica() {
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("wal_level", "replica")));
    let db = server.database();
    let error = Connector::new(&db, &[]).refusal(None);
    definite(&error, &["wal_level", "ALTER SYSTEM SET wal_level = 'logical'", "restart"]);
}

#[test]
fn a_role_without_replication_and_one_without_select() {
    let db = database();
    let (blind, bound) = (format!("{}_blind", db.name()), format!("{}_bound", db.name()));
    db.sql(&format!(
        "create role {blind} login replication; create role {bound} login; create publication p for table a"
    ));
    let mut connector = Connector::new(&db, &[("publication.autocreate.mode", "disabled")]);
    connector.set("database.user", &bound);
    definite(&connector.refusal(None), &["REPLICATION", "ALTER ROLE"]);
    connector.set("database.user", &blind);
    definite(&connector.refusal(None), &["permission denied for table a", "GRANT SELECT ON public.a"]);
    // Making a publication is not a right that replication brings.
    connector.set("publication.name", "q");
    connector.set("publication.autocreate.mode", "filtered");
    definite(&connector.refusal(None), &["CREATE PUBLICATION \"q\" FOR TABLE \"public\".\"a\"", "disabled"]);
    let slot = db.slot("s");
    db.wait_unread(&slot);
    db.sql(&format!("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{slot}'"));
    db.sql(&format!("drop role {blind}; drop role {bound}"));
}

#[test]
fn a_database_that_is_not_there() {
    let db = database();
    let mut connector = Connector::new(&db, &[]);
    connector.set("database.dbname", "no_such_database");
    definite(&connector.refusal(None), &["no_such_database", "does not exist"]);
}

#[test]
fn a_server_that_is_too_old() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("a startup message");
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body).expect("a startup message");
        let status = b"S\0\0\0\x19server_version\x0012.22\0";
        let ready = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";
        stream.write_all(&ready[..9]).and_then(|()| stream.write_all(status)).expect("room");
        stream.write_all(&ready[9..]).expect("room");
        let _ = stream.read(&mut [0; 64]);
    });
    let db = database();
    let mut connector = Connector::new(&db, &[("database.sslmode", "disable")]);
    connector.set("database.port", &port.to_string());
    definite(&connector.refusal(None), &["PostgreSQL 12 is not supported", "14"]);
}

#[test]
fn slots_that_are_not_ours_to_read() {
    let db = database();
    let slot = db.slot("s");
    db.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'test_decoding')"));
    definite(&Connector::new(&db, &[]).refusal(None), &["test_decoding", "slot.name", "pg_drop_replication_slot"]);
    db.drop_slot(&slot);
    db.sql(&format!("select pg_create_physical_replication_slot('{slot}')"));
    definite(&Connector::new(&db, &[]).refusal(None), &["physical", "slot.name"]);
    db.drop_slot(&slot);
    let other = db.server().database();
    other.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    definite(&Connector::new(&db, &[]).refusal(None), &["belongs to the database", other.name(), "slot.name"]);
}

#[test]
fn a_publication_that_nobody_makes_and_one_that_came_after_the_slot() {
    let db = database();
    let mut connector =
        Connector::new(&db, &[("publication.autocreate.mode", "disabled"), ("snapshot.mode", "no_data")]);
    definite(&connector.refusal(None), &["CREATE PUBLICATION \"p\" FOR TABLE", "disabled"]);
    connector.set("publication.autocreate.mode", "filtered");
    db.sql(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')", db.slot("s")));
    db.sql("insert into a values (1)");
    definite(&connector.refusal(None), &["\"p\" does not exist", "pg_replication_slot_advance"]);
}

#[test]
fn a_slot_that_is_gone() {
    let db = database();
    let mut connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    let offset = source.close();
    db.drop_slot(&db.slot("s"));
    definite(&connector.refusal(offset.as_ref()), &["no longer available", "when_needed", "offset"]);
    connector.set("snapshot.mode", "when_needed");
    let mut source = connector.start(offset.as_ref());
    assert_eq!(source.read_snapshot().len(), 1);
}

#[test]
fn a_walsender_that_is_ended_and_a_server_that_crashes() {
    let server = Arc::new(Postgres::start(Postgres::builder(15)));
    let db = server.database();
    db.sql("create table a (id int primary key)");
    let connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    source.read_snapshot();
    let mut sent = 0;
    let faults: [&dyn Fn(); 3] = [
        &|| {
            drop(
                server
                    .sql("postgres", "select pg_terminate_backend(active_pid) from pg_replication_slots where active"),
            )
        },
        &|| server.server().restart(Shutdown::Immediate).expect("a restart"),
        &|| server.server().kill(),
    ];
    for fault in faults {
        db.sql(&format!("insert into a select generate_series({}, {})", sent + 1, sent + 10));
        let mut ids: Vec<i64> = Vec::new();
        let ids_of = |events: &[crate::support::Event]| events.iter().map(|e| e.number("id")).collect::<Vec<_>>();
        ids.extend(ids_of(&source.take(10)));
        let offset = source.offset.clone();
        fault();
        let error = loop {
            match source.poll(Duration::from_millis(100)) {
                Ok(step) => assert!(step.is_none_or(|s| s.events.is_empty())),
                Err(e) => break e,
            }
        };
        assert!(error.is_transient(), "{}", error.trace());
        if !server.server().is_running() {
            assert!(connector.refusal(offset.as_ref()).is_transient());
            server.server().start().expect("a start");
        }
        source = connector.streaming(offset.as_ref());
        sent += 10;
        assert!(ids.iter().copied().eq(sent - 9..=sent));
    }
    db.sql("insert into a values (1000)");
    assert_eq!(source.take(1)[0].number("id"), 1000);
}
