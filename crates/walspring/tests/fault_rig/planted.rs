//! A test of the tests: each bug that can be planted is found.

use std::time::Duration;

use walspring_connect::fault::plants;
use walspring_faults::ledger::Load;
use walspring_faults::proxy::{Action, Proxy, Rule, Seen, Weather, api};
use walspring_faults::random::Random;
use walspring_faults::rig::{Delivery, PATIENCE, Setup};
use walspring_testkit::{kafka, postgres};

use crate::{light, program};

const KILLS: usize = 4;

/// Whether a short run with kills finds anything wrong.
fn is_found(plant: Option<&str>) -> bool {
    let server = postgres(15);
    let mut setup = Setup::new(program(), &server);
    let is = |names: &[&str]| plant.is_some_and(|plant| names.contains(&plant));
    if is(&["durable_when_sent"]) {
        setup.delivery = Delivery::AtLeastOnce;
    }
    // Seen only where being durable takes time.
    let slow = is(&["confirm_early", "durable_when_sent"]).then(|| Proxy::kafka(&kafka().bootstrap()));
    if slow.is_some() || is(&["commit_without_offset"]) {
        setup.bootstrap = Some(slow.as_ref().map_or_else(|| kafka().bootstrap(), Proxy::address));
        setup.read_from = Some(kafka().bootstrap());
    }
    // Else one record a ticket, so that a worker ends between rows of one place in the log.
    let of_batches = plants(|p| p.of_batches && Some(p.name) == plant).next().is_some();
    let limit = ("WALSPRING_LIMIT", if of_batches { "" } else { "batch_changes:1" });
    let environment = [limit, ("WALSPRING_PLANT", plant.unwrap_or_default())];
    setup.environment = &environment;
    let mut rig = setup.rig();
    Load::crossed(&rig.db.url(), 8, 2);
    // The first worker makes the slot and reads the snapshot.
    {
        let _worker = rig.start();
        let load = rig.load(light(9));
        rig.wait_streaming();
        walspring_testkit::wait_for("the load", PATIENCE, || (load.committed() > 5).then_some(()));
        if slow.is_some() {
            rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        }
        if let Some(slow) = &slow {
            if is(&["durable_when_sent"]) {
                // The connection that carries records, most likely: offsets come five times a second.
                slow.add(Rule::once(Seen::Request(api::PRODUCE), 7, Action::HalfOpen));
                std::thread::sleep(Duration::from_secs(2));
            } else {
                slow.set_weather(Weather { latency: Duration::from_millis(700), ..Weather::default() });
                walspring_testkit::wait_for("the load", PATIENCE, || (load.committed() > 120).then_some(()));
            }
        }
    }
    let mut too_much = rig.confirmed_too_much();
    if let Some(slow) = slow.as_ref() {
        slow.heal();
    }
    let mut random = Random::new(10);
    for seed in 0..KILLS as u64 {
        Load::crossed(&rig.db.url(), seed, 2);
        if of_batches {
            // Every kind of change, deletes among them.
            Load::interleaved(&rig.db.url(), 40 + seed, 25);
        }
        // The second kind has stored something for certain when it ends.
        let (place, least) = if seed % 2 == 0 { ("stream.change", 16) } else { ("log.synced", 5) };
        let mut worker = rig.start_to(Some(&format!("{place}:{}", least + random.below(5))));
        worker.wait(Duration::from_secs(2));
        worker.kill();
        too_much = too_much.or(rig.confirmed_too_much());
    }
    let logged = rig.program.log_bytes();
    let _worker = rig.start();
    // A worker that stops because slot and offset do not agree has found the bug itself.
    let stopped = walspring_testkit::wait_for("a stream or its refusal", PATIENCE, || {
        let log = rig.program.log_since(logged);
        if log.contains("the task failed") { Some(true) } else { log.contains("\"streaming\"").then_some(false) }
    });
    if stopped {
        eprintln!("{}: the task stopped", plant.unwrap_or("no bug"));
        return true;
    }
    // What is lost is waited for in vain.
    if plant.is_some() {
        rig.patience = Duration::from_secs(3);
    }
    let verdict = rig.check();
    eprintln!("{}: {verdict:?} {too_much:?}", plant.unwrap_or("no bug"));
    !verdict.is_good(rig.replays_max(KILLS + 1)) || too_much.is_some()
}

#[test]
fn without_a_bug_nothing_is_found() {
    assert!(!is_found(None));
}

fn all_found(plants: impl Iterator<Item = &'static str>) {
    // A kill at the wrong moment meets nothing; three runs in a row do not.
    let found = |plant: &str| (0..3).any(|_| is_found(Some(plant)));
    let missed: Vec<&str> = plants.filter(|plant| !found(plant)).collect();
    assert_eq!(missed, Vec::<&str>::new(), "these bugs would go unnoticed");
}

#[test]
fn every_planted_bug_of_a_batch_is_found() {
    all_found(plants(|plant| plant.of_batches));
}

#[test]
fn every_planted_bug_of_positions_and_durability_is_found() {
    all_found(plants(|plant| !plant.of_batches));
}
