//! A worker in this process: the supervisor, and REST in front of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use walspring_log::Log;
use walspring_rest::{LoggerLevels, Rest, Server};
use walspring_runtime::{Plugins, Supervisor};

use crate::background::Background;
use crate::failure::Failure;
use crate::http;
use crate::wiring::backend::{self, Storage};
use crate::wiring::worker_file::WorkerFile;
use crate::wiring::{listeners, settings};

/// Requests that are being answered when the worker ends have this long.
const REST_END: Duration = Duration::from_secs(2);

pub struct RunningWorker {
    pub supervisor: Arc<Supervisor>,
    storage: Storage,
    /// Where REST listens.
    pub addresses: Vec<SocketAddr>,
    stopping: watch::Sender<bool>,
    rest: JoinHandle<()>,
    graceful_timeout: Duration,
}

impl RunningWorker {
    /// Returns when REST serves; the store is reached in the background.
    pub fn start(
        file: &WorkerFile,
        plugins: Plugins,
        loggers: LoggerLevels,
        background: &Background,
    ) -> Result<RunningWorker, Failure> {
        let wanted = listeners::addresses(&file.typed)?;
        let handle = background.handle();
        let server = handle.block_on(Server::bind(&wanted)).map_err(|e| {
            Failure::error(e.to_string()).hint("Another process may listen there; `listeners` names another address.")
        })?;
        let addresses = server.addresses();
        let (connect, storage) = backend::connect(file)?;
        let settings = settings::settings(file, &addresses);
        let graceful_timeout = settings.graceful_timeout;
        let supervisor = Supervisor::start(settings, plugins, connect)
            .map_err(|e| Failure::error(format!("no thread can be started for the connectors: {e}")))?;
        let (stopping, stop) = watch::channel(false);
        let router = walspring_rest::router(
            Rest {
                supervisor: supervisor.clone(),
                loggers: Arc::new(loggers),
                access: Arc::new(listeners::access(&file.typed)),
                version: env!("CARGO_PKG_VERSION"),
            },
            http::router(storage.clone(), stop.clone()),
        );
        let mut stop = stop;
        let until = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let rest = handle.spawn(server.run(router, until));
        Ok(RunningWorker { supervisor, storage, addresses, stopping, rest, graceful_timeout })
    }

    /// The embedded log, if it is what the worker stands on.
    pub fn log(&self) -> Option<Log> {
        match &self.storage {
            Storage::Embedded(log) => log.get().cloned(),
            Storage::Kafka => None,
        }
    }

    /// `http://host:port` for people on this machine.
    pub fn url(&self) -> String {
        match self.addresses.first() {
            Some(address) if address.ip().is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
            Some(address) => format!("http://{address}"),
            None => "nowhere".to_owned(),
        }
    }

    /// Drains, commits, confirms. False: not all of it within `task.shutdown.graceful.timeout.ms`.
    pub fn stop(self, background: &Background) -> bool {
        self.stopping.send_replace(true);
        // A task that does not end in time is interrupted, and then needs a moment.
        let drained = self.supervisor.shutdown(self.graceful_timeout + Duration::from_secs(2));
        let _ = background.handle().block_on(async { tokio::time::timeout(REST_END, self.rest).await });
        drained
    }
}
