//! Admin calls: topics and their settings, offsets, the cluster's identifier. Blocking, each with a deadline.
//!
//! The rules by which topics are made are in [`internal_topics`] and [`creation`]; here is only how to ask.

pub mod creation;
mod groups;
pub mod internal_topics;

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_admin_op_t as Operation;
use rdsys::rd_kafka_resp_err_t as Code;

use crate::client_config::ClientOptions;
use crate::kept::{Kept, KeptError, Kind, Until, millis, slice, text};

/// Whether records of open transactions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Earliest,
    /// With [`Isolation::ReadCommitted`] the last stable offset.
    Latest,
    /// The first record of this time (in milliseconds since the epoch) or later; -1 when there is none.
    Timestamp(i64),
}

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    pub config: BTreeMap<String, String>,
}

/// What came of making a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Now,
    /// Someone else was first.
    Before,
}

/// A client for admin calls; hold it only while there is something to ask.
pub struct Admin {
    client: Kept,
}

impl Admin {
    pub fn open(options: &ClientOptions, role: &str) -> Result<Self, KeptError> {
        let mut config = options.kept(role).map_err(|error| KeptError {
            text: error.to_string(),
            ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
        })?;
        config.set("allow.auto.create.topics", "false");
        Ok(Self { client: Kept::open(Kind::Consumer, &config, options, None)? })
    }

    /// The topic's partitions; none when there is no such topic. Does not make it.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<i32>, KeptError> {
        match self.client.partitions(topic, timeout) {
            Ok(count) => Ok(Some(count)),
            Err(error)
                if matches!(
                    error.code,
                    Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.client.cluster_id(timeout)
    }

    /// Makes a topic, and waits until it has leaders.
    pub fn create_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<Created, KeptError> {
        let until = Until::after(timeout);
        let created = self.ask_for_topic(topic, timeout)?;
        // The broker that answers metadata may hear of it a moment later than the controller.
        while self.partitions(&topic.name, until.left())?.is_none() {
            if until.is_over() {
                return Err(KeptError::timed_out("waiting for a new topic"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(created)
    }

    fn ask_for_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<Created, KeptError> {
        let name = c_text(&topic.name)?;
        let mut reason = [0 as c_char; 512];
        // SAFETY: the request object is freed once, after the call, which copies it.
        unsafe {
            let mut request = rdsys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions,
                topic.replication_factor,
                reason.as_mut_ptr(),
                reason.len(),
            );
            if request.is_null() {
                return Err(KeptError {
                    text: text(reason.as_ptr()),
                    ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
                });
            }
            for (key, value) in &topic.config {
                let (Ok(key), Ok(value)) = (CString::new(key.as_str()), CString::new(value.as_str())) else { continue };
                rdsys::rd_kafka_NewTopic_set_config(request, key.as_ptr(), value.as_ptr());
            }
            let outcome =
                call(&self.client, Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout, None, |options, queue| {
                    rdsys::rd_kafka_CreateTopics(self.client.ptr(), &mut request, 1, options, queue);
                });
            rdsys::rd_kafka_NewTopic_destroy(request);
            let event = outcome?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_CreateTopics_result(event.0);
            let results = slice(rdsys::rd_kafka_CreateTopics_result_topics(result, &mut count), count);
            match results.first().map(|r| (rdsys::rd_kafka_topic_result_error(*r), *r)) {
                Some((Code::RD_KAFKA_RESP_ERR_NO_ERROR, _)) => Ok(Created::Now),
                Some((Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, _)) => Ok(Created::Before),
                Some((code, result)) => {
                    let reason = text(rdsys::rd_kafka_topic_result_error_string(result));
                    Err(KeptError { text: reason, ..KeptError::of_code(code) })
                }
                None => Err(KeptError::of_code(Code::RD_KAFKA_RESP_ERR__BAD_MSG)),
            }
        }
    }

    /// The topic's settings, those that it has from the broker as well.
    pub fn topic_config(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<String, String>, KeptError> {
        let name = c_text(topic)?;
        // SAFETY: as above.
        unsafe {
            let mut request = rdsys::rd_kafka_ConfigResource_new(
                rdsys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                name.as_ptr(),
            );
            let operation = Operation::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
            let outcome = call(&self.client, operation, timeout, None, |options, queue| {
                rdsys::rd_kafka_DescribeConfigs(self.client.ptr(), &mut request, 1, options, queue);
            });
            rdsys::rd_kafka_ConfigResource_destroy(request);
            let event = outcome?;
            let mut count = 0;
            let result = rdsys::rd_kafka_event_DescribeConfigs_result(event.0);
            let resources = slice(rdsys::rd_kafka_DescribeConfigs_result_resources(result, &mut count), count);
            let Some(resource) = resources.first() else {
                return Err(KeptError::of_code(Code::RD_KAFKA_RESP_ERR__BAD_MSG));
            };
            match rdsys::rd_kafka_ConfigResource_error(*resource) {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                code => return Err(KeptError::of_code(code)),
            }
            let entries = slice(rdsys::rd_kafka_ConfigResource_configs(*resource, &mut count), count);
            Ok(entries
                .iter()
                .map(|entry| {
                    (text(rdsys::rd_kafka_ConfigEntry_name(*entry)), text(rdsys::rd_kafka_ConfigEntry_value(*entry)))
                })
                .collect())
        }
    }
}

/// Offsets of partitions, in their order. All leaders are asked at once.
pub fn list_offsets(
    client: &Kept,
    topic: &str,
    partitions: &[i32],
    position: Position,
    isolation: Isolation,
    timeout: Duration,
) -> Result<Vec<i64>, KeptError> {
    let name = c_text(topic)?;
    let spec = match position {
        Position::Earliest => rdsys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
        Position::Latest => rdsys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
        Position::Timestamp(ms) => ms.max(0),
    };
    // SAFETY: the list is freed once, after the call, which copies it; results are read while their event lives.
    unsafe {
        let list = rdsys::rd_kafka_topic_partition_list_new(partitions.len() as c_int);
        for partition in partitions {
            let added = rdsys::rd_kafka_topic_partition_list_add(list, name.as_ptr(), *partition);
            (*added).offset = spec;
        }
        let operation = Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        let outcome = call(client, operation, timeout, Some(isolation), |options, queue| {
            rdsys::rd_kafka_ListOffsets(client.ptr(), list, options, queue);
        });
        rdsys::rd_kafka_topic_partition_list_destroy(list);
        let event = outcome?;
        let mut count = 0;
        let result = rdsys::rd_kafka_event_ListOffsets_result(event.0);
        let infos = slice(rdsys::rd_kafka_ListOffsets_result_infos(result, &mut count), count);
        let mut offsets = BTreeMap::new();
        for info in infos {
            let found = rdsys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
            match (*found).err {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => offsets.insert((*found).partition, (*found).offset),
                code => return Err(KeptError::of_code(code)),
            };
        }
        let missing = || KeptError::of_code(Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION);
        partitions.iter().map(|partition| offsets.get(partition).copied().ok_or_else(missing)).collect()
    }
}

/// An answer, freed when it is dropped.
struct Event(*mut rdsys::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once.
        unsafe { rdsys::rd_kafka_event_destroy(self.0) };
    }
}

/// Makes a call and waits for its answer.
fn call(
    client: &Kept,
    operation: Operation,
    timeout: Duration,
    isolation: Option<Isolation>,
    request: impl FnOnce(*mut rdsys::rd_kafka_AdminOptions_t, *mut rdsys::rd_kafka_queue_t),
) -> Result<Event, KeptError> {
    // SAFETY: options and queue are freed once, after their last use; the answer that may come later is freed with
    // the queue.
    unsafe {
        let options = rdsys::rd_kafka_AdminOptions_new(client.ptr(), operation);
        let mut reason = [0 as c_char; 512];
        rdsys::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), reason.as_mut_ptr(), reason.len());
        if operation == Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS {
            rdsys::rd_kafka_AdminOptions_set_operation_timeout(
                options,
                millis(timeout),
                reason.as_mut_ptr(),
                reason.len(),
            );
        }
        if let Some(isolation) = isolation {
            let level = match isolation {
                Isolation::ReadCommitted => rdsys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
                Isolation::ReadUncommitted => {
                    rdsys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
                }
            };
            KeptError::take(rdsys::rd_kafka_AdminOptions_set_isolation_level(options, level))?;
        }
        let queue = rdsys::rd_kafka_queue_new(client.ptr());
        request(options, queue);
        rdsys::rd_kafka_AdminOptions_destroy(options);
        let event = rdsys::rd_kafka_queue_poll(queue, millis(timeout).saturating_add(1000));
        rdsys::rd_kafka_queue_destroy(queue);
        if event.is_null() {
            return Err(client.explained(KeptError::timed_out("an admin call")));
        }
        let event = Event(event);
        match rdsys::rd_kafka_event_error(event.0) {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(event),
            code => {
                let reason = text(rdsys::rd_kafka_event_error_string(event.0));
                Err(client.explained(KeptError { text: reason, ..KeptError::of_code(code) }))
            }
        }
    }
}

fn c_text(text: &str) -> Result<CString, KeptError> {
    CString::new(text).map_err(|_| KeptError::of_code(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION))
}
