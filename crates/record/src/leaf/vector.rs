//! pgvector's types: `[1,2.5]` and `{1:1.5,3:2}/5`.

use crate::leaf::java_hash::iteration_order;
use crate::leaf::scalar::{float, integer};
use crate::leaf::{LeafError, Scalar};
use crate::value::Value;

pub(super) fn dense<T: std::str::FromStr>(text: &[u8]) -> Result<Vec<T>, LeafError> {
    let inner = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]"));
    let inner = inner.ok_or_else(|| LeafError::form("a vector"))?;
    inner.split(|b| *b == b',').map(float).collect()
}

pub(super) fn doubles(vector: Vec<f64>) -> Value {
    Value::Array(vector.into_iter().map(Value::Float64).collect())
}

pub(super) fn half(text: &[u8]) -> Result<Scalar<'static>, LeafError> {
    Ok(Scalar::Tree(Value::Array(dense(text)?.into_iter().map(Value::Float32).collect())))
}

pub(super) fn sparse(text: &[u8]) -> Result<Scalar<'static>, LeafError> {
    let wrong = || LeafError::form("a sparse vector");
    let slash = text.iter().position(|b| *b == b'/').ok_or_else(wrong)?;
    let dimensions: i16 = integer(&text[slash + 1..])?;
    let inner = text[..slash].strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")).ok_or_else(wrong)?;
    let mut entries: Vec<(i16, f64)> = Vec::new();
    if !inner.is_empty() {
        for element in inner.split(|b| *b == b',') {
            let colon = element.iter().position(|b| *b == b':').ok_or_else(wrong)?;
            entries.push((integer(&element[..colon])?, float(&element[colon + 1..])?));
        }
    }
    let hashes: Vec<i32> = entries.iter().map(|(index, _)| i32::from(*index)).collect();
    // The map is made with room for as many as there are, rounded up to a power of two.
    let order = iteration_order(&hashes, entries.len().next_power_of_two());
    let pair = |i: usize| (Value::Int16(entries[i].0), Value::Float64(entries[i].1));
    let vector = Value::Map(order.into_iter().map(pair).collect());
    Ok(Scalar::Tree(Value::Struct(vec![Value::Int16(dimensions), vector])))
}
