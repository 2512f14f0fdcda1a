//! DescribeProducers (KIP-664): who has written to a partition, and from where on a transaction of theirs is open there;
//! and WriteTxnMarkers, with which a coordinator, or who has its right, ends it there.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, ProducerId, TopicName, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::Request;
use super::shape::{Kind, Shape, f};
use Kind::{Array, Fixed, Text};

impl Request for DescribeProducersRequest {
    const KEY: i16 = 61;
    const VERSION_MAX: i16 = 0;
    type Response = DescribeProducersResponse;
    const SHAPE: Option<&'static Shape> = Some(&Shape {
        flexible_from: 0,
        fields: &[f(Fixed(4)), f(Array(&[f(Text), f(Array(&[f(Fixed(6)), f(Text), f(Array(&[f(Fixed(36))]))]))]))],
    });
}

impl Request for WriteTxnMarkersRequest {
    const KEY: i16 = 27;
    const VERSION_MIN: i16 = 1;
    const VERSION_MAX: i16 = 1;
    type Response = WriteTxnMarkersResponse;
    const SHAPE: Option<&'static Shape> = Some(&Shape {
        flexible_from: 1,
        fields: &[f(Array(&[f(Fixed(8)), f(Array(&[f(Text), f(Array(&[f(Fixed(6))]))]))]))],
    });
}

/// A transaction without an end in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    pub partition: i32,
    pub producer_epoch: i16,
    /// Of its first record there.
    pub kafka_offset: i64,
    /// Of the last marker of the same producer there; -1 where it has none.
    pub coordinator_epoch: i32,
}

/// To the leader of these partitions. It takes the right to read the topic.
pub fn of_partitions(topic: &str, partitions: Vec<i32>) -> DescribeProducersRequest {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let of_topic = TopicRequest::default().with_name(name).with_partition_indexes(partitions);
    DescribeProducersRequest::default().with_topics(vec![of_topic])
}

/// What the producer has open in the partitions that were asked for.
pub fn open_transactions(
    response: &DescribeProducersResponse,
    producer_id: i64,
) -> Result<Vec<OpenTransaction>, ResponseError> {
    let mut found = Vec::new();
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        if let Some(error) = ResponseError::try_from_code(partition.error_code) {
            return Err(error);
        }
        let ours = partition.active_producers.iter().filter(|producer| producer.producer_id.0 == producer_id);
        for producer in ours.filter(|producer| producer.current_txn_start_offset >= 0) {
            found.push(OpenTransaction {
                partition: partition.partition_index,
                producer_epoch: i16::try_from(producer.producer_epoch).unwrap_or(-1),
                kafka_offset: producer.current_txn_start_offset,
                coordinator_epoch: producer.coordinator_epoch,
            });
        }
    }
    Ok(found)
}

/// The end of a transaction in one partition, for its leader. It takes the right to alter the cluster.
///
/// The coordinator's epoch is the last that the partition knows: none of the coordinator's own is older.
pub fn marker(
    topic: &str,
    producer_id: i64,
    producer_epoch: i16,
    open: &OpenTransaction,
    commit: bool,
) -> WriteTxnMarkersRequest {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let of_topic = WritableTxnMarkerTopic::default().with_name(name).with_partition_indexes(vec![open.partition]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(producer_epoch)
        .with_transaction_result(commit)
        .with_topics(vec![of_topic])
        .with_coordinator_epoch(open.coordinator_epoch.max(0));
    WriteTxnMarkersRequest::default().with_markers(vec![marker])
}

/// The answer to [`marker`].
pub fn is_written(response: &WriteTxnMarkersResponse) -> Result<(), ResponseError> {
    let partitions = response.markers.iter().flat_map(|marker| &marker.topics).flat_map(|topic| &topic.partitions);
    let mut codes = partitions.map(|partition| partition.error_code).peekable();
    if codes.peek().is_none() {
        return Err(ResponseError::UnknownServerError);
    }
    codes.find_map(ResponseError::try_from_code).map_or(Ok(()), Err)
}
