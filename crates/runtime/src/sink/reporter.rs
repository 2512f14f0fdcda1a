//! What is done about a sink's records that could not be processed: they are counted, logged, and kept in the dead letter
//! queue.

use walspring_connect::{ConsumedRecord, DeadLetterQueue, StoreError};

use super::batch::Batch;
use super::dead_letters::{Sender, letter};
use super::failure::Failure;
use super::metrics::SinkMetrics;
use super::settings::SinkSettings;
use crate::errors::log::{ErrorLog, FailedRecord};

pub(super) struct Reporter<'a> {
    pub connector: &'a str,
    pub task: u32,
    pub settings: &'a SinkSettings,
    pub dead_letters: Option<Box<dyn DeadLetterQueue>>,
    pub log: ErrorLog,
}

impl Reporter<'_> {
    /// Once for each failure.
    pub fn failed(&mut self, record: &ConsumedRecord, failure: &Failure, metrics: &SinkMetrics) {
        metrics.failed(failure.stage);
        let text = format!("{}: {}", failure.error.class, failure.error);
        let failed = FailedRecord {
            stage: failure.stage,
            class: &failure.class,
            error: &text,
            left_out: self.settings.tolerant,
        };
        self.log.tell(&failed, || place(record), &metrics.of_connect);
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

/// Where a record was read; never what is in it.
fn place(record: &ConsumedRecord) -> String {
    let mut place = format!(
        ", where consumed record is {{topic='{}', partition={}, offset={}",
        record.topic, record.partition, record.kafka_offset
    );
    if let Some(timestamp) = record.timestamp_ms {
        place.push_str(&format!(", timestamp={timestamp}, timestampType=CreateTime"));
    }
    place.push('}');
    place
}
