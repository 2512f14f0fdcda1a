//! The second thread of a task: stores offsets once their records are durable, and tells the source.
//!
//! The writer's own thread only notes what has become durable; everything that waits is done here. In a transactional
//! writer the offset is stored already, and what is left is telling the source.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use walspring_connect::writer::{DurabilityListener, WriteError};
use walspring_connect::{CONNECT_EXCEPTION, Feedback, StoreError, TaskError, fault};
use walspring_record::SourceOffset;

use crate::metrics::TaskMetrics;
use crate::offset_tracker::OffsetTracker;
use crate::offsets_store::{self, ConnectorOffsets};

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the threads of one attempt at a task share.
pub(crate) struct Commits {
    state: Mutex<State>,
    changed: Condvar,
    metrics: Arc<TaskMetrics>,
}

#[derive(Default)]
struct State {
    tracker: OffsetTracker<SourceOffset>,
    failed: Option<Failure>,
    /// Something was stored or confirmed in this attempt.
    progress: bool,
    /// What the attempt began from and stored anew: that is no progress.
    stored_again: Option<SourceOffset>,
    /// Store now, not when it is due.
    hurry: bool,
    phase: Phase,
}

#[derive(Default, PartialEq)]
enum Phase {
    #[default]
    Open,
    /// Store what is durable, then end.
    Closing,
    /// End now.
    Abandoned,
}

enum Failure {
    Writer(WriteError),
    Store(StoreError),
}

impl Commits {
    pub fn new(metrics: Arc<TaskMetrics>) -> Arc<Commits> {
        Arc::new(Commits { state: Mutex::default(), changed: Condvar::new(), metrics })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Before the writer gets the ticket.
    pub fn submitted(&self, number: u64, offset: Option<SourceOffset>, bytes: usize) {
        let mut state = self.lock();
        state.tracker.submitted(number, offset, bytes);
        self.metrics.queue_bytes.set(state.tracker.in_flight_bytes() as f64);
    }

    /// Whether writer and store are well.
    pub fn check(&self) -> Result<(), TaskError> {
        match &self.lock().failed {
            None => Ok(()),
            Some(Failure::Writer(e)) => Err(write_error(e)),
            Some(Failure::Store(e)) => Err(store_error(e)),
        }
    }

    /// Before [`Self::submitted`] of an offset that was stored by an attempt before this.
    pub fn will_store_again(&self, offset: SourceOffset) {
        self.lock().stored_again = Some(offset);
    }

    pub fn made_progress(&self) -> bool {
        self.lock().progress
    }

    /// Waits until everything submitted is durable, stored and confirmed. False: the time was over, or something failed.
    pub fn settle(&self, end: Instant) -> bool {
        let mut state = self.lock();
        state.hurry = true;
        self.changed.notify_all();
        while !state.tracker.is_settled() && state.failed.is_none() {
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait(state, left),
                None => break,
            }
        }
        state.hurry = false;
        state.tracker.is_settled()
    }

    /// Lets the thread store what is durable and end.
    pub fn close(&self) {
        self.lock().phase = Phase::Closing;
        self.changed.notify_all();
    }

    /// Lets the thread end without storing anything more.
    pub fn abandon(&self) {
        self.lock().phase = Phase::Abandoned;
        self.changed.notify_all();
    }

    /// The thread's work. `look` is called about once a second while there is nothing else to do.
    pub fn run(&self, store: &Store, feedback: &dyn Feedback, look: &dyn Fn()) {
        let mut due = Instant::now();
        let mut beside_due = Instant::now();
        let mut retry = Duration::from_millis(200);
        loop {
            match self.next_job(due, look) {
                Job::End => return,
                Job::Confirm(offset) => {
                    feedback.stored(&offset);
                    fault::point("offset.confirmed");
                    self.change(|state| {
                        state.tracker.confirmed();
                        state.progress |= state.stored_again.as_ref() != Some(&offset);
                    });
                    if store.beside && Instant::now() >= beside_due {
                        beside_due = Instant::now() + store.interval;
                        if let Err(e) = store.offsets.store_beside(store.key.clone(), offsets_store::value(&offset)) {
                            tracing::warn!("the offset was stored, but not in the worker's topic too: {e}");
                        }
                    }
                }
                Job::Store(offset) => match store.offsets.store(store.key.clone(), stored_value(&offset)) {
                    Ok(()) => {
                        fault::point("offset.stored");
                        self.metrics.offset_stores.add(1);
                        retry = Duration::from_millis(200);
                        due = Instant::now() + store.interval;
                        self.change(|state| state.tracker.stored(offset));
                    }
                    Err(StoreError::Transient(why)) => {
                        tracing::warn!("an offset cannot be stored, will be tried again: {why}");
                        due = Instant::now() + retry;
                        retry = (retry * 2).min(Duration::from_secs(10));
                        self.change(|state| state.tracker.not_stored(offset));
                        if !self.pause_until(due) {
                            return;
                        }
                    }
                    Err(e) => {
                        self.change(|state| {
                            state.tracker.not_stored(offset);
                            state.failed.get_or_insert(Failure::Store(e));
                        });
                        return;
                    }
                },
            }
        }
    }

    fn next_job(&self, due: Instant, look: &dyn Fn()) -> Job {
        let mut state = self.lock();
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        loop {
            if state.phase == Phase::Abandoned {
                return Job::End;
            }
            if let Some(offset) = state.tracker.begin_confirm() {
                return Job::Confirm(offset);
            }
            if !state.tracker.has_storable() {
                if state.phase == Phase::Closing {
                    return Job::End;
                }
                let left = look_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    drop(state);
                    look();
                    look_at = Instant::now() + LOOK_INTERVAL;
                    state = self.lock();
                } else {
                    state = self.wait(state, left);
                }
                continue;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || state.hurry || state.phase == Phase::Closing {
                return state.tracker.begin_store().map_or(Job::End, Job::Store);
            }
            state = self.wait(state, left);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// After a failed attempt not even a hurried one follows at once. False: the task ends, there is no other attempt.
    fn pause_until(&self, time: Instant) -> bool {
        let mut state = self.lock();
        while state.phase == Phase::Open {
            match time.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait(state, left),
                None => return true,
            }
        }
        false
    }
}

fn stored_value(offset: &SourceOffset) -> Vec<u8> {
    fault::point("offset.store");
    offsets_store::value(offset)
}

enum Job {
    Store(SourceOffset),
    Confirm(SourceOffset),
    End,
}

/// Where the offsets of a task go.
pub(crate) struct Store {
    pub offsets: ConnectorOffsets,
    pub key: Vec<u8>,
    pub interval: Duration,
    /// The writer stores the offset in the connector's own topic; we store it in the worker's too.
    pub beside: bool,
}

impl DurabilityListener for Commits {
    fn durable(&self, ticket: u64, offset_stored: bool) {
        let mut state = self.lock();
        state.tracker.durable(ticket, offset_stored);
        self.metrics.queue_bytes.set(state.tracker.in_flight_bytes() as f64);
        self.changed.notify_all();
    }

    fn failed(&self, error: WriteError) {
        self.lock().failed.get_or_insert(Failure::Writer(error));
        self.changed.notify_all();
    }
}

/// The class by which a fenced task is recognised.
pub(crate) const FENCED: &str = "org.apache.kafka.common.errors.ProducerFencedException";

pub(crate) fn write_error(error: &WriteError) -> TaskError {
    let definite = |class, message: &String| {
        TaskError::definite(CONNECT_EXCEPTION, "Unrecoverable exception from producer send callback")
            .caused_by(class, message)
    };
    match error {
        WriteError::Transient(message) => TaskError::transient(CONNECT_EXCEPTION, message),
        WriteError::Fenced(message) => fenced(message),
        WriteError::RecordTooLarge(message) => {
            definite("org.apache.kafka.common.errors.RecordTooLargeException", message)
        }
        WriteError::Definite(message) => definite("org.apache.kafka.common.KafkaException", message),
    }
}

pub(crate) fn store_error(error: &StoreError) -> TaskError {
    match error {
        StoreError::Transient(message) => TaskError::transient(CONNECT_EXCEPTION, message),
        StoreError::Definite(message) => TaskError::definite(CONNECT_EXCEPTION, message),
        StoreError::Fenced(message) => fenced(message),
    }
}

fn fenced(message: &str) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, "another worker with the same group.id has taken over")
        .caused_by(FENCED, message)
        .hint("run one worker of a group at a time, or give this one another group.id and topics of its own")
}
