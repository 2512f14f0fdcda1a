//! Where each field of a record batch's header stands, in bytes from its beginning. All numbers are big-endian.
//!
//! <https://kafka.apache.org/documentation/#recordbatch>

use std::ops::Range;

pub const BASE_OFFSET: Range<usize> = 0..8;
/// The number of bytes after this field.
pub const LENGTH: Range<usize> = 8..12;
pub const PARTITION_LEADER_EPOCH: Range<usize> = 12..16;
pub const MAGIC: usize = 16;
/// CRC-32C of everything from [`CRC_FROM`] on.
pub const CRC: Range<usize> = 17..21;
pub const CRC_FROM: usize = 21;
/// Bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
pub const ATTRIBUTES: Range<usize> = 21..23;
pub const LAST_OFFSET_DELTA: Range<usize> = 23..27;
pub const BASE_TIMESTAMP: Range<usize> = 27..35;
pub const MAX_TIMESTAMP: Range<usize> = 35..43;
pub const PRODUCER_ID: Range<usize> = 43..51;
pub const PRODUCER_EPOCH: Range<usize> = 51..53;
pub const BASE_SEQUENCE: Range<usize> = 53..57;
pub const RECORD_COUNT: Range<usize> = 57..61;
/// The whole header; records follow.
pub const HEADER_BYTES: usize = 61;

pub const ATTRIBUTE_CODEC: i16 = 0b111;
pub const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
pub const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
pub const ATTRIBUTE_CONTROL: i16 = 1 << 5;
