//! A slot that the server has given up, for each of its four reasons: the stream ends, the next start says why at once and
//! what mends it, and the doctor says the same.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use walspring_connect::TaskError;
use walspring_doctor::Outcome;
use walspring_postgres_source::doctor::{Examined, Thresholds, examine};
use walspring_record::SourceOffset;
use walspring_testkit::{Postgres, Shutdown, wait_for};

use crate::support::{Connector, Source, WAIT};

/// Makes `copy` a standby of `primary`. Both run afterwards.
fn follow(primary: &Postgres, copy: &Postgres) {
    let (from, to) = (primary.server().data_dir(), copy.server().data_dir());
    primary.server().stop(Shutdown::Fast);
    copy.server().stop(Shutdown::Fast);
    let own = std::fs::read(to.join("walspring.conf")).expect("its settings");
    let run = |command: &mut Command| assert!(command.status().expect("a command").success(), "{command:?}");
    run(Command::new("rm").arg("-rf").arg(to));
    run(Command::new("cp").arg("-a").arg(from).arg(to));
    std::fs::write(to.join("walspring.conf"), own).expect("its settings");
    // A file of the server's account, whoever runs the test; what is in it does not matter.
    run(Command::new("cp").arg("-a").arg(to.join("postgresql.auto.conf")).arg(to.join("standby.signal")));
    let conninfo = format!(
        "primary_conninfo = 'host={} port={} user=postgres'\nmax_standby_streaming_delay = 0\n",
        primary.host(),
        primary.port()
    );
    std::fs::write(to.join("postgresql.auto.conf"), conninfo).expect("its settings");
    primary.server().start().expect("the primary");
    copy.server().start().expect("the standby");
}

/// The error that ends the stream, whatever it is; then the one of the next start.
fn ends(mut source: Source, connector: &Connector, offset: &Option<SourceOffset>) -> TaskError {
    let end = Instant::now() + WAIT;
    let error = loop {
        assert!(Instant::now() < end, "the stream goes on");
        if let Err(e) = source.poll(Duration::from_millis(50)) {
            break e;
        }
    };
    // What ended the stream is looked for at the next start.
    assert!(error.is_transient(), "{}", error.trace());
    drop(source);
    connector.refusal(offset.as_ref())
}

#[track_caller]
fn told(error: &TaskError, connector: &Connector, reason: &str, mends: &str) {
    let text = error.trace();
    assert!(!error.is_transient(), "{text}");
    for words in [reason, mends, "has invalidated the slot", "pg_drop_replication_slot", "when_needed"] {
        assert!(text.contains(words), "no {words} in: {text}");
    }
    let examined =
        Examined { config: &connector.config, connect: None, bare: false, thresholds: Thresholds::default() };
    let report = examine(&examined).unwrap_or_else(|e| panic!("{e}")).report;
    let found = report.find("pg.slot.wal_status").expect("the check");
    assert_eq!(found.outcome, Outcome::Fail, "{found:?}");
    assert!(text.contains(&found.message) && text.contains(&found.hint()), "{text}\nis not {found:?}");
}

#[test]
fn each_reason_for_which_a_slot_is_invalidated_is_told_at_once() {
    let primary = Arc::new(Postgres::start(Postgres::builder(18)));
    let standby = Postgres::start(Postgres::builder(18));
    let db = primary.database();
    db.sql("create table t (id int primary key); create publication p for table t");
    follow(&primary, &standby);
    let slot = db.slot("s");
    let set = |settings: &str| {
        for setting in settings.split(';') {
            primary.sql("postgres", &format!("alter system {setting}"));
        }
        primary.sql("postgres", "select pg_reload_conf()");
    };

    // On the standby.
    let mut there = Connector::new(&db, &[("snapshot.mode", "no_data"), ("publication.autocreate.mode", "disabled")]);
    there.set("database.port", &standby.port().to_string());
    let row = std::cell::Cell::new(0);
    let streams = || {
        // A slot on a standby begins where the primary says which transactions run.
        let made = AtomicBool::new(false);
        let mut source = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !made.load(Ordering::Acquire) {
                    primary.sql("postgres", "select pg_log_standby_snapshot()");
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let source = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| there.streaming(None)));
            made.store(true, Ordering::Release);
            source.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        row.set(row.get() + 1);
        db.sql(&format!("insert into t values ({})", row.get()));
        assert_eq!(source.take(1)[0].number("id"), row.get());
        source
    };
    let source = streams();
    let offset = source.offset.clone();
    // In two transactions: what one has made and removed nobody could have seen.
    db.sql("create table gone (id int)");
    db.sql("drop table gone");
    db.sql("vacuum pg_class, pg_attribute, pg_type");
    told(&ends(source, &there, &offset), &there, "rows_removed", "hot_standby_feedback=on");
    standby.drop_slot(&slot);

    let source = streams();
    let offset = source.offset.clone();
    primary.sql("postgres", "alter system set wal_level = 'replica'");
    primary.server().restart(Shutdown::Fast).expect("a restart");
    told(&ends(source, &there, &offset), &there, "wal_level_insufficient", "wal_level=logical");
    standby.server().stop(Shutdown::Fast);

    // On the primary.
    primary.sql("postgres", "alter system reset wal_level");
    primary.server().restart(Shutdown::Fast).expect("a restart");
    let here = Connector::new(&db, &[("snapshot.mode", "no_data"), ("publication.autocreate.mode", "disabled")]);
    let invalid = |reason: &str, meanwhile: &str| {
        let sql = format!("select invalidation_reason from pg_replication_slots where slot_name = '{slot}'");
        wait_for(reason, WAIT, || {
            primary.sql("postgres", meanwhile);
            primary.sql("postgres", "checkpoint");
            (primary.sql("postgres", &sql)[0][0].as_deref() == Some(reason)).then_some(())
        });
    };
    let stops = || {
        let mut source = here.streaming(None);
        row.set(row.get() + 1);
        db.sql(&format!("insert into t values ({})", row.get()));
        source.take(1);
        source.close()
    };
    let offset = stops();
    set("set idle_replication_slot_timeout = '1s'");
    invalid("idle_timeout", "select 1");
    told(&here.refusal(offset.as_ref()), &here, "idle_timeout", "idle_replication_slot_timeout");
    primary.drop_slot(&slot);

    set("reset idle_replication_slot_timeout;set max_slot_wal_keep_size = '1MB'");
    // Nobody confirms what this one has taken: it is read, and falls behind all the same.
    let mut source = here.streaming(None);
    db.sql("insert into t values (100)");
    source.take(1);
    let offset = source.offset.clone();
    let fill = "select pg_logical_emit_message(false, 'x', repeat('x', 1000000)); select pg_switch_wal()";
    invalid("wal_removed", fill);
    told(&ends(source, &here, &offset), &here, "wal_removed", "max_slot_wal_keep_size");
}
