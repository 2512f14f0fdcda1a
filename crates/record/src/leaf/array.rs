//! Arrays: `{1,NULL,"a,b"}`, with or without bounds before it.

use crate::leaf::{ArrayLeaf, Leaf, LeafError, Scalar, Scratch, moment};
use crate::surprise::Surprise;
use crate::value::Value;

pub(super) fn array(text: &[u8], array: &ArrayLeaf, outer: &mut Scratch) -> Result<Scalar<'static>, LeafError> {
    let mut values = Vec::new();
    let mut scratch = Scratch::default();
    elements(text, |element| {
        values.push(match element {
            Element::Text(text) => read_element(&array.element, text, &mut scratch)?.into_value(),
            Element::Null if array.null_fails => {
                return Err(LeafError("an array of this type cannot hold a NULL".into()));
            }
            Element::Null => Value::Null,
            // The original knows one dimension only: each row of the outermost is one that it cannot convert.
            Element::Nested if array.element == Leaf::Unconvertible || array.null_fails => {
                return Err(LeafError("the array has more than one dimension".into()));
            }
            Element::Nested => {
                scratch.surprise(Surprise::ArrayDimensions);
                Value::Null
            }
        });
        Ok(())
    })?;
    if let Some(surprise) = scratch.take_surprise() {
        outer.surprise(surprise);
    }
    Ok(Scalar::Tree(Value::Array(values)))
}

/// In the original the JDBC driver takes arrays apart, in the stream too, and its objects for moments hold less.
fn read_element<'a>(leaf: &Leaf, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    match leaf {
        Leaf::Time { form, precision } => moment::time_element(text, *form, *precision, scratch),
        Leaf::Timestamp { form, precision } => moment::timestamp_element(text, *form, *precision, scratch),
        Leaf::TimestampTz { form, precision } => moment::timestamp_tz_element(text, *form, *precision, scratch),
        _ => leaf.read(text, scratch),
    }
}

/// What stands in the outermost dimension of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    Null,
    /// Without quotes and escapes.
    Text(&'a [u8]),
    /// An array.
    Nested,
}

/// Calls `each` for the elements in order.
pub fn elements(text: &[u8], mut each: impl FnMut(Element<'_>) -> Result<(), LeafError>) -> Result<(), LeafError> {
    let wrong = || LeafError::form("an array");
    let mut rest = without_bounds(text).strip_prefix(b"{").ok_or_else(wrong)?;
    if rest == b"}" {
        return Ok(());
    }
    let mut unescaped = Vec::new();
    loop {
        rest = match rest.first() {
            Some(b'{') => {
                let after = skip_nested(rest).ok_or_else(wrong)?;
                each(Element::Nested)?;
                after
            }
            Some(b'"') => {
                let after = unquote(&rest[1..], &mut unescaped).ok_or_else(wrong)?;
                each(Element::Text(&unescaped))?;
                after
            }
            _ => {
                let len = rest.iter().position(|b| matches!(b, b',' | b';' | b'}')).ok_or_else(wrong)?;
                let (plain, after) = rest.split_at(len);
                if plain.eq_ignore_ascii_case(b"NULL") {
                    each(Element::Null)?;
                } else {
                    each(Element::Text(plain))?;
                }
                after
            }
        };
        match rest {
            b"}" => return Ok(()),
            // `box` separates by semicolons.
            [b',' | b';', after @ ..] => rest = after,
            _ => return Err(wrong()),
        }
    }
}

/// `[0:1]={7,8}`
fn without_bounds(text: &[u8]) -> &[u8] {
    match text.iter().position(|b| *b == b'=') {
        Some(equals) if text.first() == Some(&b'[') => &text[equals + 1..],
        _ => text,
    }
}

/// What follows the array at the head of the text.
fn skip_nested(text: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut quoted, mut i) = (0usize, false, 0);
    while let Some(b) = text.get(i) {
        match b {
            b'\\' => i += 1,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[i + 1..]);
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// The quoted text up to the closing quote into `out`, and what follows it.
pub(super) fn unquote<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    out.clear();
    let mut rest = text;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b, after @ ..] | [b, after @ ..] => {
                out.push(*b);
                rest = after;
            }
            [] => return None,
        }
    }
}
