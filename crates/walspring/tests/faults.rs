//! Faults under load, with exactly once on Kafka: every version of every row arrives once, in order.
//!
//! The longer runs, with faults of Kafka and at the side of the original, are those of `scripts/chaos`.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Worker, connector, request, walspring};
use walspring_testkit::client::{Client, NoTls};
use walspring_testkit::{Kafka, KafkaOptions, Postgres, Shutdown, TempDatabase, kafka, postgres};

const ROWS: i32 = 50;
/// From a fault until records come again; generous, for a machine that does other things too.
const RECOVERY: Duration = Duration::from_secs(60);

/// A database under load, and the worker's file. Dropped, the load ends.
struct Rig {
    dir: tempfile::TempDir,
    db: TempDatabase,
    bootstrap: String,
    lines: String,
    topic: String,
    on: Arc<AtomicBool>,
    load: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(server: &Arc<Postgres>, kafka: &Kafka, exactly_once: &str) -> Rig {
        let db = server.database();
        db.sql("create table account (id int primary key, version int not null)");
        let (bootstrap, group) = (kafka.bootstrap(), db.slot("group"));
        let lines = format!(
            "bootstrap.servers={bootstrap}\ngroup.id={group}\nconfig.storage.topic={group}-configs\n\
             offset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
             config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
             status.storage.replication.factor=1\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\n\
             exactly.once.source.support={exactly_once}\ntask.shutdown.graceful.timeout.ms=3000\n"
        );
        let topic = format!("{}.public.account", db.slot("f"));
        let dir = tempfile::tempdir().unwrap();
        Rig { dir, db, bootstrap, lines, topic, on: Arc::new(AtomicBool::new(true)), load: None }
    }

    fn worker(&self) -> Worker {
        Worker::start_with(self.dir.path(), &self.lines, &[])
    }

    /// A worker with the connector streaming, and the load begun.
    fn start(&mut self) -> Worker {
        let worker = self.worker();
        let mut body = connector(&self.db, "one", &self.db.slot("f"));
        body["config"]["snapshot.mode"] = "no_data".into();
        let (status, answer) = request(worker.port, "POST", "/connectors", Some(&body.to_string()));
        assert_eq!(status, 201, "{answer}");
        let active =
            format!("select count(*) from pg_replication_slots where slot_name = '{}' and active", self.slot());
        walspring_testkit::wait_for("the stream", RECOVERY, || (self.db.value(&active) == "1").then_some(()));
        let (url, on) = (self.db.url(), self.on.clone());
        self.load = Some(std::thread::spawn(move || write(&url, &on)));
        self.wait_more(0);
        worker
    }

    fn slot(&self) -> String {
        self.db.slot("one")
    }

    /// Ids with their versions as they stand in the topic; what was aborted is left out.
    fn read(&self) -> Vec<(i64, i64)> {
        let out =
            walspring(&["tail", &self.topic, "--bootstrap", &self.bootstrap, "--from", "beginning", "--format", "raw"]);
        let text = String::from_utf8_lossy(&out.stdout);
        let row = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            Some((event["after"]["id"].as_i64()?, event["after"]["version"].as_i64()?))
        };
        text.lines().filter(|line| !line.is_empty()).filter_map(row).collect()
    }

    /// Until the topic has more records than that; how many there are.
    #[track_caller]
    fn wait_more(&self, than: usize) -> usize {
        walspring_testkit::wait_for("more records", RECOVERY, || Some(self.read().len()).filter(|n| *n > than))
    }

    /// Ends the load and compares the topic with the table. `again_max`: how many may have come twice.
    #[track_caller]
    fn check(&mut self, again_max: usize) {
        self.on.store(false, Ordering::Release);
        self.load.take().unwrap().join().unwrap();
        let rows = self.db.sql("select id, version from account order by id");
        let number = |cell: &Option<String>| cell.as_ref().unwrap().parse::<i64>().unwrap();
        let want: BTreeMap<i64, i64> = rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
        let end = Instant::now() + RECOVERY;
        loop {
            let (mut seen, mut again, mut wrong) = (BTreeMap::<i64, i64>::new(), 0, Vec::new());
            for (id, version) in self.read() {
                let last = seen.entry(id).or_default();
                match version - *last {
                    1 => *last = version,
                    ..=0 => again += 1,
                    _ => wrong.push((id, *last, version)),
                }
            }
            if seen == want || Instant::now() > end || !wrong.is_empty() {
                assert_eq!(wrong, [], "gaps or disorder (id, last version, version)");
                assert_eq!(seen, want, "lost");
                assert!(again <= again_max, "{again} came again");
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.on.store(false, Ordering::Release);
        if let Some(load) = self.load.take() {
            let _ = load.join();
        }
    }
}

/// Transactions of three rows each, on a new connection whenever the old one is gone.
fn write(url: &str, on: &AtomicBool) {
    let mut connection: Option<Client> = None;
    let mut n = 0;
    while on.load(Ordering::Acquire) {
        n += 1;
        let ids: Vec<String> = (0..3).map(|i| format!("({}, 1)", (n * 7 + i * 11) % ROWS)).collect();
        let sql = format!(
            "insert into account values {} on conflict (id) do update set version = account.version + 1",
            ids.join(", ")
        );
        connection = connection.or_else(|| Client::connect(url, NoTls).ok());
        if connection.as_mut().is_none_or(|client| client.batch_execute(&sql).is_err()) {
            connection = None;
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn killed_cut_off_and_stopped_under_load_it_goes_on_where_it_was() {
    let mut rig = Rig::new(&postgres(17), &kafka(), "enabled");
    let mut worker = rig.start();
    for _ in 0..2 {
        worker.signal("KILL");
        worker.wait_exit(RECOVERY);
        let seen = rig.read().len();
        worker = rig.worker();
        rig.wait_more(seen);
    }
    let cut =
        format!("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{}'", rig.slot());
    rig.db.sql(&cut);
    let seen = rig.read().len();
    rig.wait_more(seen);
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(15)).code(), Some(0), "{}", worker.log());
    assert!(worker.log().contains("stopped in order"), "{}", worker.log());
    let seen = rig.read().len();
    let _worker = rig.worker();
    rig.wait_more(seen);
    rig.check(0);
}

#[test]
fn a_second_worker_of_the_group_takes_over() {
    let mut rig = Rig::new(&postgres(17), &kafka(), "enabled");
    let mut first = rig.start();
    let seen = rig.read().len();
    let second = rig.worker();
    second.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "RUNNING");
    rig.wait_more(seen);
    let (status, body) = first.get("/health");
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("Another worker with the same group.id has taken over"), "{body}");
    first.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "FAILED");
    assert_eq!(request(first.port, "PUT", "/connectors/one/pause", None).0, 500);
    first.signal("TERM");
    assert_eq!(first.wait_exit(Duration::from_secs(15)).code(), Some(0), "{}", first.log());
    let seen = rig.read().len();
    rig.wait_more(seen);
    second.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "RUNNING");
    rig.check(0);
}

#[test]
fn postgres_crashes_and_restarts() {
    let server = Arc::new(Postgres::start(Postgres::builder(17).durable(true)));
    let mut rig = Rig::new(&server, &kafka(), "enabled");
    let worker = rig.start();
    for how in [Shutdown::Kill, Shutdown::Fast] {
        server.server().restart(how).unwrap();
        let seen = rig.read().len();
        rig.wait_more(seen);
    }
    worker.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "RUNNING");
    rig.check(0);
}

#[test]
fn at_least_once_repeats_no_more_than_a_moment() {
    let mut rig = Rig::new(&postgres(17), &kafka(), "disabled");
    let mut worker = rig.start();
    worker.signal("KILL");
    worker.wait_exit(RECOVERY);
    let seen = rig.read().len();
    let mut worker = rig.worker();
    rig.wait_more(seen);
    // Stopped in order, nothing comes again.
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(15)).code(), Some(0), "{}", worker.log());
    let seen = rig.read().len();
    let _worker = rig.worker();
    rig.wait_more(seen);
    // A second's worth, at most 300 transactions of three rows, and room for a machine that stalls.
    rig.check(3000);
}

#[test]
fn without_kafka_it_says_so_stops_in_time_and_goes_on_later() {
    let kafka = Kafka::start(KafkaOptions::default());
    let mut rig = Rig::new(&postgres(17), &kafka, "enabled");
    let mut worker = rig.start();
    kafka.broker(0).kill();
    let waits = |s: &Value| {
        let task = &s["tasks"][0];
        task["state"] == "RESTARTING" && task["trace"].as_str().is_some_and(|t| t.contains("waiting for Kafka"))
    };
    worker.wait("/connectors/one/status", waits);
    assert!(worker.log().contains("waiting for Kafka"), "{}", worker.log());
    let begun = Instant::now();
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(20)).code(), Some(0), "{}", worker.log());
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());

    let worker = rig.worker();
    walspring_testkit::wait_for("the reason", RECOVERY, || {
        worker.get("/health").1.contains("waiting for Kafka").then_some(())
    });
    kafka.broker(0).start();
    worker.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "RUNNING");
    let seen = rig.read().len();
    rig.wait_more(seen);
    rig.check(0);
}
