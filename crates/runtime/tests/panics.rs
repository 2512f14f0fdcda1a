//! Threads that panic, and threads that cannot be started: the task goes on by itself, alone, and not for ever.

mod fakes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::*;
use serde_json::json;
use walspring_connect::fault;
use walspring_runtime::{Props, Supervisor};

fn quick() -> Props {
    let mut config = config();
    config.insert("retriable.restart.connector.wait.ms".into(), "10".into());
    config
}

fn panics(worker: &Supervisor) -> u64 {
    let metrics = worker.metrics_text();
    let series = "walspring_task_panics_total{connector=\"a\",task=\"0\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<f64>().ok()).unwrap_or_default() as u64
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[test]
fn a_panic_of_any_thread_of_a_task_starts_it_again_and_nothing_is_lost_or_twice() {
    for transactional in [false, true] {
        let world = if transactional { World::transactional() } else { World::new() };
        let worker = world.start();
        worker.create("a", quick(), None).unwrap();
        worker.create("beside", sinks::sink_config(json!({"topics": "other"})), None).unwrap();
        world.source.add(0..5);
        wait_until("the first", || world.source.confirmed() == 5);
        for (n, thread) in (1..).zip([&world.source.panics, &world.source.confirm_panics, &world.source.thread_panics])
        {
            let starts = world.source.starts.load(Ordering::SeqCst);
            thread.store(1, Ordering::SeqCst);
            if n == 3 {
                // The source's own are begun with it.
                worker.restart_task("a", 0).unwrap();
            }
            let before = world.source.events.lock().unwrap().len() as u64;
            world.source.add(before..before + 5);
            wait_until("the panic", || panics(&worker) == n);
            wait_until("another attempt", || world.source.starts.load(Ordering::SeqCst) > starts + n / 3);
            wait_until("the rest", || world.stored() == Some(before + 5));
            world.wait_status(&worker, &["RUNNING", "RUNNING"]);
        }
        world.source.add(20..21);
        wait_until("the last confirmation", || world.source.confirmed() == 21);
        let expected: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        if transactional {
            assert_eq!(world.values(), expected);
        } else {
            let mut values = world.values();
            values.dedup();
            assert!(expected.iter().all(|value| values.contains(value)), "{values:?}");
        }
        let untouched = "walspring_task_restarts_total{connector=\"beside\",task=\"0\"} 0\n";
        assert!(worker.metrics_text().contains(untouched), "{}", worker.metrics_text());
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn a_value_that_panics_each_time_fails_the_task_after_five_times() {
    for transactional in [false, true] {
        let world = if transactional { World::transactional() } else { World::new() };
        world.source.batch.store(1, Ordering::SeqCst);
        world.source.events.lock().unwrap().extend(texts(&["1", "broken", "2"]));
        let worker = world.start();
        worker.create("a", quick(), None).unwrap();
        world.wait_status(&worker, &["RUNNING", "FAILED"]);
        let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
        let begin = "org.apache.kafka.connect.errors.ConnectException: the task broke off: thread task-a-0 panicked at \
                     crates/runtime/tests/fakes/mod.rs:";
        assert!(trace.starts_with(begin), "{trace}");
        assert!(trace.contains(": no way to write \"…; it did so 5 times"), "{trace}");
        assert_eq!((panics(&worker), world.values(), world.stored()), (5, texts(&["1"]), Some(1)));
        // It is mended.
        world.source.events.lock().unwrap()[1] = "mended".to_owned();
        worker.restart_task("a", 0).unwrap();
        wait_until("the rest", || world.values() == ["1", "mended", "2"]);
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn where_nothing_is_retried_a_panic_fails_the_task() {
    let world = World::new();
    let worker = world.start();
    let mut config = quick();
    config.insert("errors.max.retries".into(), "0".into());
    worker.create("a", config, None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    world.source.panics.store(1, Ordering::SeqCst);
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    assert!(worker.task_status("a", 0).unwrap().trace.unwrap().contains("asked to break off"));
    worker.restart_task("a", 0).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_paused_task_whose_thread_panics_is_paused_again() {
    let world = World::new();
    let worker = world.start();
    world.source.thread_panics.store(1, Ordering::SeqCst);
    worker.create("a", quick(), None).unwrap();
    wait_until("the panic", || panics(&worker) == 1);
    worker.pause("a").unwrap();
    world.wait_status(&worker, &["PAUSED", "PAUSED"]);
    world.source.add(0..5);
    worker.resume("a").unwrap();
    wait_until("the records", || world.source.confirmed() == 5);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn threads_that_cannot_be_started_are_waited_for() {
    // A limit is of the whole process: these names are this test's alone.
    const NAME: &str = "without-threads";
    let world = World::new();
    let worker = world.start();
    let state = |worker: &Arc<Supervisor>| {
        let status = worker.status(NAME).ok()?;
        Some((status.tasks.first()?.state.as_str().to_owned(), status.tasks.first()?.trace.clone().unwrap_or_default()))
    };
    let fail = |thread: &str, fails: bool| fault::fail_spawns(&format!("{thread}-{NAME}"), fails);
    fail("reconcile", true);
    worker.create(NAME, quick(), None).unwrap();
    assert_eq!(state(&worker), None);
    fail("task", true);
    fail("reconcile", false);
    for (thread, next) in [("task", "commit"), ("commit", "")] {
        wait_until("the reason", || {
            state(&worker)
                .is_some_and(|(state, trace)| state == "RESTARTING" && trace.contains("no thread can be started"))
        });
        if !next.is_empty() {
            fail(next, true);
        }
        fail(thread, false);
    }
    wait_until("the task", || state(&worker).is_some_and(|(state, _)| state == "RUNNING"));
    world.source.add(0..5);
    wait_until("the records", || world.values().len() == 5);
    // Nor can any be for its end: then it is not said to have ended in order.
    fail("reconcile", true);
    assert!(!worker.shutdown(Duration::from_millis(300)));
    fail("reconcile", false);
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!(world.source.confirmed(), 5, "{}", json!(world.values()));
}
