//! The typed configuration, the same for both classes.

use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue, Method};
use walspring_config::config::Reader;
use walspring_config::{ConfigError, ConfigErrors, Secret};
use walspring_converters::json::JsonOptions;
use walspring_net::addresses::{AddressGate, Ceiling};

use crate::signature::{Signer, Style};
use crate::status::Statuses;
use crate::template::{Template, UrlTemplate};

pub struct HttpSinkConfig {
    /// The name of the URL's option, for errors.
    pub url_option: &'static str,
    /// The options that mend a refused authorization.
    pub authorization_options: &'static str,
    pub url: UrlTemplate,
    pub method: Method,
    pub headers: Vec<(HeaderName, Template)>,
    /// As it is sent.
    pub authorization: Option<HeaderValue>,
    pub body: Body,
    pub tombstones: Tombstones,
    pub on_error: OnError,
    pub retry: Retry,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub tls: Tls,
    pub signature: Option<(HeaderName, Signer)>,
    pub idempotency: Option<HeaderName>,
    pub gate: AddressGate,
}

/// How records become bodies.
#[derive(Debug, Clone)]
pub struct Body {
    /// Texts are JSON too.
    pub json: bool,
    pub numeric_decimals: bool,
    /// Most records of a request.
    pub records_max: usize,
    pub prefix: String,
    pub suffix: String,
    pub separator: String,
    /// Whether there are prefix and suffix at all.
    pub framed: bool,
}

impl Body {
    pub fn json_options(&self) -> JsonOptions {
        JsonOptions { schemas: false, numeric_decimals: self.numeric_decimals, ..JsonOptions::default() }
    }
}

/// `behavior.on.null.values`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstones {
    Ignore,
    Log,
    Delete,
    Fail,
}

/// `behavior.on.error`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Fail,
    Ignore,
    Log,
}

#[derive(Debug, Clone)]
pub struct Retry {
    pub statuses: Statuses,
    /// `None`: without end.
    pub max: Option<u32>,
    pub backoff: Duration,
    pub after_max: Duration,
}

/// PEM.
#[derive(Default)]
pub struct Tls {
    /// `None`: the system's.
    pub authorities: Option<Vec<u8>>,
    pub client_certificate: Option<Vec<u8>>,
    pub client_key: Option<Secret>,
}

/// What both classes have under the same names.
pub struct Common {
    pub tombstones: Tombstones,
    pub retry: Retry,
    pub signature: Option<(HeaderName, Signer)>,
    pub idempotency: Option<HeaderName>,
    pub gate: AddressGate,
    pub numeric_decimals: bool,
}

impl Common {
    pub fn read(options: Reader<'_>, ceiling: &Ceiling) -> Result<Common, ConfigErrors> {
        let statuses = options.string("retry.on.status.codes")?;
        let optional_ms = |name: &str| {
            options.optional_nonempty(name).map(|_| options.count(name)).transpose().map(Option::unwrap_or_default)
        };
        let retry = Retry {
            statuses: Statuses::parse(&statuses)
                .map_err(|why| ConfigError::invalid("retry.on.status.codes", &statuses, why))?,
            max: options
                .optional_nonempty("max.retries")
                .map(|_| options.count("max.retries"))
                .transpose()?
                .map(|max| max.min(u32::MAX.into()) as u32),
            backoff: Duration::from_millis(optional_ms("retry.backoff.ms")?),
            after_max: options.milliseconds("walspring.sink.retry.after.max.ms")?,
        };
        let style = match options.choice("walspring.sink.hmac.style")? {
            "body" => Style::Body,
            _ => Style::Timestamped,
        };
        let secret = options.secret("walspring.sink.hmac.secret").filter(|secret| !secret.is_empty());
        let default = if style == Style::Body { "X-Hub-Signature-256" } else { "Walspring-Signature" };
        let name = options.optional_nonempty("walspring.sink.hmac.header").unwrap_or_else(|| default.to_owned());
        let name = header_name("walspring.sink.hmac.header", &name)?;
        let signature = secret.map(|secret| (name, Signer::new(secret.expose(), style)));
        let idempotency = options
            .optional_nonempty("walspring.sink.idempotency.header")
            .map(|name| header_name("walspring.sink.idempotency.header", &name))
            .transpose()?;
        let allowed = options.optional("walspring.http.allow").unwrap_or_default();
        let gate = AddressGate::new(ceiling.clone(), &allowed)
            .map_err(|why| ConfigError::invalid("walspring.http.allow", &allowed, why))?;
        let tombstones = match options.choice("behavior.on.null.values")? {
            "delete" => Tombstones::Delete,
            "fail" => Tombstones::Fail,
            "log" => Tombstones::Log,
            _ => Tombstones::Ignore,
        };
        let numeric_decimals = options.choice("decimal.format")? == "NUMERIC";
        Ok(Common { tombstones, retry, signature, idempotency, gate, numeric_decimals })
    }
}

pub fn url(name: &str, value: &str) -> Result<UrlTemplate, ConfigError> {
    UrlTemplate::parse(value)
        .map_err(|why| ConfigError::new(name, format!("Invalid value for configuration {name}: {why}")))
}

/// `NAME:VALUE`
pub fn header(option: &str, text: &str) -> Result<(HeaderName, Template), ConfigError> {
    let error = |why: &str| ConfigError::new(option, format!("Invalid value for configuration {option}: {why}"));
    let (name, value) = text.split_once(':').ok_or_else(|| error("a header is NAME:VALUE"))?;
    let name = header_name(option, name)?;
    let value = value.trim();
    if value.chars().any(char::is_control) {
        return Err(error("a header's value has control characters"));
    }
    let value = Template::parse(value).map_err(|why| error(&why))?;
    Ok((name, value))
}

/// A name that is not ours to send.
pub fn header_name(option: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let error = |why: &str| ConfigError::invalid(option, name.trim(), why);
    let parsed: HeaderName = name.trim().parse().map_err(|_| error("it is no name of a header"))?;
    const OURS: [&str; 8] =
        ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"];
    if OURS.contains(&parsed.as_str()) {
        return Err(error("this header is set by the connection itself"));
    }
    Ok(parsed)
}

/// The value of a header that holds a secret.
pub fn secret_header(option: &str, value: &str) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        ConfigError::new(option, format!("Invalid value for configuration {option}: control characters"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A PEM file.
pub fn pem_file(option: &str, path: &str) -> Result<Vec<u8>, ConfigError> {
    let bytes = std::fs::read(path.trim()).map_err(|e| ConfigError::invalid(option, path, e))?;
    if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        let why = "it is not PEM; of a Java key store: keytool -exportcert -rfc";
        return Err(ConfigError::invalid(option, path, why));
    }
    Ok(bytes)
}
