//! Messages we send. Each function appends one whole message.

use super::error::PgError;

/// The number that asks for TLS where a protocol version would stand.
const SSL_REQUEST: u32 = 80_877_103;
const CANCEL_REQUEST: u32 = 80_877_102;
/// 3.0: understood by every server since 7.4.
const PROTOCOL_VERSION: u32 = 3 << 16;

pub(crate) fn ssl_request() -> [u8; 8] {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&8u32.to_be_bytes());
    message[4..].copy_from_slice(&SSL_REQUEST.to_be_bytes());
    message
}

pub(crate) fn cancel_request(pid: i32, key: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(12 + key.len());
    message.extend_from_slice(&(12 + key.len() as u32).to_be_bytes());
    message.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
    message.extend_from_slice(&pid.to_be_bytes());
    message.extend_from_slice(key);
    message
}

/// `parameters`: names and values, neither with a zero byte.
pub(crate) fn startup(out: &mut Vec<u8>, parameters: &[(&str, &str)]) -> Result<(), PgError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    for (name, value) in parameters {
        push_cstr(out, name)?;
        push_cstr(out, value)?;
    }
    out.push(0);
    finish(out, start)
}

pub(crate) fn query(out: &mut Vec<u8>, sql: &str) -> Result<(), PgError> {
    message(out, b'Q', |out| push_cstr(out, sql))
}

/// A cleartext or md5 password; zero-terminated, so it cannot hold a zero byte.
pub(crate) fn password(out: &mut Vec<u8>, password: &[u8]) -> Result<(), PgError> {
    if password.contains(&0) {
        return Err(PgError::Auth("the password contains a zero byte".to_owned()));
    }
    message(out, b'p', |out| {
        out.extend_from_slice(password);
        out.push(0);
        Ok(())
    })
}

pub(crate) fn sasl_initial_response(out: &mut Vec<u8>, mechanism: &str, data: &[u8]) -> Result<(), PgError> {
    message(out, b'p', |out| {
        push_cstr(out, mechanism)?;
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        out.extend_from_slice(data);
        Ok(())
    })
}

pub(crate) fn sasl_response(out: &mut Vec<u8>, data: &[u8]) -> Result<(), PgError> {
    message(out, b'p', |out| {
        out.extend_from_slice(data);
        Ok(())
    })
}

pub(crate) fn copy_fail(out: &mut Vec<u8>, reason: &str) -> Result<(), PgError> {
    message(out, b'f', |out| push_cstr(out, reason))
}

pub(crate) const COPY_DONE: &[u8] = b"c\0\0\0\x04";
pub(crate) const TERMINATE: &[u8] = b"X\0\0\0\x04";

fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>) -> Result<(), PgError>) -> Result<(), PgError> {
    out.push(tag);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out)?;
    finish(out, start)
}

/// Writes the length, which counts itself, at `start`.
fn finish(out: &mut [u8], start: usize) -> Result<(), PgError> {
    let len = i32::try_from(out.len() - start);
    let len = len.map_err(|_| PgError::Protocol("a message to the server would be larger than 2 GiB".to_owned()))?;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

fn push_cstr(out: &mut Vec<u8>, text: &str) -> Result<(), PgError> {
    if text.as_bytes().contains(&0) {
        return Err(PgError::Protocol(format!("text for the server contains a zero byte: {text:?}")));
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}
