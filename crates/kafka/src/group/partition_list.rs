//! A list of partitions as the kept client takes and gives it, freed when it is dropped.

use std::ffi::{CString, c_int};

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::TopicPartition;

use crate::kept::{KeptError, slice, text};

/// The client's "no offset": for an assignment, go on from what the group has stored.
pub const NO_OFFSET: i64 = -1001;
/// The client's "any partition", in a subscription.
const ANY_PARTITION: i32 = -1;

pub struct PartitionList {
    ptr: *mut rdsys::rd_kafka_topic_partition_list_t,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for PartitionList {}

/// An element: what was asked for, and what came of it.
pub struct Element {
    pub partition: TopicPartition,
    pub offset: i64,
    pub code: Code,
}

impl PartitionList {
    fn with_capacity(capacity: usize) -> Self {
        // SAFETY: owned from here on.
        Self { ptr: unsafe { rdsys::rd_kafka_topic_partition_list_new(capacity as c_int) } }
    }

    pub fn of_offsets<'a>(
        offsets: impl ExactSizeIterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<Self, KeptError> {
        let list = Self::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            list.add(&partition.topic, partition.partition, offset)?;
        }
        Ok(list)
    }

    pub fn of_partitions(partitions: &[TopicPartition]) -> Result<Self, KeptError> {
        Self::of_offsets(partitions.iter().map(|partition| (partition, NO_OFFSET)))
    }

    pub fn of_topics(topics: &[String]) -> Result<Self, KeptError> {
        let list = Self::with_capacity(topics.len());
        for topic in topics {
            list.add(topic, ANY_PARTITION, NO_OFFSET)?;
        }
        Ok(list)
    }

    fn add(&self, topic: &str, partition: i32, offset: i64) -> Result<(), KeptError> {
        let name = CString::new(topic).map_err(|_| KeptError::of_code(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION))?;
        // SAFETY: the list is ours, and the name is copied.
        unsafe { (*rdsys::rd_kafka_topic_partition_list_add(self.ptr, name.as_ptr(), partition)).offset = offset };
        Ok(())
    }

    /// Copies a list of somebody else's, which may be null.
    ///
    /// # Safety
    /// `list` is a list that lives, or null.
    pub unsafe fn copy_of(list: *const rdsys::rd_kafka_topic_partition_list_t) -> Self {
        if list.is_null() {
            return Self::with_capacity(0);
        }
        // SAFETY: the caller's promise.
        Self { ptr: unsafe { rdsys::rd_kafka_topic_partition_list_copy(list) } }
    }

    pub fn ptr(&self) -> *mut rdsys::rd_kafka_topic_partition_list_t {
        self.ptr
    }

    pub fn elements(&self) -> Vec<Element> {
        // SAFETY: the list is ours.
        unsafe { elements(self.ptr) }
    }

    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.elements().into_iter().map(|element| element.partition).collect()
    }

    /// The first element that has an error.
    pub fn check(&self) -> Result<(), (TopicPartition, KeptError)> {
        let failed = self.elements().into_iter().find(|element| element.code != Code::RD_KAFKA_RESP_ERR_NO_ERROR);
        failed.map_or(Ok(()), |element| Err((element.partition, KeptError::of_code(element.code))))
    }
}

/// # Safety
/// `list` is a list that lives, or null.
pub unsafe fn elements(list: *const rdsys::rd_kafka_topic_partition_list_t) -> Vec<Element> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { slice((*list).elems.cast_const(), (*list).cnt as usize) }
        .iter()
        .map(|element| Element {
            // SAFETY: a topic's name is a C text.
            partition: TopicPartition { topic: unsafe { text(element.topic) }.into(), partition: element.partition },
            offset: element.offset,
            code: element.err,
        })
        .collect()
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { rdsys::rd_kafka_topic_partition_list_destroy(self.ptr) };
    }
}
