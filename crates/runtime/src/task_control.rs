//! How the supervisor steers a task's thread: what is wished of it, and whether it has ended.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use walspring_connect::{SignalInbox, StopToken, threads};

use crate::turns;

const ORPHAN_WAIT: Duration = Duration::from_secs(5);

/// What a task should be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    Pause,
    Stop,
}

pub(crate) type Interrupter = Arc<dyn Fn() + Send + Sync>;

/// How the supervisor steers a task.
pub(crate) struct TaskControl {
    pub stop: StopToken,
    /// To a source, for as long as the task lives.
    pub signals: SignalInbox,
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
    pub fn new(wish: Wish) -> Arc<TaskControl> {
        Arc::new(TaskControl {
            stop: StopToken::default(),
            signals: SignalInbox::default(),
            state: Mutex::new(ControlState { wish, ended: false, left_behind: false, interrupter: None }),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(&'a self, state: MutexGuard<'a, ControlState>, time: Duration) -> MutexGuard<'a, ControlState> {
        if let Some(turns) = turns::simulated() {
            drop(state);
            turns.wait(time);
            return self.lock();
        }
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

    /// Or until a thread of the attempt has panicked.
    pub fn wait_while_paused(&self) -> Wish {
        let mut state = self.lock();
        while state.wish == Wish::Pause && threads::panicked().is_none() {
            if let Some(turns) = turns::simulated() {
                drop(state);
                turns.wait(Duration::from_secs(1));
                state = self.lock();
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wish
    }

    /// For the time, or until something is wished.
    pub fn wait(&self, time: Duration) {
        let end = turns::now() + time;
        let mut state = self.lock();
        while state.wish == Wish::Run {
            match end.checked_duration_since(turns::now()).filter(|left| !left.is_zero()) {
                Some(left) => state = self.wait_for(state, left),
                None => return,
            }
        }
    }

    /// How the thread can be got out of what it waits for.
    pub fn set_interrupter(&self, interrupter: Option<Interrupter>) {
        self.lock().interrupter = interrupter;
    }

    /// Gets the thread out of what it waits for.
    pub fn interrupt(&self) {
        let interrupter = self.lock().interrupter.clone();
        if let Some(interrupt) = interrupter {
            interrupt();
        }
        self.changed.notify_all();
    }

    pub fn is_left_behind(&self) -> bool {
        self.lock().left_behind
    }

    /// The thread's last word.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
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
    pub thread: Option<JoinHandle<()>>,
}

/// Not joined, because whoever had it panicked: it is stopped all the same, for another one may be started.
impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.control.set(Wish::Stop);
        if std::thread::panicking() {
            self.control.wait_ended(ORPHAN_WAIT);
        }
    }
}

impl TaskHandle {
    /// Waits until a task that was told to stop has ended. One that does not end in time is left behind: its successor's
    /// writer fences it.
    pub fn join(mut self, timeout: Duration) {
        if !self.control.wait_ended(timeout) {
            self.control.interrupt();
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
