//! Signals from the worker to a running source: what REST hands over, and what the source says of its snapshots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Signals that wait for a source that does not look at the moment, at most, and their size in bytes.
const WAITING_MAX: usize = 64;
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A signal as Debezium has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSignal {
    pub id: String,
    pub kind: String,
    /// JSON; empty: none.
    pub data: String,
}

impl SourceSignal {
    fn size(&self) -> usize {
        self.id.len() + self.kind.len() + self.data.len()
    }
}

/// Between a task's source and whoever signals; each holds one.
#[derive(Debug, Clone, Default)]
pub struct SignalInbox(Arc<Mutex<Inbox>>);

#[derive(Debug, Default)]
struct Inbox {
    listens: bool,
    waiting: VecDeque<SourceSignal>,
    bytes: usize,
    state: Value,
    snapshot: Option<SnapshotTeller>,
}

/// Asked how far a snapshot is; null: none is being read.
#[derive(Clone)]
pub struct SnapshotTeller(pub Arc<dyn Fn() -> Value + Send + Sync>);

impl std::fmt::Debug for SnapshotTeller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotTeller")
    }
}

/// Why signals were not taken. None of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The source does not stream now, or is not to hear signals this way.
    NotListening,
    /// Too many wait already.
    Full,
}

impl SignalInbox {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands signals over, all or none, to be followed in their order.
    pub fn offer(&self, signals: Vec<SourceSignal>) -> Result<(), NotTaken> {
        let mut inbox = self.lock();
        if !inbox.listens {
            return Err(NotTaken::NotListening);
        }
        let bytes = inbox.bytes + signals.iter().map(SourceSignal::size).sum::<usize>();
        if inbox.waiting.len() + signals.len() > WAITING_MAX || bytes > WAITING_BYTES_MAX {
            return Err(NotTaken::Full);
        }
        inbox.bytes = bytes;
        inbox.waiting.extend(signals);
        Ok(())
    }

    /// What the source last said of its snapshots; `None`: it does not listen.
    pub fn state(&self) -> Option<Value> {
        let inbox = self.lock();
        inbox.listens.then(|| inbox.state.clone())
    }

    /// The source's side: whom to ask how far its snapshot is.
    pub fn tells_snapshot(&self, teller: Option<SnapshotTeller>) {
        self.lock().snapshot = teller;
    }

    /// How far the source's snapshot is; null: it reads none.
    pub fn snapshot(&self) -> Value {
        let teller = self.lock().snapshot.clone();
        teller.map_or(Value::Null, |teller| teller.0())
    }

    /// The source's side: from now on signals are taken, until what is returned is dropped. Those that still wait then are
    /// for the task's next source.
    pub fn listen(&self) -> Listening {
        self.lock().listens = true;
        Listening(self.clone())
    }
}

/// A source that hears signals.
#[derive(Debug)]
pub struct Listening(SignalInbox);

impl Listening {
    /// The next signal, if one has come.
    pub fn next(&self) -> Option<SourceSignal> {
        let mut inbox = self.0.lock();
        let signal = inbox.waiting.pop_front()?;
        inbox.bytes -= signal.size();
        Some(signal)
    }

    /// For whoever asks what is going on.
    pub fn say(&self, state: Value) {
        self.0.lock().state = state;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut inbox = self.0.lock();
        inbox.listens = false;
        inbox.state = Value::Null;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(id: &str, data: usize) -> SourceSignal {
        SourceSignal { id: id.into(), kind: "log".into(), data: "x".repeat(data) }
    }

    #[test]
    fn what_was_taken_is_heard_once_also_by_the_next_source() {
        let inbox = SignalInbox::default();
        assert_eq!(inbox.offer(vec![signal("1", 0)]), Err(NotTaken::NotListening));
        let listening = inbox.listen();
        assert_eq!(inbox.offer(vec![signal("1", 0), signal("2", 0)]), Ok(()));
        listening.say(Value::from("busy"));
        assert_eq!(inbox.state(), Some(Value::from("busy")));
        assert_eq!(listening.next().map(|s| s.id).as_deref(), Some("1"));
        drop(listening);
        assert_eq!(inbox.state(), None);
        let listening = inbox.listen();
        assert_eq!(listening.next().map(|s| s.id).as_deref(), Some("2"));
        assert_eq!(listening.next(), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let inbox = SignalInbox::default();
        let listening = inbox.listen();
        assert_eq!(inbox.offer(vec![signal("", WAITING_BYTES_MAX)]), Err(NotTaken::Full));
        assert_eq!(inbox.offer(vec![signal("", WAITING_BYTES_MAX / 2)]), Ok(()));
        assert_eq!(inbox.offer(vec![signal("", WAITING_BYTES_MAX / 2)]), Err(NotTaken::Full));
        listening.next().unwrap();
        assert_eq!(inbox.offer(vec![signal("", 0); WAITING_MAX + 1]), Err(NotTaken::Full));
        assert_eq!(inbox.offer(vec![signal("", 0); WAITING_MAX]), Ok(()));
    }
}
