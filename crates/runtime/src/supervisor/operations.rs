//! What REST asks for: connectors and their states. Texts are Kafka Connect's; clients look for them.

use serde_json::Value;
use walspring_connect::Props;

use super::Supervisor;
use crate::configs_store::{self, TargetState};
use crate::info::{
    ConnectorInfo, ConnectorState, ConnectorStateInfo, PluginInfo, ServerInfo, State, TaskId, TaskInfo, TaskState,
};
use crate::plugins::{ConfigInfos, ConfigKeyInfo, ValidationContext};
use crate::refusal::Refusal;
use crate::status_store::Status;
use crate::validation::{refuse, validate};

fn not_found(name: &str) -> Refusal {
    Refusal::not_found(format!("Connector {name} not found"))
}

impl Supervisor {
    pub fn server_info(&self) -> ServerInfo {
        ServerInfo {
            version: self.settings.connect_version.clone(),
            commit: self.settings.commit.clone(),
            kafka_cluster_id: self.lock().cluster_id.clone(),
        }
    }

    pub fn connectors(&self) -> Result<Vec<String>, Refusal> {
        Ok(self.known()?.configs.names().cloned().collect())
    }

    pub fn connector(&self, name: &str) -> Result<ConnectorInfo, Refusal> {
        let state = self.known()?;
        let config = state.configs.config(name).ok_or_else(|| not_found(name))?.clone();
        let task = |task| TaskId { connector: name.to_owned(), task };
        let tasks = (0..state.configs.tasks(name).len() as u32).map(task).collect();
        Ok(ConnectorInfo { name: name.to_owned(), tasks, kind: self.kind(&config), config })
    }

    fn kind(&self, config: &Props) -> &'static str {
        let plugin = config.get("connector.class").and_then(Value::as_str).and_then(|c| self.plugins.connector(c));
        plugin.map_or("unknown", |plugin| plugin.kind())
    }

    pub fn config(&self, name: &str) -> Result<Props, Refusal> {
        self.known()?.configs.config(name).cloned().ok_or_else(|| not_found(name))
    }

    pub fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, Refusal> {
        let state = self.known()?;
        state.configs.config(name).ok_or_else(|| not_found(name))?;
        let info = |(task, config): (u32, &Props)| TaskInfo {
            id: TaskId { connector: name.to_owned(), task },
            config: config.clone(),
        };
        Ok((0..).zip(state.configs.tasks(name)).map(info).collect())
    }

    pub fn status(&self, name: &str) -> Result<ConnectorStateInfo, Refusal> {
        let kind = match self.known()?.configs.config(name) {
            Some(config) => self.kind(config),
            None => "unknown",
        };
        let status = self.statuses.connector(name);
        let status = status.ok_or_else(|| Refusal::not_found(format!("No status found for connector {name}")))?;
        let tasks = self.statuses.tasks(name).into_iter().map(|(id, s)| task_state(id, s)).collect();
        Ok(ConnectorStateInfo { name: name.to_owned(), connector: connector_state(status), tasks, kind })
    }

    pub fn task_status(&self, name: &str, task: u32) -> Result<TaskState, Refusal> {
        drop(self.known()?);
        let status = self.statuses.task(name, task);
        let status = status.ok_or_else(|| Refusal::not_found(format!("No status found for task {name}-{task}")))?;
        Ok(task_state(task, status))
    }

    /// Creates a connector; `initial` is its first target state.
    pub fn create(&self, name: &str, config: Props, initial: Option<TargetState>) -> Result<ConnectorInfo, Refusal> {
        let name = name.trim();
        let config = named(name, config)?;
        self.ready()?;
        refuse(&self.validate_raw(&config)?)?;
        self.write(name, |configs| {
            if configs.config(name).is_some() {
                return Err(Refusal::conflict(format!("Connector {name} already exists")));
            }
            // First what it should be doing, so that nothing starts that should not.
            let target = initial.map(|state| configs_store::target_state(name, state));
            Ok(target.into_iter().chain([configs_store::connector(name, &config)]).collect())
        })?;
        Ok(ConnectorInfo { tasks: Vec::new(), ..self.connector(name)? })
    }

    /// Creates a connector (true) or changes its configuration.
    pub fn put_config(&self, name: &str, config: Props) -> Result<(bool, ConnectorInfo), Refusal> {
        let config = named(name, config)?;
        self.ready()?;
        refuse(&self.validate_raw(&config)?)?;
        let mut created = false;
        self.write(name, |configs| {
            created = configs.config(name).is_none();
            Ok(vec![configs_store::connector(name, &config)])
        })?;
        let info = self.connector(name)?;
        Ok((created, if created { ConnectorInfo { tasks: Vec::new(), ..info } } else { info }))
    }

    /// Sets keys, and removes those that are null.
    pub fn patch_config(&self, name: &str, patch: Props) -> Result<ConnectorInfo, Refusal> {
        self.ready()?;
        let mut config = self.config(name)?;
        for (key, value) in patch {
            if value.is_null() {
                config.shift_remove(&key);
            } else {
                config.insert(key, value);
            }
        }
        refuse(&self.validate_raw(&config)?)?;
        self.write(name, |configs| match configs.config(name) {
            Some(_) => Ok(vec![configs_store::connector(name, &config)]),
            None => Err(not_found(name)),
        })?;
        self.connector(name)
    }

    pub fn delete(&self, name: &str) -> Result<(), Refusal> {
        self.write(name, |configs| match configs.config(name) {
            Some(_) => Ok(configs_store::deleted(name).into()),
            None => Err(not_found(name)),
        })
    }

    pub fn pause(&self, name: &str) -> Result<(), Refusal> {
        self.set_target(name, TargetState::Paused)
    }

    pub fn resume(&self, name: &str) -> Result<(), Refusal> {
        self.set_target(name, TargetState::Started)
    }

    /// Ends the tasks and forgets their configurations; offsets may be changed then.
    pub fn stop_connector(&self, name: &str) -> Result<(), Refusal> {
        self.set_target(name, TargetState::Stopped)
    }

    fn set_target(&self, name: &str, target: TargetState) -> Result<(), Refusal> {
        self.write(name, |configs| {
            if configs.config(name).is_none() {
                return Err(Refusal::not_found(format!("Unknown connector {name}")));
            }
            let mut entries = Vec::new();
            if target == TargetState::Stopped {
                entries.extend(configs_store::tasks(name, &[]));
            }
            entries.push(configs_store::target_state(name, target));
            Ok(entries)
        })
    }

    /// Restarts the connector's instance only.
    pub fn restart_connector(&self, name: &str) -> Result<(), Refusal> {
        self.ready()?;
        let mut state = self.lock();
        if state.configs.config(name).is_none() {
            return Err(Refusal::not_found(format!("Unknown connector: {name}")));
        }
        state.connectors.entry(name.to_owned()).or_default().restart_connector = true;
        self.request(&mut state, name);
        Ok(())
    }

    /// Restarts the instance and its tasks, or those that failed. The answer is the plan.
    pub fn restart(&self, name: &str, include_tasks: bool, only_failed: bool) -> Result<ConnectorStateInfo, Refusal> {
        self.ready()?;
        if self.lock().configs.config(name).is_none() {
            return Err(Refusal::not_found(format!("Unknown connector: {name}")));
        }
        let mut plan =
            self.status(name).map_err(|_| Refusal::not_found(format!("Status for connector {name} not found")))?;
        let chosen = |state: State| !only_failed || state == State::Failed;
        let connector = chosen(plan.connector.state);
        let tasks: Vec<u32> = plan.tasks.iter().filter(|t| include_tasks && chosen(t.state)).map(|t| t.id).collect();
        if connector {
            plan.connector.state = State::Restarting;
            plan.connector.trace = None;
        }
        for task in plan.tasks.iter_mut().filter(|t| tasks.contains(&t.id)) {
            task.state = State::Restarting;
            task.trace = None;
            self.statuses.set_task(name, task.id, State::Restarting, None, task.version.as_deref());
        }
        if connector || !tasks.is_empty() {
            let mut state = self.lock();
            let entry = state.connectors.entry(name.to_owned()).or_default();
            entry.restart_connector |= connector;
            entry.restart_tasks.extend(tasks);
            self.request(&mut state, name);
        }
        Ok(plan)
    }

    pub fn restart_task(&self, name: &str, task: u32) -> Result<(), Refusal> {
        self.ready()?;
        let mut state = self.lock();
        if state.configs.config(name).is_none() {
            return Err(Refusal::not_found(format!("Unknown connector: {name}")));
        }
        if task as usize >= state.configs.tasks(name).len() {
            return Err(Refusal::not_found(format!("Unknown task: {name}-{task}")));
        }
        state.connectors.entry(name.to_owned()).or_default().restart_tasks.insert(task);
        self.request(&mut state, name);
        Ok(())
    }

    /// The topics that a connector has written to, also of one that is not there.
    pub fn topics(&self, name: &str) -> Result<Vec<String>, Refusal> {
        if !self.settings.topic_tracking {
            return Err(Refusal::new(403, "Topic tracking is disabled."));
        }
        drop(self.known()?);
        Ok(self.statuses.topics(name))
    }

    pub fn reset_topics(&self, name: &str) -> Result<(), Refusal> {
        if !self.settings.topic_tracking {
            return Err(Refusal::new(403, "Topic tracking is disabled."));
        }
        if !self.settings.topic_tracking_reset {
            return Err(Refusal::new(403, "Topic tracking reset is disabled."));
        }
        self.ready()?;
        self.statuses.reset_topics(name);
        Ok(())
    }

    pub fn plugin_list(&self, connectors_only: bool) -> Vec<PluginInfo> {
        self.plugins.list(connectors_only)
    }

    pub fn plugin_config(&self, name: &str) -> Result<Vec<ConfigKeyInfo>, Refusal> {
        let class = self.plugins.class_of(name).unwrap_or(name);
        let options = self.plugins.options.definitions(class);
        options.ok_or_else(|| Refusal::not_found(format!("Unknown plugin {name}.")))
    }

    /// Checks a configuration for the plugin of this name.
    pub fn validate(&self, plugin: &str, config: &Props) -> Result<ConfigInfos, Refusal> {
        let alias = |class: &str| class.strip_suffix("Connector").filter(|s| !s.is_empty()).unwrap_or(class).to_owned();
        if let Some(class) = config.get("connector.class").and_then(Value::as_str)
            && !alias(class).ends_with(&alias(plugin))
        {
            return Err(Refusal::bad_request(format!(
                "Included connector type {class} does not match request type {plugin}"
            )));
        }
        self.validate_raw(config)
    }

    fn validate_raw(&self, config: &Props) -> Result<ConfigInfos, Refusal> {
        let exactly_once = self.backend().is_some_and(|b| b.transactional());
        validate(&self.plugins, config, ValidationContext { exactly_once }, self.settings.worker_value("group.id"))
    }
}

/// The configuration with the connector's name in it.
fn named(name: &str, mut config: Props) -> Result<Props, Refusal> {
    match config.get("name").and_then(Value::as_str) {
        Some(given) if given != name => Err(Refusal::bad_request(format!(
            "Connector name configuration ({given}) doesn't match connector name in the URL ({name})"
        ))),
        Some(_) => Ok(config),
        None => {
            config.insert("name".into(), name.into());
            Ok(config)
        }
    }
}

fn connector_state(s: Status) -> ConnectorState {
    ConnectorState {
        state: s.state,
        worker_id: s.worker_id,
        trace: s.trace.filter(|t| !t.is_empty()),
        version: s.version,
    }
}

fn task_state(id: u32, s: Status) -> TaskState {
    TaskState {
        id,
        state: s.state,
        worker_id: s.worker_id,
        trace: s.trace.filter(|t| !t.is_empty()),
        version: s.version,
    }
}
