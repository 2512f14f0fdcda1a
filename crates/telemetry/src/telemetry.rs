//! What is running: the tracer that observers make spans with, and the threads that export.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use walspring_connect::{SinkObserver, SourceObserver};

use crate::metric_export::{self, Stop};
use crate::names;
use crate::record_log::RecordLog;
use crate::settings::{Endpoint, MetricSettings, Settings, TraceSettings};
use crate::sink::SinkTelemetry;
use crate::source::SourceTelemetry;
use crate::span_export::{self, Enqueue};
use crate::span_queue::SpanQueue;
use crate::transport::Transport;

/// Lives as long as the worker.
pub struct Telemetry {
    spans: Option<Spans>,
    /// Until they begin to be exported.
    metrics: Option<(Transport, Duration)>,
    metrics_stop: Arc<Stop>,
    resource: Resource,
    propagate: bool,
    log: RecordLog,
    /// Each thread holds a sender until it ends.
    running: (Option<Sender<()>>, Receiver<()>),
}

struct Spans {
    tracer: SdkTracer,
    queue: Arc<SpanQueue>,
    /// Ends its processors when it is dropped.
    _provider: SdkTracerProvider,
}

impl Telemetry {
    /// Starts what the settings ask for, and says so. `version`: of the service.
    pub fn start(settings: Settings, log: RecordLog, version: &str) -> Telemetry {
        let Settings { traces, metrics, mut resource, propagate, warnings } = settings;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if !resource.iter().any(|attribute| attribute.key.as_str() == names::resource::SERVICE_VERSION) {
            resource.push(KeyValue::new(names::resource::SERVICE_VERSION, version.to_owned()));
        }
        let (alive, ended) = channel();
        let mut telemetry = Telemetry {
            spans: None,
            metrics: None,
            metrics_stop: Arc::default(),
            resource: Resource { attributes: Attributes::from(resource).0, ..Resource::default() },
            propagate,
            log,
            running: (Some(alive), ended),
        };
        if let Some(traces) = traces {
            telemetry.spans = telemetry.start_spans(traces);
        }
        telemetry.metrics =
            metrics.and_then(|MetricSettings { endpoint, interval }| Some((transport(endpoint, "metrics")?, interval)));
        telemetry
    }

    /// Hears of the records of sinks. Always there: without traces it wants failures only, and logs them.
    pub fn sink_observer(&self) -> Arc<dyn SinkObserver> {
        let tracer = self.spans.as_ref().map(|spans| spans.tracer.clone());
        Arc::new(SinkTelemetry { tracer, propagate: self.propagate, log: self.log })
    }

    /// Gives the records of sources their context. `None`: no spans are exported, or none is to be handed on; no header
    /// is written.
    pub fn source_observer(&self) -> Option<Arc<dyn SourceObserver>> {
        let spans = self.spans.as_ref().filter(|_| self.propagate)?;
        Some(Arc::new(SourceTelemetry { tracer: spans.tracer.clone() }))
    }

    /// Begins to export what `read` gives, the text of `/metrics`, if metrics are to be exported.
    pub fn export_metrics(&mut self, read: impl Fn() -> String + Send + 'static) {
        let Some((transport, interval)) = self.metrics.take() else { return };
        let read: metric_export::ReadMetrics = Box::new(read);
        let (resource, stop) = (self.resource.clone(), self.metrics_stop.clone());
        self.spawn("otlp-metrics", move || metric_export::run(&read, &transport, &resource, interval, &stop));
    }

    pub fn exports_spans(&self) -> bool {
        self.spans.is_some()
    }

    /// `told` hears how many spans were just lost, from now on.
    pub fn on_dropped(&self, told: impl Fn(u64) + Send + Sync + 'static) {
        if let Some(spans) = &self.spans {
            spans.queue.on_dropped(Box::new(told));
        }
    }

    /// Spans that were lost: the receiver was too slow or away, or did not want them.
    pub fn spans_dropped(&self) -> u64 {
        self.spans.as_ref().map_or(0, |spans| spans.queue.dropped())
    }

    /// Sends what is there, for `timeout` at most. False: not all of it.
    pub fn shutdown(mut self, timeout: Duration) -> bool {
        if let Some(spans) = &self.spans {
            spans.queue.end();
        }
        self.metrics_stop.stop();
        self.running.0 = None;
        let until = Instant::now() + timeout;
        let ended = self.running.1.recv_timeout(until.saturating_duration_since(Instant::now()));
        ended == Err(RecvTimeoutError::Disconnected)
    }

    fn start_spans(&self, settings: TraceSettings) -> Option<Spans> {
        let transport = transport(settings.endpoint, "spans")?;
        let queue = Arc::new(SpanQueue::new(settings.batch_spans_max, settings.queue_spans_max));
        let provider = SdkTracerProvider::builder()
            .with_sampler(settings.sampler)
            .with_span_processor(Enqueue(queue.clone()))
            .build();
        let scope = InstrumentationScope::builder(names::SCOPE).with_schema_url(names::SCHEMA_URL).build();
        let tracer = provider.tracer_with_scope(scope);
        let (resource, delay) = (self.resource.clone(), settings.schedule_delay);
        let source = queue.clone();
        self.spawn("otlp-spans", move || span_export::run(&source, &transport, &resource, delay)).then_some(Spans {
            tracer,
            queue,
            _provider: provider,
        })
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> bool {
        let Some(alive) = self.running.0.clone() else { return false };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            run();
            drop(alive);
        });
        if let Err(error) = &spawned {
            tracing::warn!("the thread {name} cannot be started: {error}");
        }
        spawned.is_ok()
    }
}

fn transport(endpoint: Endpoint, what: &str) -> Option<Transport> {
    match Transport::new(endpoint) {
        Ok(transport) => {
            tracing::info!("{what} are exported to {}", transport.shown());
            Some(transport)
        }
        Err(error) => {
            tracing::warn!("{what} are not exported: {error}");
            None
        }
    }
}
