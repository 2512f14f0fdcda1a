//! Keys of Redis from records: the original's key space and record key, or a pattern with fields.

use walspring_connect::SinkRecord;
use walspring_record::{FieldRef, Fields, Typed, Value};

use crate::text::Texts;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    /// `${topic}`
    Topic,
    /// `${key}`: the record's key; of a struct its fields' values with separators between.
    Key,
    /// `{NAME}`
    Field(String),
}

/// What keys are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    pub segments: Vec<Segment>,
    separator: String,
}

/// Why a record has no key in Redis. Names fields, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoKey {
    /// Neither the record's key nor its row has the field, or it is null.
    Field(String),
    /// The record has no key.
    Record,
    /// A value that has no text form; the converter's words.
    Value(String),
}

impl KeyPattern {
    pub fn parse(pattern: &str, separator: String) -> Result<KeyPattern, String> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let segment = if let Some(after) = rest.strip_prefix("{{") {
                literal.push('{');
                rest = after;
                continue;
            } else if let Some(after) = rest.strip_prefix("}}") {
                literal.push('}');
                rest = after;
                continue;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or("} is missing")?;
                rest = after;
                match name {
                    "topic" => Segment::Topic,
                    "key" => Segment::Key,
                    _ => return Err(format!("${{{name}}} is neither ${{topic}} nor ${{key}}; a field is {{{name}}}")),
                }
            } else if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or("} is missing")?;
                if name.trim().is_empty() {
                    return Err("{} names no field".to_owned());
                }
                rest = after;
                Segment::Field(name.trim().to_owned())
            } else if first == '}' {
                return Err("{ is missing before a }; }} is a brace".to_owned());
            } else {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal)));
            }
            segments.push(segment);
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(KeyPattern { segments, separator })
    }

    /// `redis.keyspace`, and the record's key behind it. Only `${topic}` is special in a key space.
    pub fn keyspace(keyspace: &str, separator: String, with_key: bool) -> KeyPattern {
        let mut segments = Vec::new();
        for (i, literal) in keyspace.split("${topic}").enumerate() {
            if i > 0 {
                segments.push(Segment::Topic);
            }
            if !literal.is_empty() {
                segments.push(Segment::Literal(literal.to_owned()));
            }
        }
        if with_key {
            if !segments.is_empty() && !separator.is_empty() {
                segments.push(Segment::Literal(separator.clone()));
            }
            segments.push(Segment::Key);
        }
        KeyPattern { segments, separator }
    }

    /// The key for a record whose row is `row`. Fields of the record's key win over the row's.
    pub fn render(&self, record: &SinkRecord, row: Option<Fields<'_>>, texts: &Texts) -> Result<Vec<u8>, NoKey> {
        let mut out = Vec::new();
        let key_fields = Fields::of_typed(&record.key);
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Segment::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Segment::Key => self.record_key(&record.key, texts, &mut out)?,
                Segment::Field(name) => {
                    let field = key_fields.and_then(|fields| fields.get(name));
                    let field = field.or_else(|| row.and_then(|row| row.get(name)));
                    let field = field.filter(|field| !field.value.is_null()).ok_or(NoKey::Field(name.clone()))?;
                    texts.plain(field, &mut out).map_err(|e| NoKey::Value(e.message))?;
                }
            }
        }
        Ok(out)
    }

    /// Whether a field of the row, not of the record's key, is in the pattern: then the row's key in Redis may change.
    pub fn depends_on_row(&self, record: &SinkRecord) -> bool {
        let key_fields = Fields::of_typed(&record.key);
        self.segments.iter().any(|segment| match segment {
            Segment::Field(name) => key_fields.and_then(|fields| fields.get(name)).is_none_or(|f| f.value.is_null()),
            _ => false,
        })
    }

    /// The names of the fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The record's key alone. The original prints a struct as Java does (`Struct{id=1}`); here it is its values.
    pub fn record_key(&self, key: &Typed, texts: &Texts, out: &mut Vec<u8>) -> Result<(), NoKey> {
        match (&key.value, Fields::of_typed(key)) {
            (Value::Null, _) => return Err(NoKey::Record),
            (Value::Bytes(bytes), _) => out.extend_from_slice(bytes),
            (_, Some(fields)) => {
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(self.separator.as_bytes());
                    }
                    texts.plain(field, out).map_err(|e| NoKey::Value(e.message))?;
                }
            }
            (value, None) => {
                let field = FieldRef { name: "key", schema: key.schema.as_ref(), value };
                texts.plain(field, out).map_err(|e| NoKey::Value(e.message))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use walspring_connect::Origin;

    fn map(pairs: &[(&str, Value)]) -> Typed {
        let pairs = pairs.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect();
        Typed { schema: None, value: Value::Map(pairs) }
    }

    fn record(key: Typed) -> SinkRecord {
        let topic: Arc<str> = "s.public.t".into();
        let origin = Origin { topic: topic.clone(), partition: 0, kafka_offset: 0 };
        SinkRecord { topic, key, value: Typed::NULL, headers: Vec::new(), timestamp_ms: None, origin }
    }

    #[test]
    fn patterns_become_keys() {
        let row = map(&[("id", Value::Int64(8)), ("tenant", Value::string("a:b")), ("none", Value::Null)]);
        let key = map(&[("id", Value::Int64(7))]);
        let render = |pattern: &str| {
            let pattern = KeyPattern::parse(pattern, ":".into()).unwrap();
            let key = pattern.render(&record(key.clone()), Fields::of_typed(&row), &Texts::new());
            key.map(|key| String::from_utf8(key).unwrap())
        };
        assert_eq!(render("booking:{id}").unwrap(), "booking:7", "the record's key wins");
        assert_eq!(render("${topic}:{{{tenant}}}:${key}").unwrap(), "s.public.t:{a:b}:7");
        assert_eq!(render("x{nope}"), Err(NoKey::Field("nope".into())));
        assert_eq!(render("x{none}"), Err(NoKey::Field("none".into())));
        for wrong in ["{", "a{b", "a}", "{}", "${x}", "${"] {
            assert!(KeyPattern::parse(wrong, String::new()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_key_space_goes_before_the_record_s_key() {
        let render = |keyspace: &str, key: Typed| {
            let pattern = KeyPattern::keyspace(keyspace, "/".into(), true);
            String::from_utf8(pattern.render(&record(key), None, &Texts::new()).unwrap()).unwrap()
        };
        let text = || Typed { schema: None, value: Value::string("k") };
        assert_eq!(render("${topic}", text()), "s.public.t/k");
        assert_eq!(render("x{id}${topic}y", text()), "x{id}s.public.ty/k");
        assert_eq!(render("", text()), "k");
        assert_eq!(render("", map(&[("a", Value::Int32(1)), ("b", Value::string("z"))])), "1/z");
        assert_eq!(render("", Typed { schema: None, value: Value::bytes(*b"raw") }), "raw");
    }
}
