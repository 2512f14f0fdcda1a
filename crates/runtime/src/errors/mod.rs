//! What becomes of a record that cannot be transformed, converted or written: Connect's handling of errors (KIP-298).
//!
//! An operation is tried again while its error says that it goes away by itself and `errors.retry.timeout` lasts
//! ([`retry`]); then the record is left out or the task fails, as `errors.tolerance` says. Each is counted
//! ([`metrics`]) and logged ([`log`]).

pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod retry;
pub(crate) mod source;

/// Where a record failed, under Connect's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    Transformation,
    TaskPut,
    KafkaProduce,
}

impl Stage {
    /// Those that a sink's record passes.
    pub const OF_SINKS: [Stage; 5] =
        [Stage::KeyConverter, Stage::ValueConverter, Stage::HeaderConverter, Stage::Transformation, Stage::TaskPut];

    pub fn name(self) -> &'static str {
        match self {
            Stage::KeyConverter => "KEY_CONVERTER",
            Stage::ValueConverter => "VALUE_CONVERTER",
            Stage::HeaderConverter => "HEADER_CONVERTER",
            Stage::Transformation => "TRANSFORMATION",
            Stage::TaskPut => "TASK_PUT",
            Stage::KafkaProduce => "KAFKA_PRODUCE",
        }
    }
}
