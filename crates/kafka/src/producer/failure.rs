//! From the broker's error codes to what a task should do about them.

use kafka_protocol::ResponseError;
use walspring_connect::writer::WriteError;

use crate::connection::ConnectionError;

/// What becomes of one batch that was not accepted.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// It was accepted before: a repeated sequence.
    AlreadyWritten,
    /// Send it again; `leader_unknown`: ask for the leader first.
    Retry {
        leader_unknown: bool,
    },
    /// The broker has forgotten the producer, or a batch before this one is missing.
    SequenceLost,
    TooLarge,
    Failed(WriteError),
    /// The epoch is no longer ours.
    Fenced,
}

pub(super) fn produce_verdict(error: ResponseError, detail: Option<&str>, place: &str) -> Verdict {
    use ResponseError as E;
    match error {
        E::DuplicateSequenceNumber => Verdict::AlreadyWritten,
        E::OutOfOrderSequenceNumber | E::UnknownProducerId => Verdict::SequenceLost,
        E::MessageTooLarge | E::RecordListTooLarge => Verdict::TooLarge,
        E::InvalidProducerEpoch | E::ProducerFenced => Verdict::Fenced,
        E::InvalidProducerIdMapping | E::InvalidTxnState | E::TransactionAbortable => {
            Verdict::Failed(WriteError::Transient(format!(
                "Kafka no longer knows the open transaction ({error}) at {place}; the task starts again from its offset"
            )))
        }
        E::NotLeaderOrFollower
        | E::UnknownTopicOrPartition
        | E::LeaderNotAvailable
        | E::KafkaStorageError
        | E::ReplicaNotAvailable
        | E::FencedLeaderEpoch
        | E::UnknownLeaderEpoch => Verdict::Retry { leader_unknown: true },
        E::ConcurrentTransactions => Verdict::Retry { leader_unknown: false },
        error if error.is_retriable() => Verdict::Retry { leader_unknown: false },
        error => Verdict::Failed(definite(error, detail, place)),
    }
}

/// An error that will not go away, with what an operator can do.
pub(super) fn definite(error: ResponseError, detail: Option<&str>, place: &str) -> WriteError {
    use ResponseError as E;
    let hint = match error {
        E::TopicAuthorizationFailed => {
            "; grant this principal Write and Describe on the topic, and Create if it is not there"
        }
        E::ClusterAuthorizationFailed => "; grant this principal IdempotentWrite on the cluster",
        E::TransactionalIdAuthorizationFailed => "; grant this principal Write and Describe on the transactional id",
        E::InvalidTransactionTimeout => "; transaction.timeout.ms is above the brokers' transaction.max.timeout.ms",
        E::PolicyViolation | E::InvalidRecord | E::CorruptMessage => {
            "; the broker's rules for this topic refuse the record (in a compacted topic every record needs a key)"
        }
        _ => "",
    };
    let detail = detail.map(|d| format!(" ({})", crate::sasl::printable(d))).unwrap_or_default();
    WriteError::Definite(format!("Kafka refused {place}: {error}{detail}{hint}"))
}

/// Java's words, which operators look for.
pub(super) fn too_large_for_us(bytes: usize, max_request_size: usize) -> WriteError {
    WriteError::RecordTooLarge(format!(
        "The message is {bytes} bytes when serialized which is larger than {max_request_size}, which is the value of \
         the max.request.size configuration."
    ))
}

/// Java's words again, for the broker's limit.
pub(super) fn too_large_for_broker(place: &str) -> WriteError {
    WriteError::RecordTooLarge(format!(
        "The request included a message larger than the max message size the server will accept. ({place}; see the \
         topic's max.message.bytes)"
    ))
}

/// While opening a connection: whether to go on trying.
pub(super) fn connection_error(error: &ConnectionError) -> WriteError {
    match error {
        ConnectionError::Refused(_) | ConnectionError::Unsupported(_) => WriteError::Definite(error.to_string()),
        _ => WriteError::Transient(error.to_string()),
    }
}
