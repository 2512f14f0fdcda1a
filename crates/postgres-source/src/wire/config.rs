//! What it takes to reach a server: plain data, no I/O. Files named here are read anew at each connect, so that a
//! rotated certificate is picked up.

use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroize;

/// A password. It has no `Debug` and no `Display`, and is overwritten when dropped.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// `sslmode`, with libpq's meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS only if the server refuses a plain connection.
    Allow,
    /// TLS if the server has it, else plain.
    #[default]
    Prefer,
    /// TLS or nothing. The certificate is checked (as in `VerifyCa`) only if a root certificate is given.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// TLS, a trusted authority, and the certificate names the host.
    VerifyFull,
}

impl std::str::FromStr for SslMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(format!("unknown sslmode {name:?}")),
        })
    }
}

/// Whether SCRAM must be bound to the TLS channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    Disable,
    /// Where the server offers it.
    #[default]
    Prefer,
    /// Every other way to authenticate is refused, `trust` included.
    Require,
}

/// What the server must be, where several hosts are given. Libpq's `target_session_attrs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSession {
    #[default]
    Any,
    /// Not a standby, and not read-only by default.
    ReadWrite,
    /// A standby, or read-only by default.
    ReadOnly,
    /// Not a standby.
    Primary,
    Standby,
}

impl std::str::FromStr for TargetSession {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            _ => return Err(format!("unknown target_session_attrs {name:?}")),
        })
    }
}

/// A certificate or a key: a file, or its content.
#[derive(Clone)]
pub enum Pem {
    Path(PathBuf),
    Bytes(Vec<u8>),
}

#[derive(Clone, Default)]
pub struct SslConfig {
    pub mode: SslMode,
    pub channel_binding: ChannelBinding,
    /// Trusted authorities, PEM. Without it, the verifying modes use the system's.
    pub root_cert: Option<Pem>,
    /// Our certificate and its chain, PEM.
    pub client_cert: Option<Pem>,
    /// Our key: PEM (PKCS#1, SEC1, PKCS#8, encrypted PKCS#8) or DER (PKCS#8, encrypted or not, as pgjdbc wants it).
    pub client_key: Option<Pem>,
    /// Password of an encrypted PKCS#8 key.
    pub key_password: Option<Secret>,
}

/// TCP keepalive: first probe after `idle`, then every `interval`, dead after `count` without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
}

impl Default for Keepalive {
    /// Dead after one minute of silence. Linux's own 7200 s + 9 × 75 s is of no use to a replication task.
    fn default() -> Self {
        Self { idle: Duration::from_secs(30), interval: Duration::from_secs(10), count: 3 }
    }
}

/// Where and as whom to connect.
#[derive(Clone)]
pub struct ConnectConfig {
    /// Tried in order, each with all its addresses, resolved anew at each connect. A host that begins with `/` is the
    /// directory of a Unix-domain socket.
    pub hosts: Vec<(String, u16)>,
    /// A server that is not so is passed over.
    pub target_session: TargetSession,
    pub user: String,
    pub password: Option<Secret>,
    pub dbname: String,
    pub ssl: SslConfig,
    pub application_name: String,
    /// Per address, from the first packet to the end of authentication. `None`: the system's patience.
    pub connect_timeout: Option<Duration>,
    /// Longest silence while waiting for the reply to a query or for the next bytes of a COPY. `None`: no limit.
    pub read_timeout: Option<Duration>,
    /// Silence after which the server is asked, on another connection, whether it still works on the reply. `None`: never.
    pub silence_max: Option<Duration>,
    /// `None` switches keepalive off.
    pub tcp_keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged before the connection is dead (Linux).
    pub tcp_user_timeout: Option<Duration>,
    /// Connect as a walsender of `dbname`: `replication=database`. Takes simple queries too.
    pub replication: bool,
    /// Further startup parameters: any run-time setting (`search_path`, `TimeZone`), or `options`.
    pub options: Vec<(String, String)>,
    /// Settings that not every version has, which would refuse the connection for them: the first major version, name and
    /// value. They are set once the session is there.
    pub options_since: Vec<(u32, &'static str, &'static str)>,
}

impl ConnectConfig {
    /// One host, defaults for the rest. Default: `sslmode=prefer`, 10 s to connect, as pgjdbc.
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>, dbname: impl Into<String>) -> Self {
        Self {
            hosts: vec![(host.into(), port)],
            target_session: TargetSession::Any,
            user: user.into(),
            password: None,
            dbname: dbname.into(),
            ssl: SslConfig::default(),
            application_name: "walspring".to_owned(),
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: None,
            silence_max: None,
            tcp_keepalive: Some(Keepalive::default()),
            tcp_user_timeout: Some(Duration::from_secs(60)),
            replication: false,
            options: Vec::new(),
            options_since: Vec::new(),
        }
    }
}

/// Says where and as whom, never with what password.
impl std::fmt::Debug for ConnectConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectConfig")
            .field("hosts", &self.hosts)
            .field("user", &self.user)
            .field("dbname", &self.dbname)
            .field("sslmode", &self.ssl.mode)
            .field("replication", &self.replication)
            .finish_non_exhaustive()
    }
}
