//! Leaves: how a column's text becomes a value. The `debezium` crate chooses a leaf for each column; here is what each does.
//!
//! The text is PostgreSQL's own output form (`typoutput`), the same in the stream and in COPY, with `DateStyle` ISO,
//! `IntervalStyle` postgres and `bytea_output` hex. [`Leaf::read`] reads it without allocating for all common types;
//! [`Leaf::value`] is the same as a tree, made from what `read` gives, so that the two cannot differ.
//!
//! Invariants: no text, however odd, makes a leaf panic; an error names no value.

mod array;
mod binary;
mod civil;
mod decimal;
mod geometry;
mod hstore;
mod interval;
pub mod java_hash;
mod mask;
mod moment;
mod scalar;
mod strict;
mod vector;

use std::sync::Arc;

pub use array::{Element, elements};
pub use civil::{Civil, days_from_civil};
pub use decimal::{Number, parse_number};
pub use geometry::{circle_value, line_value, point_value, shape_value};
pub use hstore::write_json as write_hstore_json;
pub use mask::{HashAlgorithm, HashInput, Hashed, Truncated};
pub use scalar::{Scalar, Scratch};
pub use strict::Strict;

use crate::value::Value;

/// A value's text was not what its type promises, or the mode cannot hold it. Names no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LeafError(pub String);

impl LeafError {
    /// The text is not of the form that the type has.
    fn form(of: &str) -> LeafError {
        LeafError(format!("the text is not {of}"))
    }
}

/// How the text of one column becomes a value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Leaf {
    /// The text itself: character types, uuid, json, xml, enums, ltree, ranges, network addresses, tsvector.
    Text,
    /// Always this, whatever the text: types whose values the original does not read from the stream.
    Constant(Value),
    /// Always an error: types that the original has a schema for and cannot convert.
    Unconvertible,
    /// `t` or `f`.
    Boolean,
    /// A bit string of one bit, as a boolean.
    Bit,
    Int16,
    Int32,
    /// Also `oid`.
    Int64,
    Float32,
    Float64,
    /// `\x0102` as bytes, or as text of them.
    Bytea(BinaryForm),
    /// The text's own bytes, as bytes or as text of them: unknown types.
    TextBytes(BinaryForm),
    /// A bit string as little-endian bytes, without zero bytes at the end.
    Bits,
    /// `numeric` as the unscaled number in two's complement, big endian, as short as it can be. NaN and infinities fail.
    Decimal {
        scale: u32,
    },
    /// `numeric` as `{scale int32, value bytes}`, trailing zeros stripped.
    VariableScaleDecimal,
    DecimalDouble,
    /// The number as text; `NAN`, `POSITIVE_INFINITY`, `NEGATIVE_INFINITY`.
    DecimalText,
    Money(MoneyForm),
    Date {
        form: DateForm,
        reader: Reader,
    },
    Time {
        form: TimeForm,
        precision: u8,
    },
    Timestamp {
        form: TimestampForm,
        precision: u8,
    },
    /// `timetz`, moved to UTC as text, or with its own offset as a struct.
    TimeTz {
        form: ZonedForm,
        precision: u8,
    },
    /// `timestamptz` in UTC.
    TimestampTz {
        form: ZonedForm,
        precision: u8,
    },
    Interval(IntervalForm),
    Hstore(HstoreForm),
    /// `point` as `{x, y, wkb, srid}`.
    Point,
    /// PostGIS: hexadecimal EWKB as `{wkb, srid}`, `geometry` (not `geography`) with a third field `extensions`.
    Geometry {
        extensions: bool,
    },
    /// The geometric types of the core.
    Geometric(Shape),
    /// pgvector's `vector` as an array of float64.
    Vector,
    /// pgvector's `halfvec` as an array of float32.
    HalfVector,
    /// pgvector's `sparsevec` as `{dimensions int16, vector map<int16, float64>}`.
    SparseVector,
    Array(Arc<ArrayLeaf>),
    /// `column.truncate.to.N.chars`
    Truncated(Arc<Truncated>),
    /// `column.mask.hash.…`, of text.
    Hashed(Arc<Hashed>),
    /// `walspring.strict`
    Strict(Arc<Strict>),
}

/// `binary.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryForm {
    Bytes,
    Base64,
    Base64Url,
    Hex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyForm {
    /// Bytes as [`Leaf::Decimal`], rounded half up.
    Decimal {
        scale: u32,
    },
    Double,
    Text,
}

/// Who read the text in the original: its snapshots go through the JDBC driver, which knows neither eras nor infinite dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Stream,
    Snapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateForm {
    /// Int32: days since 1970.
    Days,
    /// `2017-09-15Z`
    Iso,
    /// `{year int32, month int8, day int8, specialValue string}`
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeForm {
    /// Int32.
    Millis,
    /// Int64.
    Micros,
    /// Int64.
    Nanos,
    /// `04:05:11.789Z`
    Iso,
    /// `{hour int8, minute int8, second int8, nanos int32, precision int32}`
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampForm {
    /// Int64, as all three numbers.
    Millis,
    Micros,
    /// Fails outside of 1677 to 2262.
    Nanos,
    /// `2017-09-15T04:05:11.789Z`
    Iso,
    /// `{year int32, month, day, hour, minute, second int8, nanos int32, specialValue string, precision int32}`
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZonedForm {
    Text,
    /// As without a zone, with `offsetSeconds int32` after `nanos`, and of a timestamp then `zoneId string`.
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalForm {
    /// Int64; a month counts 30.4375 days.
    Micros,
    /// `P1Y2M3DT4H5M6.78S`
    Iso,
    /// `{years, months, days, hours, minutes int32, seconds int64, nanos int32, precision int32}`
    Structured { precision: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HstoreForm {
    Json,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// These four as `{wkb, srid, extensions {type}}`; a path's extensions say also whether it is `closed`.
    Box,
    Lseg,
    Path,
    Polygon,
    /// `{center, radius}`
    Circle,
    /// `{a, b, c}`
    Line,
}

/// Elements of an array.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayLeaf {
    pub element: Leaf,
    /// A NULL element makes the whole array fail (the original's enums and ltree).
    pub null_fails: bool,
}

impl Leaf {
    /// The leaf below strict mode: what it makes of usual text.
    pub fn usual(&self) -> &Leaf {
        match self {
            Leaf::Strict(strict) => &strict.leaf,
            leaf => leaf,
        }
    }

    /// The value as a tree.
    pub fn value(&self, text: &[u8]) -> Result<Value, LeafError> {
        Ok(self.read(text, &mut Scratch::default())?.into_value())
    }

    /// The value without a tree where that is possible: numbers as they are, text and bytes either out of `text` or
    /// written into `scratch`.
    #[inline]
    pub fn read<'a>(&self, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        match self {
            Leaf::Text => scalar::text(text),
            Leaf::Boolean => scalar::boolean(text).map(Scalar::Boolean),
            Leaf::Int16 => scalar::integer(text).map(Scalar::Int16),
            Leaf::Int32 => scalar::integer(text).map(Scalar::Int32),
            Leaf::Int64 => scalar::integer(text).map(Scalar::Int64),
            Leaf::Float32 => scalar::float(text).map(Scalar::Float32),
            Leaf::Float64 => scalar::float(text).map(Scalar::Float64),
            Leaf::Decimal { scale } => {
                decimal::unscaled(text, *scale, &mut scratch.0)?;
                Ok(Scalar::Bytes(&scratch.0))
            }
            Leaf::VariableScaleDecimal => {
                let scale = decimal::variable_scale(text, &mut scratch.0)?;
                Ok(Scalar::ScaledDecimal { scale, unscaled: &scratch.0 })
            }
            Leaf::Timestamp { form, precision } => moment::timestamp(text, *form, *precision, scratch),
            Leaf::TimestampTz { form, precision } => moment::timestamp_tz(text, *form, *precision, scratch),
            Leaf::Date { form, reader } => moment::date(text, *form, *reader, scratch),
            Leaf::Time { form, precision } => moment::time(text, *form, *precision, scratch),
            _ => self.read_rarer(text, scratch),
        }
    }

    fn read_rarer<'a>(&self, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        match self {
            Leaf::Constant(value) => Ok(Scalar::Tree(value.clone())),
            Leaf::Bit => scalar::bit(text).map(Scalar::Boolean),
            Leaf::Bytea(form) => binary::bytea(text, *form, scratch),
            Leaf::TextBytes(form) => binary::text_bytes(text, *form, scratch),
            Leaf::Bits => binary::bits(text, scratch),
            Leaf::DecimalDouble => decimal::double(text, scratch).map(Scalar::Float64),
            Leaf::DecimalText => decimal::plain_text(text),
            Leaf::Money(form) => decimal::money(text, *form, scratch),
            Leaf::TimeTz { form, precision } => moment::time_tz(text, *form, *precision, scratch),
            Leaf::Interval(form) => interval::interval(text, *form, scratch),
            Leaf::Hstore(form) => hstore::hstore(text, *form, scratch),
            Leaf::Point => geometry::point(text),
            Leaf::Geometry { extensions } => geometry::ewkb(text, *extensions),
            Leaf::Geometric(shape) => geometry::geometric(text, *shape),
            Leaf::Vector => vector::dense(text).map(|v| Scalar::Tree(vector::doubles(v))),
            Leaf::HalfVector => vector::half(text),
            Leaf::SparseVector => vector::sparse(text),
            Leaf::Array(array) => array::array(text, array, scratch),
            Leaf::Truncated(truncated) => truncated.read(text, scratch),
            Leaf::Hashed(hashed) => hashed.read(text, scratch),
            Leaf::Strict(strict) => strict.read(text, scratch),
            _ => Err(LeafError("the type cannot be converted".into())),
        }
    }
}

#[cfg(test)]
mod tests;
