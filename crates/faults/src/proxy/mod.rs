//! A proxy before PostgreSQL or Kafka that follows the protocol and breaks connections at chosen messages.
//!
//! ```no_run
//! use walspring_faults::proxy::{Action, Proxy, Rule, Seen};
//! let proxy = Proxy::postgres("127.0.0.1:5432");
//! proxy.add(Rule::once(Seen::Commit, 3, Action::CutAfter)); // after the third commit that goes by
//! ```
//!
//! Deterministic: what happens is decided by counts of messages, never by time. Two threads a connection, which end when
//! either side closes; everything ends when the handle is dropped.

mod kafka;
mod postgres;
mod script;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub use script::{Action, Rule, Script, Seen, api};

/// How slow everything is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Before whatever was read is passed on.
    pub latency: Duration,
    /// Of each direction of each connection; zero: as fast as it goes.
    pub bytes_per_second: u64,
    /// Every byte in a packet of its own.
    pub slices: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Postgres,
    Kafka,
}

/// A running proxy; dropped, it closes all its connections.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    protocol: Protocol,
    target: SocketAddr,
    port: u16,
    script: Mutex<Script>,
    weather: Mutex<Weather>,
    refusing: AtomicBool,
    swallowing: AtomicBool,
    ended: AtomicBool,
    accepted: AtomicU64,
    links: Mutex<Vec<Weak<Link>>>,
    /// Half-open links that one side has closed: the other hears nothing of it.
    dead: Mutex<Vec<Arc<Link>>>,
}

/// One connection through the proxy.
struct Link {
    client: TcpStream,
    server: TcpStream,
    half_open: AtomicBool,
    /// PostgreSQL: CopyBothResponse has come.
    streaming: AtomicBool,
    /// Kafka: what is asked, by correlation id, and whether the reply is to be lost.
    asked: Mutex<HashMap<i32, (i16, bool)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Why a pump goes on or not.
enum Flow {
    On,
    Cut,
}

impl Proxy {
    /// Before the server at `target`, an address with its port.
    pub fn postgres(target: &str) -> Proxy {
        Proxy::start(Protocol::Postgres, target)
    }

    /// Before one broker. Only a cluster of one broker stays behind the proxy.
    pub fn kafka(target: &str) -> Proxy {
        Proxy::start(Protocol::Kafka, target)
    }

    fn start(protocol: Protocol, target: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            protocol,
            target: target.parse().expect("ADDRESS:PORT"),
            port: address.port(),
            script: Mutex::default(),
            weather: Mutex::default(),
            refusing: AtomicBool::new(false),
            swallowing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            links: Mutex::default(),
            dead: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    accepting.accept(client);
                }
            }
        });
        Proxy { shared, address }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn add(&self, rule: Rule) {
        self.shared.script().add(rule);
    }

    /// Cuts the connection on which this many bytes more (of all connections together) come from the server.
    pub fn cut_after_bytes(&self, bytes: u64) {
        self.shared.script().bytes_left = Some(bytes);
    }

    /// Forgets all rules; what was counted stays.
    pub fn clear(&self) {
        self.shared.script().clear();
    }

    /// How often a rule has acted.
    pub fn fired(&self) -> u64 {
        self.shared.script().fired
    }

    #[track_caller]
    pub fn wait_fired(&self, times: u64, limit: Duration) {
        walspring_testkit::wait_for("the fault", limit, || (self.fired() >= times).then_some(()));
    }

    /// How many messages of this kind went by.
    pub fn seen(&self, what: Seen) -> u64 {
        self.shared.script().seen.get(&what).copied().unwrap_or_default()
    }

    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
    }

    /// New connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Both sides of every connection see it closed.
    pub fn cut_all(&self) {
        self.shared.links().iter().for_each(|link| link.close());
    }

    /// Connections that are there stay open and carry nothing any more, not even that a side has closed them. With
    /// `new_too` those that come are as dead.
    pub fn half_open_all(&self, new_too: bool) {
        self.shared.swallowing.store(new_too, Ordering::SeqCst);
        self.half_open(|_| true);
    }

    /// As [`Proxy::half_open_all`] for those connections to PostgreSQL that carry a stream, or for all the others.
    pub fn half_open_streams(&self, streams: bool) {
        self.half_open(|link| link.streaming.load(Ordering::SeqCst) == streams);
    }

    fn half_open(&self, which: impl Fn(&Link) -> bool) {
        let links = self.shared.links();
        links.iter().filter(|link| which(link)).for_each(|link| link.half_open.store(true, Ordering::SeqCst));
    }

    /// Connections that come from now on are well, and what was closed in silence is heard of.
    pub fn heal(&self) {
        self.clear();
        lock(&self.shared.dead).clear();
        self.refuse(false);
        self.shared.swallowing.store(false, Ordering::SeqCst);
        self.set_weather(Weather::default());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.cut_all();
        lock(&self.shared.dead).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        links.iter().filter_map(Weak::upgrade).collect()
    }

    fn accept(self: &Arc<Self>, client: TcpStream) {
        if self.refusing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect_timeout(&self.target, Duration::from_secs(5)) else { return };
        if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
            return;
        }
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let link = Arc::new(Link {
            client,
            server,
            half_open: AtomicBool::new(self.swallowing.load(Ordering::SeqCst)),
            streaming: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        lock(&self.links).push(Arc::downgrade(&link));
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (shared, link) = (self.clone(), link.clone());
            std::thread::spawn(move || {
                // Whatever ends one direction ends the connection.
                let _ = pump(&shared, &link, direction);
                if link.half_open.load(Ordering::SeqCst) {
                    lock(&shared.dead).push(link);
                } else {
                    link.close();
                }
            });
        }
    }
}

impl Link {
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Reads, takes whole messages, and passes on what is left of them.
fn pump(shared: &Shared, link: &Link, direction: Direction) -> std::io::Result<()> {
    let (mut from, to) = match direction {
        Direction::ToServer => (&link.client, &link.server),
        Direction::ToClient => (&link.server, &link.client),
    };
    let mut first = shared.protocol == Protocol::Postgres && direction == Direction::ToServer;
    let (mut held, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        if link.half_open.load(Ordering::SeqCst) {
            held.clear();
            continue;
        }
        held.extend_from_slice(&chunk[..read]);
        let (mut at, mut out) = (0, Vec::new());
        while let Some(end) =
            message_end(shared.protocol, first, &held[at..]).filter(|end| (4..=held.len() - at).contains(end))
        {
            let message = &mut held[at..at + end];
            at += end;
            if first {
                match postgres::first_code(message) {
                    Some(postgres::SSL_REQUEST | postgres::GSSENC_REQUEST) => {
                        from.write_all(b"N")?;
                        continue;
                    }
                    Some(postgres::CANCEL_REQUEST) => return send(shared, to, message),
                    _ => first = false,
                }
                out.extend_from_slice(message);
                continue;
            }
            if let Flow::Cut = pass(shared, link, direction, message, &mut out) {
                send(shared, to, &out)?;
                return Ok(());
            }
            if link.half_open.load(Ordering::SeqCst) {
                break;
            }
        }
        held.drain(..at);
        if direction == Direction::ToClient
            && let Some(part) = shared.script().cut_within(out.len())
        {
            return send(shared, to, &out[..part]);
        }
        send(shared, to, &out)?;
    }
}

fn message_end(protocol: Protocol, first: bool, bytes: &[u8]) -> Option<usize> {
    match protocol {
        Protocol::Kafka => kafka::length(bytes),
        Protocol::Postgres if first => postgres::first_length(bytes),
        Protocol::Postgres => postgres::length(bytes),
    }
}

/// Puts what is to arrive of a message at the end of `out`.
fn pass(shared: &Shared, link: &Link, direction: Direction, message: &mut [u8], out: &mut Vec<u8>) -> Flow {
    let (seen, lost) = classify(shared, link, direction, message);
    if lost {
        return Flow::Cut;
    }
    let action = shared.script().decide(seen);
    match action {
        None => {}
        Some(Action::CutBefore) => return Flow::Cut,
        Some(Action::CutAfter) => {
            out.extend_from_slice(message);
            return Flow::Cut;
        }
        Some(Action::CutInside(bytes)) => {
            out.extend_from_slice(&message[..bytes.min(message.len() - 1)]);
            return Flow::Cut;
        }
        Some(Action::LoseReply) => {
            if let Some((_, id)) = kafka::request(message)
                && let Some(asked) = lock(&link.asked).get_mut(&id)
            {
                asked.1 = true;
            }
        }
        Some(Action::HalfOpen) => {
            link.half_open.store(true, Ordering::SeqCst);
            return Flow::On;
        }
        Some(Action::Corrupt) => postgres::spoil(message),
        Some(Action::Hold(time)) => std::thread::sleep(time),
    }
    out.extend_from_slice(message);
    Flow::On
}

/// What a message is, and whether it is a reply that is to be lost.
fn classify(shared: &Shared, link: &Link, direction: Direction, message: &mut [u8]) -> (Seen, bool) {
    let streaming = link.streaming.load(Ordering::SeqCst);
    match (shared.protocol, direction) {
        (Protocol::Postgres, Direction::ToServer) => (postgres::seen_from_client(message, streaming), false),
        (Protocol::Postgres, Direction::ToClient) => {
            if message[0] == b'W' {
                link.streaming.store(true, Ordering::SeqCst);
            }
            (postgres::seen_from_server(message, streaming), false)
        }
        (Protocol::Kafka, Direction::ToServer) => {
            let (key, id) = kafka::request(message).unwrap_or((-1, -1));
            lock(&link.asked).insert(id, (key, false));
            (Seen::Request(key), false)
        }
        (Protocol::Kafka, Direction::ToClient) => {
            let asked = kafka::reply(message).and_then(|id| lock(&link.asked).remove(&id));
            let (key, lost) = asked.unwrap_or((-1, false));
            kafka::advertise(message, key, shared.target.port(), shared.port);
            (Seen::Reply(key), lost)
        }
    }
}

fn send(shared: &Shared, mut to: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let weather = *lock(&shared.weather);
    std::thread::sleep(weather.latency);
    if weather.bytes_per_second > 0 {
        let time = Duration::from_secs_f64(bytes.len() as f64 / weather.bytes_per_second as f64);
        std::thread::sleep(time.min(Duration::from_secs(2)));
    }
    if weather.slices {
        return bytes.iter().try_for_each(|byte| to.write_all(std::slice::from_ref(byte)));
    }
    to.write_all(bytes)
}
