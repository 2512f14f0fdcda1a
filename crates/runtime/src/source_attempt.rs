//! One attempt at a source's task: writer (fences older ones) → stored offset → source → loop.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use walspring_connect::writer::RecordWriter;
use walspring_connect::{
    CONNECT_EXCEPTION, SourcePlugin, SourceState, SourceTaskContext, TaskError, WriterRequest, threads,
};

use crate::committer::{Commits, Committing, FENCED, Store, store_error, write_error};
use crate::errors::log::ErrorLog;
use crate::errors::retry::Retry;
use crate::errors::source::{SourceErrors, Tolerance};
use crate::info::State;
use crate::offsets_store::{self, ConnectorOffsets};
use crate::record_encoder::{RecordEncoder, Unreadable};
use crate::settings::{OFFSET_STORE_INTERVAL, WorkerSettings, value};
use crate::source_task::SourceLoop;
use crate::source_tracing::SourceTracing;
use crate::state_store::ConnectorState;
use crate::task::{AttemptFailed, Life, TaskContext, not_configured, resolve};
use crate::transform_chain::TransformChain;
use crate::turns;

impl Life<'_> {
    pub(crate) fn source_attempt(&self, plugin: &dyn SourcePlugin) -> Result<(), AttemptFailed> {
        let TaskContext { connector, task, plugins, settings, backend, .. } = self.context;
        let config = resolve(plugins, &self.context.config)?;
        let converters = plugins.converters(&config, &settings.worker_config).map_err(not_configured)?;
        let chain = TransformChain::new(plugins, &config).map_err(not_configured)?;
        let offsets_topic = value(&config, "offsets.storage.topic").map(str::to_owned);

        let commits = Commits::new(self.metrics.clone(), self.progress.clone());
        let request = WriterRequest {
            connector: connector.clone(),
            task: *task,
            config: config.clone(),
            offsets_topic: offsets_topic.clone(),
        };
        // A topic of the connector's own is made when it is first opened, and a transactional writer needs it to be there.
        if offsets_topic.is_some() {
            ConnectorOffsets::open(&**backend, connector, offsets_topic.as_deref()).map_err(|e| store_error(&e))?;
        }
        // Older writers are fenced when this returns: only now the stored offset is final.
        let mut writer = Writer(Some(backend.writer(request, commits.clone()).map_err(|e| write_error(&e))?));
        self.control.set_interrupter(writer.get().interrupter());
        self.metrics.queue_bytes_max.set(writer.get().bytes_max().unwrap_or_default() as f64);
        let offsets =
            ConnectorOffsets::open(&**backend, connector, offsets_topic.as_deref()).map_err(|e| store_error(&e))?;

        let read_offset = {
            let offsets = offsets.clone();
            move |partition: &walspring_connect::SourcePartition| {
                offsets.read_one(partition).map_err(|e| store_error(&e))
            }
        };
        let context = SourceTaskContext {
            connector: connector.clone(),
            task: *task,
            config: config.clone(),
            offset: Box::new(read_offset.clone()),
            stop: self.control.stop.clone(),
            progress: self.shared.clone(),
            signals: self.control.signals.clone(),
            join_group: {
                let backend = backend.clone();
                Arc::new(move |request| backend.consumer(request))
            },
            state: backend.state().map(|log| Arc::new(ConnectorState::new(log, connector)) as Arc<dyn SourceState>),
        };
        let of_source = |error| AttemptFailed { error, of_source: true };
        let mut source = plugin.start(context).map_err(of_source)?;

        let transactional = backend.transactional();
        // Read here, too: when a source asks is its own matter.
        let stored_offset = read_offset(&source.partition()).map_err(AttemptFailed::from)?;
        let key = offsets_store::key(connector, &source.partition());
        let store = Store {
            beside: transactional && offsets.has_own_topic(),
            offsets,
            key: key.clone(),
            interval: settings.offset_flush_interval.min(OFFSET_STORE_INTERVAL),
        };
        let mut encoder = RecordEncoder::new(
            converters,
            chain,
            (plugins.assembler)(),
            SourceErrors::new(
                tolerance(&config, settings),
                Retry::read(&config, self.control.stop.clone(), self.metrics.errors.clone()),
                ErrorLog::read(connector, *task, &config),
                &self.metrics,
            ),
            self.metrics.clone(),
            self.track_topics(),
        );
        encoder.on_unreadable(unreadable(&config));
        encoder.trace(plugins.source_observer.clone().map(|observer| SourceTracing::new(observer, connector)));

        self.shared.started();
        tracing::info!(connector = %connector, task, "the task runs");
        let feedback = source.feedback();
        let watcher = writer.get().watcher();
        let look = {
            let (shared, control) = (self.shared.clone(), self.control.clone());
            move || {
                // Of one that its own runtime has caught nobody else is woken.
                if threads::panicked().is_some() {
                    control.interrupt();
                }
                shared.look(watcher.as_deref());
            }
        };
        let result =
            beside(&commits, Committing::new(store, feedback), look, &format!("commit-{connector}-{task}"), || {
                SourceLoop {
                    source: &mut *source,
                    writer: writer.get(),
                    encoder: &mut encoder,
                    commits: &commits,
                    control: self.control,
                    offset_key: key,
                    transactional,
                    stored_offset,
                    graceful_timeout: settings.graceful_timeout,
                    on_pause: &|paused| self.shared.set(if paused { State::Paused } else { State::Running }, None),
                }
                .run()
            });
        let of_source = result.is_err() && commits.check().is_ok();
        drop(writer);
        source.close();
        result.map_err(|error| AttemptFailed { error, of_source })
    }

    pub(crate) fn track_topics(&self) -> Box<dyn FnMut(&str) + Send> {
        if !self.context.settings.topic_tracking {
            return Box::new(|_| ());
        }
        let (statuses, connector, task) =
            (self.context.statuses.clone(), self.context.connector.clone(), self.context.task);
        Box::new(move |topic| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
            statuses.topic_used(&connector, task, topic, now);
        })
    }
}

/// Runs the loop, and beside it the thread that commits; both have ended when it returns.
fn beside(
    commits: &Arc<Commits>,
    mut committing: Committing,
    look: impl Fn() + Sync,
    name: &str,
    run: impl FnOnce() -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    // What is durable by now is stored; a fenced task stores nothing more.
    let end = |result: &Result<(), TaskError>| {
        if result.as_ref().is_err_and(|e| e.causes.iter().any(|(class, _)| *class == FENCED)) {
            commits.abandon();
        } else {
            commits.close();
        }
    };
    if let Some(turns) = turns::simulated() {
        let commits = commits.clone();
        let stepped = commits.clone();
        turns.beside(Box::new(move || stepped.step(&mut committing)));
        // As below: whatever happens here, what is done beside ends with it.
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            commits.abandon();
            turns.join();
            resume_unwind(panic)
        });
        end(&result);
        turns.join();
        return result;
    }
    std::thread::scope(|scope| {
        let committer = threads::spawn_scoped(scope, name, || commits.run(committing, &look)).map_err(|e| {
            TaskError::transient(CONNECT_EXCEPTION, format!("no thread can be started for the offsets: {e}"))
        })?;
        // Whatever happens here, the other thread ends, so that the scope does.
        let guard = AbandonOnDrop(commits);
        let result = run();
        end(&result);
        // If it panicked, its crew knows.
        let _ = committer.join();
        drop(guard);
        result
    })
}

/// Aborts the writer whichever way an attempt ends.
struct Writer(Option<Box<dyn RecordWriter>>);

impl Writer {
    fn get(&mut self) -> &mut dyn RecordWriter {
        &mut **self.0.as_mut().expect("the writer is there until it is dropped")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            writer.abort();
        }
    }
}

struct AbandonOnDrop<'a>(&'a Commits);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn unreadable(config: &[(String, String)]) -> Unreadable {
    let mode = value(config, "event.processing.failure.handling.mode").map(|mode| mode.trim().to_ascii_lowercase());
    match mode.as_deref() {
        Some("warn") => Unreadable::LeftOut { with_warning: true },
        Some("skip" | "ignore") => Unreadable::LeftOut { with_warning: false },
        _ => Unreadable::Fails,
    }
}

fn tolerance(config: &[(String, String)], settings: &WorkerSettings) -> Tolerance {
    if !value(config, "errors.tolerance").is_some_and(|v| v.eq_ignore_ascii_case("all")) {
        return Tolerance::None;
    }
    let given = value(config, "producer.override.max.request.size")
        .or_else(|| settings.worker_value("producer.max.request.size"));
    // The default of Java's producer.
    let codec = value(config, "producer.override.compression.type")
        .or_else(|| settings.worker_value("producer.compression.type"));
    Tolerance::All {
        record_bytes_max: given.and_then(|v| v.trim().parse().ok()).unwrap_or(1_048_576),
        uncompressed: codec.is_none_or(|codec| codec.trim().eq_ignore_ascii_case("none")),
    }
}
