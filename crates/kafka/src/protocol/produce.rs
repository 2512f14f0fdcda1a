//! Produce, laid out by hand: the records are handed to the socket as they are, between small pieces of framing.
//!
//! Versions 3 to 12. From 9 on lengths are compact (KIP-482). From 12 on the broker adds a partition to the producer's
//! transaction by itself (KIP-890): a transactional producer of the first version must stay below.
//! <https://kafka.apache.org/protocol#The_Messages_Produce>

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::protocol::HeaderVersion;

use super::Malformed;

pub const KEY: i16 = 0;
pub const VERSION_MIN: i16 = 3;
pub const VERSION_MAX: i16 = 12;
/// The newest version that leaves the transaction to AddPartitionsToTxn.
pub const VERSION_MAX_TRANSACTION_1: i16 = 11;

const FLEXIBLE_FROM: i16 = 9;
const ACKS_ALL: i16 = -1;

/// The batches of one topic: partition and sealed record batch. A partition may appear once in a request.
#[derive(Debug)]
pub struct TopicBatches<'a> {
    pub topic: &'a str,
    pub partitions: Vec<(i32, Bytes)>,
}

#[derive(Debug)]
pub struct ProduceFrame<'a> {
    pub client_id: &'a str,
    pub transactional_id: Option<&'a str>,
    /// How long the broker may wait for its followers.
    pub timeout_ms: i32,
    pub topics: Vec<TopicBatches<'a>>,
}

/// The frame in pieces, to be written one after another.
pub fn encode(frame: &ProduceFrame<'_>, version: i16, correlation_id: i32) -> Vec<Bytes> {
    let flexible = version >= FLEXIBLE_FROM;
    let mut out = Pieces { head: BytesMut::with_capacity(256), done: Vec::with_capacity(4), flexible };
    out.head.put_i32(0); // the size, below
    out.head.put_i16(KEY);
    out.head.put_i16(version);
    out.head.put_i32(correlation_id);
    // The header's client id keeps its two-byte length in every version.
    out.head.put_i16(frame.client_id.len() as i16);
    out.head.put_slice(frame.client_id.as_bytes());
    out.tags();
    match frame.transactional_id {
        Some(id) => out.string(id),
        None if flexible => out.head.put_u8(0),
        None => out.head.put_i16(-1),
    }
    out.head.put_i16(ACKS_ALL);
    out.head.put_i32(frame.timeout_ms);
    out.array(frame.topics.len());
    for topic in &frame.topics {
        out.string(topic.topic);
        out.array(topic.partitions.len());
        for (partition, records) in &topic.partitions {
            out.head.put_i32(*partition);
            out.records(records);
            out.tags();
        }
        out.tags();
    }
    out.tags();
    out.finish()
}

/// The answer in a frame without its size.
pub fn decode_response(frame: Bytes, version: i16) -> Result<ProduceResponse, Malformed> {
    super::decode(frame, version, ProduceResponse::header_version(version), super::shape::PRODUCE)
}

struct Pieces {
    head: BytesMut,
    done: Vec<Bytes>,
    flexible: bool,
}

impl Pieces {
    fn array(&mut self, len: usize) {
        if self.flexible { put_unsigned(&mut self.head, len as u32 + 1) } else { self.head.put_i32(len as i32) }
    }

    fn string(&mut self, text: &str) {
        if self.flexible {
            put_unsigned(&mut self.head, text.len() as u32 + 1);
        } else {
            self.head.put_i16(text.len() as i16);
        }
        self.head.put_slice(text.as_bytes());
    }

    fn records(&mut self, records: &Bytes) {
        if self.flexible {
            put_unsigned(&mut self.head, records.len() as u32 + 1);
        } else {
            self.head.put_i32(records.len() as i32);
        }
        self.done.push(self.head.split().freeze());
        self.done.push(records.clone());
    }

    fn tags(&mut self) {
        if self.flexible {
            self.head.put_u8(0);
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        let size = self.done.iter().map(Bytes::len).sum::<usize>() + self.head.len() - 4;
        let size = (size as i32).to_be_bytes();
        if self.done.is_empty() {
            self.head[..4].copy_from_slice(&size);
        } else {
            let mut first = BytesMut::from(std::mem::take(&mut self.done[0]));
            first[..4].copy_from_slice(&size);
            self.done[0] = first.freeze();
        }
        if !self.head.is_empty() {
            self.done.push(self.head.freeze());
        }
        self.done
    }
}

fn put_unsigned(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{ProduceRequest, RequestHeader, TopicName, TransactionalId};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    /// The crate's own encoder says what the bytes should be.
    #[test]
    fn frames_are_those_of_the_reference_encoder() {
        for version in VERSION_MIN..=VERSION_MAX {
            for transactional_id in [None, Some("tx")] {
                let topics = [("a", vec![(0, 10), (3, 20_000)]), ("topic-b", vec![(7, 1)])];
                let bytes = |len: usize| Bytes::from(vec![7u8; len]);
                let ours = encode(
                    &ProduceFrame {
                        client_id: "client",
                        transactional_id,
                        timeout_ms: 30_000,
                        topics: topics
                            .iter()
                            .map(|(topic, partitions)| TopicBatches {
                                topic,
                                partitions: partitions.iter().map(|(p, len)| (*p, bytes(*len))).collect(),
                            })
                            .collect(),
                    },
                    version,
                    99,
                )
                .concat();

                let header = RequestHeader::default()
                    .with_request_api_key(KEY)
                    .with_request_api_version(version)
                    .with_correlation_id(99)
                    .with_client_id(Some(StrBytes::from_static_str("client")));
                let body = ProduceRequest::default()
                    .with_transactional_id(transactional_id.map(|id| TransactionalId(StrBytes::from_static_str(id))))
                    .with_acks(-1)
                    .with_timeout_ms(30_000)
                    .with_topic_data(
                        topics
                            .iter()
                            .map(|(topic, partitions)| {
                                TopicProduceData::default()
                                    .with_name(TopicName(StrBytes::from_static_str(topic)))
                                    .with_partition_data(
                                        partitions
                                            .iter()
                                            .map(|(p, len)| {
                                                PartitionProduceData::default()
                                                    .with_index(*p)
                                                    .with_records(Some(bytes(*len)))
                                            })
                                            .collect(),
                                    )
                            })
                            .collect(),
                    );
                let mut theirs = BytesMut::new();
                header.encode(&mut theirs, ProduceRequest::header_version(version)).unwrap();
                body.encode(&mut theirs, version).unwrap();
                let mut framed = (theirs.len() as i32).to_be_bytes().to_vec();
                framed.extend_from_slice(&theirs);
                assert_eq!(ours, framed, "version {version}");
            }
        }
    }
}
