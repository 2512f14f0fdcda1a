//! Spans of sinks and sources, as a receiver of OTLP gets them.

mod support;

use std::sync::Arc;

use support::{PARENT, WAIT, identity, processed, record, settings, telemetry};
use walspring_connect::{Fate, Outcome, TaskError};
use walspring_record::Value;
use walspring_telemetry::{RecordLog, Telemetry};
use walspring_testkit::otlp::{Attribute, OtlpReceiver, ReceivedSpan};

#[test]
fn every_record_of_a_batch_is_a_consumer_span() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")]);
    let records = [record(7, Value::string("v"), &[]), record(8, Value::Null, &[]), record(9, Value::string("v"), &[])];
    let key: Option<&[u8]> = Some(br#"{"id":"5e1f"}"#);
    telemetry.sink_observer().processed(
        &identity(),
        &[
            processed(&records[0], key, Fate::Done(Outcome::Upsert)),
            processed(&records[1], key, Fate::Done(Outcome::Ignore)),
            processed(&records[2], None, Fate::Done(Outcome::Delete)),
        ],
    );
    let spans = wait_spans(&receiver, 3);
    let upsert = &spans[0];
    assert_eq!((upsert.name.as_str(), upsert.kind.as_str()), ("process cdc.public.customer", "Consumer"));
    assert_eq!((upsert.start_ns, upsert.end_ns), (1_000_000_000_000, 1_000_250_000_000));
    assert_eq!((upsert.parent_span_id.as_str(), &upsert.error), ("", &None));
    assert_eq!(upsert.schema_url, walspring_telemetry::names::SCHEMA_URL);
    let expected: &[(&str, Attribute)] = &[
        ("db.operation", "upsert".into()),
        ("db.operation.name", "upsert".into()),
        ("messaging.consumer.group.name", "connect-copy".into()),
        ("messaging.destination.name", "cdc.public.customer".into()),
        ("messaging.destination.partition.id", "3".into()),
        ("messaging.kafka.consumer.group", "connect-copy".into()),
        ("messaging.kafka.message.key", r#"{"id":"5e1f"}"#.into()),
        ("messaging.kafka.message.offset", 7.into()),
        ("messaging.kafka.offset", 7.into()),
        ("messaging.kafka.partition", 3.into()),
        ("messaging.operation", "process".into()),
        ("messaging.operation.name", "process".into()),
        ("messaging.operation.type", "process".into()),
        ("messaging.system", "kafka".into()),
        ("walspring.connector", "copy".into()),
        ("walspring.task", 1.into()),
    ];
    let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    assert_eq!(upsert.attributes.clone().into_iter().collect::<Vec<_>>(), expected);
    let resource = |name: &str| upsert.resource.get(name).cloned();
    assert_eq!(resource("service.name"), Some("walspring".into()));
    assert_eq!(resource("service.version"), Some("1.2.3".into()));
    assert_eq!(resource("deployment.environment.name"), Some("test".into()));

    assert_eq!(spans[1].text("db.operation"), "ignore");
    assert_eq!(spans[1].attributes.get("messaging.kafka.message.tombstone"), Some(&true.into()));
    assert_eq!(spans[2].text("db.operation"), "delete");
    assert_eq!(spans[2].attributes.get("messaging.kafka.message.key"), None);
    assert_ne!(spans[1].trace_id, spans[2].trace_id);
    assert_eq!(receiver.complaints(), Vec::<String>::new());
}

#[test]
fn the_parent_is_read_from_the_headers() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[]);
    let headers = [("traceparent", Value::string(PARENT)), ("tracestate", Value::string("vendor=x"))];
    let unsampled = [("traceparent", Value::string(PARENT.replace("-01", "-00")))];
    let records = [record(1, Value::Null, &unsampled), record(2, Value::Null, &headers), record(3, Value::Null, &[])];
    let records = records.each_ref().map(|record| processed(record, None, Fate::Dropped));
    telemetry.sink_observer().processed(&identity(), &records);
    // A trace that its beginner did not sample is not continued.
    let spans = wait_spans(&receiver, 2);
    assert_eq!(spans[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((spans[0].parent_span_id.as_str(), spans[0].trace_state.as_str()), ("00f067aa0ba902b7", "vendor=x"));
    assert_eq!(spans[0].text("db.operation"), "ignore");
    assert_eq!(spans[1].int("messaging.kafka.offset"), 3);
    assert!(spans[1].parent_span_id.is_empty());
}

#[test]
fn a_failure_is_an_error_with_its_exception() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[]);
    let error = TaskError::definite("org.apache.kafka.connect.errors.DataException", "a field is missing")
        .hint("make the column nullable");
    let record = record(7, Value::string("v"), &[]);
    let failed = |dead_letter| processed(&record, None, Fate::Failed { error: &error, dead_letter });
    telemetry.sink_observer().processed(&identity(), &[failed(false), failed(true)]);
    let spans = wait_spans(&receiver, 2);
    let span = &spans[0];
    let message = "a field is missing (make the column nullable)";
    assert_eq!(span.error.as_deref(), Some(message));
    assert_eq!(span.text("error.type"), "org.apache.kafka.connect.errors.DataException");
    assert_eq!(span.attributes.get("db.operation"), None);
    assert_eq!(span.events.len(), 1);
    assert_eq!(span.events[0].name, "exception");
    assert_eq!(span.events[0].attributes["exception.type"], span.attributes["error.type"]);
    assert_eq!(span.events[0].attributes["exception.message"], message.into());
    assert_eq!(span.attributes.get("walspring.dead_letter"), None);
    assert_eq!(spans[1].attributes.get("walspring.dead_letter"), Some(&true.into()));
}

#[test]
fn a_source_hands_its_context_to_the_sink() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
    let traceparent = telemetry.source_observer().unwrap().sent("src", "cdc.public.customer", Some(1_000)).unwrap();
    let record = record(7, Value::Null, &[("traceparent", Value::string(traceparent.as_str()))]);
    telemetry.sink_observer().processed(&identity(), &[processed(&record, None, Fate::Done(Outcome::Ignore))]);
    let spans = wait_spans(&receiver, 2);
    let (sent, processed) = (&spans[0], &spans[1]);
    assert_eq!((sent.name.as_str(), sent.kind.as_str()), ("send cdc.public.customer", "Producer"));
    assert_eq!(sent.start_ns, 1_000_000_000);
    assert_eq!((sent.text("messaging.operation"), sent.text("messaging.operation.type")), ("publish", "send"));
    assert_eq!(traceparent, format!("00-{}-{}-01", sent.trace_id, sent.span_id));
    assert_eq!((&processed.trace_id, &processed.parent_span_id), (&sent.trace_id, &sent.span_id));
    assert_eq!(receiver.requests()[0].headers.get("content-encoding").map(String::as_str), Some("gzip"));
}

#[test]
fn what_is_not_sampled_gets_no_header() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]);
    assert_eq!(telemetry.source_observer().unwrap().sent("src", "t", None), None);
    // But what another has sampled is continued.
    let record = record(7, Value::Null, &[("traceparent", Value::string(PARENT))]);
    telemetry.sink_observer().processed(&identity(), &[processed(&record, None, Fate::Dropped)]);
    assert_eq!(wait_spans(&receiver, 1).len(), 1);
}

#[test]
fn without_an_endpoint_nothing_is_observed() {
    for variables in [&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")][..], &[("OTEL_TRACES_EXPORTER", "none")]] {
        let telemetry = Telemetry::start(settings("http://127.0.0.1:9", variables), RecordLog::default(), "1");
        assert!(telemetry.source_observer().is_none());
        assert!(!telemetry.sink_observer().wants_all());
    }
    let propagators = [("OTEL_PROPAGATORS", "none")];
    let telemetry = Telemetry::start(settings("http://127.0.0.1:9", &propagators), RecordLog::default(), "1");
    assert!(telemetry.source_observer().is_none());
    assert!(telemetry.sink_observer().wants_all());
}

#[test]
fn what_waits_is_sent_when_the_worker_ends() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    let observer = telemetry.sink_observer();
    let record = record(7, Value::Null, &[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let observer = Arc::clone(&observer);
            let batch: Vec<_> = (0..300).map(|_| processed(&record, None, Fate::Dropped)).collect();
            scope.spawn(move || observer.processed(&identity(), &batch));
        }
    });
    assert_eq!(telemetry.spans_dropped(), 0);
    assert!(telemetry.shutdown(WAIT));
    assert_eq!(receiver.spans().len(), 1200);
    // Two chunks were complete, the rest went at the end.
    assert_eq!(receiver.requests().len(), 3);
}

fn wait_spans(receiver: &OtlpReceiver, count: usize) -> Vec<ReceivedSpan> {
    receiver.wait_spans("spans", WAIT, |spans| (spans.len() >= count).then(|| spans.to_vec()))
}
