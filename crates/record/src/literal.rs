//! Values written as text, without a schema: headers, and literals in a configuration. The type is that which the text
//! looks like.
//!
//! As Connect's `Values.parseString`, but that text which only begins as a number (`1,2`) stays text. The tests are those
//! of the header converter, which reads nothing else.

use std::sync::Arc;

use crate::java::{self, logical};
use crate::{Schema, Type, Typed, Value};

/// Never fails: what looks like nothing else is text.
pub fn parse(text: &str) -> Typed {
    let mut parser = Parser { text, at: 0 };
    if let Some(typed) = parser.value(0) {
        parser.skip_space();
        if parser.at == text.len() && !text.trim_start().starts_with('"') {
            return typed;
        }
    }
    Typed::new(Arc::new(Schema::new(Type::String)), Value::string(text))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Typed> {
        if depth > 100 {
            return None;
        }
        self.skip_space();
        match self.peek()? {
            b'[' => self.array(depth),
            b'{' => self.map(depth),
            b'"' => self.quoted(),
            _ => self.word(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Typed> {
        self.at += 1;
        let mut values = Vec::new();
        if !self.take(b']') {
            loop {
                values.push(self.value(depth + 1)?);
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        let (items, values) = common(values);
        Some(Typed::new(Arc::new(Schema { items, ..Schema::new(Type::Array) }), Value::Array(values)))
    }

    fn map(&mut self, depth: usize) -> Option<Typed> {
        self.at += 1;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        if !self.take(b'}') {
            loop {
                keys.push(self.value(depth + 1)?);
                if !self.take(b':') {
                    return None;
                }
                values.push(self.value(depth + 1)?);
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        let ((key_schema, keys), (items, values)) = (common(keys), common(values));
        let schema = Schema { keys: key_schema, items, ..Schema::new(Type::Map) };
        Some(Typed::new(Arc::new(schema), Value::Map(keys.into_iter().zip(values).collect())))
    }

    fn quoted(&mut self) -> Option<Typed> {
        let mut text = String::new();
        let mut chars = self.text[self.at + 1..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 2;
                    return Some(Typed::new(Arc::new(Schema::new(Type::String)), Value::string(text)));
                }
                '\\' => text.push(chars.next()?.1),
                c => text.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Typed> {
        let rest = &self.text[self.at..];
        // Times have colons inside.
        let len = [24, 13, 10].into_iter().find(|n| rest.get(..*n).is_some_and(|t| moment(t).is_some()));
        let len = len.unwrap_or_else(|| rest.find([',', ']', '}', ':', '"', '[', '{']).unwrap_or(rest.len()));
        let word = rest[..len].trim_ascii_end();
        let typed = match word {
            "null" => Some(Typed::NULL),
            "true" => Some(Typed::new(Arc::new(Schema::new(Type::Boolean)), Value::Boolean(true))),
            "false" => Some(Typed::new(Arc::new(Schema::new(Type::Boolean)), Value::Boolean(false))),
            _ => moment(word).or_else(|| number(word)),
        }?;
        self.at += len;
        Some(typed)
    }
}

/// The smallest integer that holds it; else a float, if it has a fraction or exponent; else a decimal.
fn number(text: &str) -> Option<Typed> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let double: f64 = text.parse().ok().filter(|_| !text.to_ascii_lowercase().contains("inf"))?;
    let plain = |ty, value| Some(Typed::new(Arc::new(Schema::new(ty)), value));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, f)| f.len() as i64);
    let scale = fraction - exponent.parse::<i64>().ok()?;
    if double.abs() < 1e19
        && let Some(bytes) = java::decimal_bytes(text, 0).filter(|b| b.len() <= 8)
    {
        let negative = bytes[0] & 0x80 != 0;
        let n = bytes.iter().fold(if negative { -1i64 } else { 0 }, |n, b| n << 8 | i64::from(*b));
        return match n {
            _ if n == i64::from(n as i8) => plain(Type::Int8, Value::Int8(n as i8)),
            _ if n == i64::from(n as i16) => plain(Type::Int16, Value::Int16(n as i16)),
            _ if n == i64::from(n as i32) => plain(Type::Int32, Value::Int32(n as i32)),
            _ => plain(Type::Int64, Value::Int64(n)),
        };
    }
    if scale != 0 && (double as f32).is_finite() {
        return plain(Type::Float32, Value::Float32(text.parse().ok()?));
    }
    if scale != 0 && double.is_finite() {
        return plain(Type::Float64, Value::Float64(double));
    }
    let scale = i32::try_from(scale).ok()?;
    let schema = Schema::new(Type::Bytes).named(logical::DECIMAL).versioned(1).parameter("scale", scale.to_string());
    Some(Typed::new(Arc::new(schema), Value::bytes(java::decimal_bytes(text, scale)?)))
}

/// `2024-01-01`, `12:00:00.000Z`, or both with a `T`.
fn moment(text: &str) -> Option<Typed> {
    let fits = |form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(b, f)| if f == b'0' { b.is_ascii_digit() } else { b == f })
    };
    let n = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or(0);
    let days = || days_from_civil(n(0, 4), n(5, 7), n(8, 10));
    let clock =
        |at: usize| ((n(at, at + 2) * 60 + n(at + 3, at + 5)) * 60 + n(at + 6, at + 8)) * 1000 + n(at + 9, at + 12);
    let (name, ty, value) = if fits("0000-00-00") {
        (logical::DATE, Type::Int32, Value::Int32(days() as i32))
    } else if fits("00:00:00.000Z") {
        (logical::TIME, Type::Int32, Value::Int32(clock(0) as i32))
    } else if fits("0000-00-00T00:00:00.000Z") {
        (logical::TIMESTAMP, Type::Int64, Value::Int64(days() * 86_400_000 + clock(11)))
    } else {
        return None;
    };
    Some(Typed::new(Arc::new(Schema::new(ty).named(name).versioned(1)), value))
}

/// The inverse of [`java::civil`]; months and days beyond their range count on, as Java's lenient calendar does.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// One schema for all elements, numbers widened to it; `None` where they have none in common.
fn common(elements: Vec<Typed>) -> (Option<Arc<Schema>>, Vec<Value>) {
    let mut schema: Option<Arc<Schema>> = None;
    let mut mixed = false;
    for next in elements.iter().filter_map(|e| e.schema.as_ref()) {
        schema = match schema {
            None => Some(next.clone()),
            Some(s) if s == *next => Some(s),
            Some(s) => match (rank(&s), rank(next)) {
                (Some(a), Some(b)) => Some(if a >= b { s } else { next.clone() }),
                _ => {
                    mixed = true;
                    Some(s)
                }
            },
        };
    }
    let schema = schema.filter(|_| !mixed);
    let widen = |e: Typed| match (&schema, e.value) {
        (Some(s), value) if rank(s).is_some() => widen(s.ty, value),
        (_, value) => value,
    };
    let values = elements.into_iter().map(widen).collect();
    (schema, values)
}

fn rank(schema: &Schema) -> Option<u8> {
    if schema.name.is_some() {
        return None;
    }
    match schema.ty {
        Type::Int8 => Some(0),
        Type::Int16 => Some(1),
        Type::Int32 => Some(2),
        Type::Int64 => Some(3),
        Type::Float32 => Some(4),
        Type::Float64 => Some(5),
        _ => None,
    }
}

fn widen(ty: Type, value: Value) -> Value {
    let integer = match value {
        Value::Int8(v) => i64::from(v),
        Value::Int16(v) => i64::from(v),
        Value::Int32(v) => i64::from(v),
        Value::Int64(v) => v,
        Value::Float32(v) if ty == Type::Float64 => return Value::Float64(f64::from(v)),
        other => return other,
    };
    match ty {
        Type::Int16 => Value::Int16(integer as i16),
        Type::Int32 => Value::Int32(integer as i32),
        Type::Int64 => Value::Int64(integer),
        Type::Float32 => Value::Float32(integer as f32),
        Type::Float64 => Value::Float64(integer as f64),
        _ => Value::Int8(integer as i8),
    }
}
