//! Quiet tables: what others write is not held for us, and nothing is confirmed before it is stored.

use std::time::{Duration, Instant};

use walspring_testkit::{Postgres, Shutdown, TempDatabase, postgres, wait_for};

use crate::support::{Connector, Source, confirmed, lsn, number};

fn quiet(db: &TempDatabase) -> Connector {
    db.sql("create table a (id int primary key); create table noise (v text)");
    Connector::new(db, &[("table.include.list", "public.a")])
}

fn noise(db: &TempDatabase, rows: u32) -> u64 {
    db.sql(&format!("insert into noise select repeat('x', 1000) from generate_series(1, {rows})"));
    lsn(&db.value("select pg_current_wal_lsn()"))
}

fn moves_the_slot(major: u32) {
    let db = postgres(major).database();
    let connector = quiet(&db).limits(|l| l.quiet_bytes = 1 << 20);
    let mut source = connector.start(None);
    source.read_snapshot();
    let slot = db.slot("s");
    let completed = source.offset.clone().expect("an offset");
    source.stored(&completed);
    db.sql("insert into a values (1)");
    source.take(1);
    let row = source.offset.clone().expect("an offset");
    let end = noise(&db, 3000);
    let mut last = None;
    let mut records = 0;
    source.until("an offset beyond the noise", |step| {
        assert!(step.events.is_empty());
        records += usize::from(step.offset.is_some());
        last = step.offset.clone();
        step.offset.as_ref().and_then(|o| number(o, "lsn_commit")).is_some_and(|at| at + (1 << 20) >= end)
    });
    assert!(records <= 8, "{records} offsets for 3 MiB");
    let last = last.expect("an offset");
    assert_eq!(last.get("messageType").and_then(|m| m.as_str()), Some("COMMIT"));
    // Not before it is stored: the row's offset says less.
    let point = number(&completed, "lsn").expect("the snapshot's point");
    source.quiet_for(Duration::from_millis(300));
    assert!(confirmed(&db, &slot) <= point);
    source.stored(&row);
    source.quiet_for(Duration::from_millis(200));
    assert!(confirmed(&db, &slot) <= number(&row, "lsn_commit").unwrap_or(point));
    source.stored(&last);
    let at = number(&last, "lsn_commit").expect("its position");
    wait_for("the confirmation", Duration::from_secs(5), || (confirmed(&db, &slot) == at).then_some(()));
    source.close();
    // It goes on from there.
    db.sql("insert into a values (2)");
    let mut source = connector.streaming(Some(&last));
    assert_eq!(source.take(1)[0].number("id"), 2);
}

#[test]
fn a_quiet_table_moves_the_slot_when_its_position_is_stored() {
    moves_the_slot(15);
    moves_the_slot(18);
}

#[test]
fn the_last_transaction_is_confirmed_after_the_interval() {
    let db = postgres(15).database();
    let connector = quiet(&db).limits(|l| l.quiet_interval = Duration::from_millis(300));
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    // The row's own offset says where the transaction before ended; the next one that this one has.
    source.until("the position after the commit", |step| {
        assert!(step.events.is_empty());
        step.offset.as_ref().and_then(|o| o.get("messageType")).and_then(|m| m.as_str()) == Some("COMMIT")
    });
    let offset = source.offset.clone().expect("an offset");
    source.close();
    let mut source = connector.streaming(Some(&offset));
    source.quiet_for(Duration::from_millis(300));
}

#[test]
fn nothing_is_confirmed_beyond_what_is_stored_under_load() {
    let db = postgres(15).database();
    let connector = quiet(&db).limits(|l| {
        l.quiet_bytes = 1000;
        l.quiet_interval = Duration::from_millis(50);
    });
    let mut source = connector.start(None);
    source.read_snapshot();
    let slot = db.slot("s");
    let begin = confirmed(&db, &slot);
    let (mut seen, mut stored) = (0u64, begin);
    for round in 0..30 {
        db.sql(&format!("insert into a values ({round}); insert into noise values ('x')"));
        let mut newest = None;
        while let Some(step) = source.poll(Duration::from_millis(20)).expect("no error") {
            newest = step.offset.or(newest);
        }
        // What is stored lags behind what was read.
        if round % 5 == 4
            && let Some(offset) = newest
        {
            stored = number(&offset, "lsn_commit").unwrap_or(stored);
            source.stored(&offset);
        }
        let now = confirmed(&db, &slot);
        assert!(now >= seen && now <= stored, "confirmed {now}, stored {stored}, before {seen}");
        seen = now;
    }
    assert!(seen > begin);
}

#[test]
fn a_server_that_shuts_down_is_not_held_up() {
    for major in [15, 18] {
        let server = std::sync::Arc::new(Postgres::start(Postgres::builder(major)));
        let db = server.database();
        let connector = quiet(&db);
        let mut source = connector.start(None);
        source.read_snapshot();
        db.sql("insert into a values (1)");
        source.take(1);
        noise(&db, 100);
        // As the runtime does: what comes is stored, what is stored is confirmed.
        let reader = std::thread::spawn(move || {
            loop {
                match source.poll(Duration::from_millis(50)) {
                    Ok(Some(step)) => step.offset.iter().for_each(|o| source.stored(o)),
                    Ok(None) => {}
                    Err(e) => return (e, source.offset),
                }
            }
        });
        // Else it waits for `wal_sender_timeout`, a minute.
        let begin = Instant::now();
        server.server().stop(Shutdown::Fast);
        let took = begin.elapsed();
        let (error, offset) = reader.join().expect("the reader");
        assert!(error.is_transient(), "{}", error.trace());
        assert!(took < Duration::from_secs(40), "version {major} took {took:?}");
        server.server().start().expect("a start");
        db.sql("insert into a values (2)");
        let mut source = connector.streaming(offset.as_ref());
        assert_eq!(source.take(1)[0].number("id"), 2);
        source.close();
    }
}

/// What events tell of the last COMMIT (`source.sequence`): a position that was stored while nothing captured changed is none,
/// before a restart and behind it.
#[test]
fn a_position_without_a_commit_is_not_told_by_the_events_behind_it() {
    let db = postgres(15).database();
    // What is not captured is not published, so no COMMIT of it comes.
    let mut connector = quiet(&db).limits(|l| l.quiet_bytes = 1000);
    connector.set("publication.autocreate.mode", "filtered");
    let mut source = connector.start(None);
    source.read_snapshot();
    let told = |source: &Source| source.batch().transactions.last().map(|t| t.last_commit_lsn).expect("a transaction");
    let quiet_offset = |source: &mut Source| {
        let end = noise(&db, 100);
        source
            .until("a position", |step| step.offset.as_ref().and_then(|o| number(o, "lsn_commit")) >= Some(end - 1000));
        source.offset.clone().expect("an offset")
    };
    let first = quiet_offset(&mut source);
    source.close();
    // Nothing has been committed that is captured. A stop inside the transaction changes nothing of that.
    let mut source = connector.streaming(Some(&first));
    db.sql("insert into a values (1), (2)");
    source.take(2);
    assert_eq!(told(&source), None, "{first:?} {:?}", source.offset);
    let inside = source.offset.clone().expect("an offset");
    assert!(number(&inside, "lsn_commit") >= number(&first, "lsn_commit"));
    source.close();
    let mut source = connector.streaming(Some(&inside));
    db.sql("insert into a values (3)");
    source.take(1);
    let commit = told(&source).expect("the transaction before");
    // From now on one has been seen; it stays the last one.
    db.sql("insert into a values (4)");
    source.take(1);
    let commit = told(&source).filter(|now| *now > commit).expect("a later one");
    let second = quiet_offset(&mut source);
    source.close();
    let mut source = connector.streaming(Some(&second));
    db.sql("insert into a values (5)");
    source.take(1);
    let now = told(&source).expect("a commit");
    assert!(now > commit && now.0 < number(&second, "lsn_commit").unwrap(), "{now}, {second:?}");
}
