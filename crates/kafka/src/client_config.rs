//! Java's client options, as worker and connector give them, turned into the configuration of our clients.
//!
//! The table in [`keys`] says what each option means; this file layers them (worker's own, `producer.` / `consumer.` /
//! `admin.`, the connector's `*.override.*`), reads encryption and login, and writes the two dialects: the kept
//! client's and [`ProducerConfig`]. Options of Java alone and unknown ones are warned of, with the nearest known name.
//!
//! Unlike in Java, a worker's encryption and login also hold for the producers of its tasks unless `producer.` says
//! otherwise: nobody wants them to differ by omission.

pub mod jaas;
pub mod keys;
pub mod overrides;
mod stores;
pub mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use walspring_record_batch::Codec;

use crate::producer::{Delivery, ProducerConfig, Security};
use crate::sasl::SaslConfig;
use crate::tls::TlsConfig;
use jaas::Login;
use keys::{Convert, Meaning, Owner};
use overrides::OverridePolicy;
use stores::Identity;
use tokens::{TokenOrigin, Tokens};

/// A worker's or connector's options: name and value.
pub type Properties = BTreeMap<String, String>;

/// The options are wrong; the text names the option and what to do. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientConfigError(pub String);

impl From<String> for ClientConfigError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What one client is told, in Java's words, checked and with its files read. `Debug` shows no values: among them are
/// secrets.
#[derive(Clone)]
pub struct ClientOptions {
    pub bootstrap_servers: Vec<String>,
    pub encryption: Option<Encryption>,
    pub login: Option<LoginOptions>,
    /// What will not be as the options say; for the log, once.
    pub warnings: Vec<String>,
    owner: Owner,
    values: Properties,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("encryption", &self.encryption)
            .field("login", &self.login)
            .field("options", &self.values.keys())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct Encryption {
    authorities_pem: Option<String>,
    identity: Option<Identity>,
    verify_hostname: bool,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("own_authorities", &self.authorities_pem.is_some())
            .field("client_certificate", &self.identity.is_some())
            .field("verify_hostname", &self.verify_hostname)
            .finish()
    }
}

/// How to log in. `Debug` shows no secret.
#[derive(Clone)]
pub enum LoginOptions {
    Plain { username: String, password: String },
    Scram { mechanism: &'static str, username: String, password: String },
    OAuthBearer { tokens: Arc<Tokens> },
    Kerberos { principal: Option<String>, keytab: Option<String>, service_name: String },
}

impl LoginOptions {
    /// As in `sasl.mechanism`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::Scram { mechanism, .. } => mechanism,
            Self::OAuthBearer { .. } => "OAUTHBEARER",
            Self::Kerberos { .. } => "GSSAPI",
        }
    }
}

impl fmt::Debug for LoginOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mechanism())
    }
}

impl ClientOptions {
    /// For the worker's own clients (internal topics): options without prefix, as Java's worker gives them.
    pub fn internal(owner: Owner, worker: &Properties) -> Result<Self, ClientConfigError> {
        let values = worker.iter().filter(|(name, _)| keys::find(name, owner).is_some());
        Self::new(owner, values.map(|(k, v)| (k.clone(), v.clone())).collect(), Vec::new())
    }

    /// For the clients of a connector's tasks: the worker's common options, then those with the client's prefix, then
    /// the connector's overrides, which the worker's policy has to allow.
    pub fn for_connector<'a>(
        owner: Owner,
        worker: &Properties,
        connector: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ClientConfigError> {
        let prefix = match owner {
            Owner::Producer => "producer.",
            Owner::Consumer => "consumer.",
            Owner::Admin | Owner::Common => "admin.",
        };
        let common = |name: &str| keys::find(name, owner).is_some_and(|key| key.owner == Owner::Common);
        let mut values: Properties =
            worker.iter().filter(|(name, _)| common(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut warnings = Vec::new();
        let prefixed = worker.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())));
        let connector: Vec<_> = connector.into_iter().collect();
        let policy = OverridePolicy::from_worker(worker)?;
        if let Some((name, reason)) = policy.check(connector.iter().copied()).into_iter().next() {
            return Err(format!("{name}: {reason}").into());
        }
        let overrides = connector.iter().filter_map(|(name, value)| {
            let (client, key) = overrides::split(name)?;
            (client == owner).then_some((key, *value))
        });
        for (name, value) in prefixed.chain(overrides) {
            if keys::find(name, owner).is_none() {
                warnings.push(unknown(prefix, name, owner));
            }
            values.insert(name.to_owned(), value.to_owned());
        }
        Self::new(owner, values, warnings)
    }

    fn new(owner: Owner, values: Properties, mut warnings: Vec<String>) -> Result<Self, ClientConfigError> {
        for name in values.keys() {
            if let Some(Meaning::JavaOnly(reason)) = keys::find(name, owner).map(|key| key.meaning) {
                warnings.push(format!("{name} has no effect: {reason}"));
            }
        }
        let get = |name: &str| values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let bootstrap_servers: Vec<String> = get("bootstrap.servers")
            .ok_or_else(|| "bootstrap.servers is missing".to_owned())?
            .split(',')
            .map(|server| server.trim().to_owned())
            .filter(|server| !server.is_empty())
            .collect();
        let protocol = get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
        let (encrypted, with_login) = match protocol.as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            other => return Err(format!("security.protocol: {other} is not known").into()),
        };
        // The empty text switches the comparison of host names off, in Java as here.
        let verify_hostname = values.get("ssl.endpoint.identification.algorithm").is_none_or(|v| !v.trim().is_empty());
        let encryption = if encrypted { Some(read_encryption(&get, verify_hostname, &mut warnings)?) } else { None };
        let login = if with_login { Some(read_login(&get, &mut warnings)?) } else { None };
        if get("acks").is_some_and(|acks| !["all", "-1"].contains(&acks)) {
            warnings.push("acks has no effect: records are always acknowledged by all in-sync replicas".into());
        }
        if get("enable.idempotence").is_some_and(|v| v.eq_ignore_ascii_case("false")) {
            warnings.push("enable.idempotence=false has no effect: producers are always idempotent".into());
        }
        Ok(Self { bootstrap_servers, encryption, login, warnings, owner, values })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim())
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ClientConfigError> {
        let number = |text: &str| text.parse().map_err(|_| format!("{name}: {text} is not a number in its range"));
        Ok(self.get(name).map(number).transpose()?)
    }

    /// A time in milliseconds; what Java would wait for forever is none.
    fn time(&self, name: &str) -> Result<Option<Duration>, ClientConfigError> {
        let ms = self.number::<i64>(name)?;
        Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// `client.id` with the role behind it.
    pub fn client_id(&self, role: &str) -> String {
        match self.get("client.id") {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => role.to_owned(),
        }
    }

    /// The configuration of the kept client. `role` names the client to the brokers.
    pub fn kept(&self, role: &str) -> Result<ClientConfig, ClientConfigError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap_servers.join(","));
        config.set("client.id", self.client_id(role));
        // Kafka Connect's, rather than 10 s: a broker that comes back should be found at once.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        config.set("log.connection.close", "false");
        for (name, value) in &self.values {
            let Some(Meaning::Kept(names, convert)) = keys::find(name, self.owner).map(|key| key.meaning) else {
                continue;
            };
            let value = converted(name, value.trim(), convert)?;
            for name in names {
                config.set(*name, &value);
            }
        }
        if let Some(ms) = self.number::<i64>("request.timeout.ms")? {
            config.set("socket.timeout.ms", ms.clamp(10, 300_000).to_string());
            if self.owner == Owner::Producer {
                config.set("request.timeout.ms", ms.clamp(1, 900_000).to_string());
            }
        }
        if let Some(level) = self.compression_level()? {
            config.set("compression.level", level.to_string());
        }
        self.write_security(&mut config);
        Ok(config)
    }

    fn write_security(&self, config: &mut ClientConfig) {
        let protocol = match (&self.encryption, &self.login) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(encryption) = &self.encryption {
            if let Some(pem) = &encryption.authorities_pem {
                config.set("ssl.ca.pem", pem);
            }
            if let Some(identity) = &encryption.identity {
                config.set("ssl.certificate.pem", &identity.chain_pem).set("ssl.key.pem", &identity.key_pem);
            }
            let algorithm = if encryption.verify_hostname { "https" } else { "none" };
            config.set("ssl.endpoint.identification.algorithm", algorithm);
        }
        if let Some(login) = &self.login {
            config.set("sasl.mechanism", login.mechanism());
            match login {
                LoginOptions::Plain { username, password } | LoginOptions::Scram { username, password, .. } => {
                    config.set("sasl.username", username).set("sasl.password", password);
                }
                LoginOptions::OAuthBearer { .. } => {}
                LoginOptions::Kerberos { principal, keytab, service_name } => {
                    config.set("sasl.kerberos.service.name", service_name);
                    if let Some(principal) = principal {
                        config.set("sasl.kerberos.principal", principal);
                    }
                    if let Some(keytab) = keytab {
                        config.set("sasl.kerberos.keytab", keytab);
                    }
                    if let Some(command) = self.get("sasl.kerberos.kinit.cmd").filter(|c| c.contains(' ')) {
                        config.set("sasl.kerberos.kinit.cmd", command);
                    }
                }
            }
        }
    }

    /// The configuration of our own producer.
    pub fn producer(&self, role: &str, delivery: Delivery) -> Result<ProducerConfig, ClientConfigError> {
        let mut config = ProducerConfig::new(self.bootstrap_servers.iter().cloned(), delivery);
        config.client_id = self.client_id(role);
        config.security = self.security()?;
        if let Some(name) = self.get("compression.type") {
            config.compression = Codec::from_name(name)
                .ok_or_else(|| format!("compression.type: {name} is not none, gzip, snappy, lz4 or zstd"))?;
        }
        config.compression_level = self.compression_level()?;
        if let Some(bytes) = self.number("max.request.size")? {
            config.max_request_size = bytes;
        }
        if let Some(bytes) = self.number("buffer.memory")? {
            config.buffer_bytes = bytes;
        }
        if let Some(count) = self.number::<usize>("max.in.flight.requests.per.connection")? {
            config.in_flight_max = count.clamp(1, 5);
        }
        if let Some(time) = self.time("request.timeout.ms")? {
            config.request_timeout = time;
        }
        // The greatest int is what Connect's worker sets for "never".
        config.delivery_timeout = self.time("delivery.timeout.ms")?.filter(|t| t.as_millis() < i32::MAX as u128);
        for (name, field) in [
            ("socket.connection.setup.timeout.ms", &mut config.connection_setup_timeout),
            ("reconnect.backoff.ms", &mut config.reconnect_backoff),
            ("reconnect.backoff.max.ms", &mut config.reconnect_backoff_max),
            ("retry.backoff.ms", &mut config.retry_backoff),
            ("retry.backoff.max.ms", &mut config.retry_backoff_max),
            ("metadata.max.age.ms", &mut config.metadata_age_max),
        ] {
            if let Some(time) = self.time(name)? {
                *field = time;
            }
        }
        if let Delivery::Transactional(transaction) = &mut config.delivery
            && let Some(time) = self.time("transaction.timeout.ms")?
        {
            transaction.timeout = time;
        }
        Ok(config)
    }

    /// Encryption and login as our own connections take them.
    pub fn security(&self) -> Result<Security, ClientConfigError> {
        let tls = self.encryption.as_ref().map(|encryption| TlsConfig {
            ca_pem: encryption.authorities_pem.as_ref().map(|pem| pem.clone().into_bytes()),
            certificate_pem: encryption.identity.as_ref().map(|identity| identity.chain_pem.clone().into_bytes()),
            key_pem: encryption.identity.as_ref().map(|identity| identity.key_pem.clone().into_bytes()),
            verify_hostname: encryption.verify_hostname,
        });
        let sasl = match self.login.clone() {
            None => None,
            Some(LoginOptions::Plain { username, password }) => Some(SaslConfig::Plain { username, password }),
            Some(LoginOptions::Scram { mechanism: "SCRAM-SHA-512", username, password }) => {
                Some(SaslConfig::ScramSha512 { username, password })
            }
            Some(LoginOptions::Scram { username, password, .. }) => {
                Some(SaslConfig::ScramSha256 { username, password })
            }
            Some(LoginOptions::OAuthBearer { tokens }) => Some(SaslConfig::OAuthBearer { tokens }),
            Some(LoginOptions::Kerberos { .. }) => {
                return Err(
                    "sasl.mechanism: GSSAPI is served by the kept client only: set walspring.producer=librdkafka"
                        .to_owned()
                        .into(),
                );
            }
        };
        Ok(Security { tls, sasl })
    }

    fn compression_level(&self) -> Result<Option<i32>, ClientConfigError> {
        match self.get("compression.type") {
            Some("gzip") => self.number("compression.gzip.level"),
            Some("lz4") => self.number("compression.lz4.level"),
            Some("zstd") => self.number("compression.zstd.level"),
            _ => Ok(None),
        }
    }
}

fn unknown(prefix: &str, name: &str, owner: Owner) -> String {
    match keys::nearest(name, owner) {
        Some(near) => format!("{prefix}{name} is not known and has no effect; did you mean {prefix}{near}?"),
        None => format!("{prefix}{name} is not known and has no effect"),
    }
}

fn converted(name: &str, value: &str, convert: Convert) -> Result<String, ClientConfigError> {
    let number = || value.parse::<i64>().map_err(|_| format!("{name}: {value} is not a number"));
    Ok(match convert {
        Convert::Same => value.to_owned(),
        Convert::Lower => value.to_ascii_lowercase(),
        Convert::Kib => (number()? / 1024).clamp(1, i64::from(i32::MAX)).to_string(),
        Convert::Within(min, max) => number()?.clamp(min, max).to_string(),
        Convert::OffsetReset if value == "none" => "error".into(),
        Convert::OffsetReset => value.to_owned(),
    })
}

fn read_encryption<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
    verify_hostname: bool,
    warnings: &mut Vec<String>,
) -> Result<Encryption, String> {
    let authorities_pem = match (get("ssl.truststore.certificates"), get("ssl.truststore.location")) {
        (Some(pem), _) => Some(stores::authorities(pem, "ssl.truststore.certificates")?),
        (None, Some(location)) => {
            Some(stores::read_truststore(location, get("ssl.truststore.type"), get("ssl.truststore.password"))?)
        }
        (None, None) => None,
    };
    let key_password = get("ssl.key.password");
    let identity = match (get("ssl.keystore.certificate.chain"), get("ssl.keystore.key"), get("ssl.keystore.location"))
    {
        (Some(chain), Some(key), _) => Some(stores::identity(key, chain, key_password, "ssl.keystore.key")?),
        (None, None, Some(location)) => {
            Some(stores::read_keystore(location, get("ssl.keystore.type"), get("ssl.keystore.password"), key_password)?)
        }
        (None, None, None) => None,
        _ => return Err("ssl.keystore.certificate.chain and ssl.keystore.key belong together".into()),
    };
    if let Some(protocols) = get("ssl.enabled.protocols") {
        let protocols: Vec<_> = protocols.split(',').map(str::trim).collect();
        if !protocols.iter().any(|p| ["TLSv1.2", "TLSv1.3"].contains(p)) {
            return Err("ssl.enabled.protocols: only TLSv1.2 and TLSv1.3 are supported".into());
        }
        if protocols.len() == 1 {
            warnings
                .push("ssl.enabled.protocols has no effect: TLS 1.3 is used where the broker has it, else 1.2".into());
        }
    }
    Ok(Encryption { authorities_pem, identity, verify_hostname })
}

fn read_login<'a>(get: &impl Fn(&str) -> Option<&'a str>, warnings: &mut Vec<String>) -> Result<LoginOptions, String> {
    let mechanism = get("sasl.mechanism").unwrap_or("GSSAPI");
    for option in ["sasl.client.callback.handler.class", "sasl.login.class"] {
        if let Some(class) = get(option) {
            return Err(format!("{option}: {class} is a Java class, and there is no Java here"));
        }
    }
    let login = match get("sasl.jaas.config") {
        Some(text) => Some(jaas::parse(text)?),
        None => None,
    };
    match (mechanism, login) {
        ("PLAIN", Some(Login::Plain { username, password })) => Ok(LoginOptions::Plain { username, password }),
        ("SCRAM-SHA-256", Some(Login::Scram { username, password })) => {
            Ok(LoginOptions::Scram { mechanism: "SCRAM-SHA-256", username, password })
        }
        ("SCRAM-SHA-512", Some(Login::Scram { username, password })) => {
            Ok(LoginOptions::Scram { mechanism: "SCRAM-SHA-512", username, password })
        }
        ("OAUTHBEARER", Some(Login::OAuthBearer { options })) => read_token_origin(get, &options, warnings),
        ("OAUTHBEARER", None) if get("sasl.oauthbearer.client.credentials.client.id").is_some() => {
            read_token_origin(get, &BTreeMap::new(), warnings)
        }
        ("GSSAPI", Some(Login::Kerberos { principal, keytab, service_name })) => {
            let service_name = get("sasl.kerberos.service.name").map(str::to_owned).or(service_name);
            let service_name = service_name.ok_or("sasl.kerberos.service.name is missing")?;
            Ok(LoginOptions::Kerberos { principal, keytab, service_name })
        }
        ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" | "GSSAPI", None) => {
            Err(format!("sasl.jaas.config is missing; sasl.mechanism={mechanism} needs it"))
        }
        ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER" | "GSSAPI", Some(_)) => {
            Err(format!("sasl.jaas.config: its login module is not that of sasl.mechanism={mechanism}"))
        }
        (other, _) => Err(format!(
            "sasl.mechanism: {other} is not supported; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER and GSSAPI are"
        )),
    }
}

fn read_token_origin<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
    jaas: &BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> Result<LoginOptions, String> {
    for option in ["sasl.login.callback.handler.class", "sasl.oauthbearer.jwt.retriever.class"] {
        if let Some(class) = get(option)
            && !class.starts_with("org.apache.kafka.common.security.oauthbearer.")
        {
            return Err(format!("{option}: {class} is a Java class that cannot be loaded; Kafka's own are understood"));
        }
    }
    if jaas.keys().any(|name| name.starts_with("extension_")) {
        return Err("sasl.jaas.config: SASL extensions (extension_…) are not supported".into());
    }
    let url = get("sasl.oauthbearer.token.endpoint.url")
        .ok_or("sasl.oauthbearer.token.endpoint.url is missing; OAUTHBEARER needs it")?;
    let origin = if let Some(path) = url.strip_prefix("file:") {
        TokenOrigin::File(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    } else if url.starts_with("https://") || url.starts_with("http://") {
        if url.starts_with("http://") {
            warnings.push("sasl.oauthbearer.token.endpoint.url is not encrypted: the client secret can be read".into());
        }
        let given = |option: &str, jaas_option: &str| {
            get(option).or_else(|| jaas.get(jaas_option).map(String::as_str)).map(str::to_owned)
        };
        let need = |option: &str, jaas_option: &str| {
            given(option, jaas_option)
                .ok_or_else(|| format!("{option} (or {jaas_option} in sasl.jaas.config) is missing"))
        };
        TokenOrigin::Endpoint {
            url: url.to_owned(),
            client_id: need("sasl.oauthbearer.client.credentials.client.id", "clientId")?,
            client_secret: need("sasl.oauthbearer.client.credentials.client.secret", "clientSecret")?,
            scope: given("sasl.oauthbearer.scope", "scope"),
        }
    } else {
        return Err("sasl.oauthbearer.token.endpoint.url: only https, http and file are understood".into());
    };
    Ok(LoginOptions::OAuthBearer { tokens: Arc::new(Tokens::new(origin)) })
}

#[cfg(test)]
mod tests;
