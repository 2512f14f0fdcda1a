//! What a leaf reads: a scalar that borrows, or a tree; and the leaves of one step.

use std::str::FromStr;

use crate::leaf::LeafError;
use crate::surprise::Surprise;
use crate::value::Value;

/// A buffer that leaves write text and bytes into, used again from cell to cell; and what surprised since it was last
/// asked. Only the rare values that surprise write the latter, so that common ones pay nothing.
#[derive(Debug, Default)]
pub struct Scratch(pub(super) Vec<u8>, Option<Surprise>);

impl Scratch {
    /// Emptied, for what the next leaf writes.
    pub(super) fn start(&mut self) -> &mut Vec<u8> {
        self.0.clear();
        &mut self.0
    }

    /// A value is read as the original reads it, which is not what the database holds.
    #[cold]
    pub fn surprise(&mut self, surprise: Surprise) {
        self.1 = Some(surprise);
    }

    /// Whether anything has surprised since it was last taken.
    #[inline]
    pub fn is_surprised(&self) -> bool {
        self.1.is_some()
    }

    pub fn take_surprise(&mut self) -> Option<Surprise> {
        self.1.take()
    }

    /// What a leaf wrote, as text.
    pub(super) fn written(&self) -> Result<Scalar<'_>, LeafError> {
        text(&self.0)
    }
}

/// A cell's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(&'a str),
    Bytes(&'a [u8]),
    /// The struct `{scale int32, value bytes}` of `io.debezium.data.VariableScaleDecimal`.
    ScaledDecimal {
        scale: i32,
        unscaled: &'a [u8],
    },
    /// Everything that is made of more than one value.
    Tree(Value),
}

impl Scalar<'_> {
    pub fn into_value(self) -> Value {
        match self {
            Scalar::Boolean(b) => Value::Boolean(b),
            Scalar::Int16(i) => Value::Int16(i),
            Scalar::Int32(i) => Value::Int32(i),
            Scalar::Int64(i) => Value::Int64(i),
            Scalar::Float32(f) => Value::Float32(f),
            Scalar::Float64(f) => Value::Float64(f),
            Scalar::String(s) => Value::string(s),
            Scalar::Bytes(b) => Value::bytes(b),
            Scalar::ScaledDecimal { scale, unscaled } => {
                Value::Struct(vec![Value::Int32(scale), Value::bytes(unscaled)])
            }
            Scalar::Tree(value) => value,
        }
    }
}

#[inline]
pub(super) fn text(text: &[u8]) -> Result<Scalar<'_>, LeafError> {
    str(text).map(Scalar::String)
}

#[inline]
pub(super) fn str(text: &[u8]) -> Result<&str, LeafError> {
    std::str::from_utf8(text).map_err(|_| LeafError::form("UTF-8"))
}

pub(super) fn boolean(text: &[u8]) -> Result<bool, LeafError> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(LeafError::form("t or f")),
    }
}

pub(super) fn bit(text: &[u8]) -> Result<bool, LeafError> {
    match text {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ => Err(LeafError::form("one bit")),
    }
}

/// A decimal integer that fits `T`.
#[inline]
pub(super) fn integer<T: TryFrom<i64>>(text: &[u8]) -> Result<T, LeafError> {
    let wrong = || LeafError::form("an integer of its type");
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 {
        return Err(wrong());
    }
    let mut magnitude = 0u64;
    for d in digits {
        let d = d.wrapping_sub(b'0');
        if d > 9 {
            return Err(wrong());
        }
        // 19 digits fit u64.
        magnitude = magnitude * 10 + u64::from(d);
    }
    let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    value.and_then(|v| T::try_from(v).ok()).ok_or_else(wrong)
}

/// A floating-point number, `NaN` and `Infinity` among them.
pub(super) fn float<T: FromStr>(text: &[u8]) -> Result<T, LeafError> {
    str(text)?.parse().map_err(|_| LeafError::form("a number"))
}
