//! Operations as commands of Redis's protocol, many in one write, and which record each answer is for.

use crate::merge::Known;
use crate::operation::{Operation, Then};

/// Commands to be sent in one go.
#[derive(Debug, Default)]
pub struct Pipeline {
    pub bytes: Vec<u8>,
    /// For each command the place of its record.
    pub records: Vec<usize>,
}

impl Pipeline {
    pub fn push(&mut self, record: usize, operation: &Operation, known: &mut Known) {
        if let Some(obsolete) = operation.obsolete.as_deref() {
            self.command(record, &[b"DEL", obsolete]);
        }
        let key = &*operation.key;
        let seconds = operation.expiry.map(|seconds| seconds.to_string());
        let mut written = None;
        match &operation.then {
            Then::Gone => self.command(record, &[b"DEL", key]),
            Then::Text(text) => {
                self.set(record, key, text, seconds.as_deref());
                written = Some(text.clone());
            }
            Then::Document(fields) => {
                let text = known.complete(operation, fields);
                self.set(record, key, &text, seconds.as_deref());
                written = Some(text);
            }
            Then::Hash { set, remove, .. } => {
                if !set.is_empty() {
                    let pairs = set.iter().flat_map(|(name, value)| [&**name, &**value]);
                    let parts: Vec<&[u8]> = [&b"HSET"[..], key].into_iter().chain(pairs).collect();
                    self.command(record, &parts);
                }
                if !remove.is_empty() {
                    let names = remove.iter().map(|name| &**name);
                    let parts: Vec<&[u8]> = [&b"HDEL"[..], key].into_iter().chain(names).collect();
                    self.command(record, &parts);
                }
                if let Some(seconds) = &seconds {
                    self.command(record, &[b"EXPIRE", key, seconds.as_bytes()]);
                }
            }
            Then::Member(member, true) => {
                self.command(record, &[b"SADD", key, member]);
                if let Some(seconds) = &seconds {
                    self.command(record, &[b"EXPIRE", key, seconds.as_bytes()]);
                }
            }
            Then::Member(member, false) => self.command(record, &[b"SREM", key, member]),
        }
        known.written(key, written.as_deref());
        if let Some(obsolete) = operation.obsolete.as_deref() {
            known.written(obsolete, None);
        }
    }

    fn set(&mut self, record: usize, key: &[u8], text: &[u8], seconds: Option<&str>) {
        match seconds {
            Some(seconds) => self.command(record, &[b"SET", key, text, b"EX", seconds.as_bytes()]),
            None => self.command(record, &[b"SET", key, text]),
        }
    }

    fn command(&mut self, record: usize, parts: &[&[u8]]) {
        write_command(&mut self.bytes, parts);
        self.records.push(record);
    }
}

/// A command as an array of bulk strings.
pub fn write_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}
