//! What a producer or a log knows of a batch and its encoder does not.

use crate::layout;

/// Fills in the producer's fields and the checksum. A batch may be sealed again with others, after which the earlier
/// seal is gone. Without idempotence the three numbers are -1.
///
/// # Panics
/// When `batch` is shorter than a batch's header.
pub fn seal(batch: &mut [u8], producer_id: i64, producer_epoch: i16, base_sequence: i32, transactional: bool) {
    batch[layout::PRODUCER_ID].copy_from_slice(&producer_id.to_be_bytes());
    batch[layout::PRODUCER_EPOCH].copy_from_slice(&producer_epoch.to_be_bytes());
    batch[layout::BASE_SEQUENCE].copy_from_slice(&base_sequence.to_be_bytes());
    let mut attributes = i16::from_be_bytes([batch[layout::ATTRIBUTES.start], batch[layout::ATTRIBUTES.start + 1]]);
    attributes &= !layout::ATTRIBUTE_TRANSACTIONAL;
    if transactional {
        attributes |= layout::ATTRIBUTE_TRANSACTIONAL;
    }
    batch[layout::ATTRIBUTES].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&batch[layout::CRC_FROM..]);
    batch[layout::CRC].copy_from_slice(&crc.to_be_bytes());
}

/// Sets the first record's offset, which the checksum does not cover: what a log does as it appends.
///
/// # Panics
/// When `batch` is shorter than a batch's header.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64, partition_leader_epoch: i32) {
    batch[layout::BASE_OFFSET].copy_from_slice(&base_offset.to_be_bytes());
    batch[layout::PARTITION_LEADER_EPOCH].copy_from_slice(&partition_leader_epoch.to_be_bytes());
}
