//! `numeric` and `money`.
//!
//! A decimal goes as its unscaled integer, two's complement, big endian, in the fewest bytes: what Java's
//! `BigInteger.toByteArray` gives. Up to 38 digits take an `i128`; more go through limbs.

use crate::leaf::scalar::{float, text};
use crate::leaf::{LeafError, MoneyForm, Scalar, Scratch};
use crate::surprise::Surprise;

/// Digits that always fit an `i128`.
const SMALL_DIGITS_MAX: usize = 38;

/// A finite decimal as text: `(-1)^negative * integer.fraction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a> {
    pub negative: bool,
    pub integer: &'a [u8],
    pub fraction: &'a [u8],
}

/// `-12.50`; neither exponents nor NaN.
pub fn parse_number(text: &[u8]) -> Result<Number<'_>, LeafError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (integer, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &digits[digits.len()..]),
    };
    let all_digits = |s: &[u8]| s.iter().all(u8::is_ascii_digit);
    if integer.len() + fraction.len() == 0 || !all_digits(integer) || !all_digits(fraction) {
        return Err(match text {
            b"NaN" | b"Infinity" | b"-Infinity" => LeafError("a decimal cannot hold NaN or an infinity".into()),
            _ => LeafError::form("a decimal number"),
        });
    }
    Ok(Number { negative, integer, fraction })
}

/// The unscaled number at `scale`. Digits beyond the scale must be zeros: nothing is rounded.
pub(super) fn unscaled(text: &[u8], scale: u32, out: &mut Vec<u8>) -> Result<(), LeafError> {
    let number = parse_number(text)?;
    let kept = number.fraction.len().min(scale as usize);
    let (fraction, beyond) = number.fraction.split_at(kept);
    if beyond.iter().any(|d| *d != b'0') {
        return Err(LeafError("the number has more digits than the scale of its column".into()));
    }
    write_unscaled(number.negative, number.integer, fraction, scale as usize - kept, out);
    Ok(())
}

/// Writes the unscaled number without trailing zeros of the fraction, and gives its scale.
pub(super) fn variable_scale(text: &[u8], out: &mut Vec<u8>) -> Result<i32, LeafError> {
    let number = parse_number(text)?;
    let kept = number.fraction.iter().rposition(|d| *d != b'0').map_or(0, |i| i + 1);
    write_unscaled(number.negative, number.integer, &number.fraction[..kept], 0, out);
    Ok(kept as i32)
}

pub(super) fn plain_text(number: &[u8]) -> Result<Scalar<'_>, LeafError> {
    match number {
        b"NaN" => Ok(Scalar::String("NAN")),
        b"Infinity" => Ok(Scalar::String("POSITIVE_INFINITY")),
        b"-Infinity" => Ok(Scalar::String("NEGATIVE_INFINITY")),
        _ => parse_number(number).and_then(|_| text(number)),
    }
}

/// As a double; digits beyond what one holds are lost.
pub(super) fn double(text: &[u8], scratch: &mut Scratch) -> Result<f64, LeafError> {
    let number = float(text)?;
    // Fifteen digits always fit.
    if text.len() > 15 && loses_digits(text, number) {
        scratch.surprise(Surprise::NumericRounded);
    }
    Ok(number)
}

/// Whether the shortest text that means the double is another number than the text.
#[cold]
fn loses_digits(text: &[u8], double: f64) -> bool {
    let Ok(number) = parse_number(text) else { return false };
    let shortest = double.abs().to_string();
    let Ok(kept) = parse_number(shortest.as_bytes()) else { return true };
    fn parts<'a>(n: &Number<'a>) -> (&'a [u8], &'a [u8]) {
        let first = n.integer.iter().position(|d| *d != b'0').unwrap_or(n.integer.len());
        let last = n.fraction.iter().rposition(|d| *d != b'0').map_or(0, |i| i + 1);
        (&n.integer[first..], &n.fraction[..last])
    }
    parts(&number) != parts(&kept)
}

/// Whether no digit of an amount is lost at the scale.
pub(super) fn money_fits(amount: &[u8], scale: usize) -> bool {
    let fraction = amount.iter().rposition(|b| *b == b'.').map_or(&amount[..0], |point| &amount[point + 1..]);
    fraction.iter().filter(|b| b.is_ascii_digit()).skip(scale).all(|digit| *digit == b'0')
}

/// `-$1,234.56`, `($1.00)`: everything but digits, sign and the decimal point is dressing of the locale.
pub(super) fn money<'a>(amount: &[u8], form: MoneyForm, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let negative = amount.iter().any(|b| *b == b'-' || *b == b'(');
    let out = scratch.start();
    out.extend(negative.then_some(b'-'));
    out.extend(amount.iter().filter(|b| b.is_ascii_digit() || **b == b'.'));
    let number = parse_number(out)?;
    match form {
        MoneyForm::Text => scratch.written(),
        MoneyForm::Double => {
            let amount = std::mem::take(&mut scratch.0);
            let number = double(&amount, scratch);
            scratch.0 = amount;
            number.map(Scalar::Float64)
        }
        MoneyForm::Decimal { scale } => {
            let mut rounded = Vec::new();
            round_half_up(number, scale as usize, &mut rounded);
            if !money_fits(amount, scale as usize) {
                scratch.surprise(Surprise::MoneyRounded);
            }
            scratch.0 = rounded;
            Ok(Scalar::Bytes(&scratch.0))
        }
    }
}

fn round_half_up(number: Number<'_>, scale: usize, out: &mut Vec<u8>) {
    let kept = number.fraction.len().min(scale);
    let up = number.fraction.get(kept).is_some_and(|d| *d >= b'5');
    let mut digits = [b"0", number.integer, &number.fraction[..kept]].concat();
    if up {
        for d in digits.iter_mut().rev() {
            if *d == b'9' {
                *d = b'0';
            } else {
                *d += 1;
                break;
            }
        }
    }
    write_unscaled(number.negative, &digits, b"", scale - kept, out);
}

/// The integer `high ++ low ++ zeros` into the emptied `out`.
fn write_unscaled(negative: bool, high: &[u8], low: &[u8], zeros: usize, out: &mut Vec<u8>) {
    out.clear();
    if high.len() + low.len() + zeros <= SMALL_DIGITS_MAX {
        let mut magnitude = 0i128;
        for d in high.iter().chain(low) {
            magnitude = magnitude * 10 + i128::from(d - b'0');
        }
        magnitude *= 10i128.pow(zeros as u32);
        write_i128(if negative { -magnitude } else { magnitude }, out);
    } else {
        let digits = high.iter().chain(low).map(|d| d - b'0').chain(std::iter::repeat_n(0, zeros));
        write_large(negative, digits, out);
    }
}

fn write_i128(value: i128, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    // A leading byte is left out while the next one's top bit says the same sign.
    let redundant = if value < 0 { value.leading_ones() } else { value.leading_zeros() } as usize;
    out.extend_from_slice(&bytes[(redundant - 1) / 8..]);
}

fn write_large(negative: bool, digits: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    // Little-endian limbs; 18 digits are taken in at a time, which is what fits a limb.
    let mut limbs: Vec<u64> = vec![0];
    let mut take_in = |chunk: u64, factor: u64| {
        let mut carry = u128::from(chunk);
        for limb in limbs.iter_mut() {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            limbs.push(carry as u64);
        }
    };
    let (mut chunk, mut factor) = (0u64, 1u64);
    for d in digits {
        chunk = chunk * 10 + u64::from(d);
        factor *= 10;
        if factor == 1_000_000_000_000_000_000 {
            take_in(chunk, factor);
            (chunk, factor) = (0, 1);
        }
    }
    take_in(chunk, factor);
    if negative {
        let mut carry = true;
        for limb in &mut limbs {
            (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
        }
    }
    // The sign's own byte, then all of it; then what repeats the sign goes.
    let zero = limbs.iter().all(|l| *l == 0);
    let sign = if negative && !zero { 0xFF } else { 0 };
    let mut bytes = vec![sign];
    bytes.extend(limbs.iter().rev().flat_map(|l| l.to_be_bytes()));
    let first = (0..bytes.len() - 1)
        .find(|i| bytes[*i] != sign || (bytes[i + 1] ^ sign) & 0x80 != 0)
        .unwrap_or(bytes.len() - 1);
    out.extend_from_slice(&bytes[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_rounds_half_up_away_from_zero() {
        for (text, scale, unscaled) in
            [("-$0.05", 1, -1i128), ("$9.95", 1, 100), ("($1,234.56)", 1, -12346), ("0", 2, 0)]
        {
            let mut scratch = Scratch::default();
            let mut expected = Vec::new();
            write_i128(unscaled, &mut expected);
            let got = money(text.as_bytes(), MoneyForm::Decimal { scale }, &mut scratch);
            assert_eq!(got, Ok(Scalar::Bytes(&expected)), "{text}");
        }
    }
}
