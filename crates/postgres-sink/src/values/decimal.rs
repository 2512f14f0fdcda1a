//! Decimals: as bytes with a scale, as texts, as numbers.

use num_bigint::BigInt;
use walspring_record::{Fields, Schema, Value};

use super::{Reading, ValueError, bytes_or_base64, integer, plain};
use crate::config::Decimals;
use crate::target::Target;

/// More digits behind the point than PostgreSQL's numeric can have.
const SCALE_MAX: i64 = 16_383;

/// Connect's `Decimal`: the scale stands in the schema.
pub fn connect(schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Value::Bytes(bytes) = value else { return plain(Some(schema), value, out) };
    let scale = schema.parameters.iter().find(|(name, _)| &**name == "scale").map(|(_, scale)| scale.parse::<i64>());
    match scale {
        Some(Ok(scale)) => unscaled(bytes, scale, out),
        _ => Err(ValueError::new("a decimal's schema has no scale")),
    }
}

/// `{scale, value}`
pub fn variable_scale(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::new("a decimal with its scale is expected");
    let fields = Fields::of(schema, value).ok_or_else(wrong)?;
    let scale = fields.get("scale").and_then(|field| integer(field.value)).ok_or_else(wrong)?;
    let bytes = fields.get("value").and_then(|field| bytes_or_base64(field.value)).ok_or_else(wrong)?;
    unscaled(&bytes, scale, out)
}

fn unscaled(bytes: &[u8], scale: i64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !(-SCALE_MAX..=SCALE_MAX).contains(&scale) || bytes.is_empty() {
        return Err(ValueError::new("a decimal is out of what a numeric can hold"));
    }
    let digits = if bytes.len() <= 16 {
        let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
        let mut wide = [fill; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        i128::from_be_bytes(wide).to_string()
    } else {
        BigInt::from_signed_bytes_be(bytes).to_string()
    };
    let digits = match digits.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => &digits,
    };
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        out.extend(std::iter::repeat_n(b'0', -scale as usize));
        return Ok(());
    }
    let scale = scale as usize;
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits.as_bytes()[..whole] });
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
    out.extend_from_slice(&digits.as_bytes()[whole..]);
    Ok(())
}

/// A value that its schema does not call a decimal, for a `numeric` or `money` column.
pub fn by_target(
    reading: &Reading,
    target: &Target,
    schema: Option<&Schema>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match value {
        Value::Map(_) | Value::Struct(_) => variable_scale(schema, value, out),
        Value::String(text) if schema.is_some() => {
            out.extend_from_slice(special(text).unwrap_or(text).as_bytes());
            Ok(())
        }
        Value::String(text) => text_without_schema(reading, target, text, out),
        _ => plain(schema, value, out),
    }
}

fn text_without_schema(reading: &Reading, target: &Target, text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if let Some(special) = special(text) {
        out.extend_from_slice(special.as_bytes());
        return Ok(());
    }
    match reading.declared.decimal {
        Some(Decimals::Precise) => {
            let scale = match target {
                Target::Numeric { scale: Some(scale) } => *scale,
                _ => {
                    return Err(ValueError::new(
                        "the column does not say the scale of a base64 decimal: declare it as numeric(p,s), or set \
                         decimal.handling.mode=string at the source",
                    ));
                }
            };
            let bytes = bytes_or_base64(&Value::string(text)).filter(|bytes| !bytes.is_empty());
            unscaled(&bytes.ok_or_else(|| ValueError::new("a base64 decimal is expected"))?, scale.into(), out)
        }
        Some(_) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        None if is_surely_decimal(text) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        None => Err(ValueError::new(
            "the text can be a base64 decimal, whose scale is not known without a schema: set \
             decimal.handling.mode=string (or double) at the source, or declare with \
             walspring.sink.decimal.handling.mode what it writes",
        )),
    }
}

/// A decimal's text that cannot be base64: Java pads it to groups of four.
fn is_surely_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    number && (text.contains(['.', '-']) || !text.len().is_multiple_of(4))
}

/// What the original calls the numbers that are none.
pub fn special(text: &str) -> Option<&'static str> {
    match text {
        "NAN" | "NaN" => Some("NaN"),
        "POSITIVE_INFINITY" | "Infinity" => Some("Infinity"),
        "NEGATIVE_INFINITY" | "-Infinity" => Some("-Infinity"),
        _ => None,
    }
}
