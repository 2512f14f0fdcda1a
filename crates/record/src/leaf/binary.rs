//! Bytes: `bytea`, bit strings, and the text of unknown types.

use crate::leaf::scalar::text;
use crate::leaf::{BinaryForm, LeafError, Scalar, Scratch};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn bytea<'a>(bytes: &'a [u8], form: BinaryForm, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let hex = bytes.strip_prefix(b"\\x").ok_or_else(|| LeafError::form("bytes in hexadecimal"))?;
    if form == BinaryForm::Hex {
        // As PostgreSQL prints it, checked.
        return if hex.len().is_multiple_of(2) && hex.iter().all(u8::is_ascii_hexdigit) {
            text(hex)
        } else {
            Err(LeafError::form("bytes in hexadecimal"))
        };
    }
    decode_hex(hex, scratch.start())?;
    if form == BinaryForm::Bytes {
        return Ok(Scalar::Bytes(&scratch.0));
    }
    let decoded = std::mem::take(&mut scratch.0);
    write_form(&decoded, form, &mut scratch.0);
    scratch.written()
}

pub(super) fn text_bytes<'a>(
    bytes: &'a [u8],
    form: BinaryForm,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    if form == BinaryForm::Bytes {
        return Ok(Scalar::Bytes(bytes));
    }
    write_form(bytes, form, scratch.start());
    scratch.written()
}

/// `1010` as bytes with the last character as bit 0, as long as the highest set bit needs.
pub(super) fn bits<'a>(bits: &[u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let out = scratch.start();
    out.resize(bits.len().div_ceil(8), 0);
    for (i, bit) in bits.iter().rev().enumerate() {
        match bit {
            b'0' => {}
            b'1' => out[i / 8] |= 1 << (i % 8),
            _ => return Err(LeafError::form("a bit string")),
        }
    }
    let len = out.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    out.truncate(len);
    Ok(Scalar::Bytes(out))
}

pub(super) fn decode_hex(hex: &[u8], out: &mut Vec<u8>) -> Result<(), LeafError> {
    let nibble = |b: u8| (b as char).to_digit(16);
    if !hex.len().is_multiple_of(2) {
        return Err(LeafError::form("bytes in hexadecimal"));
    }
    out.reserve(hex.len() / 2);
    for pair in hex.chunks_exact(2) {
        match (nibble(pair[0]), nibble(pair[1])) {
            (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
            _ => return Err(LeafError::form("bytes in hexadecimal")),
        }
    }
    Ok(())
}

/// Appends bytes in a form of text; as they are for [`BinaryForm::Bytes`].
pub(super) fn write_form(bytes: &[u8], form: BinaryForm, out: &mut Vec<u8>) {
    match form {
        BinaryForm::Bytes => out.extend_from_slice(bytes),
        BinaryForm::Hex => {
            out.extend(bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| b"0123456789abcdef"[n as usize]))
        }
        BinaryForm::Base64 => write_base64(bytes, BASE64, out),
        BinaryForm::Base64Url => write_base64(bytes, BASE64_URL, out),
    }
}

fn write_base64(bytes: &[u8], alphabet: &[u8; 64], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            out.push(if i <= chunk.len() { alphabet[(bits >> (18 - 6 * i) & 63) as usize] } else { b'=' });
        }
    }
}
