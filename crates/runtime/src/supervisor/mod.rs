//! Kafka Connect's herder, for one worker: what should run, what runs, and who is told.
//!
//! ```text
//!   REST ── operation ──▶ configs topic ──▶ Configs (memory) ──▶ reconciler of the connector ──▶ tasks
//!                                              ▲ replay at start              └──▶ StatusBoard ──▶ status topic
//! ```
//! An operation is done when its record is durable; the reconciler then brings the connector to what the record says,
//! and is the only one that starts and stops its tasks. Reading never waits for anything but a short lock.
//!
//! Before the store has answered, every request that needs it is refused with what is waited for.

mod offsets;
mod operations;
mod reconcile;
mod report;
mod signals;
mod sink_offsets;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use walspring_connect::threads::{self, Panic};
use walspring_connect::{Backend, Props, StoreError};

use crate::configs_store::{Configs, Entry};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::refusal::Refusal;
use crate::settings::WorkerSettings;
use crate::status_store::StatusBoard;
use crate::task_control::TaskHandle;

/// How soon it is tried again to start a reconciler.
const REQUEST_AGAIN: Duration = Duration::from_millis(250);

/// Reaches the store; called until it succeeds.
pub type Connect = Box<dyn FnMut() -> Result<Arc<dyn Backend>, StoreError> + Send>;

/// See the module.
pub struct Supervisor {
    settings: Arc<WorkerSettings>,
    plugins: Arc<Plugins>,
    metrics: Arc<Metrics>,
    statuses: Arc<StatusBoard>,
    state: Mutex<State>,
    changed: Condvar,
    /// One write to the configurations topic at a time: what is in memory is in the order of the topic.
    writing: Mutex<()>,
    this: Weak<Supervisor>,
}

struct State {
    phase: Phase,
    backend: Option<Arc<dyn Backend>>,
    cluster_id: Option<String>,
    configs: Configs,
    connectors: HashMap<String, Running>,
    /// A write failed, and whether the topic has its record is not known: it must be read again.
    doubtful: bool,
}

#[derive(Clone, PartialEq)]
enum Phase {
    /// And what is waited for.
    Starting(String),
    Ready,
    Fenced(String),
    Stopping,
}

/// What a connector has in this process.
#[derive(Default)]
struct Running {
    tasks: Vec<TaskHandle>,
    /// The configuration that the tasks were made from.
    applied: Option<Props>,
    /// A reconciler is at work.
    busy: bool,
    /// There is something for it to do.
    dirty: bool,
    restart_connector: bool,
    restart_tasks: BTreeSet<u32>,
}

/// `GET /health`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Starting(String),
    Healthy,
    Unhealthy(String),
}

impl Supervisor {
    /// Returns at once; the store is reached in the background. The error: there can be no thread for it.
    pub fn start(settings: WorkerSettings, plugins: Plugins, connect: Connect) -> io::Result<Arc<Supervisor>> {
        let supervisor = Arc::new_cyclic(|this| Supervisor {
            statuses: StatusBoard::new(&settings.worker_id),
            settings: Arc::new(settings),
            plugins: Arc::new(plugins),
            metrics: Arc::default(),
            state: Mutex::new(State {
                phase: Phase::Starting("the worker has just been started".into()),
                backend: None,
                cluster_id: None,
                configs: Configs::default(),
                connectors: HashMap::new(),
                doubtful: false,
            }),
            changed: Condvar::new(),
            writing: Mutex::new(()),
            this: this.clone(),
        });
        let this = supervisor.clone();
        threads::spawn("supervisor", move || this.run(connect))?;
        Ok(supervisor)
    }

    pub fn settings(&self) -> &WorkerSettings {
        &self.settings
    }

    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The registry behind `/metrics`, for numbers that belong to no task.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The store, once it is reached.
    pub fn backend(&self) -> Option<Arc<dyn Backend>> {
        self.lock().backend.clone()
    }

    pub fn health(&self) -> Health {
        let broken = self.backend().and_then(|backend| backend.broken());
        match &self.lock().phase {
            Phase::Starting(what) => Health::Starting(what.clone()),
            Phase::Ready => broken.map_or(Health::Healthy, Health::Unhealthy),
            Phase::Fenced(why) => Health::Unhealthy(why.clone()),
            Phase::Stopping => Health::Unhealthy("The worker is being stopped.".into()),
        }
    }

    /// Waits until the store has answered. False: not within the time.
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut state = self.lock();
        while matches!(state.phase, Phase::Starting(_)) {
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait(state, left),
                None => break,
            }
        }
        state.phase == Phase::Ready
    }

    /// Stops every task in order: no more polls; what was read becomes durable, its offset is stored and confirmed.
    /// False: not all of it within the time.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut state = self.lock();
        state.phase = Phase::Stopping;
        let names: Vec<String> = state.connectors.keys().cloned().collect();
        names.iter().for_each(|name| self.request(&mut state, name));
        self.changed.notify_all();
        let drained = loop {
            if state.connectors.values().all(|c| !c.busy && !c.dirty) {
                break true;
            }
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait(state, left.min(REQUEST_AGAIN)),
                None => break false,
            }
            self.request_again(&mut state);
        };
        drop(state);
        // Without the store nothing is lost with them: at the next start nothing runs until it does.
        let left = end.saturating_duration_since(Instant::now());
        self.statuses.close(left.clamp(Duration::from_millis(500), Duration::from_secs(3)));
        drained
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The supervisor's own thread. A defect of its own, or what it read, is no reason to leave the connectors alone.
    fn run(self: Arc<Self>, mut connect: Connect) {
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.supervise(&mut connect))) {
            let panic = Panic::caught(&*payload);
            let mut state = self.lock();
            if let Phase::Starting(waits_for) = &mut state.phase {
                *waits_for = format!("{panic}; trying again");
            }
            drop(self.wait(state, Duration::from_secs(5)));
        }
    }

    /// Reaches the store, replays it, and reads it again after a write whose outcome is not known.
    fn supervise(&self, connect: &mut Connect) {
        let backend = match self.backend() {
            Some(backend) => backend,
            None => match self.begin(connect) {
                Some(backend) => backend,
                None => return,
            },
        };
        self.look_after(&*backend);
    }

    /// `None`: the worker stops.
    fn begin(&self, connect: &mut Connect) -> Option<Arc<dyn Backend>> {
        let backend = self.retry("the store cannot be reached", connect)?;
        let configs = self.retry("the configurations cannot be read", &mut || backend.configs().read_to_end())?;
        let statuses = self.retry("the states cannot be read", &mut || backend.statuses().read_to_end())?;
        self.statuses.replay(&statuses);
        self.retry("the states cannot be written", &mut || {
            let started = self.statuses.write_to(backend.statuses());
            started.map_err(|e| StoreError::Transient(format!("no thread can be started for them: {e}")))
        })?;
        let cluster_id = backend.cluster_id();

        let mut state = self.lock();
        if !matches!(state.phase, Phase::Starting(_)) {
            return None;
        }
        state.configs = Configs::replay(&configs);
        state.cluster_id = Some(cluster_id);
        state.backend = Some(backend.clone());
        state.phase = Phase::Ready;
        let names: Vec<String> = state.configs.names().cloned().collect();
        tracing::info!(connectors = names.len(), "the worker is ready");
        names.iter().for_each(|name| self.request(&mut state, name));
        self.changed.notify_all();
        drop(state);
        let this = self.this.clone();
        backend.on_taken_over(Box::new(move |why| {
            if let Some(this) = this.upgrade() {
                this.on_fenced(why.to_owned());
            }
        }));

        Some(backend)
    }

    /// Until the worker stops, and nothing is left that no reconciler could be started for.
    fn look_after(&self, backend: &dyn Backend) {
        let mut state = self.lock();
        loop {
            while !state.doubtful && state.phase == Phase::Ready {
                if let Some(why) = self.statuses.fenced() {
                    drop(state);
                    self.on_fenced(why);
                    state = self.lock();
                    break;
                }
                let left_out = self.request_again(&mut state);
                state = self.wait(state, if left_out { REQUEST_AGAIN } else { Duration::from_secs(5) });
            }
            match state.phase {
                Phase::Ready => {}
                // Who stops the worker sees to it.
                Phase::Stopping | Phase::Starting(_) => return,
                Phase::Fenced(_) => {
                    if !self.request_again(&mut state) {
                        return;
                    }
                    state = self.wait(state, REQUEST_AGAIN);
                    continue;
                }
            }
            state.doubtful = false;
            drop(state);
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(configs) =
                self.retry("the configurations cannot be read", &mut || backend.configs().read_to_end())
            else {
                return;
            };
            state = self.lock();
            let before: Vec<String> = state.configs.names().cloned().collect();
            state.configs = Configs::replay(&configs);
            let names: BTreeSet<String> = state.configs.names().cloned().chain(before).collect();
            names.iter().for_each(|name| self.request(&mut state, name));
        }
    }

    /// Until it succeeds; `None`: the worker stops.
    fn retry<T>(&self, what: &str, attempt: &mut dyn FnMut() -> Result<T, StoreError>) -> Option<T> {
        let mut wait = Duration::from_millis(100);
        loop {
            let error = match attempt() {
                Ok(value) => return Some(value),
                Err(StoreError::Fenced(why)) => {
                    self.on_fenced(why);
                    return None;
                }
                Err(error) => error,
            };
            let text = format!("{what}: {error}");
            if matches!(error, StoreError::Definite(_)) {
                tracing::error!("{text}; trying again");
                wait = Duration::from_secs(5);
            } else {
                tracing::warn!("{text}; trying again");
            }
            let end = Instant::now() + wait;
            wait = (wait * 2).min(Duration::from_secs(5));
            let mut state = self.lock();
            if let Phase::Starting(waits_for) = &mut state.phase {
                *waits_for = text;
            }
            loop {
                if state.phase == Phase::Stopping {
                    return None;
                }
                match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    Some(left) => state = self.wait(state, left),
                    None => break,
                }
            }
        }
    }

    /// Another worker of the group has taken over: everything stops here, and says so.
    fn on_fenced(&self, why: String) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Starting(_) | Phase::Ready) {
            return;
        }
        tracing::error!("another worker with the same group.id has taken over; this one has stopped its tasks: {why}");
        state.phase = Phase::Fenced(format!("Another worker with the same group.id has taken over. {why}"));
        let names: Vec<String> = state.connectors.keys().cloned().collect();
        names.iter().for_each(|name| self.request(&mut state, name));
        self.changed.notify_all();
    }

    /// The store, or why the request is refused.
    fn ready(&self) -> Result<Arc<dyn Backend>, Refusal> {
        let state = self.lock();
        match (&state.phase, &state.backend) {
            (Phase::Ready, Some(backend)) => Ok(backend.clone()),
            (Phase::Fenced(why), _) => Err(Refusal::internal(why)),
            (Phase::Stopping, _) => {
                Err(Refusal::unavailable("Request cannot be completed because the worker is being stopped"))
            }
            (Phase::Starting(what), _) => Err(Refusal::unavailable(format!(
                "Request cannot be completed because the worker is still starting up: {what}"
            ))),
            (Phase::Ready, None) => Err(Refusal::internal("the worker has no store")),
        }
    }

    /// The state, for reading what the store said.
    fn known(&self) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.lock();
        match &state.phase {
            Phase::Starting(what) => Err(Refusal::unavailable(format!(
                "Request cannot be completed because the worker is still starting up: {what}"
            ))),
            _ => Ok(state),
        }
    }

    /// Writes to the configurations topic what `entries` makes of the state, takes it in, and lets the connector's
    /// reconciler look. Nothing is written when it refuses.
    fn write(&self, name: &str, entries: impl FnOnce(&Configs) -> Result<Vec<Entry>, Refusal>) -> Result<(), Refusal> {
        let backend = self.ready()?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries(&self.lock().configs)?;
        let written = backend.configs().write(&entries);
        match written {
            Ok(()) => {
                let mut state = self.lock();
                state.configs.apply_all(&entries);
                self.request(&mut state, name);
                Ok(())
            }
            Err(error) => {
                match &error {
                    StoreError::Fenced(why) => self.on_fenced(why.clone()),
                    _ => {
                        self.lock().doubtful = true;
                        self.changed.notify_all();
                    }
                }
                Err(error.into())
            }
        }
    }

    /// Lets the connector's reconciler look; starts one if none is at work.
    fn request(&self, state: &mut State, name: &str) {
        let entry = state.connectors.entry(name.to_owned()).or_default();
        entry.dirty = true;
        self.changed.notify_all();
        if !entry.busy {
            let Some(this) = self.this.upgrade() else { return };
            entry.busy = true;
            let of_thread = name.to_owned();
            if let Err(e) = threads::spawn(format!("reconcile-{name}"), move || this.reconcile_loop(&of_thread)) {
                tracing::error!(
                    connector = name,
                    "no thread can be started to look after the connector, it will be tried again: {e}"
                );
                entry.busy = false;
            }
        }
    }

    /// Of those for which no reconciler could be started. False: there were none.
    fn request_again(&self, state: &mut State) -> bool {
        let left_out = state.connectors.iter().filter(|(_, running)| running.dirty && !running.busy);
        let names: Vec<String> = left_out.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.request(state, name));
        !names.is_empty()
    }

    /// Waits until the connector is as it should be.
    pub fn wait_reconciled(&self, name: &str, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut state = self.lock();
        while state.connectors.get(name).is_some_and(|c| c.busy) {
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait(state, left),
                None => return false,
            }
        }
        true
    }
}
