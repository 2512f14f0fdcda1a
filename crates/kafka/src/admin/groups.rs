//! Admin calls about consumer groups: what they have stored, changed and forgotten.

use rdkafka_sys as rdsys;
use std::time::Duration;

use rdsys::rd_kafka_admin_op_t as Operation;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::{GroupOffset, StoreError, TopicPartition};

use super::{Admin, Event, c_text, call};
use crate::group::errors;
use crate::group::partition_list::{self, Element, PartitionList};
use crate::kept::{KeptError, slice, text};
use crate::keyed_log::store_error;

impl Admin {
    /// What the group has stored; nothing when there is no such group.
    pub fn group_offsets(&self, group: &str, timeout: Duration) -> Result<Vec<GroupOffset>, StoreError> {
        let failed = |error: KeptError| no_offsets(group, &error);
        let name = c_text(group).map_err(failed)?;
        // SAFETY: the request object is freed once, after the call, which copies it. No list: all partitions.
        let elements = unsafe {
            let mut request = rdsys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), std::ptr::null());
            let operation = Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
            let outcome = call(&self.client, operation, timeout, None, |options, queue| {
                rdsys::rd_kafka_ListConsumerGroupOffsets(self.client.ptr(), &mut request, 1, options, queue);
            });
            rdsys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            let event = outcome.map_err(failed)?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_ListConsumerGroupOffsets_result(event.0);
            let groups = rdsys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
            group_elements(groups, count).map_err(|error| match error.code {
                Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => None,
                _ => Some(failed(error)),
            })
        };
        let elements = match elements {
            Ok(elements) => elements,
            Err(None) => return Ok(Vec::new()),
            Err(Some(error)) => return Err(error),
        };
        let mut offsets: Vec<_> = elements
            .into_iter()
            .filter(|element| element.offset >= 0)
            .map(|Element { partition, offset, .. }| GroupOffset { partition, kafka_offset: offset })
            .collect();
        offsets.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(offsets)
    }

    /// Sets offsets of a group without members.
    pub fn set_group_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let failed = |error: KeptError| no_offsets(group, &error);
        let name = c_text(group).map_err(failed)?;
        let list = PartitionList::of_offsets(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        let list = list.map_err(failed)?;
        // SAFETY: as above.
        let elements = unsafe {
            let mut request = rdsys::rd_kafka_AlterConsumerGroupOffsets_new(name.as_ptr(), list.ptr());
            let operation = Operation::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
            let outcome = call(&self.client, operation, timeout, None, |options, queue| {
                rdsys::rd_kafka_AlterConsumerGroupOffsets(self.client.ptr(), &mut request, 1, options, queue);
            });
            rdsys::rd_kafka_AlterConsumerGroupOffsets_destroy(request);
            let event = outcome.map_err(failed)?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_AlterConsumerGroupOffsets_result(event.0);
            let groups = rdsys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count);
            group_elements(groups, count).map_err(failed)?
        };
        check(group, elements, |_| false)
    }

    /// Forgets what a group without members has for these partitions.
    pub fn forget_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let failed = |error: KeptError| no_offsets(group, &error);
        let name = c_text(group).map_err(failed)?;
        let list = PartitionList::of_partitions(partitions).map_err(failed)?;
        // SAFETY: as above.
        let elements = unsafe {
            let mut request = rdsys::rd_kafka_DeleteConsumerGroupOffsets_new(name.as_ptr(), list.ptr());
            let operation = Operation::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS;
            let outcome = call(&self.client, operation, timeout, None, |options, queue| {
                rdsys::rd_kafka_DeleteConsumerGroupOffsets(self.client.ptr(), &mut request, 1, options, queue);
            });
            rdsys::rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
            let event = outcome.map_err(failed)?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_DeleteConsumerGroupOffsets_result(event.0);
            let groups = rdsys::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &mut count);
            match group_elements(groups, count) {
                Err(error) if error.code == Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => return Ok(()),
                elements => elements.map_err(failed)?,
            }
        };
        // A topic that is gone has no offset any more.
        check(group, elements, |code| code == Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    }

    /// Forgets a group; one that is not there is no error.
    pub fn delete_group(&self, group: &str, timeout: Duration) -> Result<(), StoreError> {
        let failed = |error: KeptError| no_offsets(group, &error);
        let name = c_text(group).map_err(failed)?;
        // SAFETY: as above.
        let outcome = unsafe {
            let mut request = rdsys::rd_kafka_DeleteGroup_new(name.as_ptr());
            let operation = Operation::RD_KAFKA_ADMIN_OP_DELETEGROUPS;
            let outcome = call(&self.client, operation, timeout, None, |options, queue| {
                rdsys::rd_kafka_DeleteGroups(self.client.ptr(), &mut request, 1, options, queue);
            });
            rdsys::rd_kafka_DeleteGroup_destroy(request);
            let event: Event = outcome.map_err(failed)?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_DeleteGroups_result(event.0);
            let groups = rdsys::rd_kafka_DeleteGroups_result_groups(result, &mut count);
            group_elements(groups, count)
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.code == Code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// The elements of the one group that was asked about.
///
/// # Safety
/// `groups` is an array of `count` that lives.
unsafe fn group_elements(
    groups: *mut *const rdsys::rd_kafka_group_result_t,
    count: usize,
) -> Result<Vec<Element>, KeptError> {
    // SAFETY: the caller's promise; errors and lists live as long as the groups.
    unsafe {
        let Some(group) = slice(groups.cast_const(), count).first() else {
            return Err(KeptError::of_code(Code::RD_KAFKA_RESP_ERR__BAD_MSG));
        };
        let error = rdsys::rd_kafka_group_result_error(*group);
        if !error.is_null() {
            let code = rdsys::rd_kafka_error_code(error);
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                let reason = text(rdsys::rd_kafka_error_string(error));
                return Err(KeptError { text: reason, ..KeptError::of_code(code) });
            }
        }
        Ok(partition_list::elements(rdsys::rd_kafka_group_result_partitions(*group)))
    }
}

fn check(group: &str, elements: Vec<Element>, is_fine: impl Fn(Code) -> bool) -> Result<(), StoreError> {
    for Element { partition: TopicPartition { topic, partition }, code, .. } in elements {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR || is_fine(code) {
            continue;
        }
        let error = KeptError::of_code(code);
        return Err(match code {
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                StoreError::Definite(format!("there is no partition {topic}-{partition}: {error}"))
            }
            _ => no_offsets(group, &error),
        });
    }
    Ok(())
}

fn no_offsets(group: &str, error: &KeptError) -> StoreError {
    match error.code {
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
        | Code::RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP
        | Code::RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC
        | Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
        | Code::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH
        | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS => errors::has_members(group, error),
        Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => StoreError::Definite(format!(
            "the offsets of group {group} may not be read or changed: allow the operations READ, DESCRIBE and DELETE on it \
             to the worker's user ({error})"
        )),
        _ => store_error(error, &format!("the offsets of group {group}")),
    }
}
