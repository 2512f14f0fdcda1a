//! A small HTTP server that keeps what it is sent and answers as it is told, and records for it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use walspring_connect::{
    Origin, Outcome, Progress, PutError, SinkPlugin, SinkRecord, SinkTask, SinkTaskContext, StopToken,
};
use walspring_http_sink::{AIVEN_CLASS, CONFLUENT_CLASS, plugins_within};
use walspring_record::{Typed, Value};
use walspring_testkit::Certificates;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// By names in small letters.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
    /// Hangs up instead.
    pub hang_up: bool,
    /// Says nothing for as long.
    pub delay: Duration,
}

pub fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

type Respond = dyn Fn(&Request, usize) -> Answer + Send + Sync;

struct Shared {
    requests: Mutex<Vec<Request>>,
    respond: Box<Respond>,
    connections: AtomicUsize,
    stopped: AtomicBool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

pub struct Server {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// `respond` is given each request and how many came before it.
    pub fn start(respond: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Server {
        Server::start_with(Box::new(respond), None)
    }

    pub fn start_tls(certificates: &Certificates, client: bool) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = if client {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(certificates.ca.as_bytes()).unwrap()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificates.server_certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificates.server_key.as_bytes()).unwrap();
        let tls = Arc::new(builder.with_single_cert(chain, key).unwrap());
        Server::start_with(Box::new(|_, _| status(200)), Some(tls))
    }

    fn start_with(respond: Box<Respond>, tls: Option<Arc<rustls::ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            respond,
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            tls,
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, stream) = (accepting.clone(), stream.unwrap());
                let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || match shared.tls.clone() {
                    None => serve(&shared, &stream, &stream, connection),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).unwrap();
                        let stream = Mutex::new(rustls::StreamOwned::new(session, stream));
                        let (reader, writer) = (Locked(&stream), Locked(&stream));
                        serve(&shared, reader, writer, connection);
                    }
                });
            }
        });
        Server { port, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn bodies(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.body).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Locked<'a, T>(&'a Mutex<T>);

impl<T: Read> Read for Locked<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().read(buffer)
    }
}

impl<T: Write> Write for Locked<'_, T> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.lock().unwrap().flush()
    }
}

fn serve(shared: &Shared, reader: impl Read, mut writer: impl Write, connection: usize) {
    let mut reader = BufReader::new(reader);
    while let Some(request) = read_request(&mut reader, connection) {
        let before = {
            let mut requests = shared.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let answer = (shared.respond)(&request, before);
        thread::sleep(answer.delay);
        if answer.hang_up {
            return;
        }
        let Answer { status, headers, body, .. } = answer;
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
        if writer.write_all(text.as_bytes()).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        assert!(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()).is_none(), "{name} is there twice");
    }
    let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body: String::from_utf8(body).ok()?, connection })
}

pub fn plugin(class: &str, ceiling: &str) -> Arc<dyn SinkPlugin> {
    plugins_within(ceiling).unwrap().into_iter().find(|plugin| plugin.class() == class).unwrap()
}

pub fn config(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn start(class: &str, ceiling: &str, options: &[(&str, &str)]) -> Box<dyn SinkTask> {
    struct Quiet;
    impl Progress for Quiet {
        fn waiting(&self, _: Option<String>) {}
        fn gauge(&self, _: &'static str, _: f64) {}
        fn add(&self, _: &'static str, _: u64) {}
    }
    let context = SinkTaskContext {
        connector: "hook".into(),
        task: 0,
        group: "connect-hook".into(),
        config: config(options),
        stop: StopToken::default(),
        progress: Arc::new(Quiet),
    };
    plugin(class, ceiling).start(context).unwrap_or_else(|e| panic!("{e}"))
}

/// Confluent's, on this machine.
pub fn confluent(url: &str, options: &[(&str, &str)]) -> Box<dyn SinkTask> {
    let all: Vec<_> = [("http.api.url", url)].into_iter().chain(options.iter().copied()).collect();
    start(CONFLUENT_CLASS, "loopback", &all)
}

pub fn aiven(url: &str, options: &[(&str, &str)]) -> Box<dyn SinkTask> {
    let all: Vec<_> =
        [("http.url", url), ("http.authorization.type", "none")].into_iter().chain(options.iter().copied()).collect();
    start(AIVEN_CLASS, "loopback", &all)
}

pub fn put(task: &mut dyn SinkTask, records: &[SinkRecord]) -> Result<Vec<Outcome>, PutError> {
    let mut outcomes = Vec::new();
    task.put(records, &mut outcomes)?;
    assert_eq!(outcomes.len(), records.len());
    Ok(outcomes)
}

pub fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect())
}

pub fn record(offset: i64, value: Value) -> SinkRecord {
    let topic: Arc<str> = "orders".into();
    SinkRecord {
        key: Typed { schema: None, value: map(&[("id", Value::Int64(offset))]) },
        value: Typed { schema: None, value },
        headers: Vec::new(),
        timestamp_ms: None,
        origin: Origin { topic: topic.clone(), partition: 0, kafka_offset: offset },
        topic,
    }
}

pub fn row(offset: i64) -> SinkRecord {
    record(offset, map(&[("id", Value::Int64(offset)), ("status", Value::string("new"))]))
}
