//! What an error of a group's member means: which go away by themselves, and what to do about the others.

use rdkafka_sys::rd_kafka_resp_err_t as Code;
use walspring_connect::StoreError;

use crate::kept::KeptError;

/// An error that came in the place of a record; none: the client gets over it, or what follows says more.
pub fn of_reading(error: &KeptError, topic: &str, group: &str) -> Option<StoreError> {
    match error.code {
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => Some(StoreError::Definite(format!(
            "topic {topic} may not be read: allow the operations READ and DESCRIBE on it to the user of this connector's \
             consumer ({error})"
        ))),
        Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Some(no_right(group, error)),
        Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR__NO_OFFSET => {
            Some(StoreError::Definite(format!(
                "group {group} has no offset for topic {topic}, or one that is gone, and auto.offset.reset=none forbids \
                 to choose one: set the connector's offsets, or consumer.override.auto.offset.reset=earliest ({error})"
            )))
        }
        Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID => Some(StoreError::Definite(format!(
            "another consumer of group {group} has the same group.instance.id: give each its own ({error})"
        ))),
        Code::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL => Some(StoreError::Transient(format!(
            "the members of group {group} share no way to assign partitions: use the same \
             partition.assignment.strategy in all of them ({error})"
        ))),
        _ if error.fatal || error.code == Code::RD_KAFKA_RESP_ERR__FATAL => {
            Some(StoreError::Definite(format!("group {group}: {error}")))
        }
        // A message that is damaged, or larger than what is allowed: reading would go on behind it.
        Code::RD_KAFKA_RESP_ERR__BAD_MSG
        | Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
        | Code::RD_KAFKA_RESP_ERR_INVALID_MSG
        | Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
        | Code::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED => {
            Some(StoreError::Definite(format!("topic {topic} cannot be read: {error}")))
        }
        _ => None,
    }
}

/// An offset could not be committed.
pub fn of_commit(error: &KeptError, group: &str) -> StoreError {
    let text = format!("offsets of group {group} cannot be stored: {error}");
    match error.code {
        Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => no_right(group, error),
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => {
            StoreError::Definite(format!("{text}; allow the operation READ on the topic"))
        }
        Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
        | Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
        | Code::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH
        | Code::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH
        | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS => StoreError::Transient(format!(
            "{text}: the group has given the partitions to other members; the assignment will be lost"
        )),
        Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID | Code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE => {
            StoreError::Definite(text)
        }
        _ if error.is_definite() || error.fatal => StoreError::Definite(text),
        _ => StoreError::Transient(text),
    }
}

fn no_right(group: &str, error: &KeptError) -> StoreError {
    StoreError::Definite(format!(
        "group {group} may not be used: allow the operation READ on it to the user of this connector's consumer ({error})"
    ))
}

/// A call about a group that has members which it must not have. In Connect's words.
pub fn has_members(group: &str, error: &KeptError) -> StoreError {
    StoreError::Definite(format!(
        "the offsets of consumer group {group} cannot be changed while it has members: its tasks have not stopped \
         completely, or something else reads as this group; this can be tried again when they are gone ({error})"
    ))
}
