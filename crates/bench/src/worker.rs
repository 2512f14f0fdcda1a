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

/// Where a build leaves the program: `$WALSPRING`, or beside this one.
pub fn program() -> PathBuf {
    let beside = || std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("walspring")));
    std::env::var_os("WALSPRING").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "walspring".into())
}

/// Where a worker keeps what it needs, over restarts.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub rest: Rest,
}

impl Place {
    /// On its embedded log, or on the Kafka that listens at `kafka`.
    pub fn new(kafka: Option<&str>) -> Result<Place> {
        let place = Place { dir: tempfile::tempdir()?, rest: Rest { port: free_port() } };
        let group = format!("bench-{}", place.rest.port);
        let storage = match kafka {
            None => format!("walspring.data.dir={}\n", place.dir.path().join("log").display()),
            Some(kafka) => ["offset", "config", "status"].iter().fold(
                format!(
                    "bootstrap.servers={kafka}\ngroup.id={group}\nexactly.once.source.support=enabled\n\
                     key.converter=org.apache.kafka.connect.json.JsonConverter\n\
                     value.converter=org.apache.kafka.connect.json.JsonConverter\n"
                ),
                |text, kind| {
                    format!("{text}{kind}.storage.topic={group}-{kind}\n{kind}.storage.replication.factor=1\n")
                },
            ),
        };
        std::fs::write(place.file(), format!("listeners=http://127.0.0.1:{}\n{storage}", place.rest.port))?;
        Ok(place)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("worker.properties")
    }
}

pub(crate) struct Worker {
    child: Child,
    pub rest: Rest,
    /// Milliseconds from its start until REST answered.
    pub to_rest_ms: f64,
}

impl Worker {
    pub fn start(program: &Path, place: &Place) -> Result<Worker> {
        let log = std::fs::File::options().create(true).append(true).open(place.dir.path().join("worker.log"))?;
        let start = Instant::now();
        let child = Command::new(program)
            .arg("worker")
            .arg(place.file())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}; build it with cargo build --release -p walspring", program.display()))?;
        let mut worker = Worker { child, rest: place.rest.clone(), to_rest_ms: 0.0 };
        wait("the worker's REST", Duration::from_secs(30), || Ok(worker.rest.get("/connectors").is_ok()))?;
        worker.to_rest_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(worker)
    }

    /// On an embedded log, with a line that says how it started.
    fn start_and_report(program: &Path, place: &Place) -> Result<Worker> {
        let worker = Worker::start(program, place)?;
        report(&json!({"subject": "walspring", "to_rest_ms": round(worker.to_rest_ms, 0),
            "at_rest_mib": round(memory_mib(worker.pid(), "VmRSS"), 1)}));
        Ok(worker)
    }

    /// The state of the connector's task; an error with its trace where it has failed.
    pub fn task_state(&self, connector: &str) -> Result<String> {
        // A connector that was just made has no status yet.
        let Ok(status) = self.rest.get(&format!("/connectors/{connector}/status")) else { return Ok(String::new()) };
        let task = &status["tasks"][0];
        match task["state"].as_str() {
            Some("FAILED") => Err(task["trace"].to_string().into()),
            state => Ok(state.unwrap_or_default().to_owned()),
        }
    }

    pub fn pid(&self) -> u32 {
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
                self.task_state(CONNECTOR)?;
            }
            Ok(self.records()? >= records)
        })?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Makes the connector, with a slot and topics of the same name.
    pub fn configure(&self, connector: &str, database: &Database, mode: &str, threads: u32) -> Result<()> {
        let config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
            "plugin.name": "pgoutput", "database.hostname": "127.0.0.1",
            "database.port": database.server.port().to_string(), "database.user": "postgres",
            "database.password": "postgres", "database.dbname": DATABASE, "topic.prefix": connector,
            "slot.name": connector, "publication.name": PUBLICATION, "publication.autocreate.mode": "disabled",
            "snapshot.mode": mode, "snapshot.max.threads": threads.to_string(),
            "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        });
        self.rest.put(&format!("/connectors/{connector}/config"), Some(&config)).map(drop)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

pub(crate) fn wait(what: &str, limit: Duration, mut ok: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !ok()? {
        if start.elapsed() > limit {
            return Err(format!("waited {} s for {what}", limit.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(crate) fn slot_is_active(database: &Database, slot: &str) -> Result<bool> {
    let active = format!("select active::text from pg_replication_slots where slot_name = '{slot}'");
    Ok(database.value(&active)? == "true")
}

/// A backlog of committed changes into the log.
pub fn drain(program: &Path, load: &Load) -> Result<()> {
    let database = Database::start(load)?;
    database.value(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput')::text", limits::SLOT))?;
    let place = Place::new(None)?;
    let worker = Worker::start_and_report(program, &place)?;
    let stop = format!("/connectors/{CONNECTOR}/stop");
    worker.configure(CONNECTOR, &database, "no_data", 1)?;
    wait("the slot to be read", Duration::from_secs(60), || slot_is_active(&database, CONNECTOR))?;
    std::thread::sleep(Duration::from_secs(1));
    worker.rest.put(&stop, None)?;
    wait("the slot to be left", Duration::from_secs(60), || Ok(!slot_is_active(&database, CONNECTOR)?))?;

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
    let place = Place::new(None)?;
    let worker = Worker::start_and_report(program, &place)?;
    let limit = limits::copy(&database, load)?;
    report(&line("COPY text (limit)", rows, limit));
    let (cpu, watch) = (cpu_seconds(worker.pid()), MemoryWatch::start(worker.pid()));
    worker.configure(CONNECTOR, &database, "initial", threads)?;
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
