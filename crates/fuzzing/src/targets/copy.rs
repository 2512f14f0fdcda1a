//! A row of COPY in text format.

use walspring_postgres_source::fuzzing;

pub fn run(data: &[u8]) {
    let Some((&columns, line)) = data.split_first() else { return };
    let columns = usize::from(columns % 12);
    let Some(row) = fuzzing::copy_row(line, columns) else { return };
    let bytes: usize = row.iter().flatten().map(Vec::len).sum();
    assert!(bytes <= line.len(), "escapes only shrink");
    // Written as COPY writes it and read again it is the same row.
    let mut again = Vec::new();
    for (n, value) in row.iter().enumerate() {
        if n > 0 {
            again.push(b'\t');
        }
        match value {
            None => again.extend_from_slice(b"\\N"),
            Some(value) => value.iter().for_each(|byte| match byte {
                b'\\' => again.extend_from_slice(b"\\\\"),
                b'\n' => again.extend_from_slice(b"\\n"),
                b'\t' => again.extend_from_slice(b"\\t"),
                byte => again.push(*byte),
            }),
        }
    }
    again.push(b'\n');
    assert_eq!(fuzzing::copy_row(&again, columns), Some(row));
}
