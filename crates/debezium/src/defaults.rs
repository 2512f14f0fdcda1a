//! Defaults of columns in schemas, read from the expression's text as the original reads it: literals as they stand, zero
//! for calls of functions, nothing for what is neither.

use walspring_record::leaf::{self, Civil, DateForm, TimestampForm};
use walspring_record::{Column, Leaf, Type, TypeKind, Value};

use crate::modifier::{Modifier, parse_modifier};
use crate::types::Mapped;

/// The default in the shape of the field; `None` without one, or where the original finds none.
pub fn default_value(column: &Column, mapped: &Mapped) -> Option<Value> {
    let expression = column.default.as_deref()?;
    // By the column's own type: the original knows no defaults of domains. Nor can a struct be a default.
    if mapped.schema.ty == Type::Struct {
        return None;
    }
    if let TypeKind::Enum(_) = column.ty.kind {
        return enum_literal(expression, &column.ty.name).map(Value::string);
    }
    if !matches!(column.ty.kind, TypeKind::Base) || &*column.ty.namespace != "pg_catalog" {
        return None;
    }
    let trimmed = expression.trim();
    let read = |text: Option<String>| mapped.leaf.value(text?.as_bytes()).ok();
    match &*column.ty.name {
        "bpchar" | "varchar" | "text" | "xml" => literal(expression, "").map(Value::string),
        "json" | "jsonb" => literal(expression, "{}").map(Value::string),
        "bit" => read(literal(trimmed, "00")),
        "varbit" => read(literal(trimmed, "0")),
        "bool" => literal(trimmed, "false").map(|v| Value::Boolean(v.eq_ignore_ascii_case("true"))),
        "int2" | "int4" | "int8" => read(literal(trimmed, "0")),
        "float4" | "float8" => read(literal(trimmed, "0.0")),
        "numeric" => numeric(&literal(trimmed, "0.0")?, parse_modifier(column.modifier, "numeric"), mapped),
        "uuid" => literal(trimmed, "00000000-0000-0000-0000-000000000000").filter(|u| u.len() == 36).map(Value::string),
        "date" => date(literal(trimmed, "1970-01-01")?, &mapped.leaf),
        "time" => read(literal(trimmed, "00:00")),
        "timestamp" => timestamp(literal(trimmed, "1970-01-01")?, &mapped.leaf),
        // The driver cannot move its ends of time to UTC.
        "timestamptz" => read(literal(trimmed, "1970-01-01").filter(|text| !text.ends_with("infinity"))),
        "interval" => read(literal(trimmed, "00:00:00")),
        _ => None,
    }
}

/// The text of a default; `generated` for what a function gives.
fn literal(expression: &str, generated: &str) -> Option<String> {
    const MOMENTS: [&str; 5] = ["current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"];
    if is_call(expression) || MOMENTS.iter().any(|m| expression.eq_ignore_ascii_case(m)) {
        return Some(generated.to_owned());
    }
    match expression.split_once('\'') {
        None => (!expression.starts_with("NULL::")).then(|| expression.to_owned()),
        Some((_, rest)) => quoted(rest),
    }
}

/// The text up to the closing quote, doubled quotes made single.
fn quoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if c == '\'' && !chars.as_str().starts_with('\'') {
            return Some(text);
        }
        if c == '\'' {
            chars.next();
        }
        text.push(c);
    }
    None
}

/// `name(…)` at the head, after one opening bracket at most.
fn is_call(expression: &str) -> bool {
    let rest = expression.strip_prefix('(').unwrap_or(expression);
    let name_len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    let line = rest[name_len..].lines().next().unwrap_or("");
    name_len > 0 && line.strip_prefix('(').is_some_and(|arguments| arguments.contains(')'))
}

/// `'ok'::mood`: quotes are left doubled, and the cast must name the column's type.
fn enum_literal(expression: &str, type_name: &str) -> Option<String> {
    let (value, cast) = expression.rsplit_once("::")?;
    let cast = match cast.strip_suffix('"') {
        Some(quoted) => quoted.rsplit_once('"')?.1,
        None => cast.rsplit('.').next()?,
    };
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
    (cast == type_name).then(|| value.to_owned())
}

/// At the column's scale, like its values; none if that would round.
fn numeric(text: &str, modifier: Modifier, mapped: &Mapped) -> Option<Value> {
    let number = leaf::parse_number(text.as_bytes()).ok()?;
    let missing = match modifier.length {
        Some(_) => {
            let scale = modifier.scale as usize;
            if number.fraction.iter().skip(scale).any(|d| *d != b'0') {
                return None;
            }
            scale.saturating_sub(number.fraction.len())
        }
        None => 0,
    };
    if mapped.leaf != Leaf::DecimalText {
        return mapped.leaf.value(text.as_bytes()).ok();
    }
    let dot = if number.fraction.is_empty() && missing > 0 { "." } else { "" };
    Some(Value::string(format!("{text}{dot}{}", "0".repeat(missing))))
}

/// The first and the last day of Java, which stand for the infinite ones in defaults.
const JAVA_FIRST: Civil = Civil { year: -999_999_999, month: 1, day: 1 };
const JAVA_LAST: Civil = Civil { year: 999_999_999, month: 12, day: 31 };

fn date(text: String, leaf: &Leaf) -> Option<Value> {
    let infinite = match text.as_str() {
        "infinity" => JAVA_LAST,
        "-infinity" => JAVA_FIRST,
        _ => return leaf.value(text.as_bytes()).ok(),
    };
    match leaf {
        // Cut to 32 bits.
        Leaf::Date { form: DateForm::Days, .. } => Some(Value::Int32(leaf::days_from_civil(infinite) as i32)),
        Leaf::Date { form: DateForm::Iso, .. } => {
            let sign = if infinite.year > 0 { "+" } else { "" };
            Some(Value::string(format!("{sign}{}-{:02}-{:02}Z", infinite.year, infinite.month, infinite.day)))
        }
        _ => None,
    }
}

fn timestamp(text: String, leaf: &Leaf) -> Option<Value> {
    let last = match text.as_str() {
        "infinity" => true,
        "-infinity" => false,
        _ => return leaf.value(text.as_bytes()).ok(),
    };
    match leaf {
        // The original's overflow: seconds saturate, then the fraction wraps.
        Leaf::Timestamp { form: TimestampForm::Micros, .. } => {
            Some(Value::Int64(if last { i64::MAX.wrapping_add(999_999) } else { i64::MIN }))
        }
        Leaf::Timestamp { form: TimestampForm::Iso, .. } => Some(Value::string(if last {
            "+999999999-12-31T23:59:59.999999999Z"
        } else {
            "-999999999-01-01T00:00:00Z"
        })),
        _ => None,
    }
}
