//! A strict JSON parser that keeps where each value begins and how numbers are spelled: bodies are refused with the
//! place of the mistake, in the words of the library that the original uses, and a number becomes the string it was
//! written as.

use std::borrow::Cow;

/// Deeper nesting is refused.
const DEPTH_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub kind: Kind,
    /// The byte at which the value begins.
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    /// As it is spelled.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mistake {
    pub message: Cow<'static, str>,
    pub at: usize,
}

/// The whole text is one value; nothing but space: `None`.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    let mut parser = Parser { bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.space();
    if parser.at == parser.bytes.len() {
        return Ok(None);
    }
    let node = parser.value()?;
    parser.space();
    if parser.at < parser.bytes.len() {
        return Err(parser.unexpected("expected the end of the text"));
    }
    Ok(Some(node))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn mistake(&self, message: impl Into<Cow<'static, str>>) -> Mistake {
        Mistake { message: message.into(), at: self.at }
    }

    fn unexpected(&self, expected: &str) -> Mistake {
        match std::str::from_utf8(&self.bytes[self.at..]).ok().and_then(|rest| rest.chars().next()) {
            Some(c) => self.mistake(format!("Unexpected character ('{c}' (code {})): {expected}", u32::from(c))),
            None => self.mistake("Unexpected end-of-input"),
        }
    }

    fn value(&mut self) -> Result<Node, Mistake> {
        let at = self.at;
        let kind = match self.bytes.get(self.at) {
            None => return Err(self.mistake("Unexpected end-of-input")),
            Some(b'{') => self.nested(Parser::object)?,
            Some(b'[') => self.nested(Parser::array)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            Some(_) => self.word()?,
        };
        Ok(Node { kind, at })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Kind, Mistake>) -> Result<Kind, Mistake> {
        if self.depth == DEPTH_MAX {
            return Err(self.mistake(format!("Document nesting depth exceeds the maximum allowed ({DEPTH_MAX})")));
        }
        self.depth += 1;
        self.at += 1;
        let kind = parse(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn object(&mut self) -> Result<Kind, Mistake> {
        const END: &str = "Unexpected end-of-input within/between Object entries";
        let mut entries: Vec<(String, Node)> = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Kind::Object(entries));
        }
        loop {
            self.space();
            match self.bytes.get(self.at) {
                Some(b'"') => {}
                Some(_) => return Err(self.unexpected("was expecting double-quote to start field name")),
                None => return Err(self.mistake(END)),
            }
            let key = self.string()?;
            self.space();
            match self.bytes.get(self.at) {
                Some(b':') => self.at += 1,
                Some(_) => return Err(self.unexpected("was expecting a colon to separate field name and value")),
                None => return Err(self.mistake(END)),
            }
            self.space();
            if self.at == self.bytes.len() {
                return Err(self.mistake(END));
            }
            let value = self.value()?;
            // The last of equal keys counts, in the first one's place.
            match entries.iter_mut().find(|(k, _)| *k == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object(entries));
                }
                Some(_) => return Err(self.unexpected("was expecting comma to separate Object entries")),
                None => return Err(self.mistake(END)),
            }
        }
    }

    fn array(&mut self) -> Result<Kind, Mistake> {
        const END: &str = "Unexpected end-of-input within/between Array entries";
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Kind::Array(items));
        }
        loop {
            self.space();
            if self.at == self.bytes.len() {
                return Err(self.mistake(END));
            }
            items.push(self.value()?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Kind::Array(items));
                }
                Some(_) => return Err(self.unexpected("was expecting comma to separate Array entries")),
                None => return Err(self.mistake(END)),
            }
        }
    }

    /// The text between quotes. Its end is found here, its escapes are left to the JSON library.
    fn string(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(self.mistake("Unexpected end-of-input in VALUE_STRING")),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(&self.bytes[start..self.at]).map_err(|_| Mistake {
            message: "Illegal character in a string: control characters and unknown escapes are not allowed".into(),
            at: start,
        })
    }

    fn number(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Mistake { message: format!("Invalid numeric value: {text}").into(), at: start }),
        }
    }

    fn word(&mut self) -> Result<Kind, Mistake> {
        let start = self.at;
        let rest = std::str::from_utf8(&self.bytes[start..]).unwrap_or_default();
        let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.unexpected(
                "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            ));
        }
        self.at += len;
        match &rest[..len] {
            "null" => Ok(Kind::Null),
            "true" => Ok(Kind::Boolean(true)),
            "false" => Ok(Kind::Boolean(false)),
            word => Err(Mistake {
                message: format!(
                    "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', \
                     'true' or 'false')"
                )
                .into(),
                at: start,
            }),
        }
    }
}

/// Line and column, from 1, of a byte.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    (before.iter().filter(|b| **b == b'\n').count() + 1, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let texts = [
            r#"{"a":[1,-2.5e3,null,true,false,"x\n\u00e9"],"b":{}}"#,
            "[]",
            " 5 ",
            "\"\"",
            "[[[[]]]]",
            "{\"a\" : 1 , \"b\" : 2}",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "[1",
            "[1,",
            "\"x",
            "\"\\",
            "tru",
            "01",
            "1.",
            "-",
            "{]",
            "[}",
            "{1:2}",
            "1 2",
            "\"\u{1}\"",
            "\"\\q\"",
            "{\"a\":1,}",
            "[1,]",
            "é",
            "\u{0}",
        ];
        for text in texts {
            let ours = parse(text);
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:?}: {ours:?}");
            if let (Ok(Some(ours)), Ok(theirs)) = (ours, theirs) {
                assert_eq!(ours.to_value(), theirs, "{text}");
            }
        }
        assert_eq!(parse("  "), Ok(None));
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
