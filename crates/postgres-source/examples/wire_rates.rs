//! How fast the wire is: frames from a server in this process, and, given a URL, COPY and replication from PostgreSQL.
//!
//! `cargo run --release -p walspring-postgres-source --example wire_rates -- postgres://user@host:port/db`

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use walspring_pgoutput::{CellKind, Decoder, Message};
use walspring_postgres_source::wire::{ConnectConfig, Connection, Frame, ReplicationStream, SslMode};

const FRAMES: usize = 5_000_000;
const ROWS: usize = 2_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (took, cpu) = measure(|| {
        let mut stream = canned_stream()?;
        let mut counter = Counter::default();
        while counter.inserts < FRAMES {
            counter.take(&mut stream)?;
        }
        Ok(())
    })?;
    report("frames of 300 bytes, decoded", FRAMES, took, cpu);
    let Some(url) = std::env::args().nth(1) else { return Ok(()) };
    let config = ConnectConfig::from_url(&url)?;
    copy(&config)?;
    replication(&config)
}

/// A stream of equal inserts from a thread that writes as fast as it can.
fn canned_stream() -> Result<ReplicationStream, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut config = ConnectConfig::new("127.0.0.1", listener.local_addr()?.port(), "u", "d");
    config.ssl.mode = SslMode::Disable;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        let mut ignored = [0; 1024];
        let _ = socket.read(&mut ignored)?;
        socket.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")?;
        let _ = socket.read(&mut ignored)?;
        socket.write_all(b"W\0\0\0\x07\0\0\0")?;
        // 300 bytes of payload: an insert of eight values.
        let mut payload = b"I\0\0\x40\0N\0\x08".to_vec();
        for len in [7, 20, 20, 20, 32, 32, 60, 61] {
            payload.push(b't');
            payload.extend((len as u32).to_be_bytes());
            payload.extend(vec![b'x'; len]);
        }
        let mut frame = b"d".to_vec();
        frame.extend((payload.len() as u32 + 29).to_be_bytes());
        frame.extend(*b"w\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01");
        frame.extend(payload);
        let many = frame.repeat(1000);
        for _ in 0..FRAMES / 1000 {
            socket.write_all(&many)?;
        }
        let _ = socket.read(&mut ignored);
        Ok(())
    });
    Ok(Connection::connect(&config)?.start_replication("START_REPLICATION")?)
}

/// Does with each frame what a task does: payload into a buffer, cells as spans into it.
#[derive(Default)]
struct Counter {
    decoder: Decoder,
    bytes: Vec<u8>,
    cells: Vec<(CellKind, u32, u32)>,
    inserts: usize,
    commits: usize,
}

impl Counter {
    fn take(&mut self, stream: &mut ReplicationStream) -> Result<(), Box<dyn std::error::Error>> {
        let Some(Frame::XLogData { payload, .. }) = stream.next(Duration::from_secs(10))? else { return Ok(()) };
        match self.decoder.decode(payload)? {
            Message::Insert(insert) => {
                let base = self.bytes.len();
                self.bytes.extend_from_slice(payload);
                insert.new.push_cells(|kind, start, len| self.cells.push((kind, (base + start) as u32, len as u32)));
                self.inserts += 1;
            }
            Message::Commit(_) => self.commits += 1,
            _ => {}
        }
        if self.bytes.len() > 1 << 20 {
            self.bytes.clear();
            self.cells.clear();
        }
        Ok(())
    }
}

fn copy(config: &ConnectConfig) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::connect(config)?;
    connection.batch_execute(&format!(
        "drop table if exists wire_rates;
         create unlogged table wire_rates as
           select i as id, 'customer ' || i as name, now() as at, (i * 7 % 1000)::numeric(12,2) as amount, md5(i::text) as hash
           from generate_series(1, {ROWS}) i"
    ))?;
    let (took, cpu) = measure(|| {
        let mut copy = connection.copy_out("copy wire_rates to stdout")?;
        let (mut buf, mut rows) = (Vec::new(), 0);
        while let Some(read) = copy.read(&mut buf, 1 << 20)? {
            rows += read;
            buf.clear();
        }
        assert_eq!(rows, ROWS);
        Ok(())
    })?;
    report("rows by COPY", ROWS, took, cpu);
    connection.batch_execute("drop table wire_rates")?;
    Ok(())
}

fn replication(config: &ConnectConfig) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::connect(config)?;
    connection.batch_execute(
        "drop publication if exists wire_rates; drop table if exists wire_rates;
         create table wire_rates (id int, name text, at timestamptz, amount numeric(12,2), hash text);
         create publication wire_rates for table wire_rates",
    )?;
    let mut walsender = Connection::connect(&ConnectConfig { replication: true, ..config.clone() })?;
    walsender.batch_execute("CREATE_REPLICATION_SLOT wire_rates TEMPORARY LOGICAL pgoutput")?;
    connection.batch_execute(&format!(
        "insert into wire_rates select i, 'customer ' || i, now(), i * 7 % 1000, md5(i::text) from generate_series(1, {ROWS}) i"
    ))?;
    let sql = "START_REPLICATION SLOT wire_rates LOGICAL 0/0 (proto_version '1', publication_names 'wire_rates')";
    let mut stream = walsender.start_replication(sql)?;
    let mut counter = Counter::default();
    while counter.inserts == 0 {
        counter.take(&mut stream)?;
    }
    let (took, cpu) = measure(|| {
        while counter.commits == 0 {
            counter.take(&mut stream)?;
        }
        Ok(())
    })?;
    report("inserts by replication", counter.inserts, took, cpu);
    drop(stream);
    connection.batch_execute("drop publication wire_rates; drop table wire_rates")?;
    Ok(())
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Wall-clock and this thread's processor time.
fn measure(work: impl FnOnce() -> Outcome<()>) -> Outcome<(Duration, Duration)> {
    let (start, cpu) = (Instant::now(), thread_cpu());
    work()?;
    Ok((start.elapsed(), thread_cpu() - cpu))
}

/// From Linux; zero elsewhere.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

fn report(what: &str, count: usize, took: Duration, cpu: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    let cpu = cpu.as_secs_f64() * 1e9 / count as f64;
    println!("{what}: {count} in {took:.2?}, {rate:.0}/s, {cpu:.0} ns of this thread each");
}
