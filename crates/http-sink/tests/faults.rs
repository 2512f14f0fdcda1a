//! A service that is away, slow, overloaded, picky or hostile.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::*;
use walspring_connect::{Outcome, PutError, TaskError};
use walspring_http_sink::{AIVEN_CLASS, CONFLUENT_CLASS, plugins};
use walspring_record::Value;
use walspring_testkit::free_port;

#[track_caller]
fn task_error(result: Result<Vec<Outcome>, PutError>) -> TaskError {
    match result {
        Err(PutError::Task(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_sent_before_a_failure_is_not_sent_again() {
    let up = Arc::new(AtomicBool::new(false));
    let seen = up.clone();
    let server = Server::start(move |request, _| {
        if request.body.contains("\"id\":3") && !seen.load(Ordering::SeqCst) {
            return status(503);
        }
        // Its answer has a secret of its own.
        if request.body.contains("\"id\":2") { Answer { body: "TOPSECRET".into(), ..status(422) } } else { status(200) }
    });
    let mut task = confluent(&server.url("/"), &[]);
    let records = [row(1), row(2), row(3), row(4)];
    let error = task_error(put(&mut *task, &records));
    assert!(error.is_transient() && error.message.contains("503"), "{error}");
    up.store(true, Ordering::SeqCst);
    let Err(PutError::Named(poison)) = put(&mut *task, &records) else { panic!("the second is refused") };
    assert_eq!(poison.len(), 1);
    assert!(poison[0].0 == 1 && poison[0].1.message.contains("422"), "{}", poison[0].1);
    assert!(!format!("{:?}", poison[0].1).contains("TOPSECRET"));
    let ids: Vec<String> = server.requests().iter().map(|r| r.headers["idempotency-key"].clone()).collect();
    assert_eq!(ids, ["orders-0-1", "orders-0-2", "orders-0-3", "orders-0-3", "orders-0-4"]);
    // Anew, after the runtime has read from elsewhere.
    task.open(&[]).unwrap();
    put(&mut *task, &[row(1)]).unwrap();
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn retry_after_is_waited_for() {
    let server = Server::start(|_, before| {
        if before == 0 { Answer { headers: "retry-after: 1\r\n".into(), ..status(429) } } else { status(200) }
    });
    let mut task = confluent(&server.url("/"), &[]);
    let start = Instant::now();
    assert!(task_error(put(&mut *task, &[row(1)])).is_transient());
    while let Err(error) = put(&mut *task, &[row(1)]) {
        assert!(task_error(Err(error)).is_transient());
    }
    assert!(start.elapsed() >= Duration::from_millis(990), "{:?}", start.elapsed());
    assert_eq!(server.requests().len(), 2);

    // A service cannot make it wait for ever.
    let server = Server::start(|_, before| {
        if before == 0 { Answer { headers: "retry-after: 100000\r\n".into(), ..status(503) } } else { status(200) }
    });
    let mut task = confluent(&server.url("/"), &[("walspring.sink.retry.after.max.ms", "10")]);
    task_error(put(&mut *task, &[row(1)]));
    put(&mut *task, &[row(1)]).unwrap();
}

#[test]
fn a_batch_is_halved_until_the_poison_is_found() {
    let server = Server::start(|request, _| {
        if request.body.contains("\"id\":5") || request.body.contains("\"id\":6") { status(400) } else { status(200) }
    });
    let options = [("request.body.format", "json"), ("batch.json.as.array", "true"), ("batch.max.size", "8")];
    let records: Vec<_> = (1..=8).map(row).collect();
    let Err(PutError::Named(poison)) = put(&mut *confluent(&server.url("/"), &options), &records) else { panic!() };
    assert_eq!(poison.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [4, 5]);
    let taken: usize = server
        .bodies()
        .iter()
        .filter(|body| !body.contains("\"id\":5") && !body.contains("\"id\":6"))
        .map(|body| body.matches("\"id\"").count())
        .sum();
    assert_eq!(taken, 6, "each of the others once");

    let ignoring = [options[0], options[1], options[2], ("behavior.on.error", "ignore")];
    let outcomes = put(&mut *confluent(&server.url("/"), &ignoring), &records).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Ignore).count(), 2);
}

#[test]
fn a_service_that_is_away_or_silent_is_tried_again() {
    let port = free_port();
    let mut task = confluent(&format!("http://127.0.0.1:{port}/"), &[]);
    assert!(task_error(put(&mut *task, &[row(1)])).is_transient());

    let server = Server::start(|_, before| match before {
        0 => Answer { hang_up: true, ..status(200) },
        1 => Answer { delay: Duration::from_secs(30), ..status(200) },
        _ => status(200),
    });
    let mut task = confluent(&server.url("/"), &[("http.request.timeout.ms", "300")]);
    for what in ["hung up", "silent"] {
        let start = Instant::now();
        let error = task_error(put(&mut *task, &[row(1)]));
        assert!(error.is_transient() && start.elapsed() < Duration::from_secs(25), "{what}: {error}");
    }
    assert_eq!(put(&mut *task, &[row(1)]).unwrap(), [Outcome::Send]);

    let server = Server::start(|_, _| status(503));
    let mut task = confluent(&server.url("/"), &[("max.retries", "1")]);
    assert!(task_error(put(&mut *task, &[row(1)])).is_transient());
    let error = task_error(put(&mut *task, &[row(1)]));
    assert!(!error.is_transient() && error.to_string().contains("max.retries"), "{error}");
}

#[test]
fn whatever_a_service_answers_is_no_answer_or_a_status() {
    use std::io::{Read, Write};
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{}", "z".repeat(1 << 20));
    for (answer, good) in [
        ("TOPSECRET", false),
        ("HTTP/1.1 TOPSECRET OK\r\n\r\n", false),
        ("HTTP/1.1 999999 X\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n", false),
        ("\0\0\0\0", false),
        ("", false),
        (&long, false),
        (&many, false),
        // It was taken, whatever is said after that.
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nTOPSECRET\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", true),
        (&endless, true),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let text = answer.to_owned();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(text.as_bytes());
        });
        let mut task = confluent(&url, &[("http.request.timeout.ms", "5000")]);
        match put(&mut *task, &[row(1)]) {
            Ok(_) => assert!(good, "{answer:.60}"),
            Err(error) => {
                let error = task_error(Err(error));
                assert!(!good && error.is_transient(), "{answer:.60}: {error}");
                assert!(!error.to_string().contains("TOPSECRET"), "{error}");
            }
        }
    }
}

#[test]
fn a_put_to_a_slow_service_ends_in_time_and_goes_on() {
    let server = Server::start(|_, _| Answer { delay: Duration::from_millis(60), ..status(200) });
    let mut task = confluent(&server.url("/"), &[("consumer.override.max.poll.interval.ms", "300")]);
    let records: Vec<_> = (1..=5).map(row).collect();
    let mut puts = 1;
    while let Err(error) = put(&mut *task, &records) {
        let error = task_error(Err(error));
        assert!(error.is_transient() && error.message.contains("slow"), "{error}");
        puts += 1;
    }
    assert!(puts > 1);
    assert_eq!(server.requests().len(), 5, "each once");
}

#[test]
fn a_wrong_configuration_fails_the_task_and_not_the_records() {
    for (code, options) in
        [(401, "authorization"), (403, "authorization"), (404, "http.api.url"), (405, "method"), (415, "Content-Type")]
    {
        let server = Server::start(move |_, _| status(code));
        let error = task_error(put(&mut *confluent(&server.url("/secret-path"), &[]), &[row(1)]));
        assert!(!error.is_transient() && error.to_string().contains(options), "{error}");
        assert!(!error.to_string().contains("secret-path"), "{error}");
    }
    // Where the URL has the record's values, it is the record's.
    let server = Server::start(|_, _| status(404));
    let result = put(&mut *confluent(&server.url("/${id}"), &[]), &[row(1)]);
    assert!(matches!(result, Err(PutError::Named(_))), "{result:?}");
}

#[test]
fn no_redirect_is_followed() {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let inside = Server::start(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        status(200)
    });
    for to in ["http://169.254.169.254/latest/meta-data/".to_owned(), inside.url("/"), "/elsewhere".to_owned()] {
        for code in [301, 302, 303, 307, 308] {
            let to = to.clone();
            let server = Server::start(move |_, _| Answer { headers: format!("location: {to}\r\n"), ..status(code) });
            let error = task_error(put(&mut *confluent(&server.url("/"), &[]), &[row(1)]));
            assert!(!error.is_transient() && error.message.contains("redirect"), "{error}");
            assert_eq!(server.requests().len(), 1);
        }
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn addresses_of_the_inside_are_not_called() {
    let server = Server::start(|_, _| status(200));
    let port = server.port;
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        // Spellings that the system's resolver takes for 127.0.0.1.
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        "http://169.254.169.254/".to_owned(),
        "http://[fe80::1]/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://224.0.0.1/".to_owned(),
    ] {
        for plugin in plugins() {
            let name = if plugin.class() == AIVEN_CLASS { "http.url" } else { "http.api.url" };
            let errors = plugin.check(&config(&[(name, &url), ("http.authorization.type", "none")]));
            assert!(errors.len() == 1 && errors[0].0 == name, "{url}: {errors:?}");
        }
        // And when it is dialled.
        let mut task =
            start(CONFLUENT_CLASS, "public,private", &[("http.api.url", &url), ("http.connect.timeout.ms", "2000")]);
        let error = task_error(put(&mut *task, &[row(1)]));
        assert!(!error.is_transient() && error.to_string().contains("walspring.http.allow"), "{url}: {error}");
    }
    assert!(server.requests().is_empty());

    // The connector's own list is below the operator's.
    let url = server.url("/");
    for (ceiling, allow, good) in [
        ("loopback", "127.0.0.1", true),
        ("loopback", "10.0.0.0/8", false),
        ("public,private", "127.0.0.1", false),
        ("127.0.0.0/8", "", true),
    ] {
        let mut task = start(CONFLUENT_CLASS, ceiling, &[("http.api.url", &url), ("walspring.http.allow", allow)]);
        assert_eq!(put(&mut *task, &[row(1)]).is_ok(), good, "{ceiling} {allow}");
    }
}

#[test]
fn wrong_configurations_say_what_to_set() {
    let check = |class: &str, options: &[(&str, &str)]| plugin(class, "loopback").check(&config(options));
    for (options, name) in [
        (&[("http.api.url", "http://127.0.0.1/${")] as &[_], "http.api.url"),
        (&[("http.api.url", "http://${host}/")], "http.api.url"),
        (&[("http.api.url", "http://127.0.0.1/"), ("headers", "Host:x")], "headers"),
        (&[("http.api.url", "http://127.0.0.1/"), ("headers", "nonsense")], "headers"),
        (&[("http.api.url", "http://127.0.0.1/"), ("auth.type", "BASIC")], "connection.user"),
        (&[("http.api.url", "http://127.0.0.1/"), ("batch.json.as.array", "true")], "batch.json.as.array"),
        (&[("http.api.url", "http://127.0.0.1/"), ("walspring.http.allow", "a b")], "walspring.http.allow"),
        (&[("http.api.url", "http://127.0.0.1/"), ("retry.on.status.codes", "x")], "retry.on.status.codes"),
        (&[], "http.api.url"),
    ] {
        let errors = check(CONFLUENT_CLASS, options);
        assert!(errors.len() == 1 && errors[0].0 == name, "{options:?}: {errors:?}");
    }
    let errors = check(AIVEN_CLASS, &[("http.url", "http://127.0.0.1/"), ("http.authorization.type", "static")]);
    assert_eq!(errors[0].0, "http.headers.authorization");
    assert_eq!(check(AIVEN_CLASS, &[("http.url", "http://127.0.0.1/"), ("http.authorization.type", "none")]), []);
}

#[test]
fn tombstones_are_errors_for_aiven_s_and_left_out_by_confluent_s() {
    let server = Server::start(|_, _| status(200));
    let tombstone = || record(1, Value::Null);
    let result = put(&mut *aiven(&server.url("/"), &[]), &[tombstone()]);
    assert!(matches!(result, Err(PutError::Named(_))), "{result:?}");
    assert_eq!(put(&mut *confluent(&server.url("/"), &[]), &[tombstone()]).unwrap(), [Outcome::Ignore]);
    assert!(server.requests().is_empty());
}
