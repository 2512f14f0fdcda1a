//! An archive of a program's classes that its JVM maps into memory (class data sharing), instead of reading, parsing and
//! verifying them from a hundred jars at every start.
//!
//! Made once in the cache, by a first run that writes it at its end. It only saves time: whatever goes wrong with it, the
//! program starts from its jars.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use walspring_throwaway_postgres::{Error, Result, cache};

const ARCHIVE: &str = "classes.jsa";
/// Holds the archive's length in bytes. An entry without it says that making the archive failed here: not again.
const LENGTH: &str = "length";
/// A JVM that maps the archive and ends takes a tenth of a second.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// Which program, and how its JVM is started: an archive fits no other.
pub(crate) struct Program<'a> {
    pub java: &'a Path,
    /// The folder with the jars of its class path, `LIBS/*`.
    pub libs: &'a Path,
    pub flags: &'a [&'a str],
}

/// The archive of a program, under `directory`. `record` starts the program so that it writes the archive to the path
/// that it is given, and ends it; it has to have a limit of its own. `None`: there is no archive to be had.
pub(crate) fn class_archive(
    directory: &Path,
    program: &Program<'_>,
    record: impl FnOnce(&Path) -> Result<()>,
) -> Option<PathBuf> {
    let entry = directory.join(format!("classes-{:016x}", program.key()?));
    let filled = cache::fill_once(&entry, |partial| {
        let archive = partial.join(ARCHIVE);
        match record(&archive).and_then(|()| program.try_out(&archive)) {
            Ok(()) => std::fs::write(partial.join(LENGTH), std::fs::metadata(&archive)?.len().to_string())?,
            Err(error) => {
                eprintln!("testkit: No class archive on this machine; starts take longer. {error}");
                let _ = std::fs::remove_file(&archive);
            }
        }
        Ok(())
    });
    filled.ok()?;
    // A JVM that maps a file cut short dies of it.
    let archive = entry.join(ARCHIVE);
    let length: u64 = std::fs::read_to_string(entry.join(LENGTH)).ok()?.parse().ok()?;
    (std::fs::metadata(&archive).ok()?.len() == length).then_some(archive)
}

/// What makes a JVM take its classes from the archive, or from the jars where it does not fit. What it has to say about
/// that goes to standard error: what Kafka's tools print is their answer.
pub(crate) fn options(archive: &Path) -> [String; 4] {
    let archive = format!("-XX:SharedArchiveFile={}", archive.display());
    [archive, "-Xshare:auto".into(), "-Xlog:disable".into(), "-Xlog:all=warning:stderr".into()]
}

impl Program<'_> {
    /// Another Java, an update of it, other flags or other jars make another archive.
    fn key(&self) -> Option<u64> {
        let java = found(self.java)?;
        let home = java.parent()?.parent()?;
        let mut hasher = DefaultHasher::new();
        (&java, self.libs, self.flags).hash(&mut hasher);
        std::fs::read(home.join("release")).ok()?.hash(&mut hasher);
        // classes.jsa is Java's own archive, upon which this one is laid.
        for file in ["lib/modules", "lib/server/libjvm.so", "lib/server/classes.jsa"] {
            state(&home.join(file))?.hash(&mut hasher);
        }
        // In the folder's order, as it is that of the class path.
        for jar in std::fs::read_dir(self.libs).ok()? {
            let jar = jar.ok()?.path();
            (state(&jar)?, jar).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Whether a JVM that must not do without the archive takes it.
    fn try_out(&self, archive: &Path) -> Result<()> {
        let mut command = Command::new(self.java);
        command.args(self.flags).args(options(archive)).arg("-Xshare:on");
        command.arg("-cp").arg(class_path(self.libs)).arg("-version");
        // Where one that crashes leaves its report.
        command.current_dir(archive.parent().unwrap_or(Path::new("/")));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + TRIAL_LIMIT;
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Error::new(format!("A JVM that was given it ended with {status}."))),
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Error::new("A JVM that was given it did not end."));
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

pub(crate) fn class_path(libs: &Path) -> String {
    format!("{}/*", libs.display())
}

/// The file itself, through links and PATH.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return std::fs::canonicalize(program).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|dir| std::fs::canonicalize(dir.join(program)).ok())
}

/// Length and time of the last change, which is what the JVM looks at too.
fn state(file: &Path) -> Option<(u64, i64, i64)> {
    std::fs::metadata(file).ok().map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(libs: &Path) -> Program<'_> {
        Program { java: Path::new("java"), libs, flags: &["-XX:+UseSerialGC"] }
    }

    #[test]
    fn what_cannot_be_made_is_tried_once_and_then_done_without() {
        let dir = std::env::temp_dir().join(format!("walspring-class-archive-{}", std::process::id()));
        let libs = dir.join("libs");
        std::fs::create_dir_all(&libs).unwrap();
        let get = |record: &dyn Fn(&Path) -> Result<()>| class_archive(&dir, &program(&libs), record);
        assert_eq!(get(&|_| Err(Error::new("it does not start"))), None);
        assert_eq!(get(&|_| unreachable!("it is known to fail")), None);

        // What no JVM takes is none either.
        std::fs::write(libs.join("a.jar"), "another class path").unwrap();
        let garbage = |archive: &Path| Ok(std::fs::write(archive, vec![7; 100_000])?);
        assert_eq!(get(&garbage), None);
        assert_eq!(get(&|_| unreachable!("it is known to be refused")), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
