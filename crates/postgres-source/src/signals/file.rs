//! The channel `file`: each line of `signal.file` is a signal in JSON. What has been read is taken out of the file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_debezium::Signal;

/// More is left for the next look; a line that is longer is no signal.
const BYTES_MAX: u64 = 1 << 20;

pub struct SignalFile {
    path: PathBuf,
}

impl SignalFile {
    pub fn new(path: &str) -> SignalFile {
        tracing::info!(path, "signals are read from a file: who can write it can start snapshots");
        SignalFile { path: path.into() }
    }

    /// The signals that have been written, in order. A file that is not there has none.
    pub fn take(&self) -> Result<Vec<Signal>, TaskError> {
        let text = match self.read() {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                let path = self.path.display();
                return Err(TaskError::definite(CONNECT_EXCEPTION, format!("Failed to read signal file {path}: {e}"))
                    .hint("give the worker's user leave to read and write it, or leave file out of signal.enabled.channels"));
            }
        };
        let mut signals = Vec::new();
        for line in text.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match Signal::from_json(line) {
                Ok(signal) => signals.push(signal),
                Err(why) => tracing::warn!("a line of the signal file is no signal: {why}"),
            }
        }
        Ok(signals)
    }

    /// Reads the file and empties it. What a writer appends between the two would be lost, so the file is read to its end
    /// right before; writers that want to be sure write a line at a time and look whether it is gone.
    fn read(&self) -> std::io::Result<Vec<u8>> {
        if std::fs::metadata(&self.path)?.len() == 0 {
            return Ok(Vec::new());
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let mut text = Vec::new();
        loop {
            let before = text.len();
            (&mut file).take(BYTES_MAX - text.len() as u64).read_to_end(&mut text)?;
            if text.len() == before {
                break;
            }
        }
        file.set_len(0)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_once_and_bad_ones_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signals");
        let file = SignalFile::new(path.to_str().unwrap());
        assert_eq!(file.take().unwrap(), []);
        std::fs::write(&path, "{\"id\":\"1\",\"type\":\"log\"}\n\nnonsense\n{\"id\":\"2\",\"type\":\"log\"}").unwrap();
        let ids: Vec<String> = file.take().unwrap().into_iter().map(|s| s.id).collect();
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(file.take().unwrap(), []);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
