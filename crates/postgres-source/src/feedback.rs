//! Status updates to the server: unasked, by a timer, on a thread of their own, so that no back-pressure delays them.
//!
//! Invariant: what is confirmed only grows, and is never more than a stored offset says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use walspring_config::postgres::{LsnFlushMode, LsnFlushTimeoutAction, SlotConfig};
use walspring_connect::{CONNECT_EXCEPTION, Feedback, TaskError, fault, threads};
use walspring_debezium::DebeziumOffset;
use walspring_record::{Lsn, SourceOffset};

use crate::signals::Acknowledged;
use crate::wire::StandbyWriter;

/// Where the stream stands; written by the reader and by whoever makes offsets durable.
#[derive(Debug, Default)]
pub struct SlotProgress {
    received: AtomicU64,
    confirmed: AtomicU64,
    /// Up to which number signals from outside are known to a stored offset; zero: to none.
    signals: AtomicU64,
    /// `lsn.flush.mode=manual`: others advance the slot.
    manual: bool,
    limit: Option<FlushLimit>,
    wake: Mutex<Wake>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wake {
    confirm: bool,
    stop: bool,
    /// Since when something waits to be confirmed that the connection has not taken.
    unsent: Option<Instant>,
    /// There can be no thread that confirms.
    no_thread: Option<String>,
}

/// `lsn.flush.timeout.ms` and `lsn.flush.timeout.action`.
#[derive(Debug)]
struct FlushLimit {
    timeout: Duration,
    action: LsnFlushTimeoutAction,
}

impl SlotProgress {
    pub fn new(slot: &SlotConfig) -> SlotProgress {
        SlotProgress {
            manual: slot.flush_mode == LsnFlushMode::Manual,
            limit: Some(FlushLimit { timeout: slot.flush_timeout, action: slot.flush_timeout_action }),
            ..SlotProgress::default()
        }
    }

    /// The reader has everything up to here.
    #[inline]
    pub fn received(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Ordering::Relaxed);
        if fault::planted("confirm_early") {
            self.confirm(lsn);
        }
    }

    pub fn received_lsn(&self) -> Lsn {
        Lsn(self.received.load(Ordering::Relaxed))
    }

    pub fn confirmed_lsn(&self) -> Lsn {
        Lsn(self.confirmed.load(Ordering::Acquire))
    }

    /// See [`Acknowledged`].
    pub fn signals(&self) -> Option<u64> {
        Some(self.signals.load(Ordering::Acquire)).filter(|number| *number > 0)
    }

    /// The server wants to hear from us.
    pub fn reply(&self) {
        self.wake.lock().unwrap_or_else(|e| e.into_inner()).confirm = true;
        self.changed.notify_all();
    }

    pub fn confirm(&self, lsn: Lsn) {
        if self.manual || self.confirmed.fetch_max(lsn.0, Ordering::AcqRel) >= lsn.0 {
            return;
        }
        self.wake.lock().unwrap_or_else(|e| e.into_inner()).unsent.get_or_insert_with(Instant::now);
        self.reply();
    }

    /// The connection took what was confirmed up to here.
    fn sent(&self, confirmed: Lsn) {
        let mut wake = self.wake.lock().unwrap_or_else(|e| e.into_inner());
        wake.unsent = wake.unsent.filter(|_| confirmed < self.confirmed_lsn()).map(|_| Instant::now());
    }

    /// Whether the connection takes confirmations in time; an error ends the task's attempt, so that it connects anew.
    pub fn check_flush(&self) -> Result<(), TaskError> {
        let mut wake = self.wake.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(why) = &wake.no_thread {
            return Err(TaskError::transient(
                CONNECT_EXCEPTION,
                format!("Starting the thread that confirms positions failed: {why}"),
            ));
        }
        let Some(limit) = &self.limit else { return Ok(()) };
        if wake.unsent.is_none_or(|since| since.elapsed() <= limit.timeout) {
            return Ok(());
        }
        // It is said again after as long.
        wake.unsent = Some(Instant::now());
        drop(wake);
        let (lsn, timeout_ms) = (self.confirmed_lsn(), limit.timeout.as_millis() as u64);
        match limit.action {
            LsnFlushTimeoutAction::Fail => Err(TaskError::transient(
                CONNECT_EXCEPTION,
                format!(
                    "LSN flush operation timed out for LSN '{lsn}'. Task is configured to fail on timeout as configured by \
                     lsn.flush.timeout.action configuration."
                ),
            )
            .hint("the connection takes nothing: look at the network and at the server; the task connects anew")),
            LsnFlushTimeoutAction::Warn => {
                tracing::warn!(%lsn, timeout_ms, "the connection did not take a confirmed position in time; it waits on");
                Ok(())
            }
            LsnFlushTimeoutAction::Ignore => {
                tracing::debug!(%lsn, timeout_ms, "the connection did not take a confirmed position in time");
                Ok(())
            }
        }
    }
}

impl Feedback for SlotProgress {
    fn stored(&self, offset: &SourceOffset) {
        let offset = DebeziumOffset::parse(offset);
        if let Some(number) = Acknowledged::load(&offset.rest) {
            self.signals.fetch_max(number, Ordering::AcqRel);
        }
        // A finished snapshot's offset says where it read.
        let snapshot = offset.lsn.filter(|_| offset.is_of_initial_snapshot() && offset.snapshot_completed);
        if let Some(lsn) = offset.lsn_commit.or(snapshot) {
            self.confirm(lsn);
        }
    }
}

/// The thread that sends the updates; ends when dropped, after a last update.
pub struct StatusUpdates {
    progress: Arc<SlotProgress>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Confirmations come with each transaction; more often than this the server gains nothing from them.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(100);

impl StatusUpdates {
    /// `interval`: at most a third of the server's `wal_sender_timeout`.
    pub fn start(writer: StandbyWriter, progress: Arc<SlotProgress>, interval: Duration) -> StatusUpdates {
        let shared = progress.clone();
        // What had to wait for a connection begins to wait for this one now.
        shared.sent(Lsn::ZERO);
        let thread = threads::spawn("slot-status", move || {
            let mut due = Instant::now();
            let mut sent = Instant::now();
            loop {
                let (confirm, stop) = {
                    let mut wake = shared.wake.lock().unwrap_or_else(|e| e.into_inner());
                    while !wake.stop && !wake.confirm {
                        let now = Instant::now();
                        if now >= due {
                            break;
                        }
                        wake = shared.changed.wait_timeout(wake, due - now).unwrap_or_else(|e| e.into_inner()).0;
                    }
                    (std::mem::take(&mut wake.confirm), wake.stop)
                };
                if confirm && !stop {
                    std::thread::sleep(CONFIRM_INTERVAL.saturating_sub(sent.elapsed()));
                }
                let (received, confirmed) = (shared.received_lsn(), shared.confirmed_lsn());
                // A broken connection is the reader's to report.
                fault::point("status.send");
                // On the timer the server is asked for a word, so that its silence says something.
                let alive = writer.send_status(received.0, confirmed.0, confirmed.0, !confirm).is_ok();
                if stop || !alive {
                    return;
                }
                shared.sent(confirmed);
                fault::point("status.sent");
                sent = Instant::now();
                due = sent + interval;
            }
        });
        progress.wake.lock().unwrap_or_else(|e| e.into_inner()).no_thread =
            thread.as_ref().err().map(ToString::to_string);
        StatusUpdates { progress, thread: thread.ok() }
    }
}

impl Drop for StatusUpdates {
    fn drop(&mut self) {
        self.progress.wake.lock().unwrap_or_else(|e| e.into_inner()).stop = true;
        self.progress.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn progress(action: LsnFlushTimeoutAction) -> SlotProgress {
        let limit = Some(FlushLimit { timeout: LIMIT, action });
        SlotProgress { limit, ..SlotProgress::default() }
    }

    /// As if what waits had waited for more than the limit.
    fn later(progress: &SlotProgress) {
        let mut wake = progress.wake.lock().unwrap();
        wake.unsent = wake.unsent.and_then(|since| since.checked_sub(LIMIT + Duration::from_secs(1)));
    }

    /// Nobody takes what is confirmed.
    fn late(action: LsnFlushTimeoutAction) -> (SlotProgress, Result<(), TaskError>) {
        let progress = progress(action);
        progress.confirm(Lsn(16));
        assert!(progress.check_flush().is_ok(), "not yet");
        later(&progress);
        let checked = progress.check_flush();
        (progress, checked)
    }

    #[test]
    fn a_connection_that_takes_nothing_is_given_up_if_asked_for() {
        let (progress, checked) = late(LsnFlushTimeoutAction::Fail);
        let error = checked.unwrap_err();
        assert!(error.is_transient() && error.message.starts_with("LSN flush operation timed out for LSN '0/10'."));
        assert!(progress.check_flush().is_ok(), "said again after as long");
        for action in [LsnFlushTimeoutAction::Warn, LsnFlushTimeoutAction::Ignore] {
            assert!(late(action).1.is_ok());
        }
    }

    #[test]
    fn what_was_taken_is_not_waited_for() {
        let progress = progress(LsnFlushTimeoutAction::Fail);
        progress.confirm(Lsn(16));
        progress.sent(Lsn(16));
        later(&progress);
        assert!(progress.check_flush().is_ok(), "nothing is waited for");
        progress.confirm(Lsn(32));
        progress.sent(Lsn(16));
        later(&progress);
        assert!(progress.check_flush().is_err(), "the newer one is");
    }
}
