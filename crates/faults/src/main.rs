//! Kills workers under load and holds what came out against the account: the runner behind `scripts/faults`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use walspring_connect::fault::plants;
use walspring_faults::cells::{Cell, Guarantee, LogKind, cells, named};
use walspring_faults::ledger::LoadOptions;
use walspring_faults::random::Random;
use walspring_faults::rig::{AT_START, Setup, points, program};
use walspring_testkit::postgres;

/// Kills workers under load: at random moments and at every failpoint. Nothing may be lost, come out of order or, with
/// exactly once, come twice.
#[derive(Parser)]
struct Arguments {
    /// Kills for each combination.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Of the first combination; the others follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// PostgreSQL's versions.
    #[arg(long, value_delimiter = ',', default_value = "15,18")]
    pg: Vec<u32>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "alo,eos")]
    delivery: Vec<Guarantee>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kafka")]
    log: Vec<LogKind>,
    /// Combinations at the same time.
    #[arg(long, default_value_t = 2)]
    parallel: usize,
    /// Only random moments.
    #[arg(long)]
    no_points: bool,
    /// No random moments: these places, or those that begin so, in turn.
    #[arg(long, value_delimiter = ',')]
    at: Vec<String>,
    /// At a place a thread panics, and the worker is killed only when its task is there again.
    #[arg(long)]
    panics: bool,
    /// More of the connector's configuration, `NAME=VALUE`.
    #[arg(long, value_delimiter = ',')]
    connector: Vec<String>,
    /// A bug to plant, to see it found (a build with debug assertions).
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(plants(|_| true)))]
    plant: Option<String>,
    /// Milliseconds between two transactions of each of the three writers.
    #[arg(long, default_value_t = 25)]
    pause: u64,
    /// Kills between two checks of everything.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// A directory for the workers' logs, also of runs that were good.
    #[arg(long)]
    logs: Option<std::path::PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let cells = cells(&arguments.log, &arguments.pg, &arguments.delivery);
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..arguments.parallel.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(cell) = cells.get(index) else { break };
                    if !run(*cell, arguments.seed + index as u64, &arguments) {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    std::process::exit(i32::from(failed.into_inner() > 0));
}

fn is_wanted(point: &str, at: &[String]) -> bool {
    at.is_empty() || at.iter().any(|part| point.starts_with(part.as_str()))
}

fn run(cell: Cell, seed: u64, arguments: &Arguments) -> bool {
    let begun = Instant::now();
    let (server, program) = (postgres(cell.pg), program());
    let mut setup = Setup::new(&program, &server);
    setup.bootstrap = cell.log.bootstrap();
    setup.delivery = cell.guarantee.delivery();
    let connector: Vec<(&str, &str)> = arguments.connector.iter().filter_map(|option| option.split_once('=')).collect();
    setup.connector = &connector;
    let plant = arguments.plant.as_deref().map(|plant| ("WALSPRING_PLANT", plant));
    setup.environment = plant.as_slice();
    // What is planted is found without, but for what shows by them alone.
    let of_signals = plants(|plant| plant.of_signals).any(|name| arguments.plant.as_deref() == Some(name));
    setup.signals = !arguments.no_points && (plant.is_none() || of_signals);
    let mut points = points(cell.log == LogKind::Kafka, setup.delivery, setup.signals);
    points.retain(|point| !arguments.no_points && is_wanted(point, &arguments.at));
    let mut random = Random::new(seed);
    let (mut left, mut good) = (arguments.kills, true);
    while left > 0 {
        let kills = left.min(arguments.batch);
        left -= kills;
        let mut rig = setup.rig();
        (rig.in_turn, rig.panics) = (!arguments.at.is_empty(), arguments.panics);
        let load = rig.load(LoadOptions {
            seed: random.number(),
            pause: Duration::from_millis(arguments.pause),
            ..LoadOptions::default()
        });
        // The first ones meet the snapshot.
        let mut at_start = BTreeMap::new();
        if !arguments.no_points {
            for point in AT_START {
                let ended = rig.start_to(Some(point)).wait(Duration::from_secs(10)).is_some();
                at_start.extend(ended.then_some((point, 1)));
            }
        }
        if setup.signals {
            let _worker = rig.start();
            rig.wait_snapshot_over();
        }
        let ends = at_start.len();
        let mut done = rig.kill(kills - ends.min(kills), &points, &mut random);
        at_start.into_iter().for_each(|(point, times)| *done.points.entry(point).or_default() += times);
        let committed = load.stop();
        let found = !(done.failed.is_empty() && done.confirmed_too_much.is_empty());
        if found {
            // What is lost is waited for in vain.
            rig.patience = Duration::from_secs(5);
        }
        let mut worker = rig.start();
        let verdict = rig.check();
        worker.kill();
        let kills = done.random + done.at_points + ends;
        let fine = verdict.is_good(rig.replays_max(kills)) && !found;
        good &= fine;
        let mut recovery = done.recovery_s.clone();
        recovery.sort_by(f64::total_cmp);
        let report = serde_json::json!({
            "pg": cell.pg, "delivery": named(cell.guarantee),
            "log": named(cell.log), "seed": seed,
            "kills": kills, "at_points": done.at_points + ends, "transactions": committed, "events": verdict.events,
            "lost": verdict.lost.len(), "twice": verdict.twice, "replays": verdict.replays,
            "disorder": verdict.disorder.len(), "foreign": verdict.foreign.len(), "different": verdict.different.len(),
            "points": done.points, "failed": done.failed.len(), "confirmed_too_much": done.confirmed_too_much.len(), "confirmed_looks": done.confirmed_looks,
            "recovery_s": {"p50": recovery.get(recovery.len() / 2), "max": recovery.last()},
            "seconds": begun.elapsed().as_secs(), "good": fine,
        });
        println!("{report}");
        if !fine {
            println!("# {verdict:#?}\n# {:?} {:?}", done.confirmed_too_much, done.failed);
        }
        if !fine || arguments.logs.is_some() {
            let dir = arguments.logs.clone().unwrap_or_else(std::env::temp_dir);
            let kept = dir.join(format!("faults-{}-{}-{left}.log", seed, std::process::id()));
            let _ = std::fs::write(&kept, rig.program.log());
            println!("# the worker's log is kept in {}", kept.display());
        }
    }
    good
}
