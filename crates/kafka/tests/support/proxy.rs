//! A proxy that knows just enough of Kafka's protocol to lose a chosen request or its answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

pub const PRODUCE: i16 = 0;
pub const END_TXN: i16 = 26;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lose {
    /// The request does not reach the broker.
    Request,
    /// The broker does what was asked, and nobody hears of it.
    Reply,
    /// The request is held, and reaches the broker when [`Proxy::let_go`] is called.
    Time,
}

struct Plan {
    key: i16,
    lose: Lose,
    /// After this many requests of that kind, then each time as many later.
    every: i64,
    left: AtomicI64,
    times: AtomicI64,
    held: (Mutex<Hold>, Condvar),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Not,
    Held,
    Over,
}

pub struct Proxy {
    pub address: String,
    plan: Arc<Plan>,
}

impl Proxy {
    /// In front of `brokers` (host:port, by address, with commas between); their own addresses in answers are replaced
    /// by the proxy's.
    pub fn start(brokers: &str, key: i16, lose: Lose, every: i64, times: i64) -> Proxy {
        let (left, times) = (AtomicI64::new(every), AtomicI64::new(times));
        let held = (Mutex::new(Hold::Not), Condvar::new());
        let plan = Arc::new(Plan { key, lose, every, left, times, held });
        let listeners: Vec<_> = brokers.split(',').map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let address = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
        let of_broker = |broker: &str| broker.rsplit_once(':').unwrap().1.parse().unwrap();
        let ports: Arc<[(u16, u16)]> = brokers.split(',').map(of_broker).zip(ports).collect();
        for (listener, broker) in listeners.into_iter().zip(brokers.split(',').map(str::to_owned)) {
            let (plan, ports) = (plan.clone(), ports.clone());
            std::thread::spawn(move || serve(&listener, &broker, &plan, &ports));
        }
        Proxy { address, plan }
    }

    /// How often it may still lose something.
    pub fn times_left(&self) -> i64 {
        self.plan.times.load(Ordering::SeqCst)
    }

    /// Until a request is held.
    pub fn wait_held(&self) {
        self.plan.wait(|hold| hold != Hold::Not);
    }

    pub fn let_go(&self) {
        self.plan.set(Hold::Over);
    }
}

impl Plan {
    fn set(&self, hold: Hold) {
        *self.held.0.lock().unwrap() = hold;
        self.held.1.notify_all();
    }

    fn wait(&self, until: impl Fn(Hold) -> bool) {
        let hold = self.held.0.lock().unwrap();
        let (_hold, late) = self.held.1.wait_timeout_while(hold, PATIENCE, |hold| !until(*hold)).unwrap();
        assert!(!late.timed_out(), "a request that is held, or that is let go");
    }
}

fn serve(listener: &TcpListener, broker: &str, plan: &Arc<Plan>, ports: &Arc<[(u16, u16)]>) {
    for client in listener.incoming() {
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(broker)) else { continue };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
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
        let ports = ports.clone();
        std::thread::spawn(move || {
            let _ = answers(&client, &server, &doomed, &ports);
            close(&client, &server);
        });
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
            match plan.lose {
                Lose::Request => return Ok(()),
                Lose::Reply => {}
                Lose::Time => {
                    plan.set(Hold::Held);
                    plan.wait(|hold| hold == Hold::Over);
                    server.write_all(&frame)?;
                    continue;
                }
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
    ports: &[(u16, u16)],
) -> std::io::Result<()> {
    loop {
        let mut frame = read_frame(&mut server)?;
        if *doomed.lock().unwrap() == Some(i32::from_be_bytes(frame[4..8].try_into().unwrap())) {
            return Ok(());
        }
        let mut at = 0;
        while let Some(found) = frame.get(at..at + 13) {
            let port = |(from, _): &&(u16, u16)| found[9..] == i32::from(*from).to_be_bytes();
            let to = ports.iter().filter(|_| found.starts_with(b"127.0.0.1")).find(port);
            if let Some((_, to)) = to {
                frame[at + 9..at + 13].copy_from_slice(&i32::from(*to).to_be_bytes());
            }
            at += 1;
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
