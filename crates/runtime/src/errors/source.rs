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
    /// It is left out; so is one that would be larger than this, in bytes, or than its topic takes.
    All {
        record_bytes_max: usize,
        /// Whether batches are sent as they are, so that what a topic takes is known here.
        uncompressed: bool,
    },
}

/// What [`size_alone`](walspring_connect::writer::BatchAssembler::size_alone) may say too much. A record that may fit is
/// for Kafka to judge.
const SIZE_SLACK: usize = 64;

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

    /// The most bytes of a record in a topic that takes batches of so many, if larger ones are left out.
    pub fn record_bytes_max(&self, batch_bytes_max: usize) -> Option<usize> {
        match self.tolerance {
            Tolerance::None => None,
            Tolerance::All { record_bytes_max, uncompressed: false } => Some(record_bytes_max),
            Tolerance::All { record_bytes_max, uncompressed: true } => {
                Some(record_bytes_max.min(batch_bytes_max.saturating_add(SIZE_SLACK)))
            }
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
        let text = match self.tolerance {
            Tolerance::All { record_bytes_max, .. } if bytes > record_bytes_max => format!(
                "{TOO_LARGE}: The message is {bytes} bytes when serialized which is larger than {record_bytes_max}, which \
                 is the value of the max.request.size configuration."
            ),
            _ => format!(
                "{TOO_LARGE}: The message is {bytes} bytes when serialized which is larger than the topic's \
                 max.message.bytes."
            ),
        };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use walspring_connect::StopToken;

    use super::*;
    use crate::metrics::Metrics;

    fn limit(tolerance: Tolerance, batch_bytes_max: usize) -> Option<usize> {
        let metrics = TaskMetrics::new(&Arc::new(Metrics::default()), "a", 0, true);
        let retry = Retry::read(&[], StopToken::default(), metrics.errors.clone());
        SourceErrors::new(tolerance, retry, ErrorLog::read("a", 0, &[]), &metrics).record_bytes_max(batch_bytes_max)
    }

    #[test]
    fn what_may_fit_is_not_left_out() {
        let all = |uncompressed| Tolerance::All { record_bytes_max: 5000, uncompressed };
        assert_eq!(limit(Tolerance::None, 10), None);
        assert_eq!(limit(all(true), 3000), Some(3000 + SIZE_SLACK));
        assert_eq!(limit(all(true), usize::MAX), Some(5000));
        assert_eq!(limit(all(false), 3000), Some(5000), "compressed it may be small enough");
    }
}
