//! A proxy that knows just enough of Kafka's protocol to lose a chosen request or its answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

pub const PRODUCE: i16 = 0;
pub const END_TXN: i16 = 26;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lose {
    /// The request does not reach the broker.
    Request,
    /// The broker does what was asked, and nobody hears of it.
    Reply,
}

struct Plan {
    key: i16,
    lose: Lose,
    /// After this many requests of that kind, then each time as many later.
    every: i64,
    left: AtomicI64,
    times: AtomicI64,
}

pub struct Proxy {
    pub address: String,
    plan: Arc<Plan>,
}

impl Proxy {
    /// In front of `broker` (host:port, by address); the broker's own address in answers is replaced by the proxy's.
    pub fn start(broker: &str, key: i16, lose: Lose, every: i64, times: i64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (left, times) = (AtomicI64::new(every), AtomicI64::new(times));
        let plan = Arc::new(Plan { key, lose, every, left, times });
        let broker = broker.to_owned();
        let proxy = Proxy { address: format!("127.0.0.1:{port}"), plan: plan.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&broker)) else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let broker_port: u16 = broker.rsplit_once(':').unwrap().1.parse().unwrap();
                let doomed = Arc::new(Mutex::new(None::<i32>));
                let dead = Arc::new(AtomicBool::new(false));
                {
                    let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let (plan, doomed, dead) = (plan.clone(), doomed.clone(), dead.clone());
                    std::thread::spawn(move || {
                        let _ = requests(&client, &server, &plan, &doomed, &dead);
                        close(&client, &server);
                    });
                }
                std::thread::spawn(move || {
                    let _ = answers(&client, &server, &doomed, broker_port, port);
                    close(&client, &server);
                });
            }
        });
        proxy
    }

    /// How often it may still lose something.
    pub fn times_left(&self) -> i64 {
        self.plan.times.load(Ordering::SeqCst)
    }
}

fn requests(
    mut client: &TcpStream,
    mut server: &TcpStream,
    plan: &Plan,
    doomed: &Mutex<Option<i32>>,
    dead: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        let frame = read_frame(&mut client)?;
        let key = i16::from_be_bytes([frame[4], frame[5]]);
        if key == plan.key && plan.times.load(Ordering::SeqCst) > 0 && plan.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            plan.left.store(plan.every, Ordering::SeqCst);
            plan.times.fetch_sub(1, Ordering::SeqCst);
            if plan.lose == Lose::Request {
                return Ok(());
            }
            *doomed.lock().unwrap() = Some(i32::from_be_bytes(frame[8..12].try_into().unwrap()));
            dead.store(true, Ordering::SeqCst);
        }
        server.write_all(&frame)?;
    }
}

fn answers(
    mut client: &TcpStream,
    mut server: &TcpStream,
    doomed: &Mutex<Option<i32>>,
    from: u16,
    to: u16,
) -> std::io::Result<()> {
    loop {
        let mut frame = read_frame(&mut server)?;
        if *doomed.lock().unwrap() == Some(i32::from_be_bytes(frame[4..8].try_into().unwrap())) {
            return Ok(());
        }
        let find = [b"127.0.0.1".as_slice(), &i32::from(from).to_be_bytes()].concat();
        for at in 0..frame.len().saturating_sub(find.len()) {
            if frame[at..].starts_with(&find) {
                frame[at + 9..at + 13].copy_from_slice(&i32::from(to).to_be_bytes());
            }
        }
        client.write_all(&frame)?;
    }
}

/// With its size.
fn read_frame(stream: &mut &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut frame = vec![0; 4 + i32::from_be_bytes(size) as usize];
    frame[..4].copy_from_slice(&size);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn close(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}
