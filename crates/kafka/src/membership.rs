//! The worker's place in `group.id`: a member of type `connect` that offers a protocol of our own.
//!
//! A broker refuses a join that shares no protocol with the members there are. So while a worker of Kafka Connect is
//! in the group we are refused, and while we are in it, it is: nobody reads a slot twice, whichever side was first.
//! Between workers of ours the group decides, too: the newest takes over, and the one before it hears so with its
//! next heartbeat. (Where configurations are written in transactions it is fenced even before that.)
//!
//! This is no distribution of work: one worker has it all.

pub(crate) mod coordinator;
mod protocol;
mod session;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use walspring_connect::{StoreError, threads};

use crate::client_config::{ClientOptions, LoginOptions};
use session::Session;

/// A join that is refused is refused at once; after this long without a refusal we are in the group, though others
/// may still have to hear of it.
const ACCEPTED_AFTER: Duration = Duration::from_millis(300);
/// A predecessor that lives hears of us within a heartbeat. A dead one is waited for as long: most of what a restart after a
/// crash took, where there are no transactions.
const PREDECESSOR_LEAVES_WITHIN: Duration = Duration::from_millis(1000);
/// For finding the coordinator, which on a new cluster first makes its topic.
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Who asks hears by then why a cluster that is not there cannot be reached; it is tried again.
const TROUBLE_AFTER: Duration = Duration::from_secs(3);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// After a defect; well below the session's timeout.
const BROKE_OFF_WAIT: Duration = Duration::from_secs(1);

/// What to do about a worker of ours that may still be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessors {
    /// It is fenced by other means: go on as soon as we are in the group.
    Fence,
    /// Wait until it has heard of us, unless it is dead.
    WaitFor,
}

/// The place in the group; dropping it leaves the group, so that the next worker, whosever, need not wait.
pub struct Membership {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

type OnLost = Box<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    leave: Notify,
}

#[derive(Default)]
struct State {
    progress: Progress,
    /// Why the coordinator could not be asked the last time.
    trouble: Option<String>,
    /// When the last answer of the coordinator was asked for that says we are in the group.
    in_group_at: Option<Instant>,
    on_lost: Vec<OnLost>,
    ended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Progress {
    /// Not in the group yet; what is in the way.
    #[default]
    Starting,
    Refused(StoreErrorText),
    /// The request to join is with the coordinator.
    Joining,
    Active,
    /// Another worker has taken over.
    Lost(String),
}

/// The text, and whether it will go away by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoreErrorText {
    text: String,
    is_definite: bool,
}

impl Membership {
    /// Takes a place. [`StoreError::Transient`]: the group is held by workers of Kafka Connect, or the cluster does not
    /// answer.
    pub fn join(group_id: &str, options: &ClientOptions, predecessors: Predecessors) -> Result<Self, StoreError> {
        let shared = Arc::<Shared>::default();
        if matches!(options.login, Some(LoginOptions::Kerberos { .. })) {
            tracing::warn!(
                group_id,
                "with Kerberos the group is not held: do not start Kafka Connect with the same group.id"
            );
            return Ok(Self { shared, thread: None });
        }
        let mut session = Session::new(group_id, options).map_err(StoreError::Definite)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Transient(format!("no event loop: {error}")))?;
        let working = shared.clone();
        let thread = threads::spawn_aside("kafka-group", move || {
            // The place is kept whatever breaks off here: without it nothing may be written.
            while catch_unwind(AssertUnwindSafe(|| runtime.block_on(session.run(&working)))).is_err() {
                std::thread::sleep(BROKE_OFF_WAIT);
            }
            working.lock().ended = true;
            working.changed.notify_all();
            runtime.shutdown_background();
        })
        .map_err(|error| StoreError::Transient(format!("no thread for the group: {error}")))?;
        let membership = Self { shared, thread: Some(thread) };
        membership.wait_for_place(predecessors)?;
        Ok(membership)
    }

    fn wait_for_place(&self, predecessors: Predecessors) -> Result<(), StoreError> {
        let wait = |timeout: Duration, busy: fn(&State) -> bool| {
            let state = self.shared.lock();
            let (state, _) = self
                .shared
                .changed
                .wait_timeout_while(state, timeout, |state| !state.ended && busy(state))
                .unwrap_or_else(PoisonError::into_inner);
            state.progress.clone()
        };
        let mut progress = wait(TROUBLE_AFTER, |state| state.progress == Progress::Starting);
        if progress == Progress::Starting {
            let left = JOIN_TIMEOUT - TROUBLE_AFTER;
            progress = wait(left, |state| state.progress == Progress::Starting && state.trouble.is_none());
        }
        if progress == Progress::Joining {
            let grace = match predecessors {
                Predecessors::Fence => ACCEPTED_AFTER,
                Predecessors::WaitFor => PREDECESSOR_LEAVES_WITHIN,
            };
            progress = wait(grace, |state| state.progress == Progress::Joining);
        }
        match progress {
            Progress::Joining | Progress::Active => Ok(()),
            Progress::Starting => {
                let trouble = self.shared.lock().trouble.take();
                let trouble = trouble.unwrap_or_else(|| "the group's coordinator does not answer".into());
                Err(StoreError::Transient(format!("waiting for Kafka: {trouble}")))
            }
            Progress::Refused(StoreErrorText { text, is_definite: true }) => Err(StoreError::Definite(text)),
            Progress::Refused(StoreErrorText { text, .. }) => Err(StoreError::Transient(text)),
            Progress::Lost(text) => Err(StoreError::Fenced(text)),
        }
    }

    /// A check that fails unless the group is ours as far as one can know: fencing with a transactional id is for who
    /// holds the group. A worker that was cut off or frozen must not fence the one that has taken over meanwhile.
    pub fn checker(&self) -> Arc<dyn Fn() -> Result<(), StoreError> + Send + Sync> {
        let shared = self.shared.clone();
        Arc::new(move || shared.check())
    }

    /// Why this worker must stop, if it must.
    pub fn lost(&self) -> Option<String> {
        match &self.shared.lock().progress {
            Progress::Lost(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Calls `on_lost` when this worker must stop, on the group's thread; at once when it must already.
    pub fn on_lost(&self, on_lost: impl Fn(&str) + Send + Sync + 'static) {
        let mut state = self.shared.lock();
        match &state.progress {
            Progress::Lost(text) => {
                let text = text.clone();
                drop(state);
                on_lost(&text);
            }
            _ => state.on_lost.push(Box::new(on_lost)),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.leave.notify_one();
        let Some(thread) = self.thread.take() else { return };
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, LEAVE_TIMEOUT, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.ended;
        drop(state);
        if ended && thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), StoreError> {
        let state = self.lock();
        match &state.progress {
            Progress::Lost(text) => Err(StoreError::Fenced(text.clone())),
            Progress::Active if state.in_group_at.is_some_and(|at| at.elapsed() >= session::SESSION_TIMEOUT) => {
                let trouble = state.trouble.as_deref().unwrap_or("no answer");
                Err(StoreError::Transient(format!(
                    "waiting to hear from the group's coordinator that the group is still ours: {trouble}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn set(&self, progress: Progress) {
        let mut state = self.lock();
        let lost = match &progress {
            Progress::Lost(text) => Some((text.clone(), std::mem::take(&mut state.on_lost))),
            _ => None,
        };
        state.progress = progress;
        drop(state);
        self.changed.notify_all();
        if let Some((text, on_lost)) = lost {
            tracing::error!("{text}");
            for call in on_lost {
                call(&text);
            }
        }
    }
}
