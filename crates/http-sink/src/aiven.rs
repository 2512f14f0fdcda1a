//! The options of Aiven's connector.

use std::time::Duration;

use ureq::http::{Method, header};
use walspring_config::tables::http_sink::AIVEN_HTTP_SINK;
use walspring_config::{Config, ConfigError, ConfigErrors};
use walspring_net::addresses::Ceiling;

use crate::config::{self, Body, Common, HttpSinkConfig, OnError, Tls, pem_file, secret_header, url};

pub fn parse(config: &Config, ceiling: &Ceiling) -> Result<HttpSinkConfig, ConfigErrors> {
    let options = config.reader(AIVEN_HTTP_SINK);
    let common = Common::read(options, ceiling)?;
    let mut headers = Vec::new();
    for text in options.list("http.headers.additional").iter().filter(|text| !text.is_empty()) {
        let (name, value) = config::header("http.headers.additional", text)?;
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(ConfigError::invalid("http.headers.additional", name.as_str(), "it is there twice").into());
        }
        headers.push((name, value));
    }
    if let Some(content_type) = options.optional_nonempty("http.headers.content.type") {
        let (_, value) = config::header("http.headers.content.type", &format!("content-type:{content_type}"))?;
        headers.push((header::CONTENT_TYPE, value));
    }
    let authorization = match options.choice("http.authorization.type")? {
        "static" => {
            let name = "http.headers.authorization";
            let value = options.secret(name).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| ConfigError::new(name, "http.authorization.type=static needs it"))?;
            Some(secret_header(name, value.expose().trim())?)
        }
        "oauth2" => {
            let why = "OAuth is not supported yet";
            return Err(ConfigError::invalid("http.authorization.type", "oauth2", why).into());
        }
        _ => None,
    };
    let batches = options.boolean("batching.enabled")?;
    let framing = |name: &str| options.string(name).map(|text| unescaped(&text));
    let tls = match options.optional_nonempty("http.ssl.truststore.location") {
        Some(path) => Tls { authorities: Some(pem_file("http.ssl.truststore.location", &path)?), ..Tls::default() },
        None => Tls::default(),
    };
    let timeout = Duration::from_secs(options.count("http.timeout")?.clamp(1, 86_400));
    Ok(HttpSinkConfig {
        url_option: "http.url",
        authorization_options: "http.authorization.type and http.headers.authorization",
        url: url("http.url", &options.string("http.url")?)?,
        method: Method::POST,
        headers,
        authorization,
        body: Body {
            json: false,
            numeric_decimals: common.numeric_decimals,
            records_max: if batches { options.count("batch.max.size")?.max(1) as usize } else { 1 },
            prefix: framing("batch.prefix")?,
            suffix: framing("batch.suffix")?,
            separator: framing("batch.separator")?,
            framed: batches,
        },
        tombstones: common.tombstones,
        on_error: OnError::Fail,
        retry: common.retry,
        connect_timeout: timeout,
        request_timeout: timeout,
        tls,
        signature: common.signature,
        idempotency: common.idempotency,
        gate: common.gate,
    })
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(escaped @ ('n' | 'r' | 't' | '\\'))) => {
                rest.next();
                out.push(match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    _ => '\\',
                });
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        assert_eq!(unescaped(r"a\nb\t\\n\x\"), "a\nb\t\\n\\x\\");
    }
}
