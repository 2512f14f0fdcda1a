//! A stream of payloads, each behind a two-byte length: decoding never panics, and the spans of a tuple and its cells
//! are two views of the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use walspring_pgoutput::{Cell, CellKind, Decoder, Message, OldTuple, Tuple};

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new();
    let mut rest = data;
    while let Some((len, tail)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(tail.len());
        let (payload, tail) = tail.split_at(len);
        rest = tail;
        match decoder.decode(payload) {
            Ok(Message::Insert(insert)) => check(payload, insert.new),
            Ok(Message::Update(update)) => {
                check_old(payload, update.old);
                check(payload, update.new);
            }
            Ok(Message::Delete(delete)) => check_old(payload, delete.old),
            Ok(Message::Relation(relation)) => {
                assert_eq!(relation.columns().count(), relation.columns().len());
            }
            Ok(Message::Truncate(truncate)) => {
                assert_eq!(truncate.relations().count(), truncate.relations().len());
            }
            Ok(_) | Err(_) => {}
        }
    }
});

fn check_old(payload: &[u8], old: OldTuple<'_>) {
    if let OldTuple::Key(tuple) | OldTuple::Full(tuple) = old {
        check(payload, tuple);
    }
}

fn check(payload: &[u8], tuple: Tuple<'_>) {
    let mut cells = tuple.iter();
    tuple.push_cells(|kind, start, len| {
        let bytes = &payload[start..start + len];
        let expected = match kind {
            CellKind::Null => Cell::Null,
            CellKind::Unchanged => Cell::Unchanged,
            CellKind::Text => Cell::Text(bytes),
            CellKind::Binary => Cell::Binary(bytes),
        };
        assert_eq!(cells.next(), Some(expected));
    });
    assert_eq!(cells.next(), None);
}
