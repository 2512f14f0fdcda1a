//! A test of the tests: each bug that can be planted is found.
//!
//! Not by luck: each shows on its way, where a worker ends or is held at a place that is counted, and what it reads was
//! committed while no worker ran, or while it was seen to wait.

use std::time::Duration;

use serde_json::Value;
use walspring_connect::fault::{HELD_AT, plants};
use walspring_faults::ledger::Load;
use walspring_faults::rig::{Delivery, PATIENCE, Rig, Setup};
use walspring_faults::worker::Worker;
use walspring_testkit::{kafka, postgres, wait_for};

use crate::program;

/// What a worker that has read its snapshot is led through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It ends in the midst of a transaction, a part of which is written, and has no snapshot to read.
    Midst,
    /// It reads what was committed while it was away: batches of many rows.
    Batches,
    /// Each record is stored by itself, and it ends behind one in the midst of COPY, whose rows share their place in the
    /// log, before a transaction that has rows in front of them; then at a row that is read and not stored.
    Places,
    /// Nothing is stored any more, while it reads on.
    HeldLog,
    /// Nothing reaches Kafka, while it reads on.
    HeldProducer,
    /// As `Midst`, where it writes to Kafka in transactions.
    MidstOnKafka,
    /// Transactions commit while its snapshot is held up.
    HeldSnapshot,
    /// It ends in the midst of an incremental snapshot that a signal asked for.
    Asked,
}

impl Way {
    /// On which `plant` shows.
    fn of(plant: &str) -> Way {
        match plant {
            "forget_offset" => Way::Midst,
            "confirm_early" => Way::HeldLog,
            "durable_when_sent" => Way::HeldProducer,
            "commit_without_offset" => Way::MidstOnKafka,
            "gap_after_snapshot" => Way::HeldSnapshot,
            "forget_signal" => Way::Asked,
            _ if plants(|known| known.of_batches && known.name == plant).next().is_some() => Way::Batches,
            _ => Way::Places,
        }
    }
}

/// What a task logs that does not go on.
const FAILED: &str = "the task failed";

/// Rows of a transaction that the server sends while it is open, and that is one batch.
const LARGE: u64 = 1000;

/// Whether something wrong is found on this way.
fn is_found(way: Way, plant: Option<&str>) -> bool {
    let server = postgres(15);
    let mut setup = Setup::new(program(), &server);
    if matches!(way, Way::HeldProducer | Way::MidstOnKafka) {
        setup.bootstrap = Some(kafka().bootstrap());
    }
    if way == Way::HeldProducer {
        setup.delivery = Delivery::AtLeastOnce;
    }
    let limit = match way {
        Way::Batches | Way::Asked => "",
        Way::Midst | Way::MidstOnKafka => "batch_changes:50,commit_requests:1,transaction_bytes:60000",
        _ => "batch_changes:1,commit_requests:1",
    };
    let limit = ("WALSPRING_LIMIT", limit);
    let environment = [limit, ("WALSPRING_PLANT", plant.unwrap_or_default())];
    setup.environment = &environment;
    let held = [
        ("snapshot.select.statement.overrides", "public.plain"),
        (
            "snapshot.select.statement.overrides.public.plain",
            "select * from public.plain where (select pg_advisory_xact_lock_shared(1)::text) is not null",
        ),
    ];
    if way == Way::HeldSnapshot {
        setup.connector = &held;
    }
    let none = [("snapshot.mode", "no_data")];
    if matches!(way, Way::Midst | Way::MidstOnKafka) {
        setup.connector = &none;
    }
    setup.signals = way == Way::Asked;
    let mut rig = setup.rig();
    if setup.connector != none {
        Load::crossed(&rig.db.url(), 8, 2);
    }
    let led = lead(&mut rig, way, plant.is_some());
    if let Some(too_much) = led.too_much {
        eprintln!("{}: {too_much}", plant.unwrap_or("no bug"));
        return true;
    }
    let logged = if led.worker.is_some() { 0 } else { rig.program.log_bytes() };
    let _worker = led.worker.unwrap_or_else(|| rig.start());
    // A worker that stops because slot and offset do not agree has found the bug itself.
    let stopped = wait_for("a stream or its refusal", PATIENCE, || {
        let log = rig.program.log_since(logged);
        if log.contains(FAILED) { Some(true) } else { log.contains("\"streaming\"").then_some(false) }
    });
    if stopped {
        eprintln!("{}: the task stopped", plant.unwrap_or("no bug"));
        return true;
    }
    // Where any row may be lost, so may the last ones, which would be waited for in vain.
    if plant.is_some_and(|plant| matches!(way, Way::Batches | Way::Asked) || plant == "acknowledge_unwritten") {
        rig.patience = Duration::from_secs(3);
    }
    let verdict = rig.check();
    eprintln!("{}: {verdict:?}", plant.unwrap_or("no bug"));
    !verdict.is_good(rig.replays_max(led.ends))
}

/// What has become of a worker.
#[derive(Default)]
struct Led {
    /// How often it was ended.
    ends: usize,
    too_much: Option<String>,
    /// It runs still.
    worker: Option<Worker>,
}

/// `planted`: what a bug brings about is waited for; without one there is nothing to wait for.
fn lead(rig: &mut Rig, way: Way, planted: bool) -> Led {
    let url = rig.db.url();
    if way == Way::HeldSnapshot {
        return Led { worker: Some(held_snapshot(rig)), ..Led::default() };
    }
    // The first worker makes the slot and reads the snapshot. All that is committed behind that is still to come.
    let mut first = rig.start();
    rig.wait_streaming();
    first.stop(PATIENCE);
    drop(first);
    let mut led = Led { ends: 1, ..Led::default() };
    match way {
        Way::Midst | Way::MidstOnKafka => {
            Load::large(&url, LARGE);
            end_at(rig, if way == Way::Midst { "log.synced:14" } else { "kafka.committed:3" });
            led.ends += 1;
        }
        Way::Batches => {
            // What the server sends of a transaction in progress is read at its end, as a whole: that the batch has many
            // rows does not hang on who is faster.
            rig.db.sql(&format!("alter database {} set logical_decoding_work_mem = '64kB'", rig.db.name()));
            Load::large(&url, LARGE);
        }
        Way::Places => {
            for (place, seed) in [("log.synced:16", 1), ("stream.change:20", 2)] {
                Load::crossed(&url, seed, 2);
                end_at(rig, place);
                led.too_much = led.too_much.or(rig.confirmed_too_much());
                led.ends += 1;
            }
        }
        Way::HeldLog => {
            Load::crossed(&url, 1, 2);
            let (_worker, is_held) = start_held(rig, "log.write:16:hold");
            led.too_much = match planted && is_held {
                true => Some(wait_for("what is confirmed too early", PATIENCE, || rig.confirmed_too_much())),
                false => rig.confirmed_too_much(),
            };
            led.ends += 1;
        }
        Way::HeldProducer => {
            Load::large(&url, 100);
            let (_worker, is_held) = start_held(rig, "kafka.produce_sent:1:hold");
            if planted && is_held {
                // Of a row: what is stored without any record may be stored.
                let of_row = |offset: Value| (offset["messageType"] == "INSERT").then_some(());
                wait_for("an offset of a row", PATIENCE, || rig.stored().and_then(of_row));
            }
            led.ends += 1;
        }
        Way::Asked => {
            rig.wait_snapshot_over();
            rig.ask(false);
            // The third of four chunks of a table.
            end_at(rig, "incremental.rows:3");
            led.ends += 1;
        }
        Way::HeldSnapshot => unreachable!("it is the first worker's"),
    }
    led
}

/// A worker that ends at this place.
fn end_at(rig: &Rig, place: &str) {
    let mut worker = rig.start_to(Some(place));
    assert!(worker.wait(PATIENCE).is_some(), "{place} was not passed:\n{}", rig.program.log());
}

/// A worker, and whether it is held at this place. It is not where it has found before that slot and offset do not agree.
fn start_held(rig: &Rig, place: &str) -> (Worker, bool) {
    let logged = rig.program.log_bytes();
    let worker = rig.start_to(Some(place));
    let is_held = wait_for(place, PATIENCE, || {
        let log = rig.program.log_since(logged);
        if log.contains(HELD_AT) { Some(true) } else { log.contains(FAILED).then_some(false) }
    });
    (worker, is_held)
}

/// Transactions commit between the point of the snapshot and its end: it waits for a lock of ours.
fn held_snapshot(rig: &Rig) -> Worker {
    let mut session = rig.db.connect();
    session.batch_execute("select pg_advisory_lock(1)").expect("a lock");
    let worker = rig.start();
    let waits = "select 1 from pg_locks l join pg_database d on d.oid = l.database \
                 where locktype = 'advisory' and not granted and datname = current_database()";
    wait_for("a snapshot that waits", PATIENCE, || (!rig.db.sql(waits).is_empty()).then_some(()));
    Load::crossed(&rig.db.url(), 1, 2);
    session.batch_execute("select pg_advisory_unlock(1)").expect("no lock");
    rig.wait_streaming();
    worker
}

fn assert_sound(ways: &[Way]) {
    let sound = |way: &Way| is_found(*way, None);
    assert_eq!(ways.iter().copied().filter(sound).collect::<Vec<_>>(), [], "there was no bug");
}

#[test]
fn without_a_bug_nothing_is_found() {
    assert_sound(&[
        Way::Midst,
        Way::Batches,
        Way::Places,
        Way::HeldLog,
        Way::HeldProducer,
        Way::MidstOnKafka,
        Way::HeldSnapshot,
        Way::Asked,
    ]);
}

fn all_found(plants: impl Iterator<Item = &'static str>) {
    let missed: Vec<&str> = plants.filter(|plant| !is_found(Way::of(plant), Some(plant))).collect();
    assert_eq!(missed, Vec::<&str>::new(), "these bugs would go unnoticed");
}

#[test]
fn every_planted_bug_of_a_batch_is_found() {
    all_found(plants(|plant| plant.of_batches));
}

#[test]
fn every_planted_bug_of_positions_and_durability_is_found() {
    all_found(plants(|plant| !plant.of_batches));
}
