//! A record that cannot be processed: where that showed, and in whose words.

use walspring_connect::{CONNECT_EXCEPTION, ConsumedRecord, ConvertError, TaskError};

/// Where a record failed, under Connect's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    Transformation,
    TaskPut,
}

impl Stage {
    pub const ALL: [Stage; 5] =
        [Stage::KeyConverter, Stage::ValueConverter, Stage::HeaderConverter, Stage::Transformation, Stage::TaskPut];

    pub fn name(self) -> &'static str {
        match self {
            Stage::KeyConverter => "KEY_CONVERTER",
            Stage::ValueConverter => "VALUE_CONVERTER",
            Stage::HeaderConverter => "HEADER_CONVERTER",
            Stage::Transformation => "TRANSFORMATION",
            Stage::TaskPut => "TASK_PUT",
        }
    }
}

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
