//! Appends records to a batch that is valid but for what a producer fills in ([`crate::seal`]).

use crate::headers::EncodedHeaders;
use crate::layout;
use crate::varint;

/// One record batch being written. The header's place is reserved at the beginning and filled in by [`Self::finish`].
#[derive(Debug)]
pub struct RecordBatchBuilder {
    bytes: Vec<u8>,
    records: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl RecordBatchBuilder {
    /// An empty batch with room for `capacity` bytes, header included.
    pub fn new(capacity: usize) -> Self {
        Self::with_buffer(Vec::with_capacity(capacity.max(layout::HEADER_BYTES)))
    }

    /// An empty batch in a buffer used before; what it held is forgotten.
    pub fn with_buffer(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.resize(layout::HEADER_BYTES, 0);
        Self { bytes, records: 0, base_timestamp_ms: 0, max_timestamp_ms: i64::MIN }
    }

    /// Appends one record. `timestamp_ms` is since the epoch; no value is a tombstone.
    ///
    /// # Panics
    /// When key, value or headers are longer than `i32::MAX`: no broker takes such a record, and the caller's own
    /// limit on a record is far below.
    #[inline]
    pub fn append(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &EncodedHeaders) {
        self.append_joined(timestamp_ms, key, value, &[headers]);
    }

    /// As [`Self::append`], with the headers of several sets, in their order.
    pub fn append_joined(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[&EncodedHeaders],
    ) {
        if self.records == 0 {
            self.base_timestamp_ms = timestamp_ms;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let offset_delta = i64::from(self.records);
        let header_count: i64 = headers.iter().map(|h| i64::from(h.count())).sum();
        let header_bytes: usize = headers.iter().map(|h| h.bytes().len()).sum();

        let body = 1
            + varint::size(timestamp_delta)
            + varint::size(offset_delta)
            + field_size(key)
            + field_size(value)
            + varint::size(header_count)
            + header_bytes;
        assert!(body <= i32::MAX as usize, "a record of {body} bytes");

        self.bytes.reserve(body + varint::I32_BYTES_MAX);
        varint::put(&mut self.bytes, body as i64);
        self.bytes.push(0); // attributes: none are defined
        varint::put(&mut self.bytes, timestamp_delta);
        varint::put(&mut self.bytes, offset_delta);
        put_field(&mut self.bytes, key);
        put_field(&mut self.bytes, value);
        varint::put(&mut self.bytes, header_count);
        for set in headers {
            self.bytes.extend_from_slice(set.bytes());
        }
        self.records += 1;
    }

    /// The bytes so far, header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// No record yet.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many records.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// What one more record takes at most, in bytes: to close a batch before it passes a limit.
    pub fn record_size_max(key: Option<&[u8]>, value: Option<&[u8]>, header_bytes: usize) -> usize {
        // length, attributes, timestamp, offset, header count
        varint::I32_BYTES_MAX
            + 1
            + varint::I64_BYTES_MAX
            + varint::I32_BYTES_MAX
            + varint::I32_BYTES_MAX
            + field_size(key)
            + field_size(value)
            + header_bytes
    }

    /// The batch's bytes and how many records it holds. Base offset is 0; leader epoch, producer id, epoch and sequence
    /// are -1; the checksum is not set: [`crate::seal`] does that. A batch without records may not be sent.
    pub fn finish(mut self) -> (Vec<u8>, u32) {
        let length = (self.bytes.len() - layout::LENGTH.end) as i32;
        let last_offset_delta = self.records as i32 - 1;
        let max_timestamp_ms = if self.records == 0 { 0 } else { self.max_timestamp_ms };
        let header = &mut self.bytes[..layout::HEADER_BYTES];
        header[layout::BASE_OFFSET].copy_from_slice(&0i64.to_be_bytes());
        header[layout::LENGTH].copy_from_slice(&length.to_be_bytes());
        header[layout::PARTITION_LEADER_EPOCH].copy_from_slice(&(-1i32).to_be_bytes());
        header[layout::MAGIC] = 2;
        header[layout::LAST_OFFSET_DELTA].copy_from_slice(&last_offset_delta.to_be_bytes());
        header[layout::BASE_TIMESTAMP].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        header[layout::MAX_TIMESTAMP].copy_from_slice(&max_timestamp_ms.to_be_bytes());
        header[layout::PRODUCER_ID].copy_from_slice(&(-1i64).to_be_bytes());
        header[layout::PRODUCER_EPOCH].copy_from_slice(&(-1i16).to_be_bytes());
        header[layout::BASE_SEQUENCE].copy_from_slice(&(-1i32).to_be_bytes());
        header[layout::RECORD_COUNT].copy_from_slice(&(self.records as i32).to_be_bytes());
        (self.bytes, self.records)
    }
}

#[inline]
fn field_size(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len())
}

#[inline]
fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => out.push(1), // -1
    }
}
