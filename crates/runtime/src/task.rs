//! The life of a task: attempts, one after the other, until it is stopped or fails for good.
//!
//! ```text
//!   attempt ── stopped ──▶ end          an attempt: see `source_attempt.rs` and `sink/mod.rs`
//!      ▲  └─── definite, one panic too many ──▶ FAILED ── its secrets are others now: a new attempt
//!      └ back-off ◀── transient, panic: RESTARTING, the trace says what is waited for
//! ```
//! A panic of any thread of an attempt ends it: they are one crew (`walspring_connect::threads`). What such a thread held is
//! gone with its attempt, and the next one begins at the stored offset, so nothing that a defect left behind is used again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use walspring_connect::threads::{self, Crew, Panic};
use walspring_connect::{Backend, CONNECT_EXCEPTION, ConvertError, Kind, Panics, TaskError};

use crate::committer::FENCED;
use crate::info::State;
use crate::metrics::{Metrics, TaskMetrics};
use crate::plugins::{ConnectorPlugin, Plugins};
use crate::restarts::{Backoff, is_taken_for_passing, restart_wait, source_retries_max};
use crate::settings::WorkerSettings;
use crate::status_store::StatusBoard;
use crate::task_control::{TaskControl, TaskHandle, Wish};
use crate::task_status::TaskStatus;
use crate::turns;

const SECRETS_FIRST_LOOK: Duration = Duration::from_secs(1);
const SECRETS_LAST_LOOK: Duration = Duration::from_secs(60);

/// Everything that a task needs.
pub(crate) struct TaskContext {
    pub connector: String,
    pub task: u32,
    /// As stored, with its references.
    pub config: walspring_connect::Props,
    pub plugin: ConnectorPlugin,
    pub plugins: Arc<Plugins>,
    pub settings: Arc<WorkerSettings>,
    pub backend: Arc<dyn Backend>,
    pub statuses: Arc<StatusBoard>,
    pub metrics: Arc<Metrics>,
    /// Hears that another worker has taken over.
    pub on_fenced: Arc<dyn Fn(String) + Send + Sync>,
}

/// Starts a task's thread.
pub(crate) fn spawn(context: TaskContext, paused: bool) -> std::io::Result<TaskHandle> {
    let control = TaskControl::new(if paused { Wish::Pause } else { Wish::Run });
    let task = context.task;
    let thread = {
        let control = control.clone();
        threads::spawn(format!("task-{}-{task}", context.connector), move || {
            let _end = EndOnDrop(&control);
            let life = Life::new(&context, &control);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| life.live())) {
                life.shared.set(State::Failed, Some(broke_off(&Panic::caught(&*payload)).trace()));
            }
        })?
    };
    Ok(TaskHandle { task, control, thread: Some(thread) })
}

struct EndOnDrop<'a>(&'a TaskControl);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

pub(crate) struct Life<'a> {
    pub context: &'a TaskContext,
    pub control: &'a Arc<TaskControl>,
    pub metrics: Arc<TaskMetrics>,
    pub shared: Arc<TaskStatus>,
    /// Something was stored in this attempt: the next one begins further on.
    pub progress: Arc<AtomicBool>,
}

/// How an attempt ended, when not in order.
pub(crate) struct AttemptFailed {
    pub error: TaskError,
    /// It came from the source, whose retries may be limited.
    pub of_source: bool,
}

impl From<TaskError> for AttemptFailed {
    fn from(error: TaskError) -> AttemptFailed {
        AttemptFailed { error, of_source: false }
    }
}

impl<'a> Life<'a> {
    pub fn new(context: &'a TaskContext, control: &'a Arc<TaskControl>) -> Life<'a> {
        let metrics = Arc::new(TaskMetrics::new(
            &context.metrics,
            &context.connector,
            context.task,
            matches!(context.plugin, ConnectorPlugin::Source(_)),
        ));
        let shared = Arc::new(TaskStatus {
            connector: context.connector.clone(),
            task: context.task,
            version: context.plugin.version(),
            statuses: context.statuses.clone(),
            metrics: metrics.clone(),
            control: control.clone(),
            seen: Default::default(),
        });
        Life { context, control, metrics, shared, progress: Arc::default() }
    }

    pub fn live(&self) {
        let mut backoff = Backoff::new(&self.context.connector, self.context.task);
        let mut panics = Panics::default();
        backoff.fix(restart_wait(&self.given("retriable.restart.connector.wait.ms")));
        loop {
            if self.control.wish() == Wish::Pause {
                self.shared.set(State::Paused, None);
            }
            if self.control.wait_while_paused() == Wish::Stop {
                return;
            }
            let mut secrets = None;
            self.progress.store(false, Ordering::Release);
            let crew = self.crew();
            let attempt = {
                let _boarded = crew.board();
                catch_unwind(AssertUnwindSafe(|| {
                    secrets = self.secrets();
                    self.attempt()
                }))
            };
            self.control.set_interrupter(None);
            self.shared.begin_anew();
            let panic = match &attempt {
                Ok(Ok(())) => return,
                Ok(Err(failed)) if is_fenced(&failed.error) => None,
                Ok(Err(_)) => crew.panic(),
                Err(payload) => Some(crew.panic().unwrap_or_else(|| Panic::caught(&**payload))),
            };
            if self.control.wish() == Wish::Stop {
                return;
            }
            if self.progress.load(Ordering::Acquire) {
                backoff.reset();
                panics.progress();
            }
            let panicked = panic.is_some();
            let AttemptFailed { error, of_source } = match (panic, attempt) {
                // What else failed followed from it.
                (Some(panic), _) => AttemptFailed { error: after(&panic, &mut panics), of_source: true },
                (None, Ok(Err(failed))) => failed,
                (None, _) => return,
            };
            let fenced = is_fenced(&error);
            let passes = || {
                let taken_for_passing = self.given("internal.custom.retriable.exception");
                error.is_transient() || (of_source && !panicked && is_taken_for_passing(&taken_for_passing, &error))
            };
            let again = if fenced { self.is_still_ours(&error) } else { passes() };
            let tired = of_source && self.source_retries().is_some_and(|max| backoff.attempts() >= max);
            if !again || tired {
                tracing::error!(connector = %self.context.connector, task = self.context.task, "the task failed: {error}");
                self.shared.set(State::Failed, Some(error.trace()));
                if fenced || !self.wait_for_other_secrets(secrets) {
                    return;
                }
                tracing::info!(
                    connector = %self.context.connector, task = self.context.task,
                    "what its configuration refers to has changed: the task is started again"
                );
                backoff.reset();
                self.shared.set(State::Restarting, Some(error.trace()));
                self.metrics.restarts.add(1);
                continue;
            }
            let wait = backoff.next();
            tracing::warn!(
                connector = %self.context.connector, task = self.context.task, wait_ms = wait.as_millis() as u64,
                "the task will be started again: {error}"
            );
            self.shared.set(State::Restarting, Some(error.trace()));
            self.metrics.restarts.add(1);
            self.control.wait(wait);
        }
    }

    /// A transaction that timed out fences its writer too; then nobody else is there.
    fn is_still_ours(&self, error: &TaskError) -> bool {
        match self.context.backend.still_ours() {
            Ok(true) => true,
            Err(walspring_connect::StoreError::Transient(_)) => true,
            _ => {
                (self.context.on_fenced)(error.to_string());
                false
            }
        }
    }

    /// Of another attempt.
    fn crew(&self) -> Arc<Crew> {
        let (panics, control) = (self.metrics.panics.clone(), self.control.clone());
        Crew::new(move || panics.add(1), move || control.interrupt())
    }

    fn source_retries(&self) -> Option<u32> {
        source_retries_max(&self.given("errors.max.retries"))
    }

    /// One option as it was given, if it was.
    fn given(&self, name: &str) -> Vec<(String, String)> {
        let value = self.context.config.get(name).and_then(|value| value.as_str());
        value.map(|value| (name.to_owned(), value.to_owned())).into_iter().collect()
    }

    /// What the references of the configuration stand for now, only to be compared; `None`: it has none.
    fn secrets(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        let Ok(resolved) = resolve(&self.context.plugins, &self.context.config) else {
            // A file may be away for as long as it is replaced.
            return Some(hasher.finish());
        };
        let given = |name: &str| self.context.config.get(name).and_then(|value| value.as_str());
        let mut referred: Vec<_> =
            resolved.iter().filter(|(name, value)| given(name).is_some_and(|given| given != value)).collect();
        referred.sort();
        referred.hash(&mut hasher);
        (!referred.is_empty()).then(|| hasher.finish())
    }

    /// A task that has failed may have done so because its password was changed, and the file that has it follows later. It
    /// is looked at after a second, then ever less often up to every minute. False: the task is to end, or has no secrets.
    fn wait_for_other_secrets(&self, used: Option<u64>) -> bool {
        if used.is_none() {
            return false;
        }
        let mut wait = SECRETS_FIRST_LOOK;
        loop {
            self.control.wait(wait);
            if self.control.wait_while_paused() == Wish::Stop {
                return false;
            }
            if self.secrets() != used {
                return true;
            }
            wait = (wait * 2).min(SECRETS_LAST_LOOK);
        }
    }

    fn attempt(&self) -> Result<(), AttemptFailed> {
        match &self.context.plugin {
            ConnectorPlugin::Source(plugin) => self.source_attempt(&**plugin),
            ConnectorPlugin::Sink(plugin) => self.sink_attempt(&**plugin),
        }
    }
}

/// The configuration with its references replaced; keys without a value are left out.
pub(crate) fn resolve(
    plugins: &Plugins,
    config: &walspring_connect::Props,
) -> Result<Vec<(String, String)>, TaskError> {
    let resolved =
        plugins.options.resolve(config).map_err(|message| TaskError::definite(CONNECT_EXCEPTION, message))?;
    Ok(resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
}

pub(crate) fn not_configured(e: ConvertError) -> TaskError {
    TaskError::definite(e.class, e.message)
}

/// The error of an attempt that ended by a panic: it passes as long as there were few of them.
fn after(panic: &Panic, panics: &mut Panics) -> TaskError {
    let mut error = broke_off(panic);
    match panics.another(turns::now(), "no offset was stored") {
        None => error.kind = Kind::Transient,
        Some(too_many) => error.message = format!("{}; {too_many}", error.message),
    }
    error
}

fn is_fenced(error: &TaskError) -> bool {
    error.causes.iter().any(|(class, _)| *class == FENCED)
}

pub(crate) fn broke_off(panic: &Panic) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, format!("the task broke off: {panic}"))
        .hint("this is a defect; please report it with the log")
}
