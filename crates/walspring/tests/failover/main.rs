//! A primary is killed or stopped under load and its standby promoted: the worker goes on there by itself, on the new timeline,
//! without a snapshot; nothing is lost, and nothing comes twice. Longer runs, and on Kafka, are `scripts/failover`.

use std::path::Path;
use std::time::Duration;

use walspring_faults::failover::{Failover, Options, Recovery};
use walspring_faults::ledger::LoadOptions;
use walspring_faults::rig::Delivery;
use walspring_testkit::Shutdown;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_walspring"))
}

fn pair(major: u32) -> Failover {
    Failover::new(program(), Options { major, bootstrap: None, delivery: Delivery::ExactlyOnce })
}

fn fails_over(major: u32, end: Shutdown) {
    let mut pair = pair(major);
    let worker = pair.rig.start();
    pair.rig.wait_streaming();
    let load = pair.load(LoadOptions { seed: 11, writers: 2, pause: Duration::from_millis(10), huge_every: 0 });
    pair.wait_ready();
    pair.rig.wait_confirmed(pair.rig.confirmed().unwrap_or_default());
    let Recovery { promotion_s, recovery_s, timeline } = pair.fail_over(end, Duration::ZERO);
    eprintln!("PostgreSQL {major}: promoted after {promotion_s:.2} s, events again after {recovery_s:.2} s more");
    load.stop();
    let verdict = pair.rig.check();
    let log = pair.rig.program.log();
    assert!(verdict.is_good(0), "{verdict:#?}\nthe worker's log:\n{log}");
    assert_eq!((timeline, log.matches("the snapshot begins").count()), (2, 1), "{log}");
    assert!(recovery_s < 5.0, "{recovery_s} s\n{log}");
    drop(worker);
}

#[test]
fn a_primary_of_17_that_is_killed_under_load_is_followed_by_its_standby() {
    fails_over(17, Shutdown::Immediate);
}

#[test]
fn a_primary_of_18_that_is_killed_under_load_is_followed_by_its_standby() {
    fails_over(18, Shutdown::Kill);
}

#[test]
fn a_switch_over_in_order_and_the_one_back_are_followed() {
    let mut pair = pair(17);
    let worker = pair.rig.start();
    pair.rig.wait_streaming();
    let load = pair.load(LoadOptions { seed: 12, writers: 2, pause: Duration::from_millis(10), huge_every: 0 });
    for timeline in [2, 3] {
        pair.wait_ready();
        pair.rig.wait_confirmed(pair.rig.confirmed().unwrap_or_default());
        // The former primary is the standby of the next round.
        assert_eq!(pair.switch_over().timeline, timeline);
    }
    load.stop();
    let verdict = pair.rig.check();
    let log = pair.rig.program.log();
    assert!(verdict.is_good(0), "{verdict:#?}\nthe worker's log:\n{log}");
    assert_eq!(log.matches("the snapshot begins").count(), 1, "{log}");
    drop(worker);
}
