//! A worker that is stopped by a signal, and awakes when the world has gone on without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_faults::rig::{Delivery, PATIENCE, Setup};
use walspring_testkit::{Postgres, kafka, wait_for};

use crate::{assert_good, light, program};

/// Of a transaction, as the connector asks for it; and of a member of the group.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn a_worker_that_was_stopped_beyond_its_timeouts_finds_itself_replaced_and_writes_nothing() {
    let server = Arc::new(Postgres::start(Postgres::builder(17).option("wal_sender_timeout", "2s")));
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = Some(kafka().bootstrap());
    setup.delivery = Delivery::ExactlyOnce;
    let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
    let connector = [("producer.override.transaction.timeout.ms", timeout.as_str())];
    setup.connector = &connector;
    let mut rig = setup.rig();
    let load = rig.load(light(14));
    let mut first = rig.start();
    rig.wait_streaming();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());

    // Nobody is there in its place: it goes on by itself.
    first.signal("STOP");
    std::thread::sleep(TRANSACTION_TIMEOUT + Duration::from_secs(1));
    let confirmed = rig.confirmed().unwrap_or_default();
    first.signal("CONT");
    let awake = Instant::now();
    rig.wait_confirmed(confirmed);
    eprintln!("alone, confirmed again after {:?}", awake.elapsed());

    // Another one takes over as soon as the server has given up the first one's connection.
    first.signal("STOP");
    let confirmed = rig.confirmed().unwrap_or_default();
    let begun = Instant::now();
    let second = rig.start();
    rig.wait_confirmed(confirmed);
    eprintln!("the second one confirmed after {:?}", begun.elapsed());
    std::thread::sleep((SESSION_TIMEOUT + Duration::from_secs(1)).saturating_sub(begun.elapsed()));
    let logged = rig.program.log_bytes();
    first.signal("CONT");
    wait_for("the first one to notice", PATIENCE, || {
        rig.program.log_since(logged).contains("has taken over").then_some(())
    });
    for _ in 0..3 {
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    }
    assert!(first.stop(PATIENCE).is_some_and(|status| status.success()), "it did not end in order");
    load.stop();
    assert_good(&mut rig, 0);
    drop(second);
}
