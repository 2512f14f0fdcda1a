//! What goes wrong, and what then is seen.

mod fakes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fakes::*;
use serde_json::json;
use walspring_connect::{Backend, DEBEZIUM_EXCEPTION, StoreError, TaskError};
use walspring_runtime::Health;

#[test]
fn what_passes_is_tried_again_and_seen() {
    let world = World::new();
    let worker = world.start();
    let errors = || (0..2).map(|_| TaskError::transient(DEBEZIUM_EXCEPTION, "the server starts up"));
    world.source.start_errors.lock().unwrap().extend(errors());
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
    assert_eq!(trace, "io.debezium.DebeziumException: the server starts up");
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert_eq!(worker.task_status("a", 0).unwrap().trace, None);
    world.source.poll_errors.lock().unwrap().extend(errors());
    world.source.add(0..5);
    wait_until("the records", || world.values().len() == 5);

    // What the source waits for by itself shows too.
    let progress = world.source.waiting.lock().unwrap().clone().unwrap();
    progress.waiting(Some("waiting for PostgreSQL".into()));
    assert_eq!(worker.task_status("a", 0).unwrap().trace.as_deref(), Some("waiting for PostgreSQL"));
    progress.waiting(None);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    progress.gauge("confirmed_lsn", 5.0);
    assert!(worker.metrics_text().contains("walspring_confirmed_lsn{connector=\"a\",task=\"0\"} 5\n"));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn the_sources_retries_may_be_limited() {
    let world = World::new();
    let worker = world.start();
    let error = TaskError::transient(DEBEZIUM_EXCEPTION, "no");
    world.source.start_errors.lock().unwrap().extend([error.clone(), error]);
    let mut config = config();
    config.insert("errors.max.retries".into(), "0".into());
    worker.create("a", config, None).unwrap();
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 1);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn an_error_may_be_taken_for_passing_by_its_text() {
    for world in [World::new(), World::transactional()] {
        let worker = world.start();
        let mut config = config();
        config.extend(props(json!({
            "internal.custom.retriable.exception": "it .* for good",
            "errors.max.retries": "2",
            "retriable.restart.connector.wait.ms": "10",
        })));
        worker.create("a", config, None).unwrap();
        world.source.add(0..3);
        wait_until("the records", || world.stored() == Some(3));
        let error = TaskError::definite(DEBEZIUM_EXCEPTION, "no").caused_by(DEBEZIUM_EXCEPTION, "it broke for good");
        world.source.poll_errors.lock().unwrap().extend(vec![error; 10]);
        world.wait_status(&worker, &["RUNNING", "FAILED"]);
        assert_eq!(world.source.starts.load(Ordering::SeqCst), 3, "the first and two more");
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn what_does_not_pass_fails_the_task_until_it_is_restarted() {
    let world = World::new();
    let worker = world.start();
    world.source.start_errors.lock().unwrap().push_back(
        TaskError::definite(DEBEZIUM_EXCEPTION, "Creation of replication slot failed")
            .caused_by("org.postgresql.util.PSQLException", "FATAL: must be superuser")
            .hint("ALTER ROLE x REPLICATION"),
    );
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
    assert!(trace.starts_with("io.debezium.DebeziumException: Creation of replication slot failed\n"), "{trace}");
    let plan = worker.restart("a", true, true).unwrap();
    assert_eq!((plan.connector.state.as_str(), plan.tasks[0].state.as_str()), ("RUNNING", "RESTARTING"));
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);

    world.source.add(0..1);
    wait_until("the record", || world.values().len() == 1);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_task_that_failed_is_started_again_when_the_file_with_its_password_has_changed() {
    let world = World::new();
    let worker = world.start();
    let file = std::env::temp_dir().join(format!("walspring-password-{}", std::process::id()));
    std::fs::write(&file, "old").unwrap();
    let refused = || TaskError::definite(DEBEZIUM_EXCEPTION, "FATAL: password authentication failed for user \"x\"");
    world.source.start_errors.lock().unwrap().push_back(refused());
    let mut config = config();
    config.insert("database.password".into(), format!("${{file:{}}}", file.display()).into());
    worker.create("a", config, None).unwrap();
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 1);
    // The old one is not tried again; the new one is by itself, and is no worse off for having been refused.
    std::fs::write(&file, "new").unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 2);
    world.source.add(0..1);
    wait_until("the record", || world.values().len() == 1);
    // While one waits for that, it can be stopped, and restarted by hand.
    world.source.poll_errors.lock().unwrap().push_back(refused());
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    worker.restart_task("a", 0).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_record_that_cannot_be_converted() {
    let world = World::new();
    world.source.batch.store(1, Ordering::SeqCst);
    world.source.events.lock().unwrap().extend(["1", "bad", "2"].map(str::to_owned));
    let worker = world.start();
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    assert_eq!(
        worker.task_status("a", 0).unwrap().trace.unwrap(),
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\nCaused by: \
         org.apache.kafka.connect.errors.DataException: it is bad"
    );
    assert_eq!((world.values(), world.stored()), (vec!["1".to_owned()], Some(1)), "what came before is kept");
    worker.patch_config("a", props(json!({"errors.tolerance": "all"}))).unwrap();
    wait_until("the others", || world.values() == ["1", "2"]);
    worker
        .patch_config(
            "a",
            props(json!({"transforms": "d", "transforms.d.type": "test.Drop", "transforms.d.value": "3"})),
        )
        .unwrap();
    wait_until("the new task", || world.source.starts.load(Ordering::SeqCst) == 3);
    world.source.add([3, 4]);
    wait_until("what is not dropped", || world.values() == ["1", "2", "4"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

/// With a transform that asks somebody.
fn asking(options: serde_json::Value) -> walspring_runtime::Props {
    let mut all = config();
    all.extend(props(json!({"transforms": "d", "transforms.d.type": "test.Drop", "transforms.d.value": "dropped"})));
    all.extend(props(options));
    all
}

fn number(worker: &walspring_runtime::Supervisor, name: &str) -> u64 {
    let metrics = worker.metrics_text();
    let series = format!("{name}{{connector=\"a\",task=\"0\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse::<f64>().unwrap() as u64
}

#[test]
fn what_goes_away_is_tried_again_and_nothing_is_left_out() {
    for tolerance in ["none", "all"] {
        let world = World::new();
        world.unanswered.store(3, Ordering::SeqCst);
        world.source.events.lock().unwrap().extend(["1", "asked", "2"].map(str::to_owned));
        let worker = world.start();
        let retry = json!({
            "errors.tolerance": tolerance, "errors.retry.timeout": "600000", "errors.retry.delay.max.ms": "5",
        });
        worker.create("a", asking(retry), None).unwrap();
        wait_until("all", || world.values() == ["1", "asked", "2"]);
        assert_eq!(world.source.starts.load(Ordering::SeqCst), 1, "in one attempt of the task");
        assert_eq!(number(&worker, "kafka_connect_task_error_total_retries"), 3);
        assert_eq!(number(&worker, "kafka_connect_task_error_total_record_failures"), 3);
        assert_eq!(number(&worker, "kafka_connect_task_error_total_record_errors"), 0);
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn what_does_not_go_away_in_time_is_left_out_only_if_tolerated() {
    let world = World::new();
    world.unanswered.store(u64::MAX, Ordering::SeqCst);
    world.source.batch.store(1, Ordering::SeqCst);
    world.source.events.lock().unwrap().extend(["1", "asked", "untransformable", "bad", "2"].map(str::to_owned));
    let worker = world.start();
    let retry = json!({"errors.retry.timeout": "20", "errors.retry.delay.max.ms": "5", "errors.log.enable": "true"});
    worker.create("a", asking(retry), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    assert!(worker.task_status("a", 0).unwrap().trace.unwrap().contains("nobody answers"));
    let before = number(&worker, "kafka_connect_task_error_total_errors_logged");
    assert!(before >= 1);
    assert_eq!(number(&worker, "kafka_connect_task_error_total_records_skipped"), 0);
    worker.patch_config("a", props(json!({"errors.tolerance": "all"}))).unwrap();
    wait_until("the others", || world.values() == ["1", "2"]);
    assert_eq!(number(&worker, "kafka_connect_task_error_total_records_skipped"), 3);
    assert_eq!(number(&worker, "walspring_records_skipped_total"), 3);
    assert!(number(&worker, "kafka_connect_task_error_total_errors_logged") >= before + 3);
    assert!(number(&worker, "kafka_connect_task_error_last_error_timestamp") > 1_600_000_000_000);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn without_a_time_to_wait_what_goes_away_is_not_left_out() {
    let world = World::new();
    world.unanswered.store(2, Ordering::SeqCst);
    world.source.batch.store(1, Ordering::SeqCst);
    world.source.events.lock().unwrap().extend(["1", "asked", "2"].map(str::to_owned));
    let worker = world.start();
    worker.create("a", asking(json!({"errors.tolerance": "all"})), None).unwrap();
    wait_until("all", || world.values() == ["1", "asked", "2"]);
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 3, "the task was started again instead");
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_stop_does_not_wait_for_the_last_attempt_and_loses_nothing() {
    let world = World::new();
    world.unanswered.store(u64::MAX, Ordering::SeqCst);
    world.source.events.lock().unwrap().extend(["1", "asked", "2"].map(str::to_owned));
    let worker = world.start();
    worker.create("a", asking(json!({"errors.tolerance": "all", "errors.retry.timeout": "-1"})), None).unwrap();
    wait_until("the first attempt", || world.unanswered.load(Ordering::SeqCst) < u64::MAX);
    assert!(worker.shutdown(Duration::from_secs(60)));
    world.unanswered.store(0, Ordering::SeqCst);
    let worker = world.start();
    wait_until("all", || world.values().ends_with(&["asked".into(), "2".into()]));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn fenced_by_a_newer_worker_it_stops_and_says_so() {
    let world = World::transactional();
    let old = world.start();
    old.create("a", config(), None).unwrap();
    world.wait_status(&old, &["RUNNING", "RUNNING"]);
    let new = world.start();
    world.wait_status(&new, &["RUNNING", "RUNNING"]);
    world.source.add(0..10);
    wait_until("the old one to be fenced", || matches!(old.health(), Health::Unhealthy(_)));
    world.wait_status(&old, &["FAILED", "FAILED"]);
    let trace = old.task_status("a", 0).unwrap().trace.unwrap();
    assert!(trace.to_lowercase().contains("another worker with the same group.id has taken over"), "{trace}");
    assert_eq!(old.pause("a").unwrap_err().status, 500);
    wait_until("the records", || world.values().len() == 10);
    assert_eq!(world.stored(), Some(10));
    assert!(new.shutdown(Duration::from_secs(60)));
}

#[test]
fn fenced_by_its_own_late_transaction_it_goes_on() {
    let world = World::transactional();
    world.still_ours.store(true, Ordering::SeqCst);
    let worker = world.start();
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    // The writer's epoch only.
    world.kill();
    world.source.add(0..10);
    wait_until("the records", || world.values().len() == 10);
    assert_eq!(worker.health(), Health::Healthy);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_class_that_is_not_here_is_left_alone() {
    let world = World::new();
    let record = r#"{"properties":{"connector.class":"com.example.Other","name":"a"}}"#;
    world.configs.put("connector-a", record);
    world.configs.put("target-state-b", r#"{"state":"PAUSED","state.v2":"PAUSED"}"#);
    world.configs.put("connector-b", r#"{"properties":{"connector.class":"Fake","name":"b"}}"#);
    let worker = world.start();
    world.wait_status(&worker, &["FAILED"]);
    let status = worker.status("a").unwrap();
    assert!(status.connector.trace.unwrap().contains("which name matches com.example.Other"));
    assert_eq!(status.kind, "unknown");
    wait_until("the paused one", || worker.status("b").is_ok_and(|s| s.connector.state.as_str() == "PAUSED"));
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 0);
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!(world.configs.all().iter().filter(|r| r.starts_with("connector-a")).count(), 1);
    assert!(!world.configs.all().iter().any(|r| r.starts_with("task-a")));
}

#[test]
fn started_before_the_store_it_waits_and_says_for_what() {
    let world = World::new();
    let up = Arc::new(AtomicBool::new(false));
    let (world_of_worker, is_up) = (world.clone(), up.clone());
    let worker = world.start_with(Box::new(move || match is_up.load(Ordering::SeqCst) {
        true => Ok(Arc::new(FakeBackend(world_of_worker.clone())) as Arc<dyn Backend>),
        false => Err(StoreError::Transient("127.0.0.1:9092: connection refused".into())),
    }));
    wait_until("the reason", || matches!(worker.health(), Health::Starting(w) if w.contains("connection refused")));
    let refused = worker.connectors().unwrap_err();
    assert_eq!(refused.status, 503);
    assert!(refused.message.contains("connection refused"), "{refused}");
    assert_eq!(worker.create("a", config(), None).unwrap_err().status, 503);
    assert_eq!(worker.server_info().kafka_cluster_id, None);
    up.store(true, Ordering::SeqCst);
    assert!(worker.wait_ready(Duration::from_secs(60)));
    assert_eq!(worker.server_info().kafka_cluster_id.as_deref(), Some("cluster"));
    assert!(worker.connectors().unwrap().is_empty());
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_write_whose_outcome_is_not_known_is_read_again() {
    let world = World::new();
    let worker = world.start();
    world.configs.fail(Some(StoreError::Transient("timed out".into())));
    assert_eq!(worker.create("a", config(), None).unwrap_err().status, 503);
    assert!(worker.connectors().unwrap().is_empty());
    // It was written after all.
    world.configs.put("connector-a", r#"{"properties":{"connector.class":"Fake","name":"a"}}"#);
    world.configs.fail(None);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

/// Taken for none it would have the source begin anew.
#[test]
fn an_offset_that_cannot_be_read_fails_the_task_and_can_be_deleted() {
    let world = World::new();
    let worker = world.start();
    world.source.add(0..3);
    world.offsets.put(r#"["a",{"list":"x"}]"#, "7");
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
    assert!(trace.contains("the stored offset is no JSON object"), "{trace}");
    assert!(world.values().is_empty());
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    worker.reset_offsets("a").unwrap();
    worker.resume("a").unwrap();
    wait_until("the records", || world.values().len() == 3);
    assert!(worker.shutdown(Duration::from_secs(10)));
}

/// A broker that has not said yet what became of the newest offset: the task is not started from the one before.
#[test]
fn an_offset_that_is_not_settled_is_waited_for() {
    let world = World::new();
    let worker = world.start();
    world.source.add(0..10);
    world.offsets.put(r#"["a",{"list":"x"}]"#, r#"{"n":3}"#);
    world.offsets.fail(Some(StoreError::Transient("the outcome of the last transaction is not yet in the log".into())));
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
    assert!(trace.contains("the outcome of the last transaction is not yet in the log"), "{trace}");
    assert!(world.values().is_empty());
    world.offsets.put(r#"["a",{"list":"x"}]"#, r#"{"n":7}"#);
    world.offsets.fail(None);
    wait_until("the rest", || world.values().len() == 3);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!(world.values().len(), 3);
}

#[test]
fn a_task_that_hangs_does_not_hold_up_the_end_for_ever() {
    let world = World::new();
    world.source.add(0..10);
    world.hold.store(true, Ordering::SeqCst);
    let worker = world.start();
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    // Nothing becomes durable: it gives up after the graceful timeout, and nothing is confirmed.
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!((world.stored(), world.source.confirmed()), (None, 0));
}
