//! Columns that are read again: many rows together, rows that are gone, keys that the original cannot use.

use std::time::Duration;

use walspring_testkit::{TempDatabase, postgres};

use crate::support::Connector;

const CLASS: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

fn connector(db: &TempDatabase, options: &[(&str, &str)]) -> Connector {
    let named = [("snapshot.mode", "no_data"), ("post.processors", "r"), ("post.processors.r.type", CLASS)];
    Connector::new(db, &[&named[..], options].concat())
}

#[test]
fn rows_are_read_together_each_with_its_own_value() {
    let db = postgres(15).database();
    db.sql(
        "create table t (a int, b text, n int, x text, primary key (b, a));
         alter table t alter x set storage external;
         insert into t select i, 'b''\\' || i, 0, repeat(i::text || '.', 600) from generate_series(1, 3000) i",
    );
    let mut source = connector(&db, &[]).streaming(None);
    // In one transaction each row changes twice, and none of the values.
    db.sql("begin; update t set n = 1; update t set n = 2; commit");
    let events = source.take(6000);
    for event in &events {
        assert_eq!(event.get("x"), Some(&*format!("{}.", event.number("a")).repeat(600)), "{}", event.number("a"));
    }
    source.close();
}

#[test]
fn large_values_stay_in_small_batches() {
    let db = postgres(15).database();
    db.sql(
        "create table t (id int primary key, n int, x text);
         alter table t alter x set storage external;
         insert into t select i, 0, repeat('x', 200000) from generate_series(1, 200) i",
    );
    let mut source = connector(&db, &[]).streaming(None);
    db.sql("update t set n = 1");
    let (mut rows, mut bytes_max) = (0, Vec::new());
    while rows < 200 {
        let step = source.poll(Duration::from_secs(5)).unwrap();
        rows += step.map_or(0, |step| step.events.len());
        bytes_max.push(source.batch().bytes.len());
    }
    // The first batch does not know yet how large the values are.
    assert!(bytes_max.iter().all(|bytes| *bytes < 8 << 20), "{bytes_max:?}");
    assert!(bytes_max[1..].iter().all(|bytes| *bytes < 2 << 20), "{bytes_max:?}");
    source.close();
}

#[test]
fn a_failure_keeps_what_came_before_it_and_a_restart_meets_it_again() {
    let db = postgres(15).database();
    db.sql(
        "create table t (id int primary key, n int, x text);
         alter table t alter x set storage external;
         insert into t select i, 0, repeat('x', 2100) from generate_series(1, 9) i",
    );
    let connector = connector(&db, &[("post.processors.r.reselect.error.handling.mode", "fail")]);
    let mut source = connector.streaming(None);
    db.sql(
        "begin; update t set n = 1 where id < 5; update t set n = 1 where id = 5; delete from t where id = 5; commit",
    );
    let before: Vec<i64> = source.take(4).iter().map(|event| event.number("id")).collect();
    assert_eq!(before, [1, 2, 3, 4]);
    let failed = |source: &mut crate::support::Source| loop {
        match source.poll(Duration::from_millis(100)) {
            Ok(step) => assert!(step.is_none_or(|step| step.events.is_empty())),
            Err(e) => return e,
        }
    };
    let error = failed(&mut source);
    let gone = "Failed to find row in table public.t with key Struct{id}, changed at ";
    assert!(!error.is_transient() && error.trace().contains(gone), "{}", error.trace());
    let offset = source.offset.clone();
    source.close();
    let mut source = connector.streaming(offset.as_ref());
    assert!(failed(&mut source).trace().contains(gone));
    source.close();
}

#[test]
fn a_lost_connection_is_opened_again_and_strict_mode_finds_rows_by_any_key() {
    let db = postgres(15).database();
    db.sql(
        r#"create table d ("Day" date primary key, n int, t time, x text, u uuid[]);
           alter table d alter x set storage external, alter u set storage external;
           insert into d select '2024-02-29', 0, null, repeat('x', 2100), array_agg(gen_random_uuid())
             from generate_series(1, 200)"#,
    );
    let mut connector = connector(&db, &[]);
    connector.set("walspring.strict", "true");
    let mut source = connector.streaming(None);
    for n in 1..3 {
        db.sql(&format!("update d set n = {n}, t = null; update d set t = '12:34:56.789012'"));
        for event in source.take(2) {
            assert_eq!(event.get("x").map(str::len), Some(2100));
            assert_eq!(event.get("u").map(|u| u.matches(',').count()), Some(199));
            assert!(matches!(event.get("t"), None | Some("12:34:56.789012")), "{event:?}");
        }
        db.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = 'walspring' and backend_type = 'client backend' and datname = current_database()",
        );
    }
    source.close();
}
