//! Reading a topic: from an offset on, as a client without a group, `read_committed`, with a small bound in bytes.
//!
//! A [`TopicConsumer`] is opened for a purpose (a replay, a tail) and closed after it: at rest nothing is held.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
pub use walspring_connect::ConsumedRecord;

use crate::admin::list_offsets;
pub use crate::admin::{Isolation, Position};
use crate::client_config::ClientOptions;
use crate::kept::{Kept, KeptError, Kind, TopicHandle, millis, slice, text};

/// Bound on what is fetched ahead, for each partition that has it.
const QUEUED_KIB_MAX: &str = "1024";
/// A partition's share of one answer. A larger batch still comes: the broker sends at least one.
const FETCH_BYTES_MAX: &str = "1048576";

/// What reading is for, which decides how long the broker holds an answer back while there is nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Up to an end: that it is reached is only heard from an answer without records.
    Replay,
    /// Without end, mostly at rest: new records are answered at once anyway.
    Follow,
}

/// What reading brought.
#[derive(Debug)]
pub enum Consumed {
    Record(ConsumedRecord),
    /// The partition has no more for now; `kafka_offset` is what would come next.
    End {
        partition: i32,
        kafka_offset: i64,
    },
    Nothing,
}

pub struct TopicConsumer {
    // Dropped in this order: a handle must not outlive its client.
    started: Vec<i32>,
    queue: Queue,
    topic: TopicHandle,
    client: Kept,
    name: Arc<str>,
}

struct Queue(*mut rdsys::rd_kafka_queue_t);

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl TopicConsumer {
    pub fn open(options: &ClientOptions, role: &str, topic: &str, purpose: Purpose) -> Result<Self, KeptError> {
        let mut config = options.kept(role).map_err(|error| KeptError {
            text: error.to_string(),
            ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
        })?;
        config
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", QUEUED_KIB_MAX)
            .set("queued.min.messages", "1000")
            .set("fetch.message.max.bytes", FETCH_BYTES_MAX)
            .set("fetch.error.backoff.ms", "50")
            // By default a second passes after each time that the queue was full: a replay would take one for each MiB.
            .set("fetch.queue.backoff.ms", "2")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", Isolation::ReadCommitted.name())
            .set(
                "fetch.wait.max.ms",
                match purpose {
                    Purpose::Replay => "10",
                    Purpose::Follow => "5000",
                },
            );
        let client = Kept::open(Kind::Consumer, &config, options, None)?;
        let handle = TopicHandle::new(&client, topic)?;
        // SAFETY: destroyed before its client.
        let queue = Queue(unsafe { rdsys::rd_kafka_queue_new(client.ptr()) });
        Ok(Self { started: Vec::new(), queue, topic: handle, client, name: topic.into() })
    }

    /// How many partitions the topic has.
    pub fn partitions(&self, timeout: Duration) -> Result<i32, KeptError> {
        self.client.partitions(&self.name, timeout)
    }

    /// Offsets of all these partitions at once.
    pub fn offsets(
        &self,
        partitions: &[i32],
        position: Position,
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<Vec<i64>, KeptError> {
        list_offsets(&self.client, &self.name, partitions, position, isolation, timeout)
    }

    /// Begins to read a partition.
    pub fn start(&mut self, partition: i32, kafka_offset: i64) -> Result<(), KeptError> {
        // SAFETY: the handles live.
        let failed =
            unsafe { rdsys::rd_kafka_consume_start_queue(self.topic.ptr, partition, kafka_offset, self.queue.0) != 0 };
        if failed {
            // SAFETY: the last error belongs to this thread.
            return Err(KeptError::of_code(unsafe { rdsys::rd_kafka_last_error() }));
        }
        self.started.push(partition);
        Ok(())
    }

    /// The next record or end of a partition. An error that the client gets over by itself is not returned.
    pub fn next(&self, timeout: Duration) -> Result<Consumed, KeptError> {
        // SAFETY: a message is used before it is destroyed, once.
        unsafe {
            let message = rdsys::rd_kafka_consume_queue(self.queue.0, millis(timeout));
            let Some(borrowed) = message.as_ref() else { return Ok(Consumed::Nothing) };
            let consumed = match borrowed.err {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Consumed::Record(record(message, &self.name))),
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                    Ok(Consumed::End { partition: borrowed.partition, kafka_offset: borrowed.offset })
                }
                Code::RD_KAFKA_RESP_ERR__TRANSPORT
                | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
                | Code::RD_KAFKA_RESP_ERR__RESOLVE
                | Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
                | Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION => Ok(Consumed::Nothing),
                code => {
                    Err(KeptError { text: text(rdsys::rd_kafka_message_errstr(message)), ..KeptError::of_code(code) })
                }
            };
            rdsys::rd_kafka_message_destroy(message);
            consumed
        }
    }

    /// Makes a waiting `next` return.
    pub fn wake(&self) {
        // SAFETY: the queue lives.
        unsafe { rdsys::rd_kafka_queue_yield(self.queue.0) };
    }
}

/// # Safety
/// `message` is a record.
pub(crate) unsafe fn record(message: *mut rdsys::rd_kafka_message_t, topic: &Arc<str>) -> ConsumedRecord {
    // SAFETY: key and payload are as long as the message says.
    unsafe {
        let borrowed = &*message;
        let bytes = |bytes: *mut std::ffi::c_void, len: usize| {
            (!bytes.is_null()).then(|| slice(bytes.cast::<u8>().cast_const(), len).to_vec())
        };
        let mut kind = rdsys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp_ms = rdsys::rd_kafka_message_timestamp(message, &mut kind);
        ConsumedRecord {
            topic: topic.clone(),
            partition: borrowed.partition,
            kafka_offset: borrowed.offset,
            timestamp_ms: (timestamp_ms >= 0).then_some(timestamp_ms),
            key: bytes(borrowed.key, borrowed.key_len),
            value: bytes(borrowed.payload, borrowed.len),
            headers: headers(message),
        }
    }
}

/// A record's headers.
///
/// # Safety
/// `message` is a record.
unsafe fn headers(message: *mut rdsys::rd_kafka_message_t) -> Vec<(String, Option<Vec<u8>>)> {
    let mut out = Vec::new();
    // SAFETY: names and values live as long as the message.
    unsafe {
        let mut headers = ptr::null_mut();
        if rdsys::rd_kafka_message_headers(message, &mut headers) != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return out;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        while rdsys::rd_kafka_header_get_all(headers, out.len(), &mut name, &mut value, &mut size)
            == Code::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            let value = (!value.is_null()).then(|| slice(value.cast::<u8>(), size).to_vec());
            out.push((text(name), value));
        }
    }
    out
}

impl Drop for TopicConsumer {
    fn drop(&mut self) {
        // SAFETY: stopped before the queue goes, and the queue before topic and client, which are fields after it.
        unsafe {
            for partition in self.started.drain(..) {
                rdsys::rd_kafka_consume_stop(self.topic.ptr, partition);
            }
            rdsys::rd_kafka_queue_destroy(self.queue.0);
        }
    }
}
