//! One attempt at a sink's task: converters, transforms and dead letter queue → sink → member of the group → loop.
//!
//! ```text
//!   consumer.poll ─▶ read ─▶ Decoder ─▶ Batch ─▶ SinkTask::put ─▶ dead letters ─▶ Positions ─▶ consumer.commit
//!                                         ▲ halves, or the same again ┘
//! ```

mod ahead;
mod batch;
mod dead_letters;
mod decoder;
mod delivery;
mod failure;
mod metrics;
mod observing;
mod positions;
mod reporter;
mod settings;
mod task_loop;

use std::panic::{AssertUnwindSafe, catch_unwind};

use walspring_connect::{
    ConsumerRequest, DeadLetterRequest, RecordConsumer, SinkIdentity, SinkPlugin, SinkTask, SinkTaskContext,
};

use self::ahead::Ahead;
use self::decoder::Decoder;
use self::metrics::SinkMetrics;
use self::observing::Observing;
use self::reporter::Reporter;
pub(crate) use self::settings::{SinkSettings, default_group, group};
use self::task_loop::SinkLoop;
use crate::committer::store_error;
use crate::errors::log::ErrorLog;
use crate::errors::retry::Retry;
use crate::restarts::PutBackoff;
use crate::task::{AttemptFailed, Life, not_configured, resolve};
use crate::transform_chain::TransformChain;

impl Life<'_> {
    pub(crate) fn sink_attempt(&self, plugin: &dyn SinkPlugin) -> Result<(), AttemptFailed> {
        let (connector, task) = (&self.context.connector, self.context.task);
        let (plugins, backend, worker) = (&self.context.plugins, &self.context.backend, &self.context.settings);
        let config = resolve(plugins, &self.context.config)?;
        let settings = SinkSettings::read(connector, &config, worker)?;
        let converters = plugins.converters(&config, &worker.worker_config).map_err(not_configured)?;
        let chain = TransformChain::new(plugins, &config).map_err(not_configured)?;
        let retry = Retry::read(&config, self.control.stop.clone(), self.metrics.errors.clone());
        let log = ErrorLog::read(connector, task, &config);
        let dead_letters = match &settings.dead_letters {
            None => None,
            Some(queue) => Some(
                backend
                    .dead_letters(DeadLetterRequest {
                        connector: connector.clone(),
                        task,
                        topic: queue.topic.clone(),
                        replication_factor: queue.replication_factor,
                        config: config.clone(),
                    })
                    .map_err(|e| store_error(&e))?,
            ),
        };
        // The sink before the group: partitions are not taken from others for one that cannot write.
        let mut sink = Started(plugin.start(SinkTaskContext {
            connector: connector.clone(),
            task,
            group: settings.group.clone(),
            config: config.clone(),
            stop: self.control.stop.clone(),
            progress: self.shared.clone(),
        })?);
        let consumer = backend.consumer(ConsumerRequest {
            connector: connector.clone(),
            task,
            group: settings.group.clone(),
            topics: settings.topics.clone(),
            config,
            stop: self.control.stop.clone(),
        });
        let mut member = Member(Some(consumer.map_err(|e| store_error(&e))?));
        self.shared.started();
        tracing::info!(connector = %connector, task, group = %settings.group, "the task runs");
        let observing = plugins.sink_observer.clone().map(|observer| Observing {
            observer,
            identity: SinkIdentity { connector: connector.clone(), task, group: settings.group.clone() },
            has_queue: dead_letters.is_some(),
        });
        let class = format!("{}Task", plugin.class());
        let mut sink_loop = SinkLoop {
            consumer: member.get(),
            sink: &mut *sink.0,
            class: &class,
            ahead: Ahead::new(
                Decoder { converters, chain, retry },
                settings.tolerant,
                format!("decode-{connector}-{task}"),
            ),
            settings: &settings,
            reporter: Reporter { connector, task, settings: &settings, dead_letters, log },
            observing,
            metrics: SinkMetrics::new(&self.metrics),
            control: self.control,
            status: &self.shared,
            backoff: PutBackoff::default(),
            on_topic: self.track_topics(),
            progress: &self.progress,
            state: Default::default(),
        };
        let result = sink_loop.run();
        drop(sink_loop);
        // Others take the partitions at once, whatever the sink's end takes.
        drop(member);
        result.map_err(|error| AttemptFailed { error, of_source: false })
    }
}

/// Leaves the group whichever way an attempt ends.
struct Member(Option<Box<dyn RecordConsumer>>);

impl Member {
    fn get(&mut self) -> &mut dyn RecordConsumer {
        &mut **self.0.as_mut().expect("the consumer is there until it is dropped")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(consumer) = self.0.take() {
            // It may have been what broke off.
            let _ = catch_unwind(AssertUnwindSafe(|| consumer.close()));
        }
    }
}

/// Ends the sink whichever way an attempt ends.
struct Started(Box<dyn SinkTask>);

impl Drop for Started {
    fn drop(&mut self) {
        // After a panic the task may be in any state.
        if !std::thread::panicking() {
            self.0.stop();
        }
    }
}
