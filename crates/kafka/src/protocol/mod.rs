//! Kafka's wire protocol, as far as the producer speaks it: frames out, responses in.
//!
//! Messages are those of the `kafka-protocol` crate; only Produce, whose records must not be copied, is laid out by
//! hand ([`produce`]). Bytes from a broker are never trusted: a response that cannot be decoded is a [`Malformed`],
//! whatever is wrong with it, and the connection it came from is closed.
//!
//! <https://kafka.apache.org/protocol>

pub mod fetch;
pub mod produce;
pub mod producers;
pub mod shape;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
use walspring_connect::threads::expecting_panics;

/// A response that cannot be what it says it is.
#[derive(Debug, Clone, thiserror::Error)]
#[error("malformed response: {0}")]
pub struct Malformed(pub String);

/// A request that the producer sends, and the answer to it.
pub trait Request: Encodable + Message + HeaderVersion {
    const KEY: i16;
    /// The oldest version that has the fields we set.
    const VERSION_MIN: i16 = Self::VERSIONS.min;
    /// The newest version we speak, which may be older than the newest the crate encodes.
    const VERSION_MAX: i16;
    type Response: Decodable + HeaderVersion;
    /// What is checked before the response is decoded: needed wherever it has arrays.
    const SHAPE: Option<&'static shape::Shape> = shape::FLAT;
}

macro_rules! requests {
    ($($request:ident $key:literal $versions:literal to $version_max:literal $response:ident $shape:ident;)*) => {
        $(impl Request for $request {
            const KEY: i16 = $key;
            const VERSION_MIN: i16 = $versions;
            const VERSION_MAX: i16 = $version_max;
            type Response = $response;
            const SHAPE: Option<&'static shape::Shape> = shape::$shape;
        })*
    };
}

requests! {
    MetadataRequest 3 4 to 12 MetadataResponse METADATA;
    FindCoordinatorRequest 10 1 to 5 FindCoordinatorResponse FIND_COORDINATOR;
    SaslHandshakeRequest 17 1 to 1 SaslHandshakeResponse SASL_HANDSHAKE;
    ApiVersionsRequest 18 0 to 4 ApiVersionsResponse API_VERSIONS;
    InitProducerIdRequest 22 0 to 5 InitProducerIdResponse FLAT;
    // Version 4 is for brokers only.
    AddPartitionsToTxnRequest 24 0 to 3 AddPartitionsToTxnResponse ADD_PARTITIONS_TO_TXN;
    EndTxnRequest 26 0 to 5 EndTxnResponse FLAT;
    DescribeConfigsRequest 32 1 to 4 DescribeConfigsResponse DESCRIBE_CONFIGS;
    SaslAuthenticateRequest 36 0 to 2 SaslAuthenticateResponse FLAT;
}

/// A whole frame, its size first.
pub fn encode_request<R: Request>(request: &R, version: i16, correlation_id: i32, client_id: &str) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_string(client_id.to_owned())));
    let mut out = BytesMut::with_capacity(256);
    out.extend_from_slice(&[0; 4]);
    // Encoding fails only on a version or a field that the version does not have: ours to get right.
    header.encode(&mut out, R::header_version(version)).expect("a request header encodes");
    request.encode(&mut out, version).expect("a request encodes at a negotiated version");
    let size = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out.freeze()
}

/// The response in a frame (without its size) whose correlation id is already known to be right.
pub fn decode_response<R: Request>(frame: Bytes, version: i16) -> Result<R::Response, Malformed> {
    decode::<R::Response>(frame, version, <R::Response as HeaderVersion>::header_version(version), R::SHAPE)
}

fn decode<T: Decodable>(
    mut frame: Bytes,
    version: i16,
    header_version: i16,
    shape: Option<&shape::Shape>,
) -> Result<T, Malformed> {
    // With the shape checked nothing should panic any more; what does must not take the process along.
    expecting_panics(|| {
        ResponseHeader::decode(&mut frame, header_version).map_err(|error| Malformed(error.to_string()))?;
        shape::check(shape, &frame, version)?;
        T::decode(&mut frame, version).map_err(|error| Malformed(error.to_string()))
    })
    .unwrap_or_else(|_| Err(Malformed("its lengths do not fit together".into())))
}

/// The correlation id of a frame without its size.
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}

/// The error code with which a broker answers an ApiVersions request it is too old for; it does so in version 0.
pub fn api_versions_error(frame: &[u8]) -> Option<i16> {
    (frame.len() >= 6).then(|| (&frame[4..6]).get_i16())
}

/// The versions a broker takes, and what its cluster has settled on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerVersions {
    ranges: Vec<(i16, i16, i16)>,
    /// The finalized level of `transaction.version` (KIP-890): 2 and above binds transactions to an epoch each.
    pub transaction_version: i16,
}

impl BrokerVersions {
    pub fn new(response: &ApiVersionsResponse) -> Self {
        let ranges = response.api_keys.iter().map(|k| (k.api_key, k.min_version, k.max_version)).collect();
        let transaction_version = response
            .finalized_features
            .iter()
            .find(|feature| &*feature.name == "transaction.version")
            .map_or(0, |feature| feature.max_version_level);
        Self { ranges, transaction_version }
    }

    /// The newest version of an API that both sides speak.
    pub fn pick(&self, key: i16, ours_min: i16, ours_max: i16) -> Option<i16> {
        let (_, min, max) = self.ranges.iter().find(|(k, _, _)| *k == key)?;
        let version = ours_max.min(*max);
        (version >= ours_min.max(*min)).then_some(version)
    }
}
