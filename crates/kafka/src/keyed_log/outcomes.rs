//! What has become of the records behind a partition's last stable offset, told by the partition itself: each batch says
//! whose transaction it is of, and a marker says how the transaction ended there. No I/O.
//!
//! The kept client shows neither: it ends at the last stable offset, so that one open transaction, whosever, hides what
//! others have committed behind it.
//!
//! Invariant: a record is settled only when it is of no transaction, or when its commit marker was seen.

use std::collections::BTreeMap;

use walspring_connect::KeyedRecord;
use walspring_record_batch::{BatchError, RecordBatchReader};

/// What one compressed batch may grow to, in bytes: far above what an offset's record takes.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;
/// The type of a marker that ends a transaction; others are no matter of ours. Source: Kafka's `EndTransactionMarker`
/// and the message definition `ControlRecordType`.
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// A transaction without a marker that has a wanted record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecided {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Of its first record in the partition.
    pub kafka_offset: i64,
    /// Of its last batch, in milliseconds since the epoch.
    pub written_ms: i64,
}

/// Fed with a partition's batches in their order, from its last stable offset on.
pub(super) struct Outcomes<'a> {
    wanted: &'a dyn Fn(&[u8]) -> bool,
    /// Records from here on came too late to count; markers count wherever they are.
    end: i64,
    settled: Vec<KeyedRecord>,
    open: BTreeMap<i64, Open>,
    scratch: Vec<u8>,
}

struct Open {
    so_far: Undecided,
    records: Vec<KeyedRecord>,
}

impl<'a> Outcomes<'a> {
    pub fn new(wanted: &'a dyn Fn(&[u8]) -> bool, end: i64) -> Self {
        Self { wanted, end, settled: Vec::new(), open: BTreeMap::new(), scratch: Vec::new() }
    }

    /// Takes the batch's records from `from` on.
    pub fn add(&mut self, batch: &RecordBatchReader<'_>, from: i64) -> Result<(), BatchError> {
        batch.verify()?;
        if batch.is_control() {
            return self.add_marker(batch);
        }
        if batch.base_offset() >= self.end {
            return Ok(());
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut wanted = Vec::new();
        for record in batch.records(&mut scratch, DECOMPRESSED_BYTES_MAX)? {
            let record = record?;
            match record.key {
                Some(key) if (from..self.end).contains(&record.offset) && (self.wanted)(key) => {
                    wanted.push(KeyedRecord {
                        key: key.to_vec(),
                        value: record.value.map(<[u8]>::to_vec),
                        kafka_offset: record.offset,
                    });
                }
                _ => {}
            }
        }
        self.scratch = scratch;
        if !batch.is_transactional() {
            self.settled.append(&mut wanted);
            return Ok(());
        }
        let open = self.open.entry(batch.producer_id()).or_insert_with(|| Open {
            so_far: Undecided {
                producer_id: batch.producer_id(),
                producer_epoch: batch.producer_epoch(),
                kafka_offset: batch.base_offset(),
                written_ms: 0,
            },
            records: Vec::new(),
        });
        open.so_far.written_ms = batch.max_timestamp_ms();
        open.records.append(&mut wanted);
        Ok(())
    }

    fn add_marker(&mut self, batch: &RecordBatchReader<'_>) -> Result<(), BatchError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        for record in batch.records(&mut scratch, DECOMPRESSED_BYTES_MAX)? {
            // Two bytes of version, two of type.
            let Some([_, _, high, low, ..]) = record?.key else { continue };
            match i16::from_be_bytes([*high, *low]) {
                COMMIT => {
                    self.settled.extend(self.open.remove(&batch.producer_id()).into_iter().flat_map(|o| o.records))
                }
                ABORT => drop(self.open.remove(&batch.producer_id())),
                _ => {}
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    /// The wanted records that are committed, in the partition's order; or the transaction that has one and is open.
    pub fn finish(mut self) -> Result<Vec<KeyedRecord>, Undecided> {
        if let Some(open) = self.open.into_values().find(|open| !open.records.is_empty()) {
            return Err(open.so_far);
        }
        self.settled.sort_by_key(|record| record.kafka_offset);
        Ok(self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder, batches, seal, set_base_offset};

    /// A batch of one record as a broker has it; a value of `None` in `marker`'s place is data.
    fn batch(offset: i64, producer_id: i64, key: &[u8], value: &str, transactional: bool) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(128);
        builder.append(1000 + offset, Some(key), Some(value.as_bytes()), &EncodedHeaders::new());
        let (mut bytes, _) = builder.finish();
        seal(&mut bytes, producer_id, 3, 0, transactional);
        set_base_offset(&mut bytes, offset, 0);
        bytes
    }

    fn data(offset: i64, producer_id: i64, key: &str) -> Vec<u8> {
        batch(offset, producer_id, key.as_bytes(), &offset.to_string(), true)
    }

    fn plain(offset: i64, key: &str) -> Vec<u8> {
        batch(offset, -1, key.as_bytes(), &offset.to_string(), false)
    }

    fn marker(offset: i64, producer_id: i64, kind: i16) -> Vec<u8> {
        let mut bytes = batch(offset, producer_id, &[[0, 0], kind.to_be_bytes()].concat(), "", true);
        // The attribute that makes it a marker; it is under the checksum.
        bytes[22] |= 1 << 5;
        let sum = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// CRC-32C, bit by bit.
    fn crc32c(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
        })
    }

    /// Offsets of the settled records, or the offset at which the open transaction begins.
    #[track_caller]
    fn check(partition: &[Vec<u8>], from: i64, end: i64, expected: Result<&[i64], i64>) {
        let wanted = |key: &[u8]| key == b"ours";
        let mut outcomes = Outcomes::new(&wanted, end);
        for bytes in partition {
            for batch in batches(bytes) {
                outcomes.add(&batch.unwrap(), from).unwrap();
            }
        }
        let found = outcomes.finish();
        let found = found.map(|r| r.iter().map(|r| r.kafka_offset).collect()).map_err(|open| open.kafka_offset);
        assert_eq!(found, expected.map(<[i64]>::to_vec));
    }

    #[test]
    fn markers_decide_and_others_do_not_hold_us() {
        let (a, b) = (7, 8);
        check(&[], 5, 5, Ok(&[]));
        check(&[data(5, a, "theirs"), plain(6, "ours")], 5, 7, Ok(&[6]));
        check(&[data(5, a, "theirs"), data(6, b, "ours")], 5, 7, Err(6));
        check(&[data(5, a, "theirs"), data(6, b, "ours"), marker(7, b, COMMIT)], 5, 8, Ok(&[6]));
        check(&[data(5, a, "theirs"), data(6, b, "ours"), marker(7, b, ABORT)], 5, 8, Ok(&[]));
        // The other's marker is not ours.
        check(&[data(5, a, "theirs"), data(6, b, "ours"), marker(7, a, COMMIT)], 5, 8, Err(6));
        // Ours again, after an end.
        check(&[data(5, a, "ours"), marker(6, a, COMMIT), data(7, a, "ours")], 5, 8, Err(7));
        // An open transaction is where it began, whatever it wrote first.
        check(&[data(5, a, "theirs"), data(6, a, "ours")], 5, 7, Err(5));
        // In the partition's order, not in that of the ends.
        let both = [data(5, a, "ours"), data(6, b, "ours"), marker(7, b, COMMIT), marker(8, a, COMMIT)];
        check(&both, 5, 9, Ok(&[5, 6]));
    }

    #[test]
    fn records_that_came_later_do_not_count_but_markers_do() {
        check(&[data(5, 7, "ours"), marker(6, 7, COMMIT), data(7, 7, "ours")], 5, 6, Ok(&[5]));
        check(&[data(5, 7, "ours"), data(6, 7, "ours"), marker(7, 7, COMMIT)], 6, 7, Ok(&[6]));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut bytes = data(5, 7, "ours");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let batch = batches(&bytes).next().unwrap().unwrap();
        assert_eq!(Outcomes::new(&|_| true, 9).add(&batch, 0), Err(BatchError::Checksum));
    }
}
