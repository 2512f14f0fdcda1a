//! `walspring worker` on Kafka, as a process.

mod support;

use std::time::Duration;

use support::{Worker, connector, request, walspring};
use walspring_testkit::{kafka, postgres};

#[test]
fn rows_reach_kafka_and_tail_reads_them_there() {
    let db = postgres(17).database();
    db.sql("create table t (id int primary key, name text); insert into t values (1, 'before')");
    let bootstrap = kafka().bootstrap();
    let dir = tempfile::tempdir().unwrap();
    let group = db.slot("group");
    let more = format!(
        "bootstrap.servers={bootstrap}\ngroup.id={group}\nconfig.storage.topic={group}-configs\n\
         offset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
         config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
         status.storage.replication.factor=1\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n"
    );
    let mut worker = Worker::start_with(dir.path(), &more, &[]);
    worker.wait("/connectors", |list| list == &serde_json::json!([]));
    let prefix = db.slot("k");
    let (status, body) = request(worker.port, "POST", "/connectors", Some(&connector(&db, "one", &prefix).to_string()));
    assert_eq!(status, 201, "{body}");
    let topic = format!("{prefix}.public.t");
    worker.wait("/connectors/one/topics", |t| t["one"]["topics"] == serde_json::json!([topic]));
    db.sql("insert into t values (2, 'after')");
    let args = ["tail", &topic, "--bootstrap", &bootstrap, "--from", "beginning", "--follow", "-n", "2"];
    let out = walspring(&args);
    let expected = "read     public.t id=1 name=before\ninsert   public.t id=2 name=after\n";
    assert_eq!(String::from_utf8_lossy(&out.stdout), expected, "{out:?}\n{}", worker.log());
    assert_eq!(worker.get("/v1/topics").0, 501);
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(15)).code(), Some(0), "{}", worker.log());
}

#[test]
fn a_worker_without_its_kafka_serves_rest_and_says_what_it_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let more = "bootstrap.servers=127.0.0.1:1\ngroup.id=g\nconfig.storage.topic=c\noffset.storage.topic=o\n\
                status.storage.topic=s\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
                value.converter=org.apache.kafka.connect.json.JsonConverter\n";
    let mut worker = Worker::start_with(dir.path(), more, &[]);
    assert_eq!(worker.get("/").0, 200);
    let (status, body) = worker.get("/connectors");
    assert_eq!(status, 503, "{body}");
    walspring_testkit::wait_for("the reason in the log", Duration::from_secs(60), || {
        worker.log().contains("the store cannot be reached").then_some(())
    });
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(15)).code(), Some(0), "{}", worker.log());
}
