//! Seeds of the simulation: the runner behind `scripts/simulate`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use walspring_connect::fault::plants;
use walspring_simulation::{Counts, Run, Simulation};

/// Plays a source's task and its offsets from seeds. The last status is 1 where an invariant did not hold.
#[derive(Parser)]
struct Arguments {
    /// How many.
    #[arg(default_value_t = 100_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This one alone, with what it did.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// A bug to plant, to see it found.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(plants(|_| true)))]
    plant: Option<String>,
    #[arg(long, default_value_t = 2)]
    parallel: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let plant = plants(|plant| Some(plant.name) == arguments.plant.as_deref()).next();
    if let Some(seed) = arguments.seed {
        let run = Simulation::default().run_aloud(seed, plant);
        println!("{run:#?}");
        std::process::exit(i32::from(run.wrong.is_some()));
    }
    let (begun, next) = (Instant::now(), AtomicU64::new(arguments.from));
    let end = arguments.from + arguments.seeds;
    let play = || {
        let simulation = Simulation::default();
        let (mut counts, mut wrong, mut rows, mut twice) = (Counts::default(), Vec::<Run>::new(), 0, 0);
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end) {
            let run = simulation.run(seed, plant);
            counts.all(&run.counts);
            (rows, twice) = (rows + run.rows, twice + run.twice);
            if run.wrong.is_some() && wrong.len() < 10 {
                wrong.push(run);
            }
        }
        (counts, wrong, rows, twice)
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.parallel.max(1)).map(|_| scope.spawn(play)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of seeds")).collect()
    });
    let mut counts = Counts::default();
    parts.iter().for_each(|part| counts.all(&part.0));
    let mut wrong: Vec<&Run> = parts.iter().flat_map(|part| &part.1).collect();
    wrong.sort_by_key(|run| run.seed);
    for run in wrong.iter().take(10) {
        println!("seed {}: {}", run.seed, run.wrong.as_deref().unwrap_or_default());
        println!("  again with: scripts/simulate --seed {}", run.seed);
    }
    counts.0.iter().for_each(|(what, n)| println!("{n:>12} {what}"));
    let (rows, twice) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.2, sum.1 + part.3));
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} seeds, {} wrong, {rows} rows, {twice} again where that is allowed, {seconds:.1} s, {:.0} seeds/s",
        arguments.seeds,
        wrong.len(),
        arguments.seeds as f64 / seconds
    );
    std::process::exit(i32::from(!wrong.is_empty()));
}
