//! Sink connectors, as someone at REST sees them and as their targets and groups do.

mod fakes;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::sinks::*;
use fakes::*;
use serde_json::json;
use walspring_connect::{StoreError, TaskError};
use walspring_runtime::info::ConnectorOffset;

const GROUP: &str = "connect-a";

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn records_are_written_and_their_offsets_committed() {
    let world = World::new();
    world.topics.add("t", 0, 0..10);
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    wait_until("the records", || world.sink.values() == numbers(0..10));
    wait_until("the offset", || world.topics.committed(GROUP, "t", 0) == Some(10));
    assert_eq!(worker.connector("a").unwrap().kind, "sink");
    assert_eq!(worker.status("a").unwrap().kind, "sink");
    assert_eq!(
        world.configs.get("task-a-0").unwrap(),
        r#"{"properties":{"connector.class":"test.FakeSinkConnector","topics":"t","tasks.max":"1","name":"a","task.class":"test.FakeSinkConnectorTask"}}"#
    );
    let listed: Vec<_> = worker.plugin_list(true).into_iter().map(|p| (p.class, p.kind)).collect();
    assert_eq!(listed, [(SINK_CLASS.to_owned(), "sink"), (CLASS.to_owned(), "source")]);
    assert_eq!(*world.sink.groups.lock().unwrap(), [GROUP]);
    assert_eq!(worker.topics("a").unwrap(), ["t"]);
    assert_eq!(world.seen.lines.lock().unwrap()[9], "connect-a t-0@9 upsert");

    let metrics = worker.metrics_text();
    for line in [
        "walspring_sink_records_total{connector=\"a\",task=\"0\",outcome=\"upsert\"} 10\n",
        "walspring_sink_put_seconds_count{connector=\"a\",task=\"0\"} ",
        "walspring_sink_partitions{connector=\"a\",task=\"0\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let lag = "walspring_sink_lag_records{connector=\"a\",task=\"0\",topic=\"t\",partition=\"0\"} 0\n";
    wait_until("the lag", || worker.metrics_text().contains(lag));
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert_eq!((world.topics.members(GROUP), world.sink.stops.load(Ordering::SeqCst)), (0, 1));
    assert_eq!(*world.sink.closed.lock().unwrap(), [tp("t", 0)]);

    // It goes on where it was.
    world.topics.add("t", 0, 10..12);
    let worker = world.start();
    wait_until("the others", || world.sink.values() == numbers(0..12));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_sink_may_not_join_the_workers_group() {
    let world = World::new();
    let worker = world.start();
    let refused = worker.create("cluster", sink_config(json!({})), None).unwrap_err().message;
    let why = "Consumer group for sink connector named cluster conflicts with Connect worker group connect-cluster";
    assert!(refused.contains(why), "{refused}");
    let own = json!({"consumer.override.group.id": "connect-cluster"});
    let refused = worker.create("a", sink_config(own), None).unwrap_err().message;
    assert!(refused.contains("Consumer group connect-cluster conflicts with"), "{refused}");
    worker.create("a", sink_config(json!({"tasks.max": "300"})), None).unwrap();
    world.wait_status(&worker, &["FAILED"]);
    assert!(worker.status("a").unwrap().connector.trace.unwrap().contains("tasks.max is 300"));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn pause_stop_resume_and_offsets() {
    let world = World::new();
    world.topics.add("t", 0, 0..3);
    let worker = world.start();
    worker.create("a", sink_config(json!({"consumer.override.group.id": "own"})), None).unwrap();
    wait_until("the records", || world.sink.values().len() == 3);
    worker.pause("a").unwrap();
    world.wait_status(&worker, &["PAUSED", "PAUSED"]);
    assert_eq!(world.topics.committed("own", "t", 0), Some(3), "what was written is committed");
    world.topics.add("t", 0, 3..5);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!((world.sink.values().len(), world.topics.members("own")), (3, 1), "it stays a member and reads nothing");
    worker.resume("a").unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    wait_until("the others", || world.sink.values().len() == 5);

    let offset = |n: i64| ConnectorOffset {
        partition: props(json!({"kafka_topic": "t", "kafka_partition": 0})),
        offset: Some(props(json!({"kafka_offset": n}))),
    };
    assert_eq!(worker.alter_offsets("a", vec![offset(1)]).unwrap_err().status, 400);
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    assert_eq!(worker.offsets("a").unwrap(), [offset(5)]);
    let said = worker.alter_offsets("a", vec![offset(4)]).unwrap();
    assert!(said.starts_with("The Connect framework-managed offsets for this connector have been altered"), "{said}");
    assert_eq!(worker.offsets("a").unwrap(), [offset(4)]);
    let refused = worker.alter_offsets("a", vec![ConnectorOffset { partition: props(json!({})), offset: None }]);
    assert_eq!(refused.unwrap_err().message, "The partition for a sink connector offset cannot be null or missing");
    worker.resume("a").unwrap();
    wait_until("the last again", || world.sink.values().len() == 6);
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    worker.reset_offsets("a").unwrap();
    assert!(worker.offsets("a").unwrap().is_empty());
    worker.resume("a").unwrap();
    wait_until("all again", || world.sink.values().len() == 11);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_sink_that_is_down_keeps_its_batch_and_its_partitions() {
    let world = World::new();
    world.topics.add("t", 0, 0..10);
    check_commits(&world);
    world.sink.down.store(true, Ordering::SeqCst);
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
    assert_eq!(trace, "java.net.ConnectException: the target is away");
    world.topics.add("t", 0, 10..20);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((world.topics.members(GROUP), world.topics.committed(GROUP, "t", 0)), (1, None));
    world.sink.down.store(false, Ordering::SeqCst);
    wait_until("the records", || world.sink.values() == numbers(0..20));
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert_eq!(worker.task_status("a", 0).unwrap().trace, None);
    assert_eq!(world.sink.groups.lock().unwrap().len(), 1, "the same attempt");

    // Paused and stopped while it is down.
    world.sink.down.store(true, Ordering::SeqCst);
    world.topics.add("t", 0, 20..30);
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    worker.pause("a").unwrap();
    world.wait_status(&worker, &["PAUSED", "PAUSED"]);
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    assert_eq!(world.topics.committed(GROUP, "t", 0), Some(20));
    world.sink.down.store(false, Ordering::SeqCst);
    worker.resume("a").unwrap();
    wait_until("the records", || world.sink.values() == numbers(0..30));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn what_does_not_pass_fails_the_task_and_what_was_written_before_is_committed() {
    let world = World::new();
    world.topics.add("t", 0, 0..3);
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    wait_until("the records", || world.sink.values().len() == 3);
    world.sink.put_errors.lock().unwrap().push_back(TaskError::definite("java.sql.SQLException", "no such table"));
    world.topics.add("t", 0, 3..4);
    world.wait_status(&worker, &["RUNNING", "FAILED"]);
    assert_eq!(
        worker.task_status("a", 0).unwrap().trace.unwrap(),
        "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\
         Caused by: java.sql.SQLException: no such table"
    );
    assert_eq!(world.topics.committed(GROUP, "t", 0), Some(3));
    assert_eq!(world.topics.members(GROUP), 0, "others may have its partitions");
    worker.restart_task("a", 0).unwrap();
    wait_until("the last", || world.sink.values() == numbers(0..4));

    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_sink_that_panics_is_started_again_and_what_was_written_does_not_come_twice() {
    let world = World::new();
    world.topics.add("t", 0, 0..3);
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    wait_until("the records", || world.sink.values().len() == 3);
    world.sink.panics.store(true, Ordering::SeqCst);
    world.topics.add("t", 0, 3..5);
    wait_until("the last", || world.sink.values() == numbers(0..5));
    wait_until("the offset", || world.topics.committed(GROUP, "t", 0) == Some(5));
    assert!(worker.metrics_text().contains("walspring_task_panics_total{connector=\"a\",task=\"0\"} 1\n"));
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn errors_of_start_open_and_commit_are_tried_again() {
    let world = World::new();
    world.topics.add("t", 0, 0..3);
    let away = || TaskError::transient("java.net.ConnectException", "away");
    world.sink.start_errors.lock().unwrap().push_back(away());
    world.sink.open_errors.lock().unwrap().push_back(away());
    world.topics.fail_commits([StoreError::Transient("no coordinator".into())]);
    world.sink.seeks.lock().unwrap().push((tp("t", 0), 1));
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    wait_until("the records after the place that the sink keeps", || world.sink.values() == numbers(1..3));
    wait_until("the offset", || world.topics.committed(GROUP, "t", 0) == Some(3));
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn a_poison_record_fails_the_task_where_errors_are_not_tolerated() {
    for names in [false, true] {
        let world = World::new();
        world.sink.names.store(names, Ordering::SeqCst);
        world.topics.add("t", 0, ["0", "1", "poison", "3"]);
        let worker = world.start();
        let queue = json!({"errors.deadletterqueue.topic.name": "q"});
        worker.create("a", sink_config(queue), None).unwrap();
        world.wait_status(&worker, &["RUNNING", "FAILED"]);
        let trace = worker.task_status("a", 0).unwrap().trace.unwrap();
        let begin = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\tHint: \
                     stage TASK_PUT failed for the record at offset 2 of partition 0 of topic t;";
        assert!(trace.starts_with(begin), "{trace}");
        assert!(trace.ends_with("\nCaused by: org.example.Poison: it cannot be written"), "{trace}");
        assert_eq!(world.topics.committed(GROUP, "t", 0), Some(2), "what came before is written and committed");
        assert_eq!(world.sink.values()[..2], ["0", "1"]);
        // As Connect, which reports before it looks whether the error is tolerated.
        assert_eq!(world.topics.letters().len(), 1);
        assert_eq!(*world.seen.lines.lock().unwrap().last().unwrap(), "connect-a t-0@2 it cannot be written true");
        assert!(worker.shutdown(Duration::from_secs(60)));
    }
}

#[test]
fn tolerated_errors_of_every_stage_reach_the_dead_letter_queue() {
    let world = World::new();
    world.topics.add("t", 0, ["0", "unreadable", "dropped", "untransformable", "poison", "5"]);
    world.topics.fail_letters([StoreError::Transient("no leader".into())]);
    let worker = world.start();
    let config = json!({
        "errors.tolerance": "all",
        "errors.log.enable": "true",
        "errors.log.include.messages": "true",
        "errors.deadletterqueue.topic.name": "q",
        "errors.deadletterqueue.context.headers.enable": "true",
        "transforms": "d",
        "transforms.d.type": "test.Drop",
        "transforms.d.value": "dropped",
    });
    worker.create("a", sink_config(config), None).unwrap();
    wait_until("the offset", || world.topics.committed(GROUP, "t", 0) == Some(6));
    assert_eq!(world.sink.values(), ["0", "5"]);
    let letters = world.topics.letters();
    let of = |i: usize| -> Vec<String> {
        let text = |v: &Option<Vec<u8>>| String::from_utf8(v.clone().unwrap_or_default()).unwrap();
        letters[i].1.headers.iter().map(|(name, value)| format!("{name}={}", text(value))).collect()
    };
    assert_eq!(letters.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(), ["q"; 3]);
    assert_eq!(letters[0].1.value.as_deref(), Some(&b"unreadable"[..]));
    assert_eq!(
        of(0),
        [
            "h=own",
            "__connect.errors.topic=t",
            "__connect.errors.partition=0",
            "__connect.errors.offset=1",
            "__connect.errors.connector.name=a",
            "__connect.errors.task.id=0",
            "__connect.errors.stage=VALUE_CONVERTER",
            "__connect.errors.class.name=test.Text",
            "__connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException",
            "__connect.errors.exception.message=it cannot be read",
            "__connect.errors.exception.stacktrace=org.apache.kafka.connect.errors.DataException: it cannot be read",
        ]
    );
    assert!(of(1).contains(&"__connect.errors.stage=TRANSFORMATION".into()), "{:?}", of(1));
    assert!(of(1).contains(&"__connect.errors.class.name=test.Drop".into()), "{:?}", of(1));
    assert!(of(2).contains(&"__connect.errors.stage=TASK_PUT".into()), "{:?}", of(2));
    assert_eq!(letters[2].1.key.as_deref(), Some(&b"key of poison"[..]));
    assert_eq!(
        *world.seen.lines.lock().unwrap(),
        [
            "connect-a t-0@0 upsert",
            "connect-a t-0@1 it cannot be read true",
            "connect-a t-0@2 dropped",
            "connect-a t-0@3 it cannot be transformed true",
            "connect-a t-0@4 it cannot be written true",
            "connect-a t-0@5 upsert",
        ]
    );
    let metrics = worker.metrics_text();
    assert!(metrics.contains("walspring_sink_dead_letters_total{connector=\"a\",task=\"0\"} 3\n"), "{metrics}");
    assert!(metrics.contains("walspring_sink_errors_total{connector=\"a\",task=\"0\",stage=\"task_put\"} 1\n"));
    assert!(metrics.contains("walspring_records_skipped_total{connector=\"a\",task=\"0\"} 3\n"), "{metrics}");
    assert!(worker.shutdown(Duration::from_secs(60)));
}

/// Partitions move while records are read, `batch` at a time.
fn hand_over(batch: &str, records: u64, slow_ms: u64) {
    let world = World::new();
    for partition in 0..6 {
        world.topics.add("t", partition, 0..records);
    }
    check_commits(&world);
    world.sink.slow_ms.store(slow_ms, Ordering::SeqCst);
    let worker = world.start();
    let config = |tasks: &str| sink_config(json!({"tasks.max": tasks, "consumer.override.max.poll.records": batch}));
    worker.create("a", config("3"), None).unwrap();
    wait_until("three members", || world.topics.shares(GROUP) == [2, 2, 2]);
    worker.create("b", sink_config(json!({"consumer.override.group.id": GROUP})), None).unwrap();
    wait_until("four members", || world.topics.shares(GROUP) == [2, 2, 1, 1]);
    worker.delete("b").unwrap();
    worker.put_config("a", config("2")).unwrap();
    wait_until("two members", || world.topics.shares(GROUP) == [3, 3]);
    world.sink.put_errors.lock().unwrap().push_back(TaskError::transient("x", "away"));
    world.topics.expel_all(GROUP);
    for partition in 0..6 {
        world.topics.add("t", partition, records..2 * records);
    }
    let end = 2 * records as i64;
    wait_until("all offsets", || (0..6).all(|p| world.topics.committed(GROUP, "t", p) == Some(end)));
    // Nothing is missing, and in each partition each value comes first in order.
    let written = world.sink.written.lock().unwrap();
    for partition in 0..6 {
        let mut next = 0;
        for (origin, _) in written.iter().filter(|(o, _)| o.partition == partition) {
            assert!(origin.kafka_offset <= next, "a gap before {origin:?}");
            next = next.max(origin.kafka_offset + 1);
        }
        assert_eq!(next, end);
    }
    drop(written);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn tasks_share_partitions_and_hand_them_over_without_loss() {
    hand_over("7", 100, 2);
}

#[test]
fn batches_that_are_decoded_ahead_are_handed_over_without_loss() {
    hand_over("150", 5000, 3);
}

#[test]
fn a_partition_that_is_revoked_while_the_sink_is_down_is_another_members() {
    let world = World::new();
    for partition in 0..4 {
        world.topics.add("t", partition, 0..10);
    }
    check_commits(&world);
    world.sink.down.store(true, Ordering::SeqCst);
    let worker = world.start();
    worker.create("a", sink_config(json!({})), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RESTARTING"]);
    // A second worker with a member of the same group.
    let mut other = sink_config(json!({"consumer.override.group.id": GROUP}));
    other.insert("x".into(), "1".into());
    worker.create("b", other, None).unwrap();
    wait_until("two shares", || world.topics.shares(GROUP) == [2, 2]);
    world.sink.down.store(false, Ordering::SeqCst);
    wait_until("all offsets", || (0..4).all(|p| world.topics.committed(GROUP, "t", p) == Some(10)));
    let mut values: Vec<_> =
        world.sink.written.lock().unwrap().iter().map(|(o, _)| (o.partition, o.kafka_offset)).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 40);
    assert!(worker.shutdown(Duration::from_secs(60)));
}
