//! Splits the incoming bytes into protocol messages: one large buffer, no copy per message.
//!
//! The buffer grows only as bytes arrive, never on the word of a length field, and shrinks again after a large row.
//! Moving the unfinished message to the front costs at most a constant per byte read: it happens only when less than a
//! quarter of the buffer is free behind it, and a message larger than half of the buffer makes the buffer grow.

use super::error::PgError;
use super::socket::Deadline;
use super::transport::{Ciphertext, Transport};
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

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

/// A walsender sends each message by itself. Reading each by itself costs two or three system calls and a wake-up of
/// this thread per message, and the wake-ups slow the walsender too. So while messages trickle, they are left to gather
/// for a moment: 600 ns of processor time per message instead of 940, most of it the kernel's TCP, and 150,000
/// messages a second instead of 130,000 (PostgreSQL 15.20, rows of 90 bytes, two cores for both sides).
/// The moment grows from the first to the second bound as the trickle goes on, so that a lone small transaction is
/// hardly delayed, and what comes after a pause is not delayed at all.
const GATHER_MIN: Duration = Duration::from_micros(50);
const GATHER_MAX: Duration = Duration::from_micros(500);
/// The stream trickles if the last read was shorter than this …
const TRICKLE_BYTES: usize = 16 * 1024;
/// … and no longer ago than this.
const TRICKLE_PAUSE: Duration = Duration::from_millis(2);

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
    /// Whether to let a trickle gather: for a stream, not for a reply somebody waits for.
    pub gather: bool,
    gather_next: Duration,
    last_read: Option<(Instant, usize)>,
}

impl FrameReader {
    pub fn new() -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        let ciphertext = Ciphertext::default();
        let (start, end, read, established, gather) = (0, 0, 0, false, false);
        Self { buffer, start, end, ciphertext, read, established, gather, gather_next: GATHER_MIN, last_read: None }
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
            self.let_gather(deadline);
        }
        loop {
            let before = self.end - self.start;
            if self.try_fill(transport)? == Filled::Some {
                if self.gather {
                    self.last_read = Some((Instant::now(), self.end - self.start - before));
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

    fn let_gather(&mut self, deadline: Deadline) {
        let Some((at, bytes)) = self.last_read else { return };
        let now = Instant::now();
        if now.saturating_duration_since(at) >= TRICKLE_PAUSE {
            self.gather_next = GATHER_MIN;
        } else if bytes < TRICKLE_BYTES && deadline.is_none_or(|deadline| now + self.gather_next < deadline) {
            std::thread::sleep(self.gather_next);
            self.gather_next = (self.gather_next * 2).min(GATHER_MAX);
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
