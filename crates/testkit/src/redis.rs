//! Redis from the system's package (`scripts/install-deps test`): one server for everybody, or one's own to break.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use walspring_throwaway_postgres::tether::{Tether, send_signal};
use walspring_throwaway_postgres::{Error, Result, ports};

use crate::Certificates;

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// `databases`: as many tests of a process can have one of their own.
const DATABASES: i64 = 256;

/// The server that all tests of this process share. Take a [`Redis::database`] of your own, and never stop this one.
#[track_caller]
pub fn redis() -> Arc<Redis> {
    static SHARED: OnceLock<Arc<Redis>> = OnceLock::new();
    SHARED.get_or_init(|| Arc::new(Redis::start(&[]))).clone()
}

/// A running server with its data on disk; dropping it ends it and deletes them.
pub struct Redis {
    port: u16,
    /// 0: there is none.
    tls_port: u16,
    home: PathBuf,
    options: Vec<(String, String)>,
    databases: AtomicI64,
    child: Mutex<Option<Child>>,
    tether: Tether,
}

impl Redis {
    /// With options of `redis.conf` over ours.
    #[track_caller]
    pub fn start(options: &[(&str, &str)]) -> Redis {
        Redis::start_with(options, None)
    }

    /// With a second port that speaks TLS and wants the client's certificate of the same authority.
    #[track_caller]
    pub fn start_tls(options: &[(&str, &str)], certificates: &Certificates) -> Redis {
        Redis::start_with(options, Some(certificates))
    }

    #[track_caller]
    fn start_with(options: &[(&str, &str)], certificates: Option<&Certificates>) -> Redis {
        for attempt in 1.. {
            match Redis::try_start(options, certificates) {
                Ok(redis) => return redis,
                Err(error) => assert!(attempt < 4 && error.to_string().contains("in use"), "{error}"),
            }
        }
        unreachable!("the loop ends by itself")
    }

    fn try_start(options: &[(&str, &str)], certificates: Option<&Certificates>) -> Result<Redis> {
        let home = new_home()?;
        let tether = Tether::new(&home, "KILL")?;
        let port = ports::free_port();
        let mut all: Vec<(String, String)> = [
            ("port", port.to_string().as_str()),
            ("bind", "127.0.0.1"),
            ("dir", &home.display().to_string()),
            ("databases", &DATABASES.to_string()),
            ("save", ""),
            ("appendonly", "yes"),
            ("daemonize", "no"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let mut tls_port = 0;
        if let Some(certificates) = certificates {
            tls_port = ports::free_port();
            all.push(("tls-port".into(), tls_port.to_string()));
            for (option, file, pem) in [
                ("tls-ca-cert-file", "ca.pem", &certificates.ca),
                ("tls-cert-file", "server.pem", &certificates.server_certificate),
                ("tls-key-file", "server.key", &certificates.server_key),
            ] {
                std::fs::write(home.join(file), pem)?;
                all.push((option.into(), home.join(file).display().to_string()));
            }
        }
        all.extend(options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (databases, child) = (AtomicI64::new(0), Mutex::new(None));
        let redis = Redis { port, tls_port, home, options: all, databases, child, tether };
        redis.spawn()?;
        Ok(redis)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The URI of an empty database that nobody else has.
    pub fn database(&self) -> String {
        let database = self.databases.fetch_add(1, Ordering::Relaxed);
        assert!(database < DATABASES, "no database is left");
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.end(libc::SIGKILL);
    }

    /// In order (SIGTERM).
    pub fn stop(&self) {
        self.end(libc::SIGTERM);
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Starts it again, with its data, on its port.
    #[track_caller]
    pub fn restart(&self) {
        self.spawn().unwrap_or_else(|e| panic!("{e}"));
    }

    fn spawn(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = self.home.join("log");
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("redis-server");
        for (name, value) in &self.options {
            command.arg(format!("--{name}"));
            // An ACL rule or a list of parameters is several words.
            let words = if value.is_empty() { vec![""] } else { value.split(' ').collect() };
            command.args(words);
        }
        let spawned = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn();
        let mut spawned =
            spawned.map_err(|e| Error::new(format!("Cannot start redis-server: {e}; scripts/install-deps test")))?;
        self.tether.hold(spawned.id());
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers(self.port) {
            let ended = spawned.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                let _ = spawned.kill();
                let _ = spawned.wait();
                self.tether.release();
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Error::new(format!("redis-server does not start:\n{text}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        *child = Some(spawned);
        Ok(())
    }

    fn end(&self, signal: i32) {
        if let Some(mut child) = self.child().take() {
            send_signal(&child, signal);
            let _ = child.wait();
            self.tether.release();
        }
    }

    fn signal(&self, signal: i32) {
        if let Some(child) = self.child().as_ref() {
            send_signal(child, signal);
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// It answers, and does not say that it is loading. One that wants a password first is up.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let n = stream.read(&mut answer)?;
        Ok(answer.starts_with(b"+PONG") || answer[..n].starts_with(b"-NOAUTH") || answer[..n].starts_with(b"-NOPERM"))
    };
    ask().unwrap_or(false)
}

fn new_home() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("walspring-redis-{}-{n}", std::process::id()));
        match std::fs::create_dir(&home) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return Ok(made.map(|()| home)?),
        }
    }
}
