//! `date`, `time`, `timetz`, `timestamp` and `timestamptz` in every `time.precision.mode`.

use crate::leaf::civil::{
    self, Civil, Fraction, GREGORIAN_START, MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil,
    days_from_julian, julian_from_days, parse_clock, parse_date, parse_era, parse_offset, write_clock, write_date,
};
use crate::leaf::{DateForm, LeafError, Reader, Scalar, Scratch, TimeForm, TimestampForm, ZonedForm};
use crate::surprise::Surprise;
use crate::value::Value;

/// What the original makes of infinite timestamps: the JDBC driver's constants, milliseconds since 1970 …
const INFINITY_MILLIS: i64 = 9_223_372_036_825_200_000;
const NEGATIVE_INFINITY_MILLIS: i64 = -9_223_372_036_832_400_000;
/// … and the same as ISO text.
const INFINITY_ISO: &str = "+292278994-08-16T23:00:00Z";
const NEGATIVE_INFINITY_ISO: &str = "-292275055-05-16T23:00:00Z";

enum Point<T> {
    At(T),
    Infinity,
    NegativeInfinity,
}

impl Point<Moment> {
    fn day(&self) -> Option<i64> {
        match self {
            Point::At(moment) => Some(moment.days),
            _ => None,
        }
    }
}

fn infinite<T>(text: &[u8]) -> Option<Point<T>> {
    match text {
        b"infinity" => Some(Point::Infinity),
        b"-infinity" => Some(Point::NegativeInfinity),
        _ => None,
    }
}

/// A timestamp: the day since 1970, and microseconds within it.
#[derive(Clone, Copy)]
struct Moment {
    days: i64,
    micros: i64,
}

impl Moment {
    /// `2024-02-29 13:14:15.123456+05:30 BC`; only the day must be there.
    #[inline]
    fn parse(text: &[u8], days_of: impl Fn(Civil) -> i64) -> Option<Moment> {
        let (date, rest) = parse_date(text)?;
        let (micros, rest) = match rest {
            [b' ', clock @ ..] if clock != b"BC" => parse_clock(clock)?,
            _ => (0, rest),
        };
        let (offset, rest) = parse_offset(rest)?;
        let days = days_of(parse_era(date, rest)?);
        let micros = micros - i64::from(offset.seconds) * MICROS_PER_SECOND;
        Some(Moment { days: days + micros.div_euclid(MICROS_PER_DAY), micros: micros.rem_euclid(MICROS_PER_DAY) })
    }

    fn seconds(self) -> i64 {
        self.days * 86_400 + self.micros / MICROS_PER_SECOND
    }

    fn date(self) -> Civil {
        civil_from_days(self.days)
    }

    fn write(self, fraction: Fraction, out: &mut Vec<u8>) {
        write_date(self.date(), out);
        out.push(b'T');
        write_clock(self.micros, fraction, out);
        out.push(b'Z');
    }

    /// What is left of it when Java's older classes take it apart: old dates are Julian, and lose their era.
    fn without_era(self) -> Moment {
        let date = if self.date() < GREGORIAN_START { julian_from_days(self.days) } else { self.date() };
        let year = if date.year < 1 { 1 - date.year } else { date.year };
        Moment { days: days_from_civil(Civil { year, ..date }), ..self }
    }
}

/// Days as Java's older classes count them: before the Gregorian calendar was, a date is one of the Julian.
fn days_in_java(date: Civil) -> i64 {
    if date < GREGORIAN_START { days_from_julian(date) } else { days_from_civil(date) }
}

#[inline]
fn parse_timestamp(text: &[u8], days_of: impl Fn(Civil) -> i64) -> Result<Point<Moment>, LeafError> {
    Moment::parse(text, days_of)
        .map(Point::At)
        .or_else(|| infinite(text))
        .ok_or_else(|| LeafError::form("a timestamp in ISO form"))
}

pub(super) fn timestamp<'a>(
    text: &[u8],
    form: TimestampForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    timestamp_at(parse_timestamp(text, days_from_civil)?, form, precision, scratch)
}

/// Of an array's element, which the JDBC driver has made an object of.
pub(super) fn timestamp_element<'a>(
    text: &[u8],
    form: TimestampForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    let point = parse_timestamp(text, days_in_java)?;
    if let Point::At(moment) = point
        && moment.date() < GREGORIAN_START
    {
        scratch.surprise(Surprise::DateOld);
    }
    timestamp_at(point, form, precision, scratch)
}

#[inline]
fn timestamp_at(
    point: Point<Moment>,
    form: TimestampForm,
    precision: u8,
    scratch: &mut Scratch,
) -> Result<Scalar<'_>, LeafError> {
    let moment = match point {
        Point::At(moment) => moment,
        Point::Infinity => return Ok(infinite_timestamp(form, precision, true, scratch)),
        Point::NegativeInfinity => return Ok(infinite_timestamp(form, precision, false, scratch)),
    };
    let fraction = moment.micros % MICROS_PER_SECOND;
    Ok(match form {
        TimestampForm::Millis => Scalar::Int64(moment.seconds() * 1000 + fraction / 1000),
        // The original's arithmetic: the seconds saturate, then the fraction wraps. PostgreSQL's last years show it.
        TimestampForm::Micros => {
            let micros = moment.seconds().saturating_mul(MICROS_PER_SECOND);
            // Only the last and first hours that 64 bits hold can be meant: the server has later ones.
            if micros == i64::MAX || micros == i64::MIN {
                scratch.surprise(Surprise::TimestampRange);
            }
            Scalar::Int64(micros.wrapping_add(fraction))
        }
        TimestampForm::Nanos => (moment.days.checked_mul(MICROS_PER_DAY * 1000))
            .and_then(|day| day.checked_add(moment.micros * 1000))
            .map(Scalar::Int64)
            .ok_or_else(|| LeafError("the timestamp is outside of what nanoseconds can hold, 1677 to 2262".into()))?,
        TimestampForm::Iso => {
            moment.write(Fraction::Minimal, scratch.start());
            return scratch.written();
        }
        TimestampForm::Structured => {
            let mut fields = date_fields(moment.date());
            fields.extend(clock_fields(moment.micros));
            fields.extend([Value::Null, Value::Int32(precision.into())]);
            Scalar::Tree(Value::Struct(fields))
        }
    })
}

fn infinite_timestamp(form: TimestampForm, precision: u8, positive: bool, scratch: &mut Scratch) -> Scalar<'static> {
    if matches!(form, TimestampForm::Millis | TimestampForm::Iso) {
        scratch.surprise(Surprise::TimestampInfinite);
    }
    let choose = |p, n| if positive { p } else { n };
    match form {
        TimestampForm::Millis => Scalar::Int64(choose(INFINITY_MILLIS, NEGATIVE_INFINITY_MILLIS)),
        TimestampForm::Micros | TimestampForm::Nanos => Scalar::Int64(choose(i64::MAX, i64::MIN)),
        TimestampForm::Iso => Scalar::String(if positive { INFINITY_ISO } else { NEGATIVE_INFINITY_ISO }),
        TimestampForm::Structured => {
            let mut fields = vec![Value::Null; 7];
            fields.extend([special(positive), Value::Int32(precision.into())]);
            Scalar::Tree(Value::Struct(fields))
        }
    }
}

pub(super) fn timestamp_tz<'a>(
    text: &[u8],
    form: ZonedForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    timestamp_tz_at(parse_timestamp(text, days_from_civil)?, form, precision, scratch)
}

/// Of an array's element, which the JDBC driver has made an object of, and the original then takes apart.
pub(super) fn timestamp_tz_element<'a>(
    text: &[u8],
    form: ZonedForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    let point = match parse_timestamp(text, days_in_java)? {
        Point::At(moment) => {
            if moment.date() < GREGORIAN_START
                && parse_timestamp(text, days_from_civil)?.day() != Some(moment.without_era().days)
            {
                scratch.surprise(Surprise::DateOld);
            }
            Point::At(moment.without_era())
        }
        // +292269055-12-02T23:00:00Z: the driver's constant without its era.
        Point::NegativeInfinity => {
            scratch.surprise(Surprise::TimestampInfinite);
            Point::At(Moment {
                days: days_from_civil(Civil { year: 292_269_055, month: 12, day: 2 }),
                micros: 23 * 3600 * MICROS_PER_SECOND,
            })
        }
        Point::Infinity => Point::Infinity,
    };
    timestamp_tz_at(point, form, precision, scratch)
}

#[inline]
fn timestamp_tz_at(
    point: Point<Moment>,
    form: ZonedForm,
    precision: u8,
    scratch: &mut Scratch,
) -> Result<Scalar<'_>, LeafError> {
    match (form, point) {
        (ZonedForm::Text, Point::At(moment)) => {
            let fraction = if precision == 0 { Fraction::Minimal } else { Fraction::Digits(precision) };
            moment.write(fraction, scratch.start());
            scratch.written()
        }
        (ZonedForm::Text, Point::Infinity) => Ok(Scalar::String("infinity")),
        (ZonedForm::Text, Point::NegativeInfinity) => Ok(Scalar::String("-infinity")),
        (ZonedForm::Structured, Point::At(moment)) => {
            let mut fields = date_fields(moment.date());
            fields.extend(clock_fields(moment.micros));
            fields.extend([Value::Int32(0), Value::string("Z"), Value::Null, Value::Int32(precision.into())]);
            Ok(Scalar::Tree(Value::Struct(fields)))
        }
        (ZonedForm::Structured, point) => {
            let mut fields = vec![Value::Null; 9];
            fields.extend([special(matches!(point, Point::Infinity)), Value::Int32(precision.into())]);
            Ok(Scalar::Tree(Value::Struct(fields)))
        }
    }
}

pub(super) fn date<'a>(
    text: &[u8],
    form: DateForm,
    reader: Reader,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    let date = match parse_day(text, reader)? {
        Point::At(date) => date,
        Point::Infinity => return Ok(infinite_date(form, reader, true, scratch)),
        Point::NegativeInfinity => return Ok(infinite_date(form, reader, false, scratch)),
    };
    if reader == Reader::Snapshot && date < GREGORIAN_START_OR_MOVED && is_moved(text, date) {
        scratch.surprise(Surprise::DateOld);
    }
    match form {
        DateForm::Days => Ok(Scalar::Int32(days_from_civil(date) as i32)),
        DateForm::Iso => {
            let out = scratch.start();
            write_date(date, out);
            out.push(b'Z');
            scratch.written()
        }
        DateForm::Structured => {
            let mut fields = date_fields(date);
            fields.push(Value::Null);
            Ok(Scalar::Tree(Value::Struct(fields)))
        }
    }
}

/// Dates that the driver moves end before this one.
const GREGORIAN_START_OR_MOVED: Civil = Civil { day: 25, ..GREGORIAN_START };

/// Whether what a snapshot reads is another day than the text says.
fn is_moved(text: &[u8], read: Civil) -> bool {
    let exact = parse_date(text).and_then(|(date, rest)| parse_era(date, rest));
    exact.is_some_and(|exact| exact != read)
}

fn parse_day(text: &[u8], reader: Reader) -> Result<Point<Civil>, LeafError> {
    let day = || {
        let (date, rest) = parse_date(text)?;
        match reader {
            Reader::Stream => parse_era(date, rest),
            // The driver's dates lose their era, and the ten days that the Gregorian calendar left out are moved on.
            Reader::Snapshot => {
                let date = parse_era(date, rest.strip_suffix(b" BC").unwrap_or(rest))?;
                let left_out = date < GREGORIAN_START && date >= Civil { day: 5, ..GREGORIAN_START };
                Some(if left_out { civil_from_days(days_from_julian(date)) } else { date })
            }
        }
    };
    day().map(Point::At).or_else(|| infinite(text)).ok_or_else(civil::date_error)
}

/// In the stream the ends of what days in 32 bits can say; in snapshots the JDBC driver's constants cut to 32 bits.
fn infinite_date(form: DateForm, reader: Reader, positive: bool, scratch: &mut Scratch) -> Scalar<'static> {
    if form != DateForm::Structured {
        scratch.surprise(Surprise::DateInfinite);
    }
    match (form, reader, positive) {
        (DateForm::Days, Reader::Stream, true) => Scalar::Int32(2_146_033_979),
        (DateForm::Days, Reader::Stream, false) => Scalar::Int32(-2_147_472_691),
        (DateForm::Days, Reader::Snapshot, true) => Scalar::Int32(-622_191_234),
        (DateForm::Days, Reader::Snapshot, false) => Scalar::Int32(-625_821_272),
        (DateForm::Iso, Reader::Stream, true) => Scalar::String("+5877611-06-21Z"),
        (DateForm::Iso, Reader::Stream, false) => Scalar::String("-5877611-06-22Z"),
        (DateForm::Iso, Reader::Snapshot, true) => Scalar::String("+292278994-08-16Z"),
        (DateForm::Iso, Reader::Snapshot, false) => Scalar::String("+292269055-12-02Z"),
        (DateForm::Structured, _, positive) => {
            Scalar::Tree(Value::Struct(vec![Value::Null, Value::Null, Value::Null, special(positive)]))
        }
    }
}

pub(super) fn time<'a>(
    text: &[u8],
    form: TimeForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    time_at(parse_time(text)?, form, precision, scratch)
}

/// Of an array's element: the driver's object knows milliseconds, and no end of the day.
pub(super) fn time_element<'a>(
    text: &[u8],
    form: TimeForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    let micros = parse_time(text)?;
    let kept = micros / 1000 * 1000 % MICROS_PER_DAY;
    if kept != micros {
        scratch.surprise(Surprise::ArrayTimeCut);
    }
    time_at(kept, form, precision, scratch)
}

fn parse_time(text: &[u8]) -> Result<i64, LeafError> {
    match parse_clock(text) {
        Some((micros, b"")) => Ok(micros),
        _ => Err(LeafError::form("a time of day")),
    }
}

#[inline]
fn time_at(micros: i64, form: TimeForm, precision: u8, scratch: &mut Scratch) -> Result<Scalar<'_>, LeafError> {
    match form {
        TimeForm::Millis => Ok(Scalar::Int32((micros / 1000) as i32)),
        TimeForm::Micros => Ok(Scalar::Int64(micros)),
        TimeForm::Nanos => Ok(Scalar::Int64(micros * 1000)),
        TimeForm::Iso => {
            if micros == MICROS_PER_DAY {
                scratch.surprise(Surprise::TimeMidnight);
            }
            let out = scratch.start();
            // The end of the day has no name of its own there.
            write_clock(micros % MICROS_PER_DAY, Fraction::Minimal, out);
            out.push(b'Z');
            scratch.written()
        }
        TimeForm::Structured if micros == MICROS_PER_DAY => {
            Err(LeafError("a struct cannot hold the end of the day, 24:00:00".into()))
        }
        TimeForm::Structured => {
            let mut fields: Vec<Value> = clock_fields(micros).into();
            fields.push(Value::Int32(precision.into()));
            Ok(Scalar::Tree(Value::Struct(fields)))
        }
    }
}

pub(super) fn time_tz<'a>(
    text: &[u8],
    form: ZonedForm,
    precision: u8,
    scratch: &'a mut Scratch,
) -> Result<Scalar<'a>, LeafError> {
    let wrong = || LeafError::form("a time of day with an offset");
    let (micros, rest) = parse_clock(text).ok_or_else(wrong)?;
    let Some((offset, b"")) = parse_offset(rest) else { return Err(wrong()) };
    match form {
        ZonedForm::Text if offset.has_seconds => {
            Err(LeafError("the original cannot read an offset that has seconds".into()))
        }
        ZonedForm::Text if micros == MICROS_PER_DAY && offset.seconds == 0 => Ok(Scalar::String("24:00:00Z")),
        ZonedForm::Text => {
            let utc = (micros - i64::from(offset.seconds) * MICROS_PER_SECOND).rem_euclid(MICROS_PER_DAY);
            let out = scratch.start();
            write_clock(utc, Fraction::Minimal, out);
            out.push(b'Z');
            scratch.written()
        }
        ZonedForm::Structured => {
            let mut fields: Vec<Value> = clock_fields(micros).into();
            fields.extend([Value::Int32(offset.seconds), Value::Int32(precision.into())]);
            Ok(Scalar::Tree(Value::Struct(fields)))
        }
    }
}

fn date_fields(date: Civil) -> Vec<Value> {
    vec![Value::Int32(date.year), Value::Int8(date.month as i8), Value::Int8(date.day as i8)]
}

fn clock_fields(micros: i64) -> [Value; 4] {
    let seconds = micros / MICROS_PER_SECOND;
    [
        Value::Int8((seconds / 3600) as i8),
        Value::Int8((seconds / 60 % 60) as i8),
        Value::Int8((seconds % 60) as i8),
        Value::Int32((micros % MICROS_PER_SECOND) as i32 * 1000),
    ]
}

fn special(positive: bool) -> Value {
    Value::string(if positive { "POSITIVE_INFINITY" } else { "NEGATIVE_INFINITY" })
}
