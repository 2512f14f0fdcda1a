//! A message of a streamed block, taken apart without decoding it.
//!
//! Inside a block a message is as outside of it, but for the id of its (sub)transaction behind the type. Whoever keeps
//! messages until the transaction commits needs that id now, and later the message without it.

use crate::decode::DecodeError;
use crate::reader::Reader;

/// What stands between a stream start and a stream stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The message's type: one of `I`, `U`, `D`, `T`, `M`, `R`, `Y`, `O`.
    pub tag: u8,
    /// Of the (sub)transaction; `None` for the origin, which belongs to the whole. Of a logical message (`M`) it is the
    /// top-level transaction's even in a subtransaction: `ReorderBufferApplyMessage` hands that one over.
    pub xid: Option<u32>,
    /// What follows. After `tag` it is the message as [`crate::Decoder`] reads it outside of blocks; it is not checked here.
    pub rest: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Takes a payload apart that stands inside a block. Messages that have no place there are an error.
    #[inline]
    pub fn split(payload: &'a [u8]) -> Result<Piece<'a>, DecodeError> {
        let mut reader = Reader::new(payload);
        let tag = reader.u8("type").map_err(|_| DecodeError::Empty)?;
        let xid = match tag {
            b'I' | b'U' | b'D' | b'T' | b'M' | b'R' | b'Y' => Some(reader.u32("xid")?),
            b'O' => None,
            b'B' | b'C' | b'S' | b'E' | b'c' | b'A' | b'b' | b'P' | b'K' | b'r' | b'p' => {
                return Err(DecodeError::OutOfPlace { tag, in_stream: true });
            }
            _ => return Err(DecodeError::UnknownMessage(tag)),
        };
        Ok(Piece { tag, xid, rest: &payload[reader.position()..] })
    }

    /// Whether it is an event (a row, a truncate, a logical message) and not a description.
    pub fn is_event(tag: u8) -> bool {
        matches!(tag, b'I' | b'U' | b'D' | b'T' | b'M')
    }
}
