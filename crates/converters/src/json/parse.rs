//! JSON text to a tree, keeping the spelling of numbers: a decimal must not go through a double.
//!
//! Bytes come from outside: nothing here panics, and nesting is bounded as Jackson bounds it.

use std::borrow::Cow;
use std::fmt;

/// Jackson's `StreamReadConstraints`.
const DEPTH_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    /// Empty input.
    Missing,
    Null,
    Boolean(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// In order; of a name that comes twice the last counts.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// How many members an object has.
    pub(super) fn len(&self) -> usize {
        match self {
            Json::Object(members) => members.len(),
            _ => 0,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(s) => Some(s),
            _ => None,
        }
    }

    /// Jackson's `JsonNodeType`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Missing => "MISSING",
            Json::Null => "NULL",
            Json::Boolean(_) => "BOOLEAN",
            Json::Number(_) => "NUMBER",
            Json::String(_) => "STRING",
            Json::Array(_) => "ARRAY",
            Json::Object(_) => "OBJECT",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    what: &'static str,
    at: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// One value; what follows it is not looked at, as the original does not.
pub(super) fn parse(bytes: &[u8]) -> Result<Json<'_>, ParseError> {
    parse_envelope(bytes).map(|(json, _)| json)
}

/// As [`parse`]; and the text of the outermost object's member `schema`.
pub(super) fn parse_envelope(bytes: &[u8]) -> Result<(Json<'_>, Option<&[u8]>), ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|e| ParseError { what: "invalid UTF-8", at: e.valid_up_to() })?;
    let mut parser = Parser { text, at: 0, schema: None };
    parser.skip_space();
    if parser.peek().is_none() {
        return Ok((Json::Missing, None));
    }
    let json = parser.value(0)?;
    Ok((json, parser.schema.map(|(from, to)| &bytes[from..to])))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    schema: Option<(usize, usize)>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, ParseError> {
        Err(ParseError { what, at: self.at })
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, ParseError> {
        if depth > DEPTH_MAX {
            return self.fail("nested too deeply");
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Boolean(true)),
            Some(b'f') => self.word("false", Json::Boolean(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => self.fail("expected a value"),
            None => self.fail("unexpected end of input"),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, ParseError> {
        let rest = &self.text[self.at..];
        let next = rest.as_bytes().get(word.len());
        if !rest.starts_with(word) || next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return self.fail("unknown word");
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, ParseError> {
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a name in double quotes");
            }
            let name = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.fail("expected a colon");
            }
            self.at += 1;
            self.skip_space();
            let from = self.at;
            let value = self.value(depth + 1)?;
            if depth == 0 && name == "schema" {
                self.schema = Some((from, self.at));
            }
            match members.iter_mut().find(|(n, _)| *n == name) {
                Some(member) => member.1 = value,
                None => members.push((name, value)),
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                _ => return self.fail("expected a comma or the end of the object"),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, ParseError> {
        self.at += 1;
        let mut values = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(values));
                }
                _ => return self.fail("expected a comma or the end of the array"),
            }
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<Json<'a>, ParseError> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        // The original's converter takes zeros before a number.
        if self.digits() == 0 {
            return self.fail("expected a digit");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fail("expected a digit after the point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fail("expected a digit in the exponent");
            }
        }
        Ok(Json::Number(&self.text[from..self.at]))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.at += 1;
        let mut from = self.at;
        let mut owned: Option<String> = None;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        Some(text) => Cow::Owned(text + rest),
                        None => Cow::Borrowed(rest),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let escape = self.peek();
                    self.at += 1;
                    let c = match escape {
                        Some(b'b') => '\u{8}',
                        Some(b't') => '\t',
                        Some(b'n') => '\n',
                        Some(b'f') => '\u{c}',
                        Some(b'r') => '\r',
                        Some(c @ (b'"' | b'\\' | b'/')) => c as char,
                        Some(b'u') => self.character()?,
                        _ => {
                            self.at -= 1;
                            return self.fail("unknown escape");
                        }
                    };
                    if let Some(text) = &mut owned {
                        text.push(c);
                    }
                    from = self.at;
                }
                Some(0..0x20) => return self.fail("control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("unexpected end of input in a string"),
            }
        }
    }

    /// After `\u`: one unit, or the two of a surrogate pair. Half a pair becomes U+FFFD: our text is UTF-8.
    fn character(&mut self) -> Result<char, ParseError> {
        let unit = self.unit()?;
        if (0xD800..0xDC00).contains(&unit) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.unit()?;
            if (0xDC00..0xE000).contains(&low) {
                let point = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Result<u32, ParseError> {
        let hex = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .and_then(|h| h.iter().try_fold(0, |n, b| Some(n << 4 | (*b as char).to_digit(16)?)));
        match hex {
            Some(unit) => {
                self.at += 4;
                Ok(unit)
            }
            None => self.fail("expected four hexadecimal digits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_text_is_refused_or_read_and_never_panics() {
        for bad in [
            "{",
            "[1,]",
            "nul",
            "NaN",
            "{'a':1}",
            "\"\\x\"",
            "\"a",
            "-",
            "1.",
            "1e",
            "{\"a\"}",
            "\"\u{1}\"",
            "\"\\u12\"",
            "\\",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\"\xFF\"").is_err());
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert_eq!(parse(b""), Ok(Json::Missing));
        assert_eq!(parse(b"{} x"), Ok(Json::Object(vec![])));
        assert_eq!(parse(b"-1.50e+3"), Ok(Json::Number("-1.50e+3")));
        assert_eq!(parse(br#""a\u00e9\uD83D\uDE00\uD83Dx\n""#), Ok(Json::String("aé😀\u{FFFD}x\n".into())));
        assert_eq!(
            parse(br#"{"a":1,"a":[2]}"#),
            Ok(Json::Object(vec![("a".into(), Json::Array(vec![Json::Number("2")]))]))
        );
    }
}
