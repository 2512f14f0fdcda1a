//! `interval` in PostgreSQL's own style: `1 year 2 mons -3 days +04:05:06.789`.

use std::io::Write as _;

use crate::leaf::scalar::{integer, str};
use crate::leaf::{IntervalForm, LeafError, Scalar, Scratch};
use crate::surprise::Surprise;
use crate::value::Value;

/// 365.25 / 12: what the original takes for a month.
const DAYS_PER_MONTH: f64 = 30.4375;

#[derive(Default)]
struct Parts {
    years: i32,
    months: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    /// With the sign of the whole clock.
    seconds: i32,
    micros: i32,
}

pub(super) fn interval<'a>(text: &[u8], form: IntervalForm, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let p = parse(text).ok_or_else(|| LeafError::form("an interval in the style postgres"))?;
    match form {
        IntervalForm::Micros => {
            // Floating point, step by step as the original, since its rounding shows in the result.
            let months = p.years.wrapping_mul(12).wrapping_add(p.months);
            if months != 0 {
                scratch.surprise(Surprise::IntervalMonths);
            }
            let days = f64::from(months) * DAYS_PER_MONTH + f64::from(p.days);
            let minutes = (days * 24.0 + f64::from(p.hours)) * 60.0 + f64::from(p.minutes);
            let seconds = minutes * 60.0 + (f64::from(p.seconds) + f64::from(p.micros) / 1e6);
            Ok(Scalar::Int64((seconds * 1e6) as i64))
        }
        IntervalForm::Iso => {
            let out = scratch.start();
            // Writing to a `Vec` cannot fail.
            let _ = write!(out, "P{}Y{}M{}DT{}H{}M", p.years, p.months, p.days, p.hours, p.minutes);
            let sign = if p.seconds < 0 || p.micros < 0 { "-" } else { "" };
            let _ = write!(out, "{sign}{}", p.seconds.unsigned_abs());
            if p.micros != 0 {
                let _ = write!(out, ".{:06}", p.micros.unsigned_abs());
                while out.last() == Some(&b'0') {
                    out.pop();
                }
            }
            out.push(b'S');
            scratch.written()
        }
        IntervalForm::Structured { precision } => Ok(Scalar::Tree(Value::Struct(vec![
            Value::Int32(p.years),
            Value::Int32(p.months),
            Value::Int32(p.days),
            Value::Int32(p.hours),
            Value::Int32(p.minutes),
            Value::Int64(p.seconds.into()),
            Value::Int32(p.micros * 1000),
            Value::Int32(precision.into()),
        ]))),
    }
}

/// Microseconds; `None` where there are years or months, which have no length.
pub(super) fn exact_micros(text: &[u8]) -> Result<Option<i64>, LeafError> {
    let p = parse(text).ok_or_else(|| LeafError::form("an interval in the style postgres"))?;
    if p.years != 0 || p.months != 0 {
        return Ok(None);
    }
    let [days, hours, minutes, seconds, micros] = [p.days, p.hours, p.minutes, p.seconds, p.micros].map(i128::from);
    let total = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    i64::try_from(total).map(Some).map_err(|_| LeafError("the interval is longer than 64 bits of microseconds".into()))
}

fn parse(text: &[u8]) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut words = str(text).ok()?.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            parse_clock(word, &mut parts)?;
            continue;
        }
        let count: i32 = integer(word.strip_prefix('+').unwrap_or(word).as_bytes()).ok()?;
        match words.next()? {
            "year" | "years" => parts.years = count,
            "mon" | "mons" => parts.months = count,
            "day" | "days" => parts.days = count,
            _ => return None,
        }
    }
    Some(parts)
}

/// `-04:05:06.789`; hours may have many digits.
fn parse_clock(word: &str, parts: &mut Parts) -> Option<()> {
    let (sign, clock) = match word.as_bytes().first()? {
        b'-' => (-1, &word[1..]),
        b'+' => (1, &word[1..]),
        _ => (1, word),
    };
    let unsigned = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i32>().ok()).flatten();
    let (hours, rest) = clock.split_once(':')?;
    let (minutes, rest) = rest.split_once(':').unwrap_or((rest, "0"));
    let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    if fraction.len() > 6 {
        return None;
    }
    parts.hours = sign * unsigned(hours)?;
    parts.minutes = sign * unsigned(minutes)?;
    parts.seconds = sign * unsigned(seconds)?;
    parts.micros = sign * unsigned(fraction)? * 10i32.pow(6 - fraction.len() as u32);
    Some(())
}
