//! The Redis and the HTTP sink in the worker as a process: from a table to a cache and to a webhook.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Worker, connector, request};
use walspring_testkit::{Redis, TempDatabase, postgres, wait_for};

const WAIT: Duration = Duration::from_secs(60);

struct Rig {
    worker: Worker,
    db: TempDatabase,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// With these lines in the worker's file.
    fn start(more: &str) -> Rig {
        let db = postgres(17).database();
        db.sql("create table booking (id int primary key, guest text, total numeric(10,2), note text)");
        db.sql("alter table booking alter note set storage external");
        let dir = tempfile::tempdir().unwrap();
        let lines = format!("walspring.data.dir={}\n{more}", dir.path().join("log").display());
        let worker = Worker::start_with(dir.path(), &lines, &[]);
        worker.wait("/connectors", |list| list == &json!([]));
        let rig = Rig { worker, db, _dir: dir };
        let mut source = connector(&rig.db, "source", "shop");
        source["config"]["decimal.handling.mode"] = json!("string");
        assert_eq!(rig.register(&source).0, 201);
        rig
    }

    fn register(&self, body: &Value) -> (u16, String) {
        request(self.worker.port, "POST", "/connectors", Some(&body.to_string()))
    }

    fn sink(&self, name: &str, more: Value) -> (u16, String) {
        let mut config = json!({
            "topics": "shop.public.booking",
            "consumer.override.auto.offset.reset": "earliest",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
        });
        let Value::Object(more) = more else { panic!("an object") };
        config.as_object_mut().unwrap().extend(more);
        self.register(&json!({"name": name, "config": config}))
    }
}

#[test]
fn a_table_is_kept_in_redis() {
    let rig = Rig::start("");
    let server = Redis::start(&[("appendfsync", "always")]);
    let uri = server.database();
    let ask = |command: &[&str]| {
        let out = Command::new("redis-cli").args(["-u", &uri]).args(command).output().expect("redis-cli");
        String::from_utf8(out.stdout).unwrap().trim_end().replace('\n', " ")
    };
    let long = "x".repeat(20_000);
    rig.db.sql(&format!("insert into booking values (1, 'ann', 39.98, '{long}'), (2, 'bob', 1, null)"));
    let (status, answer) = rig.sink(
        "cache",
        json!({
            "connector.class": "com.redis.kafka.connect.RedisSinkConnector",
            "redis.uri": uri,
            "redis.type": "HASH",
            "walspring.sink.key": "booking:{id}",
        }),
    );
    assert_eq!(status, 201, "{answer}");
    let wait = |command: &[&str], wanted: &str| {
        let what = format!("{command:?} to be {wanted}; the log:\n{}", rig.worker.log());
        wait_for(&what, WAIT, || (ask(command) == wanted).then_some(()));
    };
    wait(&["HMGET", "booking:1", "guest", "total"], "ann 39.98");
    wait(&["HLEN", "booking:2"], "3");
    rig.db.sql("update booking set guest = 'eve' where id = 1; delete from booking where id = 2");
    wait(&["HGET", "booking:1", "guest"], "eve");
    wait(&["EXISTS", "booking:2"], "0");
    assert_eq!(ask(&["HSTRLEN", "booking:1", "note"]), "20000", "the unchanged value stays");

    // Away for a while: the task waits, and says for what.
    server.kill();
    rig.db.sql("update booking set guest = 'zoe' where id = 1");
    let status = "/connectors/cache/status";
    rig.worker.wait(status, |s| s["tasks"][0]["trace"].as_str().is_some_and(|trace| trace.contains("Redis at")));
    server.restart();
    wait(&["HGET", "booking:1", "guest"], "zoe");
    rig.worker.wait(status, |s| s["tasks"][0]["state"] == "RUNNING");
    assert_eq!(ask(&["HSTRLEN", "booking:1", "note"]), "20000");
}

#[test]
fn a_webhook_is_called_where_the_operator_lets_it() {
    let (port, requests) = webhook();
    let config = json!({
        "connector.class": "io.confluent.connect.http.HttpSinkConnector",
        "http.api.url": format!("http://127.0.0.1:{port}/booking/${{id}}"),
        "request.method": "PUT",
        "request.body.format": "json",
        "behavior.on.null.values": "delete",
        "transforms": "unwrap",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    });
    let refusing = Rig::start("");
    let (status, answer) = refusing.sink("hook", config.clone());
    assert!(status == 400 && answer.contains("walspring.http.allow.addresses"), "{status} {answer}");
    drop(refusing);
    // What is not supported is refused with what to do instead.
    let rig = Rig::start("walspring.http.allow.addresses=loopback\n");
    for (option, value, advice) in [
        ("reporter.bootstrap.servers", "kafka:9092", "errors.deadletterqueue"),
        ("oauth2.client.id", "x", "OAuth"),
        ("http.proxy.host", "proxy", "proxy"),
        ("https.ssl.truststore.type", "JKS", "keytool"),
        ("request.method", "BREW", "POST"),
        ("batch.max.size", "0", "positive"),
    ] {
        let mut wrong = config.clone();
        wrong[option] = json!(value);
        let (status, answer) = rig.sink("hook", wrong);
        assert!(status == 400 && answer.contains(advice), "{option}: {status} {answer}");
    }

    let (status, answer) = rig.sink("hook", config);
    assert_eq!(status, 201, "{answer}");
    rig.db.sql("insert into booking values (1, 'ann', 39.98, null)");
    let next = || requests.recv_timeout(WAIT).unwrap_or_else(|_| panic!("no request; the log:\n{}", rig.worker.log()));
    assert_eq!(
        next(),
        ("PUT /booking/1".to_owned(), r#"{"id":1,"guest":"ann","total":"39.98","note":null}"#.to_owned())
    );
    rig.db.sql("delete from booking where id = 1");
    assert_eq!(next(), ("DELETE /booking/1".to_owned(), String::new()));
}

/// Takes every request: method and path, and body.
fn webhook() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || serve(&stream, &sender));
        }
    });
    (port, receiver)
}

fn serve(mut stream: &TcpStream, requests: &Sender<(String, String)>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let what = first.rsplit_once(' ')?.0.to_owned();
        requests.send((what, String::from_utf8(body).ok()?)).ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
