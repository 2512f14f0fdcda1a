//! PostgreSQL's messages, as far as the rules need them: type byte, length, and of the stream the first byte inside.
//!
//! TLS is refused (SSLRequest is answered with `N` here), so that everything can be read. Source: PostgreSQL's
//! documentation, "Frontend/Backend Protocol" and "Streaming Replication Protocol".

use super::script::Seen;

pub const SSL_REQUEST: u32 = 80_877_103;
pub const GSSENC_REQUEST: u32 = 80_877_104;
pub const CANCEL_REQUEST: u32 = 80_877_102;

/// Length of XLogData's own fields, and where its payload begins in the message.
const XLOG_DATA_HEADER: usize = 1 + 4 + 1 + 24;

/// The first message of a connection has no type byte.
pub fn first_length(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
}

/// The code of a first message: a version, or one of the requests above.
pub fn first_code(message: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(message.get(4..8)?.try_into().ok()?))
}

pub fn length(bytes: &[u8]) -> Option<usize> {
    Some(1 + u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize)
}

/// `streaming`: CopyBothResponse has come on this connection.
pub fn seen_from_server(message: &[u8], streaming: bool) -> Seen {
    match (message[0], message.get(5)) {
        (b'd', Some(b'w')) if streaming => match message.get(XLOG_DATA_HEADER) {
            Some(b'C') => Seen::Commit,
            _ => Seen::Change,
        },
        (b'd', Some(b'k')) if streaming => Seen::Keepalive,
        (kind, _) => Seen::FromServer(kind),
    }
}

pub fn seen_from_client(message: &[u8], streaming: bool) -> Seen {
    match (message[0], message.get(5)) {
        (b'd', Some(b'r')) if streaming => Seen::StandbyStatus,
        (kind, _) => Seen::FromClient(kind),
    }
}

/// Where a turned bit changes what the message says, and not only its frame: the last third of its body.
pub fn spoil(message: &mut [u8]) {
    let at = message.len() - 1 - (message.len() - 5) / 3;
    message[at.clamp(5.min(message.len() - 1), message.len() - 1)] ^= 0x10;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    #[test]
    fn the_streams_messages_are_told_apart() {
        let xlog = |first: u8| message(b'd', &[&[b'w'][..], &[0; 24], &[first, 1, 2]].concat());
        assert_eq!(seen_from_server(&xlog(b'C'), true), Seen::Commit);
        assert_eq!(seen_from_server(&xlog(b'I'), true), Seen::Change);
        assert_eq!(seen_from_server(&message(b'd', b"k0000"), true), Seen::Keepalive);
        assert_eq!(seen_from_client(&message(b'd', b"r0000"), true), Seen::StandbyStatus);
        // A row of COPY may begin with any letter.
        assert_eq!(seen_from_server(&message(b'd', b"wool\t1\n"), false), Seen::FromServer(b'd'));
        assert_eq!(length(&xlog(b'C')), Some(xlog(b'C').len()));
    }

    #[test]
    fn a_spoilt_message_keeps_its_frame() {
        for size in 1..40 {
            let good = message(b'd', &vec![0; size]);
            let mut bad = good.clone();
            spoil(&mut bad);
            assert_ne!(good, bad);
            assert_eq!(good[..5], bad[..5]);
        }
    }
}
