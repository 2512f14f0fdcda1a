//! A database of thousands of tables: how long until the first event, and what a snapshot of all of them takes.
//!
//! The worker runs on its embedded log, or on a Kafka that is there already. An event has been delivered once the stored
//! offset names its transaction: an offset is never stored before its records are durable.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::database::{Database, Load, RowKind};
use crate::process::{cpu_seconds, memory_mib};
use crate::worker::{Place, Worker, slot_is_active, wait};
use crate::{Result, report, round};

const LIMIT: Duration = Duration::from_secs(900);

const STREAMING: &str = "bench_tables";
const INITIAL: &str = "bench_initial";

/// One line each: the connector is made; every table has an event; the worker starts again; all tables are read.
pub fn measure(program: &Path, tables: u64, rows: u64, kafka: Option<&str>) -> Result<()> {
    let load = Load { rows: tables * rows, tables, transaction_rows: 1, kind: RowKind::Plain };
    let database = Database::start(&load)?;
    let run = Run { database: &database, load: &load, on: if kafka.is_some() { "Kafka" } else { "embedded log" } };
    let place = Place::new(kafka)?;
    let worker = Worker::start(program, &place)?;
    run.connector_is_made(&worker)?;
    run.every_table_has_an_event(&worker)?;
    drop(worker);
    run.worker_starts_again(program, &place)?;

    database.fill(&load)?;
    let place = Place::new(kafka)?;
    run.all_tables_are_read(&Worker::start(program, &place)?, rows)
}

struct Run<'a> {
    database: &'a Database,
    load: &'a Load,
    on: &'static str,
}

impl Run<'_> {
    fn connector_is_made(&self, worker: &Worker) -> Result<()> {
        let (start, cpu) = (Instant::now(), cpu_seconds(worker.pid()));
        worker.configure(STREAMING, self.database, "no_data", 1)?;
        let running = self.until_running(worker, start)?;
        wait("the slot to be read", LIMIT, || {
            worker.task_state(STREAMING)?;
            slot_is_active(self.database, STREAMING)
        })?;
        let streaming = start.elapsed();
        let xid = self.insert(self.load.tables - 1..self.load.tables, 1)?;
        until_delivered(worker, &xid)?;
        self.report(worker, cpu, "the connector is made, without a snapshot", json!({
            "running_s": seconds(running), "streaming_s": seconds(streaming), "first_event_s": seconds(start.elapsed()),
        }))
    }

    fn every_table_has_an_event(&self, worker: &Worker) -> Result<()> {
        let cpu = cpu_seconds(worker.pid());
        self.insert(0..self.load.tables, 2)?;
        let (start, xid) = (Instant::now(), self.insert(0..1, 3)?);
        until_delivered(worker, &xid)?;
        self.report(worker, cpu, "every table has an event", json!({"all_delivered_s": seconds(start.elapsed())}))
    }

    /// The table of the event is the last one: whoever described tables one by one would come to it at the end.
    fn worker_starts_again(&self, program: &Path, place: &Place) -> Result<()> {
        let xid = self.insert(self.load.tables - 1..self.load.tables, 4)?;
        let start = Instant::now();
        let worker = Worker::start(program, place)?;
        let running = self.until_running(&worker, start)?;
        until_delivered(&worker, &xid)?;
        self.report(
            &worker,
            0.0,
            "the worker starts again",
            json!({
                "to_rest_ms": round(worker.to_rest_ms, 0), "running_s": seconds(running),
                "first_event_s": seconds(start.elapsed()),
            }),
        )
    }

    fn all_tables_are_read(&self, worker: &Worker, rows: u64) -> Result<()> {
        let (start, cpu) = (Instant::now(), cpu_seconds(worker.pid()));
        worker.configure(INITIAL, self.database, "initial", 1)?;
        wait("the snapshot", LIMIT, || {
            worker.task_state(INITIAL)?;
            let offset = offset(worker, INITIAL)?;
            Ok(offset["snapshot_completed"] == true || offset["txId"].is_u64() && offset["snapshot"].is_null())
        })?;
        self.report(
            worker,
            cpu,
            "all tables are read",
            json!({
                "rows_each": rows, "snapshot_s": seconds(start.elapsed()),
            }),
        )
    }

    fn until_running(&self, worker: &Worker, start: Instant) -> Result<Duration> {
        wait("the task to run", LIMIT, || Ok(worker.task_state(STREAMING)? == "RUNNING"))?;
        Ok(start.elapsed())
    }

    /// A row for each of these tables, in one transaction; answers the transaction's id.
    fn insert(&self, tables: std::ops::Range<u64>, id: u64) -> Result<String> {
        let mut client = self.database.client()?;
        let mut transaction = client.transaction()?;
        let inserts: Vec<String> = tables.map(|i| self.load.insert(i, 1_000_000 + id)).collect();
        transaction.batch_execute(&inserts.join(";\n"))?;
        let xid: String = transaction.query_one("select pg_current_xact_id()::text", &[])?.get(0);
        transaction.commit()?;
        Ok(xid)
    }

    fn report(&self, worker: &Worker, cpu: f64, what: &str, figures: Value) -> Result<()> {
        let mut line = json!({"subject": format!("walspring ({})", self.on), "tables": self.load.tables, "what": what});
        for (name, figure) in figures.as_object().into_iter().flatten() {
            line[name] = figure.clone();
        }
        line["cpu_s"] = json!(round(cpu_seconds(worker.pid()) - cpu, 2));
        line["rss_mib"] = json!(round(memory_mib(worker.pid(), "VmRSS"), 0));
        line["peak_rss_mib"] = json!(round(memory_mib(worker.pid(), "VmHWM"), 0));
        report(&line);
        Ok(())
    }
}

fn seconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64(), 2)
}

/// What is stored for the connector; null while nothing is.
fn offset(worker: &Worker, connector: &str) -> Result<Value> {
    let Ok(answer) = worker.rest.get(&format!("/connectors/{connector}/offsets")) else { return Ok(Value::Null) };
    Ok(answer["offsets"][0]["offset"].clone())
}

fn until_delivered(worker: &Worker, xid: &str) -> Result<()> {
    wait("an event", LIMIT, || {
        worker.task_state(STREAMING)?;
        Ok(offset(worker, STREAMING)?["txId"].as_u64().is_some_and(|stored| stored.to_string() == xid))
    })
}
