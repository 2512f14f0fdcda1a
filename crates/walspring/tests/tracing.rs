//! A row's way from table to table as one trace, with the log lines and numbers that belong to it.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Worker, connector, request};
use tempfile::TempDir;
use walspring_testkit::otlp::{OtlpReceiver, ReceivedSpan};
use walspring_testkit::{TempDatabase, kafka, postgres, wait_for};

const WAIT: Duration = Duration::from_secs(60);

struct Pipe {
    receiver: OtlpReceiver,
    topic: String,
    /// The sink's name.
    copy: String,
    worker: Worker,
    from: TempDatabase,
    to: TempDatabase,
    _dir: TempDir,
}

/// A source and a sink on one embedded log; the copy takes no customer with one certain status.
fn pipe(environment: &[(&str, &str)]) -> Pipe {
    pipe_on(environment, &|dir, _| format!("walspring.data.dir={}\n", dir.join("log").display()))
}

/// `lines`: of the worker's file, from its directory and a name that no other test has.
fn pipe_on(environment: &[(&str, &str)], lines: &dyn Fn(&Path, &str) -> String) -> Pipe {
    let receiver = OtlpReceiver::start();
    let endpoint = receiver.endpoint();
    let traced = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_SERVICE_NAME", "spike"),
    ];
    let environment: Vec<_> = traced.iter().chain(environment).copied().collect();
    let (from, to) = (postgres(17).database(), postgres(17).database());
    from.sql("create table customer (id int primary key, status text)");
    to.sql("create table customer (id int primary key, status text not null check (status <> 'forbidden'))");
    let dir = tempfile::tempdir().unwrap();
    let prefix = from.slot("cdc");
    let (topic, copy) = (format!("{prefix}.public.customer"), from.slot("copy"));
    let worker = Worker::start_in(dir.path(), &lines(dir.path(), &prefix), &[], &environment);
    worker.wait("/connectors", |list| list == &json!([]));
    for config in [connector(&from, "source", &prefix), sink(&to, &copy, &topic)] {
        let (status, body) = request(worker.port, "POST", "/connectors", Some(&config.to_string()));
        assert_eq!(status, 201, "{body}");
        let name = config["name"].as_str().unwrap();
        worker.wait(&format!("/connectors/{name}/status"), |s| s["tasks"][0]["state"] == "RUNNING");
    }
    Pipe { receiver, topic, copy, worker, from, to, _dir: dir }
}

fn sink(db: &TempDatabase, name: &str, topic: &str) -> Value {
    json!({
        "name": name,
        "config": {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": topic,
            "consumer.override.auto.offset.reset": "earliest",
            "connection.url": format!("jdbc:postgresql://{}:{}/{}", db.server().host(), db.server().port(), db.name()),
            "connection.username": "postgres",
            "connection.password": "any",
            "collection.name.format": "customer",
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "primary.key.fields": "id",
            "schema.evolution": "none",
            "errors.tolerance": "all",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false"
        }
    })
}

impl Pipe {
    /// The sink's spans, once there are so many.
    fn processed(&self, count: usize) -> Vec<ReceivedSpan> {
        self.receiver.wait_spans("spans of the sink", WAIT, |spans| {
            let consumer: Vec<_> = spans.iter().filter(|span| span.kind == "Consumer").cloned().collect();
            (consumer.len() >= count).then_some(consumer)
        })
    }

    /// The span of the source that the sink's continues.
    fn sent(&self, of: &ReceivedSpan) -> ReceivedSpan {
        self.receiver.wait_spans("the span of the source", WAIT, |spans| {
            spans.iter().find(|span| span.span_id == of.parent_span_id).cloned()
        })
    }

    /// Lines of the log about records.
    fn lines(&self) -> Vec<Value> {
        let lines = self.worker.log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "walspring::sink::record").collect()
    }
}

#[test]
fn a_row_is_one_trace_from_its_table_to_the_copy() {
    check_one_trace(&pipe(&[("WALSPRING_LOG_RECORDS", "true")]));
}

#[test]
fn the_context_goes_through_kafka() {
    let lines = |_: &Path, name: &str| {
        format!(
            "bootstrap.servers={}\ngroup.id={name}\nconfig.storage.topic={name}-configs\n\
             offset.storage.topic={name}-offsets\nstatus.storage.topic={name}-status\n\
             config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
             status.storage.replication.factor=1\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\n",
            kafka().bootstrap()
        )
    };
    check_one_trace(&pipe_on(&[("WALSPRING_LOG_RECORDS", "true")], &lines));
}

fn check_one_trace(pipe: &Pipe) {
    pipe.from.sql("insert into customer values (1, 'new')");
    pipe.from.sql("update customer set status = 'known' where id = 1");
    pipe.from.sql("delete from customer where id = 1");
    // The delete and its tombstone.
    let spans = pipe.processed(4);
    let operations: Vec<_> = spans.iter().map(|span| span.text("db.operation")).collect();
    assert_eq!(operations[..3], ["upsert", "upsert", "delete"]);
    let tombstone =
        |span: &ReceivedSpan| span.attributes.get("messaging.kafka.message.tombstone") == Some(&true.into());
    assert_eq!(spans.iter().map(tombstone).collect::<Vec<_>>(), [false, false, false, true]);
    // On Kafka there are markers of transactions between them.
    assert!(spans.is_sorted_by_key(|span| span.int("messaging.kafka.message.offset")));
    for span in &spans {
        assert_eq!(span.name, format!("process {}", pipe.topic));
        assert_eq!(span.text("messaging.kafka.consumer.group"), format!("connect-{}", pipe.copy));
        assert_eq!(span.text("messaging.kafka.message.key"), r#"{"id":1}"#);
        assert_eq!(span.resource.get("service.name"), Some(&"spike".into()));
        let sent = pipe.sent(span);
        assert_eq!((sent.kind.as_str(), sent.text("messaging.destination.name")), ("Producer", pipe.topic.as_str()));
        assert_eq!((&sent.trace_id, sent.text("walspring.connector")), (&span.trace_id, "source"));
        assert!(sent.start_ns <= span.end_ns, "{sent:?} {span:?}");
    }
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 4, "a trace for each record");
    let lines = wait_for("lines of the log", WAIT, || Some(pipe.lines()).filter(|lines| lines.len() >= 4));
    for (line, span) in lines.iter().zip(&spans) {
        assert_eq!((&line["level"], &line["outcome"]), (&json!("INFO"), &json!(span.text("db.operation"))));
        assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(span.trace_id), &json!(span.span_id)));
    }
    assert_eq!(pipe.receiver.complaints(), Vec::<String>::new());
}

#[test]
fn a_refused_row_is_an_error_in_span_log_and_numbers() {
    let pipe = pipe(&[]);
    pipe.from.sql("insert into customer values (1, 'new'), (2, 'forbidden'), (3, 'new')");
    let spans = pipe.processed(3);
    assert_eq!(pipe.to.value("select string_agg(id::text, ' ' order by id) from customer"), "1 3");
    let failed = spans.iter().find(|span| span.error.is_some()).unwrap();
    assert_eq!(spans.iter().filter(|span| span.error.is_some()).count(), 1);
    assert_eq!(failed.text("messaging.kafka.message.key"), r#"{"id":2}"#);
    assert_eq!(failed.events[0].attributes["exception.type"], failed.attributes["error.type"]);
    assert!(!format!("{failed:?}").contains("forbidden"), "a row's value is in {failed:?}");
    assert_eq!(pipe.sent(failed).trace_id, failed.trace_id);
    // Lines of records that went through are not asked for.
    let lines = wait_for("the line of the log", WAIT, || Some(pipe.lines()).filter(|lines| !lines.is_empty()));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["outcome"], &lines[0]["key"]), (&json!("failed"), &json!(r#"{"id":2}"#)));
    assert_eq!((&lines[0]["trace_id"], &lines[0]["span_id"]), (&json!(failed.trace_id), &json!(failed.span_id)));
    let of_copy = [("connector", pipe.copy.as_str())];
    pipe.receiver.wait_metrics("the numbers", WAIT, |metrics| {
        let last = |name: &str| metrics.iter().rfind(|metric| metric.name == name);
        let errors = last("walspring_sink_errors_total")?.number(&[of_copy[0], ("stage", "task_put")])?;
        let upserts = last("walspring_sink_records_total")?.number(&[of_copy[0], ("outcome", "upsert")])?;
        let lag = last("walspring_sink_lag_records")?.number(&of_copy)?;
        let took = last("walspring_sink_put_seconds")?.histogram(&of_copy)?.count;
        ((errors, upserts, lag) == (1.0, 2.0, 0.0) && took > 0).then_some(())
    });
    let (_, scraped) = pipe.worker.get("/metrics");
    assert!(scraped.contains("walspring_telemetry_spans_dropped_total 0\n"), "{scraped}");
}

#[test]
fn without_an_endpoint_there_are_no_headers_and_errors_are_logged_all_the_same() {
    let pipe = pipe(&[("OTEL_SDK_DISABLED", "true")]);
    pipe.from.sql("insert into customer values (2, 'forbidden')");
    let lines = wait_for("the line of the log", WAIT, || Some(pipe.lines()).filter(|lines| !lines.is_empty()));
    assert_eq!((&lines[0]["outcome"], &lines[0]["trace_id"]), (&json!("failed"), &json!("")));
    let (_, records) = pipe.worker.get(&format!("/v1/topics/{}/records", pipe.topic));
    assert!(records.contains("__debezium.context.taskId") && !records.contains("traceparent"), "{records}");
    assert!(pipe.receiver.requests().is_empty());
    let (_, scraped) = pipe.worker.get("/metrics");
    assert!(!scraped.contains("walspring_telemetry"), "{scraped}");
}
