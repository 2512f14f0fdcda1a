//! Columns that an event does not have, because they did not change and are stored elsewhere (TOAST): the source writes a
//! placeholder, which must not become a value.
//!
//! A document is replaced as a whole (that is what lets its version be checked), so the value is taken from the document
//! that is there, or from an earlier record of the same batch. The partition's task is the only writer of its keys, and a
//! document that was changed meanwhile has a newer version: what is merged is never older than what it replaces.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use walspring_connect::{CONNECT_EXCEPTION, TaskError};

use crate::client::{Client, Method, Question, RETRIABLE_EXCEPTION};
use crate::rejection::ErrorAnswer;
use crate::writer::whole_error;

/// A document by its index and id.
pub type DocumentKey = (String, String);

/// JSON of top-level fields of documents.
#[derive(Debug, Default)]
pub struct KnownFields {
    documents: HashMap<DocumentKey, HashMap<String, Box<RawValue>>>,
}

/// What to look up: the fields of a document, and how it is routed.
pub struct Wanted {
    pub key: DocumentKey,
    pub routing: Option<String>,
    pub fields: Vec<String>,
}

/// Of an `_mget`: documents that are not small, with the columns that are large.
pub const LOOKUPS_MAX: usize = 64;

#[derive(Deserialize)]
struct Found {
    docs: Vec<FoundDocument>,
}

#[derive(Deserialize)]
struct FoundDocument {
    #[serde(default, rename = "_source")]
    source: HashMap<String, Box<RawValue>>,
    #[serde(default)]
    error: Option<ErrorAnswer>,
}

impl KnownFields {
    pub fn contains(&self, key: &DocumentKey) -> bool {
        self.documents.contains_key(key)
    }

    pub fn clear(&mut self) {
        self.documents.clear();
    }

    pub fn field(&self, key: &DocumentKey, field: &str) -> Option<&str> {
        Some(self.documents.get(key)?.get(field)?.get())
    }

    /// A record of the batch has these fields: what follows takes them from it.
    pub fn replace(&mut self, key: &DocumentKey, document: &[u8]) {
        if let Some(known) = self.documents.get_mut(key) {
            *known = serde_json::from_slice(document).unwrap_or_default();
        }
    }

    /// The document is gone.
    pub fn forget_fields(&mut self, key: &DocumentKey) {
        if let Some(known) = self.documents.get_mut(key) {
            known.clear();
        }
    }

    /// Asks the cluster, as of now (not as of the last refresh).
    pub fn look_up(&mut self, client: &mut Client, mut wanted: Vec<Wanted>) -> Result<(), TaskError> {
        let docs = wanted.iter().map(|w| {
            let mut doc = json!({ "_index": w.key.0, "_id": w.key.1, "_source": { "includes": w.fields } });
            if let Some(routing) = &w.routing {
                doc["routing"] = routing.as_str().into();
            }
            doc
        });
        let body = json!({ "docs": docs.collect::<Vec<_>>() }).to_string();
        let question = Question {
            method: Method::Post,
            path: "/_mget?filter_path=docs._source,docs._index,docs.error",
            content_type: "application/json",
            body: body.as_bytes(),
            about_index: false,
        };
        let answer = client.ask(&question)?;
        if answer.is_too_large {
            if wanted.len() == 1 {
                let index = &wanted[0].key.0;
                let message =
                    format!("A document of index {index} has unchanged values that are too large to be read back");
                return Err(TaskError::definite(CONNECT_EXCEPTION, message)
                    .hint("set walspring.unavailable.values=omit, or REPLICA IDENTITY FULL on the table"));
            }
            let second = wanted.split_off(wanted.len() / 2);
            self.look_up(client, wanted)?;
            return self.look_up(client, second);
        }
        let found: Option<Found> = if answer.status == 200 { serde_json::from_slice(&answer.body).ok() } else { None };
        let Some(found) = found.filter(|found| found.docs.len() == wanted.len()) else {
            return Err(whole_error(client, "to give documents back", answer.status, &answer.body));
        };
        for (w, found) in wanted.into_iter().zip(found.docs) {
            if let Some(error) = found.error.filter(|error| error.kind() != "index_not_found_exception") {
                return Err(not_read(client, &w.key.0, &error));
            }
            self.documents.insert(w.key, found.source);
        }
        Ok(())
    }
}

/// A document that cannot be read is not one that is not there: its values would be lost.
fn not_read(client: &Client, index: &str, error: &ErrorAnswer) -> TaskError {
    let message = format!("{} does not give a document of {index} back: {}", client.node(), error.shown(&|_| false));
    match error.kind() {
        "illegal_argument_exception" | "security_exception" => TaskError::definite(CONNECT_EXCEPTION, message).hint(
            "unchanged values are read back from the one index behind the name, for which the user needs the right to read; \
             set walspring.unavailable.values=omit to leave them out",
        ),
        _ => TaskError::transient(RETRIABLE_EXCEPTION, message),
    }
}
