//! Waiting for something to become true, with a limit, and a message that says what never came.

use std::time::{Duration, Instant};

/// The least that is waited for anything: a limit ends a test that would hang, on whatever machine; how fast something has
/// to be it does not say.
const LEAST: Duration = Duration::from_secs(60);

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(30);

/// Asks `ready` until it answers, and panics after `timeout`, or a minute where that is longer. For what gives no signal of
/// its own: where there is a channel, a notification or a blocking read, wait on that.
#[track_caller]
pub fn wait_for<T>(what: &str, timeout: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let (start, timeout) = (Instant::now(), timeout.max(LEAST));
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < timeout, "waited {timeout:?} for {what}");
        // What is asked is often a new session of a server, which has other things to do.
        std::thread::sleep((start.elapsed() / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    }
}
