//! Property: however a run of events is cut into batches, the table is what they make of it one by one.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use walspring_connect::{SinkRecord, SinkTask};

use crate::support::*;

#[derive(Debug, Clone)]
enum Event {
    /// `None`: the column's placeholder, or no such field at all.
    Upsert {
        key: u8,
        label: Option<u8>,
        note: Option<u8>,
    },
    Delete {
        key: u8,
    },
    /// A row whose key changes: a delete, a tombstone, and a row.
    Move {
        from: u8,
        to: u8,
        label: u8,
    },
    Truncate,
}

fn event() -> impl Strategy<Value = Event> {
    let key = 0u8..5;
    prop_oneof![
        6 => (key.clone(), prop::option::of(0u8..4), prop::option::of(any::<u8>()))
            .prop_map(|(key, label, note)| Event::Upsert { key, label, note }),
        2 => key.clone().prop_map(|key| Event::Delete { key }),
        2 => (key.clone(), key, 0u8..4).prop_map(|(from, to, label)| Event::Move { from, to, label }),
        1 => Just(Event::Truncate),
    ]
}

fn pairs(event: &Event) -> Vec<(Option<String>, Option<String>)> {
    let id = |key: &u8| format!(r#"{{"id":{key}}}"#);
    match event {
        Event::Upsert { key, label, note } => {
            let label = label.map_or(String::new(), |label| format!(r#","label":"{label}""#));
            let note = note.map_or("__debezium_unavailable_value".to_owned(), |note| note.to_string());
            vec![upsert(&id(key), &format!(r#"{{"id":{key}{label},"note":"{note}"}}"#))]
        }
        Event::Delete { key } => vec![delete(&id(key)), tombstone(&id(key))],
        Event::Move { from, to, label } => vec![
            delete(&id(from)),
            tombstone(&id(from)),
            upsert(&id(to), &format!(r#"{{"id":{to},"label":"{label}","note":"moved"}}"#)),
        ],
        Event::Truncate => vec![(None, Some(envelope("t", "null", "null")))],
    }
}

/// Leaves out what the source's own unique index over the label would have refused.
fn possible(events: Vec<Event>) -> Vec<Event> {
    let mut labels = std::collections::HashMap::new();
    let taken = |labels: &std::collections::HashMap<u8, u8>, label: u8, key: u8| {
        labels.iter().any(|(other, held)| *other != key && *held == label)
    };
    let holds = |event: &Event| match *event {
        Event::Upsert { key, label: Some(label), .. } => {
            !taken(&labels, label, key) && {
                labels.insert(key, label);
                true
            }
        }
        Event::Upsert { label: None, .. } => true,
        Event::Delete { key } => {
            labels.remove(&key);
            true
        }
        Event::Move { from, to, label } => {
            let held = labels.remove(&from);
            let possible = !taken(&labels, label, to);
            match (possible, held) {
                (true, _) => drop(labels.insert(to, label)),
                (false, Some(held)) => drop(labels.insert(from, held)),
                (false, None) => {}
            }
            possible
        }
        Event::Truncate => {
            labels.clear();
            true
        }
    };
    let mut holds = holds;
    events.into_iter().filter(|event| holds(event)).collect()
}

fn check(table: &str, options: &[(&str, &str)], cases: u32) {
    let db = database();
    db.sql(table);
    let mut options = options.to_vec();
    options.extend([("truncate.enabled", "true"), ("batch.size", "3")]);
    let task: std::cell::RefCell<Box<dyn SinkTask>> = start(&db, &options).into();
    // More of them by PROPTEST_CASES.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { cases };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (prop::collection::vec(event(), 0..40), prop::collection::vec(1usize..15, 1..10));
    runner
        .run(&strategy, |(events, cuts)| {
            let mut task = task.borrow_mut();
            let pairs: Vec<_> = possible(events).iter().flat_map(pairs).collect();
            let all = records(0, &pairs);
            let mut apply = |batches: &mut dyn Iterator<Item = &[SinkRecord]>| {
                db.sql("truncate t");
                for batch in batches {
                    put(&mut task, batch);
                }
                rows(&db, "select * from t order by id")
            };
            let one_by_one = apply(&mut all.chunks(1));
            let mut rest = &all[..];
            let mut cuts = cuts.iter().cycle();
            let mut batches = std::iter::from_fn(|| {
                let (batch, after) = rest.split_at((*cuts.next()?).min(rest.len()));
                rest = after;
                (!batch.is_empty()).then_some(batch)
            });
            prop_assert_eq!(apply(&mut batches), one_by_one);
            Ok(())
        })
        .unwrap();
}

#[test]
fn batches_of_upserts_and_deletes() {
    check("create table t (id int primary key, label text, note text)", &[], 60);
}

#[test]
fn batches_of_updates() {
    check("create table t (id int primary key, label text, note text)", &[("insert.mode", "update")], 30);
}

#[test]
fn batches_that_a_second_unique_index_takes_apart() {
    check("create table t (id int primary key, label text unique, note text)", &[], 60);
}
