//! What older versions have left behind, one directory of `fixtures/left_by` each: connectors, states, offsets, records, and
//! what is kept of the source. A worker of today knows all of it and goes on.
//!
//! A version's directory is written by that version: `WALSPRING_WRITE_FIXTURE=1 cargo test -p walspring --test older`.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Worker, connector, request};
use walspring_testkit::postgres;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/left_by")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

const RECORDS: &str = "/v1/topics/left.public.t/records";

/// A snapshot of one row, an insert into the altered table, and a stop; a second connector that is paused; and an orderly end.
fn leave() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, name text); insert into t values (1, 'before')");
    let dir = tempfile::tempdir().unwrap();
    let mut worker = Worker::start(dir.path(), &[]);
    for name in ["left", "paused"] {
        let (status, body) = request(worker.port, "POST", "/connectors", Some(&connector(&db, name, name).to_string()));
        assert_eq!(status, 201, "{body}");
        worker.wait(&format!("/connectors/{name}/status"), |s| s["tasks"][0]["state"] == "RUNNING");
    }
    worker.wait(RECORDS, |a| a["next_offset"] == 1);
    db.sql("alter table t add column more int not null default 7; insert into t values (2, 'after')");
    worker.wait(RECORDS, |a| a["next_offset"] == 2);
    request(worker.port, "PUT", "/connectors/paused/pause", None);
    worker.wait("/connectors/paused/status", |s| s["tasks"][0]["state"] == "PAUSED");
    // So that a worker of later does not look for that server.
    request(worker.port, "PUT", "/connectors/left/stop", None);
    worker.wait("/connectors/left/status", |s| s["connector"]["state"] == "STOPPED");
    worker.signal("TERM");
    worker.wait_exit(Duration::from_secs(20));
    let to = fixtures().join(env!("CARGO_PKG_VERSION"));
    let _ = std::fs::remove_dir_all(&to);
    copy(&dir.path().join("log"), &to);
    let _ = std::fs::remove_file(to.join("lock"));
}

#[test]
fn a_worker_goes_on_from_what_older_versions_have_left() {
    if std::env::var_os("WALSPRING_WRITE_FIXTURE").is_some() {
        return leave();
    }
    let mut versions = 0;
    for left in std::fs::read_dir(fixtures()).unwrap().map(Result::unwrap) {
        versions += 1;
        let version = left.file_name();
        let dir = tempfile::tempdir().unwrap();
        copy(&left.path(), &dir.path().join("log"));
        let worker = Worker::start(dir.path(), &[]);
        // Connectors, states and offsets.
        worker.wait("/connectors", |list| *list == json!(["left", "paused"]) || *list == json!(["paused", "left"]));
        for (name, state) in [("paused", "PAUSED"), ("left", "STOPPED")] {
            worker.wait(&format!("/connectors/{name}/status"), |s| s["connector"]["state"] == state);
        }
        let offsets = worker.json("/connectors/left/offsets");
        let before = &offsets["offsets"][0];
        assert_eq!(before["partition"], json!({"server": "left"}), "{version:?}: {offsets}");
        assert!(before["offset"]["lsn"].as_u64().is_some_and(|lsn| lsn > 0), "{version:?}: {offsets}");
        // Records.
        let rows = worker.json(RECORDS);
        let after: Vec<&Value> = rows["records"].as_array().unwrap().iter().map(|r| &r["value"]["after"]).collect();
        let expected = [json!({"id": 1, "name": "before"}), json!({"id": 2, "name": "after", "more": 7})];
        assert_eq!(after, expected.iter().collect::<Vec<_>>(), "{version:?}");

        // Which server that was is known: this one is another.
        let db = postgres(15).database();
        db.sql("create table t (id int primary key, name text, more int not null default 7)");
        let mut config = connector(&db, "left", "left")["config"].take();
        let put = |config: &Value| {
            let (status, body) = request(worker.port, "PUT", "/connectors/left/config", Some(&config.to_string()));
            assert_eq!(status, 200, "{body}");
        };
        put(&config);
        request(worker.port, "PUT", "/connectors/left/resume", None);
        let failed = worker.wait("/connectors/left/status", |s| s["tasks"][0]["state"] == "FAILED");
        let trace = failed["tasks"][0]["trace"].as_str().unwrap_or_default();
        assert!(trace.contains("Another server answers"), "{version:?}: {trace}");
        // Told to go on all the same, it does: behind the records that are there.
        config["offset.mismatch.strategy"] = json!("trust_slot");
        put(&config);
        worker.wait("/connectors/left/status", |s| s["tasks"][0]["state"] == "RUNNING");
        let slot = db.slot("left");
        let streams = format!("select active from pg_replication_slots where slot_name = '{slot}'");
        walspring_testkit::wait_for("the stream", Duration::from_secs(30), || {
            (db.sql(&streams) == [[Some("t".to_owned())]]).then_some(())
        });
        db.sql("insert into t values (3, 'now')");
        let went_on = worker.wait(&format!("{RECORDS}?offset=2&wait_ms=1000"), |a| !a["records"][0].is_null());
        assert_eq!(went_on["records"][0]["value"]["after"], json!({"id": 3, "name": "now", "more": 7}), "{version:?}");
        worker.wait("/connectors/left/offsets", |now| now["offsets"][0]["offset"] != before["offset"]);
    }
    assert!(versions > 0);
}
