//! The second thread of a task: stores offsets once their records are durable, and tells the source.
//!
//! The writer's own thread only notes what has become durable; everything that waits is done here. In a transactional
//! writer the offset is stored already, and what is left is telling the source.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use walspring_connect::writer::{DurabilityListener, WriteError};
use walspring_connect::{CONNECT_EXCEPTION, Feedback, StoreError, TaskError, fault, threads};
use walspring_record::SourceOffset;

use crate::metrics::TaskMetrics;
use crate::offset_tracker::OffsetTracker;
use crate::offsets_store::{self, ConnectorOffsets};
use crate::turns::{self, Stepped};

const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// What the threads of one attempt at a task share.
pub(crate) struct Commits {
    state: Mutex<State>,
    changed: Condvar,
    metrics: Arc<TaskMetrics>,
    /// Something was stored or confirmed in this attempt.
    progress: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    tracker: OffsetTracker<SourceOffset>,
    failed: Option<Failure>,
    /// What the attempt began from and stored anew: that is no progress.
    stored_again: Option<SourceOffset>,
    /// Store now, not when it is due.
    hurry: bool,
    phase: Phase,
    /// The thread is gone.
    ended: bool,
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
    /// `progress` becomes true when something new has been stored or confirmed.
    pub fn new(metrics: Arc<TaskMetrics>, progress: Arc<AtomicBool>) -> Arc<Commits> {
        Arc::new(Commits { state: Mutex::default(), changed: Condvar::new(), metrics, progress })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        if let Some(turns) = turns::simulated() {
            drop(state);
            turns.wait(time);
            return self.lock();
        }
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

    /// Waits until everything submitted is durable, stored and confirmed. False: the time was over, or something failed.
    pub fn settle(&self, end: Instant) -> bool {
        let mut state = self.lock();
        state.hurry = true;
        self.changed.notify_all();
        while !state.tracker.is_settled() && state.failed.is_none() && !state.ended {
            match end.checked_duration_since(turns::now()).filter(|left| !left.is_zero()) {
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
    pub fn run(&self, mut committing: Committing, look: &dyn Fn()) {
        let _end = EndOnDrop(self);
        loop {
            let job = self.next_job(&mut committing, look);
            if !self.perform(job, &mut committing) {
                return;
            }
        }
    }

    /// As much of [`Self::run`] as is due now, and no waiting: how a simulation plays the thread.
    pub fn step(&self, committing: &mut Committing) -> Stepped {
        let stepped = threads::guarded(|| self.try_step(committing)).unwrap_or(Stepped::Ended);
        if stepped == Stepped::Ended {
            self.change(|state| state.ended = true);
        }
        stepped
    }

    fn try_step(&self, committing: &mut Committing) -> Stepped {
        let decided = committing.decide(&mut self.lock());
        match decided {
            Decision::Do(job) => {
                if self.perform(job, committing) {
                    Stepped::On
                } else {
                    Stepped::Ended
                }
            }
            Decision::Wait(_) | Decision::Idle => Stepped::Waits,
        }
    }

    /// False: the thread ends.
    fn perform(&self, job: Job, committing: &mut Committing) -> bool {
        let store = &committing.store;
        match job {
            Job::End => return false,
            Job::Confirm(offset) => {
                committing.feedback.stored(&offset);
                fault::point("offset.confirmed");
                self.change(|state| {
                    state.tracker.confirmed();
                    if state.stored_again.as_ref() != Some(&offset) {
                        self.progress.store(true, Ordering::Release);
                    }
                });
                if store.beside && turns::now() >= committing.beside_due {
                    committing.beside_due = turns::now() + store.interval;
                    if let Err(e) = store.offsets.store_beside(store.key.clone(), offsets_store::value(&offset)) {
                        tracing::warn!("the offset was stored, but not in the worker's topic too: {e}");
                    }
                }
            }
            Job::Store(offset) => match store.offsets.store(store.key.clone(), stored_value(&offset)) {
                Ok(()) => {
                    fault::point("offset.stored");
                    self.metrics.offset_stores.add(1);
                    committing.retry = RETRY_FIRST;
                    committing.due = turns::now() + store.interval;
                    self.change(|state| state.tracker.stored(offset));
                }
                Err(StoreError::Transient(why)) => {
                    tracing::warn!("an offset cannot be stored, will be tried again: {why}");
                    committing.due = turns::now() + committing.retry;
                    committing.failed_until = Some(committing.due);
                    committing.retry = (committing.retry * 2).min(RETRY_LAST);
                    self.change(|state| state.tracker.not_stored(offset));
                }
                Err(e) => {
                    self.change(|state| {
                        state.tracker.not_stored(offset);
                        state.failed.get_or_insert(Failure::Store(e));
                    });
                    return false;
                }
            },
        }
        true
    }

    fn next_job(&self, committing: &mut Committing, look: &dyn Fn()) -> Job {
        let mut state = self.lock();
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        loop {
            let due = match committing.decide(&mut state) {
                Decision::Do(job) => return job,
                Decision::Wait(left) => left,
                Decision::Idle => LOOK_INTERVAL,
            };
            let left = look_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                look();
                look_at = Instant::now() + LOOK_INTERVAL;
                state = self.lock();
            } else {
                state = self.wait(state, due.min(left));
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Nobody waits for a thread that has panicked.
struct EndOnDrop<'a>(&'a Commits);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

/// What the thread goes by.
pub(crate) struct Committing {
    store: Store,
    feedback: Arc<dyn Feedback>,
    due: Instant,
    beside_due: Instant,
    retry: Duration,
    /// After a failed attempt not even a hurried one follows at once.
    failed_until: Option<Instant>,
}

impl Committing {
    pub fn new(store: Store, feedback: Arc<dyn Feedback>) -> Committing {
        let now = turns::now();
        Committing { store, feedback, due: now, beside_due: now, retry: RETRY_FIRST, failed_until: None }
    }

    fn decide(&mut self, state: &mut State) -> Decision {
        if state.phase == Phase::Abandoned {
            return Decision::Do(Job::End);
        }
        if let Some(until) = self.failed_until {
            // The task ends: there is no other attempt.
            if state.phase == Phase::Closing {
                return Decision::Do(Job::End);
            }
            let left = until.saturating_duration_since(turns::now());
            if !left.is_zero() {
                return Decision::Wait(left);
            }
            self.failed_until = None;
        }
        if let Some(offset) = state.tracker.begin_confirm() {
            return Decision::Do(Job::Confirm(offset));
        }
        if !state.tracker.has_storable() {
            return if state.phase == Phase::Closing { Decision::Do(Job::End) } else { Decision::Idle };
        }
        let left = self.due.saturating_duration_since(turns::now());
        if left.is_zero() || state.hurry || state.phase == Phase::Closing {
            return Decision::Do(state.tracker.begin_store().map_or(Job::End, Job::Store));
        }
        Decision::Wait(left)
    }
}

fn stored_value(offset: &SourceOffset) -> Vec<u8> {
    fault::point("offset.store");
    offsets_store::value(offset)
}

enum Decision {
    Do(Job),
    Wait(Duration),
    /// Nothing is to be stored or confirmed.
    Idle,
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
