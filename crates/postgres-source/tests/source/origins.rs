//! Replication origins: changes that a session replays for another server carry its name, in the stream and where a
//! transaction comes before it ends; `origin=none` leaves them out.

use std::time::{Duration, Instant};

use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Source, WAIT, lsn};

const AT: &str = "0/16B3748";

/// Makes the origin, and runs statements in one transaction as one that is replayed.
fn replayed(db: &TempDatabase, statements: &str) {
    let mut session = db.connect();
    let origin = db.slot("o");
    session
        .batch_execute(&format!(
            "select pg_replication_origin_create('{origin}') where pg_replication_origin_oid('{origin}') is null;
             select pg_replication_origin_session_setup('{origin}')"
        ))
        .expect("an origin");
    session
        .batch_execute(&format!(
            "begin; select pg_replication_origin_xact_setup('{AT}', '2026-01-02 03:04:05+00'); {statements}; commit"
        ))
        .expect("a transaction");
    session.batch_execute("select pg_replication_origin_session_reset()").expect("the origin let go");
}

/// Id, origin and its position of as many rows. What heals is begun anew, as by the worker.
fn rows(connector: &Connector, source: &mut Source, count: usize) -> Vec<(i64, Option<String>, Option<u64>)> {
    let mut rows = Vec::new();
    let end = Instant::now() + WAIT;
    while rows.len() < count {
        assert!(Instant::now() < end, "{} of {count} rows", rows.len());
        let step = match source.poll(Duration::from_millis(50)) {
            Ok(Some(step)) => step,
            Ok(None) => continue,
            Err(e) => {
                assert!(e.is_transient(), "{}", e.trace());
                // Its session would hold the slot.
                let before = std::mem::replace(source, connector.start(None));
                let offset = before.close();
                *source = connector.streaming(offset.as_ref());
                continue;
            }
        };
        for (event, change) in step.events.iter().zip(&source.batch().changes) {
            let transaction = &source.batch().transactions[change.transaction as usize];
            let origin = transaction.origin.as_deref().map(str::to_owned);
            rows.push((event.number("id"), origin, transaction.origin_lsn.map(|lsn| lsn.0)));
        }
    }
    rows
}

#[test]
fn changes_that_were_replayed_carry_their_origin_in_large_transactions_too() {
    const LARGE: i64 = 5000;
    let db = postgres(15).database();
    // The server would send the large one before it ends, and where it is from only afterwards.
    db.sql(&format!("alter database {} set logical_decoding_work_mem = '64kB'", db.name()));
    db.sql("create table t (id int primary key, v text)");
    let connector = Connector::new(&db, &[("snapshot.mode", "no_data")]);
    let mut source = connector.streaming(None);
    db.sql("insert into t values (1)");
    replayed(&db, "insert into t values (2); insert into t values (3)");
    db.sql("insert into t values (4)");
    let from = (Some(db.slot("o")), Some(lsn(AT)));
    let of = |id: i64, origin: &(Option<String>, Option<u64>)| (id, origin.0.clone(), origin.1);
    let none = (None, None);
    assert_eq!(rows(&connector, &mut source, 4), [of(1, &none), of(2, &from), of(3, &from), of(4, &none)]);
    replayed(&db, &format!("insert into t select g, repeat('x', 200) from generate_series(1001, {}) g", 1000 + LARGE));
    db.sql("insert into t values (5)");
    let got = rows(&connector, &mut source, LARGE as usize + 1);
    let wrong: Vec<_> = got.iter().filter(|row| row.0 > 1000 && (row.1 != from.0 || row.2 != from.1)).collect();
    assert!(wrong.is_empty(), "{:?} … ({})", wrong[0], wrong.len());
    assert_eq!(got.iter().filter(|row| row.0 > 1000).count() as i64, LARGE);
    assert_eq!(got.last(), Some(&of(5, &none)));
    forget(&db);
}

fn forget(db: &TempDatabase) {
    db.sql(&format!("select pg_replication_origin_drop('{}')", db.slot("o")));
}

#[test]
fn an_origin_that_is_not_asked_for_is_left_out() {
    let db = postgres(16).database();
    db.sql("create table t (id int primary key, v text)");
    let options = [("snapshot.mode", "no_data"), ("slot.stream.params", "origin=none")];
    let connector = Connector::new(&db, &options);
    let mut source = connector.streaming(None);
    replayed(&db, "insert into t values (1)");
    db.sql("insert into t values (2)");
    assert_eq!(rows(&connector, &mut source, 1), [(2, None, None)]);
    forget(&db);
}
