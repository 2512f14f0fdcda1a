//! The journal's files: segments of frames, appended by one thread, dropped from the front.
//!
//! `NNNNNNNNNNNNNNNNNNNN.journal` in one directory, and `lock`. A frame is written with one vectored write and made durable
//! with `fdatasync`; a new segment's name is made durable by syncing the directory before anything is acknowledged in it.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::frame::{self, FrameError};
use crate::view::{Place, View};

/// How large the log may become.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub dir: PathBuf,
    /// A segment is closed at this size.
    pub segment_bytes: u64,
    /// Older segments are dropped beyond this total; at least the newest is kept.
    pub retention_bytes: u64,
    /// Segments whose last frame is older are dropped.
    pub retention: Duration,
}

impl LogConfig {
    /// 64 MiB a segment, 8 GiB and seven days in all.
    pub fn new(dir: impl Into<PathBuf>) -> LogConfig {
        LogConfig {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            retention_bytes: 8 << 30,
            retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("another process works on the log in {0}; end it, or choose another walspring.data.dir")]
    Locked(PathBuf),
    #[error(
        "{path}, at byte {at}: {error}, and more frames follow: the file is damaged. Move it and the newer ones aside to go \
         on from what is before it; their records are lost, and connectors read them again from their slots if those still have them"
    )]
    Corrupt { path: PathBuf, at: u64, error: FrameError },
}

pub fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError + '_ {
    move |error| OpenError::Io { path: path.to_owned(), error }
}

#[derive(Debug, Clone)]
pub struct Segment {
    pub number: u64,
    pub bytes: u64,
    pub modified: SystemTime,
}

/// The appending side.
#[derive(Debug)]
pub struct Journal {
    config: LogConfig,
    file: File,
    pub segments: Vec<Segment>,
    _lock: File,
}

pub fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.journal"))
}

/// The segments that are there, oldest first.
pub fn list(dir: &Path) -> std::io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".journal")).and_then(|n| n.parse().ok()) else {
            continue;
        };
        // Dropped by its owner meanwhile.
        let Ok(meta) = entry.metadata() else { continue };
        segments.push(Segment { number, bytes: meta.len(), modified: meta.modified().unwrap_or(UNIX_EPOCH) });
    }
    segments.sort_by_key(|s| s.number);
    Ok(segments)
}

/// Reads a segment's frames from `from` on into the view. Answers where the last whole frame ends, and what is wrong
/// with what follows, if something follows.
pub fn scan(path: &Path, number: u64, from: u64, view: &mut View) -> std::io::Result<(u64, Option<FrameError>)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut reader = std::io::BufReader::with_capacity(256 * 1024, file);
    let mut at = from;
    let mut bytes = Vec::new();
    loop {
        let mut head = [0; frame::HEADER_BYTES];
        match fill(&mut reader, &mut head)? {
            0 => return Ok((at, None)),
            n if n < head.len() => return Ok((at, Some(FrameError::Torn))),
            _ => {}
        }
        let length = match frame::payload_length(&head) {
            Ok(length) => length,
            Err(e) => return Ok((at, Some(e))),
        };
        bytes.clear();
        bytes.extend_from_slice(&head);
        let read = (&mut reader).take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Ok((at, Some(FrameError::Torn)));
        }
        let applied = frame::payload(&bytes)
            .and_then(|(payload, _)| view.apply(payload, Place { segment: number, byte_offset: at }));
        if let Err(e) = applied {
            return Ok((at, Some(e)));
        }
        at += bytes.len() as u64;
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

impl Journal {
    /// Opens or makes the journal, builds the view, cuts off a torn tail.
    pub fn open(config: LogConfig) -> Result<(Journal, View), OpenError> {
        let dir = config.dir.clone();
        std::fs::create_dir_all(&dir).map_err(io_error(&dir))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(OpenError::Locked(dir));
        }
        let mut view = View::default();
        let mut segments = list(&dir).map_err(io_error(&dir))?;
        let count = segments.len();
        for (i, segment) in segments.iter_mut().enumerate() {
            let path = segment_path(&dir, segment.number);
            let (end, error) = scan(&path, segment.number, 0, &mut view).map_err(io_error(&path))?;
            if let Some(error) = error {
                // Only the tail of the newest segment can have been torn by a crash: what is durable is never changed.
                let tail = i + 1 == count && is_tail(&path, end).map_err(io_error(&path))?;
                if !tail {
                    return Err(OpenError::Corrupt { path, at: end, error });
                }
                tracing::warn!(
                    segment = segment.number,
                    byte_offset = end,
                    "cutting off what a crash left behind: {error}"
                );
                let file = OpenOptions::new().write(true).open(&path).map_err(io_error(&path))?;
                file.set_len(end).and_then(|()| file.sync_all()).map_err(io_error(&path))?;
                segment.bytes = end;
            }
        }
        if view.cluster_id.is_empty() {
            view.cluster_id = new_cluster_id();
        }
        let journal = match segments.last() {
            // An empty newest one (a crash between making and filling it) is begun again.
            Some(last) if last.bytes > 0 => {
                let path = segment_path(&dir, last.number);
                let file = OpenOptions::new().append(true).open(&path).map_err(io_error(&path))?;
                Journal { config, file, segments, _lock: lock }
            }
            _ => {
                let number = segments.pop().map_or(1, |s| s.number);
                let file = create(&dir, number)?;
                let mut journal = Journal { config, file, segments, _lock: lock };
                journal.segments.push(Segment { number, bytes: 0, modified: SystemTime::now() });
                journal.write_state(&view).map_err(io_error(&dir))?;
                journal
            }
        };
        view.end = journal.place();
        Ok((journal, view))
    }

    /// Where the next frame begins.
    pub fn place(&self) -> Place {
        let last = self.segments.last();
        Place { segment: last.map_or(0, |s| s.number), byte_offset: last.map_or(0, |s| s.bytes) }
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// Appends a frame given in pieces. Not durable before [`Journal::sync`]. After an error the journal must not be
    /// written any more, or [`Journal::back_to`] comes first: what of the frame is on disk is unknown.
    pub fn append(&mut self, pieces: &[&[u8]]) -> std::io::Result<u64> {
        let length: usize = pieces.iter().map(|p| p.len()).sum();
        if length > frame::PAYLOAD_BYTES_MAX {
            return Err(std::io::Error::other("a frame larger than 1 GiB"));
        }
        let crc = pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
        let mut head = [0; frame::HEADER_BYTES];
        head[..4].copy_from_slice(&(length as u32).to_be_bytes());
        head[4..].copy_from_slice(&crc.to_be_bytes());
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(pieces.len() + 1);
        slices.push(IoSlice::new(&head));
        slices.extend(pieces.iter().map(|p| IoSlice::new(p)));
        write_all_vectored(&mut self.file, &mut slices)?;
        let written = (length + head.len()) as u64;
        if let Some(last) = self.segments.last_mut() {
            last.bytes += written;
            last.modified = SystemTime::now();
        }
        Ok(written)
    }

    /// After a write that found no room: takes away what came of it behind `durable`, where the last sync was, so that it can
    /// be written again. Nothing that was acknowledged stands there.
    pub fn back_to(&mut self, durable: Place) -> std::io::Result<()> {
        while let Some(last) = self.segments.pop_if(|last| last.number > durable.segment) {
            match std::fs::remove_file(segment_path(&self.config.dir, last.number)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        let file = OpenOptions::new().append(true).open(segment_path(&self.config.dir, durable.segment))?;
        file.set_len(durable.byte_offset)?;
        file.sync_all()?;
        self.file = file;
        if let Some(last) = self.segments.last_mut() {
            last.bytes = durable.byte_offset;
        }
        Ok(())
    }

    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write_state(&mut self, view: &View) -> std::io::Result<()> {
        let state = serde_json::to_vec(&view.state()).map_err(std::io::Error::other)?;
        self.append(&[&[frame::KIND_STATE], &state])?;
        self.sync()
    }

    /// Closes the newest segment when it is full, and begins the next with the whole state.
    pub fn roll(&mut self, view: &View) -> std::io::Result<bool> {
        if self.segments.last().is_none_or(|s| s.bytes < self.config.segment_bytes) {
            return Ok(false);
        }
        let number = self.segments.last().map_or(1, |s| s.number + 1);
        self.file = create(&self.config.dir, number).map_err(|e| match e {
            OpenError::Io { error, .. } => error,
            other => std::io::Error::other(other.to_string()),
        })?;
        self.segments.push(Segment { number, bytes: 0, modified: SystemTime::now() });
        self.write_state(view)?;
        Ok(true)
    }

    /// Drops what the retention no longer wants; answers the first segment that is still there, when some went.
    pub fn retain(&mut self) -> std::io::Result<Option<u64>> {
        let mut gone = false;
        while self.segments.len() > 1 {
            let oldest = &self.segments[0];
            let old = oldest.modified.elapsed().is_ok_and(|age| age > self.config.retention);
            if !old && self.bytes() <= self.config.retention_bytes {
                break;
            }
            std::fs::remove_file(segment_path(&self.config.dir, oldest.number))?;
            tracing::debug!(segment = oldest.number, "dropped by the retention");
            self.segments.remove(0);
            gone = true;
        }
        Ok(if gone { self.segments.first().map(|s| s.number) } else { None })
    }
}

fn create(dir: &Path, number: u64) -> Result<File, OpenError> {
    let path = segment_path(dir, number);
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).map_err(io_error(&path))?;
    walspring_connect::fault::point("log.segment_made");
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error(dir))?;
    Ok(file)
}

/// Whether no whole frame follows the one that is not: then it is a torn tail, else damage.
fn is_tail(path: &Path, from: u64) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let mut head = [0; frame::HEADER_BYTES];
    file.seek(SeekFrom::Start(from))?;
    if fill(&mut file, &mut head)? < head.len() {
        return Ok(true);
    }
    let Ok(length) = frame::payload_length(&head) else {
        // A tail of zeros is what a file system leaves of a write that was not synced.
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        return Ok(head.iter().chain(&rest).all(|b| *b == 0));
    };
    Ok(from + (frame::HEADER_BYTES + length) as u64 >= end)
}

fn write_all_vectored(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> std::io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(&slices[..slices.len().min(1024)]) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// 22 characters like Kafka's, made of the clock and the process: it only has to differ from other logs'.
fn new_cluster_id() -> String {
    use base64::Engine as _;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let seed = now ^ (u128::from(std::process::id()) << 96);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(seed.to_be_bytes())
}
