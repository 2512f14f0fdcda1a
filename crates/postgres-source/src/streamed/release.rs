//! What was held of a transaction, read again from its beginning once it has committed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use walspring_pgoutput::{Piece, StreamCommit};
use walspring_record::Lsn;

use super::held::{HEADER, Held};

/// Bytes a read.
const READ: usize = 256 * 1024;

/// A transaction that is being sent.
#[derive(Debug)]
pub struct Release {
    pub commit: StreamCommit,
    /// What the server would have said BEGIN's place is.
    pub begin: Lsn,
    pub begun: bool,
    file: Option<File>,
    /// Bytes of the file that have been read, and all of them.
    read: u64,
    flushed: u64,
    /// What comes behind the file, until it is in the window.
    tail: Vec<u8>,
    window: Vec<u8>,
    at: usize,
}

impl Release {
    /// `None`: nothing is left of it that an event could be made of.
    pub fn new(held: Held, commit: StreamCommit) -> io::Result<Option<Release>> {
        let Held { file, flushed, tail, .. } = held;
        let mut release =
            Release { commit, begin: Lsn::ZERO, begun: false, file, read: 0, flushed, tail, window: Vec::new(), at: 0 };
        // Descriptions come before the first event; the server says BEGIN at that event's place.
        let mut at = 0;
        while let Some(len) = release.have(at)? {
            let record = &release.window[at..at + HEADER + len];
            if record.get(HEADER).is_some_and(|tag| Piece::is_event(*tag)) {
                release.begin = Lsn(mark(record));
                return Ok(Some(release));
            }
            at += HEADER + len;
        }
        Ok(None)
    }

    /// Bytes that have not been sent yet.
    pub fn left(&self) -> u64 {
        self.flushed - self.read + (self.tail.len() + self.window.len() - self.at) as u64
    }

    /// Bytes that are on disk until it is dropped.
    pub fn on_disk(&self) -> u64 {
        self.flushed
    }

    /// The next message as it would have come outside of a block, and its mark.
    #[inline]
    pub fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        if self.at >= READ {
            self.window.drain(..self.at);
            self.at = 0;
        }
        let Some(len) = self.have(self.at)? else { return Ok(None) };
        let record = &self.window[self.at..self.at + HEADER + len];
        self.at += HEADER + len;
        Ok(Some((mark(record), &record[HEADER..])))
    }

    /// Reads until the record at this place of the window is there whole; its length without the header, or `None` at the
    /// end.
    #[inline]
    fn have(&mut self, at: usize) -> io::Result<Option<usize>> {
        loop {
            let there = &self.window[at..];
            if let Some(len) = there.first_chunk::<4>() {
                let len = u32::from_le_bytes(*len) as usize;
                if there.len() >= HEADER + len {
                    return Ok(Some(len));
                }
            }
            if !self.fill()? {
                return if self.window.len() == at { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    #[cold]
    fn fill(&mut self) -> io::Result<bool> {
        let left = self.flushed - self.read;
        match &self.file {
            Some(file) if left > 0 => {
                let begin = self.window.len();
                let len = left.min(READ as u64) as usize;
                self.window.resize(begin + len, 0);
                file.read_exact_at(&mut self.window[begin..], self.read)?;
                self.read += len as u64;
                Ok(true)
            }
            _ if self.tail.is_empty() => Ok(false),
            _ => {
                let tail = std::mem::take(&mut self.tail);
                if self.window.is_empty() {
                    self.window = tail
                } else {
                    self.window.extend_from_slice(&tail)
                }
                Ok(true)
            }
        }
    }
}

fn mark(record: &[u8]) -> u64 {
    record[4..].first_chunk().map_or(0, |mark| u64::from_le_bytes(*mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use walspring_pgoutput::Timestamp;

    proptest! {
        #[test]
        fn what_was_held_comes_back(
            pieces in prop::collection::vec((any::<u64>(), prop::sample::select(b"IRYM".to_vec()), 0usize..30_000), 0..30),
            flush_every in 1usize..20,
        ) {
            let mut held = Held::default();
            let bytes = |mark: u64, len: usize| (0..len).map(|n| (n as u64 ^ mark) as u8).collect::<Vec<u8>>();
            for (n, (mark, tag, len)) in pieces.iter().enumerate() {
                held.push(7, *mark, &Piece { tag: *tag, xid: Some(7), rest: &bytes(*mark, *len) });
                if n % flush_every == 0 {
                    held.flush(tempfile::tempfile).unwrap();
                }
            }
            let commit = StreamCommit { xid: 7, flags: 0, commit_lsn: 1, end_lsn: 2, commit_ts: Timestamp(0) };
            let end = held.end();
            let first = pieces.iter().find(|(_, tag, _)| Piece::is_event(*tag));
            let release = Release::new(held, commit).unwrap();
            prop_assert_eq!(release.is_some(), first.is_some());
            let Some(mut release) = release else { return Ok(()) };
            prop_assert_eq!(Some(release.begin.0), first.map(|(mark, ..)| *mark));
            prop_assert_eq!(release.left(), end);
            for (mark, tag, len) in &pieces {
                let (found, payload) = release.next().unwrap().expect("a message");
                prop_assert_eq!(found, *mark);
                prop_assert_eq!(payload[0], *tag);
                prop_assert_eq!(&payload[1..], bytes(*mark, *len));
            }
            prop_assert!(release.next().unwrap().is_none());
            prop_assert_eq!(release.left(), 0);
        }
    }
}
