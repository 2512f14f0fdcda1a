//! One server: a fresh cluster in a directory of its own, started, stopped, crashed and started again.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::tether::{Tether, send_signal};
use crate::{Error, Result, packages, ports, spread, template};

/// Recovery after a crash under load takes seconds; nobody should wait longer than this for a throw-away server.
const START_TIMEOUT: Duration = Duration::from_secs(90);

type Progress = Box<dyn Fn(&str) + Send + Sync>;
type Fill = Box<dyn FnOnce(&Path) -> Result<()> + Send>;

/// What a server should be like. `Server::builder().start()` gives the machine's newest PostgreSQL with logical WAL.
#[derive(Default)]
pub struct Builder {
    major: Option<u32>,
    port: Option<u16>,
    durable: bool,
    from_template: bool,
    options: Vec<(String, String)>,
    hba: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    progress: Option<Progress>,
    fill: Option<Fill>,
}

impl Builder {
    /// The major version; without it, any that the machine has, else the newest that can be fetched.
    pub fn major(mut self, major: u32) -> Builder {
        self.major = Some(major);
        self
    }

    /// A setting of postgresql.conf; the last one given wins, also over the defaults.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Builder {
        self.options.push((name.into(), value.into()));
        self
    }

    /// A line that stands in pg_hba.conf before those that trust everyone on loopback.
    pub fn hba(mut self, line: impl Into<String>) -> Builder {
        self.hba.push(line.into());
        self
    }

    /// A file in the data directory, readable by the server only (`server.crt` and `server.key`, for instance).
    pub fn file(mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Builder {
        self.files.push((name.into(), contents.into()));
        self
    }

    /// A port; without it, a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = Some(port);
        self
    }

    /// Whether commits survive a crash of the *machine* (`fsync`). Off by default; a crash of the server is survived
    /// either way.
    pub fn durable(mut self, durable: bool) -> Builder {
        self.durable = durable;
        self
    }

    /// Whether the cluster is a copy of one that is kept in the cache (40 MB for each version), instead of `initdb`'s own:
    /// for who starts many servers. Where there can be no template it is `initdb`'s.
    pub fn from_template(mut self, from_template: bool) -> Builder {
        self.from_template = from_template;
        self
    }

    /// What puts a cluster into the data directory, instead of `initdb`: a copy of another server's, for a standby.
    pub fn filled_by(mut self, fill: impl FnOnce(&Path) -> Result<()> + Send + 'static) -> Builder {
        self.fill = Some(Box::new(fill));
        self
    }

    /// Hears one line before each step that takes longer than a moment.
    pub fn on_progress(mut self, progress: impl Fn(&str) + Send + Sync + 'static) -> Builder {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Fetches what is missing, makes the cluster and returns once connections are accepted.
    pub fn start(mut self) -> Result<Server> {
        let fill = self.fill.take();
        let progress = |line: &str| {
            if let Some(progress) = &self.progress {
                progress(line);
            }
        };
        let bin = packages::bin_dir(self.major, &progress)?;
        let account = Account::for_servers()?;
        let home = new_home(account)?;
        let tether = Tether::new(&home, "QUIT")?;
        let data = home.join("data");
        empty_data(&data, account)?;
        match fill {
            Some(fill) => fill(&data)?,
            None if self.from_template && template::copy_into(&data, &bin, account).is_ok() => {}
            None => {
                std::fs::remove_dir_all(&data)?; // half a copy
                empty_data(&data, account)?;
                initdb(&bin, &data, account)?;
            }
        }
        spread(&data.join("base"));
        for (name, contents) in &self.files {
            write_private(&data.join(name), contents, account)?;
        }
        let hba = std::fs::read_to_string(data.join("pg_hba.conf"))?;
        std::fs::write(data.join("pg_hba.conf"), format!("{}\n{hba}", self.hba.join("\n")))?;

        let major = std::fs::read_to_string(data.join("PG_VERSION"))?.trim().parse().unwrap_or_default();
        let mut server = Server { bin, home, data, account, port: 0, major, child: Mutex::new(None), tether };
        for attempt in 1.. {
            server.port = self.port.unwrap_or_else(ports::free_port);
            server.write_settings(&self)?;
            match server.start() {
                Err(_) if self.port.is_none() && attempt < 5 && server.log().contains("Address already in use") => {}
                Err(e) => return Err(e),
                Ok(()) => break,
            }
        }
        Ok(server)
    }
}

/// How a server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Sends what replication connections still have to get, writes a checkpoint (SIGINT).
    Fast,
    /// Drops everything at once; the next start recovers (SIGQUIT).
    Immediate,
    /// SIGKILL to the postmaster, as a crash.
    Kill,
}

/// A running (or stopped) server. Dropping it ends it and deletes its data.
pub struct Server {
    bin: PathBuf,
    home: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    port: u16,
    major: u32,
    child: Mutex<Option<Child>>,
    tether: Tether,
}

impl Server {
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The one role there is: a superuser. Any password is right.
    pub fn superuser(&self) -> &'static str {
        "postgres"
    }

    pub fn major(&self) -> u32 {
        self.major
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}@{}:{}/{database}", self.superuser(), self.host(), self.port)
    }

    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts a server that was stopped or killed; returns once it accepts connections, on the same port as before.
    pub fn start(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut running = self.child();
        if running.is_some() {
            return Ok(());
        }
        loop {
            let seen = self.log().len();
            let child = self.spawn()?;
            self.tether.hold(child.id());
            match self.wait_ready(child, deadline) {
                Ok(child) => {
                    *running = Some(child);
                    return Ok(());
                }
                Err(error) => {
                    self.tether.release();
                    // After a kill the old backends need a moment to notice that their postmaster is gone.
                    let new = self.log().split_off(seen.min(self.log().len()));
                    if !new.contains("pre-existing shared memory block") || Instant::now() > deadline {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// Stops the server and returns once its process is gone. The data stays.
    pub fn stop(&self, how: Shutdown) {
        let mut running = self.child();
        let Some(mut child) = running.take() else { return };
        let signal = match how {
            Shutdown::Fast => libc::SIGINT,
            Shutdown::Immediate => libc::SIGQUIT,
            Shutdown::Kill => libc::SIGKILL,
        };
        if matches!(child.try_wait(), Ok(None)) {
            send_signal(&child, signal);
        }
        // A fast shutdown waits for replication connections that may never read on.
        if wait_exit(&mut child, Duration::from_secs(20)).is_none() {
            send_signal(&child, libc::SIGKILL);
            let _ = child.wait();
        }
        self.tether.release();
    }

    /// As if it had crashed.
    pub fn kill(&self) {
        self.stop(Shutdown::Kill);
    }

    pub fn restart(&self, how: Shutdown) -> Result<()> {
        self.stop(how);
        self.start()
    }

    /// Reads postgresql.conf and pg_hba.conf again.
    pub fn reload(&self) {
        if let Some(child) = self.child().as_ref() {
            send_signal(child, libc::SIGHUP);
        }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }

    fn write_settings(&self, builder: &Builder) -> Result<()> {
        let port = self.port.to_string();
        let on_off = if builder.durable { "on" } else { "off" };
        let defaults = [
            ("port", port.as_str()),
            ("listen_addresses", self.host()),
            ("unix_socket_directories", ""), // a path that another user may write to is longer than a socket's may be
            ("wal_level", "logical"),
            ("fsync", on_off),
            ("full_page_writes", on_off),
            ("timezone", "Etc/UTC"),
            ("log_timezone", "Etc/UTC"),
            ("lc_messages", "C"),
        ];
        let options = builder.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let text: String =
            defaults.into_iter().chain(options).map(|(k, v)| format!("{k} = '{}'\n", v.replace('\'', "''"))).collect();
        write_private(&self.data.join("walspring.conf"), text.as_bytes(), self.account)?;
        let main = self.data.join("postgresql.conf");
        let include = "include 'walspring.conf'\n";
        if !std::fs::read_to_string(&main)?.ends_with(include) {
            std::fs::OpenOptions::new().append(true).open(&main)?.write_all(format!("\n{include}").as_bytes())?;
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut command = server_command(&self.bin.join("postgres"), self.account);
        command.arg("-D").arg(&self.data).stdout(log.try_clone()?).stderr(log);
        // Not in our foreground group: Ctrl-C is for us, and we decide when the server goes.
        command.process_group(0);
        Ok(command.spawn()?)
    }

    fn wait_ready(&self, mut child: Child, deadline: Instant) -> Result<Child> {
        let pid = child.id().to_string();
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(self.failed(&format!("ended with {status}")));
            }
            // Line 1 is the postmaster's pid, line 8 its state: what `pg_ctl -w` looks at too.
            let state = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
            if state.lines().next() == Some(&pid) && state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return Ok(child);
            }
            if Instant::now() > deadline {
                send_signal(&child, libc::SIGKILL);
                let _ = child.wait();
                return Err(self.failed("did not accept connections in time"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn failed(&self, what: &str) -> Error {
        let log = self.log();
        let last: Vec<&str> = log.lines().rev().take(12).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        Error::new(format!("The throw-away PostgreSQL {} {what}. Its log ends with:\n  {last}", self.major))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Shutdown::Immediate);
    }
}

/// A directory that the server's user can reach; its name says who made it.
fn new_home(account: Option<Account>) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let temporary = std::env::temp_dir();
    // /var/tmp rather than /tmp for root: it is seldom in memory, and seldom a service's private one.
    let parent = match account {
        Some(account) if account.reaches(Path::new("/var/tmp")) => PathBuf::from("/var/tmp"),
        _ => temporary,
    };
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = parent.join(format!("walspring-postgresql-{}-{n}", std::process::id()));
        match std::fs::create_dir(&home) {
            Ok(()) => {
                std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755))?;
                spread(&home);
                return Ok(home);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::new(format!("Cannot make {}: {e}", home.display()))),
        }
    }
}

fn empty_data(data: &Path, account: Option<Account>) -> Result<()> {
    std::fs::DirBuilder::new().create(data)?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))?;
    own(data, account)
}

pub(crate) fn initdb(bin: &Path, data: &Path, account: Option<Account>) -> Result<()> {
    let mut command = server_command(&bin.join("initdb"), account);
    command.arg("-D").arg(data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]);
    let out = command.arg("--locale=C.UTF-8").output()?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    Err(Error::new(format!("initdb of {} failed: {text}", bin.display())))
}

/// A program of PostgreSQL, as the right user, in a directory that it can enter, without our PG* variables.
fn server_command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    if let Some(account) = account {
        account.apply(&mut command);
    }
    command
}

fn write_private(path: &Path, contents: &[u8], account: Option<Account>) -> Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    own(path, account)
}

pub(crate) fn own(path: &Path, account: Option<Account>) -> Result<()> {
    match account {
        Some(account) => Ok(chown(path, Some(account.uid), Some(account.gid))?),
        None => Ok(()),
    }
}

fn wait_exit(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}
