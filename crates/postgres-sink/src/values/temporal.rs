//! Dates, times and intervals: numbers since 1970 or midnight, ISO texts, and structs.

use std::io::Write as _;

use walspring_record::{Fields, Schema, Value, java};

use super::{Reading, ValueError, integer, plain};
use crate::config::TimePrecision;
use crate::target::Target;

/// How many there are in a second.
type PerSecond = i64;

const MILLIS: PerSecond = 1_000;
const MICROS: PerSecond = 1_000_000;
const NANOS: PerSecond = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// What Debezium makes of infinite timestamps and dates: the JDBC driver's constants, the ends of the types, and both as
/// texts. None of them is a moment that PostgreSQL can store.
const INFINITY_MILLIS: i64 = 9_223_372_036_825_200_000;
const NEGATIVE_INFINITY_MILLIS: i64 = -9_223_372_036_832_400_000;
const INFINITY_DAYS: i64 = 2_146_033_979;
const NEGATIVE_INFINITY_DAYS: [i64; 2] = [-2_147_472_691, -625_821_272];
const INFINITY_DAYS_OF_SNAPSHOTS: i64 = -622_191_234;
const INFINITY_TEXTS: [&str; 3] = ["+292278994-08-16T23:00:00Z", "+5877611-06-21Z", "+292278994-08-16Z"];
const NEGATIVE_INFINITY_TEXTS: [&str; 4] =
    ["-292275055-05-16T23:00:00Z", "-5877611-06-22Z", "+292269055-12-02Z", "+292269055-12-02T23:00:00Z"];

/// A value of `io.debezium.time.NAME`; false: a name that is not known.
pub fn semantic(
    reading: &Reading,
    target: &Target,
    name: &str,
    schema: &Schema,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<bool, ValueError> {
    if matches!(value, Value::Struct(_)) {
        structured(Some(schema), value, out)?;
        return Ok(true);
    }
    if let Value::String(text) = value {
        if matches!(target, Target::Timestamp { .. } | Target::Date) && name == "ZonedTimestamp" && !reading.utc {
            return Err(ValueError::new(
                "a timestamp with a zone goes into a column without one only where use.time.zone is UTC: make the \
                 column timestamptz",
            ));
        }
        text_form(target, text, out);
        return Ok(true);
    }
    let Some(n) = integer(value) else { return Ok(false) };
    if matches!(target, Target::Integer | Target::Float | Target::Numeric { .. }) {
        return plain(Some(schema), value, out).map(|()| true);
    }
    match name {
        "Date" => date(n, out),
        "Time" => time(n, MILLIS, out)?,
        "MicroTime" => time(n, MICROS, out)?,
        "NanoTime" => time(n, NANOS, out)?,
        "Timestamp" => timestamp(n, MILLIS, out),
        "MicroTimestamp" => timestamp(n, MICROS, out),
        "NanoTimestamp" => timestamp(n, NANOS, out),
        "MicroDuration" => duration(n, MICROS, out),
        "NanoDuration" => duration(n, NANOS, out),
        "Year" => return plain(Some(schema), value, out).map(|()| true),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A value whose meaning its schema does not say.
pub fn by_target(
    reading: &Reading,
    target: &Target,
    schema: Option<&Schema>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match value {
        Value::String(text) => {
            text_form(target, text, out);
            Ok(())
        }
        Value::Map(_) | Value::Struct(_) => structured(schema, value, out),
        _ => match integer(value) {
            Some(n) => number(reading, target, n, out),
            None => Err(ValueError::new("a date or time is expected")),
        },
    }
}

/// A bare number. Days are days in every mode of the source; the unit of the others is what it was declared to be.
fn number(reading: &Reading, target: &Target, n: i64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    use TimePrecision::*;
    let Some(mode) = reading.declared.time.filter(|mode| *mode != IsoString) else {
        return match target {
            Target::Date => {
                date(n, out);
                Ok(())
            }
            Target::Interval => Err(ValueError::new(
                "the unit of a number for an interval is not known without a schema: set \
                 interval.handling.mode=string at the source, or declare walspring.sink.time.precision.mode, with \
                 which it is microseconds",
            )),
            _ => Err(ValueError::new(
                "the unit of a number for a date or time is not known without a schema: set \
                 time.precision.mode=isostring at the source, or declare with walspring.sink.time.precision.mode what \
                 it writes",
            )),
        };
    };
    match target {
        Target::Date => date(n, out),
        Target::Interval => duration(n, MICROS, out),
        Target::Time { precision } => {
            let unit = match mode {
                Connect => MILLIS,
                Nanoseconds => NANOS,
                Adaptive if *precision <= 3 => MILLIS,
                _ => MICROS,
            };
            time(n, unit, out)?;
        }
        Target::Timestamp { precision } | Target::TimestampTz { precision } => {
            let unit = match mode {
                Connect => MILLIS,
                Nanoseconds => NANOS,
                Adaptive | AdaptiveTimeMicroseconds if *precision <= 3 => MILLIS,
                _ => MICROS,
            };
            timestamp(n, unit, out);
        }
        _ => return Err(ValueError::new("a number does not go into a column of this type")),
    }
    Ok(())
}

fn date(days: i64, out: &mut Vec<u8>) {
    if days == INFINITY_DAYS || days == INFINITY_DAYS_OF_SNAPSHOTS {
        out.extend_from_slice(b"infinity");
    } else if NEGATIVE_INFINITY_DAYS.contains(&days) {
        out.extend_from_slice(b"-infinity");
    } else {
        let era = day(days, out);
        out.extend_from_slice(era);
    }
}

fn timestamp(n: i64, unit: PerSecond, out: &mut Vec<u8>) {
    if n == INFINITY_MILLIS || (n == i64::MAX && unit != MILLIS) {
        return out.extend_from_slice(b"infinity");
    }
    if n == NEGATIVE_INFINITY_MILLIS || (n == i64::MIN && unit != MILLIS) {
        return out.extend_from_slice(b"-infinity");
    }
    let seconds = n.div_euclid(unit);
    let era = day(seconds.div_euclid(SECONDS_PER_DAY), out);
    out.push(b' ');
    clock(seconds.rem_euclid(SECONDS_PER_DAY), n.rem_euclid(unit), unit, out);
    out.extend_from_slice(era);
}

/// Midnight at the end of the day is a time too.
fn time(n: i64, unit: PerSecond, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !(0..=SECONDS_PER_DAY * unit).contains(&n) {
        return Err(ValueError::new("the number is no time of a day"));
    }
    clock(n / unit, n % unit, unit, out);
    Ok(())
}

/// As hours, minutes and seconds: a day of an interval is not always 24 hours.
fn duration(n: i64, unit: PerSecond, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    let n = n.unsigned_abs();
    let unit_abs = unit.unsigned_abs();
    clock((n / unit_abs) as i64, (n % unit_abs) as i64, unit, out);
}

fn clock(seconds: i64, fraction: i64, unit: PerSecond, out: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let _ = match unit {
            MILLIS => write!(out, ".{fraction:03}"),
            MICROS => write!(out, ".{fraction:06}"),
            _ => write!(out, ".{fraction:09}"),
        };
    }
}

/// Writes `YYYY-MM-DD` and gives what goes behind everything else: years before the first are counted backwards.
fn day(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = java::civil(days);
    let (shown, era): (i64, &'static [u8]) = if year < 1 { (1 - year, b" BC") } else { (year, b"") };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    era
}

/// An ISO text in PostgreSQL's spelling: no sign before long years, BC for those before the first, and no zone where the
/// column has none.
fn text_form(target: &Target, text: &str, out: &mut Vec<u8>) {
    let moment = matches!(
        target,
        Target::Date | Target::Time { .. } | Target::TimeTz | Target::Timestamp { .. } | Target::TimestampTz { .. }
    );
    if !moment || matches!(text, "infinity" | "-infinity") {
        return out.extend_from_slice(text.as_bytes());
    }
    if INFINITY_TEXTS.contains(&text) {
        return out.extend_from_slice(b"infinity");
    }
    if NEGATIVE_INFINITY_TEXTS.contains(&text) {
        return out.extend_from_slice(b"-infinity");
    }
    let zoneless = matches!(target, Target::Date | Target::Time { .. } | Target::Timestamp { .. });
    let text = if zoneless { text.strip_suffix('Z').unwrap_or(text) } else { text };
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    // Times begin with two digits and a colon; dates with a year.
    let year_end = unsigned.find('-').filter(|end| *end >= 4 && unsigned[..*end].bytes().all(|b| b.is_ascii_digit()));
    let year = year_end.and_then(|end| Some((unsigned[..end].parse::<i64>().ok()?, &unsigned[end..])));
    match year {
        Some((year, rest)) if negative || year == 0 => {
            let _ = write!(out, "{:04}{rest} BC", year.saturating_add(1));
        }
        Some(_) => out.extend_from_slice(unsigned.as_bytes()),
        None => out.extend_from_slice(text.as_bytes()),
    }
}

/// `io.debezium.time.Structured*`: a field for each part.
fn structured(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::new("a date or time with fields such as year, month and day is expected");
    let fields = Fields::of(schema, value).ok_or_else(wrong)?;
    let part = |name: &str| {
        let n = fields.get(name).and_then(|field| integer(field.value));
        // Parts are of 32 bits, but for the seconds of an interval: nothing below can overflow.
        n.filter(|n| i32::try_from(*n).is_ok() || name == "seconds")
    };
    if let Some(Value::String(special)) = fields.get("specialValue").map(|field| field.value) {
        let text: &[u8] = match &**special {
            "POSITIVE_INFINITY" => b"infinity",
            "NEGATIVE_INFINITY" => b"-infinity",
            _ => return Err(wrong()),
        };
        out.extend_from_slice(text);
        return Ok(());
    }
    if let (Some(years), Some(months), Some(days)) = (part("years"), part("months"), part("days")) {
        let (hours, minutes) = (part("hours").unwrap_or(0), part("minutes").unwrap_or(0));
        let (seconds, nanos) = (part("seconds").unwrap_or(0), part("nanos").unwrap_or(0));
        let negative = seconds < 0 || nanos < 0;
        let _ = write!(
            out,
            "P{years}Y{months}M{days}DT{hours}H{minutes}M{}{}.{:06}S",
            if negative { "-" } else { "" },
            seconds.unsigned_abs(),
            nanos.unsigned_abs() / 1000
        );
        return Ok(());
    }
    let mut era: &[u8] = b"";
    let date = (part("year"), part("month"), part("day"));
    if let (Some(year), Some(month), Some(day)) = date {
        let shown = if year < 1 { 1 - year } else { year };
        era = if year < 1 { b" BC" } else { b"" };
        let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    }
    if let Some(hour) = part("hour") {
        if date.0.is_some() {
            out.push(b' ');
        }
        let seconds = hour * 3600 + part("minute").unwrap_or(0) * 60 + part("second").unwrap_or(0);
        clock(seconds, part("nanos").unwrap_or(0) / 1000, MICROS, out);
        if let Some(offset) = part("offsetSeconds") {
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = offset.unsigned_abs();
            let _ = write!(out, "{sign}{:02}:{:02}:{:02}", offset / 3600, offset / 60 % 60, offset % 60);
        }
    } else if date.0.is_none() {
        return Err(wrong());
    }
    out.extend_from_slice(era);
    Ok(())
}
