//! `walspring.strict`: what a column holds, where the leaf by itself would write what the original writes; or an error
//! that names the column and what mends it. Chosen once per relation version: other columns keep their leaves.

use std::sync::Arc;

use crate::leaf::civil::{
    Fraction, MICROS_PER_DAY, MICROS_PER_SECOND, date_error, parse_clock, parse_offset, write_clock,
};
use crate::leaf::{
    ArrayLeaf, DateForm, Element, IntervalForm, Leaf, LeafError, MoneyForm, Reader, Scalar, Scratch, TimeForm,
    TimestampForm, Truncated, ZonedForm, decimal, elements, interval, mask, moment,
};
use crate::surprise::Surprise;
use crate::value::Value;

/// Another leaf, made exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Strict {
    pub leaf: Leaf,
    /// `schema.table.column`, for errors.
    pub column: Arc<str>,
}

impl Strict {
    /// Why a value is refused.
    pub fn refusal(&self, surprise: Surprise) -> LeafError {
        LeafError(format!("{}: {}; {}", self.column, surprise.refused(), surprise.mend_strict()))
    }

    pub(super) fn read<'a>(&self, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        match &self.leaf {
            Leaf::Date { form, .. } => date(text, *form, scratch),
            Leaf::Timestamp { form, precision } => self.timestamp(text, *form, *precision, scratch),
            Leaf::Time { form, precision } => time(text, *form, *precision, scratch),
            Leaf::TimeTz { form: ZonedForm::Text, .. } => time_tz(text, scratch),
            Leaf::Interval(IntervalForm::Micros) => match interval::exact_micros(text)? {
                Some(micros) => Ok(Scalar::Int64(micros)),
                None => Err(self.refusal(Surprise::IntervalMonths)),
            },
            Leaf::Money(MoneyForm::Decimal { scale }) if !decimal::money_fits(text, *scale as usize) => {
                Err(self.refusal(Surprise::MoneyRounded))
            }
            Leaf::DecimalDouble | Leaf::Money(MoneyForm::Double) => self.double(text, scratch),
            Leaf::Array(array) => self.array(text, array),
            Leaf::Truncated(truncated) => truncate(truncated, text, scratch),
            leaf => leaf.read(text, scratch).map_err(|e| self.failed(text, e)),
        }
    }

    fn failed(&self, text: &[u8], e: LeafError) -> LeafError {
        match Surprise::of_failure(&self.leaf, text) {
            Surprise::Unconvertible => LeafError(format!("{}: {e}; {}", self.column, Surprise::Unconvertible.mend())),
            surprise => self.refusal(surprise),
        }
    }

    fn timestamp<'a>(
        &self,
        text: &'a [u8],
        form: TimestampForm,
        precision: u8,
        scratch: &'a mut Scratch,
    ) -> Result<Scalar<'a>, LeafError> {
        match (form, text) {
            (TimestampForm::Millis, b"infinity") => Ok(Scalar::Int64(i64::MAX)),
            (TimestampForm::Millis, b"-infinity") => Ok(Scalar::Int64(i64::MIN)),
            (TimestampForm::Iso, b"infinity") => Ok(Scalar::String("infinity")),
            (TimestampForm::Iso, b"-infinity") => Ok(Scalar::String("-infinity")),
            (TimestampForm::Micros, _) => {
                let micros =
                    self.unsurprised(scratch, |scratch| match moment::timestamp(text, form, precision, scratch)? {
                        Scalar::Int64(micros) => Ok(micros),
                        _ => Err(date_error()),
                    });
                micros.map(Scalar::Int64)
            }
            _ => moment::timestamp(text, form, precision, scratch).map_err(|e| self.failed(text, e)),
        }
    }

    fn double(&self, text: &[u8], scratch: &mut Scratch) -> Result<Scalar<'static>, LeafError> {
        let number = self.unsurprised(scratch, |scratch| match self.leaf.read(text, scratch)? {
            Scalar::Float64(number) => Ok(number),
            _ => Err(LeafError::form("a number")),
        });
        number.map(Scalar::Float64)
    }

    /// What surprises in reading is refused; what surprised in a column before stays told.
    fn unsurprised<T>(
        &self,
        scratch: &mut Scratch,
        read: impl FnOnce(&mut Scratch) -> Result<T, LeafError>,
    ) -> Result<T, LeafError> {
        let earlier = scratch.take_surprise();
        let value = read(scratch);
        let own = scratch.take_surprise();
        if let Some(earlier) = earlier {
            scratch.surprise(earlier);
        }
        match own {
            Some(surprise) if value.is_ok() => Err(self.refusal(surprise)),
            _ => value,
        }
    }

    fn array(&self, text: &[u8], array: &ArrayLeaf) -> Result<Scalar<'static>, LeafError> {
        let mut values = Vec::new();
        let mut scratch = Scratch::default();
        elements(text, |element| {
            values.push(match element {
                Element::Null => Value::Null,
                Element::Text(text) => array.element.read(text, &mut scratch)?.into_value(),
                Element::Nested => return Err(self.refusal(Surprise::ArrayDimensions)),
            });
            Ok(())
        })?;
        Ok(Scalar::Tree(Value::Array(values)))
    }
}

/// Infinities are the ends of the type, which no date reaches, or text: the same in snapshot and stream.
fn date<'a>(text: &[u8], form: DateForm, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    match (form, text) {
        (DateForm::Days, b"infinity") => Ok(Scalar::Int32(i32::MAX)),
        (DateForm::Days, b"-infinity") => Ok(Scalar::Int32(i32::MIN)),
        (DateForm::Iso, b"infinity") => Ok(Scalar::String("infinity")),
        (DateForm::Iso, b"-infinity") => Ok(Scalar::String("-infinity")),
        _ => moment::date(text, form, Reader::Stream, scratch),
    }
}

fn time<'a>(text: &'a [u8], form: TimeForm, precision: u8, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    match (form, parse_clock(text)) {
        (TimeForm::Iso, Some((MICROS_PER_DAY, b""))) => Ok(Scalar::String("24:00:00Z")),
        (TimeForm::Structured, Some((MICROS_PER_DAY, b""))) => Ok(Scalar::Tree(Value::Struct(vec![
            Value::Int8(24),
            Value::Int8(0),
            Value::Int8(0),
            Value::Int32(0),
            Value::Int32(precision.into()),
        ]))),
        _ => moment::time(text, form, precision, scratch),
    }
}

fn time_tz<'a>(text: &[u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let wrong = || LeafError::form("a time of day with an offset");
    let (micros, rest) = parse_clock(text).ok_or_else(wrong)?;
    let Some((offset, b"")) = parse_offset(rest) else { return Err(wrong()) };
    if micros == MICROS_PER_DAY && offset.seconds == 0 {
        return Ok(Scalar::String("24:00:00Z"));
    }
    let utc = (micros - i64::from(offset.seconds) * MICROS_PER_SECOND).rem_euclid(MICROS_PER_DAY);
    let out = scratch.start();
    write_clock(utc, Fraction::Minimal, out);
    out.push(b'Z');
    scratch.written()
}

/// By characters, whatever they are made of.
fn truncate<'a>(truncated: &Truncated, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    Ok(match truncated.leaf.read(text, scratch)? {
        Scalar::String(text) => Scalar::String(mask::cut_characters(text, truncated.length_max)),
        Scalar::Bytes(bytes) if truncated.bytes => Scalar::Bytes(&bytes[..bytes.len().min(truncated.length_max)]),
        other => other,
    })
}
