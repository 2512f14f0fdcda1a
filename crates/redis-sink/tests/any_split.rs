//! However records are cut into batches, and whatever is put once more after a failure, Redis ends in the state that the
//! rows have: a property.

mod support;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use support::*;
use walspring_connect::SinkRecord;
use walspring_record::Value;
use walspring_testkit::redis;

#[derive(Debug, Clone)]
enum Change {
    /// The row's id, its status (which may be in the key), its number, and its note: none, unchanged, or this.
    Write {
        id: i64,
        status: u8,
        number: Option<i64>,
        note: Note,
    },
    Delete {
        id: i64,
    },
}

#[derive(Debug, Clone)]
enum Note {
    Null,
    Unchanged,
    Is(String),
}

fn change() -> impl Strategy<Value = Change> {
    let note = prop_oneof![
        2 => Just(Note::Unchanged),
        1 => Just(Note::Null),
        2 => "[a-z\"\\\\é\n]{0,8}".prop_map(Note::Is),
    ];
    prop_oneof![
        4 => (0..4i64, 0..3u8, proptest::option::of(any::<i64>()), note)
            .prop_map(|(id, status, number, note)| Change::Write { id, status, number, note }),
        1 => (0..4i64).prop_map(|id| Change::Delete { id }),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    status: u8,
    number: Option<i64>,
    note: Option<String>,
}

impl Row {
    fn value(&self, id: i64, note: Value) -> Value {
        let number = self.number.map_or(Value::Null, Value::Int64);
        let status = Value::string(format!("s{}", self.status));
        map(&[("id", Value::Int64(id)), ("status", status), ("number", number), ("note", note)])
    }

    fn full(&self, id: i64) -> Value {
        self.value(id, self.note.as_deref().map_or(Value::Null, Value::string))
    }
}

/// Events as the source would send them with REPLICA IDENTITY FULL for the key's columns, and the rows in the end.
fn history(changes: &[Change]) -> (Vec<SinkRecord>, BTreeMap<i64, Row>) {
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut records = Vec::new();
    for change in changes {
        match change {
            Change::Write { id, status, number, note } => {
                let old = rows.get(id).cloned();
                // A new row has all its values.
                let unchanged = matches!(note, Note::Unchanged) && old.is_some();
                let note = match (note, &old) {
                    (Note::Is(text), _) => Some(text.clone()),
                    (Note::Unchanged, Some(old)) => old.note.clone(),
                    _ => None,
                };
                // A null that did not change is a null.
                let unchanged = unchanged && note.is_some();
                let row = Row { status: *status, number: *number, note };
                let after = if unchanged { row.value(*id, Value::string(PLACEHOLDER)) } else { row.full(*id) };
                let (op, before) = match &old {
                    Some(old) => ("u", old.full(*id)),
                    None => ("c", Value::Null),
                };
                records.push(event(op, *id, before, after));
                rows.insert(*id, row);
            }
            Change::Delete { id } => {
                if let Some(old) = rows.remove(id) {
                    records.push(event("d", *id, old.full(*id), Value::Null));
                    records.push(tombstone(*id));
                }
            }
        }
    }
    (records, rows)
}

fn expected(kind: &str, moving: bool, rows: &BTreeMap<i64, Row>) -> BTreeMap<String, String> {
    let each = rows.iter().map(|(id, row)| {
        let key = if moving { format!("s{}:{id}", row.status) } else { format!("row:{id}") };
        let contents = if kind == "HASH" {
            let mut hash = BTreeMap::from([("id", id.to_string()), ("status", format!("s{}", row.status))]);
            hash.extend(row.number.map(|number| ("number", number.to_string())));
            hash.extend(row.note.clone().map(|note| ("note", note)));
            format!("{hash:?}")
        } else {
            let json = serde_json::json!({
                "id": id, "status": format!("s{}", row.status), "number": row.number, "note": row.note,
            });
            json.to_string()
        };
        (key, contents)
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_and_any_repetition_ends_in_the_same_state(
        changes in proptest::collection::vec(change(), 1..40),
        cuts in proptest::collection::vec((1..8usize, 0..6usize), 1..12),
        kind in prop_oneof![Just("HASH"), Just("STRING")],
        moving in any::<bool>(),
        multiexec in any::<bool>(),
    ) {
        static DATABASE: OnceLock<String> = OnceLock::new();
        let uri = DATABASE.get_or_init(|| redis().database()).clone();
        Client::new(&uri).ask("FLUSHDB");
        let (records, rows) = history(&changes);
        let key = if moving { "{status}:{id}" } else { "row:{id}" };
        let multiexec = multiexec.to_string();
        let options = [("redis.type", kind), ("walspring.sink.key", key), ("redis.multiexec", &multiexec)];
        let mut task = task(&uri, &options);
        let (mut from, mut cuts) = (0, cuts.into_iter().cycle());
        while from < records.len() {
            let (length, again) = cuts.next().unwrap();
            let to = (from + length).min(records.len());
            put(&mut *task, &records[from..to]).unwrap();
            // What a restart does: the last ones come once more, in order.
            from = to.saturating_sub(again.min(length - 1)).max(from + 1).min(to);
        }
        prop_assert_eq!(Client::new(&uri).state(), expected(kind, moving, &rows));
    }
}
