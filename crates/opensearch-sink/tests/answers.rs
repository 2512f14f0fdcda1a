//! What is made of the answers that a cluster gives when it is not well, from a server that gives them when asked.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::fake::{Fake, Reply};
use common::{envelope, flat, map, start, start_elasticsearch};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use walspring_connect::{Outcome, PutError, SinkRecord, TaskError};
use walspring_record::{Schema, Type, Value};
use walspring_testkit::{Certificates, free_port, wait_for};

const FAST: &[(&str, &str)] = &[("retry.backoff.ms", "1"), ("max.retries", "3"), ("connection.timeout.ms", "5000")];

fn rows(ids: &[i64]) -> Vec<SinkRecord> {
    let row = |(offset, id): (usize, &i64)| flat("t", offset as i64, *id, map(&[("n", Value::Int64(offset as i64))]));
    ids.iter().enumerate().map(row).collect()
}

/// A bulk's answer of these statuses.
fn items(statuses: &[u16]) -> Reply {
    let item = |status: &u16| match status {
        200..=299 => format!(r#"{{"index":{{"status":{status},"result":"created"}}}}"#),
        409 => {
            r#"{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}"#.to_owned()
        }
        _ => {
            format!(r#"{{"index":{{"status":{status},"error":{{"type":"some_exception","reason":"value [4711]"}}}}}}"#)
        }
    };
    let items: Vec<String> = statuses.iter().map(item).collect();
    (200, "", format!(r#"{{"items":[{}]}}"#, items.join(",")))
}

/// The ids that a bulk has, in its order.
fn ids(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.split("\"_id\":\"").nth(1)?.split('"').next()).collect()
}

#[track_caller]
fn task_error(result: Result<Vec<Outcome>, PutError>) -> TaskError {
    match result {
        Err(PutError::Task(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_failed_rows_are_sent_again() {
    let fake = Fake::of_bulks(vec![items(&[201, 429, 200, 503]), items(&[429, 201]), items(&[201])]);
    let outcomes = start(&fake.url(), FAST).put_all(&rows(&[1, 2, 3, 4]));
    assert_eq!(outcomes, [Outcome::Upsert; 4]);
    let bulks = fake.bulks();
    assert_eq!(
        bulks.iter().map(|body| ids(body)).collect::<Vec<_>>(),
        [vec!["1", "2", "3", "4"], vec!["2", "4"], vec!["2"]]
    );
}

#[test]
fn rows_that_go_on_failing_are_transient() {
    let fake = Fake::of_bulks(vec![items(&[201, 429]), items(&[429])]);
    let mut sink = start(&fake.url(), FAST);
    let error = task_error(sink.put(&rows(&[1, 2])));
    assert!(error.is_transient() && error.message.contains("429 some_exception"), "{error}");
    assert_eq!(fake.bulks().len(), 1 + 3);
}

#[test]
fn without_versions_what_follows_a_failed_row_is_sent_again_with_it() {
    let fake = Fake::of_bulks(vec![items(&[200, 429, 200]), items(&[200, 200])]);
    let mut sink = start_elasticsearch(&fake.url(), &[FAST, &[("write.method", "upsert")]].concat());
    assert_eq!(sink.put_all(&rows(&[7, 8, 8])), [Outcome::Upsert; 3]);
    assert_eq!(fake.bulks().iter().map(|body| ids(body)).collect::<Vec<_>>(), [vec!["7", "8", "8"], vec!["8", "8"]]);
}

#[test]
fn refused_rows_are_named_and_the_others_written() {
    let fake = Fake::of_bulks(vec![items(&[400, 429, 409, 201]), items(&[201])]);
    let Err(PutError::Named(refused)) = start(&fake.url(), FAST).put(&rows(&[1, 2, 3, 4])) else { panic!() };
    assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0]);
    assert!(!refused[0].1.trace().contains("4711"), "{}", refused[0].1.trace());
}

#[test]
fn whole_answers_are_transient_or_say_what_to_do() {
    let secret = r#"{"error":{"type":"some_exception","reason":"value '4711'"}}"#;
    for (status, transient, hint) in [
        (429, true, ""),
        (500, true, ""),
        (502, true, ""),
        (503, true, ""),
        (200, true, ""),
        (400, false, "cluster's log"),
        (401, false, "connection.username"),
        (403, false, "the user needs"),
        (404, false, "connection.url"),
        (302, false, "redirects"),
    ] {
        let elsewhere = Fake::of_bulks(vec![items(&[201])]);
        let location: &'static str = format!("Location: {}/_bulk\r\n", elsewhere.url()).leak();
        let fake = Fake::of_bulks(vec![(status, location, secret.to_owned())]);
        let error = task_error(start(&fake.url(), &[("max.retries", "0")]).put(&rows(&[1])));
        assert_eq!(error.is_transient(), transient, "{status}: {error}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{status}: {error}");
        assert!(!error.trace().contains("4711"), "{}", error.trace());
        assert!(elsewhere.asked().is_empty(), "redirects are not followed");
    }
}

#[test]
fn other_nodes_are_asked_where_one_is_away() {
    let away = format!("http://127.0.0.1:{}", free_port());
    let busy = Fake::new(|_| Some((503, "", String::new())));
    let well = Fake::of_bulks(vec![items(&[201])]);
    let urls = format!("{away},{},{}", busy.url(), well.url());
    let mut sink = start(&urls, FAST);
    sink.put_all(&rows(&[1]));
    sink.put_all(&rows(&[2]));
    assert_eq!(busy.asked().len(), 1, "the node that answered last is asked first");
    assert_eq!(well.bulks().len(), 2);

    let error = task_error(start(&away, &[("max.retries", "0")]).put(&rows(&[1])));
    assert!(error.is_transient() && error.message.contains("does not answer"), "{error}");
}

#[test]
fn nodes_that_do_not_answer_in_time_are_away() {
    let silent = Fake::new(|asked| (!asked.line.starts_with("POST")).then(|| (200, "", String::new())));
    let options = [("read.timeout.ms", "100"), ("max.retries", "0")];
    let error = task_error(start(&silent.url(), &options).put(&rows(&[1])));
    assert!(error.is_transient(), "{error}");
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let fake = Fake::new(|asked| {
        if !asked.line.starts_with("POST /_bulk") {
            return Some((200, "", String::new()));
        }
        let sent = ids(&asked.body);
        // The document 3 is too large wherever it is.
        Some(if sent.len() > 2 || sent.contains(&"3") {
            (413, "", String::new())
        } else {
            items(&vec![201; sent.len()])
        })
    });
    let Err(PutError::Named(refused)) = start(&fake.url(), FAST).put(&rows(&[1, 2, 3, 4])) else { panic!() };
    assert_eq!(refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [2]);
    let sent: Vec<_> = fake.bulks().iter().map(|body| ids(body).join(",")).collect();
    assert_eq!(sent, ["1,2,3,4", "1,2", "3,4", "3", "4"]);
}

#[test]
fn indices_are_made_beside_other_tasks_and_without_the_right_to_make_templates() {
    let exists = r#"{"error":{"type":"resource_already_exists_exception","reason":"x"},"status":400}"#;
    let fake = Fake::new(move |asked| {
        Some(match asked.line.split(' ').collect::<Vec<_>>()[..2] {
            ["HEAD", _] => (404, "", String::new()),
            ["PUT", path] if path.starts_with("/_index_template/") => (403, "", String::new()),
            ["PUT", "/t"] => (400, "", exists.to_owned()),
            ["POST", _] => items(&[201]),
            _ => (200, "", String::new()),
        })
    });
    let row = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32));
    let event = |offset| envelope("t", offset, &row, "c", Value::Null, Value::Struct(vec![Value::Int32(1)]));
    let mut sink = start(&fake.url(), FAST);
    sink.put_all(&[event(0)]);
    // The same schema, at another address.
    sink.put_all(&[event(1)]);
    let lines: Vec<String> = fake.asked().iter().map(|asked| asked.line.replace(" HTTP/1.1", "")).collect();
    let bulk = "POST /_bulk?filter_path=items.*.status,items.*.result,items.*.error";
    assert_eq!(lines, ["HEAD /t", "PUT /_index_template/walspring-t", "PUT /t", "PUT /t/_mapping", bulk, bulk]);
    assert_eq!(fake.asked()[3].body, r#"{"properties":{"id":{"type":"integer"}}}"#);
}

#[test]
fn unchanged_values_that_cannot_be_read_are_not_lost() {
    for (kind, transient) in [("no_shard_available_action_exception", true), ("illegal_argument_exception", false)] {
        let mut asked_before = false;
        let fake = Fake::new(move |asked| {
            let first = asked.line.starts_with("POST /_mget") && !std::mem::replace(&mut asked_before, true);
            let docs = if first {
                format!(r#"{{"_index":"t","error":{{"type":"{kind}","reason":"'4711'"}}}}"#)
            } else {
                r#"{"_index":"t","_source":{"long":"value"}}"#.to_owned()
            };
            Some(match asked.line.starts_with("POST /_mget") {
                true => (200, "", format!(r#"{{"docs":[{docs}]}}"#)),
                false => items(&[201]),
            })
        });
        let mut sink = start(&fake.url(), FAST);
        let missing = [flat("t", 0, 1, map(&[("long", Value::string("__debezium_unavailable_value"))]))];
        let error = task_error(sink.put(&missing));
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(!error.trace().contains("4711"), "{}", error.trace());
        assert!(fake.bulks().is_empty());
        sink.put_all(&missing);
        assert!(fake.bulks()[0].contains(r#"{"long":"value"}"#), "{:?}", fake.bulks());
    }
}

#[test]
fn metadata_services_are_never_called() {
    for url in ["http://169.254.169.254", "http://[fd00:ec2::254]:80", "http://[::ffff:169.254.169.254]/latest"] {
        let error = task_error(start(url, &[]).put(&rows(&[1])));
        assert!(!error.is_transient() && error.message.contains("never called"), "{error}");
    }
}

#[test]
fn a_task_that_should_end_does_not_wait() {
    let fake = Fake::of_bulks(vec![items(&[429])]);
    let mut sink = start(&fake.url(), &[("retry.backoff.ms", "600000"), ("flush.timeout.ms", "86400000")]);
    let stop = sink.stop.clone();
    let putting = std::thread::spawn(move || sink.put(&rows(&[1])));
    wait_for("the first attempt", Duration::from_secs(20), || (fake.bulks().len() == 1).then_some(()));
    let stopped = Instant::now();
    stop.stop();
    assert!(task_error(putting.join().unwrap()).is_transient());
    assert!(stopped.elapsed() < Duration::from_secs(60));
}

#[test]
fn users_are_named_and_tls_is_checked_both_ways() {
    let certificates = Certificates::new("walspring");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates_of =
        |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect::<Vec<_>>();
    let mut authority = rustls::RootCertStore::empty();
    authority.add_parsable_certificates(certificates_of(&certificates.ca));
    let clients = WebPkiClientVerifier::builder_with_provider(authority.into(), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            certificates_of(&certificates.server_certificate),
            PrivateKeyDer::from_pem_slice(certificates.server_key.as_bytes()).unwrap(),
        )
        .unwrap();
    let fake = Fake::over_tls(config, |asked| {
        let authorized = asked.headers.contains("authorization: Basic bWU6cDpx"); // me:p:q
        Some(match (authorized, asked.line.starts_with("POST")) {
            (true, true) => items(&[201]),
            (true, false) => (200, "", String::new()),
            _ => (401, "", String::new()),
        })
    });
    let url = format!("https://localhost:{}", fake.port);
    let error = task_error(start(&url, FAST).put(&rows(&[1])));
    assert!(!error.is_transient(), "{error}");
    assert!(error.hint.unwrap().contains("truststore"));

    let trusting = [("connection.ssl.truststore.certificates", &*certificates.ca), ("connection.username", "me")];
    let error = task_error(start(&url, &[FAST, &trusting].concat()).put(&rows(&[1])));
    assert!(error.message.contains("HTTP 401"), "{error}");
    let password = [("connection.password", "p:q")];
    start(&url, &[FAST, &trusting, &password].concat()).put_all(&rows(&[1]));

    // Confluent's names; the authority in a file, our certificate as text.
    let file = std::env::temp_dir().join(format!("walspring-opensearch-sink-{}.pem", std::process::id()));
    std::fs::write(&file, &certificates.ca).unwrap();
    let confluent = [
        ("elastic.security.protocol", "SSL"),
        ("elastic.https.ssl.truststore.location", file.to_str().unwrap()),
        ("elastic.https.ssl.truststore.type", "PEM"),
        ("elastic.https.ssl.keystore.key", &*certificates.client_key),
        ("elastic.https.ssl.keystore.certificate.chain", &*certificates.client_certificate),
        ("connection.username", "me"),
        ("connection.password", "p:q"),
    ];
    let written = start_elasticsearch(&url, &[FAST, &confluent].concat()).put(&rows(&[1]));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(written.unwrap(), [Outcome::Upsert]);

    start(&url, &[FAST, &[("connection.trust.all.certificates", "true")], &trusting[1..], &password].concat())
        .put_all(&rows(&[1]));
}
