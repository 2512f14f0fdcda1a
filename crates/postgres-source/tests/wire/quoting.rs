//! The quoters against the server's own.

use crate::support::{connect, database, walsender};
use proptest::prelude::*;
use std::cell::RefCell;
use walspring_postgres_source::wire::{publication_names, quote_identifier, quote_literal};

/// Names that hurt: quotes, backslashes, percent signs, newlines, emoji, upper case.
fn text(max: usize) -> impl Strategy<Value = String> {
    let char = prop_oneof![prop::sample::select(r#""'\%;-,. abcABC$é😀"#.chars().collect::<Vec<_>>()), any::<char>()];
    prop::collection::vec(char.prop_filter("zero", |&c| c != '\0'), 0..max)
        .prop_map(|chars| chars.into_iter().collect())
}

#[test]
fn literals_and_identifiers_agree_with_format() {
    let db = database();
    let connection = RefCell::new(connect(&db));
    for conforming in ["on", "off"] {
        let set = format!("set standard_conforming_strings = {conforming}; set escape_string_warning = off");
        connection.borrow_mut().batch_execute(&set).expect("a setting");
        proptest!(ProptestConfig::with_cases(300), |(text in text(20))| {
            let mut connection = connection.borrow_mut();
            let literal = quote_literal(&text);
            let row = connection.query_one(&format!("select {literal} as t, format('%L', {literal}) as l, format('%I', {literal}) as i"))
                .expect("a row");
            prop_assert_eq!(row.get("t"), Some(&text[..]));
            prop_assert_eq!(row.get("l"), Some(&literal[..]));
            let theirs = row.get("i").expect("a value");
            // Theirs leaves off the quotes where it can.
            let theirs = if theirs.starts_with('"') { theirs.to_owned() } else { format!("\"{theirs}\"") };
            prop_assert_eq!(theirs, quote_identifier(&text));
        });
    }
}

#[test]
fn identifiers_name_columns() {
    let db = database();
    let connection = RefCell::new(connect(&db));
    proptest!(ProptestConfig::with_cases(200), |(name in text(15))| {
        prop_assume!(!name.is_empty());
        let rows = connection.borrow_mut().query(&format!("select 1 as {}", quote_identifier(&name))).expect("a row");
        prop_assert_eq!(&rows[0].columns()[0].name, &name);
    });
}

#[test]
fn publications_with_hostile_names_can_be_followed() {
    let db = database();
    let names = [r#"x"; drop--"#, "it's", r"back\slash'", "a,b", "UPPER lower", " ", "😀"];
    for name in names {
        db.sql(&format!("create publication {}", quote_identifier(name)));
    }
    db.sql("create table t (a int); create publication \"last\" for table t");
    let slot = db.slot("s");
    let mut connection = walsender(&db);
    connection.batch_execute(&format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput")).expect("a slot");
    let all = publication_names(names.into_iter().chain(["last"]));
    let start = format!("START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names {all})");
    let mut stream = connection.start_replication(&start).expect("a stream");
    db.sql("insert into t values (1)");
    // A publication that the server does not find would be an error at the first change.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut tags = Vec::new();
    while !tags.contains(&b'C') && std::time::Instant::now() < deadline {
        let frame = stream.next(std::time::Duration::from_secs(1)).expect("frames");
        if let Some(walspring_postgres_source::wire::Frame::XLogData { payload, .. }) = frame {
            tags.push(payload[0]);
        }
    }
    assert_eq!(tags, b"BRIC");
}
