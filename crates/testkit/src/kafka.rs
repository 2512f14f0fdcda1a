//! Apache Kafka from its published jars: one broker for everybody, or a cluster of one's own to break.
//!
//! Nodes are broker and controller at once (KRaft), so that any one of three can be killed. Every node has a listener
//! `PLAINTEXT` without authentication, beside those that a test asks for. The first start on a machine fetches about
//! 60 MB with Maven into the cache of `walspring_throwaway_postgres::cache`.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use walspring_throwaway_postgres::tether::{Tether, send_signal};
use walspring_throwaway_postgres::{Error, Result, cache, ports, spread};

use crate::Certificates;
use crate::class_archive::{Program, class_archive, class_path, options as archive_options};

/// The version that everything is measured and recorded with.
pub const KAFKA_VERSION: &str = "4.3.1";

/// A JVM on a busy machine, with recovery of its logs after a kill.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// What a start for the sake of the class archive may take. Its end, which writes 50 MB, may take half as long again.
const RECORD_TIMEOUT: Duration = Duration::from_secs(45);
/// It lives for minutes and shares the machine with what is tested: start fast, stay small.
const JVM_FLAGS: &[&str] = &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"];
const CLUSTER_ID: &str = "d2Fsc3ByaW5nLXRlc3QtMQ";

/// The broker that all tests of this process share. Use topic, group and transactional names of your own, and never
/// stop this one.
#[track_caller]
pub fn kafka() -> Arc<Kafka> {
    static SHARED: OnceLock<Arc<Kafka>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            Arc::new(match std::env::var("WALSPRING_TEST_KAFKA") {
                Ok(bootstrap) => Kafka { brokers: Vec::new(), running_elsewhere: Some(bootstrap) },
                Err(_) => Kafka::start(KafkaOptions::default()),
            })
        })
        .clone()
}

/// What a cluster should be like.
#[derive(Clone)]
pub struct KafkaOptions {
    /// From 3.5 on; older ones need ZooKeeper for what the tests do.
    pub version: String,
    pub brokers: u32,
    /// Java's -Xmx.
    pub heap: String,
    /// Lines of server.properties; these win over ours.
    pub properties: Vec<(String, String)>,
    pub listeners: Vec<Listener>,
    /// Mechanism, user, password; for a listener made by [`Listener::scram`].
    pub scram_users: Vec<(String, String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        let (properties, listeners, scram_users) = Default::default();
        let heap = "512m".into();
        KafkaOptions { version: KAFKA_VERSION.into(), brokers: 1, heap, properties, listeners, scram_users }
    }
}

impl KafkaOptions {
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    pub fn brokers(mut self, brokers: u32) -> Self {
        self.brokers = brokers;
        self
    }

    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// `mechanism` is SCRAM-SHA-256 or SCRAM-SHA-512.
    pub fn scram_user(mut self, mechanism: &str, user: &str, password: &str) -> Self {
        self.scram_users.push((mechanism.into(), user.into(), password.into()));
        self
    }
}

/// One more way to connect. Its name is what [`Kafka::bootstrap_of`] takes.
#[derive(Clone)]
pub struct Listener {
    name: String,
    sasl: bool,
    tls: bool,
    /// Without the prefix `listener.name.NAME.`
    properties: Vec<(String, String)>,
}

impl Listener {
    fn new(name: &str) -> Listener {
        Listener { name: name.into(), sasl: false, tls: false, properties: Vec::new() }
    }

    fn sasl(name: &str, mechanisms: &str, module_of: &[(&str, String)]) -> Listener {
        let mut listener = Listener::new(name);
        listener.sasl = true;
        listener.properties.push(("sasl.enabled.mechanisms".into(), mechanisms.into()));
        for (mechanism, module) in module_of {
            listener.properties.push((format!("{mechanism}.sasl.jaas.config"), module.clone()));
        }
        listener
    }

    /// SASL PLAIN with these users and passwords.
    pub fn plain(name: &str, users: &[(&str, &str)]) -> Listener {
        let users: String = users.iter().map(|(user, password)| format!(" user_{user}=\"{password}\"")).collect();
        let module = format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};");
        Listener::sasl(name, "PLAIN", &[("plain", module)])
    }

    /// SASL SCRAM-SHA-256 and -512; the users are [`KafkaOptions::scram_user`]'s.
    pub fn scram(name: &str) -> Listener {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let modules = [("scram-sha-256", module.to_owned()), ("scram-sha-512", module.to_owned())];
        Listener::sasl(name, "SCRAM-SHA-256,SCRAM-SHA-512", &modules)
    }

    /// SASL OAUTHBEARER that takes unsigned tokens (`alg` none), as Kafka offers it for tests.
    pub fn oauthbearer(name: &str) -> Listener {
        let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                      unsecuredLoginStringClaim_sub=\"broker\";";
        Listener::sasl(name, "OAUTHBEARER", &[("oauthbearer", module.to_owned())])
    }

    /// TLS alone. With `client_auth` the client has to show a certificate of the same authority.
    pub fn tls(name: &str, certificates: &Certificates, client_auth: bool) -> Listener {
        let mut listener = Listener::new(name).over_tls(certificates);
        let client_auth = if client_auth { "required" } else { "none" };
        listener.properties.push(("ssl.client.auth".into(), client_auth.into()));
        listener
    }

    /// The same inside TLS.
    pub fn over_tls(mut self, certificates: &Certificates) -> Listener {
        self.tls = true;
        for (name, value) in [
            ("ssl.keystore.type", "PEM"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.keystore.key", &certificates.server_key),
            ("ssl.keystore.certificate.chain", &certificates.server_certificate),
            ("ssl.truststore.certificates", &certificates.ca),
        ] {
            self.properties.push((name.into(), value.into()));
        }
        self
    }

    fn protocol(&self) -> &'static str {
        match (self.sasl, self.tls) {
            (false, false) => "PLAINTEXT",
            (false, true) => "SSL",
            (true, false) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        }
    }
}

/// A running cluster; dropping it ends it and deletes its data.
pub struct Kafka {
    brokers: Vec<Broker>,
    running_elsewhere: Option<String>,
}

impl Kafka {
    #[track_caller]
    pub fn start(options: KafkaOptions) -> Kafka {
        for attempt in 1.. {
            match Kafka::try_start(&options) {
                Ok(kafka) => return kafka,
                Err(error) => {
                    assert!(attempt < 4 && error.to_string().contains("already in use"), "{error}");
                }
            }
        }
        unreachable!("the loop ends by itself")
    }

    fn try_start(options: &KafkaOptions) -> Result<Kafka> {
        let libs = kafka_libs(&options.version)?;
        let classes = archive_of(&options.version, &libs).map_or(Classes::OfJars, Classes::Archived);
        Kafka::start_from(options, &libs, &classes, START_TIMEOUT)
    }

    fn start_from(options: &KafkaOptions, libs: &Path, classes: &Classes, limit: Duration) -> Result<Kafka> {
        let names = options.listeners.iter().map(|l| l.name.clone());
        let names: Vec<String> = ["PLAINTEXT".into(), "CONTROLLER".into()].into_iter().chain(names).collect();
        let nodes: Vec<Vec<(String, u16)>> = (0..options.brokers)
            .map(|_| names.iter().map(|name| (name.clone(), ports::free_port())).collect())
            .collect();
        let voters: Vec<String> = nodes
            .iter()
            .zip(1..)
            .map(|(listeners, id)| format!("{id}@127.0.0.1:{}", port_of(listeners, "CONTROLLER")))
            .collect();
        let brokers = nodes
            .iter()
            .zip(1..)
            .map(|(listeners, id)| Broker::new(id, listeners, &voters.join(","), libs, classes, options))
            .collect::<Result<Vec<Broker>>>()?;
        let kafka = Kafka { brokers, running_elsewhere: None };
        // All at once: a node waits for a quorum.
        for broker in &kafka.brokers {
            broker.spawn()?;
        }
        for broker in &kafka.brokers {
            broker.wait_ready(kafka.brokers.len(), limit)?;
        }
        Ok(kafka)
    }

    /// `HOST:PORT,…` of the listener without authentication.
    pub fn bootstrap(&self) -> String {
        self.running_elsewhere.clone().unwrap_or_else(|| self.bootstrap_of("PLAINTEXT"))
    }

    pub fn bootstrap_of(&self, listener: &str) -> String {
        let address = |broker: &Broker| format!("127.0.0.1:{}", broker.port(listener));
        self.brokers.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// One of the nodes, counted from 0; its `node.id` is one more.
    #[track_caller]
    pub fn broker(&self, index: usize) -> &Broker {
        self.brokers.get(index).expect("a broker that the testkit started, not that of WALSPRING_TEST_KAFKA")
    }

    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Runs one of Kafka's own programs by its class (`org.apache.kafka.tools.TopicCommand`, say) and returns what it
    /// prints. A JVM each time: for what no client of ours is to be trusted with.
    pub fn tool(&self, class: &str, args: &[&str]) -> std::result::Result<String, String> {
        let out = self.broker(0).java("256m").arg(class).args(args).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&[out.stdout, out.stderr].concat())) }
    }

    /// SIGKILL to every node.
    pub fn kill(&self) {
        self.brokers.iter().for_each(Broker::kill);
    }

    /// Stops every node in order (SIGTERM).
    pub fn stop(&self) {
        self.brokers.iter().for_each(Broker::stop);
    }

    /// Starts what is stopped or killed, with its data, on its ports.
    #[track_caller]
    pub fn restart(&self) {
        self.brokers.iter().for_each(|broker| broker.spawn().expect("java starts"));
        for broker in &self.brokers {
            broker.wait_ready(self.brokers.len(), START_TIMEOUT).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

/// Where a node has its classes from.
#[derive(Clone)]
enum Classes {
    OfJars,
    Archived(PathBuf),
    /// From the jars, and its end writes those that it used to this file.
    RecordedInto(PathBuf),
}

/// The class archive of the version that most starts are of. Others are started once or twice.
fn archive_of(version: &str, libs: &Path) -> Option<PathBuf> {
    static ARCHIVE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let directory = cache::directory().ok()?.join("kafka").join(version);
        let program = Program { java: &java_program(), libs, flags: JVM_FLAGS };
        class_archive(&directory, &program, |file| record_classes(libs, file))
    };
    if version == KAFKA_VERSION { ARCHIVE.get_or_init(make).clone() } else { None }
}

fn record_classes(libs: &Path, file: &Path) -> Result<()> {
    let classes = Classes::RecordedInto(file.to_owned());
    let start = || Kafka::start_from(&KafkaOptions::default(), libs, &classes, RECORD_TIMEOUT);
    let kafka = match start() {
        Err(error) if error.to_string().contains("already in use") => start()?,
        other => other?,
    };
    let ended = kafka.broker(0).end(libc::SIGTERM);
    if ended { Ok(()) } else { Err(Error::new("Kafka was too slow to write it.")) }
}

/// One node.
pub struct Broker {
    id: u32,
    listeners: Vec<(String, u16)>,
    home: PathBuf,
    heap: String,
    libs: PathBuf,
    classes: Classes,
    child: Mutex<Option<Child>>,
    tether: Tether,
}

impl Broker {
    fn new(
        id: u32,
        ports: &[(String, u16)],
        voters: &str,
        libs: &Path,
        classes: &Classes,
        options: &KafkaOptions,
    ) -> Result<Broker> {
        let home = new_home()?;
        let tether = Tether::new(&home, "KILL")?;
        let (libs, heap, classes) = (libs.to_owned(), options.heap.clone(), classes.clone());
        let child = Mutex::new(None);
        let broker = Broker { id, listeners: ports.to_vec(), home, heap, libs, classes, child, tether };
        let data = broker.home.join("data");
        std::fs::create_dir(&data)?;
        spread(&data);
        let logging = broker.home.join("logging");
        std::fs::write(logging.with_extension("xml"), LOG4J2)?;
        std::fs::write(logging.with_extension("properties"), RELOAD4J)?;
        let text = properties(id, ports, voters, &data, options);
        std::fs::write(broker.config(), &text)?;
        broker.format(&data, voters, options)?;
        Ok(broker)
    }

    /// Writes what `kafka-storage format` writes. That JVM takes two seconds, so its two small files are kept in the
    /// cache, from one node for all: only `meta.properties` says which node it is.
    fn format(&self, data: &Path, voters: &str, options: &KafkaOptions) -> Result<()> {
        if options.properties.iter().any(|(name, _)| decides_format(name)) {
            return self.run_format(data, voters, options);
        }
        let mut name = "formatted".to_owned();
        if !options.scram_users.is_empty() {
            let mut hasher = DefaultHasher::new();
            options.scram_users.hash(&mut hasher);
            name = format!("formatted-{:016x}", hasher.finish());
        }
        let kept = cache::directory()?.join("kafka").join(&options.version).join(name);
        let plain = KafkaOptions { properties: Vec::new(), ..options.clone() };
        cache::fill_once(&kept, |partial| self.run_format(partial, voters, &plain))?;
        for entry in std::fs::read_dir(kept)? {
            let entry = entry?;
            std::fs::copy(entry.path(), data.join(entry.file_name()))?;
        }
        let meta = data.join("meta.properties");
        let text = std::fs::read_to_string(&meta)?;
        Ok(std::fs::write(meta, meta_of(self.id, &text))?)
    }

    fn run_format(&self, data: &Path, voters: &str, options: &KafkaOptions) -> Result<()> {
        let config = self.home.join("format.properties");
        std::fs::write(&config, properties(self.id, &self.listeners, voters, data, options))?;
        let mut command = self.java("128m");
        command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(config);
        for (mechanism, user, password) in &options.scram_users {
            command.arg("--add-scram").arg(format!("{mechanism}=[name={user},password={password}]"));
        }
        let out = command.output()?;
        let text = || String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        if out.status.success() { Ok(()) } else { Err(Error::new(format!("kafka-storage format: {}", text()))) }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// The port of a listener (`PLAINTEXT`, or the name of one that was asked for).
    #[track_caller]
    pub fn port(&self, listener: &str) -> u16 {
        port_of(&self.listeners, listener)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts it again, with its data, on its ports; returns once it answers.
    #[track_caller]
    pub fn start(&self) {
        if !self.is_running() {
            self.end(libc::SIGKILL);
        }
        self.spawn().and_then(|()| self.wait_ready(1, START_TIMEOUT)).unwrap_or_else(|e| panic!("{e}"));
    }

    /// SIGTERM: it hands over what it leads, if there is somebody.
    pub fn stop(&self) {
        self.end(libc::SIGTERM);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.end(libc::SIGKILL);
    }

    /// SIGSTOP: it goes on holding its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// From now on no write of it succeeds, as where the disk is full: it gives its data up and ends by itself. Until
    /// the next start.
    pub fn fill_disk(&self) {
        let Some(pid) = self.child().as_ref().map(Child::id) else { return };
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is read only, and nothing is written back. A JVM ignores SIGXFSZ, so its writes fail.
        let done = unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        assert_eq!(done, 0, "prlimit: {}", std::io::Error::last_os_error());
    }

    fn signal(&self, signal: i32) {
        if let Some(child) = self.child().as_ref() {
            send_signal(child, signal);
        }
    }

    /// Whether the signal was enough, or the process had ended before.
    fn end(&self, signal: i32) -> bool {
        let Some(mut child) = self.child().take() else { return true };
        if matches!(child.try_wait(), Ok(None)) {
            send_signal(&child, signal);
        }
        let patience = Instant::now() + Duration::from_secs(30);
        let mut in_time = true;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > patience {
                in_time = false;
                send_signal(&child, libc::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.tether.release();
        in_time
    }

    fn spawn(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(self.home.join("log"))?;
        let mut command = self.java(&self.heap);
        if let Classes::RecordedInto(file) = &self.classes {
            command.arg(format!("-XX:ArchiveClassesAtExit={}", file.display()));
        }
        command.arg("kafka.Kafka").arg(self.config()).stdout(log.try_clone()?).stderr(log);
        let spawned = command.spawn()?;
        self.tether.hold(spawned.id());
        *child = Some(spawned);
        Ok(())
    }

    /// Until it answers and knows of so many live brokers.
    fn wait_ready(&self, brokers: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let port = self.port("PLAINTEXT");
        loop {
            if !self.is_running() {
                return Err(self.failed("ended"));
            }
            if live_brokers(port).is_some_and(|n| n >= brokers) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed("does not answer"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn failed(&self, what: &str) -> Error {
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(25).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        Error::new(format!("Kafka node {} {what}. Its log ends with:\n  {tail}", self.id))
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = Command::new(java_program());
        let logging = self.home.join("logging").display().to_string();
        command
            .arg(format!("-Xmx{heap}"))
            .args(JVM_FLAGS)
            .arg(format!("-Dlog4j2.configurationFile={logging}.xml"))
            .arg(format!("-Dlog4j.configuration=file:{logging}.properties"))
            .arg("-cp")
            .arg(class_path(&self.libs))
            .stdin(Stdio::null())
            .process_group(0);
        if let Classes::Archived(archive) = &self.classes {
            command.args(archive_options(archive));
        }
        command
    }

    fn config(&self) -> PathBuf {
        self.home.join("server.properties")
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether `kafka-storage format` writes something else with this property: the directories, the quorum, and which
/// versions of features there are.
fn decides_format(property: &str) -> bool {
    let prefixes =
        ["process.", "node.", "broker.", "controller.", "log.dir", "metadata.", "unstable.", "inter.broker."];
    prefixes.iter().any(|prefix| property.starts_with(prefix))
}

/// The `meta.properties` of a node, from that of another one: its own number, and a directory of its own (16 bytes in
/// base64url, of which this changes the first six bits).
fn meta_of(id: u32, another: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={id}\n"),
        Some(("directory.id", old)) => {
            let first = char::from(b'A' + (id % 26) as u8);
            format!("directory.id={first}{}\n", old.get(1..).unwrap_or_default())
        }
        _ => format!("{line}\n"),
    };
    another.lines().map(line).collect()
}

fn java_program() -> PathBuf {
    let java = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    java.filter(|java| java.is_file()).unwrap_or_else(|| "java".into())
}

fn port_of(listeners: &[(String, u16)], name: &str) -> u16 {
    listeners.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no listener {name}")).1
}

fn new_home() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("walspring-kafka-{}-{n}", std::process::id()));
        match std::fs::create_dir(&home) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {
                spread(&home);
                return Ok(home);
            }
        }
    }
}

fn properties(id: u32, ports: &[(String, u16)], voters: &str, data: &Path, options: &KafkaOptions) -> String {
    let copies = options.brokers.min(3).to_string();
    let in_sync = options.brokers.min(3).saturating_sub(1).max(1).to_string();
    let addresses = |hidden: &str| {
        let all = ports.iter().filter(|(name, _)| name != hidden);
        all.map(|(name, port)| format!("{name}://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    };
    let protocol = |name: &str| options.listeners.iter().find(|l| l.name == name).map_or("PLAINTEXT", |l| l.protocol());
    let protocols = ports.iter().map(|(name, _)| format!("{name}:{}", protocol(name))).collect::<Vec<_>>().join(",");
    let mut lines = vec![
        ("process.roles".to_owned(), "broker,controller".to_owned()),
        ("node.id".into(), id.to_string()),
        ("controller.quorum.voters".into(), voters.into()),
        ("listeners".into(), addresses("")),
        ("advertised.listeners".into(), addresses("CONTROLLER")),
        ("listener.security.protocol.map".into(), protocols),
        ("controller.listener.names".into(), "CONTROLLER".into()),
        ("inter.broker.listener.name".into(), "PLAINTEXT".into()),
        ("log.dirs".into(), data.display().to_string()),
        ("default.replication.factor".into(), copies.clone()),
        ("min.insync.replicas".into(), in_sync.clone()),
        ("offsets.topic.replication.factor".into(), copies.clone()),
        ("transaction.state.log.replication.factor".into(), copies.clone()),
        ("transaction.state.log.min.isr".into(), in_sync.clone()),
        ("share.coordinator.state.topic.replication.factor".into(), copies),
        ("share.coordinator.state.topic.min.isr".into(), in_sync),
        // 50 partitions each by default: most of the time that the first consumer or transaction waits.
        ("offsets.topic.num.partitions".into(), "4".into()),
        ("transaction.state.log.num.partitions".into(), "4".into()),
        ("group.initial.rebalance.delay.ms".into(), "0".into()),
        ("log.cleaner.dedupe.buffer.size".into(), "8388608".into()), // 128 MiB by default, of our small heap
        ("log.index.size.max.bytes".into(), "1048576".into()),
        ("num.network.threads".into(), "2".into()),
        ("num.io.threads".into(), "4".into()),
    ];
    for listener in &options.listeners {
        let prefix = format!("listener.name.{}", listener.name.to_lowercase());
        lines.extend(listener.properties.iter().map(|(name, value)| (format!("{prefix}.{name}"), value.clone())));
    }
    lines.extend(options.properties.iter().cloned());
    lines.iter().map(|(name, value)| format!("{name}={}\n", escape(value))).collect()
}

/// Java's spelling of a value in a properties file: PEM has line ends.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Asks for the cluster's metadata, version 1, without topics, and counts the brokers in the answer.
fn live_brokers(port: u16) -> Option<usize> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request: [u8; 18] = [
        0, 0, 0, 14, // length of the rest
        0, 3, 0, 1, // Metadata, version 1
        0, 0, 0, 7, // correlation id
        0xff, 0xff, // no client id
        0, 0, 0, 0, // no topics
    ];
    socket.write_all(&request).ok()?;
    let mut answer = [0; 12]; // length, correlation id, number of brokers
    socket.read_exact(&mut answer).ok()?;
    Some(u32::from_be_bytes(answer[8..12].try_into().ok()?) as usize)
}

/// The folder with the jars of this version, fetched once. The reference stack's folder serves as well, where it has
/// this version.
pub fn kafka_libs(version: &str) -> Result<PathBuf> {
    let reference = std::env::var_os("STACK_DIR")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/walspring-reference")));
    if let Some(libs) = reference.map(|dir| dir.join("libs"))
        && libs.join(format!("kafka_2.13-{version}.jar")).is_file()
    {
        return Ok(libs);
    }
    let dir = cache::directory()?.join("kafka").join(version).join("libs");
    cache::fill_once(&dir, |partial| {
        eprintln!("testkit: Fetching Apache Kafka {version} (about 60 MB, once) ...");
        let pom = partial.join("pom.xml");
        std::fs::write(&pom, pom_of(version))?;
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
            return Err(Error::new(format!("Kafka {version} could not be fetched:\n{text}")));
        }
        Ok(())
    })?;
    Ok(dir)
}

fn pom_of(version: &str) -> String {
    let before_4 = version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < 4);
    let mut artifacts = vec![("org.apache.kafka", "kafka_2.13", version)];
    if before_4 {
        artifacts.push(("org.slf4j", "slf4j-reload4j", "1.7.36"));
    } else {
        artifacts.push(("org.apache.kafka", "kafka-tools", version));
        artifacts.push(("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.2"));
        artifacts.push(("org.apache.logging.log4j", "log4j-core", "2.25.2"));
    }
    let dependency = |(group, artifact, version): &(&str, &str, &str)| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>walspring</groupId><artifactId>kafka</artifactId>\
         <version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )
}

const LOG4J2: &str = r#"<Configuration status="WARN"><Appenders><Console name="C"><PatternLayout pattern="%d %-5p %c{1} %m%n"/></Console></Appenders><Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>
"#;

const RELOAD4J: &str = "log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %-5p %c{1} %m%n
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_directory_of_its_own() {
        let formatted = "#\n#Sat Nov 21\nnode.id=2\ndirectory.id=qGk06cqptphvsUysWXoVNQ\nversion=1\ncluster.id=x\n";
        let expected = "#\n#Sat Nov 21\nnode.id=3\ndirectory.id=DGk06cqptphvsUysWXoVNQ\nversion=1\ncluster.id=x\n";
        assert_eq!(meta_of(3, formatted), expected);
        assert_eq!(meta_of(1, "node.id=1\nversion=1\n"), "node.id=1\nversion=1\n");
    }
}
