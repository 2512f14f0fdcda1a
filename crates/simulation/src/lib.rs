//! A source's task and its offsets under everything that can happen to them, from a seed, on one thread.
//!
//! What runs is what a worker runs: the life of a task with its retries, the loop, the encoder, the committer and its tracker,
//! the offsets' store; of the source the decoder, the reader of changes, positions, offsets and what is confirmed. Fakes are
//! the server's log and slot ([`server`]), the log that is written to ([`log`], [`producer`]), the clock, and who comes next
//! ([`turns`]). After each step of theirs the invariants are checked: nothing is lost, everything in order, exactly once
//! nothing twice, no offset ahead of its records or going back, nothing confirmed that is not stored.
//!
//! A seed gives the same run each time; [`Run::trace`] shows it.

mod backend;
mod log;
mod numbers;
mod producer;
pub mod random;
mod server;
mod source;
mod turns;
mod world;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use walspring_connect::Props;
use walspring_connect::fault::{self, Simulated};
use walspring_postgres_source::simulated::SimulatedSource;
use walspring_runtime::metrics::Metrics;
use walspring_runtime::simulated::SimulatedTask;
use walspring_runtime::{Plugins, WorkerSettings};

use backend::SimBackend;
use source::SimPlugin;
use turns::WorkerTurns;
pub use world::Counts;
use world::Sim;

/// What is the same for all seeds of a thread.
pub struct Simulation {
    source: Arc<SimulatedSource>,
    parts: Parts,
}

#[derive(Clone)]
struct Parts {
    plugins: Arc<Plugins>,
    settings: Arc<WorkerSettings>,
    metrics: Arc<Metrics>,
    config: Props,
}

/// What a seed came to.
#[derive(Debug, Clone)]
pub struct Run {
    pub seed: u64,
    /// The invariant that does not hold.
    pub wrong: Option<String>,
    /// Of all that happened; the same for the same seed.
    pub trace: u64,
    pub rows: u64,
    pub twice: u64,
    pub counts: Counts,
}

/// A seed that goes on for ever is one that is wrong.
const WORKERS_MAX: u64 = 400;

impl Default for Simulation {
    fn default() -> Simulation {
        if !cfg!(debug_assertions) {
            panic!("the simulation needs a build with debug assertions");
        }
        let options = [
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("plugin.name", "pgoutput"),
            ("database.hostname", "nowhere"),
            ("database.user", "nobody"),
            ("database.dbname", "none"),
            ("topic.prefix", "s"),
        ];
        let config: Vec<(String, String)> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let converters = ["key.converter", "value.converter", "header.converter"];
        let parts = Parts {
            plugins: Arc::new(numbers::plugins()),
            settings: Arc::new(WorkerSettings {
                graceful_timeout: Duration::from_secs(2),
                offset_flush_interval: Duration::from_millis(100),
                topic_tracking: false,
                worker_config: converters.map(|option| (option.to_owned(), numbers::CLASS.to_owned())).into(),
                ..WorkerSettings::default()
            }),
            metrics: Arc::default(),
            config: json!({"connector.class": source::CLASS}).as_object().cloned().unwrap_or_default(),
        };
        let source = SimulatedSource::new(&config).expect("a configuration that is complete");
        Simulation { source: Arc::new(source), parts }
    }
}

impl Simulation {
    /// With a bug of [`fault::PLANTS`], if one is named.
    pub fn run(&self, seed: u64, plant: Option<&'static str>) -> Run {
        self.play(seed, plant, false)
    }

    /// [`Self::run`], told line by line on the standard output.
    pub fn run_aloud(&self, seed: u64, plant: Option<&'static str>) -> Run {
        self.play(seed, plant, true)
    }

    fn play(&self, seed: u64, plant: Option<&'static str>, aloud: bool) -> Run {
        fault::simulate(Some(Simulated { pass: Rc::new(turns::pass), plant }));
        let sim = Sim::new(seed, self.source.clone());
        sim.lock().aloud = aloud;
        loop {
            let in_order = self.parts.live(&sim);
            let world = sim.lock();
            if world.log.account.wrong.is_some() || (in_order && world.is_complete()) {
                break;
            }
            if world.newest > WORKERS_MAX {
                drop(world);
                sim.lock().log.account.tell(|| "workers end again and again".into());
                break;
            }
        }
        fault::simulate(None);
        let world = sim.lock();
        let (account, attempts) = (&world.log.account, world.attempts);
        let wrong = account.wrong.clone().or_else(|| {
            // In the first transaction there is no place yet to confirm.
            if world.server.confirmed < account.offset_lsn {
                return Some(format!("stored {}, and only {} confirmed", account.offset_lsn, world.server.confirmed));
            }
            (account.replays > attempts).then(|| format!("{} steps back in {attempts} attempts", account.replays))
        });
        let mut counts = world.counts.clone();
        for (what, n) in [
            ("attempts at a task", attempts),
            ("workers", world.newest),
            ("offsets stored", account.offsets),
            ("confirmations", account.confirmations),
            ("steps back", account.replays),
        ] {
            counts.many(what, n);
        }
        Run { seed, wrong, trace: world.trace, rows: account.rows, twice: account.twice, counts }
    }
}

impl Parts {
    /// A worker's life, from its start to its end; whether that was in order, with no other worker since and the
    /// connection to the server still there.
    fn live(&self, sim: &Sim) -> bool {
        let worker = {
            let mut world = sim.lock();
            world.newest += 1;
            world.newest
        };
        let task = SimulatedTask {
            config: self.config.clone(),
            plugin: Arc::new(SimPlugin(sim.clone())),
            plugins: self.plugins.clone(),
            settings: self.settings.clone(),
            backend: Arc::new(SimBackend { sim: sim.clone(), worker }),
            metrics: self.metrics.clone(),
        };
        let mut turns = None;
        let ended = task.live(|control| turns.insert(WorkerTurns::begin(sim, self.clone(), worker, control)).clone());
        let Some(turns) = turns else { return false };
        let closed = turns.closed();
        turns.end();
        let mut world = sim.lock();
        let is_replaced = world.newest != worker;
        // Its last word about what is stored may not have arrived, or it did not know.
        let is_cut = closed != Some(world.server.connection) || world.store_in_doubt;
        world.say(|| format!("worker {worker} has ended: {ended:?}, killed {}", turns.killed.get()));
        match ended {
            Ok(()) => !is_replaced && !is_cut,
            Err(trace) => {
                if trace.contains(turns::PANIC) {
                    // Too many in a row: somebody restarts it.
                    world.counts.add("tasks that failed by panics");
                } else if !turns.killed.get() && !is_replaced {
                    world.log.account.tell(|| format!("the task failed: {trace}"));
                }
                false
            }
        }
    }
}
