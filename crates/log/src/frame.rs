//! Frames: the journal's unit of durability, as bytes.
//!
//! ```text
//! length u32 | crc32c u32 of what follows | payload: kind u8 | …
//! kind 1, records: time i64 (ms since 1970) | entries u32 | entry…
//!    entry: topic length u16, topic | partition i32 | base offset i64 | records u32 | batch length u32, batch
//! kind 2, state: JSON (see `view::State`)
//! kind 3, change: JSON (see `view::Change`)
//! ```
//! Numbers are big endian, as in the record batches inside.

/// Before the payload.
pub const HEADER_BYTES: usize = 8;
/// No frame is larger: a ticket with one huge record stays far below.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;

pub const KIND_RECORDS: u8 = 1;
pub const KIND_STATE: u8 = 2;
pub const KIND_CHANGE: u8 = 3;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does: the tail that a crash tore, or a frame that is being written.
    #[error("the frame is cut off")]
    Torn,
    #[error("the frame does not match its checksum")]
    Checksum,
    #[error("the frame is corrupt: {0}")]
    Corrupt(&'static str),
}

/// One partition's batch in a records frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub base_offset: i64,
    pub records: u32,
    pub batch: &'a [u8],
}

/// Appends an entry's bytes before its batch.
pub fn put_entry_head(
    out: &mut Vec<u8>,
    topic: &str,
    partition: i32,
    base_offset: i64,
    records: u32,
    batch_len: usize,
) {
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    out.extend_from_slice(&base_offset.to_be_bytes());
    out.extend_from_slice(&records.to_be_bytes());
    out.extend_from_slice(&(batch_len as u32).to_be_bytes());
}

/// The payload of a records frame before its entries.
pub fn records_head(time_ms: i64, entries: usize) -> [u8; 13] {
    let mut head = [0; 13];
    head[0] = KIND_RECORDS;
    head[1..9].copy_from_slice(&time_ms.to_be_bytes());
    head[9..13].copy_from_slice(&(entries as u32).to_be_bytes());
    head
}

/// A whole frame of one piece.
#[cfg(test)]
pub fn whole(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + 1 + body.len());
    frame.extend_from_slice(&(body.len() as u32 + 1).to_be_bytes());
    frame.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&[kind]), body).to_be_bytes());
    frame.push(kind);
    frame.extend_from_slice(body);
    frame
}

/// The payload of the frame at the beginning of `bytes`, and the frame's length.
pub fn payload(bytes: &[u8]) -> Result<(&[u8], usize), FrameError> {
    let length = payload_length(bytes)?;
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(FrameError::Torn)?;
    if crc32c::crc32c(payload) != u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) {
        return Err(FrameError::Checksum);
    }
    Ok((payload, HEADER_BYTES + length))
}

/// The length of the payload, from a frame's first eight bytes.
pub fn payload_length(bytes: &[u8]) -> Result<usize, FrameError> {
    let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(FrameError::Torn)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    match length {
        0 => Err(FrameError::Corrupt("its length is 0")),
        l if l > PAYLOAD_BYTES_MAX => Err(FrameError::Corrupt("its length is beyond the limit")),
        l => Ok(l),
    }
}

/// The time and entries of a records frame's payload (without its kind).
pub fn entries(body: &[u8]) -> Result<(i64, Entries<'_>), FrameError> {
    let mut rest = body;
    let time = i64::from_be_bytes(take(&mut rest)?);
    let left = u32::from_be_bytes(take(&mut rest)?);
    Ok((time, Entries { rest, left }))
}

#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = entry(&mut self.rest);
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

fn entry<'a>(rest: &mut &'a [u8]) -> Result<Entry<'a>, FrameError> {
    let name = u16::from_be_bytes(take(rest)?) as usize;
    let topic = std::str::from_utf8(slice(rest, name)?).map_err(|_| FrameError::Corrupt("a topic is not UTF-8"))?;
    let partition = i32::from_be_bytes(take(rest)?);
    let base_offset = i64::from_be_bytes(take(rest)?);
    let records = u32::from_be_bytes(take(rest)?);
    let length = u32::from_be_bytes(take(rest)?) as usize;
    Ok(Entry { topic, partition, base_offset, records, batch: slice(rest, length)? })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FrameError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(FrameError::Corrupt("it ends inside a number"))?;
    *rest = tail;
    Ok(*head)
}

fn slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], FrameError> {
    if length > rest.len() {
        return Err(FrameError::Corrupt("it ends inside a value"));
    }
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(items in prop::collection::vec(("[a-z.]{1,20}", any::<i32>(), any::<i64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..50)), 0..5)) {
            let mut body = records_head(7, items.len())[1..].to_vec();
            for (topic, partition, base, records, batch) in &items {
                put_entry_head(&mut body, topic, *partition, *base, *records, batch.len());
                body.extend_from_slice(batch);
            }
            let frame = whole(KIND_RECORDS, &body);
            let (payload, len) = payload(&frame).unwrap();
            prop_assert_eq!(len, frame.len());
            let (time, read) = entries(&payload[1..]).unwrap();
            prop_assert_eq!(time, 7);
            let read: Vec<Entry<'_>> = read.collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), items.len());
            for (entry, (topic, partition, base, records, batch)) in read.iter().zip(&items) {
                prop_assert_eq!((entry.topic, entry.partition, entry.base_offset, entry.records, entry.batch), (&topic[..], *partition, *base, *records, &batch[..]));
            }
            for cut in 0..frame.len() {
                prop_assert_eq!(super::payload(&frame[..cut]), Err(FrameError::Torn));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = payload(&bytes);
            if let Ok((_, e)) = entries(&bytes) { let _ = e.count(); }
        }
    }
}
