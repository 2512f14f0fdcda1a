//! A Redis that is away, silent, full, read-only, that refuses us, or that holds something else under a key.

mod support;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use support::*;
use walspring_connect::{Outcome, PutError, SinkRecord, TaskError};
use walspring_record::Value;
use walspring_testkit::{Certificates, Redis, free_port, redis, wait_for};

#[track_caller]
fn task_error(result: Result<Vec<Outcome>, PutError>) -> TaskError {
    match result {
        Err(PutError::Task(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn row(id: i64) -> SinkRecord {
    event("c", id, Value::Null, map(&[("id", Value::Int64(id)), ("note", Value::string("secret-value"))]))
}

fn on(server: &Redis, path: &str) -> String {
    format!("redis://127.0.0.1:{}{path}", server.port())
}

#[test]
fn only_the_record_whose_key_holds_something_else_is_poison() {
    let uri = redis().database();
    let mut client = Client::new(&uri);
    client.ask("RPUSH shop.public.booking:2 x");
    for multiexec in ["true", "false"] {
        let mut task = task(&uri, &[("redis.type", "HASH"), ("redis.multiexec", multiexec), ("redis.key.ttl", "100")]);
        let Err(PutError::Named(poison)) = put(&mut *task, &[row(1), row(2), row(3)]) else { panic!("2 is a list") };
        assert_eq!(poison.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
        let error = poison[0].1.to_string();
        assert!(error.contains("redis.type") && !error.contains("secret-value"), "{error}");
        assert_eq!(client.hash("shop.public.booking:1").len() + client.hash("shop.public.booking:3").len(), 4);
        client.ask("DEL shop.public.booking:1 shop.public.booking:3");
    }
}

#[test]
fn a_server_that_dies_and_comes_back_is_written_to_again() {
    let server = Redis::start(&[("appendfsync", "always")]);
    let uri = on(&server, "/0");
    let mut task = task(&uri, &[("redis.type", "HASH"), ("redis.timeout", "2")]);
    put(&mut *task, &[row(1)]).unwrap();
    server.kill();
    for _ in 0..2 {
        let error = task_error(put(&mut *task, &[row(1), row(2)]));
        assert!(error.is_transient(), "{error}");
    }
    server.restart();
    put(&mut *task, &[row(1), row(2)]).unwrap();

    server.pause();
    let start = Instant::now();
    let error = task_error(put(&mut *task, &[row(3)]));
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(20), "{error}");
    server.resume();
    put(&mut *task, &[row(3)]).unwrap();
    assert_eq!(Client::new(&uri).keys().len(), 3);
}

/// Killed in the middle of whatever it does, with its data on disk at each answer: nothing that was put is lost.
#[test]
fn a_server_that_is_killed_again_and_again_ends_in_the_state_of_the_rows() {
    const PUTS: i64 = 400;
    let server = Redis::start(&[("appendfsync", "always")]);
    let uri = on(&server, "/0");
    let mut task = task(&uri, &[("redis.type", "HASH"), ("walspring.sink.key", "{id}"), ("redis.timeout", "5")]);
    let done = AtomicI64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for kill in 1..8 {
                wait_for("puts", Duration::from_secs(60), || {
                    (done.load(Ordering::SeqCst) >= kill * PUTS / 8).then_some(())
                });
                server.kill();
                server.restart();
            }
        });
        for n in 1..=PUTS {
            // Row 0 is deleted and comes back, the others count.
            let mut records: Vec<SinkRecord> = (1..50)
                .map(|id| event("u", id, Value::Null, map(&[("id", Value::Int64(id)), ("n", Value::Int64(n))])))
                .collect();
            let zero = map(&[("id", Value::Int64(0)), ("n", Value::Int64(n))]);
            records.push(if n % 2 == 0 { event("d", 0, zero, Value::Null) } else { event("c", 0, Value::Null, zero) });
            wait_for("the server to be back", Duration::from_secs(60), || match put(&mut *task, &records) {
                Ok(_) => Some(()),
                Err(error) => {
                    assert!(task_error(Err(error)).is_transient());
                    None
                }
            });
            done.store(n, Ordering::SeqCst);
        }
    });
    let mut client = Client::new(&uri);
    assert_eq!(client.keys().len(), 49);
    for id in 1..50 {
        assert_eq!(client.hash(&id.to_string())["n"], PUTS.to_string());
    }
}

#[test]
fn a_full_server_is_waited_for() {
    let server = Redis::start(&[("maxmemory", "1"), ("maxmemory-policy", "noeviction")]);
    let uri = on(&server, "/0");
    for multiexec in ["true", "false"] {
        let mut task = task(&uri, &[("redis.type", "HASH"), ("redis.multiexec", multiexec)]);
        let error = task_error(put(&mut *task, &[row(1), row(2)]));
        assert!(error.is_transient() && error.to_string().contains("maxmemory"), "{error}");
        Client::new(&uri).ask("CONFIG SET maxmemory 0");
        put(&mut *task, &[row(1), row(2)]).unwrap();
        Client::new(&uri).ask("CONFIG SET maxmemory 1");
    }
}

#[test]
fn a_replica_is_waited_for() {
    let master = Redis::start(&[]);
    let replica = Redis::start(&[("replicaof", &format!("127.0.0.1 {}", master.port()))]);
    let mut task = task(&on(&replica, "/0"), &[("redis.type", "STRING")]);
    let error = task_error(put(&mut *task, &[row(1)]));
    assert!(error.is_transient() && error.message.contains("replica"), "{error}");
    // It becomes the master.
    Client::new(&on(&replica, "/0")).ask("REPLICAOF NO ONE");
    put(&mut *task, &[row(1)]).unwrap();
}

#[test]
fn replicas_are_waited_for_where_that_is_asked_for() {
    let master = Redis::start(&[]);
    let options = [("redis.type", "STRING"), ("redis.wait.replicas", "1"), ("redis.wait.timeout", "100")];
    let mut task = task(&on(&master, "/0"), &options);
    let error = task_error(put(&mut *task, &[row(1)]));
    assert!(error.is_transient() && error.message.contains("0 of 1"), "{error}");
    let replica = Redis::start(&[("replicaof", &format!("127.0.0.1 {}", master.port()))]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = put(&mut *task, &[row(1)]) {
        assert!(Instant::now() < deadline, "{error:?}");
    }
    assert_eq!(Client::new(&on(&replica, "/0")).keys(), ["shop.public.booking:1"]);
}

#[test]
fn users_and_their_rights() {
    let server = Redis::start(&[
        ("requirepass", "top"),
        ("user", "cdc on >right ~shop.* +multi +exec +hset +hdel +del +ping +get +mget +set"),
    ]);
    let uri = on(&server, "/0");
    let check_one = |options: &[(&str, &str)]| {
        let all: Vec<_> = [("redis.type", "HASH")].into_iter().chain(options.iter().copied()).collect();
        check(&uri, &all).into_iter().next().map(|(_, message)| message).unwrap_or_default()
    };
    assert!(check_one(&[]).contains("redis.password"), "{}", check_one(&[]));
    let wrong = check_one(&[("redis.username", "cdc"), ("redis.password", "wr0ng")]);
    assert!(wrong.contains("redis.username and redis.password") && !wrong.contains("wr0ng"), "{wrong}");
    assert_eq!(check_one(&[("redis.password", "top")]), "");
    let error = task_error(put(&mut *task(&uri, &[("redis.type", "HASH")]), &[row(1)]));
    assert!(!error.is_transient() && error.message.contains("NOAUTH"), "{error}");

    let user = [("redis.type", "HASH"), ("redis.username", "cdc"), ("redis.password", "right")];
    put(&mut *task(&uri, &user), &[row(1)]).unwrap();
    // Another's keys, and a command that it may not use.
    for options in [("walspring.sink.key", "other:{id}"), ("redis.key.ttl", "10")] {
        let all: Vec<_> = user.into_iter().chain([options]).collect();
        let error = task_error(put(&mut *task(&uri, &all), &[row(1)]));
        assert!(!error.is_transient() && error.to_string().contains("ACL SETUSER"), "{error}");
        assert!(!error.to_string().contains("secret-value") && !error.to_string().contains("right"), "{error}");
    }
    let in_uri = format!("redis://cdc:right@127.0.0.1:{}/0", server.port());
    assert_eq!(check(&in_uri, &[("redis.type", "HASH")]), []);
    let missing = check(&format!("redis://:top@127.0.0.1:{}/4096", server.port()), &[("redis.type", "HASH")]);
    assert!(missing[0].1.contains("database"), "{missing:?}");
}

#[test]
fn tls_trusts_the_authority_that_is_named() {
    let certificates = Certificates::new("walspring");
    let server = Redis::start_tls(&[], &certificates);
    let directory = std::env::temp_dir().join(format!("walspring-redis-sink-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, cert) = (file("ca.pem", &certificates.ca), file("client.pem", &certificates.client_certificate));
    let key = file("client.key", &certificates.client_key);
    let stranger = file("stranger.pem", &Certificates::new("stranger").ca);
    let uri = format!("rediss://localhost:{}/0", server.tls_port());
    let client = [("redis.type", "HASH"), ("redis.key.cert", cert.as_str()), ("redis.key.file", &key)];
    let with = |ca: &str| {
        let all: Vec<_> = client.into_iter().chain([("redis.cacert", ca)]).collect();
        put(&mut *task(&uri, &all), &[row(1)])
    };
    with(&ca).unwrap();
    let error = task_error(with(&stranger));
    assert!(!error.is_transient() && error.to_string().contains("redis.cacert"), "{error}");
    let error = task_error(put(&mut *task(&uri, &[("redis.type", "HASH"), ("redis.cacert", &ca)]), &[row(1)]));
    // In TLS 1.3 the server's alert may come after it has hung up, or not at all.
    assert!(error.to_string().contains("redis.key.cert") || error.is_transient(), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn nobody_listens_or_something_else_does() {
    let uri = format!("redis://127.0.0.1:{}/0", free_port());
    let error = task_error(put(&mut *task(&uri, &[("redis.type", "HASH")]), &[row(1)]));
    assert!(error.is_transient(), "{error}");
    let nested = "*1\r\n".repeat(100_000);
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nX: secret-value\r\n\r\n",
        "*2147483647\r\n",
        "*9223372036854775807\r\n",
        "$99999999999999\r\n",
        "$-7\r\n",
        "*-7\r\n",
        ":99999999999999999999999\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n$-1\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*0\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+secret-value\r\n",
        "-\r\n-\r\n-\r\n-\r\n",
        "-ERR secret-value\r\n-ERR x\r\n-ERR x\r\n-EXECABORT x\r\n",
        "\0\0\0\0\0\0",
        &nested,
    ] {
        let uri = format!("redis://127.0.0.1:{}/0", answering(answer.to_owned()));
        let error =
            task_error(put(&mut *task(&uri, &[("redis.type", "STRING"), ("redis.timeout", "5")]), &[row(1), row(2)]));
        assert!(error.is_transient() && !error.to_string().contains("secret-value"), "{answer:.40}: {error}");
    }
}

/// The port of something that says this to whatever it is asked, and hangs up.
fn answering(answer: String) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 65536]);
        let _ = stream.write_all(answer.as_bytes());
    });
    port
}

#[test]
fn a_large_batch_goes_in_several_transactions() {
    let uri = redis().database();
    let mut task = task(&uri, &[("redis.type", "STRING")]);
    let big = "x".repeat(10_000);
    let records: Vec<SinkRecord> = (0..1500)
        .map(|id| event("c", id, Value::Null, map(&[("id", Value::Int64(id)), ("note", Value::string(big.as_str()))])))
        .collect();
    put(&mut *task, &records).unwrap();
    assert_eq!(Client::new(&uri).keys().len(), 1500);
}
