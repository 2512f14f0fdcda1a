//! `walspring worker` on its embedded log, measured from outside, beside PostgreSQL's limit in the same run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walspring_throwaway_postgres::ports::free_port;

use crate::database::{DATABASE, Database, Load, PUBLICATION};
use crate::process::{MemoryWatch, cpu_seconds, memory_mib};
use crate::rest::Rest;
use crate::{Result, limits, report, round};

const CONNECTOR: &str = "bench";
const SLOT: &str = "bench_walspring";

/// Where a build leaves the program: `$WALSPRING`, or beside this one.
pub fn program() -> PathBuf {
    let beside = || std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("walspring")));
    std::env::var_os("WALSPRING").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "walspring".into())
}

struct Worker {
    child: Child,
    rest: Rest,
    _dir: tempfile::TempDir,
}

impl Worker {
    fn start(program: &Path) -> Result<Worker> {
        let dir = tempfile::tempdir()?;
        let rest = Rest { port: free_port() };
        let file = dir.path().join("worker.properties");
        let log = dir.path().join("log");
        std::fs::write(
            &file,
            format!("listeners=http://127.0.0.1:{}\nwalspring.data.dir={}\n", rest.port, log.display()),
        )?;
        let start = Instant::now();
        let child = Command::new(program)
            .arg("worker")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("worker.log"))?)
            .spawn()
            .map_err(|e| format!("{}: {e}; build it with cargo build --release -p walspring", program.display()))?;
        let worker = Worker { child, rest, _dir: dir };
        wait("the worker's REST", Duration::from_secs(30), || Ok(worker.rest.get("/connectors").is_ok()))?;
        report(&json!({"subject": "walspring", "to_rest_ms": round(start.elapsed().as_secs_f64() * 1e3, 0),
            "at_rest_mib": round(memory_mib(worker.pid(), "VmRSS"), 1)}));
        Ok(worker)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Records of the connector's tables so far.
    fn records(&self) -> Result<u64> {
        let topics = self.rest.get("/v1/topics")?;
        let topics = topics["topics"].as_array().ok_or("/v1/topics is no list")?;
        let own = topics.iter().filter(|t| t["name"].as_str().is_some_and(|name| name.starts_with("bench.")));
        Ok(own
            .flat_map(|t| t["partitions"].as_array().into_iter().flatten())
            .filter_map(|p| p["end_offset"].as_u64())
            .sum())
    }

    /// Waits for so many records; a task that fails ends the measurement with its trace.
    fn until(&self, records: u64) -> Result<f64> {
        let start = Instant::now();
        let mut looked = Instant::now();
        wait("all records", Duration::from_secs(1800), || {
            if looked.elapsed() > Duration::from_secs(1) {
                looked = Instant::now();
                let status = self.rest.get(&format!("/connectors/{CONNECTOR}/status"))?;
                if status["tasks"][0]["state"] == "FAILED" {
                    return Err(status["tasks"][0]["trace"].to_string().into());
                }
            }
            Ok(self.records()? >= records)
        })?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn configure(&self, database: &Database, mode: &str, threads: u32) -> Result<()> {
        let config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
            "plugin.name": "pgoutput", "database.hostname": "127.0.0.1",
            "database.port": database.server.port().to_string(), "database.user": "postgres",
            "database.password": "postgres", "database.dbname": DATABASE, "topic.prefix": "bench", "slot.name": SLOT,
            "publication.name": PUBLICATION, "publication.autocreate.mode": "disabled", "snapshot.mode": mode,
            "snapshot.max.threads": threads.to_string(),
            "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        });
        self.rest.put(&format!("/connectors/{CONNECTOR}/config"), Some(&config)).map(drop)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

fn wait(what: &str, limit: Duration, mut ok: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !ok()? {
        if start.elapsed() > limit {
            return Err(format!("waited {} s for {what}", limit.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn slot_is_active(database: &Database) -> Result<bool> {
    let active = format!("select active::text from pg_replication_slots where slot_name = '{SLOT}'");
    Ok(database.value(&active)? == "true")
}

/// A backlog of committed changes into the log.
pub fn drain(program: &Path, load: &Load) -> Result<()> {
    let database = Database::start(load)?;
    database.value(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')::text", limits::SLOT))?;
    let worker = Worker::start(program)?;
    let stop = format!("/connectors/{CONNECTOR}/stop");
    worker.configure(&database, "no_data", 1)?;
    wait("the slot to be read", Duration::from_secs(60), || slot_is_active(&database))?;
    std::thread::sleep(Duration::from_secs(1));
    worker.rest.put(&stop, None)?;
    wait("the slot to be left", Duration::from_secs(60), || Ok(!slot_is_active(&database)?))?;

    let records = database.change(load)?;
    let end = database.value("select pg_current_wal_lsn()::text")?;
    let limit = limits::recvlogical(&database, &end)?;
    if let Some(seconds) = limit {
        report(&line("pg_recvlogical (limit)", load.rows, seconds));
    }
    let (cpu, watch) = (cpu_seconds(worker.pid()), MemoryWatch::start(worker.pid()));
    worker.rest.put(&format!("/connectors/{CONNECTOR}/resume"), None)?;
    let seconds = worker.until(records)?;
    finish(&worker, load.rows, records, seconds, cpu, watch, limit)
}

/// Tables as they are into the log.
pub fn snapshot(program: &Path, load: &Load, threads: u32) -> Result<()> {
    let database = Database::start(load)?;
    let rows = database.fill(load)?;
    let worker = Worker::start(program)?;
    let limit = limits::copy(&database, load)?;
    report(&line("COPY text (limit)", rows, limit));
    let (cpu, watch) = (cpu_seconds(worker.pid()), MemoryWatch::start(worker.pid()));
    worker.configure(&database, "initial", threads)?;
    let seconds = worker.until(rows)?;
    finish(&worker, rows, rows, seconds, cpu, watch, Some(limit))
}

fn line(subject: &str, rows: u64, seconds: f64) -> Value {
    json!({"subject": subject, "rows": rows, "seconds": round(seconds, 2), "per_second": round(rows as f64 / seconds, 0)})
}

fn finish(
    worker: &Worker,
    rows: u64,
    records: u64,
    seconds: f64,
    cpu: f64,
    watch: MemoryWatch,
    limit: Option<f64>,
) -> Result<()> {
    let cpu = cpu_seconds(worker.pid()) - cpu;
    let mut line = line("walspring (embedded log)", rows, seconds);
    line["records"] = json!(worker.records()?);
    line["complete"] = json!(worker.records()? == records);
    line["ratio"] = json!(limit.map(|limit| round(limit / seconds, 2)));
    line["cpu_s_per_million"] = json!(round(cpu / rows as f64 * 1e6, 2));
    line["peak_rss_mib"] = json!(round(watch.peak_mib(), 0));
    report(&line);
    Ok(())
}
