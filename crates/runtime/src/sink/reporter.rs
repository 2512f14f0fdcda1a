//! What is done about records that could not be processed: they are counted, logged where that is asked for, and kept
//! in the dead letter queue. Never silent: where nothing is logged for each, the log says from time to time how many.

use std::time::{Duration, Instant};

use walspring_connect::{ConsumedRecord, DeadLetterQueue, StoreError};

use super::batch::Batch;
use super::dead_letters::{Sender, letter};
use super::failure::Failure;
use super::metrics::SinkMetrics;
use super::settings::SinkSettings;

const SUMMARY_INTERVAL: Duration = Duration::from_secs(30);

pub(super) struct Reporter<'a> {
    pub connector: &'a str,
    pub task: u32,
    pub settings: &'a SinkSettings,
    pub dead_letters: Option<Box<dyn DeadLetterQueue>>,
    unsaid: u64,
    said: Option<Instant>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        connector: &'a str,
        task: u32,
        settings: &'a SinkSettings,
        dead_letters: Option<Box<dyn DeadLetterQueue>>,
    ) -> Reporter<'a> {
        Reporter { connector, task, settings, dead_letters, unsaid: 0, said: None }
    }

    /// Once for each failure.
    pub fn failed(&mut self, record: &ConsumedRecord, failure: &Failure, metrics: &SinkMetrics) {
        metrics.failed(failure.stage);
        if self.settings.logs_errors {
            self.log(record, failure);
            return;
        }
        self.unsaid += 1;
        if self.settings.tolerant && self.said.is_none_or(|said| said.elapsed() >= SUMMARY_INTERVAL) {
            tracing::warn!(
                connector = self.connector,
                task = self.task,
                records = self.unsaid,
                stage = failure.stage.name(),
                "records could not be processed and are left out, because errors.tolerance is all; errors.log.enable \
                 names each"
            );
            self.said = Some(Instant::now());
            self.unsaid = 0;
        }
    }

    fn log(&self, record: &ConsumedRecord, failure: &Failure) {
        let mut place = String::new();
        if self.settings.logs_places {
            place = format!(
                ", where consumed record is {{topic='{}', partition={}, offset={}",
                record.topic, record.partition, record.kafka_offset
            );
            if let Some(timestamp) = record.timestamp_ms {
                place.push_str(&format!(", timestamp={timestamp}, timestampType=CreateTime"));
            }
            place.push('}');
        }
        tracing::error!(
            connector = self.connector,
            task = self.task,
            "Error encountered in task {}-{}. Executing stage '{}' with class '{}'{place}. {}: {}",
            self.connector,
            self.task,
            failure.stage.name(),
            failure.class,
            failure.error.class,
            failure.error
        );
    }

    /// Writes those failures of the batch to the dead letter queue that are not there yet.
    pub fn write_letters(&mut self, batch: &mut Batch, metrics: &SinkMetrics) -> Result<(), StoreError> {
        let new = &batch.failures[batch.letters..];
        let (Some(queue), Some(settings), false) =
            (&mut self.dead_letters, &self.settings.dead_letters, new.is_empty())
        else {
            batch.letters = batch.failures.len();
            return Ok(());
        };
        let sender = || settings.context_headers.then_some(Sender { connector: self.connector, task: self.task });
        let letters: Vec<_> =
            new.iter().map(|(place, failure)| letter(&batch.raws[*place], failure, sender())).collect();
        queue.write(&letters)?;
        metrics.dead_letters.add(letters.len() as u64);
        batch.letters = batch.failures.len();
        Ok(())
    }
}
