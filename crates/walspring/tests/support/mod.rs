//! The built binary as a child process, and its REST.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod exposition;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use walspring_testkit::TempDatabase;

/// The least that is waited for anything, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(60);

pub const BINARY: &str = env!("CARGO_BIN_EXE_walspring");

pub fn walspring(args: &[&str]) -> Output {
    command().args(args).output().expect("the binary")
}

/// Without what the machine's environment might say of a worker.
pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    let ours = |name: &str| {
        ["WALSPRING_", "CONNECT_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix)) && name != "WALSPRING_CACHE"
            || ["BOOTSTRAP_SERVERS", "GROUP_ID", "RUST_LOG"].contains(&name)
    };
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// A worker on an embedded log. Killed when dropped.
pub struct Worker {
    child: Child,
    pub port: u16,
    log: Arc<Mutex<String>>,
}

impl Worker {
    /// On any port; `more` are files of connectors.
    pub fn start(dir: &Path, more: &[&Path]) -> Worker {
        Worker::start_with(dir, &format!("walspring.data.dir={}\n", dir.join("log").display()), more)
    }

    /// With these lines in its file.
    pub fn start_with(dir: &Path, lines: &str, more: &[&Path]) -> Worker {
        Worker::start_in(dir, lines, more, &[])
    }

    /// And these variables in its environment.
    pub fn start_in(dir: &Path, lines: &str, more: &[&Path], environment: &[(&str, &str)]) -> Worker {
        let file = dir.join("worker.properties");
        let text = format!("listeners=http://127.0.0.1:0\n{lines}");
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.arg("worker").arg(&file).args(more).envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, receiver) = std::sync::mpsc::channel();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("REST is served on http://127.0.0.1:") {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    let _ = sender.send(digits.parse::<u16>().unwrap());
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let Ok(port) = receiver.recv_timeout(LIMIT) else {
            let _ = child.kill();
            panic!("no REST; the log:\n{}", log.lock().unwrap());
        };
        Worker { child, port, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        request(self.port, "GET", path, None)
    }

    pub fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    pub fn signal(&self, signal: &str) {
        signal_to(self.child.id(), signal);
    }

    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        let end = Instant::now() + timeout.max(LIMIT);
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() > end => panic!("the worker does not end; its log:\n{}", self.log()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Until the answer is as wanted.
    #[track_caller]
    pub fn wait(&self, path: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let end = Instant::now() + LIMIT;
        loop {
            let (status, body) = self.get(path);
            let answer = serde_json::from_str(&body).unwrap_or_default();
            if status == 200 && wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{path}: {status} {body}\nthe log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal_to(pid: u32, signal: &str) {
    let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap();
    assert!(sent.success());
}

/// A connector to all tables of the database; its slot is named after it.
pub fn connector(db: &TempDatabase, name: &str, prefix: &str) -> serde_json::Value {
    json!({
        "name": name,
        "config": {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": db.server().host(),
            "database.port": db.server().port().to_string(),
            "database.user": "postgres",
            "database.password": "any",
            "database.dbname": db.name(),
            "topic.prefix": prefix,
            "slot.name": db.slot(name),
            "publication.name": db.slot(name),
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false"
        }
    })
}

/// One request on a connection of its own.
pub fn request(port: u16, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = body.unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}
