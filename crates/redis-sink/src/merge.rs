//! JSON texts of rows. Where a column did not change and the record does not say what it is, it is taken from the text
//! that Redis has, or that an earlier record of the batch wrote; if there is none, it is left out.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::operation::{DocumentField, Operation, Then};

/// The texts of keys that matter to a run of operations.
#[derive(Debug, Default)]
pub struct Known(HashMap<Vec<u8>, Option<Vec<u8>>>);

impl Known {
    /// The keys whose texts have to be read before the operations are done.
    pub fn wanted<'a>(operations: impl Iterator<Item = &'a Operation>) -> Vec<Vec<u8>> {
        let holes = operations.filter(|operation| match &operation.then {
            Then::Document(fields) => fields.iter().any(|field| field.json.is_none()),
            _ => false,
        });
        let mut keys: Vec<Vec<u8>> =
            holes.flat_map(|operation| [Some(operation.key.clone()), operation.obsolete.clone()]).flatten().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub fn read(&mut self, key: Vec<u8>, text: Option<Vec<u8>>) {
        self.0.insert(key, text);
    }

    /// The document's text, and the key's from now on.
    pub fn complete(&mut self, operation: &Operation, fields: &[DocumentField]) -> Vec<u8> {
        let holes = fields.iter().any(|field| field.json.is_none());
        // Where the row moves, its text is under the old key. A repetition finds it under the new one.
        let keys = [operation.obsolete.as_ref(), Some(&operation.key)].into_iter().flatten().filter(|_| holes);
        let texts = keys.filter_map(|key| self.0.get(key)?.as_deref());
        let bases: Vec<HashMap<String, &RawValue>> =
            texts.filter_map(|text| serde_json::from_slice(text).ok()).collect();
        let known = |name: &str| bases.iter().find_map(|base| base.get(name)).map(|raw| raw.get().as_bytes());
        let mut out = vec![b'{'];
        for field in fields {
            let json = field.json.as_deref().or_else(|| known(&field.name));
            let Some(json) = json else { continue };
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(serde_json::Value::from(field.name.as_str()).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(json);
        }
        out.push(b'}');
        out
    }

    /// What was read of the key holds no longer.
    pub fn written(&mut self, key: &[u8], text: Option<&[u8]>) {
        if let Some(known) = self.0.get_mut(key) {
            *known = text.map(<[u8]>::to_vec);
        }
    }
}
