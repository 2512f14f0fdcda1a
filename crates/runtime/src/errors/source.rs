//! A source's records that cannot be transformed, converted or written.

use std::sync::Arc;

use walspring_connect::{CONNECT_EXCEPTION, ConvertError, RETRIABLE_EXCEPTION, TaskError};

use super::Stage;
use super::log::{ErrorLog, FailedRecord};
use super::metrics::TaskErrors;
use super::retry::Retry;
use crate::metrics::{Counter, TaskMetrics};

/// What writes to Kafka, as the original names it where a record is too large.
const PRODUCER_CLASS: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";
pub(crate) const TOO_LARGE: &str = "org.apache.kafka.common.errors.RecordTooLargeException";

/// `errors.tolerance`: what becomes of a record that cannot be converted, transformed or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerance {
    None,
    /// It is left out; so is one that would be larger than this, in bytes.
    All {
        record_bytes_max: usize,
    },
}

pub(crate) struct SourceErrors {
    pub retry: Retry,
    tolerance: Tolerance,
    log: ErrorLog,
    errors: Arc<TaskErrors>,
    left_out: Counter,
}

impl SourceErrors {
    pub fn new(tolerance: Tolerance, retry: Retry, log: ErrorLog, metrics: &TaskMetrics) -> SourceErrors {
        SourceErrors { retry, tolerance, log, errors: metrics.errors.clone(), left_out: metrics.skipped.clone() }
    }

    /// The most bytes of a record, if larger ones are left out.
    pub fn record_bytes_max(&self) -> Option<usize> {
        match self.tolerance {
            Tolerance::None => None,
            Tolerance::All { record_bytes_max } => Some(record_bytes_max),
        }
    }

    /// A transform or converter refused a record, in the end: `Ok` leaves it out. `place`: where the record stood, as the
    /// sentence goes on.
    pub fn refused(
        &mut self,
        stage: Stage,
        class: &str,
        error: ConvertError,
        place: impl FnOnce() -> String,
    ) -> Result<(), TaskError> {
        self.errors.failed();
        let tolerated = self.tolerance != Tolerance::None && self.retry.is_final(&error);
        let text = format!("{}: {}", error.class, error.message);
        self.log.tell(&FailedRecord { stage, class, error: &text, left_out: tolerated }, place, &self.errors);
        match tolerated {
            true => self.leave_out(),
            // No fault of the record: the task goes on with it once it is started again.
            false if error.class == RETRIABLE_EXCEPTION => {
                return Err(TaskError::transient(CONNECT_EXCEPTION, error.message));
            }
            false => return Err(tolerance_exceeded(&error)),
        }
        Ok(())
    }

    /// A record has so many bytes, which is too many.
    pub fn too_large(&mut self, bytes: usize, place: impl FnOnce() -> String) {
        self.errors.failed();
        let max = self.record_bytes_max().unwrap_or_default();
        let text = format!(
            "{TOO_LARGE}: The message is {bytes} bytes when serialized which is larger than {max}, which is the value of \
             the max.request.size configuration."
        );
        let failed = FailedRecord { stage: Stage::KafkaProduce, class: PRODUCER_CLASS, error: &text, left_out: true };
        self.log.tell(&failed, place, &self.errors);
        self.leave_out();
    }

    fn leave_out(&self) {
        self.errors.skipped(1);
        self.left_out.add(1);
    }
}

pub(crate) fn tolerance_exceeded(e: &ConvertError) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, "Tolerance exceeded in error handler").caused_by(e.class, &e.message)
}
