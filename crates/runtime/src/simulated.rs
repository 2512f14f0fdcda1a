//! A source's task for a simulation: its whole life on the calling thread, by the turns of a seed. Everything in it is what a
//! worker runs; only clock and threads are the simulation's (see [`crate::turns`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use walspring_connect::{Backend, Props, SourcePlugin};

use crate::info::State;
use crate::metrics::Metrics;
use crate::plugins::{ConnectorPlugin, Plugins};
use crate::settings::WorkerSettings;
use crate::status_store::StatusBoard;
use crate::task::{Life, TaskContext};
use crate::task_control::{TaskControl, Wish};
use crate::turns::{self, Turns};

pub struct SimulatedTask {
    pub config: Props,
    pub plugin: Arc<dyn SourcePlugin>,
    pub plugins: Arc<Plugins>,
    pub settings: Arc<WorkerSettings>,
    pub backend: Arc<dyn Backend>,
    pub metrics: Arc<Metrics>,
}

/// What is wished of the task, from inside its turns.
#[derive(Clone)]
pub struct Control(Arc<TaskControl>);

impl Control {
    pub fn stop(&self) {
        self.0.set(Wish::Stop);
    }

    pub fn pause(&self, paused: bool) {
        self.0.set(if paused { Wish::Pause } else { Wish::Run });
    }
}

impl SimulatedTask {
    pub const CONNECTOR: &'static str = "one";

    /// Until it is stopped or fails for good, and then with its trace. `turns` makes the turns, from what steers the task.
    /// May be called inside the turns of another, which may unwind: as a panic of the thread, that is a failure.
    pub fn live(self, turns: impl FnOnce(Control) -> Rc<dyn Turns>) -> Result<(), String> {
        let control = TaskControl::new(Wish::Run);
        let statuses = StatusBoard::new(&self.settings.worker_id);
        let context = TaskContext {
            connector: Self::CONNECTOR.into(),
            task: 0,
            config: self.config,
            plugin: ConnectorPlugin::Source(self.plugin),
            plugins: self.plugins,
            settings: self.settings,
            backend: self.backend,
            statuses: statuses.clone(),
            metrics: self.metrics,
            on_fenced: Arc::new(|_| ()),
        };
        let _restore = Restore(turns::take_over(Some(turns(Control(control.clone())))));
        let life = Life::new(&context, &control);
        if catch_unwind(AssertUnwindSafe(|| life.live())).is_err() {
            return Err("the task broke off".into());
        }
        match statuses.task(Self::CONNECTOR, 0) {
            Some(status) if status.state == State::Failed => Err(status.trace.unwrap_or_default()),
            _ => Ok(()),
        }
    }
}

struct Restore(Option<Rc<dyn Turns>>);

impl Drop for Restore {
    fn drop(&mut self) {
        turns::take_over(self.0.take());
    }
}
