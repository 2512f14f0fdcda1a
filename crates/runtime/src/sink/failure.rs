//! A record that cannot be processed: where that showed, and in whose words.

use walspring_connect::{CONNECT_EXCEPTION, ConsumedRecord, ConvertError, TaskError};

pub(crate) use crate::errors::Stage;

/// Why one record was not processed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub stage: Stage,
    /// The class that refused it.
    pub class: String,
    pub error: TaskError,
}

impl Failure {
    pub fn convert(stage: Stage, class: &str, error: ConvertError) -> Box<Failure> {
        Box::new(Failure { stage, class: class.to_owned(), error: TaskError::definite(error.class, error.message) })
    }

    /// What the task fails with where errors are not tolerated.
    pub fn intolerable(&self, record: &ConsumedRecord) -> TaskError {
        let mut error = TaskError::definite(CONNECT_EXCEPTION, "Tolerance exceeded in error handler")
            .hint(format!(
                "stage {} failed for the record at offset {} of partition {} of topic {}; errors.tolerance=all leaves \
                 such records out, errors.deadletterqueue.topic.name keeps them",
                self.stage.name(),
                record.kafka_offset,
                record.partition,
                record.topic
            ))
            .caused_by(self.error.class, &self.error.message);
        error.causes.extend(self.error.causes.iter().cloned());
        if let Some(hint) = &self.error.hint {
            error.hint = error.hint.map(|own| format!("{hint}; {own}"));
        }
        error
    }
}
