//! A record's key as spans and log lines show it: short, and what people know it by.

use std::borrow::Cow;

/// A UUID as JSON, with its field's name, fits.
pub const KEY_CHARS_MAX: usize = 64;

/// Text as it is, without the schema that a JSON converter puts around it; other bytes as hexadecimal digits. What is
/// longer is cut and ends in `…`.
pub fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.contains('\0') => cut(without_schema(text), KEY_CHARS_MAX).into_owned(),
        _ => {
            let bytes = &key[..key.len().min(KEY_CHARS_MAX / 2)];
            let mut text = String::with_capacity(KEY_CHARS_MAX + 5);
            text.push_str("0x");
            for byte in bytes {
                text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('?')));
            }
            if bytes.len() < key.len() {
                text.push('…');
            }
            text
        }
    }
}

/// The first `chars` characters.
pub fn cut(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// `{"schema":…,"payload":…}`: the payload. Only for show, so it is looked for, not parsed.
fn without_schema(text: &str) -> &str {
    const PAYLOAD: &str = "},\"payload\":";
    let payload = || {
        let body = text.strip_prefix("{\"schema\":")?.strip_suffix('}')?;
        Some(&body[body.find(PAYLOAD)? + PAYLOAD.len()..])
    };
    payload().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_readable() {
        assert_eq!(shown(br#"{"id":1}"#), r#"{"id":1}"#);
        let schema = r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"payload"}]},"payload":{"id":1}}"#;
        assert_eq!(shown(schema.as_bytes()), r#"{"id":1}"#);
        assert_eq!(shown(&[0, 255, 16]), "0x00ff10");
        assert_eq!(shown("é".repeat(70).as_bytes()), format!("{}…", "é".repeat(64)));
        assert_eq!(shown(&[0; 33]), format!("0x{}…", "0".repeat(64)));
        assert_eq!(shown(b""), "");
    }

    proptest::proptest! {
        #[test]
        fn every_key_is_shown_and_short(key: Vec<u8>, text in "(\\{\"schema\":)?.*(\\},\"payload\":)?.*\\}?") {
            for key in [key.as_slice(), text.as_bytes()] {
                assert!(shown(key).chars().count() <= KEY_CHARS_MAX + 3);
            }
        }
    }
}
