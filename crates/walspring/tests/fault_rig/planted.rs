//! A test of the tests: each bug that can be planted is found.

use walspring_connect::fault::PLANTS;
use walspring_faults::ledger::Load;
use walspring_faults::random::Random;
use walspring_faults::rig::{Delivery, PATIENCE, Setup};
use walspring_testkit::{kafka, postgres};

use crate::{light, program};

const KILLS: u64 = 4;

/// Whether a short run with kills finds anything wrong.
fn is_found(plant: Option<&str>) -> bool {
    let server = postgres(15);
    let mut setup = Setup::new(program(), &server);
    let at_least_once = plant == Some("durable_when_sent");
    let on_kafka = at_least_once || plant == Some("commit_without_offset");
    setup.bootstrap = on_kafka.then(|| kafka().bootstrap());
    setup.delivery = if at_least_once { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce };
    // One record a ticket, so that a worker ends between rows of one place in the log.
    let environment = [("WALSPRING_LIMIT", "batch_changes:1"), ("WALSPRING_PLANT", plant.unwrap_or_default())];
    setup.environment = &environment;
    let mut rig = setup.rig();
    Load::interleaved(&rig.db.url(), 8, 10);
    // The first worker makes the slot and reads the snapshot.
    {
        let _worker = rig.start();
        let load = rig.load(light(9));
        rig.wait_streaming();
        walspring_testkit::wait_for("the load", PATIENCE, || (load.committed() > 10).then_some(()));
        load.stop();
    }
    let mut random = Random::new(10);
    let mut too_much = None;
    for seed in 0..KILLS {
        Load::interleaved(&rig.db.url(), 20 + seed, 6);
        let mut worker = rig.start_to(Some(&format!("stream.change:{}", 8 + random.below(12))));
        worker.wait(std::time::Duration::from_secs(3));
        worker.kill();
        too_much = too_much.or(rig.confirmed_too_much());
    }
    let _worker = rig.start();
    rig.patience = std::time::Duration::from_secs(if plant.is_some() { 3 } else { 45 });
    let verdict = rig.check();
    let found = !verdict.is_good(rig.replays_max(KILLS as usize)) || too_much.is_some();
    eprintln!("{plant:?}: {verdict:?} {too_much:?}");
    found
}

#[test]
fn every_planted_bug_is_found() {
    assert!(!is_found(None), "without a bug nothing may be found");
    let missed: Vec<&str> = PLANTS.iter().copied().filter(|plant| !is_found(Some(plant))).collect();
    assert_eq!(missed, Vec::<&str>::new(), "these bugs would go unnoticed");
}
