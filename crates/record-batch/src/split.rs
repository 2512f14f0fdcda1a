//! Two batches out of one: what a producer does when a broker takes smaller batches than it was told.

use crate::builder::RecordBatchBuilder;
use crate::compression::{Codec, compress};
use crate::headers::EncodedHeaders;
use crate::reader::{BatchError, RecordBatchReader};

/// What our own batches decompress to at most: far above any broker's limit on a request.
const BYTES_MAX: usize = 256 << 20;

/// The first and the second half of a batch's records, each as [`RecordBatchBuilder::finish`] and
/// [`compress`](crate::compress) leave them. None for a single record, or bytes that are not a batch.
pub fn split_in_half(batch: &[u8], codec: Codec) -> Option<[(Vec<u8>, u32); 2]> {
    split(batch, codec).ok().flatten()
}

type Halves = [(Vec<u8>, u32); 2];

fn split(batch: &[u8], codec: Codec) -> Result<Option<Halves>, BatchError> {
    let reader = RecordBatchReader::parse(batch)?;
    let count = reader.record_count();
    if count < 2 {
        return Ok(None);
    }
    let mut scratch = Vec::new();
    let mut records = reader.records(&mut scratch, BYTES_MAX)?;
    let mut half = |count: i32| {
        let mut builder = RecordBatchBuilder::new(batch.len() / 2);
        for record in records.by_ref().take(count as usize) {
            let record = record?;
            let (count, bytes) = record.raw_headers();
            let headers = EncodedHeaders::from_raw(count, bytes);
            builder.append(record.timestamp_ms, record.key, record.value, &headers);
        }
        let (bytes, records) = builder.finish();
        let bytes = if codec == Codec::None { bytes } else { compress(&bytes, codec) };
        Ok::<_, BatchError>((bytes, records))
    };
    Ok(Some([half(count / 2)?, half(count - count / 2)?]))
}
