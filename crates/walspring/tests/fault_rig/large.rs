//! One transaction of PostgreSQL that is several of Kafka's: what is committed of it may be its beginning, and a worker that
//! ends in the midst goes on behind that.

use std::sync::Arc;

use walspring_faults::rig::{Delivery, PATIENCE, Setup};
use walspring_testkit::{Postgres, kafka, postgres};

use crate::{assert_good, program};

const ROWS: usize = 3000;

/// At the end of a transaction of Kafka's, behind it, in the midst of one, and before anything of one was sent.
const PLACES: [&str; 4] = ["kafka.commit:4", "kafka.committed:3", "kafka.produced:9", "task.submitted:5"];

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
        rig.db.sql(&format!(
            "with p as (insert into plain select nextval('keys'), 1, repeat('p', 100) from generate_series(1, {ROWS}) \
                        returning pk, seq, pad) \
             insert into ledger (tbl, op, pk, seq, sum) select 'plain', 'c', pk, seq, md5(pk || ':' || seq || ':' || pad) from p"
        ));
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
