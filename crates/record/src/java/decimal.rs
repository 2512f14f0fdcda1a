//! `java.math.BigDecimal`, kept as its unscaled number's bytes and a scale.

use crate::Schema;

/// The parameter `scale` of a Decimal's schema.
pub fn scale(schema: &Schema) -> Option<i32> {
    schema.parameters.iter().find(|(k, _)| &**k == "scale")?.1.parse().ok()
}

/// Two's complement, big endian, without bytes that only repeat the sign: `BigInteger.toByteArray()`.
pub fn minimal(bytes: &[u8]) -> &[u8] {
    let redundant =
        bytes.windows(2).take_while(|w| (w[0] == 0 && w[1] & 0x80 == 0) || (w[0] == 0xFF && w[1] & 0x80 != 0)).count();
    if bytes.is_empty() { &[0] } else { &bytes[redundant..] }
}

/// `BigDecimal.toString()`: with an exponent when the scale is negative or there are more than five zeros before the
/// first digit.
pub fn decimal_text(unscaled: &[u8], scale: i32) -> String {
    let (negative, digits) = digits_of(unscaled);
    let sign = if negative { "-" } else { "" };
    let scale = i64::from(scale);
    let exponent = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        format!("{sign}{digits}")
    } else if scale > 0 && exponent >= -6 {
        match digits.len() as i64 - scale {
            n if n > 0 => format!("{sign}{}.{}", &digits[..n as usize], &digits[n as usize..]),
            n => format!("{sign}0.{}{digits}", "0".repeat(-n as usize)),
        }
    } else {
        let point = if digits.len() > 1 { "." } else { "" };
        let exponent = if exponent == 0 { String::new() } else { format!("E{exponent:+}") };
        format!("{sign}{}{point}{}{exponent}", &digits[..1], &digits[1..])
    }
}

/// A decimal number's text (as JSON spells numbers) as the unscaled number at a scale; `None` if it has more digits than
/// the scale holds, or is no number.
pub fn decimal_bytes(text: &str, scale: i32) -> Option<Vec<u8>> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(e) => (&text[..e], text[e + 1..].parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(m) => (true, m),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let shift = i64::from(scale) - fraction.len() as i64 + exponent;
    if digits.iter().all(|d| *d == b'0') {
        return Some(vec![0]);
    }
    if shift < 0 {
        let keep = digits.len().checked_sub(usize::try_from(-shift).ok()?)?;
        if digits[keep..].iter().any(|d| *d != b'0') {
            return None;
        }
        digits.truncate(keep);
    } else {
        // A number such as 1e999999999 must not take a gigabyte.
        digits.resize(digits.len() + usize::try_from(shift).ok().filter(|s| *s <= 100_000)?, b'0');
    }
    // Base 10^9 into base 2^32, least first.
    let mut limbs: Vec<u32> = Vec::new();
    let first = digits.len() % 9;
    let chunks = (first > 0).then(|| &digits[..first]).into_iter().chain(digits[first..].chunks(9));
    for chunk in chunks {
        let mut carry = chunk.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
        let times = 10u64.pow(chunk.len() as u32);
        for limb in &mut limbs {
            carry += u64::from(*limb) * times;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut bytes: Vec<u8> = vec![0];
    bytes.extend(limbs.iter().rev().flat_map(|l| l.to_be_bytes()));
    if negative {
        negate(&mut bytes);
    }
    Some(minimal(&bytes).to_vec())
}

/// The sign, and the decimal digits of the absolute value.
fn digits_of(bytes: &[u8]) -> (bool, String) {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    if bytes.len() <= 16 {
        let fill = if negative { 0xFF } else { 0 };
        let mut wide = [fill; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        return (negative, i128::from_be_bytes(wide).unsigned_abs().to_string());
    }
    let mut magnitude = vec![0];
    magnitude.extend_from_slice(bytes);
    if negative {
        magnitude[0] = 0xFF;
        negate(&mut magnitude);
    }
    let mut limbs: Vec<u32> = Vec::new();
    let first = magnitude.len() % 4;
    let chunks = (first > 0).then(|| &magnitude[..first]).into_iter().chain(magnitude[first..].chunks(4));
    for chunk in chunks {
        limbs.push(chunk.iter().fold(0, |n, b| n << 8 | u32::from(*b)));
    }
    let mut parts = Vec::new();
    while limbs.iter().any(|l| *l != 0) {
        let mut rest = 0u64;
        for limb in &mut limbs {
            let n = rest << 32 | u64::from(*limb);
            *limb = (n / 1_000_000_000) as u32;
            rest = n % 1_000_000_000;
        }
        parts.push(rest);
    }
    let mut text = parts.pop().unwrap_or(0).to_string();
    for part in parts.iter().rev() {
        text.push_str(&format!("{part:09}"));
    }
    (negative, text)
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for b in bytes.iter_mut().rev() {
        let (n, c) = (!*b).overflowing_add(u8::from(carry));
        *b = n;
        carry = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_printed_as_java_prints_them() {
        for (text, scale, expected) in [
            ("0", 7, "0E-7"),
            ("1e-7", 7, "1E-7"),
            ("0.000001", 6, "0.000001"),
            ("1e3", -3, "1E+3"),
            ("1230", -1, "1.23E+3"),
            ("-1.5", 2, "-1.50"),
            ("0", 2, "0.00"),
            ("-0.01", 2, "-0.01"),
            ("128", 0, "128"),
            ("123456789012345678901234567890.12", 2, "123456789012345678901234567890.12"),
            ("-123456789012345678901234567890123456789012345678901234567890", 0, ""),
            ("340282366920938463463374607431768211456", 0, ""),
            ("-170141183460469231731687303715884105728", 0, ""),
        ] {
            let bytes = decimal_bytes(text, scale).unwrap();
            let expected = if expected.is_empty() { text } else { expected };
            assert_eq!(decimal_text(&bytes, scale), expected, "{text} {bytes:?}");
        }
        assert_eq!(decimal_bytes("-1.28", 2).unwrap(), [0x80]);
        assert_eq!(decimal_bytes("1.28", 2).unwrap(), [0, 0x80]);
        assert_eq!(decimal_bytes("1.280", 2).unwrap(), [0, 0x80]);
        for bad in ["1.281", "", "x", "1e9999999"] {
            assert_eq!(decimal_bytes(bad, 2), None, "{bad}");
        }
        assert_eq!(minimal(&[0, 0, 1]), [1]);
        assert_eq!(minimal(&[0xFF, 0xFF, 0x80]), [0x80]);
        assert_eq!(minimal(&[0xFF, 0x7F]), [0xFF, 0x7F]);
    }
}
