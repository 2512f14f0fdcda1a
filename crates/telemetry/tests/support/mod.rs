//! Records as a sink's task hands them over, telemetry that sends to the receiver, and a log that can be read.
#![allow(dead_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use walspring_connect::{Fate, Origin, Processed, SinkIdentity, SinkRecord};
use walspring_record::{Header, Typed, Value};
use walspring_telemetry::{RecordLog, Settings, Telemetry};
use walspring_testkit::Lines;
use walspring_testkit::otlp::OtlpReceiver;

pub const WAIT: Duration = Duration::from_secs(60);
pub const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub fn settings(endpoint: &str, more: &[(&str, &str)]) -> Settings {
    Settings::read(|name| {
        let given = more.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
            "OTEL_BSP_SCHEDULE_DELAY" => Some("20".to_owned()),
            _ => None,
        })
    })
}

pub fn telemetry(receiver: &OtlpReceiver, more: &[(&str, &str)]) -> Telemetry {
    Telemetry::start(settings(&receiver.endpoint(), more), RecordLog::default(), "1.2.3")
}

pub fn identity() -> SinkIdentity {
    SinkIdentity { connector: "copy".to_owned(), task: 1, group: "connect-copy".to_owned() }
}

pub fn record(kafka_offset: i64, value: Value, headers: &[(&str, Value)]) -> SinkRecord {
    let typed = |value| Typed { schema: None, value };
    let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: typed(value.clone()) });
    SinkRecord {
        topic: "customer_copy".into(),
        key: typed(Value::string("k")),
        value: typed(value),
        headers: headers.collect(),
        timestamp_ms: Some(1),
        origin: Origin { topic: "cdc.public.customer".into(), partition: 3, kafka_offset },
    }
}

/// From the 1,000th second, for 250 ms.
pub fn processed<'a>(record: &'a SinkRecord, raw_key: Option<&'a [u8]>, fate: Fate<'a>) -> Processed<'a> {
    let started: SystemTime = UNIX_EPOCH + Duration::from_secs(1000);
    Processed { record, raw_key, fate, started, ended: started + Duration::from_millis(250) }
}

/// Lines of the log, as the worker writes them.
pub fn read(lines: &Lines) -> Vec<serde_json::Value> {
    lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
