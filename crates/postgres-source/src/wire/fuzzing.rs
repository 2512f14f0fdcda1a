//! Doors for the fuzz targets: messages of a server, through the same buffer and parsers as from a socket.

use super::auth::{Authentication, Next};
use super::backend;
use super::config::{ConnectConfig, Secret};
use super::frame_reader::FrameReader;
use super::replication;
use super::row::{read_columns, read_row};

/// What a server sends, in pieces as a socket might bring it. Every message is read as whatever it claims to be. `established`:
/// behind the startup, where messages may be larger.
pub fn backend_messages(pieces: &[&[u8]], established: bool) {
    let mut frames = FrameReader::new();
    frames.established = established;
    let mut columns = read_columns(&[0, 0]).unwrap_or_default();
    let mut seen = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let taken = frames.feed(rest);
            rest = &rest[taken..];
            loop {
                match frames.take() {
                    Ok(Some(message)) => {
                        seen += message.body.len() + 5;
                        let body = frames.bytes(message.body);
                        match message.tag {
                            b'E' | b'N' => drop(backend::server_error(body).map(|e| e.to_string())),
                            b'S' => drop(backend::parameter_status(body)),
                            b'K' => drop(backend::backend_key(body)),
                            b'T' => columns = read_columns(body).unwrap_or_default(),
                            b'D' => drop(read_row(body, &columns).map(|row| row.get(0).map(str::len))),
                            b'd' => drop(replication::parse(body)),
                            _ => {}
                        }
                    }
                    Ok(None) => break,
                    // The connection is lost with it.
                    Err(_) => return,
                }
            }
            // However long a message says it is, the buffer is no more than some times what has come.
            let sent: usize = pieces.iter().map(|piece| piece.len()).sum();
            assert!(frames.memory() <= (4 * sent).max(512 * 1024), "{} bytes for {sent}", frames.memory());
        }
    }
    let sent: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(seen <= sent);
}

/// Bodies of `Authentication…` messages. Without the password nobody gets through where channel binding is required.
pub fn authentication(bodies: &[&[u8]]) {
    let mut config = ConnectConfig::new("h", 1, "u", "d");
    config.password = Some(Secret::new("secret"));
    let mut authentication = Authentication::new(&config, None);
    let mut out = Vec::new();
    let mut scram = false;
    for body in bodies {
        scram |= body.starts_with(&[0, 0, 0, 10]);
        match authentication.receive(body, &mut out) {
            Ok(Next::Done) => {
                assert!(!scram, "a server that began with SCRAM has proved nothing");
                return;
            }
            Ok(Next::Continue) => {}
            Err(_) => return,
        }
        assert!(!out.windows(6).any(|six| six == b"secret") || authentication.method() == Some("password"));
        assert!(out.len() < 64 * 1024);
        out.clear();
    }
}
