//! The worker ends at each named place once, and at each record of a load that has cost others data.

use std::sync::Arc;

use walspring_faults::ledger::{self, Load};
use walspring_faults::random::Random;
use walspring_faults::rig::{AT_START, Delivery, PATIENCE, Rig, Setup, points};
use walspring_testkit::{Postgres, kafka, postgres};

use crate::{assert_good, light, program};

fn at_every_place(on_kafka: bool, delivery: Delivery, major: u32) {
    let server = postgres(major);
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = on_kafka.then(|| kafka().bootstrap());
    setup.delivery = delivery;
    setup.signals = !on_kafka;
    let mut rig = setup.rig();
    Load::interleaved(&rig.db.url(), 1, 20);
    let load = rig.load(light(2));
    let mut places = AT_START.to_vec();
    if !on_kafka {
        places.insert(0, "log.segment_made");
    }
    let streaming = points(on_kafka, delivery, setup.signals).into_iter().filter(|place| !AT_START.contains(place));
    let first = places.len();
    places.extend(streaming);
    for (n, place) in places.iter().enumerate() {
        if n == first {
            let _worker = rig.start();
            rig.wait_snapshot_over();
        }
        rig.ask_for(place);
        let mut worker = rig.start_to(Some(place));
        let ended = worker.wait(PATIENCE);
        assert!(ended.is_some_and(|status| !status.success()), "{place} was not passed:\n{}", rig.program.log());
        let too_much = rig.confirmed_too_much();
        assert_eq!(too_much, None, "after {place}");
    }
    load.stop();
    let _worker = rig.start();
    assert_good(&mut rig, places.len());
}

#[test]
fn killed_at_every_place_exactly_once() {
    at_every_place(true, Delivery::ExactlyOnce, 18);
}

#[test]
fn killed_at_every_place_at_least_once() {
    at_every_place(true, Delivery::AtLeastOnce, 15);
}

#[test]
fn killed_at_every_place_on_the_embedded_log() {
    at_every_place(false, Delivery::ExactlyOnce, 15);
}

#[test]
fn killed_at_random_moments() {
    for (on_kafka, delivery, kills) in
        [(false, Delivery::ExactlyOnce, 10), (true, Delivery::ExactlyOnce, 3), (true, Delivery::AtLeastOnce, 3)]
    {
        let server = postgres(15);
        let mut setup = Setup::new(program(), &server);
        setup.bootstrap = on_kafka.then(|| kafka().bootstrap());
        setup.delivery = delivery;
        let mut rig = setup.rig();
        let load = rig.load(light(3));
        let done = rig.kill(kills, &[], &mut Random::new(4));
        assert_eq!(done.confirmed_too_much, Vec::<String>::new());
        load.stop();
        let _worker = rig.start();
        assert_good(&mut rig, kills);
    }
}

/// Rows 1 to 3 of the known losses (interleaved transactions, rows that share a place in the log, logical messages between
/// them): a worker that sends each record by itself ends at the k-th, for every k.
#[test]
fn killed_at_every_record_of_interleaved_transactions_with_copy_and_messages() {
    const SLOTS: usize = 40;
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("max_replication_slots", "100")));
    let db = Arc::new(server.database());
    ledger::prepare(&db);
    // Made before the load, so that each of the connectors meets the same log.
    db.sql(&format!(
        "select pg_create_logical_replication_slot('{}_' || n, 'pgoutput') from generate_series(1, {SLOTS}) n",
        db.name()
    ));
    db.sql(&format!("create publication {} for table plain, \"full\"", db.slot("p")));
    Load::interleaved(&db.url(), 5, 4);
    let records: usize = db.value("select count(*) from ledger").parse().unwrap();
    let mut rigs: Vec<Rig> = Vec::new();
    for n in 1..=SLOTS.min(records) {
        let name = n.to_string();
        let mut setup = Setup::new(program(), &server);
        setup.connector = &[("snapshot.mode", "no_data")];
        setup.environment = &[("WALSPRING_LIMIT", "batch_changes:1")];
        setup.database = Some((db.clone(), &name));
        let rig = setup.rig();
        let mut worker = rig.start_to(Some(&format!("stream.change:{n}")));
        assert!(worker.wait(PATIENCE).is_some(), "record {n}:\n{}", rig.program.log());
        rigs.push(rig);
    }
    for rig in &mut rigs {
        let _worker = rig.start();
        assert_good(rig, 1);
    }
}
