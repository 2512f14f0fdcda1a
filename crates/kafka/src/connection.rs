//! One connection to one broker: opened, secured, authenticated, and then a pipeline of requests.
//!
//! Requests are answered in the order they were sent (Kafka promises that per connection); what was sent when the
//! connection breaks has an unknown outcome, and the caller must treat it so. There is no retrying here.
//!
//! Invariant: every request sent is answered exactly once, with a response or with a [`ConnectionError`].

mod setup;

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::blocking;
use crate::protocol::{self, BrokerVersions, Request};
use crate::sasl::SaslConfig;
use setup::{Setup, tls_error};

/// As Java's `socket.request.max.bytes` on the other side; the largest answer a producer gets is metadata.
const RESPONSE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Part of a login's lifetime after which the connection is replaced (KIP-368 has clients use 85 to 95 %).
const LOGIN_LIFETIME_PART: f64 = 0.85;

/// What opening a connection needs to know.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    pub client_id: String,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub sasl: Option<SaslConfig>,
    /// For TCP, TLS and login together, per address.
    pub setup_timeout: Duration,
    /// For one request; when it passes, the connection is closed.
    pub request_timeout: Duration,
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// `host:port`, also `[::1]:9092` and `PLAINTEXT://host:9092`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then_some(())?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a connection could not be opened, or why a request on it has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Unreachable(String),
    #[error("the connection to {address} broke: {reason}")]
    Broken { address: String, reason: String },
    #[error("{address} did not answer within {} ms", after.as_millis())]
    Timeout { address: String, after: Duration },
    /// The broker refused the login, or TLS did. Does not go away by itself.
    #[error("{0}")]
    Refused(String),
    /// The broker is too old for us, or too new.
    #[error("{0}")]
    Unsupported(String),
}

/// A request on its way.
pub type Reply = oneshot::Receiver<Result<Bytes, ConnectionError>>;

struct Outgoing {
    pieces: Vec<Bytes>,
    correlation_id: i32,
    reply: oneshot::Sender<Result<Bytes, ConnectionError>>,
}

struct Awaited {
    correlation_id: i32,
    reply: oneshot::Sender<Result<Bytes, ConnectionError>>,
}

/// What the two halves and the handle share.
struct Line {
    address: Address,
    alive: AtomicBool,
    /// In the order of sending; `None` once the connection is closed.
    awaited: Mutex<Option<VecDeque<Awaited>>>,
    halves: Mutex<Vec<AbortHandle>>,
}

/// An open connection. Dropping it closes it.
pub struct Connection {
    line: Arc<Line>,
    out: mpsc::UnboundedSender<Outgoing>,
    next_correlation_id: AtomicI32,
    versions: BrokerVersions,
    client_id: String,
    request_timeout: Duration,
    retire_at: Option<Instant>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.line.address)
    }
}

impl Connection {
    /// Resolves the host anew, tries each of its addresses, and leaves the connection ready for requests.
    pub async fn open(address: &Address, config: &ConnectionConfig) -> Result<Self, ConnectionError> {
        let unreachable = |what: &str| ConnectionError::Unreachable(format!("{address}: {what}"));
        let resolved = tokio::time::timeout(config.setup_timeout, blocking::resolve(&address.host, address.port))
            .await
            .map_err(|_| unreachable("its name was not resolved in time"))?
            .map_err(|error| unreachable(&format!("its name is not resolved: {error}")))?;
        let mut last = unreachable("its name has no address");
        for socket_address in resolved {
            let attempt = async {
                let tcp = TcpStream::connect(socket_address).await.map_err(|error| unreachable(&error.to_string()))?;
                tcp.set_nodelay(true).map_err(|error| unreachable(&error.to_string()))?;
                Self::set_up(tcp, address, config).await
            };
            match tokio::time::timeout(config.setup_timeout, attempt).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error @ (ConnectionError::Refused(_) | ConnectionError::Unsupported(_)))) => return Err(error),
                Ok(Err(error)) => last = error,
                Err(_) => last = unreachable(&format!("no answer within {} ms", config.setup_timeout.as_millis())),
            }
        }
        Err(last)
    }

    async fn set_up(tcp: TcpStream, address: &Address, config: &ConnectionConfig) -> Result<Self, ConnectionError> {
        let mut stream: Box<dyn Stream> = match &config.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(address.host.clone())
                    .map_err(|_| ConnectionError::Refused(format!("{address}: not a name that TLS can check")))?;
                let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, tcp).await;
                Box::new(stream.map_err(|error| tls_error(address, &error))?)
            }
        };
        let mut setup = Setup { stream: &mut stream, address, client_id: &config.client_id, correlation_id: 0 };
        let versions = setup.api_versions().await?;
        let lifetime = match &config.sasl {
            Some(sasl) => setup.log_in(sasl, &versions).await?,
            None => None,
        };
        let line = Arc::new(Line {
            address: address.clone(),
            alive: AtomicBool::new(true),
            awaited: Mutex::new(Some(VecDeque::new())),
            halves: Mutex::new(Vec::new()),
        });
        let (out, outgoing) = mpsc::unbounded_channel();
        // A plain socket splits without a lock; boxed halves keep one type for both.
        let (read, write) = stream.into_halves();
        let reader = tokio::spawn(closing(line.clone(), read_responses(read, line.clone())));
        let writer = tokio::spawn(closing(line.clone(), write_requests(write, outgoing, line.clone())));
        *lock(&line.halves) = vec![reader.abort_handle(), writer.abort_handle()];
        Ok(Self {
            line,
            out,
            next_correlation_id: AtomicI32::new(1 << 16),
            versions,
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            retire_at: lifetime.map(|l| Instant::now() + l.mul_f64(LOGIN_LIFETIME_PART)),
        })
    }

    pub fn address(&self) -> &Address {
        &self.line.address
    }

    pub fn versions(&self) -> &BrokerVersions {
        &self.versions
    }

    /// False once the connection is closed, by either side.
    pub fn is_alive(&self) -> bool {
        self.line.alive.load(Ordering::Acquire)
    }

    /// The login runs out soon: open another one and let this one finish what it has.
    pub fn should_retire(&self) -> bool {
        self.retire_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Sends one request and waits for its response.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, ConnectionError> {
        self.call_below(request, R::VERSION_MAX).await
    }

    /// As [`Self::call`], in a version not above `version_max`.
    pub async fn call_below<R: Request>(&self, request: &R, version_max: i16) -> Result<R::Response, ConnectionError> {
        let version = self.pick::<R>()?.min(version_max);
        let reply = self
            .send(|correlation_id| vec![protocol::encode_request(request, version, correlation_id, &self.client_id)]);
        let frame = self.wait(reply).await?;
        protocol::decode_response::<R>(frame, version).map_err(|error| self.broken(error.to_string()))
    }

    /// The version in which a request would go out.
    pub fn pick<R: Request>(&self) -> Result<i16, ConnectionError> {
        self.versions.pick(R::KEY, R::VERSION_MIN, R::VERSION_MAX).ok_or_else(|| {
            let address = &self.line.address;
            ConnectionError::Unsupported(format!("{address} does not take a request that we need (key {})", R::KEY))
        })
    }

    /// Puts a frame, in pieces, into the pipeline. `frame` is given the correlation id.
    pub fn send(&self, frame: impl FnOnce(i32) -> Vec<Bytes>) -> Reply {
        let correlation_id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let (reply, receiver) = oneshot::channel();
        // When the writer is gone, so is the sender of the reply, which the receiver hears.
        let _ = self.out.send(Outgoing { pieces: frame(correlation_id), correlation_id, reply });
        receiver
    }

    /// Waits for an answer up to the request timeout; past it the connection is closed, as later answers cannot come
    /// before this one.
    pub async fn wait(&self, reply: Reply) -> Result<Bytes, ConnectionError> {
        match tokio::time::timeout(self.request_timeout, reply).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.broken("it was closed".into())),
            Err(_) => {
                let address = self.line.address.to_string();
                let error = ConnectionError::Timeout { address, after: self.request_timeout };
                self.line.close(&error);
                Err(error)
            }
        }
    }

    fn broken(&self, reason: String) -> ConnectionError {
        let error = ConnectionError::Broken { address: self.line.address.to_string(), reason };
        self.line.close(&error);
        error
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let address = self.line.address.to_string();
        self.line.close(&ConnectionError::Broken { address, reason: "we closed it".into() });
    }
}

impl Line {
    fn close(&self, error: &ConnectionError) {
        self.alive.store(false, Ordering::Release);
        for awaited in lock(&self.awaited).take().into_iter().flatten() {
            let _ = awaited.reply.send(Err(error.clone()));
        }
        for half in lock(&self.halves).drain(..) {
            half.abort();
        }
    }

    fn broke(&self, reason: impl fmt::Display) {
        self.close(&ConnectionError::Broken { address: self.address.to_string(), reason: reason.to_string() });
    }
}

async fn write_requests(
    mut write: Box<dyn AsyncWrite + Send + Unpin>,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    line: Arc<Line>,
) {
    while let Some(request) = outgoing.recv().await {
        let Outgoing { mut pieces, correlation_id, reply } = request;
        match lock(&line.awaited).as_mut() {
            Some(awaited) => awaited.push_back(Awaited { correlation_id, reply }),
            None => return,
        }
        let written = write_all(&mut write, &mut pieces).await;
        if let Err(error) = written {
            return line.broke(error);
        }
    }
}

/// Nobody waits for an answer by one of the halves that has panicked.
struct CloseOnPanic(Arc<Line>);

impl Drop for CloseOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broke("the client broke off");
        }
    }
}

async fn closing(line: Arc<Line>, half: impl Future<Output = ()>) {
    let _told = CloseOnPanic(line);
    half.await;
}

async fn write_all(write: &mut (dyn AsyncWrite + Send + Unpin), pieces: &mut [Bytes]) -> std::io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let slices: Vec<IoSlice<'_>> = pieces[first..].iter().take(64).map(|p| IoSlice::new(p)).collect();
        let mut written = write.write_vectored(&slices).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while first < pieces.len() && written >= pieces[first].len() {
            written -= pieces[first].len();
            first += 1;
        }
        if written > 0 {
            pieces[first].advance(written);
        }
    }
    write.flush().await
}

async fn read_responses(mut read: Box<dyn AsyncRead + Send + Unpin>, line: Arc<Line>) {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        let frame = match read_frame(&mut *read, &mut buffer).await {
            Ok(frame) => frame,
            Err(error) => return line.broke(error),
        };
        let awaited = lock(&line.awaited).as_mut().and_then(VecDeque::pop_front);
        let Some(awaited) = awaited else { return line.broke("an answer to nothing") };
        if protocol::correlation_id(&frame) != Some(awaited.correlation_id) {
            let reason = "an answer to another request".to_owned();
            let error = ConnectionError::Broken { address: line.address.to_string(), reason };
            let _ = awaited.reply.send(Err(error.clone()));
            return line.close(&error);
        }
        let _ = awaited.reply.send(Ok(frame));
    }
}

/// One frame without its size. The buffer keeps what comes after it.
async fn read_frame(read: &mut (dyn AsyncRead + Send + Unpin), buffer: &mut BytesMut) -> std::io::Result<Bytes> {
    let invalid = |text| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    loop {
        if let Some(size) = buffer.first_chunk::<4>() {
            let size = usize::try_from(i32::from_be_bytes(*size)).map_err(|_| invalid("a negative frame size"))?;
            if size > RESPONSE_BYTES_MAX {
                return Err(invalid("a frame beyond the limit; is this a Kafka listener, and without TLS?"));
            }
            if buffer.len() >= 4 + size {
                buffer.advance(4);
                return Ok(buffer.split_to(size).freeze());
            }
        }
        // Grows with what arrives, not with what a frame claims.
        buffer.reserve(16 * 1024);
        if read.read_buf(buffer).await? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the broker closed it"));
        }
    }
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn into_halves(self: Box<Self>) -> Halves;
}

impl Stream for TcpStream {
    fn into_halves(self: Box<Self>) -> Halves {
        let (read, write) = (*self).into_split();
        (Box::new(read), Box::new(write))
    }
}

impl Stream for tokio_rustls::client::TlsStream<TcpStream> {
    fn into_halves(self: Box<Self>) -> Halves {
        let (read, write) = tokio::io::split(*self);
        (Box::new(read), Box::new(write))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
