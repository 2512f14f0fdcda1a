//! Leaves: how a column's text becomes a value. The `debezium` crate chooses a leaf for each column; here is what each does.
//!
//! The text is PostgreSQL's own output form (`typoutput`), the same in the stream and in COPY. [`Leaf::value`] builds the
//! value as a tree; beside it stand the functions that it is made of, for encoders that write bytes without a tree.
//!
//! Invariants: no text, however odd, makes a leaf panic; an error names no value.

use std::sync::Arc;

use crate::value::Value;

/// A value's text was not what its type promises, or the mode cannot hold it. Names no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LeafError(pub String);

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
    Decimal { scale: u32 },
    /// `numeric` as `{scale int32, value bytes}`, trailing zeros stripped.
    VariableScaleDecimal,
    DecimalDouble,
    /// The number as text; `NAN`, `POSITIVE_INFINITY`, `NEGATIVE_INFINITY`.
    DecimalText,
    Money(MoneyForm),
    Date { form: DateForm, reader: Reader },
    Time { form: TimeForm, precision: u8 },
    Timestamp { form: TimestampForm, precision: u8 },
    /// `timetz`, moved to UTC as text, or with its own offset as a struct.
    TimeTz { form: ZonedForm, precision: u8 },
    /// `timestamptz` in UTC.
    TimestampTz { form: ZonedForm, precision: u8 },
    Interval(IntervalForm),
    Hstore(HstoreForm),
    /// `point` as `{x, y, wkb, srid}`.
    Point,
    /// PostGIS: hexadecimal EWKB as `{wkb, srid}`, `geometry` (not `geography`) with a third field `extensions`.
    Geometry { extensions: bool },
    /// The geometric types of the core.
    Geometric(Shape),
    /// pgvector's `vector` as an array of float64.
    Vector,
    /// pgvector's `halfvec` as an array of float32.
    HalfVector,
    /// pgvector's `sparsevec` as `{dimensions int16, vector map<int16, float64>}`.
    SparseVector,
    Array(Arc<ArrayLeaf>),
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
    Decimal { scale: u32 },
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
    /// `{months, days int32, seconds int64, nanos int32}`
    Structured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HstoreForm {
    Json,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// These four as `{wkb, srid, extensions {type}}`.
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
    pub fn value(&self, text: &[u8]) -> Result<Value, LeafError> {
        let _ = text;
        Err(LeafError("not yet".into()))
    }
}
