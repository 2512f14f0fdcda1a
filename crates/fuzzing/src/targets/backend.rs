//! A server: its messages in pieces as a socket brings them, or those of an authentication.

use walspring_postgres_source::fuzzing;

use crate::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let mut pieces = Vec::new();
    while !input.is_empty() {
        pieces.push(input.counted());
    }
    if flags & 2 == 2 {
        fuzzing::authentication(&pieces);
    } else {
        fuzzing::backend_messages(&pieces, flags & 1 == 1);
    }
}
