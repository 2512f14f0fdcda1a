//! Hands the observers of spans and log lines to the runtime, and its numbers to the exporter.

use std::time::Duration;

use walspring_runtime::Plugins;
use walspring_telemetry::{RecordLog, Settings, Telemetry};

use crate::running::RunningWorker;

/// The last spans and numbers have this long to be sent.
const END: Duration = Duration::from_secs(3);
const SPANS_DROPPED: &str = "walspring_telemetry_spans_dropped_total";

/// By the environment; the runtime is told of it through its plugins.
pub fn start(plugins: &mut Plugins) -> Telemetry {
    let telemetry = Telemetry::start(Settings::from_env(), RecordLog::from_env(), env!("CARGO_PKG_VERSION"));
    plugins.source_observer = telemetry.source_observer();
    plugins.sink_observer = Some(telemetry.sink_observer());
    telemetry
}

/// What `/metrics` shows is exported from now on, and what is lost of spans is shown there.
pub fn watch(telemetry: &mut Telemetry, worker: &RunningWorker) {
    if telemetry.exports_spans() {
        let dropped = worker.supervisor.metrics().counter(SPANS_DROPPED, &[]);
        telemetry.on_dropped(move |spans| dropped.add(spans));
    }
    let supervisor = worker.supervisor.clone();
    telemetry.export_metrics(move || supervisor.metrics_text());
}

pub fn stop(telemetry: Telemetry) {
    if !telemetry.shutdown(END) {
        tracing::warn!("not all spans and metrics were sent within {} s", END.as_secs());
    }
}
