//! The life of a task: attempts, one after the other, until it is stopped or fails for good.
//!
//! ```text
//!   attempt ── stopped ──▶ end          an attempt: writer (fences older ones) → stored offset → source → loop
//!      ▲  └─── definite, panic ──▶ FAILED
//!      └ back-off ◀── transient: RESTARTING, the trace says what is waited for
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use walspring_connect::writer::RecordWriter;
use walspring_connect::{
    Backend, CONNECT_EXCEPTION, ConvertError, Progress, SourcePlugin, SourceTaskContext, StopToken, TaskError,
    WriterRequest,
};

use crate::committer::{Commits, FENCED, Store, store_error, write_error};
use crate::info::State;
use crate::metrics::{Metrics, TaskMetrics};
use crate::offsets_store::{self, ConnectorOffsets};
use crate::plugins::Plugins;
use crate::record_encoder::{RecordEncoder, Tolerance};
use crate::restarts::{Backoff, source_retries_max};
use crate::settings::{OFFSET_STORE_INTERVAL, WorkerSettings, value};
use crate::source_task::SourceLoop;
use crate::status_store::StatusBoard;
use crate::transform_chain::TransformChain;

/// What a task should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    Pause,
    Stop,
}

type Interrupter = Arc<dyn Fn() + Send + Sync>;

/// How the supervisor steers a task.
pub(crate) struct TaskControl {
    stop: StopToken,
    state: Mutex<ControlState>,
    changed: Condvar,
}

struct ControlState {
    wish: Wish,
    ended: bool,
    /// Nobody waits for it any more; what it says is no longer heard.
    left_behind: bool,
    interrupter: Option<Interrupter>,
}

impl TaskControl {
    fn new(wish: Wish) -> Arc<TaskControl> {
        Arc::new(TaskControl {
            stop: StopToken::default(),
            state: Mutex::new(ControlState { wish, ended: false, left_behind: false, interrupter: None }),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(&self, state: MutexGuard<'a, ControlState>, time: Duration) -> MutexGuard<'a, ControlState> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn wish(&self) -> Wish {
        self.lock().wish
    }

    /// A stopped task stays stopped.
    pub fn set(&self, wish: Wish) {
        let mut state = self.lock();
        if state.wish != Wish::Stop {
            state.wish = wish;
        }
        if wish == Wish::Stop {
            self.stop.stop();
        }
        self.changed.notify_all();
    }

    pub fn wait_while_paused(&self) -> Wish {
        let mut state = self.lock();
        while state.wish == Wish::Pause {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wish
    }

    /// For the time, or until something is wished.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.lock();
        while state.wish == Wish::Run {
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait_for(state, left),
                None => return,
            }
        }
    }

    fn wait_ended(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        while !state.ended {
            match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait_for(state, left),
                None => return false,
            }
        }
        true
    }
}

/// A task that was started.
pub(crate) struct TaskHandle {
    pub task: u32,
    pub control: Arc<TaskControl>,
    thread: Option<JoinHandle<()>>,
}

impl TaskHandle {
    /// Waits until a task that was told to stop has ended. One that does not end in time is left behind: its successor's
    /// writer fences it.
    pub fn join(mut self, timeout: Duration) {
        if !self.control.wait_ended(timeout) {
            let interrupter = self.control.lock().interrupter.clone();
            if let Some(interrupt) = interrupter {
                interrupt();
            }
            if !self.control.wait_ended(Duration::from_secs(2)) {
                self.control.lock().left_behind = true;
                tracing::warn!(task = self.task, "the task did not end in time and is left behind");
                return;
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Everything that a task needs.
pub(crate) struct TaskContext {
    pub connector: String,
    pub task: u32,
    /// As stored, with its references.
    pub config: walspring_connect::Props,
    pub plugin: Arc<dyn SourcePlugin>,
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
        std::thread::Builder::new().name(format!("task-{}-{task}", context.connector)).spawn(move || {
            let life = Life::new(&context, &control);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| life.live())) {
                life.shared.set(State::Failed, Some(panicked(&*panic).trace()));
            }
            control.lock().ended = true;
            control.changed.notify_all();
        })?
    };
    Ok(TaskHandle { task, control, thread: Some(thread) })
}

struct Life<'a> {
    context: &'a TaskContext,
    control: &'a Arc<TaskControl>,
    metrics: Arc<TaskMetrics>,
    shared: Arc<TaskStatus>,
}

/// The task's state as REST shows it. What the source waits for shows as its trace.
struct TaskStatus {
    connector: String,
    task: u32,
    version: &'static str,
    statuses: Arc<StatusBoard>,
    metrics: Arc<TaskMetrics>,
    control: Arc<TaskControl>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The source has started in this attempt.
    started: bool,
    waits_for: Option<String>,
    /// Since when the writer waits, and whether that was said.
    writer_waits: Option<(Instant, bool)>,
}

/// A broker that restarts is no news before this.
const WRITER_WAITS_MAX: Duration = Duration::from_secs(3);

impl TaskStatus {
    fn set(&self, state: State, trace: Option<String>) {
        if self.control.lock().left_behind {
            return;
        }
        self.statuses.set_task(&self.connector, self.task, state, trace, Some(self.version));
    }

    fn set_running(&self) {
        self.set(if self.control.wish() == Wish::Pause { State::Paused } else { State::Running }, None);
    }

    /// Shows and logs what the writer waits for, once it has for a while.
    fn look(&self, watcher: Option<&(dyn Fn() -> String + Send + Sync)>) {
        let what = watcher.map_or_else(String::new, |watch| watch());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (seen.writer_waits, what.is_empty()) {
            (None, false) => seen.writer_waits = Some((Instant::now(), false)),
            (Some((since, false)), false) if since.elapsed() >= WRITER_WAITS_MAX => {
                seen.writer_waits = Some((since, true));
                tracing::warn!(connector = %self.connector, task = self.task, "{what}");
                self.set(State::Restarting, Some(what));
            }
            (Some((since, said)), true) => {
                seen.writer_waits = None;
                if said {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!(connector = %self.connector, task = self.task, seconds, "the writer goes on");
                    self.set_running();
                }
            }
            _ => {}
        }
    }
}

impl Progress for TaskStatus {
    fn waiting(&self, what: Option<String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Some(what) => {
                if seen.waits_for.as_ref() != Some(&what) {
                    tracing::warn!(connector = %self.connector, task = self.task, "{what}");
                    seen.waits_for = Some(what.clone());
                }
                self.set(State::Restarting, Some(what));
            }
            None => {
                seen.waits_for = None;
                if seen.started {
                    self.set_running();
                }
            }
        }
    }

    fn gauge(&self, name: &'static str, value: f64) {
        self.metrics.gauge(name, value);
    }

    fn add(&self, name: &'static str, by: u64) {
        self.metrics.add(name, by);
    }
}

/// How an attempt ended, when not in order.
struct AttemptFailed {
    error: TaskError,
    /// Something was stored: the next attempt begins further on.
    progress: bool,
    /// It came from the source, whose retries may be limited.
    of_source: bool,
}

impl From<TaskError> for AttemptFailed {
    fn from(error: TaskError) -> AttemptFailed {
        AttemptFailed { error, progress: false, of_source: false }
    }
}

impl<'a> Life<'a> {
    fn new(context: &'a TaskContext, control: &'a Arc<TaskControl>) -> Life<'a> {
        let metrics = Arc::new(TaskMetrics::new(&context.metrics, &context.connector, context.task));
        let shared = Arc::new(TaskStatus {
            connector: context.connector.clone(),
            task: context.task,
            version: context.plugin.version(),
            statuses: context.statuses.clone(),
            metrics: metrics.clone(),
            control: control.clone(),
            seen: Mutex::default(),
        });
        Life { context, control, metrics, shared }
    }

    fn live(&self) {
        let mut backoff = Backoff::new(&self.context.connector, self.context.task);
        loop {
            if self.control.wish() == Wish::Pause {
                self.shared.set(State::Paused, None);
            }
            if self.control.wait_while_paused() == Wish::Stop {
                return;
            }
            let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt()));
            self.control.lock().interrupter = None;
            *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
            let failed = match attempt {
                Ok(Ok(())) => return,
                Ok(Err(failed)) => failed,
                Err(panic) => panicked(&*panic).into(),
            };
            if self.control.wish() == Wish::Stop {
                return;
            }
            let AttemptFailed { error, progress, of_source } = failed;
            if progress {
                backoff.reset();
            }
            let fenced = error.causes.iter().any(|(class, _)| *class == FENCED);
            let again = if fenced { self.is_still_ours(&error) } else { error.is_transient() };
            let tired = of_source && self.source_retries().is_some_and(|max| backoff.attempts() >= max);
            if !again || tired {
                tracing::error!(connector = %self.context.connector, task = self.context.task, "the task failed: {error}");
                self.shared.set(State::Failed, Some(error.trace()));
                return;
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

    fn source_retries(&self) -> Option<u32> {
        let retries = self.context.config.get("errors.max.retries")?.as_str()?.to_owned();
        source_retries_max(&[("errors.max.retries".to_owned(), retries)])
    }

    fn attempt(&self) -> Result<(), AttemptFailed> {
        let TaskContext { connector, task, plugins, settings, backend, .. } = self.context;
        let config = resolve(plugins, &self.context.config)?;
        let converters = plugins.converters(&config, &settings.worker_config).map_err(not_configured)?;
        let chain = TransformChain::new(plugins, &config).map_err(not_configured)?;
        let offsets_topic = value(&config, "offsets.storage.topic").map(str::to_owned);

        let commits = Commits::new(self.metrics.clone());
        let request = WriterRequest {
            connector: connector.clone(),
            task: *task,
            config: config.clone(),
            offsets_topic: offsets_topic.clone(),
        };
        // Older writers are fenced when this returns: only now the stored offset is final.
        let mut writer = Writer(Some(backend.writer(request, commits.clone()).map_err(|e| write_error(&e))?));
        self.control.lock().interrupter = writer.get().interrupter();
        let offsets =
            ConnectorOffsets::open(&**backend, connector, offsets_topic.as_deref()).map_err(|e| store_error(&e))?;

        let read_offset = {
            let offsets = offsets.clone();
            move |partition: &walspring_connect::SourcePartition| {
                let all = offsets.read().map_err(|e| store_error(&e))?;
                Ok(all.into_iter().find(|(p, _)| p == partition).map(|(_, offset)| offset))
            }
        };
        let context = SourceTaskContext {
            connector: connector.clone(),
            task: *task,
            config: config.clone(),
            offset: Box::new(read_offset.clone()),
            stop: self.control.stop.clone(),
            progress: self.shared.clone(),
        };
        let of_source = |error| AttemptFailed { error, progress: false, of_source: true };
        let mut source = self.context.plugin.start(context).map_err(of_source)?;

        let transactional = backend.transactional();
        // Read here, too: when a source asks is its own matter.
        let stored_offset = read_offset(&source.partition()).map_err(|error| AttemptFailed {
            error,
            progress: false,
            of_source: false,
        })?;
        let key = offsets_store::key(connector, &source.partition());
        let store = Store {
            beside: transactional && offsets.has_own_topic(),
            offsets,
            key: key.clone(),
            interval: settings.offset_flush_interval.min(OFFSET_STORE_INTERVAL),
        };
        let mut encoder = RecordEncoder::new(
            converters,
            chain,
            (plugins.assembler)(),
            tolerance(&config, settings),
            self.metrics.clone(),
            self.track_topics(),
        );

        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).started = true;
        self.shared.set_running();
        tracing::info!(connector = %connector, task, "the task runs");
        let feedback = source.feedback();
        let watcher = writer.get().watcher();
        let result = std::thread::scope(|scope| {
            let committer = std::thread::Builder::new()
                .name(format!("commit-{connector}-{task}"))
                .spawn_scoped(scope, || commits.run(&store, &*feedback, &|| self.shared.look(watcher.as_deref())))
                .map_err(|e| {
                    TaskError::transient(CONNECT_EXCEPTION, format!("no thread can be started for the offsets: {e}"))
                })?;
            // Whatever happens here, the other thread ends, so that the scope does.
            let guard = AbandonOnDrop(&commits);
            let result = SourceLoop {
                source: &mut *source,
                writer: writer.get(),
                encoder: &mut encoder,
                commits: &commits,
                control: self.control,
                offset_key: key,
                transactional,
                stored_offset,
                graceful_timeout: settings.graceful_timeout,
                on_pause: &|paused| self.shared.set(if paused { State::Paused } else { State::Running }, None),
            }
            .run();
            // What is durable by now is stored; a fenced task stores nothing more.
            if result.as_ref().is_err_and(|e| e.causes.iter().any(|(class, _)| *class == FENCED)) {
                commits.abandon();
            } else {
                commits.close();
            }
            let _ = committer.join();
            drop(guard);
            result
        });
        let of_source = result.is_err() && commits.check().is_ok();
        drop(writer);
        source.close();
        result.map_err(|error| AttemptFailed { error, progress: commits.made_progress(), of_source })
    }

    fn track_topics(&self) -> Box<dyn FnMut(&str) + Send> {
        if !self.context.settings.topic_tracking {
            return Box::new(|_| ());
        }
        let (statuses, connector, task) =
            (self.context.statuses.clone(), self.context.connector.clone(), self.context.task);
        Box::new(move |topic| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
            statuses.topic_used(&connector, task, topic, now);
        })
    }
}

/// Aborts the writer whichever way an attempt ends.
struct Writer(Option<Box<dyn RecordWriter>>);

impl Writer {
    fn get(&mut self) -> &mut dyn RecordWriter {
        &mut **self.0.as_mut().expect("the writer is there until it is dropped")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            writer.abort();
        }
    }
}

struct AbandonOnDrop<'a>(&'a Commits);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
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

fn tolerance(config: &[(String, String)], settings: &WorkerSettings) -> Tolerance {
    if !value(config, "errors.tolerance").is_some_and(|v| v.eq_ignore_ascii_case("all")) {
        return Tolerance::None;
    }
    let given = value(config, "producer.override.max.request.size")
        .or_else(|| settings.worker_value("producer.max.request.size"));
    // The default of Java's producer.
    Tolerance::All { record_bytes_max: given.and_then(|v| v.trim().parse().ok()).unwrap_or(1_048_576) }
}

fn not_configured(e: ConvertError) -> TaskError {
    TaskError::definite(e.class, e.message)
}

fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError::definite(CONNECT_EXCEPTION, format!("the task broke off: {}", text.unwrap_or("for no given reason")))
        .hint("this is a defect; please report it with the log")
}
