//! The embedded log alone: encoded rows in, durable rows out.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walspring_connect::writer::{DurabilityListener, EncodedBatch, OffsetRecord, Ticket, WriteError};
use walspring_connect::{Backend, WriterRequest};
use walspring_log::{Log, LogBackend, LogBackendConfig, LogConfig};

use crate::encode::Pipeline;
use crate::process::cpu_seconds;
use crate::stream::Stream;
use crate::{Result, round};

/// Follows what is durable.
#[derive(Default)]
struct Durable {
    state: Mutex<(u64, Option<WriteError>)>,
    changed: Condvar,
}

impl DurabilityListener for Durable {
    fn durable(&self, ticket: u64, _offset_stored: bool) {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).0 = ticket;
        self.changed.notify_all();
    }

    fn failed(&self, error: WriteError) {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).1 = Some(error);
        self.changed.notify_all();
    }
}

/// Writes `rows` rows in tickets of a change batch each, with a source offset, as a task does. The batches are encoded
/// before, so that the log is what is measured.
pub fn measure(dir: &Path, rows: usize) -> Result<Value> {
    // 20,000 rows, handed over again and again: the log numbers them anew.
    let stream = Stream::of_inserts(20_000.min(rows), 100);
    let mut batches: Vec<(Vec<u8>, u32)> = Vec::new();
    Pipeline::new(false)?.run(&stream, |made| batches.extend(made.into_iter().map(|b| (b.bytes, b.records))))?;

    let log = Log::open(LogConfig::new(dir.join("log")))?;
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default())?;
    let durable = Arc::new(Durable::default());
    let request = WriterRequest { connector: "bench".into(), task: 0, config: Vec::new(), offsets_topic: None };
    let mut writer = backend.writer(request, durable.clone())?;
    writer.topic("bench.public.bench")?;

    let (pid, topic) = (std::process::id(), Arc::<str>::from("bench.public.bench"));
    // The log says `grown` once for each group commit, which is one fdatasync.
    let grown = log.grown();
    let (cpu, commits, start) = (cpu_seconds(pid), *grown.borrow(), Instant::now());
    let (mut written, mut bytes, mut number) = (0usize, 0u64, 0u64);
    'rows: loop {
        for (batch, records) in &batches {
            number += 1;
            written += *records as usize;
            bytes += batch.len() as u64;
            let batch = EncodedBatch { topic: topic.clone(), partition: 0, records: *records, bytes: batch.clone() };
            let key = br#"["bench",{"server":"bench"}]"#.to_vec();
            let offset = OffsetRecord { key, value: Some(format!(r#"{{"lsn":{number}}}"#).into_bytes()) };
            writer.submit(Ticket { number, batches: vec![batch], offset: Some(offset) })?;
            if written >= rows {
                break 'rows;
            }
        }
    }
    writer.flush(Duration::from_secs(60))?;
    let seconds = start.elapsed().as_secs_f64();
    let state = durable.state.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(error) = &state.1 {
        return Err(error.to_string().into());
    }
    assert_eq!(state.0, number, "flush has returned, so everything is durable");
    Ok(json!({
        "subject": "embedded log", "rows": written, "tickets": number, "seconds": round(seconds, 2),
        "per_second": (written as f64 / seconds).round(), "mb_per_second": round(bytes as f64 / seconds / 1e6, 1),
        "cpu_s_per_million": round((cpu_seconds(pid) - cpu) / written as f64 * 1e6, 2),
        "fsyncs": *grown.borrow() - commits,
    }))
}
