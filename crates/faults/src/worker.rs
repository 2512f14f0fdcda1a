//! A worker as a process: started with its files, ended as hard as the test wants.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The files and the program; [`Program::start`] as often as one likes.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub dir: PathBuf,
    /// What starts it, if it is not started as it is: a command with its arguments.
    pub before: Vec<String>,
}

impl Program {
    /// Writes the worker's file and the connector's. The log of all starts is `worker.log` beside them.
    pub fn new(path: &Path, dir: &Path, worker: &str, connector: &serde_json::Value) -> Program {
        let text = format!("listeners=http://127.0.0.1:0\n{worker}");
        std::fs::write(dir.join("worker.properties"), text).expect("the worker's file");
        std::fs::write(dir.join("connector.json"), connector.to_string()).expect("the connector's file");
        Program { path: path.to_owned(), dir: dir.to_owned(), before: Vec::new() }
    }

    /// With these variables in its environment, and without what the machine's might say of a worker.
    pub fn start<'a>(&self, environment: impl Iterator<Item = (&'a str, &'a str)>) -> Worker {
        let log = File::options().create(true).append(true).open(self.dir.join("worker.log")).expect("a log");
        let path = self.path.as_os_str();
        let mut words = self.before.iter().map(OsStr::new).chain([path]);
        let mut command = Command::new(words.next().unwrap_or(path));
        command.args(words);
        let foreign = |name: &str| {
            let ours = ["WALSPRING_", "CONNECT_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix));
            ours && name != "WALSPRING_CACHE" || ["BOOTSTRAP_SERVERS", "GROUP_ID", "RUST_LOG"].contains(&name)
        };
        for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        command.arg("worker").arg(self.dir.join("worker.properties")).arg(self.dir.join("connector.json"));
        command.envs(environment);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        Worker { child: command.spawn().expect("the worker's program") }
    }

    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.dir.join("worker.log")).map_or(0, |file| file.len())
    }

    /// What was logged behind this byte.
    pub fn log_since(&self, byte: u64) -> String {
        let mut bytes = Vec::new();
        let file = File::open(self.dir.join("worker.log"));
        let _ = file.and_then(|mut file| {
            file.seek(SeekFrom::Start(byte))?;
            file.read_to_end(&mut bytes)
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.join("worker.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Killed when dropped.
pub struct Worker {
    child: Child,
}

impl Worker {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no SIG{name}");
    }

    /// Sets what the kernel lets it have of something from now on, such as `nofile`; `None`: as much as it wants.
    pub fn limit(&self, what: &str, most: Option<u64>) {
        let most = most.map_or("unlimited".into(), |most| most.to_string());
        // The soft one alone: a hard one cannot be raised again.
        let option = format!("--{what}={most}:");
        let set = Command::new("prlimit").args(["--pid", &self.pid().to_string(), &option]).status();
        assert!(set.is_ok_and(|status| status.success()), "no limit {option}");
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, |entries| entries.count() as u64)
    }

    /// The most memory that it has had, in bytes.
    pub fn memory_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended, by itself or at a failpoint.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGTERM; `None`: it did not end in time.
    pub fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        self.wait(limit)
    }

    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            match self.ended() {
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(3)),
                ended => return ended,
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
