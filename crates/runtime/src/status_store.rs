//! The status topic: states of connectors and tasks, and which topics a connector has written to.
//!
//! What REST reads is kept here in memory; a thread of its own writes it to the topic, so that no task ever waits for it.
//! What is written twice before it was sent is sent once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walspring_connect::threads::{self, Panic};
use walspring_connect::{KeyedLog, KeyedRecord, StoreError};

use crate::configs_store::Entry;
use crate::info::State;

#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub state: State,
    pub trace: Option<String>,
    pub worker_id: String,
    pub generation: i64,
    pub version: Option<String>,
}

impl Status {
    fn encode(&self) -> Vec<u8> {
        json!({
            "state": self.state.as_str(),
            "trace": self.trace,
            "worker_id": self.worker_id,
            "generation": self.generation,
            "version": self.version,
        })
        .to_string()
        .into_bytes()
    }

    fn decode(value: &[u8]) -> Option<Status> {
        let value: Value = serde_json::from_slice(value).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Status {
            state: State::parse(value.get("state")?.as_str()?)?,
            trace: text("trace"),
            worker_id: text("worker_id").unwrap_or_default(),
            generation: value.get("generation").and_then(Value::as_i64).unwrap_or_default(),
            version: text("version"),
        })
    }
}

#[derive(Debug, Default)]
struct Board {
    connectors: BTreeMap<String, Status>,
    tasks: BTreeMap<String, BTreeMap<u32, Status>>,
    topics: BTreeMap<String, BTreeSet<String>>,
    generation: i64,
    /// Not yet sent: keys in order, and the newest value of each.
    queue: Vec<Vec<u8>>,
    values: HashMap<Vec<u8>, Option<Vec<u8>>>,
    sending: bool,
    closed: bool,
    fenced: Option<String>,
}

/// The states of everything, shared by all who set and read them.
#[derive(Debug)]
pub struct StatusBoard {
    worker_id: String,
    board: Mutex<Board>,
    changed: Condvar,
}

impl StatusBoard {
    pub fn new(worker_id: &str) -> Arc<StatusBoard> {
        Arc::new(StatusBoard {
            worker_id: worker_id.to_owned(),
            board: Mutex::new(Board::default()),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the topic holds. States that this worker did not set stay visible until it sets its own; those that
    /// it set before a crash do not: nothing runs yet.
    pub fn replay(&self, records: &[KeyedRecord]) {
        let mut board = self.lock();
        for record in records {
            board.apply(record);
        }
        let generation = board.highest_generation() + 1;
        board.generation = generation;
        let Board { connectors, tasks, .. } = &mut *board;
        for status in connectors.values_mut().chain(tasks.values_mut().flat_map(BTreeMap::values_mut)) {
            if status.state == State::Running || status.state == State::Restarting {
                status.state = State::Unassigned;
            }
        }
    }

    /// Starts the thread that writes.
    pub fn write_to(self: &Arc<Self>, log: Arc<dyn KeyedLog>) -> io::Result<()> {
        let board = self.clone();
        threads::spawn("status-writer", move || board.write_loop(&*log)).map(drop)
    }

    pub fn set_connector(&self, name: &str, state: State, trace: Option<String>, version: Option<&str>) {
        let mut board = self.lock();
        let status = self.status(&board, state, trace, version);
        if board.connectors.get(name) != Some(&status) {
            board.push(format!("status-connector-{name}"), Some(status.encode()));
            board.connectors.insert(name.to_owned(), status);
            self.changed.notify_all();
        }
    }

    pub fn set_task(&self, name: &str, task: u32, state: State, trace: Option<String>, version: Option<&str>) {
        let mut board = self.lock();
        let status = self.status(&board, state, trace, version);
        let tasks = board.tasks.entry(name.to_owned()).or_default();
        if tasks.get(&task) != Some(&status) {
            let value = status.encode();
            tasks.insert(task, status);
            board.push(format!("status-task-{name}-{task}"), Some(value));
            self.changed.notify_all();
        }
    }

    fn status(&self, board: &Board, state: State, trace: Option<String>, version: Option<&str>) -> Status {
        Status {
            state,
            trace,
            worker_id: self.worker_id.clone(),
            generation: board.generation,
            version: version.map(str::to_owned),
        }
    }

    /// Forgets the tasks from `from` on.
    pub fn remove_tasks(&self, name: &str, from: u32) {
        let mut board = self.lock();
        let Some(tasks) = board.tasks.get_mut(name) else { return };
        for task in tasks.split_off(&from).into_keys() {
            board.push(format!("status-task-{name}-{task}"), None);
        }
        self.changed.notify_all();
    }

    /// Forgets a deleted connector whole.
    pub fn remove_connector(&self, name: &str) {
        self.remove_tasks(name, 0);
        self.reset_topics(name);
        let mut board = self.lock();
        board.tasks.remove(name);
        if board.connectors.remove(name).is_some() {
            board.push(format!("status-connector-{name}"), None);
            self.changed.notify_all();
        }
    }

    pub fn connector(&self, name: &str) -> Option<Status> {
        self.lock().connectors.get(name).cloned()
    }

    pub fn task(&self, name: &str, task: u32) -> Option<Status> {
        self.lock().tasks.get(name)?.get(&task).cloned()
    }

    pub fn tasks(&self, name: &str) -> Vec<(u32, Status)> {
        let board = self.lock();
        board.tasks.get(name).into_iter().flatten().map(|(n, s)| (*n, s.clone())).collect()
    }

    /// A task wrote to a topic for the first time. `now_ms` since 1970.
    pub fn topic_used(&self, connector: &str, task: u32, topic: &str, now_ms: i64) {
        let mut board = self.lock();
        if board.topics.entry(connector.to_owned()).or_default().insert(topic.to_owned()) {
            let value = json!({ "topic": {
                "name": topic, "connector": connector, "task": task, "discoverTimestamp": now_ms,
            }});
            board.push(topic_key(topic, connector), Some(value.to_string().into_bytes()));
            self.changed.notify_all();
        }
    }

    pub fn topics(&self, connector: &str) -> Vec<String> {
        self.lock().topics.get(connector).into_iter().flatten().cloned().collect()
    }

    pub fn reset_topics(&self, connector: &str) {
        let mut board = self.lock();
        for topic in board.topics.remove(connector).into_iter().flatten() {
            board.push(topic_key(&topic, connector), None);
        }
        self.changed.notify_all();
    }

    /// Waits until everything is written, or the time is over; then the writer ends.
    pub fn close(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        let mut board = self.lock();
        while (!board.queue.is_empty() || board.sending) && board.fenced.is_none() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) else { break };
            board = self.changed.wait_timeout(board, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        board.closed = true;
        self.changed.notify_all();
    }

    /// Why nothing is written any more.
    pub fn fenced(&self) -> Option<String> {
        self.lock().fenced.clone()
    }

    fn write_loop(&self, log: &dyn KeyedLog) {
        while let Some(records) = self.next_records() {
            let mut wait = Duration::from_millis(200);
            loop {
                // A defect of the store's must not end the states of all connectors.
                let written = catch_unwind(AssertUnwindSafe(|| log.write(&records)))
                    .unwrap_or_else(|payload| Err(StoreError::Transient(Panic::caught(&*payload).to_string())));
                match written {
                    Ok(()) => break,
                    Err(StoreError::Fenced(why)) => {
                        self.lock().fenced = Some(why);
                        self.changed.notify_all();
                        return;
                    }
                    Err(e) => {
                        tracing::warn!("states cannot be written, will be tried again: {e}");
                        if self.lock().closed {
                            return;
                        }
                        std::thread::sleep(wait);
                        wait = (wait * 2).min(Duration::from_secs(10));
                    }
                }
            }
            self.lock().sending = false;
            self.changed.notify_all();
        }
    }

    fn next_records(&self) -> Option<Vec<Entry>> {
        let mut board = self.lock();
        while board.queue.is_empty() {
            if board.closed {
                return None;
            }
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        board.sending = true;
        let keys = std::mem::take(&mut board.queue);
        let mut values = std::mem::take(&mut board.values);
        Some(keys.into_iter().map(|key| (values.remove(&key).flatten(), key)).map(|(v, k)| (k, v)).collect())
    }
}

impl Board {
    fn push(&mut self, key: String, value: Option<Vec<u8>>) {
        let key = key.into_bytes();
        if self.values.insert(key.clone(), value).is_none() {
            self.queue.push(key);
        }
    }

    fn apply(&mut self, record: &KeyedRecord) {
        let Ok(key) = std::str::from_utf8(&record.key) else {
            tracing::warn!("a record of the status topic has a key that is not UTF-8; it is left alone");
            return;
        };
        let status = record.value.as_deref().map(Status::decode);
        if let Some(name) = key.strip_prefix("status-connector-") {
            match status {
                None => drop(self.connectors.remove(name)),
                Some(Some(status)) => drop(self.connectors.insert(name.to_owned(), status)),
                Some(None) => tracing::warn!(key, "a state is not known; it is left alone"),
            }
        } else if let Some(rest) = key.strip_prefix("status-task-") {
            let Some((name, task)) = rest.rsplit_once('-').and_then(|(n, t)| Some((n, t.parse().ok()?))) else {
                tracing::warn!(key, "a task's state has no number; it is left alone");
                return;
            };
            match status {
                None => drop(self.tasks.get_mut(name).and_then(|tasks| tasks.remove(&task))),
                Some(Some(status)) => drop(self.tasks.entry(name.to_owned()).or_default().insert(task, status)),
                Some(None) => tracing::warn!(key, "a state is not known; it is left alone"),
            }
        } else if let Some((topic, name)) =
            key.strip_prefix("status-topic-").and_then(|rest| rest.split_once(":connector-"))
        {
            match record.value {
                None => drop(self.topics.get_mut(name).map(|topics| topics.remove(topic))),
                Some(_) => drop(self.topics.entry(name.to_owned()).or_default().insert(topic.to_owned())),
            }
        }
    }

    fn highest_generation(&self) -> i64 {
        let tasks = self.tasks.values().flat_map(BTreeMap::values);
        self.connectors.values().chain(tasks).map(|s| s.generation).max().unwrap_or(0)
    }
}

fn topic_key(topic: &str, connector: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written = Arc<Mutex<Vec<(String, Option<String>)>>>;

    struct Log(Written);

    impl KeyedLog for Log {
        fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
            Ok(Vec::new())
        }

        fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
            let text = |b: &Vec<u8>| String::from_utf8(b.clone()).unwrap();
            self.0.lock().unwrap().extend(records.iter().map(|(k, v)| (text(k), v.as_ref().map(text))));
            Ok(())
        }
    }

    #[test]
    fn writes_what_the_original_writes() {
        let board = StatusBoard::new("h:1");
        board.replay(&[KeyedRecord {
            key: b"status-connector-a-1".to_vec(),
            value: Some(br#"{"state":"RUNNING","trace":null,"worker_id":"old:1","generation":6}"#.to_vec()),
            kafka_offset: 0,
        }]);
        assert_eq!(board.connector("a-1").unwrap().state, State::Unassigned);
        board.set_connector("a-1", State::Unassigned, None, Some("3"));
        board.set_connector("a-1", State::Running, None, Some("3"));
        board.set_task("a-1", 0, State::Failed, Some("x\ny".into()), None);
        board.topic_used("a-1", 0, "t.t", 5);
        board.topic_used("a-1", 0, "t.t", 6);
        let written = Written::default();
        board.write_to(Arc::new(Log(written.clone()))).unwrap();
        board.close(Duration::from_secs(60));
        let got: Vec<_> = written.lock().unwrap().iter().map(|(k, v)| format!("{k} {}", v.as_ref().unwrap())).collect();
        assert_eq!(
            got,
            [
                r#"status-connector-a-1 {"state":"RUNNING","trace":null,"worker_id":"h:1","generation":7,"version":"3"}"#,
                r#"status-task-a-1-0 {"state":"FAILED","trace":"x\ny","worker_id":"h:1","generation":7,"version":null}"#,
                r#"status-topic-t.t:connector-a-1 {"topic":{"name":"t.t","connector":"a-1","task":0,"discoverTimestamp":5}}"#,
            ]
        );
    }

    #[test]
    fn removal_is_a_record_without_value() {
        let board = StatusBoard::new("h:1");
        let written = Written::default();
        board.set_connector("a", State::Running, None, None);
        board.set_task("a", 0, State::Running, None, None);
        board.topic_used("a", 0, "t", 5);
        board.remove_connector("a");
        board.write_to(Arc::new(Log(written.clone()))).unwrap();
        board.close(Duration::from_secs(60));
        assert!(written.lock().unwrap().iter().all(|(_, v)| v.is_none()));
        assert_eq!(written.lock().unwrap().len(), 3);
        assert!(board.connector("a").is_none() && board.tasks("a").is_empty() && board.topics("a").is_empty());
    }
}
