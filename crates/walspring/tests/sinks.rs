//! Sink connectors in the worker as a process: from a source's table through topics to a sink's, on Kafka and on the
//! embedded log.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Worker, connector, request};
use walspring_testkit::{
    KAFKA_VERSION, Kafka, Postgres, Shutdown, TempDatabase, kafka, kafka_libs, postgres, wait_for,
};

const WAIT: Duration = Duration::from_secs(60);

/// A worker, a table whose changes go to a topic, and a database for the copies.
struct Rig {
    worker: Worker,
    from: TempDatabase,
    to: TempDatabase,
    prefix: String,
    dir: tempfile::TempDir,
    lines: String,
}

fn rig(kafka: Option<&Kafka>) -> Rig {
    rig_to(kafka, &postgres(17))
}

fn rig_to(kafka: Option<&Kafka>, target: &Arc<Postgres>) -> Rig {
    let (from, to) = (postgres(17).database(), target.database());
    from.sql("create table account (id int primary key, owner text, balance bigint not null)");
    to.sql("create table account (id int primary key, owner text, balance bigint not null check (balance >= 0))");
    let dir = tempfile::tempdir().unwrap();
    let lines = match kafka {
        None => format!("walspring.data.dir={}\n", dir.path().join("log").display()),
        Some(kafka) => {
            let group = from.slot("group");
            format!(
                "bootstrap.servers={}\ngroup.id={group}\nconfig.storage.topic={group}-configs\n\
                 offset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
                 config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
                 status.storage.replication.factor=1\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
                 value.converter=org.apache.kafka.connect.json.JsonConverter\n",
                kafka.bootstrap()
            )
        }
    };
    let worker = Worker::start_with(dir.path(), &lines, &[]);
    worker.wait("/connectors", |list| list == &json!([]));
    let prefix = from.slot("s");
    let rig = Rig { worker, from, to, prefix, dir, lines };
    rig.register(&connector(&rig.from, &rig.name("source"), &rig.prefix));
    rig
}

impl Rig {
    /// A name of this test's own: groups are shared on the broker.
    fn name(&self, what: &str) -> String {
        self.from.slot(what)
    }

    fn topic(&self) -> String {
        format!("{}.public.account", self.prefix)
    }

    fn register(&self, body: &Value) {
        let (status, answer) = request(self.worker.port, "POST", "/connectors", Some(&body.to_string()));
        assert_eq!(status, 201, "{answer}");
        let name = body["name"].as_str().unwrap();
        self.worker.wait(&format!("/connectors/{name}/status"), |s| s["tasks"][0]["state"] == "RUNNING");
    }

    fn sink(&self, more: Value) -> Value {
        let mut config = json!({
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": self.topic(),
            "consumer.override.auto.offset.reset": "earliest",
            "connection.url": format!(
                "jdbc:postgresql://{}:{}/{}", self.to.server().host(), self.to.server().port(), self.to.name()
            ),
            "connection.username": "postgres",
            "connection.password": "any",
            "collection.name.format": "account",
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
        });
        let Value::Object(more) = more else { panic!("an object") };
        config.as_object_mut().unwrap().extend(more);
        json!({"name": self.name("copy"), "config": config})
    }

    fn put(&self, what: &str) -> (u16, String) {
        request(self.worker.port, "PUT", &format!("/connectors/{}/{what}", self.name("copy")), None)
    }

    fn state(&self, wanted: &str) -> Value {
        let path = format!("/connectors/{}/status", self.name("copy"));
        // Each task says it for itself, and any of them may have the partition.
        self.worker.wait(&path, |s| match s["tasks"].as_array() {
            Some(tasks) if !tasks.is_empty() => tasks.iter().all(|task| task["state"] == wanted),
            _ => s["connector"]["state"] == wanted,
        })
    }

    #[track_caller]
    fn wait_rows(&self, wanted: &str) {
        let query = "select coalesce(string_agg(id || ' ' || coalesce(owner, '-') || ' ' || balance, ', ' order by id), '') \
                     from account";
        let end = Instant::now() + WAIT;
        loop {
            let rows = self.to.try_sql(query).ok().and_then(|rows| rows[0][0].clone());
            if rows.as_deref() == Some(wanted) {
                return;
            }
            assert!(Instant::now() < end, "{rows:?} and not {wanted}; the log:\n{}", self.worker.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn offset(&self) -> Option<i64> {
        let answer = self.worker.json(&format!("/connectors/{}/offsets", self.name("copy")));
        answer["offsets"][0]["offset"]["kafka_offset"].as_i64()
    }
}

fn table_to_table(rig: &Rig) {
    rig.from.sql("insert into account values (1, 'a', 10), (2, 'b', 20), (3, null, 30)");
    rig.register(&rig.sink(json!({"tasks.max": "2"})));
    rig.wait_rows("1 a 10, 2 b 20, 3 - 30");
    rig.from.sql("update account set balance = balance + 1; delete from account where id = 2; insert into account values (4, 'd', 0)");
    rig.wait_rows("1 a 11, 3 - 31, 4 d 0");
    let name = rig.name("copy");
    assert_eq!(rig.worker.json(&format!("/connectors/{name}"))["type"], "sink");

    // Paused nothing is written, resumed all of it.
    assert_eq!(rig.put("pause").0, 202);
    rig.state("PAUSED");
    rig.from.sql("update account set balance = 100 where id = 1");
    let next = rig.offset().unwrap();
    // Rows, updates, a delete with its tombstone, an insert; on Kafka the ends of two transactions.
    assert!((9..=11).contains(&next), "{next}");
    std::thread::sleep(Duration::from_millis(300));
    rig.wait_rows("1 a 11, 3 - 31, 4 d 0");
    assert_eq!(rig.put("resume").0, 202);
    rig.wait_rows("1 a 100, 3 - 31, 4 d 0");

    // Offsets through REST, in Connect's form.
    let offsets = format!("/connectors/{name}/offsets");
    let body = |offset: Value| {
        json!({"offsets": [{"partition": {"kafka_topic": rig.topic(), "kafka_partition": 0}, "offset": offset}]})
            .to_string()
    };
    let (status, answer) = request(rig.worker.port, "PATCH", &offsets, Some(&body(json!({"kafka_offset": 0}))));
    assert!(status == 400 && answer.contains("must be in the STOPPED state"), "{answer}");
    assert_eq!(rig.put("stop").0, 204);
    rig.state("STOPPED");
    assert!(rig.offset().unwrap() > next);
    let (status, answer) = request(rig.worker.port, "PATCH", &offsets, Some(&body(json!({"kafka_offset": "4"}))));
    assert!(status == 200 && answer.contains("have been altered successfully"), "{answer}");
    assert_eq!(rig.offset(), Some(4));
    rig.to.sql("truncate account");
    assert_eq!(rig.put("resume").0, 202);
    rig.wait_rows("1 a 100, 3 - 31, 4 d 0");
    assert_eq!(rig.put("stop").0, 204);
    rig.state("STOPPED");
    let (status, answer) = request(rig.worker.port, "DELETE", &offsets, None);
    assert!(status == 200 && answer.contains("have been reset successfully"), "{answer}");
    assert_eq!(rig.offset(), None);
    rig.to.sql("truncate account");
    assert_eq!(rig.put("resume").0, 202);
    rig.wait_rows("1 a 100, 3 - 31, 4 d 0");
    let (_, metrics) = rig.worker.get("/metrics");
    assert!(metrics.contains(&format!("walspring_sink_records_total{{connector=\"{name}\"")), "{metrics}");
}

#[test]
fn from_table_to_table_on_the_embedded_log() {
    table_to_table(&rig(None));
}

#[test]
fn from_table_to_table_on_kafka_where_its_tools_see_the_group() {
    let kafka = kafka();
    let rig = rig(Some(&kafka));
    table_to_table(&rig);
    let name = rig.name("copy");
    let described = wait_for("the group", WAIT, || {
        let text = consumer_groups(&kafka, &["--describe", "--group", &format!("connect-{name}")]);
        let line = text.lines().find(|line| line.contains(&rig.topic()))?.to_owned();
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID …
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields[3] == fields[4] && fields[5] == "0").then_some(line.clone())
    });
    assert!(described.contains(&format!("connect-{name}")), "{described}");
}

fn consumer_groups(kafka: &Kafka, args: &[&str]) -> String {
    let out = Command::new("java")
        .args(["-cp", &format!("{}/*", kafka_libs(KAFKA_VERSION).unwrap().display())])
        .args(["org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", &kafka.bootstrap()])
        .args(args)
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn a_sink_that_goes_down_comes_back_by_itself() {
    let target = Arc::new(Postgres::start(Postgres::builder(17)));
    let rig = rig_to(None, &target);
    rig.from.sql("insert into account values (1, 'a', 10)");
    rig.register(&rig.sink(json!({})));
    rig.wait_rows("1 a 10");
    target.server().stop(Shutdown::Kill);
    rig.from.sql("insert into account values (2, 'b', 20)");
    let trace = rig.state("RESTARTING")["tasks"][0]["trace"].as_str().unwrap().to_owned();
    assert!(!trace.is_empty() && !trace.contains("any"), "{trace}");
    let source = rig.worker.json(&format!("/connectors/{}/status", rig.name("source")));
    assert_eq!(source["tasks"][0]["state"], "RUNNING", "others go on");
    target.server().start().unwrap();
    rig.wait_rows("1 a 10, 2 b 20");
    rig.state("RUNNING");
}

#[test]
fn a_worker_that_is_killed_goes_on_where_the_group_stands() {
    let mut rig = rig(None);
    rig.register(&rig.sink(json!({})));
    rig.from.sql("insert into account select i, 'x', i from generate_series(1, 2000) i");
    rig.worker.signal("KILL");
    rig.worker.wait_exit(Duration::from_secs(10));
    rig.from.sql("update account set balance = balance + 1");
    rig.worker = Worker::start_with(rig.dir.path(), &rig.lines, &[]);
    let sums = || rig.to.value("select count(*) || ' ' || coalesce(sum(balance), 0) from account");
    wait_for("the rows", WAIT, || (sums() == format!("2000 {}", 2000 * 2001 / 2 + 2000)).then_some(()));
}

fn poison_rows_go_to_the_queue(rig: &Rig, records: impl Fn(&str) -> Vec<String>) {
    let queue = format!("{}-letters", rig.prefix);
    rig.from.sql("insert into account values (1, 'a', 10), (2, 'forbidden', -1), (3, 'c', 30)");
    rig.register(&rig.sink(json!({
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    })));
    rig.wait_rows("1 a 10, 3 c 30");
    rig.from.sql("insert into account values (4, 'd', 40)");
    rig.wait_rows("1 a 10, 3 c 30, 4 d 40");
    let letters = records(&queue);
    assert!(letters.len() == 1 && letters[0].contains("forbidden"), "{letters:?}");
    // Not tolerated, the next one stops the task, in front of the record.
    assert_eq!(rig.put("stop").0, 204);
    rig.state("STOPPED");
    let (status, answer) = request(
        rig.worker.port,
        "PATCH",
        &format!("/connectors/{}/config", rig.name("copy")),
        Some(&json!({"errors.tolerance": "none"}).to_string()),
    );
    assert_eq!(status, 200, "{answer}");
    assert_eq!(rig.put("resume").0, 202);
    rig.from.sql("insert into account values (5, 'e', 50), (6, 'forbidden', -6), (7, 'g', 70)");
    let trace = rig.state("FAILED")["tasks"][0]["trace"].as_str().unwrap().to_owned();
    assert!(trace.starts_with("org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded"), "{trace}");
    let place = format!("at offset {} of partition 0 of topic {};", rig.offset().unwrap(), rig.topic());
    assert!(trace.contains(&place) && !trace.contains("forbidden"), "{place}: {trace}");
    // This sink says which record it is, and has written the others.
    rig.wait_rows("1 a 10, 3 c 30, 4 d 40, 5 e 50, 7 g 70");
}

#[test]
fn poison_rows_go_to_the_dead_letter_queue_on_the_embedded_log() {
    let rig = rig(None);
    poison_rows_go_to_the_queue(&rig, |queue| {
        let answer = rig.worker.wait(&format!("/v1/topics/{queue}/records"), |a| !a["records"][0].is_null());
        answer["records"].as_array().unwrap().iter().map(Value::to_string).collect()
    });
}

#[test]
fn poison_rows_go_to_the_dead_letter_queue_on_kafka() {
    let kafka = kafka();
    let rig = rig(Some(&kafka));
    poison_rows_go_to_the_queue(&rig, |queue| {
        let args =
            ["tail", queue, "--bootstrap", &kafka.bootstrap(), "--from", "beginning", "-n", "1", "--format", "json"];
        let out = support::walspring(&args);
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
    });
}
