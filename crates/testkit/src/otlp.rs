//! A receiver of OTLP over HTTP: takes what an exporter sends to `/v1/traces` and `/v1/metrics`, decodes the protobuf, and
//! keeps it for the test to look at.
//!
//! As strict as a Collector where an exporter may be wrong: another path, method, content type, compression or message
//! is refused with the status that a Collector answers, and `complaints` says why.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
pub use opentelemetry_proto::tonic::metrics::v1::metric::Data as MetricData;
pub use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
pub use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::{Span, span, status};
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::Certificates;

/// Of one request, compressed or not.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Ends with the test.
pub struct OtlpReceiver {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    changed: Condvar,
}

#[derive(Default)]
struct Received {
    spans: Vec<ReceivedSpan>,
    metrics: Vec<ReceivedMetric>,
    requests: Vec<ReceivedRequest>,
    complaints: Vec<String>,
    /// What is answered instead of taking anything.
    refuse: Option<u16>,
    ended: bool,
}

/// What an exporter asked.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub status: u16,
}

#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    pub name: String,
    /// Lower-case hexadecimal digits.
    pub trace_id: String,
    pub span_id: String,
    /// Empty: a root.
    pub parent_span_id: String,
    pub trace_state: String,
    /// `Consumer`
    pub kind: String,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, Attribute>,
    pub events: Vec<ReceivedEvent>,
    /// The status' description, if it is an error.
    pub error: Option<String>,
    pub resource: BTreeMap<String, Attribute>,
    pub schema_url: String,
}

#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    pub name: String,
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug, Clone)]
pub struct ReceivedMetric {
    pub name: String,
    pub description: String,
    pub unit: String,
    pub data: MetricData,
    pub resource: BTreeMap<String, Attribute>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    Text(String),
    Int(i64),
    Bool(bool),
    Other(String),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Attribute {
        Attribute::Text(text.to_owned())
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Attribute {
        Attribute::Int(number)
    }
}

impl From<bool> for Attribute {
    fn from(bool: bool) -> Attribute {
        Attribute::Bool(bool)
    }
}

impl ReceivedSpan {
    /// A text attribute; panics where there is none.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        match self.attributes.get(name) {
            Some(Attribute::Text(text)) => text,
            other => panic!("{name} is {other:?} in {self:?}"),
        }
    }

    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(number)) => *number,
            other => panic!("{name} is {other:?} in {self:?}"),
        }
    }
}

impl ReceivedMetric {
    /// The value of the sum or gauge whose labels have all of `labels`.
    pub fn number(&self, labels: &[(&str, &str)]) -> Option<f64> {
        let points = match &self.data {
            MetricData::Gauge(gauge) => &gauge.data_points,
            MetricData::Sum(sum) => &sum.data_points,
            _ => return None,
        };
        let point = points.iter().find(|point| has(&point.attributes, labels))?;
        Some(match point.value? {
            Number::AsInt(number) => number as f64,
            Number::AsDouble(number) => number,
        })
    }

    pub fn histogram(&self, labels: &[(&str, &str)]) -> Option<&HistogramDataPoint> {
        let MetricData::Histogram(histogram) = &self.data else { return None };
        histogram.data_points.iter().find(|point| has(&point.attributes, labels))
    }
}

fn has(attributes: &[KeyValue], labels: &[(&str, &str)]) -> bool {
    let attributes = named(attributes.to_vec());
    labels.iter().all(|(name, value)| attributes.get(*name) == Some(&Attribute::from(*value)))
}

impl OtlpReceiver {
    /// Listens on a free port of this machine.
    pub fn start() -> OtlpReceiver {
        OtlpReceiver::listen("http", |stream, shared| shared.serve(stream))
    }

    /// By TLS, for clients with a certificate of the same authority.
    pub fn start_tls(certificates: &Certificates) -> OtlpReceiver {
        let config = Arc::new(tls(certificates));
        OtlpReceiver::listen("https", move |stream, shared| {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            shared.serve(StreamOwned::new(connection, stream));
        })
    }

    fn listen(scheme: &'static str, serve: impl Fn(TcpStream, &Shared) + Clone + Send + 'static) -> OtlpReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port to receive OTLP on");
        let address = listener.local_addr().expect("the port");
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.lock().ended {
                    break;
                }
                let (shared, serve) = (accepting.clone(), serve.clone());
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        OtlpReceiver { scheme, address, shared }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.lock().spans.clone()
    }

    /// Every message's metrics, oldest first.
    pub fn metrics(&self) -> Vec<ReceivedMetric> {
        self.shared.lock().metrics.clone()
    }

    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().requests.clone()
    }

    /// What was wrong with requests.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.lock().complaints.clone()
    }

    /// From now on every request is answered with this status; `None`: they are taken again.
    pub fn refuse(&self, status: Option<u16>) {
        self.shared.lock().refuse = status;
    }

    /// Waits until `enough` has what it looks for among the spans.
    #[track_caller]
    pub fn wait_spans<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut enough: impl FnMut(&[ReceivedSpan]) -> Option<T>,
    ) -> T {
        self.wait(what, timeout, |received| enough(&received.spans))
    }

    /// Waits until `enough` has what it looks for among the metrics, the newest last.
    #[track_caller]
    pub fn wait_metrics<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut enough: impl FnMut(&[ReceivedMetric]) -> Option<T>,
    ) -> T {
        self.wait(what, timeout, |received| enough(&received.metrics))
    }

    /// Waits until so many requests have come, taken or refused.
    #[track_caller]
    pub fn wait_requests(&self, count: usize, timeout: Duration) {
        self.wait("requests", timeout, |received| (received.requests.len() >= count).then_some(()));
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, timeout: Duration, mut enough: impl FnMut(&Received) -> Option<T>) -> T {
        let until = Instant::now() + timeout;
        let mut received = self.shared.lock();
        loop {
            if let Some(found) = enough(&received) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let names: Vec<_> = received.spans.iter().map(|span| &span.name).collect();
                let complaints = received.complaints.clone();
                panic!("waited {timeout:?} for {what}; complaints: {complaints:?}; spans: {names:?}");
            }
            received = self.shared.changed.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests of one connection, until it is closed.
    fn serve(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        while let Some((head, body)) = request(&mut reader) {
            let status = {
                let mut received = self.lock();
                if received.ended {
                    return;
                }
                let status = match received.refuse {
                    Some(status) => status,
                    None => match received.take(&head, &body) {
                        Ok(()) => 200,
                        Err((status, complaint)) => {
                            received.complaints.push(complaint);
                            status
                        }
                    },
                };
                let Head { path, headers, .. } = head;
                received.requests.push(ReceivedRequest { path, headers, status });
                status
            };
            // An empty message: all of it was taken.
            let answer =
                format!("HTTP/1.1 {status} x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n");
            let stream = reader.get_mut();
            if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
            self.changed.notify_all();
        }
    }
}

fn tls(certificates: &Certificates) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let mut authorities = RootCertStore::empty();
    authorities.add(certificate(&certificates.ca)).expect("the authority");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let key = PrivateKeyDer::from_pem_slice(certificates.server_key.as_bytes()).expect("the key");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_client_cert_verifier(clients.build().expect("clients of the authority"))
        .with_single_cert(vec![certificate(&certificates.server_certificate)], key)
        .expect("the server's certificate")
}

struct Head {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

/// `None`: the connection ends, or what came is no request.
fn request<S: Read + Write>(reader: &mut BufReader<S>) -> Option<(Head, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|expect| expect == "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        let length = length.parse::<usize>().ok().filter(|length| *length <= BODY_BYTES_MAX)?;
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    } else if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let at = body.len();
            body.resize((at + length).min(BODY_BYTES_MAX), 0);
            reader.read_exact(&mut body[at..]).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if length == 0 {
                break;
            }
        }
    }
    Some((Head { method, path, headers }, body))
}

impl Received {
    fn take(&mut self, head: &Head, body: &[u8]) -> Result<(), (u16, String)> {
        let header = |name: &str| head.headers.get(name).map(String::as_str);
        if head.method != "POST" {
            return Err((405, format!("{} {}", head.method, head.path)));
        }
        if header("content-type") != Some("application/x-protobuf") {
            return Err((415, format!("content type {:?}", header("content-type"))));
        }
        let mut decompressed = Vec::new();
        let body = match header("content-encoding") {
            None => body,
            Some("gzip") => {
                let read = GzDecoder::new(body).take(BODY_BYTES_MAX as u64).read_to_end(&mut decompressed);
                read.map_err(|e| (400, format!("gzip: {e}")))?;
                &decompressed
            }
            Some(other) => return Err((415, format!("content encoding {other}"))),
        };
        let undecodable = |e: prost::DecodeError| (400, format!("{}: {e}", head.path));
        match head.path.as_str() {
            "/v1/traces" => self.take_spans(ExportTraceServiceRequest::decode(body).map_err(undecodable)?),
            "/v1/metrics" => self.take_metrics(ExportMetricsServiceRequest::decode(body).map_err(undecodable)?),
            other => Err((404, format!("nothing is received at {other}"))),
        }
    }

    fn take_spans(&mut self, request: ExportTraceServiceRequest) -> Result<(), (u16, String)> {
        for spans in request.resource_spans {
            let resource = named(spans.resource.unwrap_or_default().attributes);
            for scope in spans.scope_spans {
                for span in scope.spans {
                    if span.trace_id.len() != 16 || span.span_id.len() != 8 {
                        return Err((400, format!("ids of {span:?}")));
                    }
                    self.spans.push(received(span, &resource, &scope.schema_url));
                }
            }
        }
        Ok(())
    }

    fn take_metrics(&mut self, request: ExportMetricsServiceRequest) -> Result<(), (u16, String)> {
        for metrics in request.resource_metrics {
            let resource = named(metrics.resource.unwrap_or_default().attributes);
            for metric in metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                let Some(data) = metric.data else { return Err((400, format!("no data in {metric:?}"))) };
                self.metrics.push(ReceivedMetric {
                    name: metric.name,
                    description: metric.description,
                    unit: metric.unit,
                    data,
                    resource: resource.clone(),
                });
            }
        }
        Ok(())
    }
}

fn received(span: Span, resource: &BTreeMap<String, Attribute>, schema_url: &str) -> ReceivedSpan {
    let kind = span::SpanKind::try_from(span.kind).map_or_else(|e| e.to_string(), |kind| format!("{kind:?}"));
    let failed = span.status.filter(|status| status.code == status::StatusCode::Error as i32);
    let event = |event: span::Event| ReceivedEvent { name: event.name, attributes: named(event.attributes) };
    ReceivedSpan {
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        trace_state: span.trace_state,
        kind,
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        attributes: named(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        error: failed.map(|status| status.message),
        resource: resource.clone(),
        schema_url: schema_url.to_owned(),
    }
}

/// Of a name that comes twice both are told apart, so that a test sees it: receivers may take either.
fn named(attributes: Vec<KeyValue>) -> BTreeMap<String, Attribute> {
    let mut map = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let value = match value.and_then(|value| value.value) {
            Some(any_value::Value::StringValue(text)) => Attribute::Text(text),
            Some(any_value::Value::IntValue(number)) => Attribute::Int(number),
            Some(any_value::Value::BoolValue(bool)) => Attribute::Bool(bool),
            other => Attribute::Other(format!("{other:?}")),
        };
        if let Some(before) = map.insert(key.clone(), value) {
            map.insert(format!("{key} (again)"), before);
        }
    }
    map
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
