//! Which topics a pattern names: the cluster's list of topics is looked at from time to time, on a thread of its own, and
//! matched as Java would. (The client has patterns too, but of another syntax.)

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use walspring_config::java_regex::JavaRegex;
use walspring_connect::{StoreError, threads};

use crate::kept::Kept;

/// Asking for all topics; a cluster that is away is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Topics of the brokers themselves: no pattern reads them unless `exclude.internal.topics=false`.
const INTERNAL: [&str; 4] = ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

/// Its thread is gone when it is dropped.
pub struct TopicWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Not taken yet.
    news: Option<Vec<String>>,
    closed: bool,
}

impl TopicWatch {
    /// `wake` is called when there is news.
    pub fn start(
        client: Arc<Kept>,
        pattern: JavaRegex,
        internal_too: bool,
        every: Duration,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, StoreError> {
        let shared = Arc::<Shared>::default();
        let watched = shared.clone();
        let thread = threads::spawn("kafka-topics", move || {
            let mut known = None;
            loop {
                let wait = match client.topic_names(ASK_TIMEOUT) {
                    Ok(names) => {
                        let mut names: Vec<String> = names
                            .into_iter()
                            .filter(|name| internal_too || !INTERNAL.contains(&name.as_str()))
                            .filter(|name| pattern.matches(name).unwrap_or(false))
                            .collect();
                        names.sort_unstable();
                        if known.as_ref() != Some(&names) {
                            watched.state.lock().unwrap_or_else(PoisonError::into_inner).news = Some(names.clone());
                            known = Some(names);
                            wake();
                        }
                        every
                    }
                    Err(error) => {
                        tracing::debug!(pattern = pattern.as_str(), %error, "the list of topics");
                        ASK_AGAIN_AFTER
                    }
                };
                let state = watched.state.lock().unwrap_or_else(PoisonError::into_inner);
                let (state, _) = watched
                    .changed
                    .wait_timeout_while(state, wait, |state| !state.closed)
                    .unwrap_or_else(PoisonError::into_inner);
                if state.closed {
                    return;
                }
            }
        });
        match thread {
            Ok(thread) => Ok(Self { shared, thread: Some(thread) }),
            Err(error) => Err(StoreError::Transient(format!("a thread that looks for topics: {error}"))),
        }
    }

    /// All topics that match, when they are others than before.
    pub fn news(&self) -> Option<Vec<String>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).news.take()
    }
}

impl Drop for TopicWatch {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
