//! Another encoder's responses have the shapes, in every version; damaged ones end in an error.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;

use super::super::{Request, decode_response, produce};

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn frame<T: Encodable + HeaderVersion>(response: &T, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    ResponseHeader::default().with_correlation_id(5).encode(&mut out, T::header_version(version)).unwrap();
    response.encode(&mut out, version).unwrap();
    out.freeze()
}

fn metadata() -> MetadataResponse {
    use metadata_response::*;
    let partition = MetadataResponsePartition::default()
        .with_partition_index(0)
        .with_leader_id(BrokerId(1))
        .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
        .with_isr_nodes(vec![BrokerId(1)]);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text("orders"))))
        .with_partitions(vec![partition.clone(), partition]);
    let broker = MetadataResponseBroker::default().with_node_id(BrokerId(1)).with_host(text("h")).with_port(9092);
    MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic.clone(), topic])
}

fn produced(version: i16) -> ProduceResponse {
    use produce_response::*;
    let mut partition = PartitionProduceResponse::default().with_index(3).with_base_offset(9);
    let mut response = ProduceResponse::default();
    if version >= 8 {
        partition = partition
            .with_error_message(Some(text("why")))
            .with_record_errors(vec![BatchIndexAndErrorMessage::default().with_batch_index(1)]);
    }
    if version >= 10 {
        partition = partition.with_current_leader(LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)));
        response = response.with_node_endpoints(vec![NodeEndpoint::default().with_host(text("h"))]);
    }
    let topic =
        TopicProduceResponse::default().with_name(TopicName(text("t"))).with_partition_responses(vec![partition]);
    response.with_responses(vec![topic])
}

fn api_versions(version: i16) -> ApiVersionsResponse {
    use api_versions_response::*;
    let key = ApiVersion::default().with_api_key(3).with_max_version(9);
    let response = ApiVersionsResponse::default().with_api_keys(vec![key.clone(), key]);
    if version < 3 {
        return response;
    }
    response
        .with_supported_features(vec![SupportedFeatureKey::default().with_name(text("transaction.version"))])
        .with_finalized_features(vec![
            FinalizedFeatureKey::default().with_name(text("transaction.version")).with_max_version_level(2),
        ])
}

fn coordinator(version: i16) -> FindCoordinatorResponse {
    use find_coordinator_response::Coordinator;
    let response = FindCoordinatorResponse::default();
    if version < 4 {
        return response.with_host(text("host"));
    }
    response.with_coordinators(vec![Coordinator::default().with_key(text("k")).with_host(text("host"))])
}

fn added() -> AddPartitionsToTxnResponse {
    use add_partitions_to_txn_response::*;
    let partition = AddPartitionsToTxnPartitionResult::default().with_partition_index(7);
    let topic = AddPartitionsToTxnTopicResult::default()
        .with_name(TopicName(text("t")))
        .with_results_by_partition(vec![partition.clone(), partition]);
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(vec![topic])
}

fn configs(version: i16) -> DescribeConfigsResponse {
    use describe_configs_response::*;
    let mut config =
        DescribeConfigsResourceResult::default().with_name(text("max.message.bytes")).with_value(Some(text("1")));
    if version >= 1 {
        config = config.with_synonyms(vec![DescribeConfigsSynonym::default().with_name(text("m"))]);
    }
    let result = DescribeConfigsResult::default().with_resource_name(text("t")).with_configs(vec![config]);
    DescribeConfigsResponse::default().with_results(vec![result])
}

fn fetched(version: i16) -> FetchResponse {
    use fetch_response::*;
    let aborted = AbortedTransaction::default().with_producer_id(ProducerId(7)).with_first_offset(3);
    let mut partition = PartitionData::default()
        .with_partition_index(3)
        .with_high_watermark(9)
        .with_aborted_transactions(Some(vec![aborted.clone(), aborted]))
        .with_records(Some(Bytes::from_static(b"batches")));
    if version >= 12 {
        partition = partition.with_current_leader(LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)));
    }
    let topic =
        FetchableTopicResponse::default().with_topic(TopicName(text("t"))).with_partitions(vec![partition.clone()]);
    FetchResponse::default().with_responses(vec![topic.clone(), topic])
}

fn described() -> DescribeProducersResponse {
    use describe_producers_response::*;
    let producer = ProducerState::default().with_producer_id(ProducerId(4)).with_current_txn_start_offset(9);
    let partition = PartitionResponse::default()
        .with_error_message(Some(text("why")))
        .with_active_producers(vec![producer.clone(), producer]);
    let topic = TopicResponse::default().with_name(TopicName(text("t"))).with_partitions(vec![partition]);
    DescribeProducersResponse::default().with_topics(vec![topic.clone(), topic])
}

fn marked() -> WriteTxnMarkersResponse {
    use write_txn_markers_response::*;
    let partition = WritableTxnMarkerPartitionResult::default().with_partition_index(3);
    let topic = WritableTxnMarkerTopicResult::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition.clone(), partition]);
    let marker = WritableTxnMarkerResult::default().with_producer_id(ProducerId(4)).with_topics(vec![topic]);
    WriteTxnMarkersResponse::default().with_markers(vec![marker.clone(), marker])
}

fn every_version<R: Request>(make: impl Fn(i16) -> R::Response) -> Vec<(i16, Bytes)>
where
    R::Response: Encodable + std::fmt::Debug + PartialEq,
{
    (R::VERSION_MIN..=R::VERSION_MAX)
        .map(|version| {
            let bytes = frame(&make(version), version);
            let read = decode_response::<R>(bytes.clone(), version);
            assert_eq!(read.unwrap_or_else(|e| panic!("version {version}: {e}")), make(version));
            (version, bytes)
        })
        .collect()
}

#[test]
fn responses_have_their_shapes_in_every_version() {
    every_version::<MetadataRequest>(|_| metadata());
    every_version::<ApiVersionsRequest>(api_versions);
    every_version::<FindCoordinatorRequest>(coordinator);
    every_version::<AddPartitionsToTxnRequest>(|_| added());
    every_version::<DescribeConfigsRequest>(configs);
    every_version::<DescribeProducersRequest>(|_| described());
    every_version::<WriteTxnMarkersRequest>(|_| marked());
    every_version::<FetchRequest>(fetched);
    every_version::<SaslHandshakeRequest>(|_| {
        SaslHandshakeResponse::default().with_mechanisms(vec![text("PLAIN"), text("SCRAM-SHA-256")])
    });
    for version in produce::VERSION_MIN..=produce::VERSION_MAX {
        let read = produce::decode_response(frame(&produced(version), version), version);
        assert_eq!(read.unwrap_or_else(|e| panic!("version {version}: {e}")), produced(version));
    }
}

#[test]
fn a_count_beyond_the_bytes_is_an_error_before_memory_is_reserved() {
    // Two thousand million brokers, topics, partitions.
    for (version, mut bytes) in [(8, frame(&metadata(), 8).to_vec()), (12, frame(&metadata(), 12).to_vec())] {
        let at = if version == 8 { 8 } else { 9 };
        if version == 8 {
            bytes[at..at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        } else {
            bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        }
        assert!(decode_response::<MetadataRequest>(bytes.into(), version).is_err());
    }
}

proptest! {
    #[test]
    fn damaged_responses_end_in_an_error_or_another_response(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), cut: prop::sample::Index,
    ) {
        let damage = |bytes: &Bytes| {
            let mut bytes = bytes.to_vec();
            for (at, byte) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            Bytes::from(bytes)
        };
        for version in MetadataRequest::VERSION_MIN..=MetadataRequest::VERSION_MAX {
            let _ = decode_response::<MetadataRequest>(damage(&frame(&metadata(), version)), version);
        }
        for version in FetchRequest::VERSION_MIN..=FetchRequest::VERSION_MAX {
            let _ = decode_response::<FetchRequest>(damage(&frame(&fetched(version), version)), version);
        }
        for version in produce::VERSION_MIN..=produce::VERSION_MAX {
            let _ = produce::decode_response(damage(&frame(&produced(version), version)), version);
        }
        for version in 0..=4 {
            let _ = decode_response::<ApiVersionsRequest>(damage(&frame(&api_versions(version), version)), version);
            let _ = decode_response::<DescribeProducersRequest>(damage(&frame(&described(), 0)), 0);
            let _ = decode_response::<WriteTxnMarkersRequest>(damage(&frame(&marked(), 1)), 1);
            let _ = decode_response::<DescribeConfigsRequest>(damage(&frame(&configs(version.max(1)), version.max(1))), version.max(1));
            let _ = decode_response::<FindCoordinatorRequest>(damage(&frame(&coordinator(version), version)), version);
        }
    }
}
