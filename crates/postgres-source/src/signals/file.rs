//! The channel `file`: each line of `signal.file` is a signal in JSON. What has been read is taken out of the file.
//!
//! What was taken is kept in a file beside it, `NAME.taken`, until an offset is stored that knows of it: a process that ends
//! in between reads it from there. Invariant: a line stands in one of the two, or in a stored offset. One may be read twice,
//! where the process ends at the wrong moment.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_debezium::Signal;

/// More is left for the next look; a line that is longer is no signal. Also what is kept, at most.
const BYTES_MAX: u64 = 1 << 20;

/// Of the file that keeps lines. Another one is left alone.
const VERSION: u64 = 1;

pub struct SignalFile {
    path: PathBuf,
    taken: PathBuf,
    kept: Vec<Kept>,
    /// Nothing can be written beside the file.
    keeps_none: bool,
}

/// Lines that were taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    number: u64,
    lines: Vec<u8>,
    /// They are known to be gone from the file.
    cut: bool,
}

impl SignalFile {
    pub fn new(path: &str) -> SignalFile {
        tracing::info!(path, "signals are read from a file: who can write it can start snapshots");
        SignalFile { path: path.into(), taken: format!("{path}.taken").into(), kept: Vec::new(), keeps_none: false }
    }

    /// Signals of a process that ended before an offset knew of them, with the number of the last; `stored`: up to where
    /// one does.
    pub fn left_behind(&mut self, stored: u64) -> Result<(Vec<Signal>, u64), TaskError> {
        self.kept = load(&self.taken).map_err(|e| self.failed(&self.taken, "read", &e))?;
        self.kept.retain(|kept| kept.number > stored);
        if let Some(last) = self.kept.iter().find(|kept| !kept.cut) {
            cut(&self.path, &last.lines).map_err(|e| self.failed(&self.path, "read", &e))?;
        }
        self.kept.iter_mut().for_each(|kept| kept.cut = true);
        self.save();
        let signals = self.kept.iter().flat_map(|kept| signals(&kept.lines)).collect();
        Ok((signals, self.kept.last().map_or(stored, |kept| kept.number)))
    }

    /// The signals that have been written, in order; they are kept under the number. A file that is not there has none.
    pub fn take(&mut self, number: u64) -> Result<Vec<Signal>, TaskError> {
        let kept: usize = self.kept.iter().map(|kept| kept.lines.len()).sum();
        if kept as u64 > BYTES_MAX {
            return Ok(Vec::new());
        }
        let lines = match read(&self.path) {
            Ok(lines) => lines,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.failed(&self.path, "read", &e)),
        };
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        self.kept.push(Kept { number, lines: lines.clone(), cut: false });
        self.save();
        cut(&self.path, &lines).map_err(|e| self.failed(&self.path, "empty", &e))?;
        self.kept.iter_mut().for_each(|kept| kept.cut = true);
        self.save();
        Ok(signals(&lines))
    }

    /// A stored offset knows of all up to the number.
    pub fn stored(&mut self, number: u64) {
        let before = self.kept.len();
        self.kept.retain(|kept| kept.number > number);
        if self.kept.len() != before {
            self.save();
        }
    }

    fn save(&mut self) {
        if self.keeps_none {
            return;
        }
        if let Err(e) = save(&self.taken, &self.kept) {
            self.keeps_none = true;
            tracing::warn!(
                "signals of {} are lost if the worker is killed before it has stored them: {} cannot be written: {e}",
                self.path.display(),
                self.taken.display()
            );
        }
    }

    fn failed(&self, path: &Path, doing: &str, e: &std::io::Error) -> TaskError {
        let path = path.display();
        TaskError::definite(CONNECT_EXCEPTION, format!("Failed to {doing} signal file {path}: {e}"))
            .hint("give the worker's user leave to read and write it, or leave file out of signal.enabled.channels")
    }
}

fn signals(lines: &[u8]) -> Vec<Signal> {
    let mut signals = Vec::new();
    for line in lines.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match Signal::from_json(line) {
            Ok(signal) => signals.push(signal),
            Err(why) => tracing::warn!("a line of the signal file is no signal: {why}"),
        }
    }
    signals
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if std::fs::metadata(path)?.len() > 0 {
        OpenOptions::new().read(true).open(path)?.take(BYTES_MAX).read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Takes the lines out of the file, if they are still its first; what a writer has appended since stays.
fn cut(path: &Path, lines: &[u8]) -> std::io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    if let Some(rest) = text.strip_prefix(lines) {
        file.set_len(0)?;
        if !rest.is_empty() {
            OpenOptions::new().append(true).open(path)?.write_all(rest)?;
        }
        file.sync_all()?;
    }
    Ok(())
}

fn load(path: &Path) -> std::io::Result<Vec<Kept>> {
    let text = match std::fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let file: Value = serde_json::from_slice(&text).unwrap_or_default();
    if file["version"] != VERSION {
        tracing::warn!("{} is of another version, or damaged: it is passed over", path.display());
        return Ok(Vec::new());
    }
    let kept = |kept: &Value| {
        let lines = kept["lines"].as_str()?.as_bytes().to_vec();
        Some(Kept { number: kept["number"].as_u64()?, lines, cut: kept["cut"] == true })
    };
    Ok(file["taken"].as_array().into_iter().flatten().filter_map(kept).collect())
}

/// Durable when it returns, and whole or not at all.
fn save(path: &Path, kept: &[Kept]) -> std::io::Result<()> {
    if kept.is_empty() {
        return match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let one = |kept: &Kept| {
        // What is not UTF-8 is no JSON either, and so no signal.
        let lines = String::from_utf8_lossy(&kept.lines);
        json!({ "number": kept.number, "lines": lines, "cut": kept.cut })
    };
    let text = json!({ "version": VERSION, "taken": kept.iter().map(one).collect::<Vec<_>>() }).to_string();
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => std::fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "{\"id\":\"1\",\"type\":\"log\"}\n";
    const TWO: &str = "{\"id\":\"2\",\"type\":\"log\"}\n";

    fn ids(signals: Vec<Signal>) -> Vec<String> {
        signals.into_iter().map(|signal| signal.id).collect()
    }

    struct Files {
        _dir: tempfile::TempDir,
        path: PathBuf,
    }

    impl Files {
        fn new() -> Files {
            let dir = tempfile::tempdir().unwrap();
            Files { path: dir.path().join("signals"), _dir: dir }
        }

        /// As a process that was killed leaves them.
        fn open(&self, stored: u64) -> (SignalFile, Vec<String>, u64) {
            let mut file = SignalFile::new(self.path.to_str().unwrap());
            let (signals, number) = file.left_behind(stored).unwrap();
            (file, ids(signals), number)
        }

        fn text(&self) -> String {
            std::fs::read_to_string(&self.path).unwrap_or_default()
        }

        fn keeps(&self) -> bool {
            self.path.with_extension("taken").exists()
        }
    }

    #[test]
    fn lines_are_taken_once_and_bad_ones_are_left_out() {
        let files = Files::new();
        let (mut file, left, number) = files.open(0);
        assert_eq!((left.len(), number, ids(file.take(1).unwrap()).len()), (0, 0, 0));
        std::fs::write(&files.path, format!("{ONE}\nnonsense\n{}", TWO.trim())).unwrap();
        assert_eq!(ids(file.take(1).unwrap()), ["1", "2"]);
        assert_eq!(file.take(2).unwrap(), []);
        assert_eq!(files.text(), "");
        file.stored(1);
        assert!(!files.keeps());
    }

    #[test]
    fn what_was_taken_and_not_stored_comes_again() {
        let files = Files::new();
        let (mut file, ..) = files.open(0);
        std::fs::write(&files.path, ONE).unwrap();
        file.take(1).unwrap();
        std::fs::write(&files.path, TWO).unwrap();
        file.take(2).unwrap();
        let (mut file, left, number) = files.open(0);
        assert_eq!((left, number), (vec!["1".to_owned(), "2".into()], 2));
        file.stored(1);
        let (_, left, number) = files.open(0);
        assert_eq!((left, number), (vec!["2".to_owned()], 2));
        // The offset knew of it, and the process ended before it heard so.
        let (_, left, number) = files.open(2);
        assert_eq!((left.len(), number, files.keeps()), (0, 2, false));
    }

    #[test]
    fn a_process_that_ends_before_the_file_is_emptied_reads_its_lines_once() {
        let files = Files::new();
        let (mut file, ..) = files.open(0);
        std::fs::write(&files.path, ONE).unwrap();
        file.kept.push(Kept { number: 1, lines: ONE.into(), cut: false });
        file.save();
        std::fs::write(&files.path, format!("{ONE}{TWO}")).unwrap();
        let (mut file, left, _) = files.open(0);
        assert_eq!(left, ["1"]);
        assert_eq!(files.text(), TWO);
        assert_eq!(ids(file.take(2).unwrap()), ["2"]);
        // The same line, written again, is another signal.
        std::fs::write(&files.path, ONE).unwrap();
        let (mut file, left, _) = files.open(0);
        assert_eq!(left, ["1", "2"]);
        assert_eq!(ids(file.take(3).unwrap()), ["1"]);
    }

    #[test]
    fn damage_and_a_directory_that_cannot_be_written_stop_nothing() {
        let files = Files::new();
        for text in ["", "{", "[]", r#"{"version":9,"taken":[]}"#, r#"{"version":1,"taken":[{"number":-1}, 7]}"#] {
            std::fs::write(files.path.with_extension("taken"), text).unwrap();
            let (_, left, _) = files.open(0);
            assert_eq!(left.len(), 0, "{text}");
        }
        let (mut file, ..) = files.open(0);
        file.taken = "/nowhere/at/all".into();
        std::fs::write(&files.path, ONE).unwrap();
        assert_eq!(ids(file.take(1).unwrap()), ["1"]);
        assert!(file.keeps_none);
    }
}
