//! Rows as JSON, straight from their cells: what [`super::JsonConverter`] would write for the row's tree, without the tree.
//!
//! Compiled once per plan and side. Everything that does not change from row to row is text already: names with their
//! punctuation, the envelope's schema, the fixed parts of `source`, what a null and an unavailable value become. A row then
//! is text, cell, text, cell …. The commonest leaves are written from the cell's own bytes (`FastPath`); any text that is
//! not just what PostgreSQL prints, and every other leaf, goes by [`Leaf::read`] and the writer of trees, so that there is
//! one place that decides what is valid.

use std::sync::Arc;

use walspring_connect::{ConvertError, Presence, RowEncoder, Side};
use walspring_record::leaf::{Hashed, Scalar, Scratch, ZonedForm};
use walspring_record::{
    Change, ChangeBatch, ConversionFailure, Leaf, Op, RecordPlan, RowPlan, RowRef, Schema, SchemaRef, SnapshotMark,
    SourcePlan, Step, Surprise, Transaction, Type, Value, Warnings,
};

use super::text::{write_base64, write_bytes_as_string, write_string};
use super::{JsonOptions, schema, tree};
use crate::java::{self, Logical, write_int};

/// Text that is always the same; or the error that writing it is.
type Constant = Result<Box<[u8]>, ConvertError>;

pub(super) fn compile(options: &JsonOptions, plan: &Arc<RecordPlan>, side: Side) -> Option<Box<dyn RowEncoder>> {
    let options = options.clone();
    let columns = plan.relation.columns.len();
    Some(match side {
        Side::Key => {
            let Some(key) = &plan.key else { return Some(Box::new(NoKey)) };
            let row = RowText::compile(&options, key, &key.schema, columns)?;
            let prefix = prefix(&options, &key.schema, b"")?;
            Box::new(KeyEncoder { options, prefix, row, scratch: Scratch::default() })
        }
        Side::Value => Box::new(ValueEncoder::compile(options, plan, columns)?),
    })
}

/// The envelope's beginning, if there is one, and `then`.
fn prefix(options: &JsonOptions, schema: &SchemaRef, then: &[u8]) -> Option<Box<[u8]>> {
    let mut text = if options.schemas { schema::envelope(options, Some(schema)).ok()? } else { Vec::new() };
    text.extend_from_slice(then);
    Some(text.into())
}

fn constant(options: &JsonOptions, schema: &Schema, value: &Value) -> Constant {
    let mut text = Vec::new();
    tree::write(options, Some(schema), value, &mut text)?;
    Ok(text.into())
}

fn put(constant: &Constant, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    match constant {
        Ok(text) => {
            out.extend_from_slice(text);
            Ok(())
        }
        Err(e) => Err(e.clone()),
    }
}

/// For a plan whose events have no key.
struct NoKey;

impl RowEncoder for NoKey {
    fn encode(
        &mut self,
        _: &ChangeBatch,
        _: &Change,
        _: &Step,
        _: &mut Vec<u8>,
        _: &mut Warnings,
    ) -> Result<Presence, ConvertError> {
        Ok(Presence::Null)
    }
}

struct KeyEncoder {
    options: JsonOptions,
    prefix: Box<[u8]>,
    row: RowText,
    scratch: Scratch,
}

impl RowEncoder for KeyEncoder {
    fn encode(
        &mut self,
        batch: &ChangeBatch,
        _change: &Change,
        step: &Step,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<Presence, ConvertError> {
        let Some(first) = step.key else { return Ok(Presence::Null) };
        let start = out.len();
        out.extend_from_slice(&self.prefix);
        let row = batch.row(first, self.row.columns);
        if let Err(e) = self.row.write(&self.options, row, &mut self.scratch, out, warnings) {
            out.truncate(start);
            return Err(e);
        }
        if self.options.schemas {
            out.push(b'}');
        }
        Ok(Presence::Bytes)
    }
}

/// A struct of a row's cells.
struct RowText {
    columns: usize,
    fields: Box<[FieldText]>,
}

struct FieldText {
    /// `{"id":` of the first, `,"name":` of the others.
    label: Box<[u8]>,
    column: usize,
    fast: FastPath,
    leaf: Leaf,
    schema: SchemaRef,
    name: Arc<str>,
    null: Constant,
    unavailable: Constant,
    /// What stands for an unchanged value cannot be told from one.
    unavailable_unknown: bool,
    fails: bool,
}

/// How a cell's bytes become text in one step, where they are of PostgreSQL's usual form.
#[derive(Debug, Clone, PartialEq)]
enum FastPath {
    None,
    Text,
    /// Text that is the same for every cell: a mask.
    Constant(Box<[u8]>),
    Hashed(Arc<Hashed>),
    Boolean,
    /// Integers of at most so many digits, which cannot be too large for their type.
    Integer {
        digits_max: usize,
    },
    Decimal {
        scale: usize,
    },
    /// A decimal that is printed as PostgreSQL prints it.
    NumericDecimal {
        scale: usize,
    },
    /// With so many digits of a second, at least one.
    TimestampTz {
        precision: usize,
    },
}

impl FastPath {
    fn of(options: &JsonOptions, leaf: &Leaf, schema: &Schema) -> FastPath {
        match (leaf.usual(), schema.ty, Logical::of(schema)) {
            (Leaf::Text, Type::String, None) => FastPath::Text,
            (Leaf::Constant(value), ..) => constant(options, schema, value).map_or(FastPath::None, FastPath::Constant),
            (Leaf::Hashed(hashed), Type::String, _) => FastPath::Hashed(hashed.clone()),
            (Leaf::Boolean, Type::Boolean, None) => FastPath::Boolean,
            (Leaf::Int16, Type::Int16, None) => FastPath::Integer { digits_max: 4 },
            (Leaf::Int32, Type::Int32, None) => FastPath::Integer { digits_max: 9 },
            (Leaf::Int64, Type::Int64, None) => FastPath::Integer { digits_max: 18 },
            (Leaf::Decimal { scale }, Type::Bytes, Some(Logical::Decimal)) => {
                let printed = java::scale(schema).and_then(|s| u32::try_from(s).ok());
                match options.numeric_decimals {
                    false => FastPath::Decimal { scale: *scale as usize },
                    // With more digits Java may choose an exponent.
                    true if printed == Some(*scale) && *scale <= 6 => {
                        FastPath::NumericDecimal { scale: *scale as usize }
                    }
                    true => FastPath::None,
                }
            }
            (Leaf::TimestampTz { form: ZonedForm::Text, precision: precision @ 1..=6 }, Type::String, None) => {
                FastPath::TimestampTz { precision: usize::from(*precision) }
            }
            _ => FastPath::None,
        }
    }

    /// False, with nothing written, if the text is not of the usual form.
    #[inline]
    fn write(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            FastPath::None => false,
            FastPath::Text => write_bytes_as_string(out, text),
            FastPath::Constant(constant) => {
                out.extend_from_slice(constant);
                true
            }
            FastPath::Hashed(hashed) => {
                let start = out.len();
                out.push(b'"');
                let usual = hashed.write(text, out).is_ok();
                if usual {
                    out.push(b'"')
                } else {
                    out.truncate(start)
                }
                usual
            }
            FastPath::Boolean => match text {
                b"t" => {
                    out.extend_from_slice(b"true");
                    true
                }
                b"f" => {
                    out.extend_from_slice(b"false");
                    true
                }
                _ => false,
            },
            FastPath::Integer { digits_max } => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                let usual = match digits {
                    [b'0'] => text.len() == 1,
                    [b'1'..=b'9', rest @ ..] => rest.len() < *digits_max && rest.iter().all(u8::is_ascii_digit),
                    _ => false,
                };
                if usual {
                    out.extend_from_slice(text);
                }
                usual
            }
            FastPath::Decimal { scale } => match unscaled(text, *scale) {
                Some(n) => {
                    let redundant = if n < 0 { n.leading_ones() } else { n.leading_zeros() } as usize;
                    write_base64(out, &n.to_be_bytes()[(redundant - 1) / 8..]);
                    true
                }
                None => false,
            },
            FastPath::NumericDecimal { scale } => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                let zeros = digits.len() > 1 && digits[0] == b'0' && digits[1] != b'.';
                let usual = !zeros && unscaled(text, *scale).is_some_and(|n| n != 0 || text.len() == digits.len());
                if usual {
                    out.extend_from_slice(text);
                }
                usual
            }
            FastPath::TimestampTz { precision } => write_timestamp_tz(text, *precision, out),
        }
    }
}

/// `-12.50` at scale 2 as -1250, if it has just so many decimals and fits.
#[inline]
fn unscaled(text: &[u8], scale: usize) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, fraction) = match scale {
        0 => (digits, &digits[..0]),
        _ => {
            let point = digits.len().checked_sub(scale + 1)?;
            if digits[point] != b'.' {
                return None;
            }
            (&digits[..point], &digits[point + 1..])
        }
    };
    if whole.is_empty() || whole.len() + fraction.len() > 18 {
        return None;
    }
    let mut n = 0i64;
    for d in whole.iter().chain(fraction) {
        let d = d.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        n = n * 10 + i64::from(d);
    }
    Some(if digits.len() < text.len() { -n } else { n })
}

/// `2026-01-01 00:00:00.001+00` as `"2026-01-01T00:00:00.001000Z"`. Years of four digits after Christ, in UTC, on a day that
/// every month has.
#[inline]
fn write_timestamp_tz(text: &[u8], precision: usize, out: &mut Vec<u8>) -> bool {
    let Some((clock, rest)) = text.split_first_chunk::<19>() else { return false };
    let Some(fraction) = rest.strip_suffix(b"+00") else { return false };
    let fraction = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if (1..=precision).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            digits
        }
        _ => return false,
    };
    const FORM: &[u8; 19] = b"0000-00-00 00:00:00";
    let shaped = clock
        .iter()
        .zip(FORM)
        .fold(true, |shaped, (b, f)| shaped & if *f == b'0' { b.is_ascii_digit() } else { b == f });
    let two =
        |at: usize| (clock[at].wrapping_sub(b'0')).wrapping_mul(10).wrapping_add(clock[at + 1].wrapping_sub(b'0'));
    let usual = shaped
        && clock[0] != b'0'
        && (1..=12).contains(&two(5))
        && (1..=28).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60;
    // Most days of a month are enough for most rows; the leaf knows the calendar.
    if !usual {
        return false;
    }
    let mut moment = *b"\"0000-00-00T00:00:00.000000Z\"";
    moment[1..20].copy_from_slice(clock);
    moment[11] = b'T';
    moment[21..21 + fraction.len()].copy_from_slice(fraction);
    moment[21 + precision] = b'Z';
    moment[22 + precision] = b'"';
    out.extend_from_slice(&moment[..23 + precision]);
    true
}

impl RowText {
    /// `schema`: of the place that the row stands in. `None` if it is not the row's: then there are only trees.
    fn compile(options: &JsonOptions, plan: &RowPlan, schema: &Schema, columns: usize) -> Option<RowText> {
        if schema.fields.len() != plan.fields.len() || plan.fields.iter().any(|f| f.column >= columns) {
            return None;
        }
        let field = |(i, (field, plan)): (usize, (&walspring_record::Field, &walspring_record::FieldPlan))| {
            let mut label = vec![if i == 0 { b'{' } else { b',' }];
            write_string(&mut label, &field.name);
            label.push(b':');
            FieldText {
                label: label.into(),
                column: plan.column,
                fast: FastPath::of(options, &plan.leaf, &field.schema),
                leaf: plan.leaf.clone(),
                schema: field.schema.clone(),
                name: field.name.clone(),
                null: constant(options, &field.schema, &plan.null),
                unavailable: match &plan.leaf {
                    Leaf::Strict(strict) if plan.is_unavailable_unknown() => {
                        Err(strict.refusal(Surprise::ToastUnknown).into())
                    }
                    _ => constant(options, &field.schema, &plan.unavailable),
                },
                unavailable_unknown: plan.is_unavailable_unknown(),
                fails: plan.on_error == ConversionFailure::Fail,
            }
        };
        let fields = schema.fields.iter().zip(&plan.fields).enumerate().map(field).collect();
        Some(RowText { columns, fields })
    }

    #[inline]
    fn write(
        &self,
        options: &JsonOptions,
        row: RowRef<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), ConvertError> {
        for field in &self.fields {
            out.extend_from_slice(&field.label);
            let cell = row.cells[field.column];
            match cell.get(row.bytes) {
                Some(text) => {
                    if !field.fast.write(text, out) {
                        field.write(options, text, scratch, out, warnings)?;
                    }
                }
                None if cell.is_unchanged() => {
                    put(&field.unavailable, out)?;
                    if field.unavailable_unknown {
                        warnings.surprises.add(&field.name, Surprise::ToastUnknown);
                    }
                }
                None => put(&field.null, out)?,
            }
        }
        // Asked once a row: which column it was is found out when it happens.
        if scratch.is_surprised() {
            self.tell_surprises(row, scratch, warnings);
        }
        out.extend_from_slice(if self.fields.is_empty() { b"{}" } else { b"}" });
        Ok(())
    }
}

impl RowText {
    #[cold]
    fn tell_surprises(&self, row: RowRef<'_>, scratch: &mut Scratch, warnings: &mut Warnings) {
        scratch.take_surprise();
        for field in &self.fields {
            let Some(text) = row.cells[field.column].get(row.bytes) else { continue };
            // What fails has been told of already.
            let read = field.leaf.read(text, scratch).is_ok();
            match scratch.take_surprise() {
                Some(surprise) if read => warnings.surprises.add(&field.name, surprise),
                _ => {}
            }
        }
    }
}

impl FieldText {
    fn write(
        &self,
        options: &JsonOptions,
        text: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), ConvertError> {
        match self.leaf.read(text, scratch) {
            Ok(scalar) => write_scalar(options, &self.schema, scalar, out),
            Err(e) if self.fails => Err(e.into()),
            Err(_) => {
                warnings.failed(&self.name, Surprise::of_failure(&self.leaf, text));
                put(&self.null, out)
            }
        }
    }
}

/// As the tree of the scalar would be written; allocates for what is made of several values only.
fn write_scalar(
    options: &JsonOptions,
    schema: &Schema,
    scalar: Scalar<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    let plain = || Logical::of(schema).is_none();
    match (scalar, schema.ty) {
        (Scalar::String(text), Type::String) => write_string(out, text),
        (Scalar::Bytes(bytes), Type::Bytes) if plain() => write_base64(out, bytes),
        (Scalar::Bytes(bytes), Type::Bytes) if !options.numeric_decimals => write_base64(out, java::minimal(bytes)),
        (Scalar::ScaledDecimal { scale, unscaled }, Type::Struct) if is_scaled_decimal(schema) => {
            out.push(b'{');
            write_string(out, &schema.fields[0].name);
            out.push(b':');
            write_int(out, scale);
            out.push(b',');
            write_string(out, &schema.fields[1].name);
            out.push(b':');
            write_base64(out, unscaled);
            out.push(b'}');
        }
        (scalar, _) => return tree::write(options, Some(schema), &scalar.into_value(), out),
    }
    Ok(())
}

fn is_scaled_decimal(schema: &Schema) -> bool {
    matches!(&schema.fields[..], [scale, value]
        if scale.schema.ty == Type::Int32 && value.schema.ty == Type::Bytes && Logical::of(&value.schema).is_none())
}

struct ValueEncoder {
    options: JsonOptions,
    /// `{"before":`, after the envelope's schema if it has one.
    open: Box<[u8]>,
    before: RowText,
    before_null: Constant,
    /// `,"after":`
    after_label: Box<[u8]>,
    /// `None`: as `before`.
    after: Option<RowText>,
    after_null: Constant,
    source: SourceText,
    transaction: TransactionText,
    /// By [`Op`]: `,"op":"c","ts_ms":`
    ops: [Box<[u8]>; 5],
    /// `,"ts_us":`, `,"ts_ns":`
    seen: [Box<[u8]>; 2],
    /// `}`, or two.
    close: &'static [u8],
    /// From `op` on, as it was written last, and for what.
    end: Vec<u8>,
    end_of: Option<(Op, i64)>,
    scratch: Scratch,
}

/// `,"name":`
fn label(field: &walspring_record::Field) -> Vec<u8> {
    let mut text = vec![b','];
    write_string(&mut text, &field.name);
    text.push(b':');
    text
}

fn has_types(schema: &Schema, types: &[Type]) -> bool {
    schema.ty == Type::Struct
        && schema.fields.len() == types.len()
        && schema.fields.iter().zip(types).all(|(f, ty)| f.schema.ty == *ty && Logical::of(&f.schema).is_none())
}

impl ValueEncoder {
    fn compile(options: JsonOptions, plan: &RecordPlan, columns: usize) -> Option<ValueEncoder> {
        use Type::{Int64, String, Struct};
        let envelope = &plan.envelope;
        if !has_types(envelope, &[Struct, Struct, Struct, Struct, String, Int64, Int64, Int64]) {
            return None;
        }
        let [before, after, source, transaction, op, ms, us, ns] = &envelope.fields[..] else { return None };
        let mut open = vec![b'{'];
        open.extend_from_slice(&label(before)[1..]);
        let same = before.schema.fields == after.schema.fields;
        let op_text = |o: Op| {
            let mut text = label(op);
            write_string(&mut text, o.as_str());
            text.extend(label(ms));
            text.into()
        };
        Some(ValueEncoder {
            open: prefix(&options, envelope, &open)?,
            before: RowText::compile(&options, &plan.row, &before.schema, columns)?,
            before_null: constant(&options, &before.schema, &Value::Null),
            after_label: label(after).into(),
            after: match same {
                true => None,
                false => Some(RowText::compile(&options, &plan.row, &after.schema, columns)?),
            },
            after_null: constant(&options, &after.schema, &Value::Null),
            source: SourceText::compile(&options, source, &plan.source)?,
            transaction: TransactionText::compile(&options, transaction)?,
            // In the order of `Op`.
            ops: [Op::Read, Op::Create, Op::Update, Op::Delete, Op::Truncate].map(op_text),
            seen: [label(us).into(), label(ns).into()],
            close: if options.schemas { b"}}" } else { b"}" },
            end: Vec::new(),
            end_of: None,
            scratch: Scratch::default(),
            options,
        })
    }

    #[inline]
    fn write(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), ConvertError> {
        let columns = self.before.columns;
        out.extend_from_slice(&self.open);
        match step.before {
            Some(first) => {
                self.before.write(&self.options, batch.row(first, columns), &mut self.scratch, out, warnings)?;
            }
            None => put(&self.before_null, out)?,
        }
        out.extend_from_slice(&self.after_label);
        match step.after {
            Some(first) => {
                let after = self.after.as_ref().unwrap_or(&self.before);
                after.write(&self.options, batch.row(first, columns), &mut self.scratch, out, warnings)?;
            }
            None => put(&self.after_null, out)?,
        }
        let transaction = &batch.transactions[change.transaction as usize];
        self.source.write(transaction, change, out)?;
        self.transaction.write(transaction, change, step, out)?;
        // Rows that were read together were seen together.
        if self.end_of != Some((step.op, change.seen_us)) {
            self.write_end(step.op, change.seen_us);
        }
        out.extend_from_slice(&self.end);
        Ok(())
    }

    fn write_end(&mut self, op: Op, seen_us: i64) {
        let (end, seen) = (&mut self.end, Instant::of(seen_us));
        end.clear();
        end.extend_from_slice(&self.ops[op as usize]);
        seen.write_ms(end);
        end.extend_from_slice(&self.seen[0]);
        seen.write_us(end);
        end.extend_from_slice(&self.seen[1]);
        seen.write_ns(end);
        end.extend_from_slice(self.close);
        self.end_of = Some((op, seen_us));
    }
}

impl RowEncoder for ValueEncoder {
    fn encode(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<Presence, ConvertError> {
        if step.tombstone {
            return Ok(Presence::Null);
        }
        let start = out.len();
        match self.write(batch, change, step, out, warnings) {
            Ok(()) => Ok(Presence::Bytes),
            Err(e) => {
                out.truncate(start);
                Err(e)
            }
        }
    }
}

/// Microseconds since 1970 as digits, which milliseconds and nanoseconds share.
struct Instant {
    us: i64,
    /// The microseconds, and three zeros.
    digits: [u8; 24],
    len: usize,
}

impl Instant {
    #[inline]
    fn of(us: i64) -> Instant {
        let mut digits = [b'0'; 24];
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(us).as_bytes();
        digits[..text.len()].copy_from_slice(text);
        Instant { us, digits, len: text.len() }
    }

    /// From a millisecond after 1970 on, as long as nanoseconds do not overflow.
    #[inline]
    fn shares_digits(&self) -> bool {
        (1000..i64::MAX / 1000).contains(&self.us)
    }

    #[inline]
    fn write_ms(&self, out: &mut Vec<u8>) {
        match self.shares_digits() {
            true => out.extend_from_slice(&self.digits[..self.len - 3]),
            false => write_int(out, self.us.div_euclid(1000)),
        }
    }

    #[inline]
    fn write_us(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digits[..self.len]);
    }

    #[inline]
    fn write_ns(&self, out: &mut Vec<u8>) {
        match self.shares_digits() {
            true => out.extend_from_slice(&self.digits[..self.len + 3]),
            false => write_int(out, self.us.wrapping_mul(1000)),
        }
    }
}

struct SourceText {
    /// `,"source":{"version":…,"ts_ms":`
    open: Box<[u8]>,
    /// By [`SnapshotMark`]: `,"snapshot":…,"db":…,"sequence":`
    snapshot: [Constant; 7],
    /// `,"ts_us":`, `,"ts_ns":`
    us_label: Box<[u8]>,
    ns_label: Box<[u8]>,
    /// `,"schema":…,"table":…,"txId":`
    table: Box<[u8]>,
    xid_null: Constant,
    lsn: Number,
    xmin: Number,
    /// The label, and a null.
    origin: (Box<[u8]>, Constant),
    origin_lsn: Number,
    /// The last three where all are null, and the end.
    rest_null: Constant,
    shared: SharedSource,
}

/// What rows of one transaction have in common of `source`, as it was written last: all but `lsn`, which stands in it twice.
#[derive(Default)]
struct SharedSource {
    of: Option<SharedBy>,
    /// Up to the change's part of `sequence`.
    open: Vec<u8>,
    /// From there to the number of `lsn`.
    middle: Vec<u8>,
}

/// What it depends on.
#[derive(PartialEq)]
struct SharedBy {
    commit_us: i64,
    last_commit: Option<u64>,
    xid: Option<u32>,
    snapshot: SnapshotMark,
}

/// A field that may be null.
struct Number {
    label: Box<[u8]>,
    null: Constant,
}

impl Number {
    fn compile(options: &JsonOptions, field: &walspring_record::Field) -> Number {
        Number { label: label(field).into(), null: constant(options, &field.schema, &Value::Null) }
    }

    #[inline]
    fn write(&self, value: Option<u64>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        out.extend_from_slice(&self.label);
        number(value, &self.null, out)
    }
}

#[inline]
fn number(value: Option<u64>, null: &Constant, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    match value {
        Some(value) => {
            write_int(out, value as i64);
            Ok(())
        }
        None => put(null, out),
    }
}

const MARKS: [SnapshotMark; 7] = [
    SnapshotMark::False,
    SnapshotMark::True,
    SnapshotMark::First,
    SnapshotMark::FirstInDataCollection,
    SnapshotMark::LastInDataCollection,
    SnapshotMark::Last,
    SnapshotMark::Incremental,
];

impl SourceText {
    fn compile(options: &JsonOptions, source: &walspring_record::Field, plan: &SourcePlan) -> Option<SourceText> {
        use Type::{Int64, String};
        let types = [
            String, String, String, Int64, String, String, String, Int64, Int64, String, String, Int64, Int64, Int64,
            String, Int64,
        ];
        if !has_types(&source.schema, &types) {
            return None;
        }
        let fields = &source.schema.fields;
        let text = |parts: &[(usize, Option<&str>)]| {
            let mut out = Vec::new();
            for (field, value) in parts {
                out.extend(label(&fields[*field]));
                if let Some(value) = value {
                    write_string(&mut out, value);
                }
            }
            out
        };
        let mut open = label(source);
        open.push(b'{');
        let names = text(&[(0, Some(&plan.version)), (1, Some(&plan.connector)), (2, Some(&plan.name)), (3, None)]);
        open.extend_from_slice(&names[1..]);
        let mark = |mark: SnapshotMark| -> Constant {
            let value = if mark == SnapshotMark::False { Value::Null } else { Value::string(mark.as_str()) };
            let mut out = label(&fields[4]);
            out.extend_from_slice(&constant(options, &fields[4].schema, &value)?);
            out.extend(text(&[(5, Some(&plan.db)), (6, None)]));
            Ok(out.into())
        };
        let null = |i: usize| constant(options, &fields[i].schema, &Value::Null);
        let rest = || -> Constant {
            let mut out = Vec::new();
            for (i, field) in fields.iter().enumerate().skip(13) {
                out.extend(label(field));
                out.extend_from_slice(&null(i)?);
            }
            out.push(b'}');
            Ok(out.into())
        };
        Some(SourceText {
            open: open.into(),
            snapshot: MARKS.map(mark),
            us_label: text(&[(7, None)]).into(),
            ns_label: text(&[(8, None)]).into(),
            table: text(&[(9, Some(&plan.namespace)), (10, Some(&plan.table)), (11, None)]).into(),
            xid_null: null(11),
            lsn: Number::compile(options, &fields[12]),
            xmin: Number::compile(options, &fields[13]),
            origin: (label(&fields[14]).into(), null(14)),
            origin_lsn: Number::compile(options, &fields[15]),
            rest_null: rest(),
            shared: SharedSource::default(),
        })
    }

    #[inline]
    fn write(&mut self, t: &Transaction, change: &Change, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        let of = SharedBy {
            commit_us: t.commit_us,
            last_commit: t.last_commit_lsn.map(|l| l.0),
            xid: t.xid,
            snapshot: change.snapshot,
        };
        if self.shared.of.as_ref() != Some(&of) {
            self.write_shared(of)?;
        }
        let mut digits = itoa::Buffer::new();
        let lsn = digits.format(change.change_lsn.0).as_bytes();
        out.extend_from_slice(&self.shared.open);
        // Told also where `lsn` is not.
        out.extend_from_slice(lsn);
        out.extend_from_slice(&self.shared.middle);
        // A long of Java's has a sign.
        match i64::try_from(change.change_lsn.0) {
            _ if !t.has_lsn => put(&self.lsn.null, out)?,
            Ok(_) => out.extend_from_slice(lsn),
            Err(_) => write_int(out, change.change_lsn.0 as i64),
        }
        if t.xmin.is_none() && t.origin.is_none() && t.origin_lsn.is_none() {
            return put(&self.rest_null, out);
        }
        self.xmin.write(t.xmin, out)?;
        out.extend_from_slice(&self.origin.0);
        match &t.origin {
            Some(origin) => write_string(out, origin),
            None => put(&self.origin.1, out)?,
        }
        self.origin_lsn.write(t.origin_lsn.map(|l| l.0), out)?;
        out.push(b'}');
        Ok(())
    }

    fn write_shared(&mut self, of: SharedBy) -> Result<(), ConvertError> {
        let mut shared = SharedSource { of: None, ..std::mem::take(&mut self.shared) };
        let committed = Instant::of(of.commit_us);
        let out = &mut shared.open;
        out.clear();
        out.extend_from_slice(&self.open);
        committed.write_ms(out);
        put(&self.snapshot[of.snapshot as usize], out)?;
        out.extend_from_slice(b"\"[");
        sequence_part(of.last_commit, out);
        out.extend_from_slice(b",\\\"");
        let out = &mut shared.middle;
        out.clear();
        out.extend_from_slice(b"\\\"]\"");
        out.extend_from_slice(&self.us_label);
        committed.write_us(out);
        out.extend_from_slice(&self.ns_label);
        committed.write_ns(out);
        out.extend_from_slice(&self.table);
        number(of.xid.map(u64::from), &self.xid_null, out)?;
        out.extend_from_slice(&self.lsn.label);
        shared.of = Some(of);
        self.shared = shared;
        Ok(())
    }
}

/// One element of `source.sequence`: JSON inside of a JSON string.
#[inline]
fn sequence_part(lsn: Option<u64>, out: &mut Vec<u8>) {
    match lsn {
        Some(lsn) => {
            out.extend_from_slice(b"\\\"");
            write_int(out, lsn);
            out.extend_from_slice(b"\\\"");
        }
        None => out.extend_from_slice(b"null"),
    }
}

struct TransactionText {
    /// `,"transaction":`
    label: Box<[u8]>,
    null: Constant,
    /// `{"id":`, `,"total_order":`, `,"data_collection_order":`
    fields: [Box<[u8]>; 3],
}

impl TransactionText {
    fn compile(options: &JsonOptions, transaction: &walspring_record::Field) -> Option<TransactionText> {
        if !has_types(&transaction.schema, &[Type::String, Type::Int64, Type::Int64]) {
            return None;
        }
        let [id, total, collection] = &transaction.schema.fields[..] else { return None };
        let mut open = label(id);
        open[0] = b'{';
        Some(TransactionText {
            label: label(transaction).into(),
            null: constant(options, &transaction.schema, &Value::Null),
            fields: [open.into(), label(total).into(), label(collection).into()],
        })
    }

    #[inline]
    fn write(&self, t: &Transaction, change: &Change, step: &Step, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        out.extend_from_slice(&self.label);
        if change.order.total == 0 {
            return put(&self.null, out);
        }
        out.extend_from_slice(&self.fields[0]);
        out.push(b'"');
        match t.xid {
            Some(xid) => write_int(out, xid),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b':');
        write_int(out, change.change_lsn.0);
        out.push(b'"');
        out.extend_from_slice(&self.fields[1]);
        write_int(out, (change.order.total + step.order_shift) as i64);
        out.extend_from_slice(&self.fields[2]);
        write_int(out, (change.order.data_collection + step.order_shift) as i64);
        out.push(b'}');
        Ok(())
    }
}
