//! What a real server is sent: bodies, batches, URLs, headers, signatures.

mod support;

use support::*;
use walspring_connect::{Outcome, PutError};
use walspring_record::Value;
use walspring_testkit::Certificates;

/// Options, and the bodies that they give.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn records_are_sent_one_by_one_or_in_batches() {
    let cases: &[Case<'_>] = &[
        (&[("request.body.format", "json")], &[r#"{"id":1,"status":"new"}"#, r#"{"id":2,"status":"new"}"#]),
        (
            &[("request.body.format", "json"), ("batch.json.as.array", "true"), ("batch.max.size", "10")],
            &[r#"[{"id":1,"status":"new"},{"id":2,"status":"new"}]"#],
        ),
        (
            &[("request.body.format", "json"), ("batch.json.as.array", "true")],
            &[r#"[{"id":1,"status":"new"}]"#, r#"[{"id":2,"status":"new"}]"#],
        ),
        (
            &[("batch.max.size", "2"), ("batch.prefix", "<"), ("batch.suffix", ">"), ("batch.separator", ";")],
            &[r#"<{"id":1,"status":"new"};{"id":2,"status":"new"}>"#],
        ),
    ];
    for (options, expected) in cases {
        let server = Server::start(|_, _| status(200));
        let mut task = confluent(&server.url("/"), options);
        assert_eq!(put(&mut *task, &[row(1), row(2)]).unwrap(), [Outcome::Send, Outcome::Send]);
        assert_eq!(server.bodies(), *expected);
        assert!(server.requests().iter().all(|request| request.connection == 0), "the connection is kept");
    }
    let server = Server::start(|_, _| status(204));
    let mut task = aiven(&server.url("/"), &[("batching.enabled", "true")]);
    put(&mut *task, &[record(1, Value::string("a")), record(2, Value::string("b"))]).unwrap();
    let mut task = aiven(&server.url("/"), &[]);
    put(&mut *task, &[record(3, Value::string("a")), row(4)]).unwrap();
    assert_eq!(server.bodies(), ["a\nb\n", "a", r#"{"id":4,"status":"new"}"#]);
    let types: Vec<String> = server.requests().iter().map(|request| request.headers["content-type"].clone()).collect();
    assert_eq!(types, ["text/plain; charset=utf-8", "text/plain; charset=utf-8", "application/json"]);
}

#[test]
fn urls_and_headers_have_the_record_s_values() {
    let server = Server::start(|_, _| status(200));
    let options = [
        ("request.method", "PUT"),
        ("headers", "X-Status:s ${status}|X-Fixed: a:b"),
        ("auth.type", "BASIC"),
        ("connection.user", "u"),
        ("connection.password", "p"),
        ("behavior.on.null.values", "delete"),
    ];
    let mut task = confluent(&server.url("/${topic}/${id}?s=${status}"), &options);
    let after = map(&[("id", Value::Int64(7)), ("status", Value::string("a/b&c"))]);
    let envelope = map(&[
        ("before", Value::Null),
        ("after", after),
        ("source", map(&[("lsn", Value::Int64(1))])),
        ("op", Value::string("c")),
    ]);
    put(&mut *task, &[record(7, envelope)]).unwrap();
    let request = server.requests().remove(0);
    assert_eq!((&*request.method, &*request.target), ("PUT", "/orders/7?s=a%2Fb%26c"));
    assert_eq!(request.headers["x-status"], "s a/b&c");
    assert_eq!(request.headers["x-fixed"], "a:b");
    assert_eq!(request.headers["authorization"], "Basic dTpw");
    assert_eq!(request.headers["idempotency-key"], "orders-0-7");
    assert!(request.headers["user-agent"].starts_with("walspring/"));

    // A tombstone has no status.
    let Err(PutError::Named(poison)) = put(&mut *task, &[record(8, Value::Null)]) else { panic!("no status") };
    assert!(poison[0].1.message.contains("${status}"), "{}", poison[0].1);
    let mut task = confluent(&server.url("/orders/${id}"), &[("behavior.on.null.values", "delete")]);
    assert_eq!(put(&mut *task, &[record(8, Value::Null)]).unwrap(), [Outcome::Delete]);
    let request = server.requests().remove(1);
    assert_eq!((&*request.method, &*request.target, &*request.body), ("DELETE", "/orders/8", ""));
}

#[test]
fn a_value_cannot_leave_its_place() {
    let server = Server::start(|_, _| status(200));
    let mut task = confluent(&server.url("/${v}"), &[("headers", "X-V:${h}")]);
    let of = |offset, v: &str, h: &str| record(offset, map(&[("v", Value::string(v)), ("h", Value::string(h))]));
    put(&mut *task, &[of(1, "../../admin@evil.example?x#y", "plain")]).unwrap();
    assert_eq!(server.requests()[0].target, "/..%2F..%2Fadmin%40evil.example%3Fx%23y");
    let all = [of(2, "..", "x"), of(3, "ok", "a\r\nX-Admin: 1"), of(4, "", "x"), of(5, "ok", "x")];
    let Err(PutError::Named(poison)) = put(&mut *task, &all) else { panic!("three of them are wrong") };
    assert_eq!(poison.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(poison.iter().all(|(_, error)| !error.message.contains("Admin")), "no values in errors");
    assert_eq!(server.requests().len(), 2, "the good one is sent");
}

#[test]
fn bodies_are_signed_and_tokens_sent() {
    let server = Server::start(|_, _| status(200));
    let options = [
        ("walspring.sink.hmac.secret", "It's a Secret to Everybody"),
        ("walspring.sink.hmac.style", "body"),
        ("auth.type", "BEARER"),
        ("bearer.token", "tok"),
        ("walspring.sink.idempotency.header", ""),
    ];
    let mut task = confluent(&server.url("/"), &options);
    put(&mut *task, &[record(1, Value::string("Hello, World!"))]).unwrap();
    let request = server.requests().remove(0);
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(request.headers["x-hub-signature-256"], expected);
    assert_eq!(request.headers["authorization"], "Bearer tok");
    assert!(!request.headers.contains_key("idempotency-key"));

    let mut task = confluent(&server.url("/"), &options[..1]);
    put(&mut *task, &[record(1, Value::string("Hello, World!"))]).unwrap();
    let signature = server.requests().remove(1).headers["walspring-signature"].clone();
    assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
}

#[test]
fn batches_are_of_one_partition_and_one_url() {
    let server = Server::start(|_, _| status(200));
    let mut task = confluent(&server.url("/${status}"), &[("batch.max.size", "100")]);
    let mut other = row(3);
    other.origin.partition = 1;
    let paid = record(5, map(&[("status", Value::string("paid"))]));
    put(&mut *task, &[row(1), row(2), other, row(4), paid]).unwrap();
    let keys: Vec<String> =
        server.requests().iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys, ["orders-0-1-2", "orders-1-3", "orders-0-4", "orders-0-5"]);
}

#[test]
fn tls_trusts_the_authority_that_is_named() {
    let certificates = Certificates::new("walspring");
    let server = Server::start_tls(&certificates, true);
    let url = format!("https://localhost:{}/", server.port);
    let client = [
        ("https.ssl.truststore.certificates", certificates.ca.as_str()),
        ("https.ssl.keystore.certificate.chain", &certificates.client_certificate),
        ("https.ssl.keystore.key", &certificates.client_key),
    ];
    let mut task = confluent(&url, &client);
    put(&mut *task, &[row(1), row(2)]).unwrap();
    assert_eq!(server.requests().len(), 2);
    let mut task = confluent(&url, &client[..1]);
    let Err(PutError::Task(error)) = put(&mut *task, &[row(1)]) else { panic!("it wants a certificate") };
    // In TLS 1.3 the server's alert may come after it has hung up, or not at all.
    assert!(error.to_string().contains("keystore") || error.is_transient(), "{error}");

    let stranger = Certificates::new("stranger");
    let mut task = confluent(&url, &[("https.ssl.truststore.certificates", stranger.ca.as_str())]);
    let Err(PutError::Task(error)) = put(&mut *task, &[row(1)]) else { panic!("nobody vouches for it") };
    assert!(!error.is_transient() && error.to_string().contains("truststore"), "{error}");
    let system = format!("https://127.0.0.1:{}/", server.port);
    let Err(PutError::Task(error)) = put(&mut *confluent(&system, &[]), &[row(1)]) else { panic!("nobody vouches") };
    assert!(!error.is_transient(), "{error}");
}
