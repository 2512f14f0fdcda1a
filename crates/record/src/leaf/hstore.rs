//! `hstore`: `"a"=>"1", "b"=>NULL`, as JSON or as a map, in the order of the original's maps.

use std::io::Write as _;

use crate::leaf::array::unquote;
use crate::leaf::java_hash::{iteration_order, string_hash};
use crate::leaf::scalar::str;
use crate::leaf::{HstoreForm, LeafError, Scalar, Scratch};
use crate::value::Value;

type Pair = (String, Option<String>);

pub(super) fn hstore<'a>(text: &[u8], form: HstoreForm, scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
    let pairs = parse(text).ok_or_else(|| LeafError::form("an hstore"))?;
    let hashes: Vec<i32> = pairs.iter().map(|(key, _)| string_hash(key)).collect();
    let ordered = iteration_order(&hashes, 16).into_iter().map(|i| &pairs[i]);
    match form {
        HstoreForm::Json => {
            write_json(ordered.map(|(key, value)| (key.as_str(), value.as_deref())), scratch.start());
            scratch.written()
        }
        HstoreForm::Map => {
            let string = |s: &String| Value::string(s.as_str());
            let entry = |(key, value): &Pair| (string(key), value.as_ref().map(string).into());
            Ok(Scalar::Tree(Value::Map(ordered.map(entry).collect())))
        }
    }
}

fn parse(text: &[u8]) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    let mut buffer = Vec::new();
    let mut owned = |rest: &mut &[u8]| {
        *rest = unquote(rest.strip_prefix(b"\"")?, &mut buffer)?;
        str(&buffer).ok().map(str::to_owned)
    };
    while !rest.is_empty() {
        let key = owned(&mut rest)?;
        rest = rest.strip_prefix(b"=>")?;
        let value = match rest.strip_prefix(b"NULL") {
            Some(after) => {
                rest = after;
                None
            }
            None => Some(owned(&mut rest)?),
        };
        pairs.push((key, value));
        if !rest.is_empty() {
            rest = rest.strip_prefix(b", ")?;
        }
    }
    Some(pairs)
}

/// Appends a flat JSON object, escaped as the original's JSON library does.
pub fn write_json<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (key, value)) in pairs.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        match value {
            Some(value) => write_string(value, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

fn write_string(s: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for b in s.bytes() {
        match b {
            b'"' | b'\\' => out.extend([b'\\', b]),
            0x08 => out.extend(b"\\b"),
            b'\t' => out.extend(b"\\t"),
            b'\n' => out.extend(b"\\n"),
            0x0C => out.extend(b"\\f"),
            b'\r' => out.extend(b"\\r"),
            // Writing to a `Vec` cannot fail.
            0..=0x1F => drop(write!(out, "\\u{b:04X}")),
            _ => out.push(b),
        }
    }
    out.push(b'"');
}
