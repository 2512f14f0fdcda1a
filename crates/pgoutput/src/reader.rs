//! A cursor over one payload. Every read is checked; a short payload is an error that names the field.

use crate::decode::DecodeError;

pub(crate) struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Offset of the next unread byte inside the payload.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.payload.len() - self.at
    }

    #[inline]
    pub fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.payload[self.at..].get(..len) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => Err(DecodeError::Short { field, at: self.at }),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.payload[self.at..].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(DecodeError::Short { field, at: self.at }),
        }
    }

    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    #[inline]
    pub fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    /// A length or a count: an `Int32` that must not be negative.
    #[inline]
    pub fn count(&mut self, field: &'static str) -> Result<usize, DecodeError> {
        let at = self.at;
        match i32::from_be_bytes(self.array(field)?) {
            value @ 0.. => Ok(value as usize),
            value => Err(DecodeError::Negative { field, value, at }),
        }
    }

    /// A `String`: bytes up to a zero byte, which is consumed and not returned.
    #[inline]
    pub fn cstr(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let rest = &self.payload[self.at..];
        match rest.iter().position(|&byte| byte == 0) {
            Some(len) => {
                self.at += len + 1;
                Ok(&rest[..len])
            }
            None => Err(DecodeError::Short { field, at: self.payload.len() }),
        }
    }
}
