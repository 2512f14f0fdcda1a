//! Writes what the source keeps over restarts, on a thread of its own: the stream goes on while a broker is away.
//!
//! What waits is bounded by the number of keys: a newer value takes the place of an older one that was not written yet. All
//! that waits is written at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use walspring_connect::{SourceState, StateKey, StoreError, fault, threads};

const RETRY_WAIT_MIN: Duration = Duration::from_millis(500);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// What was kept by the time the task started.
pub type Kept = BTreeMap<StateKey, Value>;

/// Without a store, or once it has refused, nothing is kept and nobody waits.
pub struct Keeper {
    shared: Option<Arc<Shared>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<StateKey, Option<Value>>,
    writing: bool,
    closing: bool,
    refused: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// [`Self::is_there`] says whether there could be a thread for it.
    pub fn start(store: Option<Arc<dyn SourceState>>) -> Keeper {
        let Some(store) = store else { return Keeper { shared: None, thread: None } };
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let served = shared.clone();
        let thread = threads::spawn("keeper", move || serve(&served, &*store)).ok();
        Keeper { shared: thread.is_some().then_some(shared), thread }
    }

    pub fn is_there(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.lock().refused)
    }

    /// Has them written soon; `None` forgets.
    pub fn keep(&self, records: impl IntoIterator<Item = (StateKey, Option<Value>)>) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.lock();
        if !state.refused {
            state.waiting.extend(records);
            shared.changed.notify_all();
        }
    }

    /// Waits until all is durable, or will not be. False: the time was over.
    pub fn settle(&self, limit: Duration) -> bool {
        let Some(shared) = &self.shared else { return true };
        let end = Instant::now() + limit;
        let mut state = shared.lock();
        while state.writing || !state.waiting.is_empty() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Keeper {
    /// What is being written when a broker is away is left to itself.
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.lock().closing = true;
        shared.changed.notify_all();
        if self.settle(Duration::from_secs(2))
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, store: &dyn SourceState) {
    let mut retry = RETRY_WAIT_MIN;
    loop {
        let mut state = shared.lock();
        while state.waiting.is_empty() {
            if state.closing {
                return;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let records: Vec<_> = state.waiting.drain().collect();
        state.writing = true;
        drop(state);
        fault::point("keeper.write");
        let written = store.write(&records);
        fault::point("keeper.written");
        let mut state = shared.lock();
        state.writing = false;
        match written {
            Ok(()) => retry = RETRY_WAIT_MIN,
            Err(StoreError::Transient(why)) if !state.closing => {
                tracing::warn!("what is kept over restarts is not written yet, it will be tried again: {why}");
                for (key, value) in records {
                    state.waiting.entry(key).or_insert(value);
                }
                let end = Instant::now() + retry;
                while !state.closing
                    && let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                {
                    state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                retry = (retry * 2).min(RETRY_WAIT_MAX);
            }
            Err(why) => {
                tracing::warn!("what is kept over restarts cannot be written, the connector goes on without: {why}");
                state.waiting.clear();
                state.refused = true;
            }
        }
        shared.changed.notify_all();
        if state.refused {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Store {
        written: Mutex<BTreeMap<StateKey, Option<Value>>>,
        fails: Mutex<Vec<StoreError>>,
        calls: AtomicUsize,
    }

    impl SourceState for Store {
        fn read(&self) -> Result<Vec<(StateKey, Value)>, StoreError> {
            Ok(Vec::new())
        }
        fn write(&self, records: &[(StateKey, Option<Value>)]) -> Result<(), StoreError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if let Some(e) = self.fails.lock().unwrap().pop() {
                return Err(e);
            }
            self.written.lock().unwrap().extend(records.iter().cloned());
            Ok(())
        }
    }

    const LIMIT: Duration = Duration::from_secs(60);

    fn key(name: &str) -> StateKey {
        vec![name.into()]
    }

    #[test]
    fn all_that_waits_is_written_at_once_and_again_after_trouble() {
        let store = Arc::new(Store::default());
        store.fails.lock().unwrap().push(StoreError::Transient("away".into()));
        let keeper = Keeper::start(Some(store.clone()));
        keeper.keep((0..1000).map(|n| (key(&n.to_string()), Some(json!(n)))));
        keeper.keep([(key("0"), None)]);
        assert!(keeper.settle(LIMIT));
        assert_eq!(store.written.lock().unwrap().len(), 1000);
        assert_eq!(store.written.lock().unwrap()[&key("0")], None);
        assert!(store.calls.load(Ordering::SeqCst) <= 4);
        keeper.keep([(key("last"), Some(json!(1)))]);
        drop(keeper);
        assert!(store.written.lock().unwrap().contains_key(&key("last")));
    }

    #[test]
    fn once_refused_nobody_waits() {
        let store = Arc::new(Store::default());
        store.fails.lock().unwrap().push(StoreError::Definite("no right".into()));
        let keeper = Keeper::start(Some(store.clone()));
        keeper.keep([(key("a"), Some(json!(1)))]);
        assert!(keeper.settle(LIMIT));
        assert!(!keeper.is_there());
        keeper.keep([(key("b"), Some(json!(1)))]);
        assert!(keeper.settle(LIMIT));
        assert_eq!(store.calls.load(Ordering::SeqCst), 1);
        assert!(Keeper::start(None).settle(LIMIT));
    }
}
