//! A connector from its creation to its deletion, as someone at REST sees it, and what is written for it.

mod fakes;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::*;
use serde_json::json;
use walspring_runtime::TargetState;
use walspring_runtime::info::ConnectorOffset;

#[test]
fn created_it_runs_and_everything_about_it_is_written_once() {
    let world = World::new();
    world.source.add(0..10);
    let worker = world.start();
    let info = worker.create("a", config(), None).unwrap();
    assert!(info.tasks.is_empty());
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    wait_until("the offset", || world.stored() == Some(10));
    wait_until("the confirmation", || world.source.confirmed() == 10);
    assert_eq!(world.values(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(world.headers.lock().unwrap()[0], "h");
    // The references are as they were; the source got them replaced.
    assert_eq!(
        world.configs.all(),
        [
            r#"connector-a {"properties":{"connector.class":"test.FakeConnector","password":"${secret}","name":"a"}}"#,
            r#"task-a-0 {"properties":{"connector.class":"test.FakeConnector","password":"${secret}","name":"a","task.class":"test.FakeConnectorTask"}}"#,
            r#"commit-a {"tasks":1}"#,
        ]
    );
    assert!(world.source.config.lock().unwrap().contains(&("password".into(), "hunter2".into())));
    let json = serde_json::to_string(&worker.status("a").unwrap()).unwrap();
    assert_eq!(
        json,
        r#"{"name":"a","connector":{"state":"RUNNING","worker_id":"host:8083","version":"1.0"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"host:8083","version":"1.0"}],"type":"source"}"#
    );
    assert_eq!(worker.connector("a").unwrap().tasks.len(), 1);
    assert_eq!(worker.topics("a").unwrap(), ["t"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
    assert!(world.statuses.get("status-task-a-0").unwrap().contains("UNASSIGNED"));

    // A worker that is started again writes no configuration.
    let before = world.configs.all();
    let worker = world.start();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert_eq!(world.configs.all(), before);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn pause_stop_and_resume() {
    let world = World::new();
    let worker = world.start();
    worker.create("a", config(), Some(TargetState::Stopped)).unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    assert!(world.configs.all()[0].starts_with("target-state-a "), "before the connector");
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 0);
    worker.resume("a").unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);

    worker.pause("a").unwrap();
    world.wait_status(&worker, &["PAUSED", "PAUSED"]);
    world.source.add(0..5);
    std::thread::sleep(Duration::from_millis(50));
    assert!(world.values().is_empty(), "a paused task does not poll");
    assert_eq!(world.source.closes.load(Ordering::SeqCst), 0, "it stays where it is");
    worker.resume("a").unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    wait_until("what came meanwhile", || world.values().len() == 5);
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 1, "the task was not started again");

    assert_eq!(worker.reset_offsets("a").unwrap_err().status, 400);
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    assert_eq!((worker.tasks("a").unwrap(), world.stored()), (vec![], Some(5)));
    assert_eq!(world.configs.get("commit-a").as_deref(), Some(r#"{"tasks":0}"#));

    let offset =
        |n: u64| ConnectorOffset { partition: props(json!({"list": "x"})), offset: Some(props(json!({"n": n}))) };
    assert_eq!(worker.alter_offsets("a", vec![]).unwrap_err().status, 400);
    worker.alter_offsets("a", vec![offset(3)]).unwrap();
    assert_eq!(worker.offsets("a").unwrap(), [offset(3)]);
    worker.resume("a").unwrap();
    wait_until("the last two again", || world.values().len() == 7);
    worker.stop_connector("a").unwrap();
    worker.reset_offsets("a").unwrap();
    assert!(worker.offsets("a").unwrap().is_empty());
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn changed_deleted_and_made_again() {
    let world = World::new();
    world.source.add(0..3);
    let worker = world.start();
    assert!(worker.put_config("a", config()).unwrap().0);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    wait_until("the offset", || world.stored() == Some(3));
    let conflict = worker.create("a", config(), None).unwrap_err();
    assert_eq!((conflict.status, conflict.message.as_str()), (409, "Connector a already exists"));

    let (created, info) = worker.put_config("a", props(json!({"connector.class": "Fake", "x": "1"}))).unwrap();
    assert!(!created && info.tasks.len() == 1);
    wait_until("a new task", || world.source.starts.load(Ordering::SeqCst) == 2);
    let patched = worker.patch_config("a", props(json!({"x": null, "y": "2"}))).unwrap();
    assert_eq!(patched.config, props(json!({"connector.class": "Fake", "name": "a", "y": "2"})));
    wait_until("a new task", || world.source.starts.load(Ordering::SeqCst) == 3);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);

    worker.delete("a").unwrap();
    assert_eq!(worker.connector("a").unwrap_err().message, "Connector a not found");
    world.wait_status(&worker, &["No status found for connector a"]);
    assert_eq!(worker.delete("a").unwrap_err().status, 404);
    wait_until("the tombstone", || world.statuses.all().last().unwrap() == "status-connector-a null");
    assert!(world.configs.all().ends_with(&["connector-a null".into(), "target-state-a null".into()]));

    world.source.add(3..4);
    worker.create("a", config(), None).unwrap();
    wait_until("it goes on from the stored offset", || world.values() == ["0", "1", "2", "3"]);
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn restarted() {
    let world = World::new();
    let worker = world.start();
    assert_eq!(worker.restart("a", true, false).unwrap_err().message, "Unknown connector: a");
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    assert_eq!(worker.restart_task("a", 1).unwrap_err().message, "Unknown task: a-1");
    let plan = worker.restart("a", true, true).unwrap();
    assert_eq!(plan.connector.state.as_str(), "RUNNING", "nothing failed");
    let plan = worker.restart("a", true, false).unwrap();
    assert_eq!((plan.connector.state.as_str(), plan.tasks[0].state.as_str()), ("RESTARTING", "RESTARTING"));
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    worker.restart_task("a", 0).unwrap();
    wait_until("the third start", || world.source.starts.load(Ordering::SeqCst) == 3);
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    worker.restart_connector("a").unwrap();
    assert!(worker.wait_reconciled("a", Duration::from_secs(60)));
    assert_eq!(world.source.starts.load(Ordering::SeqCst), 3, "tasks are left alone");
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn refused_with_every_error() {
    let world = World::new();
    let worker = world.start();
    let refuse = |config| worker.create("a", props(config), None).unwrap_err();
    let refused = refuse(json!({"connector.class": CLASS, "x": "bad", "y": null}));
    assert_eq!(
        (refused.status, refused.message.as_str()),
        (
            400,
            "Connector configuration is invalid and contains the following 2 error(s):\nThe 'x' value is invalid: \
             bad\nNull value can not be supplied as the configuration value.\nYou can also find the above list of errors \
             at the endpoint `/connector-plugins/{connectorType}/config/validate`"
        )
    );
    assert!(refuse(json!({"connector.class": CLASS, "host": "down"})).message.contains("1 error(s):\nError while"));
    assert!(refuse(json!({"connector.class": "x.Y"})).message.starts_with(
        "Failed to find any class that implements Connector and which name matches x.Y, available connectors are: "
    ));
    assert_eq!(
        refuse(json!({"connector.class": null, "password": "p"})).message,
        "Connector config {connector.class=null, password=[hidden], name=a} contains no connector type"
    );
    assert_eq!(refuse(json!({"connector.class": CLASS, "x": "${nowhere}"})).status, 500);
    assert_eq!(
        refuse(json!({"connector.class": CLASS, "name": "b"})).message,
        "Connector name configuration (b) doesn't match connector name in the URL (a)"
    );
    assert!(world.configs.all().is_empty());
    assert!(worker.shutdown(Duration::from_secs(60)));
}

#[test]
fn what_a_source_kept_goes_with_its_offset_and_with_the_connector() {
    let world = World::new();
    let worker = world.start();
    let kept = |connector: &str| world.state.get(&format!(r#"["{connector}","slot"]"#));
    let keep = || {
        world.state.put(r#"["a","slot"]"#, r#"{"v":1}"#);
        world.state.put(r#"["b","slot"]"#, r#"{"v":1}"#);
    };
    worker.create("a", config(), None).unwrap();
    world.wait_status(&worker, &["RUNNING", "RUNNING"]);
    keep();
    worker.stop_connector("a").unwrap();
    world.wait_status(&worker, &["STOPPED"]);
    assert!(kept("a").is_some());
    worker.reset_offsets("a").unwrap();
    assert!(kept("a").is_none() && kept("b").is_some());
    keep();
    worker.delete("a").unwrap();
    wait_until("the record to go", || kept("a").is_none());
    assert!(kept("b").is_some());
}
