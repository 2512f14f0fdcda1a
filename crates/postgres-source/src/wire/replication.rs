//! The replication stream: frames in, status messages out, on one thread or two.
//!
//! The reading half is [`ReplicationStream`]; the writing half, [`StandbyWriter`], can be cloned and used on any thread
//! while the reader waits, works, or does not read at all. That is what keeps a connection alive under back-pressure:
//! `wal_sender_timeout` counts the time since our last word, not since our last read.
//!
//! Source: PostgreSQL's manual, "Streaming Replication Protocol", from `START_REPLICATION` on.

use super::backend;
use super::connection::{Connection, WRITE_TIMEOUT, unexpected};
use super::error::{PgError, ServerError};
use super::frame_reader::{Filled, RawMessage};
use super::frontend;
use super::socket::deadline_in;
use super::transport::Transport;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the server sends. LSNs are byte positions; times are microseconds since 2000-01-01 UTC by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `payload`: one message of the output plugin. Under logical decoding `wal_start` is the LSN of the change (of
    /// the transaction's end, for a commit), or 0 for messages that have none, and `wal_end` repeats it.
    XLogData { wal_start: u64, wal_end: u64, server_time_us: i64, payload: &'a [u8] },
    /// `wal_end`: up to where the server has decoded; everything of interest before it has been sent.
    KeepAlive { wal_end: u64, server_time_us: i64, reply_requested: bool },
}

/// The reading half of a stream. Dropping it ends the replication.
pub struct ReplicationStream {
    connection: Connection,
}

/// The writing half. Clones share the connection; whole messages never mix.
#[derive(Clone)]
pub struct StandbyWriter {
    transport: Arc<Transport>,
}

impl ReplicationStream {
    pub(crate) fn new(mut connection: Connection) -> Self {
        connection.frames.gather = true;
        connection.streams = true;
        Self { connection }
    }

    /// The half that answers, for this thread or another.
    pub fn writer(&self) -> StandbyWriter {
        StandbyWriter { transport: self.connection.transport.clone() }
    }

    /// The next frame; `None` if none came within `timeout`. With a frame in memory there is no system call.
    ///
    /// The end of the stream is an error: [`PgError::Server`] if the server says why (57P01 when an administrator ends
    /// the connection), else [`PgError::Io`].
    #[inline]
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Frame<'_>>, PgError> {
        let message = match self.connection.frames.take() {
            Ok(Some(message)) if message.tag == b'd' => message,
            Ok(Some(message)) => match self.other_message(message)? {
                Some(message) => message,
                None => return self.wait(timeout),
            },
            Ok(None) => return self.wait(timeout),
            Err(error) => return Err(self.connection.lose(error)),
        };
        self.frame(message)
    }

    /// Whether [`ReplicationStream::next`] would return without a system call.
    #[inline]
    pub fn has_buffered(&self) -> bool {
        self.connection.frames.has_message()
    }

    /// Takes what the socket has, without waiting. True if bytes came. Does nothing while the buffer is full.
    pub fn try_fill(&mut self) -> Result<bool, PgError> {
        let connection = &mut self.connection;
        let filled = connection.frames.try_fill(&connection.transport);
        Ok(filled.map_err(|error| connection.lose(error))? == Filled::Some)
    }

    /// Whether what comes is so old that it may wait some milliseconds more until there is a batch of it.
    pub fn set_behind(&mut self, behind: bool) {
        self.connection.frames.gathering.behind = behind;
    }

    /// After a silence of the server's, though it was asked for a word: an error if it is not busy decoding, or cannot be
    /// asked on another connection within `limit`.
    pub fn check_alive(&mut self, limit: Duration) -> Result<(), PgError> {
        self.connection.check_alive(Some(limit))
    }

    /// A setting the server reports, see [`Connection::parameter`].
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.connection.parameter(name)
    }

    /// Process id of the walsender, as in `pg_stat_replication.pid` and `pg_replication_slots.active_pid`.
    pub fn backend_pid(&self) -> i32 {
        self.connection.backend_pid()
    }

    /// Ends the replication in order and gives the connection back for queries. Frames still on the way are dropped;
    /// the server sends them again to whoever starts from the confirmed position.
    ///
    /// For a second stream make a new connection: a walsender that was told to stop a logical stream stops the next one
    /// at once (`streamingDoneReceiving` is reset for physical replication only; seen with 15).
    pub fn finish(mut self, timeout: Duration) -> Result<Connection, PgError> {
        self.connection.send(frontend::COPY_DONE)?;
        let deadline = deadline_in(Some(timeout));
        loop {
            // A walsender in the middle of a large transaction sends on until it looks at what we said.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(PgError::timed_out("the server did not end the replication in time"));
            }
            let Some(message) = self.connection.next_message_until(deadline)? else { continue };
            match message.tag {
                b'd' | b'c' | b'C' => {}
                b'Z' => {
                    self.connection.ready(message);
                    self.connection.frames.gather = false;
                    self.connection.streams = false;
                    return Ok(self.connection);
                }
                b'E' => return Err(self.connection.finish_with_error(message)),
                tag => return Err(self.connection.lose(unexpected(tag))),
            }
        }
    }

    #[cold]
    fn wait(&mut self, timeout: Duration) -> Result<Option<Frame<'_>>, PgError> {
        let deadline = deadline_in(Some(timeout));
        loop {
            let Some(message) = self.connection.next_message_until(deadline)? else { return Ok(None) };
            if message.tag == b'd' {
                return self.frame(message);
            }
            self.other_message(message)?;
        }
    }

    /// Anything but CopyData: `None` if it was dealt with; an error if the stream is over.
    #[cold]
    fn other_message(&mut self, message: RawMessage) -> Result<Option<RawMessage>, PgError> {
        let connection = &mut self.connection;
        match message.tag {
            b'N' | b'S' | b'A' => connection.receive_async(message).map(|()| None),
            b'E' => {
                let error = backend::server_error(connection.frames.bytes(message.body));
                let error = error.map_or_else(|error| error, |error| PgError::Server(Box::new(error)));
                Err(connection.lose(error))
            }
            // CopyDone, or CommandComplete: a walsender that shuts down says no more than that.
            b'c' | b'C' => {
                let ended = std::io::ErrorKind::UnexpectedEof.into();
                Err(connection.lose(PgError::io("server ended the replication: it is shutting down", ended)))
            }
            tag => Err(connection.lose(unexpected(tag))),
        }
    }

    #[inline]
    fn frame(&mut self, message: RawMessage) -> Result<Option<Frame<'_>>, PgError> {
        let readable = parse(self.connection.frames.bytes(message.body.clone())).is_some();
        if !readable {
            return Err(self
                .connection
                .lose(PgError::garbled("a replication message from the server is not readable")));
        }
        Ok(parse(self.connection.frames.bytes(message.body)))
    }
}

#[inline]
pub(super) fn parse(body: &[u8]) -> Option<Frame<'_>> {
    let (&tag, body) = body.split_first()?;
    match tag {
        b'w' => {
            let (header, payload) = body.split_first_chunk::<24>()?;
            let [wal_start, wal_end, time] = words(header);
            Some(Frame::XLogData { wal_start, wal_end, server_time_us: time as i64, payload })
        }
        b'k' => {
            let (header, rest) = body.split_first_chunk::<16>()?;
            let [wal_end, time] = words(header);
            let &[reply] = rest else { return None };
            Some(Frame::KeepAlive { wal_end, server_time_us: time as i64, reply_requested: reply != 0 })
        }
        _ => None,
    }
}

#[inline]
fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut chunks = bytes.chunks_exact(8);
    std::array::from_fn(|_| {
        chunks.next().map_or(0, |chunk| chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)))
    })
}

impl StandbyWriter {
    /// Sends a standby status update: up to where WAL was received, made durable, and applied here. The slot's
    /// `confirmed_flush_lsn` follows `flushed`. With `reply_requested` the server answers with a keepalive at once.
    ///
    /// Waits only if the server has not read the last few hundred kilobytes of what we sent, and 60 s at most.
    pub fn send_status(&self, written: u64, flushed: u64, applied: u64, reply_requested: bool) -> Result<(), PgError> {
        let mut message = [0; 1 + 4 + 34];
        message[0] = b'd';
        message[1..5].copy_from_slice(&38u32.to_be_bytes());
        message[5] = b'r';
        message[6..14].copy_from_slice(&written.to_be_bytes());
        message[14..22].copy_from_slice(&flushed.to_be_bytes());
        message[22..30].copy_from_slice(&applied.to_be_bytes());
        message[30..38].copy_from_slice(&now_us().to_be_bytes());
        message[38] = u8::from(reply_requested);
        self.transport.write_all(&message, Some(Instant::now() + WRITE_TIMEOUT))
    }

    /// Ends the connection from here; the reader's wait returns with an error. For stopping from another thread.
    pub fn shutdown(&self) {
        self.transport.shutdown();
    }
}

/// Whether a notice says that the stream leaves changes out. Since 18 a publication that is not there, at the place of the
/// log that is decoded, is only warned of (object_not_in_prerequisite_state: "skipped loading publication"); before, it ended
/// the stream.
pub(super) fn leaves_out(notice: &ServerError) -> bool {
    // That a standby is waited for has the same code; it passes.
    let waits = notice.message.contains("synchronized_standby_slots");
    notice.severity == "WARNING" && notice.code == "55000" && !waits
}

/// Microseconds since 2000-01-01 UTC by our clock; only for the server's statistics (`reply_time`).
fn now_us() -> i64 {
    const POSTGRES_EPOCH_US: i64 = 946_684_800 * 1_000_000;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_micros()).unwrap_or(i64::MAX).saturating_sub(POSTGRES_EPOCH_US)
}
