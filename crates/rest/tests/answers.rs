//! Status and body of every resource, over a real connection; the worker stands on fakes.

#[path = "../../runtime/tests/fakes/mod.rs"]
mod fakes;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fakes::*;
use serde_json::{Value, json};
use walspring_rest::{Access, LoggerLevels, Rest, Server, router};
use walspring_runtime::Supervisor;

struct Site {
    world: Arc<World>,
    worker: Arc<Supervisor>,
    address: SocketAddr,
    filter: Arc<Mutex<String>>,
    _runtime: tokio::runtime::Runtime,
}

fn site() -> Site {
    let world = World::new();
    let worker = world.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let filter = Arc::new(Mutex::new(String::new()));
    let set = filter.clone();
    let rest = Rest {
        supervisor: worker.clone(),
        loggers: Arc::new(LoggerLevels::new(
            "info",
            Box::new(move |directives| {
                *set.lock().unwrap() = directives.to_owned();
                Ok(())
            }),
        )),
        access: Arc::new(Access { origins: vec!["http://ui".into()], only_local_hosts: true, ..Access::default() }),
        version: "0.1.0",
    };
    let extra = axum::Router::new().route("/v1/x", axum::routing::get(async || "x"));
    let server = runtime.block_on(Server::bind(&["127.0.0.1:0".parse().unwrap()])).unwrap();
    let address = server.addresses()[0];
    runtime.spawn(server.run(router(rest, extra), std::future::pending()));
    Site { world, worker, address, filter, _runtime: runtime }
}

struct Reply {
    status: u16,
    headers: String,
    body: String,
}

impl Reply {
    #[track_caller]
    fn is(&self, status: u16, body: Value) {
        let got: Value = serde_json::from_str(&self.body).unwrap_or(Value::Null);
        assert_eq!((self.status, &got), (status, &body), "{}", self.body);
    }

    /// An error's message.
    #[track_caller]
    fn refuses(&self, status: u16, message: &str) {
        self.is(status, json!({ "error_code": status, "message": message }));
    }
}

impl Site {
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let host = if headers.to_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}{length}\r\n{body}").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, headers: head.to_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", "")
    }

    fn json(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send(method, path, "Content-Type: application/json\r\n", &body.to_string())
    }

    fn bare(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, "", "")
    }

    fn wait(&self, want: &[&str]) {
        self.world.wait_status(&self.worker, want);
    }
}

#[test]
fn a_connectors_life() {
    let site = site();
    site.get("/").is(200, json!({"version": "4.3.1", "commit": "unknown", "kafka_cluster_id": "cluster"}));
    site.get("/health").is(
        200,
        json!({"status": "healthy", "message": "Worker has completed startup and is ready to handle requests."}),
    );
    for path in ["/connectors", "/connectors/"] {
        site.get(path).is(200, json!([]));
    }
    let created =
        site.json("POST", "/connectors", json!({"name": " a ", "config": {"connector.class": "Fake", "tasks.max": 1}}));
    let config = json!({"connector.class": "Fake", "tasks.max": "1", "name": "a"});
    created.is(201, json!({"name": "a", "config": config, "tasks": [], "type": "source"}));
    assert!(
        created.headers.contains(&format!("location: http://{}/connectors/a", site.address)),
        "{}",
        created.headers
    );
    assert!(created.headers.contains("walspring-version: 0.1.0"));
    site.wait(&["RUNNING", "RUNNING"]);
    site.json("POST", "/connectors", json!({"name": "a", "config": config})).refuses(409, "Connector a already exists");

    let info = json!({"name": "a", "config": config, "tasks": [{"connector": "a", "task": 0}], "type": "source"});
    let status = |connector: &str, task: &str| {
        json!({
            "name": "a",
            "connector": {"state": connector, "worker_id": "host:8083", "version": "1.0"},
            "tasks": [{"id": 0, "state": task, "worker_id": "host:8083", "version": "1.0"}],
            "type": "source",
        })
    };
    let running = status("RUNNING", "RUNNING");
    site.get("/connectors/a").is(200, info.clone());
    site.get("/connectors/a/").is(200, info.clone());
    site.get("/connectors").is(200, json!(["a"]));
    site.get("/connectors?expand=status&expand=info&expand=x").is(200, json!({"a": {"status": running, "info": info}}));
    site.get("/connectors/a/status").is(200, running.clone());
    site.get("/connectors/a/tasks/0/status").is(200, running["tasks"][0].clone());
    site.get("/connectors/a/tasks/1/status").refuses(404, "No status found for task a-1");
    let mut task_config = config.clone();
    task_config["task.class"] = json!("test.FakeConnectorTask");
    site.get("/connectors/a/tasks").is(200, json!([{"id": {"connector": "a", "task": 0}, "config": task_config}]));

    site.json("PUT", "/connectors/a/config", config.clone()).is(200, info);
    site.wait(&["RUNNING", "RUNNING"]);
    site.get("/connectors/a/config").is(200, config);
    site.json("PATCH", "/connectors/b/config", json!({})).refuses(404, "Connector b not found");
    site.json("PATCH", "/connectors/a/config", json!({"x": "bad"})).refuses(
        400,
        "Connector configuration is invalid and contains the following 1 error(s):\nThe 'x' value is invalid: bad\nYou can \
         also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
    );

    assert_eq!(site.bare("PUT", "/connectors/a/pause").status, 202);
    site.wait(&["PAUSED", "PAUSED"]);
    assert_eq!(site.bare("PUT", "/connectors/a/resume").status, 202);
    site.wait(&["RUNNING", "RUNNING"]);
    assert_eq!(site.bare("POST", "/connectors/a/restart").status, 204);
    site.bare("POST", "/connectors/a/restart?includeTasks=true").is(202, status("RESTARTING", "RESTARTING"));
    site.wait(&["RUNNING", "RUNNING"]);
    assert_eq!(site.bare("POST", "/connectors/a/tasks/0/restart").status, 204);
    site.bare("POST", "/connectors/a/tasks/7/restart").refuses(404, "Unknown task: a-7");
    site.bare("PUT", "/connectors/b/pause").refuses(404, "Unknown connector b");

    site.world.source.add(0..3);
    wait_until("the offset", || site.world.stored() == Some(3));
    site.get("/connectors/a/topics").is(200, json!({"a": {"topics": ["t"]}}));
    assert_eq!(site.bare("PUT", "/connectors/a/topics/reset").status, 202);
    site.get("/connectors/a/topics").is(200, json!({"a": {"topics": []}}));
    site.bare("DELETE", "/connectors/a/offsets").refuses(
        400,
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified \
         connector by issuing a 'PUT' request to the '/connectors/a/stop' endpoint",
    );
    let stopped = site.bare("PUT", "/connectors/a/stop");
    assert_eq!((stopped.status, stopped.body.as_str()), (204, ""));
    site.wait(&["STOPPED"]);
    site.get("/connectors/a/offsets").is(200, json!({"offsets": [{"partition": {"list": "x"}, "offset": {"n": 3}}]}));
    for nothing in [json!({"offsets": []}), json!({})] {
        site.json("PATCH", "/connectors/a/offsets", nothing)
            .refuses(400, "Partitions / offsets need to be provided for an alter offsets request");
    }
    let altered = json!({"offsets": [{"partition": {"list": "x"}, "offset": null}]});
    site.json("PATCH", "/connectors/a/offsets", altered).is(
        200,
        json!({"message": "The Connect framework-managed offsets for this connector have been altered successfully. \
            However, if this connector manages offsets externally, they will need to be manually altered in the system \
            that the connector uses."}),
    );
    assert_eq!(site.bare("DELETE", "/connectors/a/offsets").status, 200);
    site.get("/connectors/a/offsets").is(200, json!({"offsets": []}));
    assert_eq!(site.bare("DELETE", "/connectors/a").status, 204);
    site.get("/connectors/a").refuses(404, "Connector a not found");
    site.bare("DELETE", "/connectors/a").refuses(404, "Connector a not found");
    site.wait(&["No status found for connector a"]);
}

#[test]
fn plugins_loggers_metrics() {
    let site = site();
    let source = json!({"class": CLASS, "type": "source", "version": "1.0"});
    let sink = json!({"class": "test.FakeSinkConnector", "type": "sink", "version": "2.0"});
    site.get("/connector-plugins").is(200, json!([sink, source]));
    let all: Value = serde_json::from_str(&site.get("/connector-plugins?connectorsOnly=false").body).unwrap();
    assert_eq!(all[2], json!({"class": "test.Text", "type": "converter"}));
    site.get("/connector-plugins/Fake/config").is(200, json!([]));
    site.get("/connector-plugins/Nope/config").refuses(404, "Unknown plugin Nope.");
    let path = "/connector-plugins/Fake/config/validate";
    let report = site.json("PUT", path, json!({"connector.class": CLASS, "x": "bad"}));
    assert_eq!(report.status, 200);
    let report: Value = serde_json::from_str(&report.body).unwrap();
    assert_eq!((&report["name"], &report["error_count"]), (&json!(CLASS), &json!(1)));
    site.json("PUT", path, json!({"connector.class": "x.Other"}))
        .refuses(400, "Included connector type x.Other does not match request type Fake");

    site.get("/admin/loggers").is(200, json!({"root": {"level": "INFO", "last_modified": null}}));
    site.json("PUT", "/admin/loggers/walspring_kafka", json!({"level": "debug"})).is(200, json!(["walspring_kafka"]));
    assert_eq!(*site.filter.lock().unwrap(), "info,walspring_kafka=debug");
    site.json("PUT", "/admin/loggers/root", json!({"level": "x"})).refuses(404, "invalid log level 'x'.");
    assert_eq!(site.json("PUT", "/admin/loggers/root?scope=cluster", json!({"level": "WARN"})).status, 204);
    site.get("/admin/loggers/other").refuses(404, "Logger other not found.");

    let metrics = site.get("/metrics");
    assert!(metrics.body.contains("kafka_connect_worker_connector_count 0\n"), "{}", metrics.body);
    assert_eq!(site.get("/v1/x").body, "x");
}

#[test]
fn what_http_refuses() {
    let site = site();
    for (method, path) in [("PUT", "/connectors"), ("POST", "/connectors/a"), ("GET", "/connectors/a/pause")] {
        site.bare(method, path).refuses(405, "HTTP 405 Method Not Allowed");
    }
    site.get("/nowhere").refuses(404, "HTTP 404 Not Found");
    let options = site.bare("OPTIONS", "/connectors");
    assert_eq!((options.status, options.body.as_str()), (200, "HEAD, POST, GET, OPTIONS"));
    site.get("/connectors/a%20x/status").refuses(404, "No status found for connector a x");
    site.get("/connectors/%C3%A9").refuses(404, "Connector é not found");
    let ambiguous = site.get("/connectors/a%2Fx");
    assert!(ambiguous.status == 400 && ambiguous.body.contains("Ambiguous URI path separator"));

    let form = site.send("POST", "/connectors", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b");
    form.refuses(415, "HTTP 415 Unsupported Media Type");
    assert_eq!(site.send("PUT", "/connectors/a/config", "Origin: http://evil\r\n", "{}").status, 403);
    assert_eq!(site.send("GET", "/connectors", "Host: evil.example\r\n", "").status, 403);
    let ours = site.send("GET", "/connectors", "Origin: http://ui\r\n", "");
    assert!(ours.status == 200 && ours.headers.contains("access-control-allow-origin: http://ui"), "{}", ours.headers);
    let huge = site.json("POST", "/connectors", json!({ "name": "x".repeat(5 << 20) }));
    huge.refuses(413, "HTTP 413 Payload Too Large");
    // The original fails on malformed bodies with 500; clients look at the texts.
    site.send("POST", "/connectors", "", "not json").refuses(
        500,
        "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
         'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]",
    );
    site.json("PUT", "/connectors/x/config", json!({"connector.class": null}))
        .refuses(400, "Connector config {connector.class=null, name=x} contains no connector type");
}
