//! `walspring worker` on the embedded log, as a process.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Worker, connector, request, walspring};
use walspring_testkit::postgres;

#[test]
fn a_connector_registered_by_rest_puts_rows_where_http_and_tail_read_them() {
    let db = postgres(17).database();
    db.sql("create table t (id int primary key, name text); insert into t values (1, 'before')");
    let dir = tempfile::tempdir().unwrap();
    let mut worker = Worker::start(dir.path(), &[]);
    worker.wait("/connectors", |list| list == &json!([]));
    let (status, body) = request(worker.port, "POST", "/connectors", Some(&connector(&db, "one", "w").to_string()));
    assert_eq!(status, 201, "{body}");
    worker.wait("/connectors/one/status", |s| s["tasks"][0]["state"] == "RUNNING");
    let topic = "/v1/topics/w.public.t";
    let path = format!("{topic}/records?wait_ms=1000");
    worker.wait(&path, |a| a["records"][0]["value"]["op"] == "r");

    let mut stream = TcpStream::connect(("127.0.0.1", worker.port)).unwrap();
    write!(stream, "GET {topic}/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0-0\r\n\r\n").unwrap();
    db.sql("insert into t values (2, 'after')");
    let inserted = worker.wait(&format!("{topic}/records?offset=1&wait_ms=1000"), |a| !a["records"][0].is_null());
    let record = &inserted["records"][0];
    assert_eq!(record["key"], json!({"id": 2}));
    assert_eq!(record["value"]["after"], json!({"id": 2, "name": "after"}));
    assert_eq!((&record["offset"], &inserted["next_offset"]), (&json!(1), &json!(2)));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let event: Vec<String> = BufReader::new(&stream)
        .lines()
        .map(Result::unwrap)
        .skip_while(|line| !line.starts_with("id:"))
        .take(2)
        .collect();
    assert_eq!(event[0], "id: 0-1");
    assert!(event[1].starts_with("data: {\"partition\":0,\"offset\":1,"), "{}", event[1]);

    let log = dir.path().join("log").display().to_string();
    let by_files = walspring(&["tail", "w.public.t", "--data-dir", &log]);
    let by_rest = walspring(&["tail", "w.public.t", "--worker", &worker.url()]);
    let expected = "read     public.t id=1 name=before\ninsert   public.t id=2 name=after\n";
    assert_eq!(String::from_utf8_lossy(&by_files.stdout), expected, "{by_files:?}");
    assert_eq!(by_rest.stdout, by_files.stdout, "{by_rest:?}");
    let topics = walspring(&["topics", "--data-dir", &log]);
    assert!(String::from_utf8_lossy(&topics.stdout).contains("w.public.t"), "{topics:?}");

    // An open stream does not keep it from ending.
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(10)).code(), Some(0), "{}", worker.log());
}

#[test]
fn files_of_connectors_are_registered_once_and_an_unchanged_one_goes_on() {
    let db = postgres(17).database();
    db.sql("create table t (id int primary key); insert into t values (1)");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two.json");
    std::fs::write(&file, connector(&db, "two", "w").to_string()).unwrap();
    let mut worker = Worker::start(dir.path(), &[&file]);
    worker.wait("/v1/topics/w.public.t/records", |a| a["next_offset"] == 1);
    worker.signal("TERM");
    assert_eq!(worker.wait_exit(Duration::from_secs(10)).code(), Some(0));
    db.sql("insert into t values (2)");
    let worker = Worker::start(dir.path(), &[&file]);
    let answer = worker.wait("/v1/topics/w.public.t/records", |a| a["next_offset"] == 2);
    let ops: Vec<_> = answer["records"].as_array().unwrap().iter().map(|r| r["value"]["op"].clone()).collect();
    assert_eq!(ops, ["r", "c"]);
    assert!(worker.log().contains("registered already"), "{}", worker.log());
}

#[test]
fn rest_is_there_within_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let worker = Worker::start(dir.path(), &[]);
    let (status, body) = worker.get("/");
    assert_eq!(status, 200, "{body}");
    // 300 ms is the limit of the release build on an idle machine; this one may do much else.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    worker.wait("/v1/topics", |a| a["topics"].is_array());
    assert_eq!(worker.get("/v1/topics/nothing/records").0, 404);
    assert_eq!(worker.get("/v1/topics/connect-configs/records?partition=7").0, 404);
}

#[test]
fn wrong_files_are_refused_with_every_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let worker = file("worker.properties", "listeners=http://127.0.0.1:0\n");
    let a = file("a.json", r#"{"name":"a","config":{"connector.class":"PostgresConnector","tasks.max":"many"}}"#);
    let b = file("b.json", r#"{"name":"b","config":{"connector.class":"NoSuchConnector"}}"#);
    let out = walspring(&["worker", &worker, &a, &b]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("a.json: Invalid value many for configuration tasks.max"), "{text}");
    assert!(text.contains("b.json: Failed to find any class"), "{text}");
    let wrong = file("wrong.properties", "offset.flush.interval.ms=soon\n");
    assert_eq!(walspring(&["worker", &wrong]).status.code(), Some(2));
}
