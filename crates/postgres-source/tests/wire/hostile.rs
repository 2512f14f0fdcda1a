//! Servers that mean harm, or are no servers: an error each time, soon, and without much memory.

use proptest::prelude::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use walspring_postgres_source::wire::{ConnectConfig, Connection, Frame, PgError, Secret, SslMode};

/// A server that runs `serve` on the one connection it takes, after it has read the startup message.
fn server(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> ConnectConfig {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        if read_startup(&mut stream).is_some() {
            serve(&mut stream);
        }
    });
    let mut config = ConnectConfig::new("127.0.0.1", port, "u", "d");
    config.password = Some(Secret::new("secret"));
    config.ssl.mode = SslMode::Disable;
    config.connect_timeout = Some(Duration::from_secs(2));
    config.read_timeout = Some(Duration::from_secs(2));
    config
}

fn read_startup(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut body = vec![0; u32::from_be_bytes(len) as usize - 4];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn read_message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let mut body = vec![0; u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize - 4];
    stream.read_exact(&mut body).ok()?;
    Some((header[0], body))
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    message
}

const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I";

/// Sends until the client has had enough.
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

fn refusal(config: &ConnectConfig) -> PgError {
    let begin = Instant::now();
    let error = Connection::connect(config).expect_err("a refusal");
    assert!(begin.elapsed() < Duration::from_secs(20));
    error
}

#[test]
fn something_that_is_no_postgresql() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "does not look like a PostgreSQL server"),
        (b"R\x7f\xff\xff\xff\0\0\0\0", "claims a length of 2147483647 bytes"),
        (b"R\xff\xff\xff\xff", "claims a length of 4294967295 bytes"),
        (b"R\0\0\0\0", "claims a length of 0 bytes"),
        (b"R\0\0\0\x05\0", "shorter than its fields"),
        (b"D\0\0\0\x04", "unexpected message type 'D'"),
        (b"E\0\0\0\x06SX", "shorter than its fields"),
        (b"R\0\0\0\x08\0\0\0\x63", "authentication request 99 is not known"),
        (b"R\0\0\0\x08\0\0\0\x07", "GSSAPI"),
        (b"R\0\0\0\x08\0\0\0\x0b", "out of order"),
        (b"R\0\0\0\x0c\0\0\0\x0aX\0\0\0", "not supported"),
    ] {
        let error = refusal(&server(move |stream| send(stream, answer)));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_transient(), "{error}");
    }
    let error = refusal(&server(|_| {}));
    assert!(error.is_transient(), "a server that goes away may come back: {error}");
}

#[test]
fn garbage_before_tls() {
    for (answer, definite) in [(&b"H"[..], true), (b"", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            read_startup(&mut stream);
            send(&mut stream, answer);
        });
        let mut config = ConnectConfig::new("127.0.0.1", port, "u", "d");
        config.ssl.mode = SslMode::Require;
        assert_eq!(refusal(&config).is_transient(), !definite);
    }
}

/// Bytes behind the 'S' that a man in the middle put there must not count as said under TLS (CVE-2021-23222).
#[test]
fn plain_bytes_behind_the_tls_offer_do_not_pass() {
    let mut config = server(|stream| {
        send(stream, &[b"S", READY].concat());
        let _ = stream.read(&mut [0; 1024]);
    });
    config.ssl.mode = SslMode::Require;
    assert!(matches!(refusal(&config), PgError::Tls(_)));
}

fn sasl(first: impl FnOnce(&str) -> String + Send + 'static, then: &'static [u8]) -> ConnectConfig {
    server(move |stream| {
        send(stream, &message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"));
        let Some((_, body)) = read_message(stream) else { return };
        let text = String::from_utf8_lossy(&body).into_owned();
        let nonce = text.split("r=").nth(1).expect("a nonce").to_owned();
        send(stream, &message(b'R', &[b"\0\0\0\x0b", first(&nonce).as_bytes()].concat()));
        if read_message(stream).is_some() {
            send(stream, then);
        }
        let _ = stream.read(&mut [0; 16]);
    })
}

#[test]
fn scram_with_two_billion_iterations() {
    let begin = Instant::now();
    let error = refusal(&sasl(|nonce| format!("r={nonce}x,s=c2FsdA==,i=2147483648"), b""));
    assert!(matches!(error, PgError::Auth(_)), "{error}");
    assert!(error.to_string().contains("iteration count"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn scram_that_a_server_does_not_finish() {
    // A nonce of its own, AuthenticationOk without a proof, a wrong proof, a proof that is none.
    let error = refusal(&sasl(|_| "r=abc,s=c2FsdA==,i=4096".to_owned(), b""));
    assert!(error.to_string().contains("invalid nonce"), "{error}");
    for (then, expected) in [
        (&b"R\0\0\0\x08\0\0\0\0"[..], "skipped its proof"),
        (b"R\0\0\0\x0e\0\0\0\x0cv=c2Fs", "proof is wrong"),
        (b"R\0\0\0\x0a\0\0\0\x0cxx", "proof is wrong"),
    ] {
        let error = refusal(&sasl(|nonce| format!("r={nonce}x,s=c2FsdA==,i=4096"), then));
        assert!(matches!(&error, PgError::Auth(reason) if reason.contains(expected)), "{error}");
    }
}

#[test]
fn endless_notices_end_with_the_timeout() {
    let notice = message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mbla\0\0").repeat(1000);
    let endless = notice.clone();
    let mut config = server(move |stream| while stream.write_all(&endless).is_ok() {});
    config.connect_timeout = Some(Duration::from_millis(300));
    assert!(refusal(&config).is_transient());
    let mut config = server(move |stream| {
        send(stream, READY);
        while stream.write_all(&notice).is_ok() {}
    });
    config.read_timeout = Some(Duration::from_millis(300));
    let mut connection = Connection::connect(&config).expect("a connection");
    let begin = Instant::now();
    assert!(connection.query("select 1").expect_err("no reply").is_transient());
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// Answers one query with these bytes and ends.
fn answer(bytes: Vec<u8>) -> Result<(), PgError> {
    let config = server(move |stream| {
        send(stream, READY);
        if read_message(stream).is_some() {
            send(stream, &bytes);
        }
    });
    Connection::connect(&config).expect("a connection").query("select 1").map(|_| ())
}

#[test]
fn rows_that_do_not_fit_their_description() {
    let columns = message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
    let end = b"Z\0\0\0\x05I".to_vec();
    for (row, expected) in [
        (&b"\0\0"[..], "a row has 0 values, its result 1 columns"),
        (b"\0\x02\0\0\0\0\0\0\0\0", "a row has 2 values"),
        (b"\0\x01\0\0\0\x05x", "shorter than its fields"),
        (b"\0\x01\x80\0\0\0", "negative length"),
        (b"\0\x01\0\0\0\x01\xff", "not UTF-8"),
        (b"", "shorter than its fields"),
    ] {
        let error = answer([columns.clone(), message(b'D', row), end.clone()].concat()).expect_err("an error");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_transient(), "bytes damaged on the way: a new connection may be better");
    }
    answer([columns, message(b'D', b"\0\x01\0\0\0\x01x"), end].concat()).expect("a good row");
    let many = message(b'T', b"\xff\xff");
    assert!(answer(many).is_err());
}

#[test]
fn a_length_is_not_believed_before_its_bytes_are_there() {
    // 1 GiB is what a row may be; 100 such claims at once would be noticed if they were allocated.
    let errors: Vec<_> = (0..100).map(|_| std::thread::spawn(|| answer(b"D\x40\0\0\0x".to_vec()))).collect();
    for error in errors {
        let error = error.join().expect("no panic").expect_err("an end");
        assert_eq!(error.to_string(), "server closed the connection unexpectedly");
    }
    let error = answer(b"D\x60\0\0\0x".to_vec()).expect_err("too long");
    assert!(error.to_string().contains("claims a length of 1610612736 bytes"), "{error}");
}

#[test]
fn replication_frames_that_are_none() {
    for (frames, expected) in [
        (message(b'd', b""), "not readable"),
        (message(b'd', b"w\0\0"), "not readable"),
        (message(b'd', b"k\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02"), "not readable"),
        (message(b'd', b"k\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0"), "not readable"),
        (message(b'd', b"?"), "not readable"),
        (message(b'c', b""), "server ended the replication"),
        (message(b'C', b"COPY 0\0"), "server ended the replication"),
        (message(b'T', b""), "unexpected message type 'T'"),
        (message(b'E', b"SFATAL\0C57P01\0Mgo\0\0"), "FATAL: go (SQLSTATE 57P01)"),
        (message(b'E', b""), "shorter than its fields"),
        (Vec::new(), "server closed the connection unexpectedly"),
    ] {
        let config = server(move |stream| {
            send(stream, READY);
            if read_message(stream).is_some() {
                send(stream, &[message(b'W', b"\0\0\0"), frames].concat());
            }
        });
        let connection = Connection::connect(&config).expect("a connection");
        let mut stream = connection.start_replication("START_REPLICATION").expect("a stream");
        let error = stream.next(Duration::from_secs(2)).expect_err("an error");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_transient());
        assert!(stream.next(Duration::from_secs(2)).is_err(), "an error is the end");
    }
}

/// A stream cut at any byte gives the frames before the cut, and then an error.
#[test]
fn a_stream_cut_anywhere() {
    let frame =
        |n: u8| message(b'd', &[&b"w\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03payload"[..], &[n]].concat());
    let whole = frame(0).len();
    for cut in (0..=3 * whole).step_by(7) {
        let bytes = [frame(0), frame(1), frame(2)].concat()[..cut].to_vec();
        let config = server(move |stream| {
            send(stream, READY);
            if read_message(stream).is_some() {
                // In two pieces, for a frame that arrives in parts.
                send(stream, &message(b'W', b"\0\0\0"));
                send(stream, &bytes[..cut / 2]);
                std::thread::sleep(Duration::from_millis(2));
                send(stream, &bytes[cut / 2..]);
            }
        });
        let connection = Connection::connect(&config).expect("a connection");
        let mut stream = connection.start_replication("START_REPLICATION").expect("a stream");
        let mut frames = 0;
        loop {
            match stream.next(Duration::from_secs(2)) {
                Ok(Some(Frame::XLogData { wal_start: 1, wal_end: 2, server_time_us: 3, payload })) => {
                    assert_eq!(payload, [&b"payload"[..], &[frames]].concat());
                    frames += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => break assert_eq!(error.to_string(), "server closed the connection unexpectedly"),
            }
        }
        assert_eq!(usize::from(frames), cut / whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_are_an_error_and_no_panic(
        startup in prop::collection::vec(any::<u8>(), 0..100),
        tags in prop::collection::vec((prop::sample::select(b"RSKZENTDCIGHWdcAv".as_slice()), prop::collection::vec(any::<u8>(), 0..40)), 0..10),
        ready: bool,
    ) {
        let mut bytes = if ready { Vec::new() } else { startup };
        for (tag, body) in tags {
            bytes.extend(message(tag, &body));
        }
        if ready {
            let _ = answer(bytes);
        } else {
            let config = server(move |stream| send(stream, &bytes));
            let _ = Connection::connect(&config);
        }
    }
}

/// After the startup these bytes again and again, until the client has had enough.
fn for_ever(begin: &'static [u8], again: Vec<u8>) -> ConnectConfig {
    server(move |stream| {
        send(stream, READY);
        if read_message(stream).is_some() {
            send(stream, begin);
            while stream.write_all(&again).is_ok() {}
        }
    })
}

#[test]
fn replies_without_an_end_are_left() {
    let many = |message: Vec<u8>| message.repeat(500);
    let parameter = |n: usize| message(b'S', format!("p{n}\0{}\0", "v".repeat(1 << 20)).as_bytes());
    for (begin, again, expected) in [
        (&b""[..], many(message(b'C', b"SELECT 0\0")), "does not come to the end"),
        (b"", many(message(b'I', b"")), "does not come to the end"),
        (b"", many(message(b'T', b"\0\0")), "does not come to the end"),
        // An error and no end: the error is what is told.
        (b"E\0\0\0\x0cC42P01\0\0", many(message(b'C', b"")), "42P01"),
        (b"E\0\0\0\x05\0", many(message(b'D', b"\0\0")), ": "),
        // Settings, each with a MiB, are not kept; what is waited for does not come, and the limit of time ends it.
        (b"", (0..20).flat_map(parameter).collect(), "silent for too long"),
    ] {
        let mut config = for_ever(begin, again);
        config.read_timeout = Some(Duration::from_secs(1));
        let mut connection = Connection::connect(&config).expect("a connection");
        let begin = Instant::now();
        let error = connection.query("select 1").expect_err("no reply");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!connection.is_usable(), "{error}");
        assert!(connection.parameter("p1").is_none(), "a setting of a MiB is kept");
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
}

/// Rows without values take memory too: the bound on a result counts what is kept, not what was sent.
#[test]
fn rows_of_nothing_do_not_fill_the_memory() {
    // A NULL is four bytes on the wire and six times as much here.
    let column = [&b"a\0"[..], &[0; 18]].concat();
    let mut reply = message(b'T', &[&1600u16.to_be_bytes()[..], &column.repeat(1600)].concat());
    let row = message(b'D', &[&1600u16.to_be_bytes()[..], &[0xff; 4 * 1600]].concat());
    reply.extend(row.repeat(100));
    let config = server(move |stream| {
        send(stream, READY);
        if read_message(stream).is_some() {
            while stream.write_all(&reply).is_ok() {}
        }
    });
    let mut connection = Connection::connect(&config).expect("a connection");
    let error = connection.batch_execute("select").expect_err("too many");
    assert!(error.to_string().contains("larger than 1 GiB"), "{error}");
}

#[test]
fn a_copy_that_does_not_end_can_be_left_at_any_row() {
    let config = for_ever(b"H\0\0\0\x09\0\0\x01\0\0", message(b'd', b"1\n").repeat(1000));
    let mut connection = Connection::connect(&config).expect("a connection");
    let mut copy = connection.copy_out("COPY t TO STDOUT").expect("a copy");
    for _ in 0..100_000 {
        assert_eq!(copy.next_row().expect("a row"), Some(&b"1\n"[..]));
    }
    drop(copy);
    assert!(!connection.is_usable());
    drop(connection);

    let config = for_ever(b"H\0\0\0\x09\0\0\x01\0\0c\0\0\0\x04", message(b'C', b"COPY 1\0"));
    let mut connection = Connection::connect(&config).expect("a connection");
    let error = connection.copy_out("COPY t TO STDOUT").expect("a copy").next_row().expect_err("no end");
    assert!(error.to_string().contains("does not come to the end"), "{error}");
}

/// What nobody asked for, in the midst of a stream and of a reply.
#[test]
fn message_types_that_are_unknown_or_out_of_place() {
    for tag in (0..=255u8).filter(|tag| !b"DCEGHIKNRSTZAdc".contains(tag)) {
        let error = answer(message(tag, b"\0\0\0\0")).expect_err("an error");
        assert!(error.to_string().contains("unexpected message type"), "{tag}: {error}");
    }
    // Authentication once more, when it is over.
    for body in [&b"\0\0\0\0"[..], b"\0\0\0\x03", b"\0\0\0\x0aSCRAM-SHA-256\0\0"] {
        let error = answer(message(b'R', body)).expect_err("an error");
        assert!(error.to_string().contains("unexpected message type 'R'"), "{error}");
    }
}

/// A password is asked for again and again, or in another way than before: it is given once.
#[test]
fn a_password_is_given_once() {
    for again in [&b"\0\0\0\x03"[..], b"\0\0\0\x05salt", b"\0\0\0\x0aSCRAM-SHA-256\0\0"] {
        let error = refusal(&server(move |stream| {
            send(stream, &message(b'R', b"\0\0\0\x05salt"));
            if read_message(stream).is_some() {
                send(stream, &message(b'R', again));
            }
            assert!(read_message(stream).is_none(), "an answer to a second question");
        }));
        assert!(error.to_string().contains("out of order"), "{error}");
    }
}
