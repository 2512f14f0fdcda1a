//! The options of Confluent's connector.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Method;
use walspring_config::config::Reader;
use walspring_config::tables::http_sink::HTTP_SINK;
use walspring_config::{Config, ConfigError, ConfigErrors, Secret};
use walspring_net::addresses::Ceiling;

use crate::config::{Body, Common, HttpSinkConfig, OnError, Tls, header, pem_file, secret_header, url};

pub fn parse(config: &Config, ceiling: &Ceiling) -> Result<HttpSinkConfig, ConfigErrors> {
    let options = config.reader(HTTP_SINK);
    let common = Common::read(options, ceiling)?;
    let separator = options.string("header.separator")?;
    let headers = options.string("headers")?;
    let headers = headers.split(&*separator).filter(|text| !text.trim().is_empty());
    let headers = headers.map(|text| header("headers", text)).collect::<Result<_, _>>()?;
    let json = options.choice("request.body.format")? == "json";
    let as_array = options.boolean("batch.json.as.array")?;
    if as_array && !json {
        let why = "Invalid value true for configuration batch.json.as.array: set request.body.format=json";
        return Err(ConfigError::new("batch.json.as.array", why).into());
    }
    let records_max = options.count("batch.max.size")?.max(1) as usize;
    let text = |name: &str| options.string(name);
    let (prefix, suffix, between) = if as_array {
        ("[".to_owned(), "]".to_owned(), ",".to_owned())
    } else {
        (text("batch.prefix")?, text("batch.suffix")?, text("batch.separator")?)
    };
    Ok(HttpSinkConfig {
        url_option: "http.api.url",
        authorization_options: "auth.type, connection.user and connection.password, or headers",
        url: url("http.api.url", &options.string("http.api.url")?)?,
        method: match options.choice("request.method")? {
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => Method::POST,
        },
        headers,
        authorization: authorization(options)?,
        body: Body {
            json,
            numeric_decimals: common.numeric_decimals,
            records_max,
            prefix,
            suffix,
            separator: between,
            framed: true,
        },
        tombstones: common.tombstones,
        on_error: match options.choice("behavior.on.error")? {
            "ignore" => OnError::Ignore,
            "log" => OnError::Log,
            _ => OnError::Fail,
        },
        retry: common.retry,
        connect_timeout: options.milliseconds("http.connect.timeout.ms")?.max(Duration::from_millis(1)),
        request_timeout: options.milliseconds("http.request.timeout.ms")?.max(Duration::from_millis(1)),
        tls: tls(options)?,
        signature: common.signature,
        idempotency: common.idempotency,
        gate: common.gate,
    })
}

fn authorization(options: Reader<'_>) -> Result<Option<ureq::http::HeaderValue>, ConfigError> {
    match options.choice("auth.type")? {
        "BASIC" => {
            let user = options.optional_nonempty("connection.user");
            let user =
                user.ok_or_else(|| ConfigError::new("connection.user", "auth.type=BASIC needs connection.user"))?;
            let password = options.secret("connection.password").unwrap_or_default();
            let text = STANDARD.encode(format!("{user}:{}", password.expose()));
            secret_header("connection.password", &format!("Basic {text}")).map(Some)
        }
        "BEARER" => {
            let token = options.secret("bearer.token").filter(|token| !token.is_empty());
            let token = token.ok_or_else(|| ConfigError::new("bearer.token", "auth.type=BEARER needs bearer.token"))?;
            secret_header("bearer.token", &format!("Bearer {}", token.expose().trim())).map(Some)
        }
        "OAUTH2" => Err(ConfigError::invalid("auth.type", "OAUTH2", "OAuth is not supported yet")),
        _ => Ok(None),
    }
}

fn tls(options: Reader<'_>) -> Result<Tls, ConfigError> {
    let mut tls = Tls::default();
    if let Some(path) = options.optional_nonempty("https.ssl.truststore.location") {
        tls.authorities = Some(pem_file("https.ssl.truststore.location", &path)?);
    } else if let Some(pem) = options.optional_nonempty("https.ssl.truststore.certificates") {
        tls.authorities = Some(pem.into_bytes());
    }
    if let Some(path) = options.optional_nonempty("https.ssl.keystore.location") {
        let pem = pem_file("https.ssl.keystore.location", &path)?;
        tls.client_key = Some(Secret::new(String::from_utf8_lossy(&pem).into_owned()));
        tls.client_certificate = Some(pem);
    } else if let Some(pem) = options.optional_nonempty("https.ssl.keystore.certificate.chain") {
        let key = options.secret("https.ssl.keystore.key").filter(|key| !key.is_empty());
        let why = "https.ssl.keystore.certificate.chain needs https.ssl.keystore.key";
        tls.client_key = Some(key.ok_or_else(|| ConfigError::new("https.ssl.keystore.key", why))?);
        tls.client_certificate = Some(pem.into_bytes());
    }
    Ok(tls)
}
