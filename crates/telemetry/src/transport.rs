//! One endpoint of OTLP over HTTP: posts a protobuf message and says what became of it. Waits; lives on the exporting
//! threads only.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::http::{HeaderMap, Request, StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PrivateKey, TlsConfig};
use walspring_net::http::{PemText, tls_config};

use crate::settings::Endpoint;

/// Of an answer; all of it is a short message.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;
/// What a receiver may ask us to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

pub struct Transport {
    agent: ureq::Agent,
    endpoint: Endpoint,
}

#[derive(Debug)]
pub enum SendError {
    /// It may be taken another time, when this has passed (if the receiver says when).
    Transient { message: String, retry_after: Option<Duration> },
    /// It is not wanted.
    Definite(String),
}

impl Transport {
    /// Errors say which file cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Transport, String> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(endpoint.timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("OTel-OTLP-Exporter-Walspring/", env!("CARGO_PKG_VERSION")));
        let config =
            if endpoint.url.scheme_str() == Some("https") { config.tls_config(tls(&endpoint)?) } else { config };
        Ok(Transport { agent: config.build().into(), endpoint })
    }

    /// The URL, without what may be secret.
    pub fn shown(&self) -> String {
        self.endpoint.shown()
    }

    /// The answer's body: a message that may say that parts were refused.
    pub fn send(&self, message: &[u8]) -> Result<Vec<u8>, SendError> {
        let mut request = Request::post(&self.endpoint.url).header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.endpoint.headers {
            request = request.header(name, value);
        }
        let sent = if self.endpoint.gzip {
            let request = request.header(header::CONTENT_ENCODING, "gzip").body(compressed(message));
            request.map(|request| self.agent.run(request))
        } else {
            request.body(message).map(|request| self.agent.run(request))
        };
        let transient = |e: ureq::Error| SendError::Transient { message: e.to_string(), retry_after: None };
        let sent = sent.map_err(|e| SendError::Definite(e.to_string()))?;
        let mut response = sent.map_err(transient)?;
        let body = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec();
        let status = response.status();
        match status {
            _ if status.is_success() => body.map_err(transient),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(SendError::Transient {
                message: format!("it answers {status}"),
                retry_after: retry_after(response.headers()),
            }),
            _ => Err(SendError::Definite(format!("it answers {status}"))),
        }
    }
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
    // Memory does not refuse.
    let _ = encoder.write_all(message);
    encoder.finish().unwrap_or_default()
}

/// Seconds only: the other form, a date, is left to our own back-off.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// With the authorities of the system, unless a file names others.
fn tls(endpoint: &Endpoint) -> Result<TlsConfig, String> {
    let authorities = endpoint.authorities.as_deref().map(certificates).transpose()?;
    let mut tls = tls_config(authorities);
    if let Some((certificate, key)) = &endpoint.client_certificate {
        let pem = read(key)?;
        let key = PrivateKey::from_pem(&pem).map_err(|_| format!("{} holds no private key (PEM)", key.display()))?;
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates(certificate)?, key)));
    }
    Ok(tls.build())
}

fn certificates(path: &std::path::Path) -> Result<Vec<Certificate<'static>>, String> {
    let found = PemText::read(&read(path)?).certificates;
    if found.is_empty() { Err(format!("{} holds no certificate (PEM)", path.display())) } else { Ok(found) }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
}
