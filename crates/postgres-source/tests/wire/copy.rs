//! COPY … TO STDOUT.

use crate::support::{connect, database, secured};
use std::time::Instant;
use walspring_postgres_source::wire::{Connection, SslMode};

const READ_BYTES: usize = 1 << 20;

#[test]
fn a_million_rows_arrive_whole_and_in_order() {
    let db = database();
    db.sql(
        "create unlogged table t as select i as id, md5(i::text) as a, i * 3 as b from generate_series(1, 1000000) i",
    );
    let mut connection = connect(&db);
    let start = Instant::now();
    let mut copy = connection.copy_out("copy (select * from t) to stdout").expect("a copy");
    let (mut buf, mut rows, mut bytes, mut calls) = (Vec::new(), 0, 0, 0);
    let mut id = 0;
    while let Some(read) = copy.read(&mut buf, READ_BYTES).expect("rows") {
        rows += read;
        bytes += buf.len();
        calls += 1;
        assert_eq!(buf.last(), Some(&b'\n'));
        for line in buf.split_inclusive(|&byte| byte == b'\n') {
            id += 1;
            assert!(line.starts_with(format!("{id}\t").as_bytes()));
        }
        buf.clear();
    }
    drop(copy);
    assert_eq!((rows, id), (1_000_000, 1_000_000));
    println!("COPY: {rows} rows, {bytes} bytes, {calls} calls in {:?}", start.elapsed());
    assert!(connection.is_usable());
    assert_eq!(connection.query_one("select 1").expect("a row").get(0), Some("1"));
}

#[test]
fn copying_works_under_tls() {
    let secured = secured();
    let mut connection = Connection::connect(&secured.config("scram_user", SslMode::Require)).expect("a connection");
    let sql = "copy (select i, repeat('y', i % 3000) from generate_series(1, 50000) i) to stdout";
    let mut copy = connection.copy_out(sql).expect("a copy");
    let mut rows = 0;
    while let Some(row) = copy.next_row().expect("rows") {
        rows += 1;
        let digits = rows.to_string().len();
        assert_eq!(row.len(), digits + 1 + rows % 3000 + 1);
    }
    drop(copy);
    assert_eq!(rows, 50_000);
    assert_eq!(connection.query_one("select 1").expect("a row").get(0), Some("1"));
}

#[test]
fn binary_format_and_empty_tables() {
    let db = database();
    let mut connection = connect(&db);
    let mut copy = connection.copy_out("copy (select 1 where false) to stdout").expect("a copy");
    assert_eq!(copy.next_row().expect("an end"), None);
    assert_eq!(copy.next_row().expect("still the end"), None);
    drop(copy);
    let mut copy = connection.copy_out("copy (select 7) to stdout (format binary)").expect("a copy");
    let mut all = Vec::new();
    while copy.read(&mut all, READ_BYTES).expect("rows").is_some() {}
    assert!(all.starts_with(b"PGCOPY\n\xff\r\n\0"));
    assert!(all.ends_with(b"\0\x01\0\0\0\x04\0\0\0\x07\xff\xff"));
}

#[test]
fn an_error_in_the_middle_of_a_copy() {
    let db = database();
    let mut connection = connect(&db);
    let mut copy = connection
        .copy_out("copy (select 1 / (900000 - i) from generate_series(1, 1000000) i) to stdout")
        .expect("a copy");
    let mut buf = Vec::new();
    let error = loop {
        match copy.read(&mut buf, READ_BYTES) {
            Ok(Some(_)) => buf.clear(),
            Ok(None) => panic!("the copy ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some("22012"));
    drop(copy);
    assert_eq!(connection.query_one("select 1").expect("a row").get(0), Some("1"));
}

#[test]
fn a_copy_that_is_left_takes_the_connection_with_it() {
    let db = database();
    let mut connection = connect(&db);
    let mut copy = connection.copy_out("copy (select generate_series(1, 1000000)) to stdout").expect("a copy");
    assert_eq!(copy.next_row().expect("a row"), Some(&b"1\n"[..]));
    drop(copy);
    let error = connection.query("select 1").expect_err("not usable");
    assert!(error.to_string().contains("a COPY was left before its end"), "{error}");
}
