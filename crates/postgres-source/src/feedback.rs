//! Status updates to the server: unasked, by a timer, on a thread of their own, so that no back-pressure delays them.
//!
//! Invariant: what is confirmed only grows, and is never more than a stored offset says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use walspring_connect::{Feedback, fault};
use walspring_debezium::DebeziumOffset;
use walspring_record::{Lsn, SourceOffset};

use crate::wire::StandbyWriter;

/// Where the stream stands; written by the reader and by whoever makes offsets durable.
#[derive(Debug, Default)]
pub struct SlotProgress {
    received: AtomicU64,
    confirmed: AtomicU64,
    /// `lsn.flush.mode=manual`: others advance the slot.
    manual: bool,
    wake: Mutex<Wake>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wake {
    confirm: bool,
    stop: bool,
}

impl SlotProgress {
    pub fn new(manual: bool) -> SlotProgress {
        SlotProgress { manual, ..SlotProgress::default() }
    }

    /// The reader has everything up to here.
    #[inline]
    pub fn received(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Ordering::Relaxed);
    }

    pub fn received_lsn(&self) -> Lsn {
        Lsn(self.received.load(Ordering::Relaxed))
    }

    pub fn confirmed_lsn(&self) -> Lsn {
        Lsn(self.confirmed.load(Ordering::Acquire))
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
        self.reply();
    }
}

impl Feedback for SlotProgress {
    fn stored(&self, offset: &SourceOffset) {
        let offset = DebeziumOffset::parse(offset);
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
        let thread = std::thread::Builder::new()
            .name("slot-status".into())
            .spawn(move || {
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
                    let alive = writer.send_status(received.0, confirmed.0, confirmed.0, false).is_ok();
                    if stop || !alive {
                        return;
                    }
                    fault::point("status.sent");
                    sent = Instant::now();
                    due = sent + interval;
                }
            })
            .ok();
        StatusUpdates { progress, thread }
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
