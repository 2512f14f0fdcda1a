//! Why the cluster refuses something, in words that may be logged.
//!
//! Its reasons quote values ("Preview of field's value: 'x'", "document with id '7'", "For input string: \"x\""). Only the
//! kind of error goes on, and of the reason what is known to be no value: our own names of fields and indices, and the
//! names of types, in brackets.

use serde::Deserialize;

/// An error as the cluster tells it, of an item or of a whole request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorAnswer {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    caused_by: Option<Box<ErrorAnswer>>,
}

/// `{"error":{…},"status":…}`; `error` is a text where a proxy or an old node answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WholeAnswer {
    error: Option<serde_json::Value>,
}

impl ErrorAnswer {
    /// Of the body of an answer that is an error.
    pub fn of_body(body: &[u8]) -> ErrorAnswer {
        let whole: WholeAnswer = serde_json::from_slice(body).unwrap_or_default();
        whole.error.and_then(|error| serde_json::from_value(error).ok()).unwrap_or_default()
    }

    /// Such as `mapper_parsing_exception`.
    pub fn kind(&self) -> &str {
        // A kind is a word of the cluster's; what is not spelled like one is not shown.
        match &self.kind {
            Some(kind) if !kind.is_empty() && kind.len() <= 80 && kind.bytes().all(is_word) => kind,
            _ => "no kind of error",
        }
    }

    pub fn reason_contains(&self, text: &str) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.contains(text))
            || self.caused_by.as_ref().is_some_and(|cause| cause.reason_contains(text))
    }

    /// Kind and reason, without values. `known` are names that may be shown.
    pub fn shown(&self, known: &dyn Fn(&str) -> bool) -> String {
        let mut text = self.kind().to_owned();
        if let Some(reason) = &self.reason {
            text.push_str(": ");
            text.push_str(&without_values(reason, known));
        }
        if let Some(cause) = &self.caused_by
            && cause.kind() != self.kind()
        {
            text.push_str(&format!(" (caused by {})", cause.kind()));
        }
        text
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'_'
}

/// What can stand in brackets or after "type": what a mapping can call a field, and words of reasons.
const TYPES: &[&str] = &[
    "boolean",
    "byte",
    "short",
    "integer",
    "long",
    "float",
    "double",
    "half_float",
    "scaled_float",
    "unsigned_long",
    "text",
    "keyword",
    "binary",
    "date",
    "date_nanos",
    "ip",
    "object",
    "nested",
    "flat_object",
    "flattened",
    "geo_point",
    "geo_shape",
    "version",
    "wildcard",
];
const REASON_CHARS_MAX: usize = 300;

/// Begins where values begin.
const PREVIEWS: &[&str] = &["Preview of field", ". Preview", "For input string"];

fn without_values(reason: &str, known: &dyn Fn(&str) -> bool) -> String {
    let end = PREVIEWS.iter().filter_map(|preview| reason.find(preview)).min().unwrap_or(reason.len());
    let mut rest = reason[..end].trim_end_matches(['.', ' ']);
    let mut out = String::new();
    while let Some(at) = rest.find(['[', '\'', '"', '`', '{', '<']) {
        out.push_str(&rest[..at]);
        let open = rest[at..].chars().next().unwrap_or('[');
        let close = match open {
            '[' => ']',
            '{' => '}',
            '<' => '>',
            same => same,
        };
        let after = &rest[at + 1..];
        // What is not closed is a value to its end.
        let (inside, following) = match after.find(close) {
            Some(length) => (&after[..length], &after[length + 1..]),
            None => (after, ""),
        };
        out.push(open);
        out.push_str(if open == '[' && (TYPES.contains(&inside) || known(inside)) { inside } else { "…" });
        out.push(close);
        rest = following;
    }
    out.push_str(rest);
    out.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &str, reason: &str) -> String {
        let error: ErrorAnswer = serde_json::from_value(serde_json::json!({ "type": kind, "reason": reason })).unwrap();
        error.shown(&|name| name == "qty")
    }

    #[test]
    fn reasons_are_told_without_values() {
        for (reason, expected) in [
            (
                "failed to parse field [qty] of type [integer] in document with id '4711'. Preview of field's value: 'x'",
                "failed to parse field [qty] of type [integer] in document with id '…'",
            ),
            ("failed to parse date field [4711] with format [x]", "failed to parse date field […] with format […]"),
            (
                "mapper [qty] cannot be changed from type [long] to [text]",
                "mapper [qty] cannot be changed from type [long] to [text]",
            ),
            ("object mapping for [4711", "object mapping for […]"),
            ("For input string: \"4711\"", ""),
            ("bad \"47\" '11' {a} <b>", "bad \"…\" '…' {…} <…>"),
            ("é[ü", "é[…]"),
            ("ü'é'[", "ü'…'[…]"),
        ] {
            assert_eq!(shown("mapper_parsing_exception", reason), format!("mapper_parsing_exception: {expected}"));
        }
        assert_eq!(shown("secret 4711", "x"), "no kind of error: x");
    }

    #[test]
    fn bodies_that_are_no_errors_say_nothing() {
        for body in [&b""[..], b"<html>secret", b"{\"error\":\"secret\"}", b"[]"] {
            assert_eq!(ErrorAnswer::of_body(body).shown(&|_| true), "no kind of error");
        }
    }
}
