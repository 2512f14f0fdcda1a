//! Reads record batches from arbitrary bytes: every length is checked, nothing panics, and records are slices of the
//! batch (or of the caller's scratch buffer when the batch is compressed).

use std::fmt;

use crate::compression::{Codec, Decompression, decompress};
use crate::layout;
use crate::varint;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does: more may come.
    Truncated,
    /// A length, a count or a number that cannot be; the text says which.
    Corrupt(&'static str),
    /// Not format version 2.
    UnsupportedMagic(i8),
    /// The checksum does not match.
    Checksum,
    /// Decompressed, the records pass the cap.
    TooLarge,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the record batch is cut off"),
            Self::Corrupt(what) => write!(f, "the record batch is corrupt: {what}"),
            Self::UnsupportedMagic(magic) => write!(f, "the record batch has format version {magic}, only 2 is read"),
            Self::Checksum => f.write_str("the record batch does not match its checksum"),
            Self::TooLarge => f.write_str("the record batch grows beyond the limit when it is decompressed"),
        }
    }
}

impl std::error::Error for BatchError {}

/// Walks the batches that stand one after another in `bytes`. Ends after the first error; a cut-off last batch, which
/// is how a fetch response may end, is reported as [`BatchError::Truncated`].
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = Result<RecordBatchReader<'_>, BatchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match RecordBatchReader::parse(rest) {
            Ok(batch) => {
                rest = &rest[batch.bytes().len()..];
                Some(Ok(batch))
            }
            Err(error) => {
                rest = &[];
                Some(Err(error))
            }
        }
    })
}

/// One batch. Its header has been checked for shape; the checksum only by [`Self::verify`].
#[derive(Debug, Clone, Copy)]
pub struct RecordBatchReader<'a> {
    bytes: &'a [u8],
    codec: Codec,
}

impl<'a> RecordBatchReader<'a> {
    /// The batch at the beginning of `bytes`; what follows it is left alone.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        if bytes.len() < layout::LENGTH.end {
            return Err(BatchError::Truncated);
        }
        let length = i32::from_be_bytes(array(bytes, layout::LENGTH));
        let length = usize::try_from(length).map_err(|_| BatchError::Corrupt("its length is negative"))?;
        if let Some(&magic) = bytes.get(layout::MAGIC)
            && magic != 2
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        if length < layout::HEADER_BYTES - layout::LENGTH.end {
            return Err(BatchError::Corrupt("it is shorter than its header"));
        }
        let bytes = bytes.get(..layout::LENGTH.end + length).ok_or(BatchError::Truncated)?;
        let batch = Self { bytes, codec: Codec::None };
        let codec = Codec::from_attributes(batch.attributes()).ok_or(BatchError::Corrupt("an unknown codec"))?;
        if batch.record_count() < 0 {
            return Err(BatchError::Corrupt("its count of records is negative"));
        }
        Ok(Self { codec, ..batch })
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(array(self.bytes, layout::BASE_OFFSET))
    }

    /// The last record's offset, also when compaction removed that record.
    pub fn last_offset(&self) -> i64 {
        let delta = i32::from_be_bytes(array(self.bytes, layout::LAST_OFFSET_DELTA));
        self.base_offset().wrapping_add(i64::from(delta))
    }

    pub fn partition_leader_epoch(&self) -> i32 {
        i32::from_be_bytes(array(self.bytes, layout::PARTITION_LEADER_EPOCH))
    }

    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(array(self.bytes, layout::ATTRIBUTES))
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & layout::ATTRIBUTE_TRANSACTIONAL != 0
    }

    /// A transaction's end marker, not data.
    pub fn is_control(&self) -> bool {
        self.attributes() & layout::ATTRIBUTE_CONTROL != 0
    }

    /// In milliseconds since the epoch.
    pub fn base_timestamp_ms(&self) -> i64 {
        i64::from_be_bytes(array(self.bytes, layout::BASE_TIMESTAMP))
    }

    /// In milliseconds since the epoch.
    pub fn max_timestamp_ms(&self) -> i64 {
        i64::from_be_bytes(array(self.bytes, layout::MAX_TIMESTAMP))
    }

    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(array(self.bytes, layout::PRODUCER_ID))
    }

    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(array(self.bytes, layout::PRODUCER_EPOCH))
    }

    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(array(self.bytes, layout::BASE_SEQUENCE))
    }

    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(array(self.bytes, layout::RECORD_COUNT))
    }

    /// Compares the checksum.
    pub fn verify(&self) -> Result<(), BatchError> {
        let expected = u32::from_be_bytes(array(self.bytes, layout::CRC));
        if crc32c::crc32c(&self.bytes[layout::CRC_FROM..]) == expected { Ok(()) } else { Err(BatchError::Checksum) }
    }

    /// The records of the batch. A compressed batch is decompressed into `scratch` (cleared first), to `bytes_max` at
    /// most; an uncompressed one leaves it alone.
    pub fn records<'s>(&self, scratch: &'s mut Vec<u8>, bytes_max: usize) -> Result<Records<'s>, BatchError>
    where
        'a: 's,
    {
        let records = &self.bytes[layout::HEADER_BYTES..];
        let bytes = if self.codec == Codec::None {
            records
        } else {
            scratch.clear();
            decompress(records, self.codec, bytes_max, scratch).map_err(|error| match error {
                Decompression::TooLarge => BatchError::TooLarge,
                Decompression::Corrupt => BatchError::Corrupt("its records cannot be decompressed"),
            })?;
            &scratch[..]
        };
        Ok(Records {
            bytes,
            left: self.record_count(),
            base_offset: self.base_offset(),
            base_timestamp_ms: self.base_timestamp_ms(),
            log_append_time_ms: (self.attributes() & layout::ATTRIBUTE_LOG_APPEND_TIME != 0)
                .then(|| self.max_timestamp_ms()),
        })
    }
}

/// The records of one batch, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: i32,
    base_offset: i64,
    base_timestamp_ms: i64,
    log_append_time_ms: Option<i64>,
}

/// One record, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub offset: i64,
    /// In milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    header_count: i32,
    header_bytes: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// The headers: name and value.
    pub fn headers(&self) -> Headers<'a> {
        Headers { bytes: self.header_bytes, left: self.header_count }
    }

    /// The headers' count and bytes as they stand in the record.
    pub(crate) fn raw_headers(&self) -> (u32, &'a [u8]) {
        (self.header_count as u32, self.header_bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return (!std::mem::take(&mut self.bytes).is_empty())
                .then_some(Err(BatchError::Corrupt("bytes after its last record")));
        }
        match self.read() {
            Some(record) => {
                self.left -= 1;
                Some(Ok(record))
            }
            None => {
                self.left = 0;
                self.bytes = &[];
                Some(Err(BatchError::Corrupt("a record")))
            }
        }
    }
}

impl<'a> Records<'a> {
    fn read(&mut self) -> Option<RecordRef<'a>> {
        let (len, at) = varint::get_i32(self.bytes, 0)?;
        let end = at.checked_add(usize::try_from(len).ok()?)?;
        let body = self.bytes.get(at..end)?;
        body.first()?; // attributes
        let (timestamp_delta, at) = varint::get_i64(body, 1)?;
        let (offset_delta, at) = varint::get_i32(body, at)?;
        let (key, at) = get_field(body, at)?;
        let (value, at) = get_field(body, at)?;
        let (header_count, at) = varint::get_i32(body, at)?;
        if header_count < 0 {
            return None;
        }
        self.bytes = &self.bytes[end..];
        Some(RecordRef {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp_ms: self.log_append_time_ms.unwrap_or(self.base_timestamp_ms.wrapping_add(timestamp_delta)),
            key,
            value,
            header_count,
            header_bytes: &body[at..],
        })
    }
}

/// The headers of one record, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    left: i32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a str, Option<&'a [u8]>), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = get_field(self.bytes, 0).and_then(|(name, at)| {
            let name = std::str::from_utf8(name?).ok()?;
            let (value, at) = get_field(self.bytes, at)?;
            self.bytes = &self.bytes[at..];
            Some((name, value))
        });
        if header.is_none() {
            self.left = 0;
        }
        Some(header.ok_or(BatchError::Corrupt("a header")))
    }
}

/// A length (-1: null) and as many bytes. The outer `None`: cut off or impossible.
fn get_field(bytes: &[u8], at: usize) -> Option<(Option<&[u8]>, usize)> {
    let (len, at) = varint::get_i32(bytes, at)?;
    if len == -1 {
        return Some((None, at));
    }
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    Some((Some(bytes.get(at..end)?), end))
}

/// A header field; the header's presence was checked when the batch was parsed.
fn array<const N: usize>(bytes: &[u8], range: std::ops::Range<usize>) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[range]);
    out
}
