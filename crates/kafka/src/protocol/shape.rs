//! The shapes of the responses we read, walked before they are decoded.
//!
//! The decoders reserve memory for as many elements as a response claims to have; a hostile or broken broker could
//! claim two thousand million and end the process. So every count is held against the bytes that are there first.
//! Only shapes are checked here, not meanings. Source: the message definitions in Kafka's
//! `clients/src/main/resources/common/message`.

use super::Malformed;

/// A field and the versions that have it.
pub struct Field {
    kind: Kind,
    from: i16,
    to: i16,
}

pub enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// Text, null or not.
    Text,
    /// Elements with these fields, and tags in flexible versions.
    Array(&'static [Field]),
    /// Numbers, without tags of their own.
    Plain(usize),
    /// Tagged fields of the structure that are arrays; must stand last. Structures without any need no mention.
    Tagged(&'static [(u32, &'static [Field])]),
}

/// A field of every version.
pub const fn f(kind: Kind) -> Field {
    Field { kind, from: 0, to: i16::MAX }
}

/// A field from a version on.
pub const fn v(from: i16, kind: Kind) -> Field {
    Field { kind, from, to: i16::MAX }
}

/// A field of some versions, both ends included.
pub const fn between(from: i16, to: i16, kind: Kind) -> Field {
    Field { kind, from, to }
}

use Kind::{Array, Fixed, Plain, Tagged, Text};

/// A response's fields, and the first version with compact lengths and tags (KIP-482).
pub struct Shape {
    pub flexible_from: i16,
    pub fields: &'static [Field],
}

/// No arrays: the decoder may have it as it is.
pub const FLAT: Option<&Shape> = None;

pub const API_VERSIONS: Option<&Shape> = Some(&Shape {
    flexible_from: 3,
    fields: &[
        f(Fixed(2)),
        f(Array(&[f(Fixed(6))])),
        v(1, Fixed(4)),
        f(Tagged(&[(0, &[f(Text), f(Fixed(4))]), (2, &[f(Text), f(Fixed(4))])])),
    ],
});

pub const METADATA: Option<&Shape> = Some(&Shape {
    flexible_from: 9,
    fields: &[
        v(3, Fixed(4)),
        f(Array(&[f(Fixed(4)), f(Text), f(Fixed(4)), v(1, Text)])),
        v(2, Text),
        v(1, Fixed(4)),
        f(Array(&[
            f(Fixed(2)),
            f(Text),
            v(10, Fixed(16)),
            v(1, Fixed(1)),
            f(Array(&[f(Fixed(10)), v(7, Fixed(4)), f(Plain(4)), f(Plain(4)), v(5, Plain(4))])),
            v(8, Fixed(4)),
        ])),
        between(8, 10, Fixed(4)),
    ],
});

pub const FIND_COORDINATOR: Option<&Shape> = Some(&Shape {
    flexible_from: 3,
    fields: &[
        v(1, Fixed(4)),
        between(0, 3, Fixed(2)),
        between(1, 3, Text),
        between(0, 3, Fixed(4)),
        between(0, 3, Text),
        between(0, 3, Fixed(4)),
        v(4, Array(&[f(Text), f(Fixed(4)), f(Text), f(Fixed(6)), f(Text)])),
    ],
});

pub const PRODUCE: Option<&Shape> = Some(&Shape {
    flexible_from: 9,
    fields: &[
        f(Array(&[
            f(Text),
            f(Array(&[f(Fixed(22)), v(5, Fixed(8)), v(8, Array(&[f(Fixed(4)), f(Text)])), v(8, Text)])),
        ])),
        f(Fixed(4)),
        f(Tagged(&[(0, &[f(Fixed(4)), f(Text), f(Fixed(4)), f(Text)])])),
    ],
});

pub const ADD_PARTITIONS_TO_TXN: Option<&Shape> =
    Some(&Shape { flexible_from: 3, fields: &[f(Fixed(4)), f(Array(&[f(Text), f(Array(&[f(Fixed(6))]))]))] });

pub const DESCRIBE_CONFIGS: Option<&Shape> = Some(&Shape {
    flexible_from: 4,
    fields: &[
        f(Fixed(4)),
        f(Array(&[
            f(Fixed(2)),
            f(Text),
            f(Fixed(1)),
            f(Text),
            f(Array(&[
                f(Text),
                f(Text),
                // read only; is default or source; sensitive
                f(Fixed(3)),
                v(1, Array(&[f(Text), f(Text), f(Fixed(1))])),
                v(3, Fixed(1)),
                v(3, Text),
            ])),
        ])),
    ],
});

pub const SASL_HANDSHAKE: Option<&Shape> =
    Some(&Shape { flexible_from: i16::MAX, fields: &[f(Fixed(2)), f(Array(&[f(Text)]))] });

/// Whether the body, without its header, has the shape.
pub fn check(shape: Option<&Shape>, body: &[u8], version: i16) -> Result<(), Malformed> {
    let Some(shape) = shape else { return Ok(()) };
    let mut walk = Walk { rest: body, version, flexible: version >= shape.flexible_from };
    walk.structure(shape.fields).ok_or_else(|| Malformed("it is shorter than the lengths in it say".into()))
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &'static [Field]) -> Option<()> {
        let mut tagged: &[(u32, &[Field])] = &[];
        for field in fields {
            if !(field.from..=field.to).contains(&self.version) {
                continue;
            }
            match &field.kind {
                Fixed(bytes) => self.skip(*bytes)?,
                Text => {
                    let len = self.length(true)?;
                    self.skip(len)?;
                }
                Array(fields) => self.array(fields)?,
                Plain(bytes) => {
                    let count = self.length(false)?;
                    self.skip(count.checked_mul(*bytes)?)?;
                }
                Tagged(arrays) => tagged = arrays,
            }
        }
        if self.flexible { self.tags(tagged) } else { Some(()) }
    }

    fn array(&mut self, fields: &'static [Field]) -> Option<()> {
        let count = self.length(false)?;
        // Every element takes a byte at least.
        if count > self.rest.len() {
            return None;
        }
        (0..count).try_for_each(|_| self.structure(fields))
    }

    fn tags(&mut self, arrays: &[(u32, &'static [Field])]) -> Option<()> {
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let size = self.unsigned()? as usize;
            let value = self.rest.get(..size)?;
            self.rest = &self.rest[size..];
            if let Some((_, fields)) = arrays.iter().find(|(t, _)| *t == tag) {
                Walk { rest: value, version: self.version, flexible: true }.array(fields)?;
            }
        }
        Some(())
    }

    /// A length or a count; null counts as none.
    fn length(&mut self, text: bool) -> Option<usize> {
        if self.flexible {
            return Some((self.unsigned()? as usize).saturating_sub(1));
        }
        let length = if text {
            let (bytes, rest) = self.rest.split_first_chunk::<2>()?;
            self.rest = rest;
            i32::from(i16::from_be_bytes(*bytes))
        } else {
            let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
            self.rest = rest;
            i32::from_be_bytes(*bytes)
        };
        if length == -1 { Some(0) } else { usize::try_from(length).ok() }
    }

    fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for index in 0..5 {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
