//! Texts with variables: URLs and headers' values.
//!
//! **Invariant**: a value cannot leave its place. In a URL it is percent-encoded and stands behind the host, and it can
//! make no segment of the path empty, `.` or `..`; in a header it has no control characters.

use walspring_connect::{Converter, SinkRecord};
use walspring_converters::json::{JsonConverter, JsonOptions};
use walspring_record::{FieldRef, Fields, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Topic,
    Key,
    Field(String),
}

/// A text with `${topic}`, `${key}` and `${NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("} is missing")?;
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_owned()));
            }
            pieces.push(match name.trim() {
                "" => return Err("${} names nothing".to_owned()),
                "topic" => Piece::Topic,
                "key" => Piece::Key,
                name => Piece::Field(name.to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Template(pieces))
    }

    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Literal(_)))
    }

    /// The text with values put through `escape`. The error says which variable has none.
    fn render(
        &self,
        record: &SinkRecord,
        row: Option<Fields<'_>>,
        escape: impl Fn(&str, &mut String) -> Result<(), String>,
    ) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Topic => escape(&record.topic, &mut out)?,
                Piece::Key => {
                    let fields = Fields::of_typed(&record.key);
                    let only = fields.filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
                    let schema = record.key.schema.as_ref();
                    let field = only.unwrap_or(FieldRef { name: "key", schema, value: &record.key.value });
                    escape(
                        &scalar(field).ok_or("${key}: the record has no key, or one with several fields")?,
                        &mut out,
                    )?;
                }
                Piece::Field(name) => {
                    let of = |fields: Option<Fields<'_>>| nested(fields?, name).and_then(scalar);
                    let value = of(Fields::of_typed(&record.key)).or_else(|| of(row));
                    let value = value.or_else(|| of(Fields::of_typed(&record.value)));
                    let value = value.ok_or_else(|| {
                        format!("${{{name}}}: the record has no such field, or no single value in it")
                    })?;
                    escape(&value, &mut out).map_err(|why| format!("${{{name}}}: {why}"))?;
                }
            }
        }
        Ok(out)
    }

    /// As the value of a header.
    pub fn header(&self, record: &SinkRecord, row: Option<Fields<'_>>) -> Result<String, String> {
        self.render(record, row, |value, out| {
            if value.chars().any(char::is_control) {
                return Err("its value has control characters, which a header cannot have".to_owned());
            }
            out.push_str(value);
            Ok(())
        })
    }
}

/// `NAME`, or `NAME.NAME` in what the field holds.
fn nested<'a>(fields: Fields<'a>, path: &str) -> Option<FieldRef<'a>> {
    if let Some(field) = fields.get(path) {
        return Some(field);
    }
    let (first, rest) = path.split_once('.')?;
    nested(fields.below(first)?, rest)
}

/// A single value as text; `None`: it is null, or has parts.
fn scalar(field: FieldRef<'_>) -> Option<String> {
    match field.value {
        Value::Null | Value::Array(_) | Value::Map(_) | Value::Struct(_) => None,
        Value::String(text) => Some(text.to_string()),
        Value::Bytes(bytes) if field.schema.is_none() => String::from_utf8(bytes.to_vec()).ok(),
        value => {
            let options = JsonOptions { schemas: false, numeric_decimals: true, ..JsonOptions::default() };
            let mut out = Vec::new();
            JsonConverter::new(options).encode("", field.schema, value, &mut out).ok()?;
            Some(String::from_utf8(out).ok()?.trim_matches('"').to_owned())
        }
    }
}

/// A URL whose scheme and host are fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    pub secure: bool,
    pub host: String,
    pub port: u16,
    /// `https://HOST:PORT`
    origin: String,
    /// What stands behind the host: begins with `/` or `?`, or is empty.
    rest: Template,
}

impl UrlTemplate {
    pub fn parse(text: &str) -> Result<UrlTemplate, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or("http://HOST/PATH or https://HOST/PATH is expected")?;
        let secure = match &*scheme.to_ascii_lowercase() {
            "http" => false,
            "https" => true,
            _ => return Err("it begins with http:// or https://".to_owned()),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains("${") {
            return Err("a variable cannot be part of the host: only of what is behind it".to_owned());
        }
        if authority.contains('@') {
            return Err("user and password are options of their own, not part of the URL".to_owned());
        }
        if rest.contains(['#', '\\']) || rest.chars().any(|c| c.is_control() || c == ' ') {
            return Err("it has a fragment, a backslash, a space or a control character".to_owned());
        }
        let parsed: ureq::http::uri::Authority = authority.parse().map_err(|_| "its host is none".to_owned())?;
        let host = parsed.host().to_owned();
        if host.is_empty() {
            return Err("it has no host".to_owned());
        }
        // An empty port, or one that is no number, is left out by the parser.
        let port = match authority[host.len()..].strip_prefix(':') {
            Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("its port is none")?,
            None if secure => 443,
            None => 80,
        };
        let rest = Template::parse(rest)?;
        let origin = format!("{}://{authority}", if secure { "https" } else { "http" });
        let url = UrlTemplate { secure, host, port, origin, rest };
        if let [] | [Piece::Literal(_)] = &url.rest.0[..] {
            let literal = format!("{}{}", url.origin, url.literal());
            literal.parse::<ureq::http::Uri>().map_err(|e| e.to_string())?;
        }
        Ok(url)
    }

    fn literal(&self) -> &str {
        match self.rest.0.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Whether all records have the same URL.
    pub fn is_constant(&self) -> bool {
        self.rest.is_constant()
    }

    pub fn render(&self, record: &SinkRecord, row: Option<Fields<'_>>) -> Result<String, String> {
        let rest = self.rest.render(record, row, |value, out| {
            percent_encode(value, out);
            Ok(())
        })?;
        if !self.is_constant() {
            let path = rest.split('?').next().unwrap_or_default();
            let mut segments = path.split('/').skip(1).peekable();
            while let Some(segment) = segments.next() {
                // A slash at the end may stand in the pattern itself.
                let written = segment.is_empty() && segments.peek().is_none() && self.ends_with_slash();
                if (segment.is_empty() && !written) || segment == "." || segment == ".." {
                    return Err("a value would leave a segment of the URL's path empty, or make it . or ..".to_owned());
                }
            }
        }
        Ok(format!("{}{rest}", self.origin))
    }

    fn ends_with_slash(&self) -> bool {
        let mut path = String::new();
        for piece in &self.rest.0 {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                _ => path.push('x'),
            }
        }
        path.split('?').next().unwrap_or_default().ends_with('/')
    }
}

/// All but RFC 3986's unreserved characters.
fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use walspring_connect::Origin;
    use walspring_record::Typed;

    fn record(fields: &[(&str, Value)]) -> SinkRecord {
        let pairs = fields.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect();
        let value = Typed { schema: None, value: Value::Map(pairs) };
        let topic: Arc<str> = "t/x".into();
        let origin = Origin { topic: topic.clone(), partition: 0, kafka_offset: 0 };
        let key = Typed { schema: None, value: Value::string("k 1") };
        SinkRecord { topic, key, value, headers: Vec::new(), timestamp_ms: None, origin }
    }

    #[test]
    fn a_value_stays_in_its_place() {
        let render = |url: &str, value: &str| {
            let url = UrlTemplate::parse(url).unwrap();
            url.render(&record(&[("v", Value::string(value))]), None)
        };
        for (url, value, expected) in [
            ("http://h/a/${v}", "x", "http://h/a/x"),
            ("http://h/${topic}/${key}?q=${v}", "a&b=c#d", "http://h/t%2Fx/k%201?q=a%26b%3Dc%23d"),
            ("http://h/${v}", "../admin", "http://h/..%2Fadmin"),
            ("http://h/${v}", "@evil.example/", "http://h/%40evil.example%2F"),
            ("http://h?q=${v}", "é\r\n", "http://h?q=%C3%A9%0D%0A"),
            ("http://h/${v}/", "x", "http://h/x/"),
            ("http://h/a?q=${v}", "", "http://h/a?q="),
            ("https://[::1]:8443/${v}", "%2e", "https://[::1]:8443/%252e"),
        ] {
            assert_eq!(render(url, value).as_deref(), Ok(expected));
        }
        for (url, value) in
            [("http://h/${v}", ".."), ("http://h/a/${v}", ""), ("http://h/a/${v}/b", "."), ("http://h/.${v}", ".")]
        {
            assert!(render(url, value).is_err(), "{url} {value}");
        }
        assert!(render("http://h/${nope}", "x").is_err());
    }

    #[test]
    fn a_variable_cannot_be_in_the_host() {
        for url in [
            "http://${v}/",
            "http://h${v}",
            "http://h:${v}/",
            "${v}://h/",
            "http://u:p@h/",
            "ftp://h/",
            "h/x",
            "http:///x",
            "http://h\\${v}",
            "http://h/#${v}",
            "http://h /",
            "http://h:0/",
            "http://h:99999/",
            "http://h/${",
            "http://h:/",
        ] {
            assert!(UrlTemplate::parse(url).is_err(), "{url}");
        }
        let url = UrlTemplate::parse("https://h.example:8443?x=${topic}").unwrap();
        assert_eq!((&*url.host, url.port, url.secure), ("h.example", 8443, true));
        assert_eq!(UrlTemplate::parse("http://[::1]/").unwrap().host, "[::1]");
    }

    #[test]
    fn a_header_has_no_control_characters() {
        let template = Template::parse("id ${v}").unwrap();
        let of = |value: &str| template.header(&record(&[("v", Value::string(value))]), None);
        assert_eq!(of("7").as_deref(), Ok("id 7"));
        for value in ["a\r\nX-Admin: 1", "a\nb", "\0", "\u{85}"] {
            assert!(of(value).is_err());
        }
    }

    #[test]
    fn nested_fields_are_found() {
        let inner = Value::Map(vec![(Value::string("id"), Value::Int64(5))]);
        let record = record(&[("a", inner), ("b.c", Value::Boolean(true))]);
        let render = |text: &str| Template::parse(text).unwrap().header(&record, None);
        assert_eq!(render("${a.id} ${b.c}").as_deref(), Ok("5 true"));
        assert!(render("${a}").is_err());
    }

    proptest::proptest! {
        /// Whatever the values are: the host is what the configuration says, the path has as many segments as it says,
        /// and none of them leads elsewhere.
        #[test]
        fn no_value_leaves_its_place(v in "\\PC{0,12}|[./%@:#?&\\\\\r\n]{0,6}", w in ".{0,6}") {
            let url = UrlTemplate::parse("https://h.example:8443/a/${v}/b-${w}?q=${v}&r=1").unwrap();
            let record = record(&[("v", Value::string(&*v)), ("w", Value::string(&*w))]);
            let Ok(rendered) = url.render(&record, None) else {
                proptest::prop_assert!(v.is_empty() || v == "." || v == "..");
                return Ok(());
            };
            let uri: ureq::http::Uri = rendered.parse().unwrap();
            proptest::prop_assert_eq!(uri.authority().unwrap().as_str(), "h.example:8443");
            proptest::prop_assert_eq!(uri.scheme_str(), Some("https"));
            let segments: Vec<&str> = uri.path().split('/').collect();
            proptest::prop_assert_eq!(segments.len(), 4);
            proptest::prop_assert!(segments[3].starts_with("b-"));
            proptest::prop_assert!(segments[1..].iter().all(|s| !s.is_empty() && *s != "." && *s != ".."));
            let query: Vec<&str> = uri.query().unwrap().split('&').collect();
            proptest::prop_assert!(query.len() == 2 && query[1] == "r=1");
        }
    }
}
