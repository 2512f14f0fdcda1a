//! A task's state as REST shows it, and the numbers that its plugin reports.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use walspring_connect::{Numbers, Progress};

use crate::info::State;
use crate::metrics::TaskMetrics;
use crate::status_store::StatusBoard;
use crate::task_control::{TaskControl, Wish};

/// The task's state as REST shows it. What the plugin waits for shows as its trace.
pub(crate) struct TaskStatus {
    pub connector: String,
    pub task: u32,
    pub version: &'static str,
    pub statuses: Arc<StatusBoard>,
    pub metrics: Arc<TaskMetrics>,
    pub control: Arc<TaskControl>,
    pub seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// The plugin has started in this attempt.
    started: bool,
    waits_for: Option<String>,
    /// Since when the writer waits, and whether that was said.
    writer_waits: Option<(Instant, bool)>,
}

/// A broker that restarts is no news before this.
const WRITER_WAITS_MAX: Duration = Duration::from_secs(3);

impl TaskStatus {
    pub fn set(&self, state: State, trace: Option<String>) {
        if self.control.is_left_behind() {
            return;
        }
        self.statuses.set_task(&self.connector, self.task, state, trace, Some(self.version));
    }

    pub fn set_running(&self) {
        self.set(if self.control.wish() == Wish::Pause { State::Paused } else { State::Running }, None);
    }

    /// An attempt has come so far that the task runs.
    pub fn started(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).started = true;
        self.set_running();
    }

    /// Another attempt begins.
    pub fn begin_anew(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }

    /// Shows and logs what the writer waits for, once it has for a while.
    pub fn look(&self, watcher: Option<&(dyn Fn() -> String + Send + Sync)>) {
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

    fn numbers(&self, numbers: Arc<dyn Numbers>) {
        self.metrics.own(numbers);
    }
}
