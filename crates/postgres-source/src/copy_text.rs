//! Rows of `COPY … TO STDOUT` in text format, as cells of a batch.
//!
//! Source: PostgreSQL's manual, COPY, "Text Format". The values are the types' text output, the same that pgoutput sends,
//! so that nothing after this knows which of the two a row came by.

use std::ops::Range;

use memchr::memchr2_iter;
#[cfg(test)]
use memchr::memchr3;
use walspring_record::{Cell, ChangeBatch};

/// The row was not what the format promises; reading it again may heal damage done on the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row of COPY has {found} columns instead of {expected}")]
pub struct CopyRowError {
    pub expected: usize,
    pub found: usize,
}

/// Appends one row (with or without its line end) to the batch and returns the first cell's place.
///
/// `line` is copied once; escapes are undone in place, where they shrink the value.
pub fn append_row(line: &[u8], columns: usize, batch: &mut ChangeBatch) -> Result<u32, CopyRowError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let first = batch.cells.len();
    if columns == 0 {
        return if line.is_empty() { Ok(first as u32) } else { Err(CopyRowError { expected: 0, found: 1 }) };
    }
    let base = batch.bytes.len();
    batch.bytes.extend_from_slice(line);
    // One pass: most cells are shorter than what a search costs to begin.
    let (mut start, mut escape) = (0, None);
    for at in memchr2_iter(b'\t', b'\\', line) {
        if line[at] == b'\\' {
            escape.get_or_insert(at);
            continue;
        }
        push_cell(base + start..base + at, escape.take().map(|escape| base + escape), batch);
        start = at + 1;
    }
    push_cell(base + start..base + line.len(), escape.map(|escape| base + escape), batch);
    let found = batch.cells.len() - first;
    if found != columns {
        batch.cells.truncate(first);
        batch.bytes.truncate(base);
        return Err(CopyRowError { expected: columns, found });
    }
    Ok(first as u32)
}

/// `escape`: its first backslash.
#[inline]
fn push_cell(span: Range<usize>, escape: Option<usize>, batch: &mut ChangeBatch) {
    let cell = match escape {
        None => Cell::text(span.start, span.len()),
        Some(first) if first == span.start && batch.bytes[span.clone()] == *b"\\N" => Cell::NULL,
        Some(first) => {
            let len = unescape(&mut batch.bytes[span.clone()], first - span.start);
            Cell::text(span.start, len)
        }
    };
    batch.cells.push(cell);
}

/// Undoes the escapes of a value from the first backslash on; answers the new length.
fn unescape(value: &mut [u8], first: usize) -> usize {
    let (mut from, mut to) = (first, first);
    while from < value.len() {
        let byte = value[from];
        from += 1;
        if byte != b'\\' || from == value.len() {
            value[to] = byte;
            to += 1;
            continue;
        }
        let escaped = value[from];
        from += 1;
        value[to] = match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        };
        to += 1;
    }
    to
}

/// How COPY would have written a value.
#[cfg(test)]
fn escape(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(i) = memchr3(b'\\', b'\n', b'\t', rest) {
        out.extend_from_slice(&rest[..i]);
        out.extend_from_slice(match rest[i] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            _ => b"\\t",
        });
        rest = &rest[i + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &[u8], columns: usize) -> Result<Vec<Option<Vec<u8>>>, CopyRowError> {
        let mut batch = ChangeBatch::default();
        let first = append_row(line, columns, &mut batch)?;
        let row = batch.row(first, columns);
        Ok((0..columns).map(|i| row.get(i).map(<[u8]>::to_vec)).collect())
    }

    #[test]
    fn nulls_empty_texts_and_escapes_are_told_apart() {
        let text = |s: &str| Some(s.as_bytes().to_vec());
        assert_eq!(
            read(b"1\t\\N\t\t\\\\N\ta\\tb\\nc\\\\d\n", 5).unwrap(),
            [text("1"), None, text(""), text("\\N"), text("a\tb\nc\\d")]
        );
        assert_eq!(read(b"\n", 1).unwrap(), [text("")]);
        assert_eq!(read(b"\n", 0).unwrap(), []);
        assert_eq!(read(b"a\tb\n", 3), Err(CopyRowError { expected: 3, found: 2 }));
        assert_eq!(read(b"a\tb\n", 1), Err(CopyRowError { expected: 1, found: 2 }));
    }

    proptest! {
        #[test]
        fn what_copy_wrote_is_read_again(row in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 1..6)) {
            let mut line = Vec::new();
            for (i, value) in row.iter().enumerate() {
                if i > 0 { line.push(b'\t'); }
                match value {
                    Some(v) => escape(v, &mut line),
                    None => line.extend_from_slice(b"\\N"),
                }
            }
            line.push(b'\n');
            prop_assert_eq!(read(&line, row.len()).unwrap(), row);
        }

        #[test]
        fn no_bytes_panic(line in prop::collection::vec(any::<u8>(), 0..64), columns in 0usize..5) {
            let _ = read(&line, columns);
        }
    }
}
