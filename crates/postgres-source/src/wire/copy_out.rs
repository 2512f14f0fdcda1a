//! `COPY … TO STDOUT`: rows as the server sends them, many per call, one copy from the socket's buffer.

use super::connection::{Connection, endless, unexpected};
use super::error::PgError;

/// A COPY in progress. In text format each `CopyData` is one row with its newline; in binary format one row too, the
/// header and the trailer apart.
///
/// Dropping it before the end leaves the rest of the table on the wire: the connection is then not usable any more.
pub struct CopyOut<'a> {
    connection: &'a mut Connection,
    done: bool,
}

impl<'a> CopyOut<'a> {
    pub(crate) fn new(connection: &'a mut Connection) -> Self {
        Self { connection, done: false }
    }

    /// Appends whole `CopyData` payloads to `buf`: waits for the first, then takes what is already in memory, until
    /// about `bytes_max` were appended. Returns how many, and `None` at the end of the COPY.
    pub fn read(&mut self, buf: &mut Vec<u8>, bytes_max: usize) -> Result<Option<usize>, PgError> {
        let end = buf.len().saturating_add(bytes_max);
        match self.next_row()? {
            Some(row) => buf.extend_from_slice(row),
            None => return Ok(None),
        }
        let mut rows = 1;
        while buf.len() < end && self.connection.frames.has_message() {
            match self.next_row()? {
                Some(row) => buf.extend_from_slice(row),
                None => break,
            }
            rows += 1;
        }
        Ok(Some(rows))
    }

    /// The next `CopyData` payload, not copied; `None` at the end.
    #[inline]
    pub fn next_row(&mut self) -> Result<Option<&[u8]>, PgError> {
        if self.done {
            return Ok(None);
        }
        let connection = &mut *self.connection;
        let message = match connection.frames.take() {
            Ok(Some(message)) if message.tag == b'd' => message,
            Ok(Some(message)) if matches!(message.tag, b'N' | b'S' | b'A') => {
                connection.receive_async(message)?;
                connection.next_message()?
            }
            Ok(Some(message)) => message,
            Ok(None) => connection.next_message()?,
            Err(error) => return Err(connection.lose(error)),
        };
        match message.tag {
            b'd' => Ok(Some(self.connection.frames.bytes(message.body))),
            b'c' => {
                self.finish()?;
                Ok(None)
            }
            b'E' => {
                self.done = true;
                Err(self.connection.finish_with_error(message))
            }
            tag => Err(self.connection.lose(unexpected(tag))),
        }
    }

    /// Whether [`CopyOut::next_row`] would return without waiting.
    pub fn has_buffered(&self) -> bool {
        self.connection.frames.has_message()
    }

    /// Behind CopyDone: an error may still come instead of the command's completion.
    fn finish(&mut self) -> Result<(), PgError> {
        // One statement, one word of its completion.
        for _ in 0..2 {
            let message = self.connection.next_message()?;
            match message.tag {
                b'C' => {}
                b'Z' => {
                    self.connection.ready(message);
                    self.done = true;
                    return Ok(());
                }
                b'E' => {
                    self.done = true;
                    return Err(self.connection.finish_with_error(message));
                }
                tag => return Err(self.connection.lose(unexpected(tag))),
            }
        }
        Err(self.connection.lose(endless()))
    }
}

impl Drop for CopyOut<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.connection.lose(PgError::Protocol("a COPY was left before its end".to_owned()));
        }
    }
}
