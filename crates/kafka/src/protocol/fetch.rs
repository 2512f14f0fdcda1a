//! Fetch, as far as we read partitions ourselves: by the topic's name, without sessions. What is read for records alone
//! goes through the kept client; this one is for what it does not show: producers, and the markers of transactions.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Request;
use super::shape::{Kind, Shape, f, v};
use Kind::{Array, Fixed, Plain, Text};

impl Request for FetchRequest {
    const KEY: i16 = 1;
    const VERSION_MIN: i16 = 4;
    /// From 13 on topics have ids instead of names.
    const VERSION_MAX: i16 = 12;
    type Response = FetchResponse;
    const SHAPE: Option<&'static Shape> = Some(&Shape {
        flexible_from: 12,
        fields: &[
            f(Fixed(4)),
            v(7, Fixed(6)),
            f(Array(&[
                f(Text),
                f(Array(&[
                    // partition, error, high watermark, last stable offset
                    f(Fixed(22)),
                    v(5, Fixed(8)),
                    f(Array(&[f(Fixed(16))])),
                    v(11, Fixed(4)),
                    // The batches: as many numbers of one byte.
                    f(Plain(1)),
                ])),
            ])),
        ],
    });
}

/// What one partition has from an offset on.
#[derive(Debug)]
pub struct Fetched {
    /// Every in-sync replica has the records before it.
    pub high_watermark: i64,
    /// Batches one after the other; the last may be cut off.
    pub batches: Bytes,
}

/// Of one partition, whatever is there at once: records of open and of aborted transactions, and markers, too.
pub fn uncommitted(topic: &str, partition: i32, kafka_offset: i64, bytes_max: i32) -> FetchRequest {
    let of_partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(kafka_offset)
        .with_partition_max_bytes(bytes_max);
    let of_topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![of_partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(bytes_max)
        .with_isolation_level(0)
        .with_topics(vec![of_topic])
}

/// The answer to [`uncommitted`].
pub fn of_one(response: FetchResponse) -> Result<Fetched, ResponseError> {
    if let Some(error) = ResponseError::try_from_code(response.error_code) {
        return Err(error);
    }
    let partition = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
    match ResponseError::try_from_code(partition.error_code) {
        Some(error) => Err(error),
        None => {
            Ok(Fetched { high_watermark: partition.high_watermark, batches: partition.records.unwrap_or_default() })
        }
    }
}
