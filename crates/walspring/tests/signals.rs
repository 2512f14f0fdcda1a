//! Signals by REST: from the request to the rows, over a worker that is killed in the midst.

mod support;

use serde_json::{Value, json};
use support::{Worker, connector, request};
use walspring_testkit::{TempDatabase, postgres};

fn register(worker: &Worker, db: &TempDatabase, name: &str, options: &[(&str, &str)]) {
    let mut body = connector(db, name, name);
    for (option, value) in options {
        body["config"][*option] = json!(value);
    }
    let (status, answer) = request(worker.port, "POST", "/connectors", Some(&body.to_string()));
    assert_eq!(status, 201, "{answer}");
}

fn send(worker: &Worker, name: &str, signals: &Value) -> (u16, Value) {
    let path = format!("/connectors/{name}/signals");
    let (status, body) = request(worker.port, "POST", &path, Some(&signals.to_string()));
    (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
}

#[track_caller]
fn refused(answer: &(u16, Value), status: u16, words: &[&str]) {
    assert_eq!((answer.0, &answer.1["error_code"]), (status, &json!(status)), "{answer:?}");
    let message = answer.1["message"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

/// `op` and the key of each record.
fn records(answer: &Value) -> Vec<(String, i64)> {
    let records = answer["records"].as_array().into_iter().flatten();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    records.map(|r| (text(&r["value"]["op"]), r["key"]["id"].as_i64().unwrap_or_default())).collect()
}

#[test]
fn snapshots_are_asked_for_by_rest() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v int); insert into t select i, i from generate_series(1, 5) i");
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    worker.wait("/connectors", |list| list == &json!([]));
    let options = [("snapshot.mode", "no_data"), ("signal.enabled.channels", "in-process")];
    register(&worker, &db, "r", &options);
    let idle = json!({"incremental_snapshot": null, "blocking_snapshots": []});
    worker.wait("/connectors/r/signals", |state| *state == idle);

    // What is wrong is said, all of it, and nothing is done.
    let log = json!({"type": "log", "data": {"message": "not this one"}});
    let answer = send(&worker, "r", &json!([log, {"type": "execute-snapshot", "data": {"type": "full"}}, {"id": "7"}]));
    refused(&answer, 400, &["signal 2: full is no type of snapshot", "signal 3: it has no type"]);
    let (status, body) = request(worker.port, "POST", "/connectors/r/signals", Some("{"));
    assert!(status == 400 && body.contains("no JSON"), "{status} {body}");
    refused(&send(&worker, "nobody", &log), 404, &["Connector nobody not found"]);

    // Without a table of signals nothing is written for an incremental snapshot.
    let again = |kind: &str| json!({"id": kind, "type": "execute-snapshot", "data": {"data-collections": ["public.t"], "type": kind}});
    let log = json!({"id": "l", "type": "log", "data": {"message": "heard by rest"}});
    let answer = send(&worker, "r", &json!([log, again("incremental"), again("blocking")]));
    assert_eq!(answer, (202, json!({"ids": ["l", "incremental", "blocking"]})));
    let topic = "/v1/topics/r.public.t/records?wait_ms=1000";
    let answer = worker.wait(topic, |a| a["next_offset"] == 10);
    let mut read = records(&answer);
    read.sort();
    let twice: Vec<(String, i64)> = (1..=5).flat_map(|id| [("r".to_owned(), id), ("r".to_owned(), id)]).collect();
    assert_eq!(read, twice);
    worker.wait("/connectors/r/signals", |state| *state == idle);
    let log = worker.log();
    assert!(log.contains("heard by rest") && !log.contains("not this one"), "{log}");

    // Only a task that streams, and whose configuration says so, hears.
    let (status, _) = request(worker.port, "PUT", "/connectors/r/pause", None);
    assert_eq!(status, 202);
    refused(&send(&worker, "r", &again("blocking")), 409, &["does not hear signals now", "in-process"]);
    register(&worker, &db, "deaf", &[("snapshot.mode", "no_data")]);
    worker.wait("/connectors/deaf/status", |s| s["tasks"][0]["state"] == "RUNNING");
    refused(&send(&worker, "deaf", &again("blocking")), 409, &["signal.enabled.channels has in-process"]);
    assert_eq!(worker.get("/connectors/deaf/signals").0, 409);
}

#[test]
fn a_worker_that_is_killed_in_a_blocking_snapshot_reads_it_again_and_loses_nothing() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v text)");
    db.sql("insert into t select i, repeat('x', 1000) from generate_series(1, 3000) i");
    let dir = tempfile::tempdir().unwrap();
    let mut worker = Worker::start(dir.path(), &[]);
    worker.wait("/connectors", |list| list == &json!([]));
    let options = [("snapshot.mode", "no_data"), ("signal.enabled.channels", "in-process")];
    register(&worker, &db, "k", &options);
    worker.wait("/connectors/k/signals", |state| state["blocking_snapshots"] == json!([]));
    db.sql("insert into t values (10001, 'before')");
    let topic = "/v1/topics/k.public.t/records?limit=1&wait_ms=1000";
    worker.wait(topic, |a| a["next_offset"] == 1);
    // It stops before its last row until the killer has struck.
    let filter = "select t.* from t where id <= 3000 and (id < 3000 or pg_sleep(case when exists \
                  (select from pg_stat_activity where application_name = 'killer') then 60 else 0 end) is not null)";
    let mut killer = db.connect();
    killer.batch_execute("set application_name = 'killer'").unwrap();
    let signal = json!({"id": "b", "type": "execute-snapshot", "data": {
        "data-collections": ["public.t"], "type": "blocking",
        "additional-conditions": [{"data-collection": "public.t", "filter": filter}]
    }});
    assert_eq!(send(&worker, "k", &signal).0, 202);
    let state = worker.wait("/connectors/k/signals", |state| state["blocking_snapshots"] != json!([]));
    assert_eq!(state["blocking_snapshots"], json!([{"id": "b", "data-collections": ["public.t"]}]));
    // Some of its rows, and what is to come behind it.
    worker.wait("/v1/topics/k.public.t/records?offset=1&limit=1&wait_ms=1000", |a| !a["records"][0].is_null());
    db.sql("insert into t values (10002, 'meanwhile'); delete from t where id = 1");
    worker.signal("KILL");
    worker.wait_exit(std::time::Duration::from_secs(10));
    drop(killer);
    db.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY%' and pid <> pg_backend_pid()",
    );

    let worker = Worker::start(dir.path(), &[]);
    let (mut all, mut next) = (Vec::new(), 0);
    while !all.iter().any(|(op, _)| op == "d") {
        let path = format!("/v1/topics/k.public.t/records?offset={next}&wait_ms=1000");
        let answer = worker.wait(&path, |a| !a["records"][0].is_null());
        all.extend(records(&answer));
        next = answer["next_offset"].as_i64().expect("an offset");
    }
    let of = |op: &str| all.iter().filter(|(o, _)| o == op).map(|(_, id)| *id).collect::<Vec<_>>();
    assert_eq!((of("c"), of("d")), (vec![10001, 10002], vec![1]), "each change once");
    // The second time without the row that is gone.
    let reads = of("r");
    let begun_again = reads.iter().rposition(|id| *id == 2).expect("it was begun again");
    assert_eq!(reads[begun_again..], (2..=3000).collect::<Vec<_>>());
    assert!(begun_again > 0, "it was killed before its first row");
    worker.wait("/connectors/k/signals", |state| state["blocking_snapshots"] == json!([]));
}
