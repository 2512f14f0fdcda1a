//! The configurations topic: what is in it, and what is written to it, byte for byte as Kafka Connect.
//!
//! [`Configs`] is the state that replaying the topic gives. A record that did not change is never written again.
//! Source: `org.apache.kafka.connect.storage.KafkaConfigBackingStore`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use walspring_connect::{KeyedRecord, Props};

/// What a connector should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetState {
    #[default]
    Started,
    Paused,
    Stopped,
}

impl TargetState {
    pub fn as_str(self) -> &'static str {
        match self {
            TargetState::Started => "STARTED",
            TargetState::Paused => "PAUSED",
            TargetState::Stopped => "STOPPED",
        }
    }

    fn parse(s: &str) -> Option<TargetState> {
        [TargetState::Started, TargetState::Paused, TargetState::Stopped].into_iter().find(|t| t.as_str() == s)
    }
}

/// A record for the topic.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

pub fn connector(name: &str, config: &Props) -> Entry {
    entry(format!("connector-{name}"), Some(json!({ "properties": config })))
}

/// Deleting a connector leaves its tasks' records, as the original does.
pub fn deleted(name: &str) -> [Entry; 2] {
    [entry(format!("connector-{name}"), None), entry(format!("target-state-{name}"), None)]
}

/// STOPPED is PAUSED to workers before 3.5, which do not know `state.v2`.
pub fn target_state(name: &str, state: TargetState) -> Entry {
    let old = if state == TargetState::Stopped { TargetState::Paused } else { state };
    entry(format!("target-state-{name}"), Some(json!({ "state": old.as_str(), "state.v2": state.as_str() })))
}

/// The tasks' records, and after them the one that makes them count.
pub fn tasks(name: &str, configs: &[Props]) -> Vec<Entry> {
    let task = |(n, config): (usize, &Props)| entry(format!("task-{name}-{n}"), Some(json!({ "properties": config })));
    let commit = entry(format!("commit-{name}"), Some(json!({ "tasks": configs.len() })));
    configs.iter().enumerate().map(task).chain([commit]).collect()
}

/// How many tasks a worker that fences zombies has to fence.
pub fn tasks_fencing(name: &str, tasks: u32) -> Entry {
    entry(format!("tasks-fencing-{name}"), Some(json!({ "task-count": tasks })))
}

fn entry(key: String, value: Option<Value>) -> Entry {
    (key.into_bytes(), value.map(|v| v.to_string().into_bytes()))
}

/// What the topic says.
#[derive(Debug, Default)]
pub struct Configs {
    connectors: BTreeMap<String, Props>,
    targets: BTreeMap<String, TargetState>,
    /// Committed task configurations.
    tasks: BTreeMap<String, Vec<Props>>,
    /// Read, but not committed yet.
    uncommitted: BTreeMap<String, BTreeMap<u32, Props>>,
    fencing: BTreeMap<String, u32>,
}

impl Configs {
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.connectors.keys()
    }

    pub fn config(&self, name: &str) -> Option<&Props> {
        self.connectors.get(name)
    }

    pub fn target(&self, name: &str) -> TargetState {
        self.targets.get(name).copied().unwrap_or_default()
    }

    /// Empty when there are none, or when not all of them came before the commit: they are made again then.
    pub fn tasks(&self, name: &str) -> &[Props] {
        self.tasks.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn fenced_tasks(&self, name: &str) -> Option<u32> {
        self.fencing.get(name).copied()
    }

    /// Takes in what was written.
    pub fn apply_all(&mut self, entries: &[Entry]) {
        for (key, value) in entries {
            self.apply(key, value.as_deref());
        }
    }

    pub fn replay(records: &[KeyedRecord]) -> Configs {
        let mut configs = Configs::default();
        for record in records {
            configs.apply(&record.key, record.value.as_deref());
        }
        configs
    }

    /// One record, in the order of the topic.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Ok(key) = std::str::from_utf8(key) else {
            tracing::warn!("a record of the configurations topic has a key that is not UTF-8; it is left alone");
            return;
        };
        let value = match value.map(serde_json::from_slice::<Value>) {
            None => None,
            Some(Ok(Value::Object(value))) => Some(value),
            Some(_) => {
                tracing::error!(key, "a record of the configurations topic is not a JSON object; it is left alone");
                return;
            }
        };
        // The order of these tests is the original's: names may contain any of the prefixes.
        if let Some(name) = key.strip_prefix("target-state-") {
            self.apply_target(name, value);
        } else if let Some(name) = key.strip_prefix("connector-") {
            self.apply_connector(name, value);
        } else if let Some(task) = key.strip_prefix("task-") {
            self.apply_task(task, value);
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.apply_commit(name, value);
        } else if let Some(name) = key.strip_prefix("tasks-fencing-") {
            match value.and_then(|v| v.get("task-count")?.as_u64()) {
                Some(tasks) => drop(self.fencing.insert(name.to_owned(), tasks as u32)),
                None => drop(self.fencing.remove(name)),
            }
        } else if !(key.starts_with("restart-connector-") || key == "session-key" || key.starts_with("logger-cluster-"))
        {
            tracing::warn!(key, "a record of the configurations topic has a key that is not known; it is left alone");
        }
    }

    fn apply_target(&mut self, name: &str, value: Option<Map<String, Value>>) {
        let Some(value) = value else {
            self.targets.remove(name);
            return;
        };
        let state = |key: &str| value.get(key).and_then(Value::as_str).and_then(TargetState::parse);
        match state("state.v2").or_else(|| state("state")) {
            Some(target) => drop(self.targets.insert(name.to_owned(), target)),
            None => tracing::error!(connector = name, "a target state is not known; it is left alone"),
        }
    }

    fn apply_connector(&mut self, name: &str, value: Option<Map<String, Value>>) {
        match value.map(properties) {
            None => {
                self.connectors.remove(name);
                self.targets.remove(name);
                self.tasks.remove(name);
                self.uncommitted.remove(name);
            }
            Some(Some(config)) => drop(self.connectors.insert(name.to_owned(), config)),
            Some(None) => tracing::error!(connector = name, "a configuration has no properties; it is left alone"),
        }
    }

    fn apply_task(&mut self, task: &str, value: Option<Map<String, Value>>) {
        let parsed = task.rsplit_once('-').and_then(|(name, n)| Some((name, n.parse::<u32>().ok()?)));
        match (parsed, value.and_then(properties)) {
            (Some((name, n)), Some(config)) => {
                self.uncommitted.entry(name.to_owned()).or_default().insert(n, config);
            }
            (Some(_), None) => {}
            (None, _) => tracing::error!(task, "a task's record has no number; it is left alone"),
        }
    }

    fn apply_commit(&mut self, name: &str, value: Option<Map<String, Value>>) {
        let Some(count) = value.and_then(|v| v.get("tasks")?.as_u64()) else {
            return;
        };
        let mut read = self.uncommitted.remove(name).unwrap_or_default();
        if !self.connectors.contains_key(name) {
            return;
        }
        // Compaction may have taken some of them away.
        let tasks: Option<Vec<Props>> = (0..count as u32).map(|n| read.remove(&n)).collect();
        self.tasks.insert(name.to_owned(), tasks.unwrap_or_default());
    }
}

fn properties(mut value: Map<String, Value>) -> Option<Props> {
    match value.remove("properties") {
        Some(Value::Object(properties)) => Some(properties),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entries: &[Entry]) -> Vec<String> {
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        entries.iter().map(|(k, v)| format!("{} {}", text(k), v.as_deref().map_or("null".into(), text))).collect()
    }

    fn props(value: Value) -> Props {
        let Value::Object(props) = value else { panic!() };
        props
    }

    #[test]
    fn writes_what_the_original_writes() {
        let config = props(json!({"name": "a-b", "tasks.max": "1"}));
        let mut all = vec![target_state("a-b", TargetState::Stopped), connector("a-b", &config)];
        all.extend(tasks("a-b", std::slice::from_ref(&config)));
        all.extend([tasks_fencing("a-b", 1), target_state("a-b", TargetState::Started)]);
        all.extend(deleted("a-b"));
        assert_eq!(
            text(&all),
            [
                r#"target-state-a-b {"state":"PAUSED","state.v2":"STOPPED"}"#,
                r#"connector-a-b {"properties":{"name":"a-b","tasks.max":"1"}}"#,
                r#"task-a-b-0 {"properties":{"name":"a-b","tasks.max":"1"}}"#,
                r#"commit-a-b {"tasks":1}"#,
                r#"tasks-fencing-a-b {"task-count":1}"#,
                r#"target-state-a-b {"state":"STARTED","state.v2":"STARTED"}"#,
                "connector-a-b null",
                "target-state-a-b null",
            ]
        );
    }

    #[test]
    fn replays() {
        let mut configs = Configs::default();
        let mut apply = |key: &str, value: &str| {
            configs.apply(key.as_bytes(), if value == "null" { None } else { Some(value.as_bytes()) })
        };
        apply("target-state-a", r#"{"state":"PAUSED","state.v2":"STOPPED"}"#);
        apply("connector-a", r#"{"properties":{"x":"1"}}"#);
        apply("target-state-b-1", r#"{"state":"PAUSED"}"#);
        apply("connector-b-1", r#"{"properties":{"x":"2"}}"#);
        apply("task-b-1-0", r#"{"properties":{"x":"3"}}"#);
        apply("commit-b-1", r#"{"tasks":1}"#);
        apply("session-key", r#"{"key":"","algorithm":"HmacSHA256","creation-timestamp":1}"#);
        apply("what-is-this", "{}");
        apply("connector-broken", "no json");
        apply("connector-connector-c", r#"{"properties":{}}"#);
        apply("task-gone-0", r#"{"properties":{"x":"3"}}"#);
        apply("commit-gone", r#"{"tasks":1}"#);
        // Its first task fell to compaction.
        apply("connector-d", r#"{"properties":{}}"#);
        apply("task-d-1", r#"{"properties":{}}"#);
        apply("commit-d", r#"{"tasks":2}"#);
        apply("connector-e", r#"{"properties":{}}"#);
        apply("target-state-e", r#"{"state":"PAUSED","state.v2":"PAUSED"}"#);
        apply("connector-e", "null");
        assert_eq!(configs.names().collect::<Vec<_>>(), ["a", "b-1", "connector-c", "d"]);
        assert_eq!(configs.target("a"), TargetState::Stopped);
        assert_eq!(configs.target("b-1"), TargetState::Paused);
        assert_eq!(configs.target("e"), TargetState::Started);
        assert_eq!(configs.tasks("b-1"), [props(json!({"x": "3"}))]);
        assert!(configs.tasks("d").is_empty() && configs.tasks("gone").is_empty());
    }
}
