//! `walspring worker`

use crate::background::Background;
use crate::cli::WorkerArgs;
use crate::failure::Failure;
use crate::logging;
use crate::running::RunningWorker;
use crate::telemetry;
use crate::wiring::plugins::plugins;
use crate::wiring::{connector_files, register, worker_file};

pub fn run(args: WorkerArgs) -> Result<(), Failure> {
    let loggers = logging::start("info")?;
    let background = Background::start()?;
    let (worker, connectors) = args.files();
    let file = worker_file::read(worker)?;
    let mut plugins = plugins(&file);
    let connectors = connector_files::read(connectors, &plugins)?;
    let mut telemetry = telemetry::start(&mut plugins);
    background.stop_in_order();
    let running = RunningWorker::start(&file, plugins, loggers, &background)?;
    for address in &running.addresses {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "REST is served on http://{address}");
    }
    telemetry::watch(&mut telemetry, &running);
    register(running.supervisor.clone(), connectors)
        .map_err(|e| Failure::error(format!("no thread can be started to register connectors: {e}")))?;
    background.wait_stop();
    tracing::info!("stopping: what was read is being stored");
    let stopped = running.stop(&background);
    telemetry::stop(telemetry);
    if stopped {
        tracing::info!("stopped in order");
    } else {
        tracing::warn!(
            "stopped before every task had ended; what was not stored is read again at the next start. \
             task.shutdown.graceful.timeout.ms gives tasks longer"
        );
    }
    Ok(())
}
