//! The one thread for everything that is async (REST, signals); the command has the main thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

const STACK_BYTES: usize = 1 << 20;

pub struct Background {
    handle: Handle,
    stop: watch::Receiver<bool>,
    stops_in_order: Arc<AtomicBool>,
}

impl Background {
    /// SIGINT and SIGTERM end the process at once, until [`Background::stop_in_order`].
    pub fn start() -> Result<Background, Failure> {
        let failed = |e: std::io::Error| Failure::error(format!("the process cannot be set up: {e}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let stops_in_order = Arc::new(AtomicBool::new(false));
        let (sender, stop) = watch::channel(false);
        let in_order = stops_in_order.clone();
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
        };
        let signals = async move {
            loop {
                let status = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if !in_order.load(Ordering::Acquire) || *sender.borrow() {
                    std::process::exit(status);
                }
                sender.send_replace(true);
            }
        };
        std::thread::Builder::new()
            .name("background".into())
            .stack_size(STACK_BYTES)
            .spawn(move || runtime.block_on(signals))
            .map_err(failed)?;
        Ok(Background { handle, stop, stops_in_order })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// From now on the first signal only asks to stop; the second ends the process.
    pub fn stop_in_order(&self) {
        self.stops_in_order.store(true, Ordering::Release);
    }

    /// Becomes true when a signal asked to stop.
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for the signal.
    pub fn wait_stop(&self) {
        let mut stop = self.stop();
        let _ = self.handle.block_on(stop.wait_for(|stop| *stop));
    }

    /// Waits for the signal, for a change of what is watched, or for the time to pass. True: stop.
    pub fn wait_change(&self, watched: &mut watch::Receiver<u64>, at_most: Duration) -> bool {
        let mut stop = self.stop();
        self.handle.block_on(async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = watched.changed() => {}
                () = tokio::time::sleep(at_most) => {}
            }
        });
        self.is_stopping()
    }
}
