//! Reading the journal's frames one after the other, as they are durable, with one buffer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::frame::{self, FrameError};
use crate::journal::segment_path;
use crate::view::Place;

/// What is read at once: a few frames of a fast source.
const READ_BYTES: usize = 256 * 1024;
/// A buffer that grew for one large frame is given back beyond this.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

pub(crate) struct Cursor {
    dir: PathBuf,
    file: Option<(u64, File)>,
    /// Bytes of the file from `at` on.
    buffer: Vec<u8>,
    at: u64,
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CursorError {
    /// The segment was dropped by the retention.
    #[error("the records were dropped by the retention")]
    Dropped,
    #[error("reading the log failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the log is damaged: {0}")]
    Damaged(#[from] FrameError),
}

impl Cursor {
    pub fn new(dir: PathBuf) -> Cursor {
        Cursor { dir, file: None, buffer: Vec::new(), at: 0 }
    }

    /// The payload of the frame at `place` or, where a segment ends there, of the first one of the next; and where the one
    /// after it begins. `None` at `end`, which is behind the last durable frame.
    pub fn frame(&mut self, mut place: Place, end: Place) -> Result<Option<(&[u8], Place)>, CursorError> {
        loop {
            if place >= end {
                return Ok(None);
            }
            let limit = self.open(place.segment, end)?;
            if place.byte_offset >= limit {
                place = Place { segment: place.segment + 1, byte_offset: 0 };
                continue;
            }
            self.fill(place.byte_offset, frame::HEADER_BYTES, limit)?;
            let from = (place.byte_offset - self.at) as usize;
            let length = frame::HEADER_BYTES + frame::payload_length(&self.buffer[from..])?;
            self.fill(place.byte_offset, length, limit)?;
            let from = (place.byte_offset - self.at) as usize;
            let next = Place { segment: place.segment, byte_offset: place.byte_offset + length as u64 };
            let (payload, _) = frame::payload(&self.buffer[from..from + length])?;
            return Ok(Some((payload, next)));
        }
    }

    /// Makes the segment the open one; answers up to where it is durable.
    fn open(&mut self, segment: u64, end: Place) -> Result<u64, CursorError> {
        if self.file.as_ref().is_none_or(|(open, _)| *open != segment) {
            self.buffer.clear();
            self.at = 0;
            self.file = None;
            match File::open(segment_path(&self.dir, segment)) {
                Ok(file) => self.file = Some((segment, file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(CursorError::Dropped),
                Err(error) => return Err(error.into()),
            }
        }
        if segment == end.segment {
            return Ok(end.byte_offset);
        }
        let Some((_, file)) = &self.file else { return Ok(0) };
        Ok(file.metadata()?.len())
    }

    /// Sees to it that the buffer holds `count` bytes from `from` on.
    fn fill(&mut self, from: u64, count: usize, limit: u64) -> Result<(), CursorError> {
        let held = self.at..self.at + self.buffer.len() as u64;
        if held.contains(&from) && from + count as u64 <= held.end {
            return Ok(());
        }
        if from + count as u64 > limit {
            return Err(FrameError::Torn.into());
        }
        if held.contains(&from) {
            self.buffer.drain(..(from - self.at) as usize);
        } else {
            self.buffer.clear();
        }
        if count <= BUFFER_BYTES_KEPT && self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        }
        self.at = from;
        let have = self.buffer.len();
        let wanted = (count.max(READ_BYTES) as u64).min(limit - from) as usize;
        self.buffer.resize(wanted.max(have), 0);
        let Some((_, file)) = &self.file else { return Err(CursorError::Dropped) };
        file.read_exact_at(&mut self.buffer[have..], from + have as u64)?;
        Ok(())
    }
}
