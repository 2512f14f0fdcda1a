//! Bodies of the messages we receive. Any bytes give a value or an error, never a panic.

use super::error::{PgError, ServerError};

/// A cursor over one message's body.
pub(crate) struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    pub fn u8(&mut self) -> Result<u8, PgError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, PgError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, PgError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, PgError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], PgError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], PgError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn cstr(&mut self) -> Result<&'a [u8], PgError> {
        let len = memchr::memchr(0, self.0).ok_or_else(short)?;
        let bytes = &self.0[..len];
        self.0 = &self.0[len + 1..];
        Ok(bytes)
    }

    /// A string as text; what is not UTF-8 (an error sent before the client encoding holds) is replaced.
    pub fn text(&mut self) -> Result<String, PgError> {
        Ok(String::from_utf8_lossy(self.cstr()?).into_owned())
    }
}

fn short() -> PgError {
    PgError::garbled("a message from the server is shorter than its fields")
}

/// `ErrorResponse` or `NoticeResponse`.
pub(crate) fn server_error(body: &[u8]) -> Result<ServerError, PgError> {
    let mut body = Body(body);
    let mut error = ServerError::default();
    loop {
        let field = body.u8()?;
        if field == 0 {
            return Ok(error);
        }
        let text = body.text()?;
        match field {
            // S is translated, V is not and comes after it.
            b'S' | b'V' => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = text.parse().ok(),
            b'W' => error.context = Some(text),
            b's' => error.schema = Some(text),
            b't' => error.table = Some(text),
            b'c' => error.column = Some(text),
            b'n' => error.constraint = Some(text),
            _ => {}
        }
    }
}

/// `ParameterStatus`: name and value.
pub(crate) fn parameter_status(body: &[u8]) -> Result<(String, String), PgError> {
    let mut body = Body(body);
    Ok((body.text()?, body.text()?))
}

/// `BackendKeyData`: process id and secret key (4 bytes in protocol 3.0, up to 256 later).
pub(crate) fn backend_key(body: &[u8]) -> Result<(i32, Vec<u8>), PgError> {
    let mut body = Body(body);
    let pid = body.i32()?;
    if body.0.is_empty() || body.0.len() > 256 {
        return Err(PgError::garbled("the server's cancel key has an impossible length"));
    }
    Ok((pid, body.0.to_vec()))
}
