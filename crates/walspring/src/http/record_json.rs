//! A record as JSON, and back. A key or value that is JSON stands in it as it is, byte for byte; any other is a string,
//! and a field beside it says how it is written: `"value_encoding":"text"` or `"base64"`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use walspring_log::StoredRecord;

/// Appends one object.
pub fn append(out: &mut Vec<u8>, record: &StoredRecord) {
    let StoredRecord { partition, kafka_offset, timestamp_ms, .. } = record;
    out.extend_from_slice(
        format!(r#"{{"partition":{partition},"offset":{kafka_offset},"timestamp":{timestamp_ms},"#).as_bytes(),
    );
    append_field(out, "key", "key_encoding", record.key.as_deref());
    out.push(b',');
    append_field(out, "value", "value_encoding", record.value.as_deref());
    out.extend_from_slice(br#","headers":["#);
    for (index, (name, value)) in record.headers.iter().enumerate() {
        out.extend_from_slice(if index > 0 { br#",{"name":"# } else { br#"{"name":"# });
        append_text(out, name);
        out.push(b',');
        append_field(out, "value", "encoding", value.as_deref());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn append_field(out: &mut Vec<u8>, name: &str, encoding: &str, bytes: Option<&[u8]>) {
    out.extend_from_slice(format!(r#""{name}":"#).as_bytes());
    let Some(bytes) = bytes else {
        out.extend_from_slice(b"null");
        return;
    };
    let encoded_as = match std::str::from_utf8(bytes) {
        // A null that is written is not the value that is not there.
        Ok(text) if text.trim() != "null" && serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            // A line break inside would end the line of an event stream; in JSON it is mere space.
            out.extend(bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            return;
        }
        Ok(text) => {
            append_text(out, text);
            "text"
        }
        Err(_) => {
            append_text(out, &STANDARD.encode(bytes));
            "base64"
        }
    };
    out.extend_from_slice(format!(r#","{encoding}":"{encoded_as}""#).as_bytes());
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

#[derive(Deserialize)]
pub struct ReadRecord<'a> {
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    key_encoding: Option<&'a str>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    value_encoding: Option<&'a str>,
    #[serde(borrow)]
    headers: Vec<ReadHeader<'a>>,
}

#[derive(Deserialize)]
struct ReadHeader<'a> {
    name: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    encoding: Option<&'a str>,
}

impl ReadRecord<'_> {
    pub fn into_stored(self) -> Result<StoredRecord, String> {
        let headers = self.headers.into_iter().map(|h| Ok((h.name, bytes(h.value, h.encoding)?)));
        Ok(StoredRecord {
            partition: self.partition,
            kafka_offset: self.offset,
            timestamp_ms: self.timestamp,
            key: bytes(self.key, self.key_encoding)?,
            value: bytes(self.value, self.value_encoding)?,
            headers: headers.collect::<Result<_, String>>()?,
        })
    }
}

fn bytes(value: Option<&RawValue>, encoding: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let Some(value) = value else { return Ok(None) };
    let text = || serde_json::from_str::<String>(value.get()).map_err(|e| e.to_string());
    Ok(Some(match encoding {
        None => value.get().as_bytes().to_vec(),
        Some("text") => text()?.into_bytes(),
        Some("base64") => STANDARD.decode(text()?).map_err(|e| e.to_string())?,
        Some(other) => return Err(format!("the encoding {other} is not known")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Option<&[u8]>) -> StoredRecord {
        StoredRecord {
            partition: 1,
            kafka_offset: 2,
            timestamp_ms: 3,
            key: None,
            value: value.map(<[u8]>::to_vec),
            headers: vec![("h".into(), Some(b"x".to_vec()))],
        }
    }

    #[test]
    fn json_stands_as_it_is_the_rest_is_marked_and_both_are_read_back() {
        let check = |bytes: Option<&[u8]>, expected: &str| {
            let record = record(bytes);
            let mut out = Vec::new();
            append(&mut out, &record);
            let text = String::from_utf8(out).unwrap();
            let begins = r#"{"partition":1,"offset":2,"timestamp":3,"key":null,"#;
            let ends = r#","headers":[{"name":"h","value":"x","encoding":"text"}]}"#;
            assert_eq!(text, format!("{begins}{expected}{ends}"));
            let back = serde_json::from_str::<ReadRecord>(&text).unwrap().into_stored().unwrap();
            assert_eq!(back, record);
        };
        check(None, r#""value":null"#);
        check(Some(br#"{"a":1.10,"b":12345678901234567890123}"#), r#""value":{"a":1.10,"b":12345678901234567890123}"#);
        check(Some(b"not \"json\""), r#""value":"not \"json\"","value_encoding":"text""#);
        check(Some(b"null"), r#""value":"null","value_encoding":"text""#);
        check(Some(b""), r#""value":"","value_encoding":"text""#);
        check(Some(&[0xff, 0]), r#""value":"/wA=","value_encoding":"base64""#);
    }
}
