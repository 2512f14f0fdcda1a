//! Record headers, encoded once and copied into every record that carries them.

use crate::varint;

/// Headers in the bytes they have inside a record, without the count before them: sets of headers that are the same
/// for every record (a connector's, a table's) are encoded once, and joined per record by [`RecordBatchBuilder::append_joined`].
///
/// [`RecordBatchBuilder::append_joined`]: crate::RecordBatchBuilder::append_joined
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedHeaders {
    count: u32,
    bytes: Vec<u8>,
}

impl EncodedHeaders {
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_raw(count: u32, bytes: &[u8]) -> Self {
        Self { count, bytes: bytes.to_vec() }
    }

    /// Adds one header; `None` is a null value, which Kafka tells from an empty one.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        varint::put(&mut self.bytes, name.len() as i64);
        self.bytes.extend_from_slice(name.as_bytes());
        match value {
            Some(value) => {
                varint::put(&mut self.bytes, value.len() as i64);
                self.bytes.extend_from_slice(value);
            }
            None => varint::put(&mut self.bytes, -1),
        }
        self.count += 1;
    }

    /// Adds all headers of another set.
    pub fn extend(&mut self, other: &EncodedHeaders) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
    }

    /// How many headers.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The headers' bytes, without their count.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the headers and keeps the memory.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}
