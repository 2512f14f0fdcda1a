//! Time limits that somebody has set for the role: none of them ends a session of ours, however long it is held up.

use std::time::{Duration, Instant};

use walspring_testkit::postgres;

use crate::support::{Connector, WAIT};

/// The server's limit for everything.
const LIMIT: &str = "1s";
/// How long nobody reads.
const HELD: Duration = Duration::from_millis(2200);

#[test]
fn no_time_limit_of_the_role_ends_a_snapshot_that_is_held_up_or_the_stream_behind_it() {
    // 17 has transaction_timeout.
    let db = postgres(17).database();
    let role = format!("{}_limited", db.name());
    db.sql(&format!("create role {role} login replication superuser"));
    for setting in [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    ] {
        db.sql(&format!("alter role {role} in database {} set {setting} = '{LIMIT}'", db.name()));
        db.sql(&format!("alter role {role} set {setting} = '{LIMIT}'"));
    }
    // More than the channel and the socket's buffers take: the reader has to wait for us, in the midst of the table.
    const ROWS: usize = 16_000;
    db.sql(&format!(
        "create table a (id int primary key, v text); create table b (id int primary key);
         insert into a select g, repeat('x', 1000) from generate_series(1, {ROWS}) g; insert into b values (1)"
    ));
    let mut connector = Connector::new(&db, &[("snapshot.max.threads", "1")]);
    connector.set("database.user", &role);
    let mut source = connector.start(None);
    let mut rows = Vec::new();
    source.until("the first rows", |step| {
        rows.extend(step.events.iter().cloned());
        !rows.is_empty()
    });
    // The next table is held, too.
    let mut lock = db.connect();
    lock.batch_execute("begin; lock table b in access exclusive mode").unwrap();
    std::thread::sleep(HELD);
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let end = Instant::now() + WAIT;
    while db.value(waits) == "0" {
        assert!(Instant::now() < end, "the next table is not begun: {} rows", rows.len());
        rows.extend(source.poll(Duration::from_millis(10)).expect("no error").into_iter().flat_map(|step| step.events));
    }
    std::thread::sleep(HELD);
    lock.batch_execute("rollback").unwrap();
    rows.extend(source.read_snapshot());
    assert_eq!(rows.len(), ROWS + 1);

    // The stream has sessions that are not used for long: that of the catalog is asked for a table that is new.
    db.sql("insert into b values (2)");
    assert_eq!(source.take(1)[0].number("id"), 2);
    std::thread::sleep(HELD);
    db.sql("create table c (id int primary key); insert into c values (3)");
    assert_eq!(source.take(1)[0].number("id"), 3);
    source.close();
    drop(lock);
    db.sql(&format!("drop owned by {role}"));
}
