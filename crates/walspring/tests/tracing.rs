//! A row's way from table to table as one trace, with the log lines and numbers that belong to it.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Worker, connector, request};
use tempfile::TempDir;
use walspring_testkit::otlp::{OtlpReceiver, ReceivedSpan};
use walspring_testkit::{TempDatabase, postgres, wait_for};

const WAIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "cdc.public.customer";

struct Pipe {
    receiver: OtlpReceiver,
    worker: Worker,
    from: TempDatabase,
    to: TempDatabase,
    _dir: TempDir,
}

/// A source and a sink on one embedded log; the copy takes no customer without a status.
fn pipe(environment: &[(&str, &str)]) -> Pipe {
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
    let lines = format!("walspring.data.dir={}\n", dir.path().join("log").display());
    let worker = Worker::start_in(dir.path(), &lines, &[], &environment);
    worker.wait("/connectors", |list| list == &json!([]));
    for config in [connector(&from, "source", "cdc"), sink(&to)] {
        let (status, body) = request(worker.port, "POST", "/connectors", Some(&config.to_string()));
        assert_eq!(status, 201, "{body}");
        let name = config["name"].as_str().unwrap();
        worker.wait(&format!("/connectors/{name}/status"), |s| s["tasks"][0]["state"] == "RUNNING");
    }
    Pipe { receiver, worker, from, to, _dir: dir }
}

fn sink(db: &TempDatabase) -> Value {
    json!({
        "name": "copy",
        "config": {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": TOPIC,
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
    let pipe = pipe(&[("WALSPRING_LOG_RECORDS", "true")]);
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
    for (offset, span) in spans.iter().enumerate() {
        assert_eq!(
            (span.name.as_str(), span.int("messaging.kafka.message.offset")),
            ("process cdc.public.customer", offset as i64)
        );
        assert_eq!(span.text("messaging.kafka.consumer.group"), "connect-copy");
        assert_eq!(span.text("messaging.kafka.message.key"), r#"{"id":1}"#);
        assert_eq!(span.resource.get("service.name"), Some(&"spike".into()));
        let sent = pipe.sent(span);
        assert_eq!((sent.kind.as_str(), sent.text("messaging.destination.name")), ("Producer", TOPIC));
        assert_eq!((&sent.trace_id, sent.text("walspring.connector")), (&span.trace_id, "source"));
        assert!(sent.start_ns <= span.end_ns, "{sent:?} {span:?}");
    }
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
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
    let of_copy = [("connector", "copy")];
    pipe.receiver.wait_metrics("the numbers", WAIT, |metrics| {
        let last = |name: &str| metrics.iter().rfind(|metric| metric.name == name);
        let errors = last("walspring_sink_errors_total")?.number(&[("connector", "copy"), ("stage", "task_put")])?;
        let upserts = last("walspring_sink_records_total")?.number(&[("connector", "copy"), ("outcome", "upsert")])?;
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
    let (_, records) = pipe.worker.get(&format!("/v1/topics/{TOPIC}/records"));
    assert!(records.contains("__debezium.context.taskId") && !records.contains("traceparent"), "{records}");
    assert!(pipe.receiver.requests().is_empty());
    let (_, scraped) = pipe.worker.get("/metrics");
    assert!(!scraped.contains("walspring_telemetry"), "{scraped}");
}
