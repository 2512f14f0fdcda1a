//! A slice of the simulation for every run, and the test of the test: each planted bug of positions, tickets and offsets is
//! found. The long run is `scripts/simulate`.

use walspring_connect::fault::plants;
use walspring_simulation::{Counts, Simulation};

const SEEDS: u64 = 1500;
/// Within so many seeds a bug has to be found.
const SEEDS_TO_FIND: u64 = 100;

#[test]
fn thousands_of_seeds_keep_the_invariants() {
    let simulation = Simulation::default();
    let mut counts = Counts::default();
    for seed in 1..=SEEDS {
        let run = simulation.run(seed, None);
        assert_eq!(run.wrong, None, "again with: scripts/simulate --seed {seed}");
        counts.all(&run.counts);
    }
    // All kinds of trouble have been met.
    for (what, least) in [
        ("ends at named places", 100),
        ("ends at random moments", 100),
        ("stops in order", 100),
        ("pauses", 100),
        ("connections cut", 100),
        ("sleepers with a successor", 50),
        ("requests lost", 100),
        ("replies lost", 100),
        ("stores that failed", 50),
        ("transactions that timed out", 20),
        ("panics", 100),
        ("steps back", 20),
    ] {
        let n = counts.0.get(what).copied().unwrap_or_default();
        assert!(n >= least, "{n} {what}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [7, 70, 700, 7000] {
        let [first, again] = [(); 2].map(|()| Simulation::default().run(seed, None));
        assert_eq!((first.trace, first.rows), (again.trace, again.rows), "seed {seed}");
    }
}

#[test]
fn each_planted_bug_of_positions_and_offsets_is_found_by_the_simulation() {
    let simulation = Simulation::default();
    let mut missed = Vec::new();
    for plant in plants(|plant| plant.of_positions) {
        let found = (1..=SEEDS_TO_FIND).find_map(|seed| Some((seed, simulation.run(seed, Some(plant)).wrong?)));
        match found {
            Some((seed, wrong)) => eprintln!("{plant}: seed {seed}: {wrong}"),
            None => missed.push(plant),
        }
    }
    assert_eq!(missed, Vec::<&str>::new(), "these bugs would go unnoticed");
}
