//! An HTTP server that answers as it is told, and keeps what it was asked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: String,
    pub body: String,
}

/// Status, further header lines, body.
pub type Reply = (u16, &'static str, String);
type Answering = Box<dyn FnMut(&Asked) -> Option<Reply> + Send>;

pub struct Fake {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// `answer` says nothing: the connection is held, and nothing comes.
    pub fn new(answer: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) -> Fake {
        Fake::start(None, Box::new(answer))
    }

    pub fn over_tls(config: ServerConfig, answer: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) -> Fake {
        Fake::start(Some(Arc::new(config)), Box::new(answer))
    }

    /// Indices are there; bulk requests are answered in turn, the last answer for ever.
    pub fn of_bulks(replies: Vec<Reply>) -> Fake {
        let mut replies = VecDeque::from(replies);
        Fake::new(move |asked| {
            if !asked.line.starts_with("POST /_bulk") {
                return Some((200, "", "{}".to_owned()));
            }
            if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
        })
    }

    fn start(tls: Option<Arc<ServerConfig>>, mut answer: Answering) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                let kept = socket.try_clone();
                let served = match &tls {
                    None => serve(socket, &log, &mut answer),
                    Some(config) => {
                        let connection = ServerConnection::new(config.clone()).unwrap();
                        serve(StreamOwned::new(connection, socket), &log, &mut answer)
                    }
                };
                if served == Some(false) {
                    held.push(kept);
                }
            }
        });
        Fake { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The bodies of bulk requests.
    pub fn bulks(&self) -> Vec<String> {
        self.asked().into_iter().filter(|a| a.line.starts_with("POST /_bulk")).map(|a| a.body).collect()
    }
}

/// One request a connection. False: it was left without an answer.
fn serve<S: Read + Write>(stream: S, log: &Mutex<Vec<Asked>>, answer: &mut Answering) -> Option<bool> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        let header = format!("{}:{value}", name.to_ascii_lowercase());
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = Asked { line: line.trim().to_owned(), headers, body };
    let reply = answer(&asked);
    let head = asked.line.starts_with("HEAD");
    log.lock().unwrap().push(asked);
    let Some((status, more, body)) = reply else { return Some(false) };
    let shown = if head { "" } else { &body };
    let length = shown.len();
    let answer = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{shown}");
    let stream = reader.get_mut();
    stream.write_all(answer.as_bytes()).ok()?;
    stream.flush().ok()?;
    Some(true)
}
