//! Receivers behind TLS: by a certificate of their own authority, with one of ours.

mod support;

use support::{WAIT, identity, processed, record, settings, telemetry};
use walspring_connect::Fate;
use walspring_record::Value;
use walspring_telemetry::{RecordLog, Telemetry};
use walspring_testkit::Certificates;
use walspring_testkit::otlp::OtlpReceiver;

#[test]
fn files_of_certificates_are_used_and_headers_are_sent() {
    let certificates = Certificates::new("walspring");
    let receiver = OtlpReceiver::start_tls(&certificates);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ca, certificate, key) = (
        file("ca.pem", &certificates.ca),
        file("client.pem", &certificates.client_certificate),
        file("client.key", &certificates.client_key),
    );
    let telemetry = telemetry(
        &receiver,
        &[
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=k%3D1"),
        ],
    );
    let record = record(7, Value::Null, &[]);
    telemetry.sink_observer().processed(&identity(), &[processed(&record, None, Fate::Dropped)]);
    receiver.wait_spans("the span", WAIT, |spans| (!spans.is_empty()).then_some(()));
    assert_eq!(receiver.requests()[0].headers.get("x-api-key").map(String::as_str), Some("k=1"));
}

#[test]
fn a_file_that_cannot_be_used_switches_the_signal_off() {
    let settings =
        settings("https://127.0.0.1:9", &[("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/nowhere/authority.pem")]);
    let telemetry = Telemetry::start(settings, RecordLog::default(), "1");
    assert!(telemetry.source_observer().is_none() && !telemetry.exports_spans());
}
