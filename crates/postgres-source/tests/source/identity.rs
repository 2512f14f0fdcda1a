//! Another server or slot than the one that was read: what is missing is told, and nothing goes on in silence.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use walspring_connect::TaskError;
use walspring_record::SourceOffset;
use walspring_testkit::{Postgres, Shutdown, TempDatabase, postgres};

use crate::support::{Connector, WAIT};

/// One that has streamed the row 1 and stopped, with a row 2 that waits.
fn stopped(db: &TempDatabase, options: &[(&str, &str)]) -> (Connector, SourceOffset) {
    stopped_after(db, options, || ())
}

/// The same; `begin` is called when the stream has begun.
fn stopped_after(db: &TempDatabase, options: &[(&str, &str)], begin: impl FnOnce()) -> (Connector, SourceOffset) {
    db.sql("create table t (id int primary key)");
    let connector = Connector::new(db, options);
    let mut source = if options.contains(&NO_DATA) {
        connector.streaming(None)
    } else {
        let mut source = connector.start(None);
        source.read_snapshot();
        source
    };
    let mut begin = Some(begin);
    for n in 0..2 {
        db.sql(&format!("insert into t values ({n})"));
        source.take(1);
        begin.take().map(|begin| begin()).unwrap_or_default();
    }
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();
    inactive(db);
    db.sql("insert into t values (2)");
    (connector, stored)
}

/// The same, with a transaction that goes on, so that the begin of what the slot keeps stays: only what is confirmed tells.
fn held(db: &TempDatabase) -> (Connector, SourceOffset, impl Sized) {
    let mut holder = db.connect();
    let begin = || holder.batch_execute("begin; insert into held values (1)").expect("a transaction");
    db.sql("create table held (id int)");
    let (connector, stored) = stopped_after(db, &[("table.include.list", "public.t")], begin);
    (connector, stored, holder)
}

/// What is said of a slot that was advanced. The server may have moved also the place where decoding begins beyond the
/// offset; then that is told, in the original's words.
fn beyond(db: &TempDatabase, stored: &SourceOffset) -> &'static [&'static str] {
    // Where the stream would go on: behind the last transaction that was sent whole.
    let offset = stored.get("lsn_commit").unwrap_or(&stored["lsn_proc"]).as_u64().expect("a position");
    let slot = db.slot("s");
    let query = format!(
        "select restart_lsn - '0/0'::pg_lsn <= {offset}, restart_lsn < confirmed_flush_lsn from pg_replication_slots \
         where slot_name = '{slot}'"
    );
    let row = db.sql(&query).remove(0);
    match (row[0].as_deref(), row[1].as_deref()) {
        (Some("t"), Some("t")) => &["beyond", "bytes of the log", AGAIN],
        _ => &["no longer available", "after the stored offset"],
    }
}

fn inactive(db: &TempDatabase) {
    db.wait_unread(&db.slot("s"));
}

#[track_caller]
fn stops(error: &TaskError, parts: &[&str]) {
    let text = format!("{error} {}", error.trace());
    assert!(!error.is_transient(), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part} in: {text}");
    }
}

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
const AGAIN: &str = "DELETE /connectors/c/offsets";
const STRATEGY: &str = "offset.mismatch.strategy";

#[test]
fn a_slot_that_was_dropped_and_made_again() {
    let db = postgres(15).database();
    let (mut connector, stored) = stopped(&db, &[]);
    let slot = db.slot("s");
    db.drop_slot(&slot);
    stops(&connector.refusal(Some(&stored)), &["no longer available", &slot, "does not exist any more"]);
    db.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    stops(&connector.refusal(Some(&stored)), &["made again", "no longer available"]);
    // Who says that the slot is right goes on where it stands.
    connector.set(STRATEGY, "trust_slot");
    let mut source = connector.streaming(Some(&stored));
    db.sql("insert into t values (3)");
    assert_eq!(source.take(1)[0].number("id"), 3);
}

#[test]
fn a_slot_that_was_advanced() {
    for (strategy, row) in
        [(None, None), (Some("trust_offset"), None), (Some("no_validation"), Some(3)), (Some("trust_slot"), Some(3))]
            .into_iter()
            .chain([(Some("trust_greater_lsn"), Some(3))])
    {
        let db = postgres(15).database();
        let (mut connector, stored, _holder) = held(&db);
        let slot = db.slot("s");
        db.sql(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"));
        db.sql("insert into t values (3)");
        strategy.into_iter().for_each(|strategy| connector.set(STRATEGY, strategy));
        match row {
            None => stops(&connector.refusal(Some(&stored)), beyond(&db, &stored)),
            Some(row) => {
                let mut source = connector.streaming(Some(&stored));
                assert_eq!(source.take(1)[0].number("id"), row, "{strategy:?}");
            }
        }
    }
}

#[test]
fn another_cluster_at_the_same_address() {
    let (db, other) = (postgres(15).database(), postgres(17).database());
    let (mut connector, stored) = stopped(&db, &[]);
    // As if what answers there were the other one.
    connector.set("database.port", &other.server().port().to_string());
    connector.set("database.dbname", other.name());
    connector.set("slot.name", &other.slot("s"));
    other.sql("create table t (id int primary key)");
    stops(&connector.refusal(Some(&stored)), &["Another server answers", "system identifier", AGAIN]);
    connector.set(STRATEGY, "trust_slot");
    let mut source = connector.streaming(Some(&stored));
    other.sql("insert into t values (7)");
    assert_eq!(source.take(1)[0].number("id"), 7);
    let stored = source.offset.clone();
    source.close();
    // From then on it is the one.
    connector.config.retain(|(name, _)| name != STRATEGY);
    connector.streaming(stored.as_ref());
}

#[test]
fn a_worker_without_the_topic_notices_the_slot_all_the_same() {
    let db = postgres(15).database();
    let (mut connector, stored, _holder) = held(&db);
    connector.state = None;
    let slot = db.slot("s");
    db.sql(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"));
    stops(&connector.refusal(Some(&stored)), beyond(&db, &stored));
}

#[test]
fn an_offset_that_is_gone_and_a_slot_that_went_on() {
    let db = postgres(15).database();
    let (connector, _) = stopped(&db, &[NO_DATA]);
    let slot = db.slot("s");
    db.sql(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"));
    stops(&connector.refusal(None), &["beyond", AGAIN]);
}

#[test]
fn a_slot_that_has_lost_its_log_fails_at_once() {
    for major in [15, 17] {
        let server = Arc::new(Postgres::start(Postgres::builder(major)));
        let db = server.database();
        let (mut connector, stored) = stopped(&db, &[]);
        let slot = db.slot("s");
        db.sql("alter system set max_slot_wal_keep_size = '1MB'");
        db.sql("select pg_reload_conf()");
        let end = Instant::now() + WAIT;
        let status = format!("select wal_status from pg_replication_slots where slot_name = '{slot}'");
        while db.value(&status) != "lost" {
            assert!(Instant::now() < end, "{}", db.value(&status));
            db.sql("select pg_logical_emit_message(false, 'x', repeat('x', 1000000))");
            db.sql("select pg_switch_wal(); checkpoint");
        }
        let reason = ["invalidated", "wal_removed", "max_slot_wal_keep_size", "pg_drop_replication_slot"];
        stops(&connector.refusal(Some(&stored)), &reason);
        connector.set("snapshot.mode", "when_needed");
        stops(&connector.refusal(Some(&stored)), &reason);
        stops(&connector.refusal(None), &reason);
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(done.success());
}

/// A server whose data is put back to what it was before the row 1; `promoted`: on a timeline of its own.
fn put_back(promoted: bool) -> TaskError {
    let server = Arc::new(Postgres::start(Postgres::builder(15)));
    let db = server.database();
    db.sql("create table t (id int primary key)");
    let connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into t values (0)");
    source.take(1);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();
    inactive(&db);
    let data = server.server().data_dir().to_owned();
    let older = data.with_extension("older");
    server.server().stop(Shutdown::Fast);
    copy(&data, &older);
    server.server().start().expect("a start");
    db.sql("insert into t select g from generate_series(1, 1000) g");
    db.sql("insert into t values (1001)");
    let mut source = connector.streaming(Some(&stored));
    source.take(1001);
    let stored = source.offset.clone().expect("an offset");
    source.stored(&stored);
    source.close();
    server.server().stop(Shutdown::Fast);
    copy(&older, &data);
    let _ = std::fs::remove_dir_all(&older);
    if promoted {
        std::fs::write(data.join("standby.signal"), "").expect("a file");
    }
    server.server().start().expect("a start");
    if promoted {
        db.sql("select pg_promote()");
        // It grows past what was sent: the end of its log tells nothing any more.
        db.sql("insert into t select g from generate_series(2001, 9000) g");
    }
    connector.refusal(Some(&stored))
}

#[test]
fn a_server_that_was_put_back() {
    stops(&put_back(false), &["log ends at", "before", AGAIN]);
}

#[test]
fn a_promoted_server_that_lacks_what_was_sent() {
    stops(&put_back(true), &["left timeline 1 at", "events were sent up to", AGAIN]);
}
