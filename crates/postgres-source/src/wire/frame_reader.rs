//! Splits the incoming bytes into protocol messages: one large buffer, no copy per message.
//!
//! The buffer grows only as bytes arrive, never on the word of a length field, and shrinks again after a large row.
//! Moving the unfinished message to the front costs at most a constant per byte read: it happens only when less than a
//! quarter of the buffer is free behind it, and a message larger than half of the buffer makes the buffer grow.

use super::error::PgError;
use super::gathering::Gathering;
use super::socket::Deadline;
use super::transport::{Ciphertext, Transport};
use std::io;
use std::ops::Range;
use std::time::Instant;

/// Large enough that a loaded stream is read some hundred messages at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// A buffer larger than this is given back once it is empty.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// PostgreSQL builds a message in a buffer of less than 1 GiB; the headers are some bytes more.
const DATA_MESSAGE_BYTES_MAX: usize = (1 << 30) + 64 * 1024;
/// Everything else: descriptions, errors (whose context may quote a long statement), parameters.
const OTHER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Before authentication nobody has reason to send more.
const STARTUP_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// One message: its type, and where its body is in the buffer.
#[derive(Clone, Debug)]
pub(crate) struct RawMessage {
    pub tag: u8,
    pub body: Range<usize>,
}

/// What an attempt to read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// New bytes.
    Some,
    /// Nothing yet, or no room before buffered messages are taken.
    Nothing,
}

pub(crate) struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ciphertext: Ciphertext,
    /// Bytes that have come, as far as they are counted.
    pub read: u64,
    /// Whether authentication is over, and messages may be large.
    pub established: bool,
    /// Whether to let bytes gather: for a stream, not for a reply somebody waits for.
    pub gather: bool,
    pub gathering: Gathering,
}

impl FrameReader {
    pub fn new() -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        let ciphertext = Ciphertext::default();
        let (start, end, read, established, gather) = (0, 0, 0, false, false);
        Self { buffer, start, end, ciphertext, read, established, gather, gathering: Gathering::default() }
    }

    /// The next message if it is complete in memory. Its body stays readable until the next [`FrameReader::fill`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<RawMessage>, PgError> {
        match self.peek()? {
            Some((tag, total)) if self.end - self.start >= total => {
                let body = self.start + 5..self.start + total;
                self.start += total;
                Ok(Some(RawMessage { tag, body }))
            }
            _ => Ok(None),
        }
    }

    /// Whether [`FrameReader::take`] would give a message, or an error.
    #[inline]
    pub fn has_message(&self) -> bool {
        match self.peek() {
            Ok(Some((_, total))) => self.end - self.start >= total,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Reads once without waiting.
    pub fn try_fill(&mut self, transport: &Transport) -> Result<Filled, PgError> {
        if !self.make_room() {
            return Ok(Filled::Nothing);
        }
        match transport.read(&mut self.buffer[self.end..], &mut self.ciphertext) {
            Ok(0) => Err(PgError::closed()),
            Ok(n) => {
                self.end += n;
                self.read += n as u64;
                Ok(Filled::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Nothing),
            Err(error) => Err(PgError::io("could not receive data from server", error)),
        }
    }

    /// Reads once, waiting for bytes until the deadline. Call only if no message is complete.
    pub fn fill(&mut self, transport: &Transport, deadline: Deadline) -> Result<Filled, PgError> {
        if self.gather {
            self.let_gather(transport, deadline);
        }
        loop {
            if self.try_fill(transport)? == Filled::Some {
                if self.gather {
                    self.gathering.came(Instant::now());
                }
                return Ok(Filled::Some);
            }
            let ready = transport.socket().wait_readable(deadline);
            if !ready.map_err(|error| PgError::io("could not wait for the server", error))? {
                return Ok(Filled::Nothing);
            }
        }
    }

    /// As if the socket had brought as much of this as there is room for; how much that was.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        self.make_room();
        let taken = bytes.len().min(self.buffer.len() - self.end);
        self.buffer[self.end..self.end + taken].copy_from_slice(&bytes[..taken]);
        self.end += taken;
        taken
    }

    /// The buffer's size, in bytes.
    pub fn memory(&self) -> usize {
        self.buffer.len()
    }

    fn let_gather(&mut self, transport: &Transport, deadline: Deadline) {
        let now = Instant::now();
        let moment = self.gathering.moment(now, self.read, transport.socket().waiting());
        if let Some(moment) = moment.filter(|moment| deadline.is_none_or(|deadline| now + *moment < deadline)) {
            std::thread::sleep(moment);
        }
    }

    /// Type and full length of the message at the front, once its header is there.
    #[inline]
    fn peek(&self) -> Result<Option<(u8, usize)>, PgError> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<5>() else { return Ok(None) };
        let tag = header[0];
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let max = match tag {
            b'd' | b'D' if self.established => DATA_MESSAGE_BYTES_MAX,
            _ if self.established => OTHER_MESSAGE_BYTES_MAX,
            _ => STARTUP_MESSAGE_BYTES_MAX,
        };
        if (4..=max).contains(&len) {
            return Ok(Some((tag, len + 1)));
        }
        Err(PgError::garbled(format!("message type {:?} claims a length of {len} bytes", char::from(tag))))
    }

    /// Makes room behind the buffered bytes. False if the buffer is full of complete messages.
    fn make_room(&mut self) -> bool {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > BUFFER_KEPT_BYTES {
                self.buffer = vec![0; BUFFER_BYTES];
            }
            return true;
        }
        let wanted = match self.peek() {
            Ok(Some((_, total))) if self.end - self.start < total => total,
            Ok(None) => 0,
            // Complete messages wait to be taken, or an error does: read on only where there is room anyway.
            _ => return self.end < self.buffer.len(),
        };
        if self.buffer.len() - self.end < self.buffer.len() / 4 && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if wanted > self.buffer.len() / 2 && self.buffer.len() - self.end < self.buffer.len() / 4 {
            // Doubling: what a hostile length can cost is twice the bytes actually sent. The last step is no longer than
            // the message, so that one of 1 GiB does not cost two; a quarter more, or each read would come by here again.
            let enough = (wanted + wanted / 3).max(BUFFER_BYTES);
            self.buffer.resize((self.buffer.len() * 2).min(self.start + enough), 0);
        }
        true
    }
}
