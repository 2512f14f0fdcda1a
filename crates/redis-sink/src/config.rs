//! The typed configuration.

use std::fs;
use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};
use walspring_config::tables::redis_sink::REDIS_SINK;
use walspring_config::{Config, ConfigError, ConfigErrors, Secret};
use walspring_debezium::{Unavailable, UnavailableValues};

use crate::key::{KeyPattern, Segment};

/// What a record becomes: `redis.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A row as JSON text; a text or bytes as they are.
    String,
    /// A field for each column.
    Hash,
    /// The record's key is a member of the set that the key space names.
    Set,
}

/// `walspring.sink.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// Each change deletes the key.
    Invalidate,
}

/// Where to connect to, and what to say first.
#[derive(Debug, Clone)]
pub struct Server {
    /// Without user, password and database: we give them ourselves, to see what the server answers.
    pub client: Client,
    /// `HOST:PORT`, for messages.
    pub address: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub database: i64,
}

/// Everything that a task needs.
#[derive(Debug, Clone)]
pub struct RedisSinkConfig {
    pub(crate) server: Server,
    pub timeout: Duration,
    pub target: Target,
    pub mode: Mode,
    pub(crate) key: KeyPattern,
    pub transactions: bool,
    /// How many replicas must have a batch, and how long that may take.
    pub replicas: Option<(u32, Duration)>,
    /// Seconds.
    pub expiry: Option<u64>,
    pub deletes: bool,
    pub(crate) unavailable: UnavailableValues,
}

impl RedisSinkConfig {
    pub fn parse(config: &[(String, String)]) -> Result<RedisSinkConfig, ConfigErrors> {
        let config: Config = config.iter().cloned().collect();
        let options = config.reader(REDIS_SINK);
        let server = server(&config)?;
        let target = match options.choice("redis.type")? {
            "STRING" => Target::String,
            "HASH" => Target::Hash,
            "SET" => Target::Set,
            other => {
                let why = "this data structure is not supported: set redis.type to HASH, STRING or SET";
                return Err(ConfigError::invalid("redis.type", other, why).into());
            }
        };
        let mode = if options.choice("walspring.sink.mode")? == "invalidate" { Mode::Invalidate } else { Mode::Write };
        if target == Target::Set && mode == Mode::Invalidate {
            let why = "a set is not invalidated: set redis.type to HASH or STRING, which then does not matter further";
            return Err(ConfigError::invalid("walspring.sink.mode", "invalidate", why).into());
        }
        let keyspace = options.string("redis.keyspace")?;
        let key = match options.optional_nonempty("walspring.sink.key") {
            Some(pattern) => KeyPattern::parse(&pattern, options.string("redis.separator")?)
                .map_err(|why| ConfigError::invalid("walspring.sink.key", &pattern, why))?,
            None => KeyPattern::keyspace(&keyspace, options.string("redis.separator")?, target != Target::Set),
        };
        if target == Target::Set && key.segments.iter().any(|s| matches!(s, Segment::Key)) {
            let why = "the record's key is a member of a SET, so it cannot be in the set's key";
            return Err(ConfigError::new("walspring.sink.key", why).into());
        }
        let replicas = options.count("redis.wait.replicas")?.min(u32::MAX.into()) as u32;
        let wait = options.milliseconds("redis.wait.timeout")?;
        let placeholder = options.string("walspring.sink.unavailable.value.placeholder")?;
        let unavailable = Unavailable::parse(&placeholder).ok_or_else(|| {
            let why = "Pairs of hexadecimal digits are expected after hex:";
            ConfigError::invalid("walspring.sink.unavailable.value.placeholder", &placeholder, why)
        })?;
        Ok(RedisSinkConfig {
            server,
            // A day is as good as for ever, and fits every clock.
            timeout: Duration::from_secs(options.count("redis.timeout")?.clamp(1, 86_400)),
            target,
            mode,
            key,
            transactions: options.boolean("redis.multiexec")?,
            replicas: (replicas > 0).then_some((replicas, wait)),
            expiry: u64::try_from(options.long("redis.key.ttl")?).ok().filter(|seconds| *seconds > 0),
            deletes: options.choice("walspring.sink.deletes")? == "apply",
            unavailable: UnavailableValues::new(&unavailable),
        })
    }
}

fn server(config: &Config) -> Result<Server, ConfigErrors> {
    let options = config.reader(REDIS_SINK);
    let info = match options.optional_nonempty("redis.uri") {
        Some(uri) => from_uri(uri.trim())?,
        None => {
            let port = options.int("redis.port")?;
            let port =
                u16::try_from(port).map_err(|_| ConfigError::invalid("redis.port", &port.to_string(), "no port"))?;
            let host = options.string("redis.host")?;
            let plain = ConnectionAddr::Tcp(host.clone(), port);
            let tls = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
            let address = if options.boolean("redis.tls")? { tls } else { plain };
            address.into_connection_info().map_err(|e| ConfigError::new("redis.host", e.to_string()))?
        }
    };
    let settings = info.redis_settings();
    let user = options.optional_nonempty("redis.username").or_else(|| settings.username().map(str::to_owned));
    let password = options.secret("redis.password").filter(|password| !password.is_empty());
    let password = password.or_else(|| settings.password().map(Secret::from));
    if user.is_some() && password.is_none() {
        return Err(ConfigError::new("redis.password", "A user needs a password: set redis.password").into());
    }
    let (address, database) = (info.addr().to_string(), settings.db());
    let info = info.set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name());
    let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let client = match (tls, certificates(config)?) {
        (true, Some(certificates)) => Client::build_with_tls(info, certificates)
            .map_err(|e| ConfigError::new("redis.cacert", format!("The certificates cannot be used: {e}")))?,
        (false, Some(_)) => {
            let why = "Certificates need TLS: begin redis.uri with rediss://, or set redis.tls=true";
            return Err(ConfigError::new("redis.cacert", why).into());
        }
        (_, None) => Client::open(info).map_err(|e| ConfigError::new("redis.uri", e.to_string()))?,
    };
    Ok(Server { client, address, user, password, database })
}

/// The URI may hold a password: it is not repeated.
fn from_uri(uri: &str) -> Result<ConnectionInfo, ConfigError> {
    let error = |why: &str| ConfigError::new("redis.uri", format!("Invalid value for configuration redis.uri: {why}"));
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Err(error("redis://HOST:PORT or rediss://HOST:PORT is expected"));
    };
    match scheme {
        "redis" | "rediss" => {}
        "redis-sentinel" | "rediss-sentinel" => {
            return Err(error("Sentinel is not supported: name the master, or a proxy"));
        }
        _ => return Err(error("it begins with redis://, or rediss:// for TLS")),
    }
    if rest.contains(['?', '#']) {
        return Err(error("parameters after ? or # are not supported: set the options beginning with redis. instead"));
    }
    uri.into_connection_info().map_err(|_| error("redis://USER:PASSWORD@HOST:PORT/DATABASE is expected"))
}

fn certificates(config: &Config) -> Result<Option<TlsCertificates>, ConfigError> {
    let options = config.reader(REDIS_SINK);
    let read = |name: &str| -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(path) = options.optional_nonempty(name) else { return Ok(None) };
        let bytes = fs::read(path.trim()).map_err(|e| ConfigError::invalid(name, &path, e))?;
        Ok(Some(bytes))
    };
    let root_cert = read("redis.cacert")?;
    let client_tls = match (read("redis.key.cert")?, read("redis.key.file")?) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(ConfigError::new("redis.key.file", "A certificate needs its key: set redis.key.file"));
        }
        (None, Some(_)) => {
            return Err(ConfigError::new("redis.key.cert", "A key needs its certificate: set redis.key.cert"));
        }
    };
    Ok((root_cert.is_some() || client_tls.is_some()).then_some(TlsCertificates { client_tls, root_cert }))
}
