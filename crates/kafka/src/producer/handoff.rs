//! Between the task's thread, which submits, and the producer's thread, which sends: one lock, two ways to be woken.
//!
//! The bound in bytes is kept here: a ticket counts from its submission until its batches are acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use walspring_connect::writer::{Ticket, TopicInfo, WriteError};

/// A question about a topic, answered by the producer's thread.
pub(super) struct TopicQuestion {
    pub name: String,
    pub answer: std::sync::mpsc::Sender<Result<TopicInfo, WriteError>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Ticket>,
    questions: Vec<TopicQuestion>,
    /// Of tickets submitted and not acknowledged.
    bytes: usize,
    submitted: u64,
    durable: u64,
    idle: bool,
    /// Somebody waits for all that was submitted.
    flushing: bool,
    aborted: bool,
    failure: Option<WriteError>,
    status: String,
}

pub(super) struct Handoff {
    state: Mutex<State>,
    /// For the task's thread: room, durability or an end.
    changed: Condvar,
    /// For the producer's thread.
    wake: Notify,
    pub(super) bytes_max: usize,
}

impl Handoff {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), wake: Notify::new(), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The task's side.

    pub(super) fn submit(&self, ticket: Ticket) -> Result<(), WriteError> {
        let size = ticket.size();
        let mut state = self.state();
        loop {
            if let Some(error) = ended(&state) {
                return Err(error);
            }
            if state.bytes == 0 || state.bytes + size <= self.bytes_max {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += size;
        state.submitted = ticket.number;
        state.idle = false;
        state.flushing = false;
        state.queue.push_back(ticket);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn idle(&self) {
        let mut state = self.state();
        if !state.idle {
            state.idle = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    pub(super) fn flush(&self, timeout: Duration) -> Result<(), WriteError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        (state.idle, state.flushing) = (true, true);
        self.wake.notify_one();
        loop {
            if let Some(error) = ended(&state) {
                return Err(error);
            }
            if state.durable >= state.submitted {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let waiting = if state.status.is_empty() { String::new() } else { format!(": {}", state.status) };
                return Err(WriteError::Transient(format!(
                    "Kafka did not acknowledge everything within {} ms{waiting}",
                    timeout.as_millis()
                )));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn ask(&self, question: TopicQuestion) -> Result<(), WriteError> {
        let mut state = self.state();
        if let Some(error) = ended(&state) {
            return Err(error);
        }
        state.questions.push(question);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn abort(&self) {
        let mut state = self.state();
        state.aborted = true;
        state.queue.clear();
        drop(state);
        self.changed.notify_all();
        self.wake.notify_one();
    }

    pub(super) fn status(&self) -> String {
        self.state().status.clone()
    }

    // The producer's side.

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take(&self) -> Option<Ticket> {
        self.state().queue.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.idle && state.queue.is_empty()
    }

    pub(super) fn is_flushing(&self) -> bool {
        let state = self.state();
        state.flushing && state.queue.is_empty()
    }

    pub(super) fn has_tickets(&self) -> bool {
        !self.state().queue.is_empty()
    }

    pub(super) fn questions(&self) -> Vec<TopicQuestion> {
        std::mem::take(&mut self.state().questions)
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.state().aborted
    }

    /// Kafka goes on: there is nothing to wait for, and these bytes of submitted tickets are no longer held.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.state();
        state.status.clear();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// These bytes were taken out of a ticket and do not count any more.
    pub(super) fn forget(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn durable(&self, ticket: u64) {
        let mut state = self.state();
        state.durable = ticket;
        state.status.clear();
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn set_status(&self, status: String) {
        self.state().status = status;
    }

    /// Nothing is taken any more; who waits is told why. Questions are dropped, which their askers hear.
    pub(super) fn end(&self, error: WriteError) {
        let mut state = self.state();
        state.failure.get_or_insert(error);
        state.queue.clear();
        state.questions.clear();
        drop(state);
        self.changed.notify_all();
    }
}

/// Nobody waits for a producer of which a part has panicked.
pub(super) struct EndOnPanic(pub Arc<Handoff>);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(WriteError::Transient("the Kafka producer's thread panicked".into()));
        }
    }
}

fn ended(state: &State) -> Option<WriteError> {
    if state.aborted {
        return Some(WriteError::Transient("the producer was stopped".into()));
    }
    state.failure.clone()
}
