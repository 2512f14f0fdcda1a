//! Who comes next: between any two steps of a task's loop the seed lets other things happen, one after the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use walspring_record::Lsn;
use walspring_runtime::simulated::Control;
use walspring_runtime::turns::{Stepped, Turns};

use crate::Parts;
use crate::backend::tell;
use crate::log::Kind;
use crate::world::Sim;

/// What a process's end unwinds with.
pub struct Killed;

/// What a thread panics with.
pub const PANIC: &str = "planted by a seed";

type Streaming = (u64, Box<dyn Fn() -> Lsn>);

/// One worker's turns.
pub struct WorkerTurns {
    sim: Sim,
    parts: Parts,
    worker: u64,
    control: Control,
    committer: RefCell<Option<Box<dyn FnMut() -> Stepped>>>,
    /// Of the connection that streams: its number, and what its status updates say.
    stream: RefCell<Option<Streaming>>,
    closed: Cell<Option<u64>>,
    in_turn: Cell<bool>,
    pub killed: Cell<bool>,
    paused: Cell<bool>,
    /// This one's turns are inside another's.
    inner: bool,
}

thread_local! {
    /// The workers of this thread; only the last one's turn it can be.
    static WORKERS: RefCell<Vec<Rc<WorkerTurns>>> = const { RefCell::new(Vec::new()) };
}

fn current() -> Option<Rc<WorkerTurns>> {
    WORKERS.with_borrow(|workers| workers.last().cloned())
}

/// Something else may happen now.
pub fn turn() {
    if let Some(worker) = current() {
        worker.turn();
    }
}

/// A named place was passed.
pub fn pass(place: &'static str) {
    let Some(worker) = current() else { return };
    let mut world = worker.sim.lock();
    world.note(place.len() as u64);
    if !place.starts_with("stream") && world.chance(|chances| chances.end_at_place)
        || place.starts_with("stream") && world.chance(|chances| chances.end_at_place / 4)
    {
        world.counts.add("ends at named places");
        world.say(|| format!("worker {} ends at {place}", worker.worker));
        drop(world);
        worker.die();
    }
    if world.panics() {
        world.counts.add("panics");
        world.say(|| format!("worker {} panics at {place}", worker.worker));
        // It may be the thread that stores, before it could say that it has.
        world.store_in_doubt = true;
        drop(world);
        std::panic::resume_unwind(Box::new(PANIC))
    }
}

/// From which connection the worker of the moment streams.
pub fn streams(connection: u64, confirmed: Box<dyn Fn() -> Lsn>) {
    if let Some(worker) = current() {
        *worker.stream.borrow_mut() = Some((connection, confirmed));
    }
}

/// Another attempt begins: what the last one streamed from is closed.
pub fn streams_no_more() {
    if let Some(worker) = current() {
        *worker.stream.borrow_mut() = None;
        worker.closed.set(None);
    }
}

/// The connection's end in order, with a last status update.
pub fn ends_in_order() {
    if let Some(worker) = current() {
        worker.update_status();
        let stream = worker.stream.borrow_mut().take();
        worker.closed.set(stream.map(|(connection, _)| connection));
    }
}

impl WorkerTurns {
    pub fn begin(sim: &Sim, parts: Parts, worker: u64, control: Control) -> Rc<WorkerTurns> {
        let turns = Rc::new(WorkerTurns {
            sim: sim.clone(),
            parts,
            worker,
            control,
            committer: RefCell::default(),
            stream: RefCell::default(),
            closed: Cell::default(),
            in_turn: Cell::new(false),
            killed: Cell::new(false),
            paused: Cell::new(false),
            inner: current().is_some(),
        });
        WORKERS.with_borrow_mut(|workers| workers.push(turns.clone()));
        turns
    }

    /// From which it streamed, where its last attempt ended in order.
    pub fn closed(&self) -> Option<u64> {
        self.closed.get()
    }

    pub fn end(&self) {
        WORKERS.with_borrow_mut(|workers| workers.retain(|other| other.worker != self.worker));
        *self.committer.borrow_mut() = None;
        *self.stream.borrow_mut() = None;
        self.sim.lock().end_process(self.worker);
    }

    /// Nothing more of this process happens.
    fn die(&self) -> ! {
        self.killed.set(true);
        std::panic::resume_unwind(Box::new(Killed))
    }

    fn turn(&self) {
        if self.killed.get() {
            self.die();
        }
        if self.in_turn.replace(true) {
            return;
        }
        let steps = {
            let mut world = self.sim.lock();
            if !world.count_turn() {
                drop(world);
                self.die();
            }
            if world.is_complete() {
                world.say(|| format!("worker {}: everything is there, it is stopped", self.worker));
                self.control.stop();
            }
            1 + world.random.below(4)
        };
        for _ in 0..steps {
            self.act();
        }
        self.in_turn.set(false);
    }

    fn act(&self) {
        let mut world = self.sim.lock();
        let which = world.random.below(100);
        world.note(which);
        match which {
            0..30 => {
                drop(world);
                self.step_committer();
            }
            30..62 => {
                let heard = world.step_producer(self.worker);
                drop(world);
                if let Some((heard, listener)) = heard {
                    tell(Some(heard), &*listener);
                }
            }
            62..70 => {
                let transactions = 1 + world.random.below(3) as usize;
                world.server.commit(transactions);
            }
            70..80 => {
                drop(world);
                self.update_status();
            }
            80..88 => {
                let time = world.random.below(60);
                world.pass(Duration::from_millis(time));
            }
            88..92 => {
                let world = &mut *world;
                world.log.show_decided(&world.server);
            }
            92..94 => world.stray_arrives(),
            _ => {
                drop(world);
                self.trouble();
            }
        }
    }

    fn trouble(&self) {
        let mut world = self.sim.lock();
        if self.paused.get() {
            if world.chances.calm || world.random.below(3) == 0 {
                self.paused.set(false);
                self.control.pause(false);
            }
        } else if world.chance(|chances| chances.end * 4) {
            world.counts.add("ends at random moments");
            world.say(|| format!("worker {}: ends at random moments", self.worker));
            drop(world);
            self.die();
        } else if world.chance(|chances| chances.stop * 4) {
            world.counts.add("stops in order");
            world.say(|| format!("worker {}: stops in order", self.worker));
            self.control.stop();
        } else if world.chance(|chances| chances.pause * 4) {
            world.counts.add("pauses");
            world.say(|| format!("worker {}: pauses", self.worker));
            self.paused.set(true);
            self.control.pause(true);
        } else if world.chance(|chances| chances.cut * 4) {
            world.counts.add("connections cut");
            world.say(|| format!("worker {}: connections cut", self.worker));
            world.server.connection += 1;
        } else if world.chance(|chances| chances.transaction_times_out * 4) {
            if world.log.kind == Kind::Transactions && !world.log.open.rows.is_empty() {
                world.counts.add("transactions that timed out");
                world.epochs += 1;
                world.log.open = Default::default();
                world.log.epoch = world.epochs;
            }
        } else if !self.inner && world.log.kind == Kind::Transactions && world.chance(|chances| chances.sleep * 4) {
            world.counts.add("sleepers with a successor");
            world.say(|| format!("worker {}: sleepers with a successor", self.worker));
            drop(world);
            self.parts.live(&self.sim);
        }
    }

    fn step_committer(&self) -> Stepped {
        // What it does may come back here.
        let Some(mut step) = self.committer.borrow_mut().take() else { return Stepped::Ended };
        let stepped = step();
        if self.killed.get() {
            self.die();
        }
        if stepped != Stepped::Ended {
            *self.committer.borrow_mut() = Some(step);
        }
        stepped
    }

    fn update_status(&self) {
        let said = self.stream.borrow().as_ref().map(|(connection, confirmed)| (*connection, confirmed()));
        if let Some((connection, lsn)) = said {
            self.sim.lock().confirm(connection, lsn.0);
        }
    }
}

impl Turns for WorkerTurns {
    fn now(&self) -> Instant {
        self.sim.lock().now
    }

    fn wait(&self, time: Duration) {
        self.turn();
        let mut world = self.sim.lock();
        let part = if world.chances.calm { 250 } else { world.random.below(1000) };
        world.pass(time.mul_f64(part as f64 / 1000.0) + Duration::from_millis(1));
    }

    fn beside(&self, step: Box<dyn FnMut() -> Stepped>) {
        *self.committer.borrow_mut() = Some(step);
    }

    fn join(&self) {
        loop {
            match self.step_committer() {
                Stepped::Ended => return,
                Stepped::On => {}
                Stepped::Waits => self.wait(Duration::from_millis(20)),
            }
            if self.committer.borrow().is_none() {
                return;
            }
        }
    }
}
