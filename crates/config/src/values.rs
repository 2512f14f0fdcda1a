//! How texts become values, as Kafka's `ConfigDef` reads them.

use crate::option::Kind;

pub fn boolean(raw: &str) -> Option<bool> {
    let raw = raw.trim();
    if raw.eq_ignore_ascii_case("true") {
        Some(true)
    } else if raw.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// At commas, with space around them left out. Empty items stay, an empty text is an empty list.
pub fn list(raw: &str) -> Vec<String> {
    let raw = raw.trim();
    if raw.is_empty() { Vec::new() } else { raw.split(',').map(|item| item.trim().to_owned()).collect() }
}

/// The value as Kafka prints it back, or what is wrong with it.
pub fn printed(kind: Kind, raw: &str) -> Result<String, String> {
    let trimmed = raw.trim();
    let number = |parsed: Option<String>| parsed.ok_or_else(|| format!("Not a number of type {}", kind.name()));
    match kind {
        Kind::Boolean => {
            boolean(raw).map(|value| value.to_string()).ok_or("Expected value to be either true or false".to_owned())
        }
        Kind::Int => number(trimmed.parse::<i32>().ok().map(|value| value.to_string())),
        Kind::Short => number(trimmed.parse::<i16>().ok().map(|value| value.to_string())),
        Kind::Long => number(trimmed.parse::<i64>().ok().map(|value| value.to_string())),
        Kind::Double => number(trimmed.parse::<f64>().ok().map(|_| trimmed.to_owned())),
        Kind::List => Ok(list(raw).join(",")),
        Kind::Password => Ok(raw.to_owned()),
        Kind::String | Kind::Class => Ok(trimmed.to_owned()),
    }
}
