//! The client of a task: one host, connections that are kept, no proxy, no redirect.

use std::io::Read;
use std::net::ToSocketAddrs;
use std::time::{Duration, SystemTime};

use ureq::http::{Request, Uri};
use ureq::tls::{ClientCert, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};
use walspring_config::ConfigError;
use walspring_connect::TaskError;
use walspring_net::addresses::Refusal;
use walspring_net::http::{AllRefused, GatedResolver, PemText, tls_config};

use crate::config::{HttpSinkConfig, Tls};
use crate::status::retry_after;

/// An answer's body is read so that the connection can be used again, up to this.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const CONNECT_EXCEPTION: &str = walspring_connect::CONNECT_EXCEPTION;
const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";

pub struct HttpClient {
    agent: Agent,
    /// `https://HOST`, for messages: a path may hold secrets.
    place: String,
    url_option: &'static str,
}

pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
}

impl HttpClient {
    pub fn new(config: &HttpSinkConfig) -> Result<HttpClient, ConfigError> {
        let settings = Agent::config_builder()
            .timeout_global(Some(config.request_timeout))
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // A DELETE with a body, where that is configured.
            .allow_non_standard_methods(true)
            .https_only(config.url.secure)
            .proxy(None)
            .user_agent(concat!("walspring/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&config.tls)?)
            .build();
        let resolver = GatedResolver::new(config.gate.clone());
        let agent = Agent::with_parts(settings, DefaultConnector::default(), resolver);
        Ok(HttpClient { agent, place: place(config), url_option: config.url_option })
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, TaskError> {
        let mut answer = self.agent.run(request).map_err(|error| self.failed(error))?;
        let header = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| retry_after(value, SystemTime::now()));
        // The status has been given: what happens to the body changes nothing.
        let mut body = answer.body_mut().as_reader().take(ANSWER_BYTES_MAX);
        let _ = std::io::copy(&mut body, &mut std::io::sink());
        Ok(Answer { status: answer.status().as_u16(), retry_after })
    }

    fn failed(&self, error: Error) -> TaskError {
        let transient = |what: String| TaskError::transient(RETRIABLE_EXCEPTION, format!("{} {what}", self.place));
        let definite = |what: String| TaskError::definite(CONNECT_EXCEPTION, format!("{} {what}", self.place));
        match error {
            Error::Other(error) => match error.downcast::<AllRefused<Refusal>>() {
                Ok(refused) => refused_address(&self.place, &refused),
                Err(_) => transient("cannot be called".to_owned()),
            },
            Error::Timeout(which) => transient(format!("did not answer in time ({which})")),
            Error::HostNotFound => transient("has no address".to_owned()),
            Error::Rustls(error) => definite(format!("cannot be trusted: {error}"))
                .hint("name the authority that signed its certificate in the truststore option"),
            Error::Tls(error) => definite(format!("cannot be reached by TLS: {error}")),
            Error::Pem(_) => definite("cannot be reached by TLS: a certificate or key is no PEM".to_owned()),
            Error::Io(error) if error.to_string().contains("invalid peer certificate") => {
                definite(format!("cannot be trusted: {error}"))
                    .hint("name the authority that signed its certificate in the truststore option")
            }
            Error::Io(error) if error.to_string().contains("fatal alert") => {
                definite(format!("breaks TLS off: {error}"))
                    .hint("it may want a client's certificate: the keystore options")
            }
            Error::Io(error) => transient(format!("cannot be reached: {error}")),
            Error::BadUri(_) | Error::Http(_) => definite("cannot be called: the URL or a header is wrong".to_owned())
                .hint(format!("see {}", self.url_option)),
            // What it sent may be in the error's text.
            Error::Protocol(_) => transient("did not answer as HTTP has it".to_owned()),
            Error::LargeResponseHeader(..) => transient("answers with too long a header".to_owned()),
            _ => transient("broke the connection off".to_owned()),
        }
    }
}

/// Whether the host has an address that may be called, for the check of a configuration.
pub fn check_address(config: &HttpSinkConfig) -> Result<(), String> {
    let host = config.url.host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, config.url.port).to_socket_addrs().map_err(|e| format!("{host} has no address: {e}"))?;
    let mut refused = None;
    for address in found {
        match config.gate.check(&config.url.host, address.ip()) {
            Ok(()) => return Ok(()),
            Err(refusal) => refused = Some(refusal),
        }
    }
    Err(refused.map_or_else(|| format!("{host} has no address"), |refusal| told(&refusal)))
}

fn refused_address(place: &str, AllRefused(refused): &AllRefused<Refusal>) -> TaskError {
    let why = refused.first().map(told).unwrap_or_default();
    TaskError::definite(CONNECT_EXCEPTION, format!("{place} may not be called: {why}")).hint(
        "what connectors may call is for the operator of the worker to say (walspring.http.allow.addresses), below it \
         for walspring.http.allow of the connector",
    )
}

/// With the option whose list it is.
fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Ceiling(address, kind) => format!(
            "{address} ({kind}) may not be called: the worker's walspring.http.allow.addresses does not have it"
        ),
        Refusal::Connector(address) => {
            format!("{address} may not be called: the connector's walspring.http.allow has neither it nor its name")
        }
    }
}

fn place(config: &HttpSinkConfig) -> String {
    let scheme = if config.url.secure { "https" } else { "http" };
    format!("{scheme}://{}:{}", config.url.host, config.url.port)
}

fn tls(tls: &Tls) -> Result<TlsConfig, ConfigError> {
    let error = |what: &str| ConfigError::new("connector.class", format!("TLS cannot be set up: {what}"));
    let authorities = tls.authorities.as_deref().map(|pem| PemText::read(pem).certificates);
    if authorities.as_ref().is_some_and(Vec::is_empty) {
        return Err(error("the authorities' PEM has no certificate"));
    }
    let client = match (&tls.client_certificate, &tls.client_key) {
        (Some(chain), Some(key)) => {
            let chain = PemText::read(chain).certificates;
            let key = PemText::read(key.expose().as_bytes()).key;
            let key = key.ok_or_else(|| error("the client's PEM has no key that is not encrypted"))?;
            if chain.is_empty() {
                return Err(error("the client's PEM has no certificate"));
            }
            Some(ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    Ok(tls_config(authorities).client_cert(client).build())
}

/// A URL that is complete.
pub fn uri(text: &str) -> Result<Uri, String> {
    text.parse().map_err(|_| "the URL is none with these values".to_owned())
}
