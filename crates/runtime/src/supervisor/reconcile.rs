//! Brings one connector to what its records say: the only place where tasks are started and stopped.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use walspring_connect::threads::Panic;
use walspring_connect::{CONFIG_EXCEPTION, CONNECT_EXCEPTION, PANICS_IN_A_ROW_MAX, Props, StoreError, TaskError};

use super::{Phase, Supervisor};
use crate::committer::store_error;
use crate::configs_store::{self, TargetState};
use crate::info::State;
use crate::plugins::ConnectorPlugin;
use crate::state_store::ConnectorState;
use crate::task::{TaskContext, broke_off, resolve, spawn};
use crate::task_control::{TaskHandle, Wish};

/// Each is a thread and a member of a group.
const SINK_TASKS_MAX: u32 = 256;

/// What a reconciler starts from.
struct Job {
    config: Option<Props>,
    target: TargetState,
    phase: Phase,
    applied: Option<Props>,
    tasks: Vec<TaskHandle>,
    restart_connector: bool,
    restart_tasks: BTreeSet<u32>,
}

/// What it leaves behind.
struct Done {
    tasks: Vec<TaskHandle>,
    applied: Option<Props>,
    /// Look again after this time.
    again: Option<Duration>,
}

/// A connector's class, and its configuration with references replaced.
type Found = (ConnectorPlugin, Vec<(String, String)>);

impl Done {
    fn nothing_runs() -> Done {
        Done { tasks: Vec::new(), applied: None, again: None }
    }
}

impl Supervisor {
    /// Until there is nothing to do.
    pub(super) fn reconcile_loop(&self, name: &str) {
        // As the original: 250 ms, doubled up to a minute.
        let mut wait = Duration::from_millis(250);
        let mut panics = 0;
        while let Some(job) = self.next_job(name) {
            let done = match catch_unwind(AssertUnwindSafe(|| self.reconcile(name, job))) {
                Ok(done) => {
                    panics = 0;
                    done
                }
                Err(payload) => {
                    // Its tasks were stopped as they were dropped.
                    let error = broke_off(&Panic::caught(&*payload));
                    self.statuses.set_connector(name, State::Failed, Some(error.trace()), None);
                    panics += 1;
                    let again = (panics < PANICS_IN_A_ROW_MAX).then_some(Duration::ZERO);
                    Done { again, ..Done::nothing_runs() }
                }
            };
            let mut state = self.lock();
            let Some(entry) = state.connectors.get_mut(name) else { return };
            entry.tasks = done.tasks;
            entry.applied = done.applied;
            let Some(again) = done.again else { continue };
            let end = Instant::now() + again.max(wait);
            wait = (wait * 2).min(Duration::from_secs(60));
            while state.connectors.get(name).is_some_and(|entry| !entry.dirty) {
                match end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    Some(left) => state = self.wait(state, left),
                    None => break,
                }
            }
            if let Some(entry) = state.connectors.get_mut(name) {
                entry.dirty = true;
            }
        }
    }

    fn next_job(&self, name: &str) -> Option<Job> {
        let mut state = self.lock();
        let (phase, config) = (state.phase.clone(), state.configs.config(name).cloned());
        let target = state.configs.target(name);
        let entry = state.connectors.get_mut(name)?;
        if !entry.dirty {
            entry.busy = false;
            if config.is_none() {
                state.connectors.remove(name);
            }
            self.changed.notify_all();
            return None;
        }
        entry.dirty = false;
        Some(Job {
            config,
            target,
            phase,
            applied: entry.applied.take(),
            tasks: std::mem::take(&mut entry.tasks),
            restart_connector: std::mem::take(&mut entry.restart_connector),
            restart_tasks: std::mem::take(&mut entry.restart_tasks),
        })
    }

    fn reconcile(&self, name: &str, mut job: Job) -> Done {
        if job.phase != Phase::Ready {
            self.stop(std::mem::take(&mut job.tasks));
            self.leave(name, &job);
            return Done::nothing_runs();
        }
        let Some(config) = job.config.take() else {
            self.stop(job.tasks);
            self.statuses.remove_connector(name);
            self.metrics.remove_connector(name);
            // Not while its tasks ran: they keep theirs up to date.
            if let Some(log) = self.backend().and_then(|backend| backend.state())
                && let Err(e) = ConnectorState::new(log, name).forget()
            {
                tracing::warn!(connector = name, "what was kept for the deleted connector was not forgotten: {e}");
            }
            return Done::nothing_runs();
        };
        let (plugin, resolved) = match self.resolve_connector(&config) {
            Ok(found) => found,
            Err(error) => {
                self.stop(job.tasks);
                self.statuses.remove_tasks(name, 0);
                self.statuses.set_connector(name, State::Failed, Some(error.trace()), None);
                return Done::nothing_runs();
            }
        };
        let version = Some(plugin.version());
        if job.target == TargetState::Stopped {
            self.stop(job.tasks);
            self.statuses.remove_tasks(name, 0);
            self.statuses.set_connector(name, State::Stopped, None, version);
            return Done::nothing_runs();
        }
        let paused = job.target == TargetState::Paused;
        let mut all_anew = job.applied.as_ref() != Some(&config) || job.tasks.is_empty();
        let mut configs = self.lock().configs.tasks(name).to_vec();
        if all_anew || job.restart_connector {
            // Stored task configurations are not relied on: they are made again, and written if they differ.
            let checked = match (&plugin, self.backend()) {
                (ConnectorPlugin::Source(_), Some(backend)) => backend.check(&resolved),
                _ => Ok(()),
            };
            let checked = checked.map_err(|why| TaskError::definite(CONFIG_EXCEPTION, why));
            let made = checked.and_then(|()| task_configs(&plugin, &config, &resolved)).and_then(|made| {
                if made != configs {
                    self.write_tasks(name, &plugin, &made)?;
                    all_anew = true;
                }
                Ok(made)
            });
            configs = match made {
                Ok(made) => made,
                Err(error) => {
                    self.stop(job.tasks);
                    // Asked for something else meanwhile, it did not fail.
                    if !self.lock().connectors.get(name).is_some_and(|c| c.dirty) {
                        self.statuses.remove_tasks(name, 0);
                        self.statuses.set_connector(name, State::Failed, Some(error.trace()), version);
                    }
                    let again = error.is_transient().then_some(Duration::ZERO);
                    return Done { again, ..Done::nothing_runs() };
                }
            };
        }

        let (to_stop, mut kept): (Vec<_>, Vec<_>) =
            job.tasks.into_iter().partition(|t| all_anew || job.restart_tasks.contains(&t.task));
        self.stop(to_stop);
        self.statuses.remove_tasks(name, configs.len() as u32);
        for task in &kept {
            task.control.set(if paused { Wish::Pause } else { Wish::Run });
        }
        let state = if paused { State::Paused } else { State::Running };
        self.statuses.set_connector(name, state, None, version);
        let mut again = None;
        for (n, task_config) in (0..).zip(&configs) {
            if kept.iter().any(|t| t.task == n) {
                continue;
            }
            self.statuses.set_task(name, n, State::Unassigned, None, version);
            let Some(context) = self.task_context(name, n, task_config, &plugin) else { continue };
            match spawn(context, paused) {
                Ok(task) => kept.push(task),
                Err(e) => {
                    let error =
                        TaskError::transient(CONNECT_EXCEPTION, format!("no thread can be started for it: {e}"));
                    tracing::warn!(connector = name, task = n, "the task will be started again: {error}");
                    self.statuses.set_task(name, n, State::Restarting, Some(error.trace()), version);
                    again = Some(Duration::ZERO);
                }
            }
        }
        kept.sort_by_key(|t| t.task);
        Done { tasks: kept, applied: Some(config), again }
    }

    fn resolve_connector(&self, config: &Props) -> Result<Found, TaskError> {
        let resolved = resolve(&self.plugins, config)?;
        let class = crate::settings::value(&resolved, "connector.class").unwrap_or_default();
        let plugin = self.plugins.connector(class);
        let plugin = plugin.ok_or_else(|| {
            TaskError::definite(CONNECT_EXCEPTION, self.plugins.unknown_class(class))
                .hint("the connector's records are left as they are; a worker that has this class can run it")
        })?;
        Ok((plugin, resolved))
    }

    fn task_context(&self, name: &str, task: u32, config: &Props, plugin: &ConnectorPlugin) -> Option<TaskContext> {
        let this = self.this.clone();
        Some(TaskContext {
            connector: name.to_owned(),
            task,
            config: config.clone(),
            plugin: plugin.clone(),
            plugins: self.plugins.clone(),
            settings: self.settings.clone(),
            backend: self.backend()?,
            statuses: self.statuses.clone(),
            metrics: self.metrics.clone(),
            on_fenced: Arc::new(move |why| {
                if let Some(this) = this.upgrade() {
                    this.on_fenced(why);
                }
            }),
        })
    }

    fn write_tasks(&self, name: &str, plugin: &ConnectorPlugin, configs: &[Props]) -> Result<(), TaskError> {
        let Some(backend) = self.backend() else {
            return Err(store_error(&StoreError::Transient("the store is not reached yet".into())));
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        {
            let state = self.lock();
            if state.configs.target(name) == TargetState::Stopped || state.configs.config(name).is_none() {
                // It was stopped or deleted meanwhile; the reconciler looks again.
                return Err(TaskError::transient(CONNECT_EXCEPTION, "the connector was stopped"));
            }
            let count = configs.len() as u32;
            let fences = backend.transactional() && matches!(plugin, ConnectorPlugin::Source(_));
            if fences && state.configs.fenced_tasks(name) != Some(count) {
                entries.push(configs_store::tasks_fencing(name, count));
            }
        }
        entries.extend(configs_store::tasks(name, configs));
        match backend.configs().write(&entries) {
            Ok(()) => {
                self.lock().configs.apply_all(&entries);
                Ok(())
            }
            Err(error) => {
                if let StoreError::Fenced(why) = &error {
                    self.on_fenced(why.clone());
                }
                Err(store_error(&error))
            }
        }
    }

    fn stop(&self, tasks: Vec<TaskHandle>) {
        tasks.iter().for_each(|task| task.control.set(Wish::Stop));
        // A task that still waits for a broker after this is interrupted.
        tasks.into_iter().for_each(|task| task.join(self.settings.graceful_timeout));
    }

    /// The worker stops, or has lost its group: nothing runs here any more.
    fn leave(&self, name: &str, job: &Job) {
        let fenced = match &job.phase {
            Phase::Fenced(why) => Some(why.clone()),
            _ => None,
        };
        let state = if fenced.is_some() { State::Failed } else { State::Unassigned };
        let version = |version: &Option<String>| version.clone();
        if let Some(connector) = self.statuses.connector(name)
            && connector.state != State::Stopped
        {
            self.statuses.set_connector(name, state, fenced.clone(), version(&connector.version).as_deref());
        }
        for (task, status) in self.statuses.tasks(name) {
            if status.state != State::Failed {
                self.statuses.set_task(name, task, state, fenced.clone(), version(&status.version).as_deref());
            }
        }
    }
}

/// What the plugin makes of the configuration, with the references of the connector put back, as it is stored.
fn task_configs(
    plugin: &ConnectorPlugin,
    config: &Props,
    resolved: &[(String, String)],
) -> Result<Vec<Props>, TaskError> {
    let max = crate::settings::value(resolved, "tasks.max").and_then(|v| v.trim().parse().ok()).unwrap_or(1);
    let made = match plugin {
        ConnectorPlugin::Source(source) => source.task_configs(resolved, max)?,
        // Tasks of a sink differ in nothing but the partitions that the group gives them.
        ConnectorPlugin::Sink(_) if max <= SINK_TASKS_MAX => vec![resolved.to_vec(); max as usize],
        ConnectorPlugin::Sink(_) => {
            return Err(TaskError::definite(
                CONFIG_EXCEPTION,
                format!("tasks.max is {max}; one worker runs at most {SINK_TASKS_MAX} tasks of a sink"),
            ));
        }
    };
    let class = format!("{}Task", plugin.class());
    let props = |task: Vec<(String, String)>| {
        let mut props = Props::new();
        for (key, value) in task {
            let was_reference = resolved.iter().any(|(k, v)| *k == key && *v == value);
            let raw = config.get(&key).and_then(Value::as_str).filter(|_| was_reference);
            let value = raw.map_or(value, str::to_owned);
            props.insert(key, Value::String(value));
        }
        props.entry("task.class").or_insert_with(|| Value::String(class.clone()));
        props
    };
    Ok(made.into_iter().map(props).collect())
}
