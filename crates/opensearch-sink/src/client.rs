//! HTTP to one of the cluster's nodes: the one that answered last, else the next.
//!
//! Redirects are not followed and no proxy of the environment is used: what is dialled is what `connection.url` says and
//! `address_gate.rs` lets through. Nothing of an answer's body goes further than those who parse it.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::http::{Request, Uri};
use ureq::unversioned::transport::DefaultConnector;
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_net::http::{AllRefused, GatedResolver};

use crate::address_gate::{AddressGate, AddressRefused};
use crate::config::SinkConfig;
use crate::tls;

/// Of one answer: an item of a bulk is about 100 bytes, with an error some hundreds more; documents are asked for by tens.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests about indices wait for the cluster's state to change.
const INDEX_TIMEOUT_MIN: Duration = Duration::from_secs(30);
/// A body of a few MiB over a slow line.
const SEND_TIMEOUT_MIN: Duration = Duration::from_secs(30);

pub const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";

/// Where a node is. Shows without anything secret: there is nothing in it.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl {
    /// Without a slash at the end.
    base: String,
}

impl NodeUrl {
    pub fn parse(text: &str) -> Result<NodeUrl, String> {
        if text.contains('@') {
            return Err("no user or password in a URL; use connection.username and connection.password".to_owned());
        }
        let uri: Uri = text.parse().map_err(|_| format!("{text} is no URL"))?;
        match (uri.scheme_str(), uri.authority(), uri.query()) {
            (Some("http" | "https"), Some(authority), None) if !authority.host().is_empty() => {
                Ok(NodeUrl { base: text.trim_end_matches('/').to_owned() })
            }
            _ => Err(format!("{text} is not of the form http://HOST:PORT or https://HOST:PORT")),
        }
    }

    pub fn is_https(&self) -> bool {
        self.base.starts_with("https")
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

pub struct Answer {
    pub status: u16,
    /// Empty where it is larger than is read.
    pub body: Vec<u8>,
    pub is_too_large: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Head,
    Post,
    Put,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }
}

/// What is asked.
pub struct Question<'a> {
    pub method: Method,
    /// Begins with a slash.
    pub path: &'a str,
    pub content_type: &'static str,
    pub body: &'a [u8],
    /// Whether it is about an index, not documents: those may take longer.
    pub about_index: bool,
}

pub struct Client {
    agent: Agent,
    urls: Vec<NodeUrl>,
    /// The node that answered last.
    current: usize,
    authorization: Option<String>,
    gzip: bool,
    read_timeout: Option<Duration>,
}

impl Client {
    pub fn new(config: &SinkConfig) -> Result<Client, TaskError> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(AutoHeaderValue::Provided(concat!("walspring/", env!("CARGO_PKG_VERSION")).to_owned().into()))
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(config.connect_timeout)
            .max_idle_age(config.idle_max)
            .tls_config(tls::config(&config.tls)?)
            .build();
        let authorization = match (&config.username, &config.password) {
            (Some(user), Some(password)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
            }
            _ => None,
        };
        Ok(Client {
            agent: Agent::with_parts(agent, DefaultConnector::new(), GatedResolver::new(AddressGate)),
            urls: config.urls.clone(),
            current: 0,
            authorization,
            gzip: config.gzip,
            read_timeout: config.read_timeout,
        })
    }

    /// Where it is, for messages.
    pub fn node(&self) -> &NodeUrl {
        &self.urls[self.current]
    }

    /// Asks each node at most once, until one answers. Transient where none does; definite where asking again cannot
    /// help. Any status is an answer, but for those with which a proxy says that its node is away.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Answer, TaskError> {
        let body = if self.gzip && !question.body.is_empty() { compressed(question.body) } else { None };
        let mut last = None;
        for _ in 0..self.urls.len() {
            match self.ask_current(question, body.as_deref()) {
                Ok(answer) if !matches!(answer.status, 502..=504) => return Ok(answer),
                Err(error) if !error.is_transient() => return Err(error),
                other => last = Some(other),
            }
            self.current = (self.current + 1) % self.urls.len();
        }
        last.unwrap_or_else(|| Err(TaskError::definite(CONNECT_EXCEPTION, "connection.url is empty")))
    }

    fn ask_current(&self, question: &Question<'_>, compressed: Option<&[u8]>) -> Result<Answer, TaskError> {
        let node = self.node();
        let mut request = Request::builder()
            .method(question.method.name())
            .uri(format!("{node}{}", question.path))
            .header("Accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        if compressed.is_some() {
            request = request.header("Content-Encoding", "gzip");
        }
        let timeout = self
            .read_timeout
            .map(|timeout| if question.about_index { timeout.max(INDEX_TIMEOUT_MIN) } else { timeout });
        let impossible = |error: &dyn fmt::Display| {
            TaskError::definite(CONNECT_EXCEPTION, format!("{node}: the request cannot be made: {error}"))
        };
        let sent = if question.method == Method::Head {
            let request = request.body(()).map_err(|e| impossible(&e))?;
            let request = self.agent.configure_request(request).timeout_recv_response(timeout);
            self.agent.run(request.timeout_recv_body(timeout).build())
        } else {
            let body = compressed.unwrap_or(question.body);
            let request = request.header("Content-Type", question.content_type).body(body);
            let request = self.agent.configure_request(request.map_err(|e| impossible(&e))?);
            let request = request
                .timeout_send_body(timeout.map(|timeout| timeout.max(SEND_TIMEOUT_MIN)))
                .timeout_recv_response(timeout)
                .timeout_recv_body(timeout);
            self.agent.run(request.build())
        };
        let mut response = sent.map_err(|error| unreachable(node, error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        match body {
            Ok(body) => Ok(Answer { status, body, is_too_large: false }),
            Err(ureq::Error::BodyExceedsLimit(_)) => Ok(Answer { status, body: Vec::new(), is_too_large: true }),
            Err(error) => Err(unreachable(node, error)),
        }
    }
}

/// `None`: it cannot be made smaller.
fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Why a node did not answer: for good, or only now.
fn unreachable(node: &NodeUrl, error: ureq::Error) -> TaskError {
    let definite = |message: String| TaskError::definite(CONNECT_EXCEPTION, format!("{node}: {message}"));
    if let ureq::Error::Other(inner) = &error
        && let Some(AllRefused(refused)) = inner.downcast_ref::<AllRefused<AddressRefused>>()
        && let Some(refused) = refused.last()
    {
        return definite(format!("connection.url leads to {refused}, which is never called"));
    }
    if let Some(rustls::Error::InvalidCertificate(why)) = tls_error(&error) {
        return definite(format!("the server's certificate is not accepted: {why:?}"))
            .hint("name its authority in the truststore option, in PEM, and use a host name that the certificate has");
    }
    match error {
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            definite("is no URL that can be called".to_owned())
        }
        error => TaskError::transient(RETRIABLE_EXCEPTION, format!("{node} does not answer: {error}")),
    }
}

fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// One segment of a path.
pub fn escaped(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_hosts_without_secrets() {
        assert_eq!(NodeUrl::parse("http://h:9200/").unwrap().to_string(), "http://h:9200");
        assert!(NodeUrl::parse("https://h/search").unwrap().is_https());
        for url in ["", "h:9200", "ftp://h", "http://", "http://h?x=1"] {
            assert!(NodeUrl::parse(url).is_err(), "{url}");
        }
        assert!(!NodeUrl::parse("http://me:secret@h").unwrap_err().contains("secret"));
    }

    #[test]
    fn index_names_are_escaped_in_paths() {
        assert_eq!(escaped("a.b-ü/%"), "a.b-%C3%BC%2F%25");
    }
}
