//! A `_bulk` request: for each record a line that says what to do, and a line with the document.

use std::ops::Range;

use serde::Deserialize;

use crate::document::write_text;
use crate::rejection::ErrorAnswer;

/// What an item does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The whole document, new or not.
    Index,
    /// A document that is not there yet.
    Create,
    /// Some fields, or a new document of them.
    Upsert,
    Delete,
}

/// Which document, at which version.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub index: &'a str,
    /// `None`: the cluster makes one.
    pub id: Option<&'a str>,
    /// `None`: not checked.
    pub version: Option<i64>,
    pub routing: Option<&'a str>,
}

/// Of one record.
#[derive(Debug)]
pub struct Item {
    /// The record's place in the batch that was put.
    pub place: usize,
    pub action: Action,
    /// Both lines.
    range: Range<usize>,
}

#[derive(Debug, Default)]
pub struct Bulk {
    body: Vec<u8>,
    items: Vec<Item>,
    ordered: bool,
}

/// Two updates of one document at the same time (its own refresh, another writer) are tried again by the cluster.
const RETRY_ON_CONFLICT: u32 = 3;

const BODY_BYTES_KEPT: usize = 8 * 1024 * 1024;

impl Bulk {
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub fn item(&self, number: usize) -> &Item {
        &self.items[number]
    }

    pub fn clear(&mut self) {
        self.body.clear();
        // One document of a hundred megabytes does not hold them for ever.
        self.body.shrink_to(BODY_BYTES_KEPT);
        self.items.clear();
        self.ordered = false;
    }

    /// The last item alone, which is taken out.
    pub fn split_last(&mut self) -> Bulk {
        let Some(item) = self.items.pop() else { return Bulk::default() };
        let body = self.body.split_off(item.range.start);
        let range = 0..body.len();
        Bulk { items: vec![Item { range, ..item }], body, ordered: self.ordered }
    }

    /// A piece of the body, such as the document that `push` had written there.
    pub fn written(&self, range: Range<usize>) -> &[u8] {
        &self.body[range]
    }

    /// Whether items of one document have to be written in their order, since nothing else checks it.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Appends a record; `document` writes its JSON on one line. Nothing stays where it fails.
    pub fn push<E>(
        &mut self,
        place: usize,
        action: Action,
        target: &Target<'_>,
        document: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.body.len();
        self.push_action(action, target);
        if action != Action::Delete {
            if action == Action::Upsert {
                self.body.extend_from_slice(b"{\"doc\":");
            }
            if let Err(error) = document(&mut self.body) {
                self.body.truncate(start);
                return Err(error);
            }
            if action == Action::Upsert {
                self.body.extend_from_slice(b",\"doc_as_upsert\":true}");
            }
            self.body.push(b'\n');
        }
        self.ordered |= target.id.is_some() && target.version.is_none();
        self.items.push(Item { place, action, range: start..self.body.len() });
        Ok(())
    }

    fn push_action(&mut self, action: Action, target: &Target<'_>) {
        let name = match action {
            Action::Index => "index",
            Action::Create => "create",
            Action::Upsert => "update",
            Action::Delete => "delete",
        };
        let body = &mut self.body;
        body.extend_from_slice(format!("{{\"{name}\":{{\"_index\":").as_bytes());
        write_text(target.index, body);
        for (name, value) in [("_id", target.id), ("routing", target.routing)] {
            if let Some(value) = value {
                body.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write_text(value, body);
            }
        }
        if let Some(version) = target.version {
            body.extend_from_slice(format!(",\"version\":{version},\"version_type\":\"external\"").as_bytes());
        }
        if action == Action::Upsert {
            body.extend_from_slice(format!(",\"retry_on_conflict\":{RETRY_ON_CONFLICT}").as_bytes());
        }
        body.extend_from_slice(b"}}\n");
    }

    /// The body of a request with these of its items, in their order.
    pub fn body_of<'b>(&'b self, items: &[usize], scratch: &'b mut Vec<u8>) -> &'b [u8] {
        if items.len() == self.items.len() {
            return &self.body;
        }
        scratch.clear();
        for item in items {
            scratch.extend_from_slice(&self.body[self.items[*item].range.clone()]);
        }
        scratch
    }
}

/// What to ask for, so that an answer is no larger than it has to be.
pub const PATH: &str = "/_bulk?filter_path=items.*.status,items.*.result,items.*.error";

/// What became of an item.
#[derive(Debug)]
pub struct ItemAnswer {
    pub status: u16,
    /// The document was not there (of a delete).
    pub not_found: bool,
    pub error: ErrorAnswer,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(alias = "create", alias = "update", alias = "delete")]
    index: Inner,
}

#[derive(Deserialize)]
struct Inner {
    status: u16,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    error: Option<ErrorAnswer>,
}

/// One for each item that was sent; `None` where the answer is not that of a bulk request.
pub fn answers(body: &[u8], sent: usize) -> Option<Vec<ItemAnswer>> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let items = answer.items.into_iter().map(|Wrapped { index: inner }| ItemAnswer {
        status: inner.status,
        not_found: inner.result.as_deref() == Some("not_found"),
        error: inner.error.unwrap_or_default(),
    });
    let items: Vec<ItemAnswer> = items.collect();
    (items.len() == sent).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_two_lines_and_can_be_sent_again_alone() {
        let mut bulk = Bulk::default();
        let target = Target { index: "t", id: Some("a\"b"), version: Some(7), routing: None };
        let document = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(b"{\"x\":1}");
            Ok(())
        };
        bulk.push(0, Action::Index, &target, document).unwrap();
        assert!(bulk.push(1, Action::Index, &target, |_| Err(())).is_err());
        bulk.push(2, Action::Delete, &target, document).unwrap();
        let update = Target { version: None, routing: Some("r"), ..target };
        bulk.push(3, Action::Upsert, &update, document).unwrap();
        bulk.push(4, Action::Create, &Target { id: None, ..update }, document).unwrap();
        let lines = [
            r#"{"index":{"_index":"t","_id":"a\"b","version":7,"version_type":"external"}}"#,
            r#"{"x":1}"#,
            r#"{"delete":{"_index":"t","_id":"a\"b","version":7,"version_type":"external"}}"#,
            r#"{"update":{"_index":"t","_id":"a\"b","routing":"r","retry_on_conflict":3}}"#,
            r#"{"doc":{"x":1},"doc_as_upsert":true}"#,
            r#"{"create":{"_index":"t","routing":"r"}}"#,
            r#"{"x":1}"#,
        ];
        let mut scratch = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text(bulk.body_of(&[0, 1, 2, 3], &mut scratch)), format!("{}\n", lines.join("\n")));
        assert_eq!(text(bulk.body_of(&[1, 2], &mut scratch)), format!("{}\n", lines[2..5].join("\n")));
        assert_eq!((0..4).map(|i| bulk.item(i).place).collect::<Vec<_>>(), [0, 2, 3, 4]);
    }

    #[test]
    fn answers_are_counted() {
        let body =
            br#"{"items":[{"index":{"status":201,"result":"created"}},{"delete":{"status":404,"result":"not_found"}},
            {"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}}]}"#;
        let items = answers(body, 3).unwrap();
        assert_eq!(items.iter().map(|i| i.status).collect::<Vec<_>>(), [201, 404, 400]);
        assert!(items[1].not_found);
        assert_eq!(items[2].error.kind(), "mapper_parsing_exception");
        assert!(answers(body, 2).is_none());
        assert!(answers(b"{}", 0).is_none());
        assert!(answers(b"<html>", 1).is_none());
    }
}
