//! Simple queries: rows, errors after which the connection goes on, and errors after which it does not.

use crate::support::{connect, database};
use std::time::{Duration, Instant};
use walspring_testkit::wait_for;

#[test]
fn rows_are_text_by_position_and_by_name() {
    let db = database();
    let mut connection = connect(&db);
    let rows = connection
        .query("select i as n, nullif(i, 2) as maybe, 'ünï ' || i as t from generate_series(1, 3) i")
        .expect("rows");
    let found: Vec<_> =
        rows.iter().map(|row| (row.get("n"), row.get(1), row.get("t"), row.get("x"), row.get(9))).collect();
    assert_eq!(
        found,
        [
            (Some("1"), Some("1"), Some("ünï 1"), None, None),
            (Some("2"), None, Some("ünï 2"), None, None),
            (Some("3"), Some("3"), Some("ünï 3"), None, None),
        ]
    );
    assert_eq!(rows[0].columns()[0].type_oid, 23);
    assert_eq!(
        rows[1].required("maybe").expect_err("NULL").to_string(),
        "the server's reply has no value in column maybe"
    );
    assert!(connection.query("").expect("an empty query").is_empty());
    assert_eq!(connection.query("select 1; select 2 as b; create table t ()").expect("rows")[0].get("b"), Some("2"));
    assert!(connection.query_one("select 1 where false").is_err());
    assert!(connection.query_opt("select 1 where false").expect("no row").is_none());
}

#[test]
fn an_error_leaves_the_connection_usable() {
    let db = database();
    let mut connection = connect(&db);
    let error = connection.query("select 1; select 1/0").expect_err("an error");
    assert_eq!(error.to_string(), "ERROR: division by zero (SQLSTATE 22012)");
    assert!(!error.is_transient());
    let error = connection.query("selct").expect_err("an error");
    assert_eq!(error.server().and_then(|error| error.position), Some(1));
    let error =
        connection.batch_execute("do $$ begin raise 'a' using detail = 'b', hint = 'c', errcode = '40001'; end $$");
    let error = error.expect_err("an error");
    assert_eq!(error.to_string(), "ERROR: a (SQLSTATE 40001)\nDETAIL: b\nHINT: c");
    assert!(error.is_transient());
    connection.batch_execute("begin").expect("begins");
    assert!(connection.in_transaction());
    connection.batch_execute("rollback").expect("rolls back");
    assert!(!connection.in_transaction());
    assert!(connection.query("select \0").expect_err("a zero byte").to_string().contains("zero byte"));
    assert!(connection.query("copy pg_am to stdout").is_err());
    connection.batch_execute("create table t (a int)").expect("a table");
    let error = connection.query("copy t from stdin").expect_err("refused");
    assert_eq!(error.code(), Some("57014"));
    assert!(connection.copy_out("select 1").is_err());
    assert!(connection.copy_out("copy nowhere to stdout").is_err());
    assert!(connection.is_usable());
    assert_eq!(connection.query_one("select 1").expect("a row").get(0), Some("1"));
}

#[test]
fn settings_the_server_reports_stay_current() {
    let db = database();
    let mut connection = connect(&db);
    connection.batch_execute("set timezone to 'Asia/Kathmandu'").expect("a setting");
    assert_eq!(connection.parameter("TimeZone"), Some("Asia/Kathmandu"));
    connection
        .batch_execute("do $$ begin for i in 1..1000 loop raise notice 'n %', i; end loop; end $$")
        .expect("notices");
}

#[test]
fn a_terminated_connection_says_so_and_stays_unusable() {
    let db = database();
    let mut connection = connect(&db);
    let mut other = connect(&db);
    other.query_one(&format!("select pg_terminate_backend({})", connection.backend_pid())).expect("a row");
    let error = connection.query("select 1").expect_err("terminated");
    assert!(error.is_transient());
    // The FATAL may be lost if the server's reset outruns it.
    assert!(matches!(error.code(), Some("57P01") | None), "{error}");
    assert!(!connection.is_usable());
    let error = connection.query("select 1").expect_err("still so");
    assert!(error.to_string().starts_with("the connection cannot be used any more: "), "{error}");
}

#[test]
fn a_query_can_be_cancelled_and_can_time_out() {
    let db = database();
    let mut connection = connect(&db);
    let token = connection.cancel_token();
    let start = Instant::now();
    let runs = "select 1 from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(60)' \
                and wait_event = 'PgSleep'";
    std::thread::scope(|scope| {
        let cancelling = scope.spawn(|| {
            // What has not begun cannot be cancelled.
            wait_for("the query", Duration::from_secs(60), || (!db.sql(runs).is_empty()).then_some(()));
            token.cancel()
        });
        let error = connection.query("select pg_sleep(60)").expect_err("cancelled");
        assert_eq!(error.code(), Some("57014"));
        cancelling.join().expect("no panic").expect("cancels");
    });
    connection.set_read_timeout(Some(Duration::from_millis(100)));
    let error = connection.query("select pg_sleep(60)").expect_err("timed out");
    assert!(error.is_transient());
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(!connection.is_usable());
}

#[test]
fn large_values_come_through() {
    let db = database();
    let mut connection = connect(&db);
    for len in [1_000, 262_139, 262_144, 1_000_000, 60_000_000] {
        let row = connection.query_one(&format!("select repeat('x', {len}), 'end'")).expect("a row");
        assert_eq!((row.get(0).map(str::len), row.get(1)), (Some(len), Some("end")));
    }
}
