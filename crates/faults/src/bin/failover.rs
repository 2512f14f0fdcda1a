//! `scripts/failover`: the primary killed and its standby promoted again and again, under load, with one worker.

use std::time::{Duration, Instant};

use clap::Parser;
use walspring_faults::cells::{Cell, Guarantee, LogKind, cells, named};
use walspring_faults::failover::{Failover, Options};
use walspring_faults::ledger::LoadOptions;
use walspring_faults::rig::program;
use walspring_testkit::Shutdown;

/// Kills a primary under load, or stops it in order, promotes its standby, makes a standby in its place, and so on, back and
/// forth. One worker goes on over all of it. Nothing may be lost, come out of order or, with exactly once, come twice, and there is one snapshot.
#[derive(Parser)]
struct Arguments {
    /// Failovers for each combination.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// PostgreSQL's versions, 17 or later.
    #[arg(long, value_delimiter = ',', default_value = "17,18")]
    pg: Vec<u32>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "eos")]
    delivery: Vec<Guarantee>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "embedded")]
    log: Vec<LogKind>,
    /// Milliseconds between two transactions of each of the three writers.
    #[arg(long, default_value_t = 10)]
    pause: u64,
    /// Seconds between the end of a primary and the promotion of its standby.
    #[arg(long, default_value_t = 0.0)]
    down: f64,
    /// The worker is killed with every second primary, too, and started again.
    #[arg(long)]
    kill: bool,
    /// Primaries are stopped in order and come back as standbys of those that were promoted, instead of being killed and
    /// replaced by a new copy.
    #[arg(long, conflicts_with = "down")]
    switch_over: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let mut good = true;
    for cell in cells(&arguments.log, &arguments.pg, &arguments.delivery) {
        good &= run(&arguments, cell);
    }
    std::process::exit(i32::from(!good));
}

fn run(arguments: &Arguments, cell: Cell) -> bool {
    let (major, delivery, log) = (cell.pg, named(cell.guarantee), named(cell.log));
    let begun = Instant::now();
    let bootstrap = cell.log.bootstrap();
    let options = Options { major, bootstrap: bootstrap.as_deref(), delivery: cell.guarantee.delivery() };
    let mut pair = Failover::new(&program(), options);
    let mut worker = pair.rig.start();
    pair.rig.wait_streaming();
    let pause = Duration::from_millis(arguments.pause);
    let load = pair.load(LoadOptions { seed: arguments.seed, pause, ..LoadOptions::default() });
    let mut recovery = Vec::new();
    for round in 0..arguments.rounds {
        if round > 0 && !arguments.switch_over {
            pair.follow_again();
        }
        pair.wait_ready();
        pair.rig.wait_confirmed(pair.rig.confirmed().unwrap_or_default());
        if arguments.kill && round % 2 == 1 {
            worker.kill();
            worker = pair.rig.start();
        }
        let seen = match (arguments.switch_over, round % 2) {
            (true, _) => pair.switch_over(),
            (false, 0) => pair.fail_over(Shutdown::Immediate, Duration::from_secs_f64(arguments.down)),
            (false, _) => pair.fail_over(Shutdown::Kill, Duration::from_secs_f64(arguments.down)),
        };
        eprintln!(
            "{major} {delivery} {log} round {round}: timeline {}, promoted after {:.2} s, events again after {:.2} s",
            seen.timeline, seen.promotion_s, seen.recovery_s
        );
        recovery.push(seen.recovery_s);
    }
    let transactions = load.stop();
    let verdict = pair.rig.check();
    let told = pair.rig.program.log();
    drop(worker);
    recovery.sort_by(f64::total_cmp);
    let snapshots = told.matches("the snapshot begins").count();
    let good = verdict.is_good(pair.rig.replays_max(arguments.rounds)) && snapshots == 1;
    let report = serde_json::json!({
        "pg": major, "delivery": delivery, "log": log,
        "seed": arguments.seed, "failovers": arguments.rounds, "switch_over": arguments.switch_over, "transactions": transactions, "events": verdict.events,
        "lost": verdict.lost.len(), "twice": verdict.twice, "replays": verdict.replays,
        "disorder": verdict.disorder.len(), "foreign": verdict.foreign.len(), "different": verdict.different.len(),
        "snapshots": snapshots, "recovery_s": {"p50": recovery.get(recovery.len() / 2), "max": recovery.last()},
        "seconds": begun.elapsed().as_secs(), "good": good,
    });
    println!("{report}");
    if !good {
        let kept = std::env::temp_dir().join(format!("failover-{}-{major}.log", std::process::id()));
        let _ = std::fs::write(&kept, told);
        println!("# {verdict:#?}\n# the worker's log is kept in {}", kept.display());
    }
    good
}
