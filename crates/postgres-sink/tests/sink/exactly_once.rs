//! The table of applied offsets, and the replication origin.

use walspring_connect::{Outcome::*, PutError, SinkTask, TopicPartition};

use crate::support::*;

const OFFSETS: (&str, &str) = ("walspring.sink.offsets.table", "walspring_sink_offsets");

fn partition() -> TopicPartition {
    TopicPartition { topic: "s.public.t".into(), partition: 0 }
}

/// Inserts without a key: each replay would show.
fn inserts() -> Vec<(&'static str, &'static str)> {
    vec![("insert.mode", "insert"), ("primary.key.mode", "none"), ("delete.enabled", "false"), OFFSETS]
}

fn batch(range: std::ops::Range<i64>) -> Vec<walspring_connect::SinkRecord> {
    let pairs: Vec<_> = range.clone().map(|n| upsert(r#"{"id":0}"#, &format!(r#"{{"n":{n}}}"#))).collect();
    records(range.start, &pairs)
}

#[test]
fn a_replay_changes_nothing() {
    let db = database();
    db.sql("create table t (n int)");
    let mut task = start(&db, &inserts());
    assert_eq!(task.open(&[partition()]).unwrap(), []);
    assert_eq!(put(&mut task, &batch(0..3)), [Insert, Insert, Insert]);
    assert_eq!(put(&mut task, &batch(1..5)), [Ignore, Ignore, Insert, Insert]);
    let mut again = start(&db, &inserts());
    assert_eq!(again.open(&[partition()]).unwrap(), [(partition(), 5)]);
    assert_eq!(put(&mut again, &batch(0..5)), [Ignore; 5]);
    // The task before it, which believes to own the partition still.
    assert_eq!(put(&mut task, &batch(4..6)), [Ignore, Insert]);
    assert_eq!(put(&mut again, &batch(5..7)), [Ignore, Insert]);
    assert_eq!(rows(&db, "select count(*), count(distinct n) from t"), ["7|7"]);
    // Another group has offsets of its own.
    let mut other = start_with(config(&db, &upserts(), &inserts()), "other").unwrap();
    assert_eq!(other.open(&[partition()]).unwrap(), []);
}

#[test]
fn two_tasks_that_have_the_same_partition_apply_each_record_once() {
    let db = database();
    db.sql("create table t (n int)");
    let mut tasks: Vec<Box<dyn SinkTask>> = (0..2).map(|_| start(&db, &inserts())).collect();
    for task in &mut tasks {
        task.open(&[partition()]).unwrap();
    }
    std::thread::scope(|scope| {
        for task in &mut tasks {
            scope.spawn(|| {
                for from in (0..200).step_by(5) {
                    put(task, &batch(from..from + 5));
                }
            });
        }
    });
    assert_eq!(rows(&db, "select count(*), count(distinct n) from t"), ["200|200"]);
}

#[test]
fn tasks_that_begin_at_the_same_time_make_their_tables_once() {
    let db = database();
    let schema = r#"{"type":"struct","fields":[{"field":"n","type":"int64"}]}"#;
    let mut options = inserts();
    options.push(("schema.evolution", "basic"));
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (barrier, db, options) = (&barrier, &db, &options);
            scope.spawn(move || {
                let mut task = start(db, options);
                let mut record =
                    record("s.public.t", 0, None, Some(&format!(r#"{{"schema":{schema},"payload":{{"n":{n}}}}}"#)));
                record.origin.partition = n;
                barrier.wait();
                put(&mut task, &[record]);
            });
        }
    });
    assert_eq!(rows(&db, "select n from t order by n"), ["0", "1", "2", "3"]);
    assert_eq!(rows(&db, "select count(*) from walspring_sink_offsets"), ["4"]);
}

#[test]
fn a_poison_row_is_not_passed_by_the_offsets_unless_it_is_tolerated() {
    let db = database();
    db.sql("create table t (n int check (n <> 2))");
    let mut task = start(&db, &inserts());
    task.open(&[partition()]).unwrap();
    let error = refused(&mut task, &batch(0..5));
    assert!(matches!(&error, PutError::Task(error) if !error.is_transient()), "{}", told(&error));
    assert!(told(&error).contains("offset 2") && told(&error).contains("errors.tolerance=all"), "{}", told(&error));
    assert_eq!(rows(&db, "select count(*) from t"), ["0"]);

    let mut tolerant = inserts();
    tolerant.push(("errors.tolerance", "all"));
    let mut task = start(&db, &tolerant);
    assert!(matches!(refused(&mut task, &batch(0..5)), PutError::Named(list) if list.len() == 1 && list[0].0 == 2));
    assert_eq!(rows(&db, "select n from t order by n"), ["0", "1", "3", "4"]);
    assert_eq!(task.open(&[partition()]).unwrap(), [(partition(), 5)]);
}

#[test]
fn transactions_carry_a_replication_origin() {
    let db = database();
    db.sql("create table t (id int primary key)");
    let slot = db.slot("origin");
    db.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'test_decoding')"));
    let connector = db.name().to_owned();
    let mut options = upserts();
    options.retain(|(name, _)| *name != "walspring.sink.origin");
    let mut task = start_with(config(&db, &options, &[]), &connector).unwrap();
    put(&mut task, &records(0, &[upsert(r#"{"id":1}"#, r#"{"id":1}"#)]));
    db.sql("insert into t values (2)");
    let changes = |only_local: &str| {
        let options = format!("null, null, 'only-local', '{only_local}'");
        let query = format!(
            "select count(*) from pg_logical_slot_peek_changes('{slot}', {options}) where data like 'table public.t%'"
        );
        db.value(&query)
    };
    assert_eq!((changes("0"), changes("1")), ("2".to_owned(), "1".to_owned()));
    let name = format!("walspring_{connector}");
    assert_eq!(db.value(&format!("select count(*) from pg_replication_origin where roname = '{name}'")), "1");

    // One session at a time may have it; it is free again as soon as that one ends.
    let mut second = start_with(config(&db, &options, &[]), &connector).unwrap();
    let again = records(0, &[upsert(r#"{"id":4}"#, r#"{"id":4}"#)]);
    let text = told(&refused(&mut second, &again));
    assert!(text.starts_with("task Transient") && text.contains("walspring.sink.origin"), "{text}");
    task.stop();
    put(&mut second, &again);
    task = second;

    // Who may not set it up writes without it.
    let role = format!("{}_plain", db.name());
    db.sql(&format!("create role {role} login; grant all on t to {role}"));
    let mut plain = start_with(config(&db, &options, &[("connection.username", &role)]), "plain").unwrap();
    put(&mut plain, &records(0, &[upsert(r#"{"id":3}"#, r#"{"id":3}"#)]));
    assert_eq!((changes("0"), changes("1")), ("4".to_owned(), "2".to_owned()));
    drop((task, plain));
    db.sql(&format!("drop owned by {role}; drop role {role}"));
    wait_until_free(&db, &name);
}

/// An origin cannot be dropped while its session ends.
fn wait_until_free(db: &walspring_testkit::TempDatabase, name: &str) {
    walspring_testkit::wait_for("the origin to be free", std::time::Duration::from_secs(20), || {
        db.try_sql(&format!("select pg_replication_origin_drop('{name}')")).ok()
    });
}

#[test]
fn a_server_that_is_killed_again_and_again_has_each_row_once() {
    use std::sync::atomic::{AtomicBool, Ordering};

    const ROWS: i64 = 2000;
    const KILLS: usize = 4;
    let own = walspring_testkit::Postgres::start(walspring_testkit::Postgres::builder(15).durable(true));
    own.sql("postgres", "create table t (n int)");
    let url = format!("jdbc:postgresql://{}:{}/postgres?user=postgres", own.host(), own.port());
    let mut options: Vec<(String, String)> =
        upserts().iter().chain(&inserts()).map(|(k, v)| (k.to_string(), v.to_string())).collect();
    options.push(("connection.url".into(), url));
    // The later of two settings holds.
    options.reverse();
    let mut seen = std::collections::HashSet::new();
    options.retain(|(name, _)| seen.insert(name.clone()));
    let mut task = start_with(options, "killed").unwrap();
    let (done, mut failures) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut kills = 0;
            while !done.load(Ordering::Acquire) && kills < KILLS {
                own.server().kill();
                own.server().start().unwrap();
                kills += 1;
                // Until rows come again.
                let before = own.try_sql("postgres", "select count(*) from t").unwrap();
                let same = || own.try_sql("postgres", "select count(*) from t").is_ok_and(|now| now == before);
                while !done.load(Ordering::Acquire) && same() {
                    std::thread::yield_now();
                }
            }
            kills
        });
        let mut next = 0;
        while next < ROWS {
            let records = batch(next..next + 7);
            match task.put(&records, &mut Vec::new()) {
                Ok(()) => next += 7,
                Err(error) => {
                    assert!(told(&error).starts_with("task Transient"), "{}", told(&error));
                    failures += 1;
                }
            }
        }
        done.store(true, Ordering::Release);
        assert!(killer.join().unwrap() == KILLS);
    });
    assert!(failures > 0);
    let rows = own.sql("postgres", "select count(*), count(distinct n), min(n), max(n) from t");
    let next = (ROWS + 6) / 7 * 7;
    let (count, last) = (next.to_string(), (next - 1).to_string());
    assert_eq!(rows, [[Some(count.clone()), Some(count), Some("0".to_owned()), Some(last)]]);
}
