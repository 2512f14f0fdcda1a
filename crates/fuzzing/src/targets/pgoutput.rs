//! One payload of a replication stream, inside a block of a transaction in progress and outside, and all that can be read of it.

use walspring_pgoutput::{Decoder, Message, OldTuple, Piece, Tuple};

pub fn run(data: &[u8]) {
    let Some((&flags, payload)) = data.split_first() else { return };
    let mut decoder = Decoder::new();
    if flags & 1 == 1 {
        let _ = decoder.decode(b"S\0\0\0\x01\x01");
        assert!(decoder.in_stream());
    }
    let in_stream = decoder.in_stream();
    match decoder.decode(payload) {
        Ok(message) => read(&message),
        Err(error) => {
            assert_eq!(decoder.in_stream(), in_stream, "an error leaves the state as it was");
            assert!(error.to_string().len() < 200);
        }
    }
    if let Ok(piece) = Piece::split(payload) {
        let before = if piece.xid.is_some() { 5 } else { 1 };
        assert_eq!(piece.rest.len() + before, payload.len());
    }
}

fn read(message: &Message<'_>) {
    match message {
        Message::Insert(m) => row(&m.new),
        Message::Update(m) => {
            old(&m.old);
            row(&m.new);
        }
        Message::Delete(m) => old(&m.old),
        Message::Relation(m) => {
            for column in m.columns() {
                assert!(!column.name.contains(&0));
            }
        }
        Message::Truncate(m) => assert!(m.relations().count() < 1 << 20),
        Message::Logical(m) => assert!(!m.prefix.contains(&0)),
        _ => {}
    }
}

fn old(tuple: &OldTuple<'_>) {
    match tuple {
        OldTuple::None => {}
        OldTuple::Key(tuple) | OldTuple::Full(tuple) => row(tuple),
    }
}

fn row(tuple: &Tuple<'_>) {
    let mut cells = 0;
    tuple.push_cells(|_, _, _| cells += 1);
    assert_eq!(tuple.iter().count(), cells);
}
