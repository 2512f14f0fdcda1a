//! Stopped after any event, the rest follows exactly once.

use std::io::Write as _;
use std::time::Duration;

use walspring_record::SourceOffset;
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Event, Random, Source, confirmed, number};

const END: &str = "end";

fn is_end(e: &Event) -> bool {
    e.get("v") == Some(END)
}

/// Transactions of several sessions, interleaved: single rows, multi-row statements, COPY (whose rows share LSNs), updates,
/// deletes, logical messages of both kinds, savepoints that are kept and that are rolled back.
fn interleaved(db: &TempDatabase, seed: u64, steps: usize) {
    let mut random = Random::new(seed);
    let mut sessions: Vec<_> = (0..3).map(|_| db.connect()).collect();
    let mut open = [false; 3];
    let mut mine: [Vec<u64>; 3] = Default::default();
    let mut id = 1_000 * seed;
    for _ in 0..steps {
        let s = random.below(3) as usize;
        let session = &mut sessions[s];
        if !open[s] {
            session.batch_execute("begin").unwrap();
            open[s] = true;
        }
        id += 10;
        let sql = match random.below(12) {
            0 | 1 => format!("insert into a values ({id}, 'one')"),
            2 => format!("insert into a select g, 'many' from generate_series({id}, {id} + 3) g"),
            3 | 4 => {
                let mut copy = session.copy_in("copy a from stdin").unwrap();
                for i in 0..4 {
                    writeln!(copy, "{}\tcopied", id + i).unwrap();
                }
                copy.finish().unwrap();
                continue;
            }
            5 => "select pg_logical_emit_message(true, 'app', 'in')".into(),
            6 => "select pg_logical_emit_message(false, 'app', 'loose')".into(),
            7 => format!(
                "savepoint x; insert into a values ({id}, 'undone'); rollback to x; insert into b values ({id}, 'kept')"
            ),
            8 => {
                format!("savepoint y; insert into b select g, 'sub' from generate_series({id}, {id} + 2) g; release y")
            }
            9 => match mine[s].pop() {
                Some(row) => format!("update a set v = 'changed' where id = {row}; delete from a where id = {row}"),
                None => {
                    mine[s].push(id);
                    format!("insert into a values ({id}, 'mine')")
                }
            },
            _ => {
                open[s] = false;
                if random.below(6) == 0 { "rollback" } else { "commit" }.into()
            }
        };
        session.batch_execute(&sql).unwrap();
    }
    for (session, open) in sessions.iter_mut().zip(open) {
        if open {
            session.batch_execute("commit").unwrap();
        }
    }
    db.sql(&format!("insert into a values ({}, '{END}')", id + 100));
}

fn connector(db: &TempDatabase, batch: usize) -> Connector {
    Connector::new(db, &[("snapshot.mode", "no_data"), ("publication.autocreate.mode", "all_tables")])
        .limits(|l| l.batch_changes = batch)
}

/// Reads to the end, a batch at a time: events, and after how many of them which offset stood.
fn read(source: &mut Source) -> (Vec<Event>, Vec<(usize, SourceOffset)>) {
    let (mut events, mut offsets) = (Vec::new(), Vec::new());
    source.until("the end", |step| {
        events.extend(step.events.iter().cloned());
        if let Some(offset) = &step.offset {
            offsets.push((events.len(), offset.clone()));
        }
        step.events.iter().any(is_end)
    });
    (events, offsets)
}

fn prepared(major: u32) -> TempDatabase {
    let db = postgres(major).database();
    db.sql("create table a (id int primary key, v text); create table b (id int primary key, v text)");
    db
}

fn from_every_offset(major: u32, seed: u64, steps: usize) {
    let db = prepared(major);
    // Makes the slot.
    connector(&db, 1).streaming(None).close();
    interleaved(&db, seed, steps);
    let mut first = connector(&db, 1).streaming(None);
    let (all, offsets) = read(&mut first);
    first.close();
    assert_eq!(offsets.len(), all.len(), "an offset an event");
    let mut random = Random::new(seed + 1);
    for (sent, offset) in &offsets {
        if *sent == all.len() {
            continue;
        }
        let mut source = connector(&db, 1 + random.below(7) as usize).streaming(Some(offset));
        let rest = source.events_until("the end", is_end);
        let short = |events: &[Event]| events.iter().map(|e| (e.short(), e.lsn)).collect::<Vec<_>>();
        assert_eq!(short(&rest), short(&all[*sent..]), "version {major}, seed {seed}, from {offset:?}");
        source.close();
    }
}

#[test]
fn from_every_offset_of_interleaved_transactions_on_15() {
    from_every_offset(15, 1, 70);
}

#[test]
fn from_every_offset_of_interleaved_transactions_on_18() {
    from_every_offset(18, 2, 70);
}

#[test]
fn from_every_offset_of_interleaved_transactions_on_other_versions() {
    for major in [14, 16, 17] {
        from_every_offset(major, u64::from(major), 30);
    }
}

#[test]
fn restarts_in_a_row_with_everything_stored_lose_and_repeat_nothing() {
    let db = prepared(15);
    connector(&db, 1).streaming(None).close();
    interleaved(&db, 7, 120);
    let (all, _) = {
        let mut source = connector(&db, 3).streaming(None);
        read(&mut source)
    };
    let (mut events, mut offset, mut random) = (Vec::new(), None, Random::new(8));
    let slot = db.slot("s");
    while !events.iter().any(is_end) {
        let mut source = connector(&db, 1 + random.below(4) as usize).streaming(offset.as_ref());
        for _ in 0..=random.below(12) {
            let Some(step) = source.poll(Duration::from_millis(200)).unwrap() else { continue };
            events.extend(step.events.iter().cloned());
            if let Some(o) = step.offset {
                source.stored(&o);
                offset = Some(o);
            }
        }
        let stored = offset.as_ref().and_then(|o| number(o, "lsn_commit"));
        source.close();
        assert!(stored.is_none_or(|stored| confirmed(&db, &slot) <= stored));
    }
    assert_eq!(events, all);
}

#[test]
fn from_offsets_as_the_original_stores_them() {
    let db = prepared(15);
    connector(&db, 1).streaming(None).close();
    db.sql("begin; insert into a values (1, 'x'), (2, 'y'), (3, 'z'); commit");
    db.sql("begin; insert into b values (4, 'x'), (5, 'y'); commit");
    db.sql(&format!("insert into a values (6, '{END}')"));
    let mut source = connector(&db, 1).streaming(None);
    let (all, offsets) = read(&mut source);
    source.close();
    assert_eq!(all.len(), 6);
    let check = |what: &str, offset: &SourceOffset, from: usize| {
        let mut source = connector(&db, 100).streaming(Some(offset));
        assert_eq!(source.events_until("the end", is_end), all[from..], "{what}");
        source.close();
    };
    // The first transaction: no lsn_commit.
    let second = &offsets[1].1;
    assert!(number(second, "lsn_commit").is_none());
    check("inside the first transaction", second, 2);
    // Versions before 3.7 did not count the events at one LSN.
    let mut uncounted = second.clone();
    uncounted.remove("lsn_events_processed");
    check("without a count", &uncounted, 2);
    // Numbers as people type them with PATCH.
    let typed: SourceOffset = second.iter().map(|(k, v)| (k.clone(), v.to_string().trim_matches('"').into())).collect();
    check("typed", &typed, 2);
    // These two say that the first transaction is stored, and so the slot moves on.
    // A heartbeat's offset stands after a COMMIT.
    let after_first = number(&offsets[3].1, "lsn_commit").expect("the first transaction's end");
    let mut heartbeat = second.clone();
    for (field, value) in [("lsn", after_first), ("lsn_proc", after_first), ("lsn_commit", after_first)] {
        heartbeat.insert(field.into(), value.into());
    }
    heartbeat.insert("messageType".into(), "COMMIT".into());
    heartbeat.remove("lsn_events_processed");
    check("after a COMMIT", &heartbeat, 3);
    // A finished snapshot's.
    let snapshot: SourceOffset = serde_json::from_value(serde_json::json!({
        "lsn": after_first, "txId": 1, "ts_usec": 1, "snapshot": "INITIAL", "snapshot_completed": true,
        "last_snapshot_record": true
    }))
    .unwrap();
    check("after a snapshot", &snapshot, 3);
}

/// Beside the position of a message in a transaction it stores the count of the row before, and that row's as `lsn_proc`.
#[test]
fn from_an_offset_of_the_original_at_a_message_behind_a_copy() {
    let db = prepared(15);
    connector(&db, 1).streaming(None).close();
    let mut session = db.connect();
    session.batch_execute("begin").unwrap();
    let mut copy = session.copy_in("copy a from stdin").unwrap();
    writeln!(copy, "1\tcopied\n2\tcopied\n3\tcopied").unwrap();
    copy.finish().unwrap();
    session.batch_execute("select pg_logical_emit_message(true, 'app', 'in'); insert into a values (4, 'x')").unwrap();
    session.batch_execute("commit").unwrap();
    db.sql(&format!("insert into a values (5, '{END}')"));
    let mut source = connector(&db, 1).streaming(None);
    let (all, offsets) = read(&mut source);
    source.close();
    let at = offsets.iter().position(|(_, offset)| offset["messageType"] == "MESSAGE").expect("the message");
    let (row, mut message) = (&offsets[at - 1].1, offsets[at].1.clone());
    assert_eq!(number(row, "lsn_events_processed"), Some(3));
    for (field, of) in [("lsn_proc", "lsn"), ("lsn_events_processed", "lsn_events_processed")] {
        message.insert(field.into(), row[of].clone());
    }
    let typed = |json: &str| serde_json::from_str::<SourceOffset>(json).expect("an offset");
    // One without a position tells of nothing that was sent.
    for (offset, sent) in [(message, offsets[at].0), (typed(r#"{"txId":1}"#), 0)] {
        let mut source = connector(&db, 100).streaming(Some(&offset));
        assert_eq!(source.events_until("the end", is_end), all[sent..], "{offset:?}");
        source.close();
    }
    let beyond = typed(r#"{"lsn":-1,"lsn_proc":-1,"messageType":"INSERT","txId":1}"#);
    let refusal = connector(&db, 1).refusal(Some(&beyond));
    assert!(!refusal.is_transient() && refusal.to_string().contains("log ends at"), "{refusal}");
}

#[test]
fn an_offset_in_a_transaction_survives_heartbeats_that_come_before_it_does() {
    let db = prepared(15);
    let beating = || {
        let mut c = connector(&db, 1).limits(|l| {
            l.quiet_bytes = 1;
            l.quiet_interval = Duration::from_millis(1);
        });
        c.set("heartbeat.interval.ms", "1");
        c.set("table.include.list", "public.a");
        c
    };
    connector(&db, 1).streaming(None).close();
    db.sql("insert into a values (1, 'x')");
    let mut session = db.connect();
    session.batch_execute("begin; insert into a values (2, 'x'), (3, 'y'), (4, 'z')").unwrap();
    // The log between the transaction before and this one's commit: keepalives tell of it on the way.
    db.sql("create table noise (v text); insert into noise select repeat('x', 1000) from generate_series(1, 20000)");
    session.batch_execute("commit").unwrap();
    db.sql(&format!("insert into a values (5, '{END}')"));
    let mut source = connector(&db, 1).streaming(None);
    let (all, offsets) = read(&mut source);
    source.close();
    // Each run stores the newest offset after a few polls, wherever it is, and starts again from it.
    let rows: Vec<(usize, &SourceOffset)> = offsets.iter().map(|(n, o)| (*n, o)).collect();
    let (sent, offset) = rows.iter().find(|(n, _)| all[n - 1].get("id") == Some("3")).expect("row 3's offset");
    let rows_of = |events: &[Event]| events.iter().filter(|e| e.table == "public.a").cloned().collect::<Vec<_>>();
    let expected = rows_of(&all[*sent..]);
    for polls in 1..8 {
        let mut source = beating().streaming(Some(offset));
        let mut events = Vec::new();
        for _ in 0..polls {
            if let Some(step) = source.poll(Duration::from_millis(1)).unwrap() {
                events.extend(step.events);
            }
        }
        let newest = source.close().unwrap_or_else(|| (*offset).clone());
        if !events.iter().any(is_end) {
            let mut source = beating().streaming(Some(&newest));
            events.extend(source.events_until("the end", is_end));
            source.close();
        }
        assert_eq!(rows_of(&events), expected, "{polls} polls");
    }
}
