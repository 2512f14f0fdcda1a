//! One transaction of PostgreSQL that is several of Kafka's, or many requests: what is written of it may be its beginning, and
//! a worker that ends in the midst goes on behind that, or behind the offset that it has stored.

use std::sync::Arc;

use serde_json::Value;
use walspring_faults::rig::{Delivery, PATIENCE, Rig, Setup};
use walspring_testkit::{Postgres, kafka, postgres, wait_for};

use crate::{assert_good, program};

const ROWS: usize = 3000;

/// At the end of a transaction of Kafka's, behind it, in the midst of one, and before anything of one was sent.
const PLACES: [&str; 4] = ["kafka.commit:4", "kafka.committed:3", "kafka.produced:9", "task.submitted:5"];

/// A transaction of many rows.
fn write_rows(rig: &Rig) {
    rig.db.sql(&format!(
        "with p as (insert into plain select nextval('keys'), 1, repeat('p', 100) from generate_series(1, {ROWS}) \
                    returning pk, seq, pad) \
         insert into ledger (tbl, op, pk, seq, sum) select 'plain', 'c', pk, seq, md5(pk || ':' || seq || ':' || pad) from p"
    ));
}

#[test]
fn a_transaction_larger_than_kafkas_comes_once_wherever_its_worker_ends() {
    let little = || Arc::new(Postgres::start(Postgres::builder(15).option("logical_decoding_work_mem", "64kB")));
    // With the first one the server sends it before it ends, with the other it keeps it.
    for (streaming, server) in [("true", little()), ("false", postgres(18))] {
        let mut setup = Setup::new(program(), &server);
        setup.bootstrap = Some(kafka().bootstrap());
        setup.delivery = Delivery::ExactlyOnce;
        let connector = [("snapshot.mode", "no_data"), ("walspring.streaming", streaming)];
        setup.connector = &connector;
        setup.environment = &[("WALSPRING_LIMIT", "batch_changes:50,transaction_bytes:60000")];
        let mut rig = setup.rig();
        let first = rig.start();
        rig.wait_streaming();
        drop(first);
        write_rows(&rig);
        let mut read = Vec::new();
        for place in PLACES {
            let mut worker = rig.start_to(Some(place));
            assert!(worker.wait(PATIENCE).is_some(), "{place} was not passed:\n{}", rig.program.log());
            assert_eq!(rig.confirmed_too_much(), None, "after {place}");
            read.push(rig.topics[0].read());
        }
        // A part of it each time, and more than before where something was committed.
        assert!(read[0] > 0 && read[1] > read[0] && read[3] < ROWS, "{read:?} of {ROWS}, streaming {streaming}");
        let _worker = rig.start();
        assert_good(&mut rig, PLACES.len());
        assert!(rig.topics[0].read() > ROWS);
    }
}

#[test]
fn at_least_once_a_transaction_larger_than_requests_repeats_only_what_is_behind_the_stored_offset() {
    let server = postgres(18);
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = Some(kafka().bootstrap());
    setup.delivery = Delivery::AtLeastOnce;
    setup.connector = &[("snapshot.mode", "no_data")];
    // The whole is some forty requests, and more than a dozen times what may wait.
    setup.worker = &[
        ("producer.max.request.size", "40000"),
        ("producer.buffer.memory", "100000"),
        ("offset.flush.interval.ms", "10"),
    ];
    setup.environment = &[("WALSPRING_LIMIT", "batch_changes:50")];
    let mut rig = setup.rig();
    let first = rig.start();
    rig.wait_streaming();
    drop(first);
    write_rows(&rig);
    // It reads no further, and the offset of what it has written is stored.
    let mut worker = rig.start_to(Some("task.submitted:20:hold"));
    wait_for("the offset of what is written", PATIENCE, || {
        let stored = rig.stored_offset().map(|offset| offset["lsn"].clone());
        rig.topics[0].read();
        let last = rig.topics[0].records.last()?;
        (rig.topics[0].records.len() >= 500 && stored.as_ref() == Some(&last["value"]["source"]["lsn"])).then_some(())
    });
    worker.kill();
    assert_eq!(rig.confirmed_too_much(), None);
    let key = |record: &Value| record["key"]["pk"].as_i64().expect("a key");
    let first = rig.topics[0].read();
    let behind = key(&rig.topics[0].records[first - 1]) + 1;
    assert!(first < ROWS, "{first} of {ROWS}: it was not in the midst");

    // It stores nothing more, and goes on writing.
    let mut worker = rig.start_to(Some("offset.store:1:hold"));
    wait_for("more rows", PATIENCE, || (rig.topics[0].read() >= first + 500).then_some(()));
    worker.kill();
    assert_eq!(rig.confirmed_too_much(), None);
    assert_eq!(key(&rig.topics[0].records[first]), behind, "the first repeats what is stored, or leaves it out");

    let _worker = rig.start();
    assert_good(&mut rig, 2);
    let records = &rig.topics[0].records;
    let again = records.iter().skip(first + 1).position(|record| key(record) == behind);
    let repeated = 1 + again.expect("it does not go on behind the stored offset");
    // The last row marks the end of the account.
    assert_eq!(records.len(), ROWS + 1 + repeated, "something else was repeated");
}
