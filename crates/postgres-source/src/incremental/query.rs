//! The queries of chunks: rows in the order of a key, behind one key and up to another.
//!
//! Keys are compared as rows, which the planner answers from the key's index. A surrogate key may be NULL; those rows come
//! last, as `ORDER BY` has them, and cost the longer comparison.

use walspring_debezium::JavaValue;

use crate::wire::{quote_identifier, quote_literal};

/// A column that orders chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    pub nullable: bool,
    /// `pg_type.typname`
    pub type_name: String,
}

impl KeyColumn {
    /// A value's text as what the original's driver gives for its type; types that it has classes of its own for stay text.
    pub fn value(&self, text: Option<&str>) -> JavaValue {
        let Some(text) = text else { return JavaValue::Null };
        let parsed = match self.type_name.as_str() {
            "int2" | "int4" => text.parse().ok().map(JavaValue::Int),
            "int8" | "oid" => text.parse().ok().map(JavaValue::Long),
            "bool" => Some(JavaValue::Bool(text == "t")),
            "float8" => text.parse::<f64>().ok().map(|n| JavaValue::Double(n.to_bits())),
            "bytea" => text.strip_prefix("\\x").and_then(from_hex).map(JavaValue::Bytes),
            "uuid" => u128::from_str_radix(&text.replace('-', ""), 16).ok().map(JavaValue::Uuid),
            _ => None,
        };
        parsed.unwrap_or_else(|| JavaValue::Text(text.to_owned()))
    }
}

/// As PostgreSQL writes it; `None`: NULL.
pub fn text(value: &JavaValue) -> Option<String> {
    Some(match value {
        JavaValue::Null => return None,
        JavaValue::Int(n) => n.to_string(),
        JavaValue::Long(n) => n.to_string(),
        JavaValue::Text(text) => text.clone(),
        JavaValue::Bool(b) => if *b { "t" } else { "f" }.to_owned(),
        JavaValue::Double(bits) => f64::from_bits(*bits).to_string(),
        JavaValue::Bytes(bytes) => format!("\\x{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        JavaValue::Uuid(n) => {
            let hex = format!("{n:032x}");
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        }
    })
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |d: u8| char::from(d).to_digit(16).map(|d| d as u8);
    hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// The next chunk: `select` is `SELECT … FROM table` without more. Rows that are equal in a surrogate key are never torn
/// apart: the next chunk begins behind the key.
pub fn chunk(
    select: &str,
    keys: &[KeyColumn],
    after: Option<&[JavaValue]>,
    up_to: &[JavaValue],
    condition: Option<&str>,
    rows: usize,
) -> String {
    let mut conditions = Vec::new();
    if let Some(after) = after {
        conditions.push(behind(keys, after));
    }
    conditions.push(not_behind(keys, up_to));
    conditions.extend(condition.map(str::to_owned));
    let order = names(keys, "");
    format!("{select} WHERE {} ORDER BY {order} FETCH FIRST {rows} ROWS WITH TIES", conditions.join(" AND "))
}

/// The largest key.
pub fn maximum(table: &str, keys: &[KeyColumn], condition: Option<&str>) -> String {
    let filter = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
    format!("SELECT {} FROM {table}{filter} ORDER BY {} LIMIT 1", names(keys, ""), names(keys, " DESC"))
}

pub fn names(keys: &[KeyColumn], suffix: &str) -> String {
    keys.iter().map(|k| format!("{}{suffix}", quote_identifier(&k.name))).collect::<Vec<_>>().join(", ")
}

fn literal(value: &JavaValue) -> String {
    text(value).map_or_else(|| "NULL".into(), |text| quote_literal(&text))
}

fn row(items: impl Iterator<Item = String>) -> String {
    format!("ROW({})", items.collect::<Vec<_>>().join(", "))
}

fn compared(keys: &[KeyColumn], operator: &str, values: &[JavaValue]) -> String {
    match (keys, values) {
        ([key], [value]) => format!("{} {operator} {}", quote_identifier(&key.name), literal(value)),
        _ => {
            let columns = row(keys.iter().map(|k| quote_identifier(&k.name)));
            format!("{columns} {operator} {}", row(values.iter().map(literal)))
        }
    }
}

fn behind(keys: &[KeyColumn], values: &[JavaValue]) -> String {
    if !keys.iter().any(|k| k.nullable) {
        return compared(keys, ">", values);
    }
    // Equal in the first columns and behind in the next one, for each number of first columns.
    let alternatives = keys.iter().zip(values).enumerate().filter_map(|(n, (key, value))| {
        let name = quote_identifier(&key.name);
        let last = match text(value) {
            None => return None,
            Some(text) => format!("({name} > {} OR {name} IS NULL)", quote_literal(&text)),
        };
        let equal = keys.iter().zip(values).take(n).map(|(key, value)| {
            let name = quote_identifier(&key.name);
            text(value).map_or_else(|| format!("{name} IS NULL"), |text| format!("{name} = {}", quote_literal(&text)))
        });
        Some(equal.chain([last]).collect::<Vec<_>>().join(" AND "))
    });
    let alternatives: Vec<String> = alternatives.collect();
    // Nothing stands behind a key that is all NULL.
    if alternatives.is_empty() { "FALSE".into() } else { format!("({})", alternatives.join(" OR ")) }
}

fn not_behind(keys: &[KeyColumn], values: &[JavaValue]) -> String {
    if keys.iter().any(|k| k.nullable) {
        return format!("NOT {}", behind(keys, values));
    }
    compared(keys, "<=", values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, nullable: bool, type_name: &str) -> KeyColumn {
        KeyColumn { name: name.into(), nullable, type_name: type_name.into() }
    }

    #[test]
    fn keys_are_compared_as_rows() {
        let keys = [key("a", false, "int4"), key("B", false, "text")];
        let (last, end) =
            ([JavaValue::Int(1), JavaValue::Text("it's".into())], [JavaValue::Int(2), JavaValue::Text(String::new())]);
        assert_eq!(
            chunk("SELECT 1 FROM t", &keys, Some(&last), &end, Some("(c > 1)"), 3),
            "SELECT 1 FROM t WHERE ROW(\"a\", \"B\") > ROW('1', 'it''s') AND ROW(\"a\", \"B\") <= ROW('2', '') AND (c > 1) \
             ORDER BY \"a\", \"B\" FETCH FIRST 3 ROWS WITH TIES"
        );
        assert_eq!(maximum("t", &keys[..1], None), "SELECT \"a\" FROM t ORDER BY \"a\" DESC LIMIT 1");
    }

    #[test]
    fn nulls_come_last() {
        let keys = [key("a", true, "int4")];
        assert_eq!(behind(&keys, &[JavaValue::Int(1)]), "((\"a\" > '1' OR \"a\" IS NULL))");
        assert_eq!(behind(&keys, &[JavaValue::Null]), "FALSE");
        assert_eq!(not_behind(&keys, &[JavaValue::Null]), "NOT FALSE");
    }

    #[test]
    fn values_keep_their_text() {
        for (type_name, text_form) in
            [("int4", "-5"), ("int8", "5"), ("uuid", "00000000-0000-4000-8000-000000000005"), ("date", "2026-01-01")]
        {
            assert_eq!(text(&key("k", false, type_name).value(Some(text_form))).as_deref(), Some(text_form));
        }
        assert_eq!(text(&key("k", false, "int4").value(None)), None);
    }
}
