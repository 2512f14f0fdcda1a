//! The rig's slice for every run: kills at named places, connections broken at chosen messages, bugs planted.
//!
//! What is committed under load has to come out, as docs/reliability.md says row by row; the long runs are `scripts/faults`.

mod connections;
mod kills;
mod large;
mod limits;
mod page;
mod planted;
mod stopped;
mod topics;

use std::path::Path;
use std::time::Duration;

use walspring_faults::ledger::LoadOptions;
use walspring_faults::rig::Rig;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_walspring"))
}

fn light(seed: u64) -> LoadOptions {
    LoadOptions { seed, writers: 2, pause: Duration::from_millis(15), huge_every: 0 }
}

/// Nothing lost, foreign, out of order; nothing twice under exactly once.
#[track_caller]
fn assert_good(rig: &mut Rig, ends: usize) {
    let verdict = rig.check();
    assert!(verdict.is_good(rig.replays_max(ends)), "{verdict:#?}\nthe worker's log:\n{}", rig.program.log());
    assert!(verdict.events > 0, "nothing came");
}
