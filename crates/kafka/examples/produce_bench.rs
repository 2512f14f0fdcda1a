//! What the producer costs: records built and produced in transactions, with the process's CPU time, the rate, and
//! the time from submitting a lone ticket to its commit.
//!
//! `cargo run --release -p walspring-kafka --example produce_bench -- 127.0.0.1:9092 [records] [mode] [codec]`;
//! mode is `tx`, `tx1` (transactions of the first version) or `alo`.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use walspring_connect::writer::{DurabilityListener, EncodedBatch, OffsetRecord, RecordWriter, Ticket, WriteError};
use walspring_kafka::producer::{Delivery, KafkaProducer, ProducerConfig, TransactionConfig, cluster_features};
use walspring_record_batch::{Codec, EncodedHeaders, RecordBatchBuilder};

#[derive(Default)]
struct Durable {
    last: Mutex<u64>,
    changed: Condvar,
}

impl DurabilityListener for Durable {
    fn durable(&self, ticket: u64, _: bool) {
        *self.last.lock().unwrap() = ticket;
        self.changed.notify_all();
    }

    fn failed(&self, error: WriteError) {
        panic!("{error}");
    }
}

impl Durable {
    fn wait(&self, ticket: u64) {
        let last = self.last.lock().unwrap();
        drop(self.changed.wait_while(last, |last| *last < ticket).unwrap());
    }
}

const BATCH_BYTES: usize = 256 * 1024;

fn main() {
    let mut args = std::env::args().skip(1);
    let broker = args.next().expect("a broker, host:port");
    let records: u64 = args.next().map_or(1_000_000, |n| n.parse().expect("how many records"));
    let mode = args.next().unwrap_or_else(|| "tx".into());
    let codec = args.next().map_or(Codec::None, |name| Codec::from_name(&name).expect("a codec"));

    let topic: Arc<str> = format!("bench-{}", std::process::id()).into();
    let offsets_topic = format!("{topic}-offsets");
    let alo = ProducerConfig::new([&broker], Delivery::AtLeastOnce);
    println!("{:?}", cluster_features(&alo).expect("a broker"));
    let mut first =
        KafkaProducer::connect(alo.clone(), Arc::new(Durable::default()), None).expect("a broker that answers");
    println!("{:?}", first.topic(&topic).expect("the topic"));
    first.topic(&offsets_topic).expect("the offsets topic");
    drop(first);

    let mut config = alo;
    config.compression = codec;
    if mode.starts_with("tx") {
        let mut transaction = TransactionConfig::new(format!("bench-{topic}"), &offsets_topic);
        transaction.force_version_1 = mode == "tx1";
        config.delivery = Delivery::Transactional(transaction);
    }
    let durable = Arc::new(Durable::default());
    let mut producer = KafkaProducer::connect(config, durable.clone(), None).expect("a producer");

    let value = vec![b'x'; 800];
    let now_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let headers = headers();
    let offset = |n: u64| {
        Some(OffsetRecord { key: br#"["bench",{"server":"s"}]"#.to_vec(), value: Some(n.to_string().into_bytes()) })
    };
    let mut number = 0;
    // Warm up: metadata, coordinator, pages of the log.
    let mut submit = |producer: &mut KafkaProducer, from: u64, to: u64| {
        let mut builder = RecordBatchBuilder::new(BATCH_BYTES + 2048);
        let mut next = from;
        while next < to && builder.len() < BATCH_BYTES {
            builder.append(now_ms, Some(&next.to_be_bytes()), Some(&value), &headers);
            next += 1;
        }
        let (bytes, records) = builder.finish();
        number += 1;
        let batches = vec![EncodedBatch { topic: topic.clone(), partition: 0, records, bytes }];
        producer.submit(Ticket { number, batches, offset: offset(number) }).expect("submit");
        (next, number)
    };
    for n in 0..20 {
        submit(&mut producer, n, n + 1);
    }
    producer.flush(Duration::from_secs(60)).expect("flush");

    let (cpu, began) = (cpu_seconds(), Instant::now());
    let mut next = 0;
    while next < records {
        (next, _) = submit(&mut producer, next, records);
    }
    producer.flush(Duration::from_secs(600)).expect("flush");
    let (cpu, took) = (cpu_seconds() - cpu, began.elapsed());
    let statistics = producer.handle().statistics();
    println!(
        "{mode} {codec:?}: {records} records in {:.2} s, {:.0}/s, {cpu:.2} CPU s; {statistics:?}",
        took.as_secs_f64(),
        records as f64 / took.as_secs_f64(),
    );

    // One ticket at a time: submit to commit.
    let mut latencies: Vec<Duration> = (0..500)
        .map(|n| {
            let began = Instant::now();
            let (_, ticket) = submit(&mut producer, n, n + 1);
            producer.idle();
            durable.wait(ticket);
            let took = began.elapsed();
            std::thread::sleep(Duration::from_micros(500));
            took
        })
        .collect();
    report("one after another", &mut latencies);

    // 500 tickets a second.
    let (cpu, before) = (cpu_seconds(), producer.handle().statistics().transactions);
    let began = Instant::now();
    let submitted = Arc::new(Mutex::new(Vec::new()));
    let first = number_of(&producer, &durable);
    let watcher = {
        let (durable, submitted) = (durable.clone(), submitted.clone());
        std::thread::spawn(move || {
            let mut latencies = Vec::new();
            for ticket in first + 1..=first + 2500 {
                durable.wait(ticket);
                let at: Instant = submitted.lock().unwrap()[(ticket - first - 1) as usize];
                latencies.push(at.elapsed());
            }
            latencies
        })
    };
    for n in 0..2500u32 {
        let due = began + Duration::from_millis(2) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        submitted.lock().unwrap().push(Instant::now());
        submit(&mut producer, u64::from(n), u64::from(n) + 1);
        producer.idle();
    }
    let mut latencies = watcher.join().expect("the watcher");
    report("500 a second", &mut latencies);
    let transactions = producer.handle().statistics().transactions - before;
    println!("{transactions} transactions, {:.2} CPU s in {:.1} s", cpu_seconds() - cpu, began.elapsed().as_secs_f64());
}

fn number_of(producer: &KafkaProducer, durable: &Durable) -> u64 {
    let _ = producer;
    *durable.last.lock().unwrap()
}

fn report(what: &str, latencies: &mut [Duration]) {
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("{what}: commit p50 {:.2} ms, p90 {:.2}, p99 {:.2}, max {:.2}", at(0.5), at(0.9), at(0.99), at(1.0));
}

fn headers() -> EncodedHeaders {
    let mut headers = EncodedHeaders::new();
    for (name, value) in [("op", "c"), ("table", "orders"), ("schema", "public"), ("db", "shop")] {
        headers.push(name, Some(value.as_bytes()));
    }
    headers
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: f64 = fields.get(11..13).map_or(0.0, |f| f.iter().filter_map(|t| t.parse::<f64>().ok()).sum());
    ticks / 100.0
}
