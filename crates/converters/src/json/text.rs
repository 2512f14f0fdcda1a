//! JSON's leaves, spelled as Jackson spells them.

/// Of bytes that are not copied into a string as they are. Zero: copied.
const ESCAPES: [u8; 128] = {
    let mut table = [0; 128];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0A] = b'n';
    table[0x0C] = b'f';
    table[0x0D] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first byte at or after `from` that is not printable ASCII, or is `"` or `\`; the length if there is none.
///
/// Eight bytes a step: the high bit of each byte of `odd` says whether that byte is one of them. A borrow can only reach
/// bytes after the first hit, so the first is exact.
#[inline]
fn next_odd(bytes: &[u8], mut from: usize) -> usize {
    while let Some(chunk) = bytes.get(from..).and_then(|b| b.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let odd =
            (word | word.wrapping_sub(ONES * 0x20) | quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES)) & HIGH;
        if odd != 0 {
            return from + odd.trailing_zeros() as usize / 8;
        }
        from += 8;
    }
    while from < bytes.len() && bytes[from] < 0x80 && ESCAPES[bytes[from] as usize] == 0 {
        from += 1;
    }
    from
}

/// Appends text in quotes. Characters outside of the basic plane become two escapes, as Jackson writes them to bytes.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_inside(out, text.as_bytes());
    out.push(b'"');
}

/// Appends the bytes in quotes; false, with nothing appended, if they are not UTF-8.
#[inline]
pub(super) fn write_bytes_as_string(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let odd = next_odd(text, 0);
    if odd == text.len() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return true;
    }
    if !text.is_ascii() && std::str::from_utf8(text).is_err() {
        return false;
    }
    out.reserve(text.len() + text.len() / 4 + 8);
    out.push(b'"');
    write_inside(out, text);
    out.push(b'"');
    true
}

/// `bytes` must be UTF-8.
fn write_inside(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut copied = 0;
    let mut at = 0;
    loop {
        at = next_odd(bytes, at);
        let Some(&byte) = bytes.get(at) else { break };
        if byte < 0x80 {
            out.extend_from_slice(&bytes[copied..at]);
            match ESCAPES[byte as usize] {
                b'u' => {
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[byte as usize >> 4], HEX[byte as usize & 15]])
                }
                c => out.extend_from_slice(&[b'\\', c]),
            }
            at += 1;
            copied = at;
        } else if byte < 0xF0 {
            at += 1;
            // The rest of a run of other alphabets, without starting the long scan at each byte.
            while bytes.get(at).is_some_and(|b| (0x80..0xF0).contains(b)) {
                at += 1;
            }
        } else {
            out.extend_from_slice(&bytes[copied..at]);
            let tail = |i: usize| u32::from(bytes.get(at + i).copied().unwrap_or(0) & 0x3F);
            let point = (u32::from(byte & 7) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3)).saturating_sub(0x1_0000);
            write_unit(out, 0xD800 | point >> 10);
            write_unit(out, 0xDC00 | point & 0x3FF);
            at += 4;
            copied = at;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// `\uXXXX`
fn write_unit(out: &mut Vec<u8>, unit: u32) {
    let hex = |shift: u32| HEX[(unit >> shift & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', hex(12), hex(8), hex(4), hex(0)]);
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends base64 in quotes, padded, on one line.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    let (threes, rest) = bytes.as_chunks::<3>();
    let sextet = |n: u32, shift: u32| BASE64[(n >> shift & 63) as usize];
    for three in threes {
        let n = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        out.extend_from_slice(&[sextet(n, 18), sextet(n, 12), sextet(n, 6), sextet(n, 0)]);
    }
    match rest {
        [a] => {
            let n = u32::from(*a) << 16;
            out.extend_from_slice(&[sextet(n, 18), sextet(n, 12), b'=', b'=']);
        }
        [a, b] => {
            let n = u32::from(*a) << 16 | u32::from(*b) << 8;
            out.extend_from_slice(&[sextet(n, 18), sextet(n, 12), sextet(n, 6), b'=']);
        }
        _ => {}
    }
    out.push(b'"');
}

/// Jackson puts what is no number of JSON into quotes.
pub(super) fn write_f64(out: &mut Vec<u8>, v: f64) {
    if v.is_finite() {
        crate::java::write_f64(out, v);
    } else {
        out.push(b'"');
        crate::java::write_f64(out, v);
        out.push(b'"');
    }
}

pub(super) fn write_f32(out: &mut Vec<u8>, v: f32) {
    if v.is_finite() {
        crate::java::write_f32(out, v);
    } else {
        out.push(b'"');
        crate::java::write_f32(out, v);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_jackson_escapes_them() {
        for (text, expected) in [
            ("", r#""""#),
            ("plain text of some length", r#""plain text of some length""#),
            (
                "a\u{0}\u{1f}\u{7f}\u{80}\u{2028}/<>&'\"\\😀",
                "\"a\\u0000\\u001F\u{7f}\u{80}\u{2028}/<>&'\\\"\\\\\\uD83D\\uDE00\"",
            ),
            ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
            ("日本語 and more 日本語 \u{10FFFF} x", "\"日本語 and more 日本語 \\uDBFF\\uDFFF x\""),
        ] {
            let mut out = Vec::new();
            write_string(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            let mut out = Vec::new();
            assert!(write_bytes_as_string(&mut out, text.as_bytes()));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let mut out = Vec::new();
        assert!(!write_bytes_as_string(&mut out, b"a\xFFb"));
        assert!(out.is_empty());
    }

    #[test]
    fn every_byte_at_every_place_is_found() {
        for place in 0..20 {
            for byte in 0..=255u8 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let odd = byte >= 0x80 || ESCAPES[byte as usize] != 0;
                assert_eq!(next_odd(&bytes, 0), if odd { place } else { 20 }, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in
            [(&b""[..], "\"\""), (b"a", "\"YQ==\""), (b"ab", "\"YWI=\""), (b"abc\xFF", "\"YWJj/w==\"")]
        {
            let mut out = Vec::new();
            write_base64(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
