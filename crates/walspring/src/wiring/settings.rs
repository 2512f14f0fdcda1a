//! What the runtime asks of the worker's configuration.

use std::net::SocketAddr;

use walspring_runtime::WorkerSettings;

use super::worker_file::WorkerFile;

/// `bound`: where REST really listens.
pub fn settings(file: &WorkerFile, bound: &[SocketAddr]) -> WorkerSettings {
    let worker = &file.typed;
    WorkerSettings {
        worker_id: worker_id(file, bound),
        offset_flush_interval: worker.offset_flush_interval,
        graceful_timeout: worker.shutdown_timeout,
        topic_tracking: worker.topic_tracking,
        topic_tracking_reset: worker.topic_tracking_reset,
        worker_config: file.resolved.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..WorkerSettings::default()
    }
}

/// `host:port` by which others would reach this worker.
fn worker_id(file: &WorkerFile, bound: &[SocketAddr]) -> String {
    let worker = &file.typed;
    let first = worker.listeners.first();
    let host = worker.advertised_host.clone().or_else(|| first.and_then(|listener| listener.host.clone()));
    let port = bound.first().map_or(8083, SocketAddr::port);
    format!("{}:{}", host.unwrap_or_else(host_name), worker.advertised_port.unwrap_or(port))
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "127.0.0.1".to_owned() } else { name.to_owned() }
}
