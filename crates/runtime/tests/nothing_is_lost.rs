//! Whatever happens between source, writer and store: every record comes, in order; twice only what was not yet stored.

mod fakes;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::*;
use walspring_connect::StoreError;

fn numbers(values: &[String]) -> Vec<u64> {
    values.iter().map(|v| v.parse().unwrap()).collect()
}

/// Each value comes first in order, and repeats only go back.
fn assert_replays_only(values: &[u64], count: u64) {
    let mut next = 0;
    for value in values {
        assert!(*value <= next, "{value} came before {next}: {values:?}");
        next = next.max(value + 1);
    }
    assert_eq!(next, count, "lost at the end: {values:?}");
}

#[test]
fn a_stop_in_order_loses_and_repeats_nothing() {
    for world in [World::new(), World::transactional()] {
        world.source.batch.store(3, Ordering::SeqCst);
        for round in 0..3 {
            let worker = world.start();
            if round == 0 {
                worker.create("a", config(), None).unwrap();
            }
            world.source.add(round * 1000..(round + 1) * 1000);
            wait_until("some records", || world.values().len() as u64 > round * 1000 + 100);
            assert!(worker.shutdown(Duration::from_secs(60)));
            let drained = world.values().len() as u64;
            assert_eq!((world.stored(), world.source.confirmed()), (Some(drained), drained));
        }
        let worker = world.start();
        wait_until("the rest", || world.values().len() >= 3000);
        assert!(worker.shutdown(Duration::from_secs(60)));
        assert_eq!(numbers(&world.values()), (0..3000).collect::<Vec<_>>());
    }
}

#[test]
fn a_crash_before_the_offset_is_stored_only_repeats() {
    let world = World::new();
    world.source.batch.store(7, Ordering::SeqCst);
    world.source.add(0..100);
    let worker = world.start();
    worker.create("a", config(), None).unwrap();
    wait_until("the first offset", || world.stored() == Some(100));
    wait_until("its confirmation", || world.source.confirmed() == 100);
    world.offsets.fail(Some(StoreError::Transient("no leader".into())));
    world.source.add(100..200);
    wait_until("durable records", || world.values().len() == 200);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!((world.stored(), world.source.confirmed()), (Some(100), 100), "never confirmed before it is stored");
    world.kill();
    world.offsets.fail(None);
    drop(worker);
    world.source.add(200..300);
    let worker = world.start();
    wait_until("all of it", || world.stored() == Some(300));
    assert_replays_only(&numbers(&world.values()), 300);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn in_transactions_a_crash_repeats_nothing() {
    let world = World::transactional();
    world.source.batch.store(7, Ordering::SeqCst);
    world.source.add(0..100);
    let mut worker = world.start();
    worker.create("a", config(), None).unwrap();
    wait_until("the first hundred", || world.values().len() == 100);
    for round in 1..5 {
        world.hold.store(true, Ordering::SeqCst);
        world.source.add(round * 100..(round + 1) * 100);
        std::thread::sleep(Duration::from_millis(20));
        world.kill();
        world.hold.store(false, Ordering::SeqCst);
        worker = world.start();
        wait_until("the next hundred", || world.values().len() as u64 >= (round + 1) * 100);
    }
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!(numbers(&world.values()), (0..500).collect::<Vec<_>>());
    assert_eq!(world.stored(), Some(500));
}

#[test]
fn nothing_is_confirmed_while_it_is_in_flight() {
    for world in [World::new(), World::transactional()] {
        world.hold.store(true, Ordering::SeqCst);
        world.source.add(0..10);
        let worker = world.start();
        worker.create("a", config(), None).unwrap();
        world.wait_status(&worker, &["RUNNING", "RUNNING"]);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!((world.stored(), world.source.confirmed()), (None, 0));
        assert!(worker.metrics_text().contains("walspring_queue_bytes{connector=\"a\",task=\"0\"}"));
        world.hold.store(false, Ordering::SeqCst);
        world.source.add(10..11);
        wait_until("the confirmation", || world.source.confirmed() == 11);
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn with_an_offsets_topic_of_its_own() {
    let world = World::new();
    world.source.add(0..10);
    world.offsets.put(r#"["a",{"list":"x"}]"#, r#"{"n":4}"#);
    let mut config = config();
    config.insert("offsets.storage.topic".into(), "own".into());
    let worker = world.start();
    worker.create("a", config, None).unwrap();
    wait_until("the rest", || world.stored() == Some(10));
    assert_eq!(numbers(&world.values()), (4..10).collect::<Vec<_>>());
    let own = world.own_offsets.lock().unwrap()["own"].clone();
    assert_eq!(own.get(r#"["a",{"list":"x"}]"#).as_deref(), Some(r#"{"n":10}"#));
    worker.stop_connector("a").unwrap();
    worker.reset_offsets("a").unwrap();
    assert_eq!((own.get(r#"["a",{"list":"x"}]"#), world.stored()), (None, None));
    assert!(worker.shutdown(Duration::from_secs(60)));
}
