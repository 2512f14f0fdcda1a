//! Log lines of records: the fields that tie them to spans.

mod support;

use support::{PARENT, WAIT, identity, processed, read, record, telemetry};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use walspring_connect::{Fate, Outcome, TaskError};
use walspring_record::Value;
use walspring_telemetry::{RecordLog, Settings, Telemetry};
use walspring_testkit::Lines;
use walspring_testkit::otlp::OtlpReceiver;

/// What is logged under these directives.
fn logged(directives: &str, run: impl FnOnce()) -> Vec<serde_json::Value> {
    let lines = Lines::default();
    let heard = lines.clone();
    let layer = fmt::layer().json().flatten_event(true).with_writer(move || heard.clone());
    let subscriber = tracing_subscriber::registry().with(layer).with(directives.parse::<Targets>().unwrap());
    tracing::subscriber::with_default(subscriber, run);
    let of_records = |line: &serde_json::Value| line["target"] == walspring_telemetry::RECORD_LOG_TARGET;
    read(&lines).into_iter().filter(of_records).collect()
}

fn observe(telemetry: &Telemetry, error: &TaskError) {
    let record = record(7, Value::string("v"), &[("traceparent", Value::string(PARENT))]);
    let key: Option<&[u8]> = Some(br#"{"id":1}"#);
    let fates = [
        Fate::Done(Outcome::Upsert),
        Fate::Dropped,
        Fate::Failed { error, dead_letter: false },
        Fate::Failed { error, dead_letter: true },
    ];
    telemetry.sink_observer().processed(&identity(), &fates.map(|fate| processed(&record, key, fate)));
}

#[test]
fn a_failure_is_logged_with_the_ids_of_its_span() {
    let receiver = OtlpReceiver::start();
    let telemetry = telemetry(&receiver, &[]);
    let error = TaskError::definite("a.b.DataException", "a field is missing");
    let lines = logged("info", || observe(&telemetry, &error));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    assert_eq!((&line["level"], &line["outcome"]), (&"ERROR".into(), &"failed".into()));
    assert_eq!((&lines[1]["level"], &lines[1]["outcome"]), (&"WARN".into(), &"dead_letter".into()));
    assert_eq!((&line["connector"], &line["task"]), (&"copy".into(), &1.into()));
    assert_eq!(line["topic"], "cdc.public.customer");
    assert_eq!((&line["partition"], &line["offset"]), (&3.into(), &7.into()));
    assert_eq!(line["key"], r#"{"id":1}"#);
    assert_eq!((&line["error_type"], &line["error"]), (&"a.b.DataException".into(), &"a field is missing".into()));
    assert_eq!(line["duration_ms"], 250.0);
    let spans = receiver.wait_spans("the spans", WAIT, |spans| (spans.len() == 4).then(|| spans.to_vec()));
    let failed = spans.iter().find(|span| span.error.is_some()).unwrap();
    assert_eq!(
        (&line["trace_id"], &line["span_id"]),
        (&failed.trace_id.as_str().into(), &failed.span_id.as_str().into())
    );
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn failures_are_logged_where_nothing_is_exported() {
    let telemetry = Telemetry::start(Settings::default(), RecordLog::default(), "1");
    let error = TaskError::definite("a.b.DataException", "a field is missing");
    let lines = logged("info", || observe(&telemetry, &error));
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["trace_id"], &lines[0]["span_id"]), (&"".into(), &"".into()));
}

#[test]
fn every_record_is_logged_where_that_is_asked_for() {
    let error = TaskError::definite("a.b.DataException", "a field is missing");
    let quiet = Telemetry::start(Settings::default(), RecordLog::default(), "1");
    let lines = logged("info,walspring::sink::record=debug", || {
        assert!(quiet.sink_observer().wants_all());
        observe(&quiet, &error);
    });
    let outcomes: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), &line["outcome"])).collect();
    assert_eq!(
        outcomes,
        [
            ("DEBUG", &"upsert".into()),
            ("DEBUG", &"dropped".into()),
            ("ERROR", &"failed".into()),
            ("WARN", &"dead_letter".into())
        ]
    );
    let loud = Telemetry::start(Settings::default(), RecordLog { at_info: true }, "1");
    let lines = logged("info", || observe(&loud, &error));
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["level"], "INFO");
}
