//! Every message survives encoding and decoding; no bytes make the decoder panic; every prefix of a message is an error.

mod encoder;

use encoder::{OwnedCell, OwnedMessage, encode};
use proptest::prelude::*;
use walspring_pgoutput::{Cell, CellKind, DecodeError, Decoder, Message, OldTuple, Piece, Tuple};

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded(messages in prop::collection::vec(encoder::message(), 1..20)) {
        let mut decoder = Decoder::new();
        for message in messages {
            message.check(&mut decoder);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10)) {
        let mut decoder = Decoder::new();
        for payload in &payloads {
            if let Ok(message) = decoder.decode(payload) {
                read_everything(payload, message);
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        message in encoder::message(),
        in_stream: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut payload = encode(&message, in_stream);
        for (index, byte) in damage {
            let at = index.index(payload.len());
            payload[at] = byte;
        }
        let mut decoder = encoder::decoder(in_stream);
        if let Ok(message) = decoder.decode(&payload) {
            read_everything(&payload, message);
        }
    }

    #[test]
    fn a_cut_message_is_an_error(message in encoder::message(), cut in any::<prop::sample::Index>()) {
        let in_stream = message.in_stream();
        let payload = encode(&message, in_stream);
        let cut = cut.index(payload.len());
        // A stream abort may end before its LSN: the longer form is the shorter one with more behind it.
        let short_abort = payload[0] == b'A' && cut == 9;
        let decoded = encoder::decoder(in_stream).decode(&payload[..cut]).map(|_| ());
        prop_assert_eq!(decoded.is_ok(), short_abort);
    }
}

proptest! {
    #[test]
    fn a_piece_is_the_message_without_its_xid(message in encoder::message()) {
        let inside = encode(&message, true);
        let outside = encode(&message, false);
        let Ok(piece) = Piece::split(&inside) else {
            // What has no place in a block is the same in both.
            prop_assert_eq!(&inside, &outside);
            return Ok(());
        };
        let mut put_together = vec![piece.tag];
        put_together.extend_from_slice(piece.rest);
        prop_assert_eq!(&put_together, &outside);
        prop_assert!(Decoder::new().decode(&put_together).is_ok());
        let event = matches!(Decoder::new().decode(&put_together), Ok(
            Message::Insert(_) | Message::Update(_) | Message::Delete(_) | Message::Truncate(_) | Message::Logical(_)
        ));
        prop_assert_eq!(Piece::is_event(piece.tag), event);
        let xid = match encoder::decoder(true).decode(&inside) {
            Ok(Message::Insert(m)) => m.xid,
            Ok(Message::Update(m)) => m.xid,
            Ok(Message::Delete(m)) => m.xid,
            Ok(Message::Truncate(m)) => m.xid,
            Ok(Message::Logical(m)) => m.xid,
            Ok(Message::Relation(m)) => m.xid,
            Ok(Message::Type(m)) => m.xid,
            _ => None,
        };
        prop_assert_eq!(piece.xid, xid);
    }

    #[test]
    fn arbitrary_bytes_are_taken_apart_or_refused(payload in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(piece) = Piece::split(&payload) {
            prop_assert_eq!(1 + piece.xid.map_or(0, |_| 4) + piece.rest.len(), payload.len());
        }
    }
}

fn read_everything(payload: &[u8], message: Message<'_>) {
    match message {
        Message::Insert(insert) => compare_views(payload, insert.new),
        Message::Update(update) => {
            if let OldTuple::Key(old) | OldTuple::Full(old) = update.old {
                compare_views(payload, old);
            }
            compare_views(payload, update.new);
        }
        Message::Delete(delete) => {
            if let OldTuple::Key(old) | OldTuple::Full(old) = delete.old {
                compare_views(payload, old);
            }
        }
        Message::Relation(relation) => assert_eq!(relation.columns().count(), relation.columns().len()),
        Message::Truncate(truncate) => assert_eq!(truncate.relations().count(), truncate.relations().len()),
        _ => {}
    }
}

/// The iterator and the spans must be two views of the same cells.
fn compare_views(payload: &[u8], tuple: Tuple<'_>) {
    let mut cells = tuple.iter();
    let mut seen = 0;
    tuple.push_cells(|kind, start, len| {
        let bytes = &payload[start..start + len];
        let expected = match kind {
            CellKind::Null => Cell::Null,
            CellKind::Unchanged => Cell::Unchanged,
            CellKind::Text => Cell::Text(bytes),
            CellKind::Binary => Cell::Binary(bytes),
        };
        assert_eq!(cells.next(), Some(expected));
        seen += 1;
    });
    assert_eq!(cells.next(), None);
    assert_eq!(seen, tuple.len());
}

#[test]
fn spans_point_into_the_payload() {
    let cells = vec![OwnedCell::Text(b"42".to_vec()), OwnedCell::Null, OwnedCell::Unchanged, OwnedCell::Text(vec![])];
    let payload = encode(&OwnedMessage::Insert { xid: 7, relation: 16384, new: cells }, false);
    let Ok(Message::Insert(insert)) = Decoder::new().decode(&payload) else { panic!("not an insert") };
    let mut spans = Vec::new();
    insert.new.push_cells(|kind, start, len| spans.push((kind, start, len)));
    // 'I', OID, 'N', count: 8 bytes; then tag and length of the first cell.
    assert_eq!(
        spans,
        [(CellKind::Text, 13, 2), (CellKind::Null, 16, 0), (CellKind::Unchanged, 17, 0), (CellKind::Text, 22, 0)]
    );
    assert_eq!(&payload[13..15], b"42");
}

#[test]
fn errors_name_the_field_and_its_place() {
    fn check(payload: &[u8], expected: &str) {
        let error = Decoder::new().decode(payload).expect_err("decoded");
        assert_eq!(error.to_string(), expected);
    }
    check(b"", "pgoutput message has no bytes");
    check(b"?", "unknown pgoutput message type '?'");
    check(b"B\0\0", "pgoutput message ends inside its final LSN, at byte 1");
    check(b"I\0\0\0\x01X", "pgoutput message has 'X' as its tuple kind, at byte 5");
    check(b"I\0\0\0\x01N\xff\xff", "pgoutput message has -1 as its number of columns, at byte 6");
    check(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xff", "pgoutput message has -1 as its column length, at byte 9");
    check(b"I\0\0\0\x01N\0\x01t\x7f\xff\xff\xff", "pgoutput message ends inside its column value, at byte 13");
    check(b"T\x7f\xff\xff\xff\0", "pgoutput message ends inside its relation OIDs, at byte 6");
    check(b"I\0\0\0\x01N\0\0!", "pgoutput message type 'I' has 1 bytes too many");
    check(b"E", "pgoutput message type 'E' outside a streamed block");
}

#[test]
fn an_error_leaves_the_state_alone() {
    let mut decoder = Decoder::new();
    decoder.decode(b"S\0\0\0\x07\x01").expect("stream start");
    assert!(decoder.in_stream());
    assert_eq!(decoder.decode(b"S\0\0\0\x07\x01"), Err(DecodeError::OutOfPlace { tag: b'S', in_stream: true }));
    assert_eq!(decoder.decode(b"E!"), Err(DecodeError::Trailing { tag: b'E', left: 1 }));
    assert!(decoder.in_stream());
    decoder.decode(b"E").expect("stream stop");
    assert!(!decoder.in_stream());
}
