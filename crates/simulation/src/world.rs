//! Everything that outlives a worker, the chances of a seed, and the clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use walspring_postgres_source::simulated::SimulatedSource;

use crate::log::{Kind, Log};
use crate::producer::{Heard, Producer, Request};
use crate::random::Random;
use crate::server::Server;

/// How often things go wrong, each in so many of 1000.
#[derive(Debug, Clone, Default)]
pub struct Chances {
    pub calm: bool,
    pub lose_request: u64,
    pub lose_reply: u64,
    /// At a named place, and between two steps.
    pub end_at_place: u64,
    pub end: u64,
    pub stop: u64,
    pub pause: u64,
    /// The worker is stopped by a signal, another one takes over, and the first awakes.
    pub sleep: u64,
    pub cut: u64,
    pub store_fails: u64,
    pub transaction_times_out: u64,
    /// A thread does, at a named place.
    pub panics: u64,
    /// Does not go on from the newest offset when nothing comes.
    pub quiet: u64,
}

impl Chances {
    /// Most seeds have a few kinds of trouble, some all.
    fn new(random: &mut Random) -> Chances {
        let mut some = |most: u64| if random.below(2) == 0 { random.below(most) } else { 0 };
        Chances {
            calm: false,
            lose_request: some(60),
            lose_reply: some(60),
            end_at_place: some(30),
            end: some(20),
            stop: some(10),
            pause: some(20),
            sleep: some(20),
            cut: some(20),
            store_fails: some(200),
            transaction_times_out: some(60),
            quiet: 100 + some(600),
            panics: 0,
        }
    }

    pub fn of(&self, random: &mut Random, chance: u64) -> bool {
        !self.calm && chance > 0 && random.below(1000) < chance
    }
}

/// What happened, to be added up over seeds.
#[derive(Debug, Default, Clone)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    pub fn add(&mut self, what: &'static str) {
        self.many(what, 1);
    }

    pub fn many(&mut self, what: &'static str, n: u64) {
        *self.0.entry(what).or_default() += n;
    }

    pub fn all(&mut self, other: &Counts) {
        other.0.iter().for_each(|(what, n)| *self.0.entry(what).or_default() += n);
    }
}

pub struct World {
    pub random: Random,
    panics: Random,
    pub chances: Chances,
    pub begun: Instant,
    pub now: Instant,
    pub server: Server,
    pub log: Log,
    /// By worker.
    pub producers: BTreeMap<u64, Producer>,
    /// Requests of processes that are gone.
    pub strays: Vec<Request>,
    /// Producers that there have been.
    pub epochs: u64,
    /// The newest worker.
    pub newest: u64,
    /// Attempts at a task, however they ended.
    pub attempts: u64,
    /// The last write of the store said that it failed, and came all the same; or who wrote broke off.
    pub store_in_doubt: bool,
    /// What happens is told as it happens.
    pub aloud: bool,
    /// Turns until all trouble ends, and from then on.
    pub turns_left: u64,
    pub calm_turns: u64,
    pub offset_key: Vec<u8>,
    pub counts: Counts,
    /// Of everything that happened, in its order.
    pub trace: u64,
}

/// More turns without trouble than any load takes.
const CALM_TURNS_MAX: u64 = 20_000;

#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    pub source: Arc<SimulatedSource>,
}

impl Sim {
    pub fn new(seed: u64, source: Arc<SimulatedSource>) -> Sim {
        let mut random = Random::new(seed);
        let kind =
            [Kind::Transactions, Kind::Transactions, Kind::AtLeastOnce, Kind::Embedded][random.below(4) as usize];
        let transactions = 3 + random.below(14);
        let server = Server::new(&mut random, transactions);
        let chances = Chances::new(&mut random);
        // With a source of its own, for seeds without are the same as they were before there were any.
        let mut panics = Random::new(!seed);
        let panic_chance = if panics.below(2) == 0 { panics.below(30) } else { 0 };
        let chances = Chances { panics: panic_chance, ..chances };
        let turns_left = 40 + random.below(400);
        let now = Instant::now();
        let world = World {
            random,
            panics,
            chances,
            begun: now,
            now,
            server,
            log: Log::new(kind),
            producers: BTreeMap::new(),
            strays: Vec::new(),
            epochs: 0,
            newest: 0,
            attempts: 0,
            store_in_doubt: false,
            aloud: false,
            turns_left,
            calm_turns: 0,
            offset_key: Vec::new(),
            counts: Counts::default(),
            trace: seed,
        };
        Sim { world: Arc::new(Mutex::new(world)), source }
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    pub fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.aloud {
            println!("{:>9} {}", (self.now - self.begun).as_millis(), what());
        }
    }

    pub fn chance(&mut self, chance: impl Fn(&Chances) -> u64) -> bool {
        let chance = chance(&self.chances);
        self.chances.of(&mut self.random, chance)
    }

    pub fn panics(&mut self) -> bool {
        self.chances.of(&mut self.panics, self.chances.panics)
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A turn is over. False: there have been too many.
    pub fn count_turn(&mut self) -> bool {
        if self.turns_left > 0 {
            self.turns_left -= 1;
            if self.turns_left == 0 {
                self.chances.calm = true;
                self.say(|| "no more trouble from here on".into());
            }
        } else {
            self.calm_turns += 1;
            if self.calm_turns > CALM_TURNS_MAX {
                let (reached, rows) = (self.log.account.reached, self.server.rows());
                let (offset, confirmed) = (self.log.account.offset_lsn, self.server.confirmed);
                self.log.account.tell(|| {
                    format!(
                        "it does not come to its end: {reached} of {rows} rows, offset {offset}, confirmed {confirmed}"
                    )
                });
            }
        }
        self.log.account.wrong.is_none()
    }

    /// Everything was committed, written, stored and told.
    pub fn is_complete(&self) -> bool {
        let account = &self.log.account;
        self.chances.calm
            && self.server.is_done()
            && self.log.decided.is_none()
            && account.reached == self.server.rows()
            && account.offset_rows == self.server.rows()
            && self.producers.get(&self.newest).is_none_or(Producer::is_empty)
    }

    /// The process is gone. What it had sent may still come, before its successor begins or after.
    pub fn end_process(&mut self, worker: u64) {
        let Some(producer) = self.producers.remove(&worker) else { return };
        self.counts.many("requests lost", producer.lost_requests);
        self.counts.many("replies lost", producer.lost_replies);
        match self.log.kind {
            Kind::Transactions => self.strays.extend(producer.stray()),
            Kind::AtLeastOnce => {
                // Nothing fences such a producer: what comes, comes before the next one asks.
                if let Some(mut request) = producer.stray().filter(|_| self.random.below(2) == 0) {
                    request.arrive(&mut self.log, &self.server);
                }
            }
            // The machine goes on, or loses what is not on its disk.
            Kind::Embedded => {
                if self.random.below(2) == 0 {
                    let kept = self.random.below(self.log.unsynced.len() as u64 + 1) as usize;
                    self.log.unsynced.truncate(kept);
                }
            }
        }
    }

    pub fn stray_arrives(&mut self) {
        if !self.strays.is_empty() {
            let which = self.random.below(self.strays.len() as u64) as usize;
            let mut request = self.strays.swap_remove(which);
            if self.random.below(2) == 0 {
                request.arrive(&mut self.log, &self.server);
            }
        }
    }

    /// What a producer's listener is to hear.
    pub fn step_producer(
        &mut self,
        worker: u64,
    ) -> Option<(Heard, Arc<dyn walspring_connect::writer::DurabilityListener>)> {
        let World { producers, log, server, random, chances, .. } = self;
        let producer = producers.get_mut(&worker)?;
        let heard = producer.step(log, server, random, chances)?;
        let listener = producer.listener.clone();
        self.say(|| format!("worker {worker} hears {heard:?}"));
        Some((heard, listener))
    }

    /// A status update of a connection.
    pub fn confirm(&mut self, connection: u64, lsn: u64) {
        if connection == self.server.connection && lsn > self.server.confirmed {
            self.say(|| format!("confirmed {lsn}"));
            let (durable, stored) = (self.log.durable(), self.log.stored(&self.server));
            self.log.account.confirmed(lsn, durable, stored, &self.server);
            self.server.confirmed = lsn;
            self.note(lsn);
        }
    }
}
