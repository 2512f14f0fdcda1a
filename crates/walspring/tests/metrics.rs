//! `/metrics` of a worker against what the server says, and the page against Prometheus' rules and our documents.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::exposition::{Page, lint};
use support::{Worker, connector, request};
use walspring_testkit::{Postgres, TempDatabase, postgres, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// Registers a connector whose slot is looked at often.
fn register(worker: &Worker, db: &TempDatabase, name: &str, options: &[(&str, &str)]) {
    let mut json = connector(db, name, "shop");
    json["config"]["walspring.slot.watch.interval.ms"] = json!("100");
    for (option, value) in options {
        json["config"][*option] = json!(value);
    }
    let (status, body) = request(worker.port, "POST", "/connectors", Some(&json.to_string()));
    assert_eq!(status, 201, "{body}");
}

fn page(worker: &Worker) -> Page {
    let (status, body) = worker.get("/metrics");
    assert_eq!(status, 200);
    lint(&body)
}

/// The page that satisfies; each is linted.
#[track_caller]
fn wait_page(worker: &Worker, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
    wait_for(what, LIMIT, || Some(page(worker)).filter(|page| wanted(page)))
}

fn own_server(major: u32) -> Arc<Postgres> {
    Arc::new(Postgres::start(Postgres::builder(major).option("max_slot_wal_keep_size", "1GB")))
}

const STREAMING: [(&str, &str); 3] = [("plugin", "postgres"), ("name", "shop"), ("context", "streaming")];
const SNAPSHOT: [(&str, &str); 3] = [("plugin", "postgres"), ("name", "shop"), ("context", "snapshot")];

fn of(attribute: &str) -> String {
    format!("debezium_metrics_{attribute}")
}

#[test]
fn figures_agree_with_the_server_and_every_name_is_documented() {
    let server = own_server(17);
    let db = server.database();
    db.sql(
        "create table a (id int primary key, v text); insert into a select g, 'v' from generate_series(1, 100) g;
         create table b (id int primary key); insert into b select generate_series(1, 50);
         create table \"o\"\"d\\d\" (id int primary key); insert into \"o\"\"d\\d\" values (1)",
    );
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    register(&worker, &db, "one", &[("snapshot.max.threads", "1")]);
    let streaming =
        |attribute: &'static str, value: f64| move |page: &Page| page.value(&of(attribute), &STREAMING) == Some(value);
    let read = wait_page(&worker, "the snapshot", streaming("Connected", 1.0));

    // The snapshot, against counts.
    for table in ["a", "b", "o\"d\\d"] {
        let rows: f64 = db.value(&format!("select count(*) from \"{}\"", table.replace('"', "\"\""))).parse().unwrap();
        let table = format!("public.{table}");
        let labels = [SNAPSHOT[0], SNAPSHOT[1], SNAPSHOT[2], ("table", &table)];
        assert_eq!(read.value(&of("RowsScanned"), &labels), Some(rows), "{table}");
        assert_eq!(read.value(&of("TableChunkCounts"), &labels), Some(1.0));
        assert_eq!(read.value(&of("TableChunksCompletedCounts"), &labels), Some(1.0));
        assert_eq!(read.value("walspring_table_events_total", &[("table", &table), ("op", "r")]), Some(rows));
        assert_eq!(read.value(&of("CapturedTables"), &labels), Some(1.0));
    }
    for (attribute, value) in [
        ("TotalTableCount", 3.0),
        ("RemainingTableCount", 0.0),
        ("SnapshotRunning", 0.0),
        ("SnapshotCompleted", 1.0),
        ("SnapshotAborted", 0.0),
        ("SnapshotSkipped", 0.0),
        ("TotalNumberOfEventsSeen", 151.0),
    ] {
        assert_eq!(read.value(&of(attribute), &SNAPSHOT), Some(value), "{attribute}");
    }
    assert_eq!(read.value(&of("MilliSecondsBehindSource"), &STREAMING), Some(-1.0));
    assert_eq!(read.value("walspring_snapshot_progress_ratio", &[]), Some(1.0));

    // The stream, against what was done.
    db.sql("insert into a select g, 'n' from generate_series(101, 110) g");
    db.sql("begin; update a set v = 'u' where id <= 5; delete from a where id > 107; commit");
    let xid: f64 = db.value("insert into b values (51) returning pg_current_xact_id()::text").parse().unwrap();
    let streamed = wait_page(&worker, "the stream", streaming("TotalNumberOfEventsSeen", 19.0));
    for (attribute, value) in [
        ("TotalNumberOfCreateEventsSeen", 11.0),
        ("TotalNumberOfUpdateEventsSeen", 5.0),
        ("TotalNumberOfDeleteEventsSeen", 3.0),
        ("NumberOfCommittedTransactions", 3.0),
        ("LastTransactionId", xid),
        ("NumberOfEventsFiltered", 0.0),
        ("NumberOfErroneousEvents", 0.0),
        ("NumberOfUnchangedEventsSkipped", -1.0),
        ("QueueTotalCapacity", 8192.0),
    ] {
        assert_eq!(streamed.value(&of(attribute), &STREAMING), Some(value), "{attribute}");
    }
    let operations = [("c", 10.0), ("u", 5.0), ("d", 3.0)];
    for (op, count) in operations {
        assert_eq!(streamed.value("walspring_table_events_total", &[("table", "public.a"), ("op", op)]), Some(count));
    }
    for attribute in ["MilliSecondsBehindSource", "MilliSecondsBehindSourceP99", "MilliSecondsSinceLastEvent"] {
        let value = streamed.value(&of(attribute), &STREAMING).unwrap();
        assert!((0.0..60_000.0).contains(&value), "{attribute} {value}");
    }
    let stored = wait_page(&worker, "the offset of the last event", |page| {
        page.value("walspring_end_to_end_latency_seconds_count", &[]).is_some_and(|count| count >= 1.0)
            && page.value(&of("CurrentQueueSizeInBytes"), &STREAMING) == Some(0.0)
    });
    assert_eq!(stored.value(&of("QueueRemainingCapacity"), &STREAMING), Some(8192.0));
    assert!(stored.value(&of("MaxQueueSizeInBytes"), &STREAMING).unwrap() > 0.0);
    let position = stored.value(&of("SourceEventPosition"), &[("key", "lsn")]).unwrap();
    let end: f64 = db.value("select pg_current_wal_lsn() - '0/0'").parse().unwrap();
    assert!(position > 0.0 && position <= end, "{position} {end}");

    db.sql("begin; insert into b values (1000); prepare transaction 'left'");
    slot_agrees(&worker, &db);
    let aged = wait_page(&worker, "its age", |page| {
        page.value("walspring_prepared_transaction_age_seconds", &[]).is_some_and(|age| age >= 1.0)
    });
    assert_eq!(aged.value("walspring_prepared_transactions", &[]), Some(1.0));
    db.sql("rollback prepared 'left'");
    every_name_is_exposed_or_explained(&page(&worker));

    // What is stopped says so, and what is deleted says nothing.
    assert_eq!(request(worker.port, "PUT", "/connectors/one/stop", None).0, 204);
    let stopped = wait_page(&worker, "the end of the task", streaming("Connected", 0.0));
    assert_eq!(stopped.value("walspring_slot_retained_wal_bytes", &[]), None);
    assert_eq!(request(worker.port, "DELETE", "/connectors/one", None).0, 204);
    wait_page(&worker, "nothing of the connector", |page| {
        !page.families().any(|name| name.starts_with("debezium_") || name.starts_with("walspring_slot_"))
    });
}

/// The server is asked before and after: it says the same both times, and so does the page in between.
fn slot_agrees(worker: &Worker, db: &TempDatabase) {
    let sql = format!(
        "select json_build_object(
           'walspring_slot_confirmed_lsn', confirmed_flush_lsn - '0/0', 'walspring_slot_restart_lsn', restart_lsn - '0/0',
           'walspring_slot_lag_bytes', pg_current_wal_lsn() - confirmed_flush_lsn,
           'walspring_slot_retained_wal_bytes', pg_current_wal_lsn() - restart_lsn,
           'walspring_slot_safe_wal_bytes', safe_wal_size, 'walspring_slot_active', active::int,
           'walspring_slot_catalog_xmin_age', age(catalog_xmin),
           'walspring_prepared_transactions', (select count(*) from pg_prepared_xacts),
           'walspring_slot_wal_limit_bytes', pg_size_bytes(current_setting('max_slot_wal_keep_size')))
         from pg_replication_slots where slot_name = '{}'",
        db.slot("one")
    );
    let ask = || -> BTreeMap<String, f64> { serde_json::from_str(&db.value(&sql)).unwrap() };
    wait_for("a page that says what the server says", LIMIT, || {
        let before = ask();
        let page = page(worker);
        (before == ask() && before.iter().all(|(name, value)| page.value(name, &[]) == Some(*value))).then_some(())
    });
    let page = page(worker);
    assert_eq!(page.value("walspring_slot_watch_up", &[]), Some(1.0));
    assert_eq!(page.value("walspring_slot_wal_status", &[("status", "reserved")]), Some(1.0));
    assert_eq!(page.value("walspring_slot_wal_status", &[("status", "lost")]), Some(0.0));
    assert!(page.value("walspring_slot_confirmed_age_seconds", &[]).is_some());
}

#[test]
fn a_slot_that_is_not_confirmed_shows_how_long_it_lasts() {
    let server = own_server(15);
    let db = server.database();
    db.sql("create table a (id int primary key)");
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    register(&worker, &db, "stuck", &[("lsn.flush.mode", "manual"), ("snapshot.mode", "no_data")]);
    let eta = |page: &Page| page.value("walspring_slot_invalidation_eta_seconds", &[]);
    wait_page(&worker, "a slot", |page| eta(page) == Some(f64::INFINITY));
    let later = wait_page(&worker, "a limited time", |page| {
        db.sql("select pg_logical_emit_message(false, 'filler', repeat('x', 1000000))");
        eta(page).is_some_and(f64::is_finite)
            && page.value("walspring_slot_lag_bytes", &[]).is_some_and(|lag| lag > 5e6)
            && page.value("walspring_slot_confirmed_age_seconds", &[]).is_some_and(|age| age > 0.5)
    });
    // A GiB, at more than a MB in the tenths of a second between two looks, and at most a GB/s.
    assert!((1.0..100_000.0).contains(&eta(&later).unwrap()), "{:?}", eta(&later));
    let retained = later.value("walspring_slot_retained_wal_bytes", &[]).unwrap();
    assert!(retained >= later.value("walspring_slot_lag_bytes", &[]).unwrap(), "{retained}");
    // Said before it happens, and again when less is left.
    let said =
        |worker: &Worker| worker.log().matches("it may be invalidated (max_slot_wal_keep_size), in about").count();
    assert_eq!(said(&worker), 0);
    db.sql(&format!("alter system set max_slot_wal_keep_size = '{}MB'", 100 + retained as u64 / 1_000_000));
    db.sql("select pg_reload_conf()");
    wait_page(&worker, "two warnings", |_| {
        db.sql("select pg_logical_emit_message(false, 'filler', repeat('x', 1000000))");
        said(&worker) >= 2
    });
}

#[test]
fn a_role_needs_no_more_than_replication_and_a_look_that_fails_fails_nothing_else() {
    let db = postgres(17).database();
    let role = format!("cdc_{}", db.name());
    db.sql(&format!(
        "create role {role} login replication; create table a (id int primary key); grant select on a to {role};
         create publication {} for table a",
        db.slot("least")
    ));
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    register(&worker, &db, "least", &[("database.user", &role), ("publication.autocreate.mode", "disabled")]);
    let up = |page: &Page| page.value("walspring_slot_watch_up", &[]);
    wait_page(&worker, "the slot", |page| {
        up(page) == Some(1.0) && page.value("walspring_slot_retained_wal_bytes", &[]).is_some()
    });

    db.sql("revoke execute on function pg_current_wal_lsn() from public");
    let without = wait_page(&worker, "a look that fails", |page| up(page) == Some(0.0));
    assert_eq!(without.value("walspring_slot_lag_bytes", &[]), None);
    assert_eq!(without.value(&of("Connected"), &STREAMING), Some(1.0));
    db.sql("insert into a values (1)");
    wait_page(&worker, "a change all the same", |page| {
        page.value(&of("TotalNumberOfCreateEventsSeen"), &STREAMING) == Some(1.0)
    });
    assert_eq!(worker.json("/connectors/least/status")["tasks"][0]["state"], "RUNNING");
    assert!(worker.log().contains("the slot cannot be looked at"), "{}", worker.log());

    db.sql("grant execute on function pg_current_wal_lsn() to public");
    wait_page(&worker, "the slot again", |page| up(page) == Some(1.0));
    drop(worker);
    db.drop_slot(&db.slot("least"));
    db.sql(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn tables_beyond_the_limit_count_together() {
    let db = postgres(18).database();
    for table in ["a", "b", "c", "d"] {
        db.sql(&format!("create table {table} (id int primary key); insert into {table} values (1), (2)"));
    }
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    register(&worker, &db, "many", &[("walspring.metrics.tables.max", "2")]);
    wait_page(&worker, "the stream", |page| page.value(&of("Connected"), &STREAMING) == Some(1.0));
    db.sql("insert into a values (3); insert into c values (3); insert into d values (3)");
    let page = wait_page(&worker, "three inserts", |page| {
        page.value(&of("TotalNumberOfCreateEventsSeen"), &STREAMING) == Some(3.0)
    });
    let count = |table: &str, op: &str| page.value("walspring_table_events_total", &[("table", table), ("op", op)]);
    assert_eq!([count("public.a", "r"), count("public.b", "r"), count("other", "r")], [2.0, 2.0, 4.0].map(Some));
    assert_eq!([count("public.a", "c"), count("public.c", "c"), count("other", "c")], [Some(1.0), None, Some(2.0)]);
    let captured = |table: &str| page.value(&of("CapturedTables"), &[("context", "streaming"), ("table", table)]);
    assert_eq!([captured("public.a"), captured("public.c"), captured("other")], [Some(1.0), None, Some(2.0)]);
}

#[test]
fn what_is_left_out_is_counted() {
    let db = postgres(16).database();
    // One that we make would leave deletes out by itself.
    db.sql(&format!(
        "create table a (id int primary key, v int); create table b (id int primary key);
         alter table a replica identity full; create publication {} for all tables",
        db.slot("part")
    ));
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    let options = [
        ("publication.autocreate.mode", "disabled"),
        ("table.include.list", "public.a"),
        ("column.include.list", "public.a.id"),
        ("skip.messages.without.change", "true"),
        ("skipped.operations", "d"),
    ];
    register(&worker, &db, "part", &options);
    wait_page(&worker, "the stream", |page| page.value(&of("Connected"), &STREAMING) == Some(1.0));
    db.sql("insert into a values (1, 1); insert into b values (1), (2); update a set v = 2; delete from a; insert into a values (3, 3)");
    let page = wait_page(&worker, "two inserts", |page| {
        page.value(&of("TotalNumberOfCreateEventsSeen"), &STREAMING) == Some(2.0)
    });
    for (attribute, value) in [
        ("NumberOfEventsFiltered", 2.0),
        ("TotalNumberOfEventsSeen", 4.0),
        ("NumberOfSkippedEvents", 1.0),
        ("NumberOfUnchangedEventsSkipped", 1.0),
        ("TotalNumberOfUpdateEventsSeen", 0.0),
        ("TotalNumberOfDeleteEventsSeen", 0.0),
    ] {
        assert_eq!(page.value(&of(attribute), &STREAMING), Some(value), "{attribute}");
    }
}

#[test]
fn an_incremental_snapshot_is_followed_through_its_pieces() {
    let db = postgres(17).database();
    db.sql(
        "create table a (id int primary key); insert into a select generate_series(1, 5);
         create table b (id int primary key); insert into b select generate_series(1, 3);
         create table signals (id varchar(42) primary key, type varchar(32) not null, data varchar(2048))",
    );
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &[]);
    let options = [
        ("snapshot.mode", "no_data"),
        ("signal.data.collection", "public.signals"),
        ("incremental.snapshot.chunk.size", "2"),
        ("custom.metric.tags", "team=books"),
    ];
    register(&worker, &db, "asked", &options);
    wait_page(&worker, "the stream", |page| page.value(&of("Connected"), &STREAMING) == Some(1.0));
    // The numbers of the snapshot: running, paused, completed, aborted, tables, those that are left.
    let numbers = |page: &Page| {
        [
            "SnapshotRunning",
            "SnapshotPaused",
            "SnapshotCompleted",
            "SnapshotAborted",
            "TotalTableCount",
            "RemainingTableCount",
        ]
        .map(|attribute| page.value(&of(attribute), &SNAPSHOT).unwrap_or(f64::NAN))
    };
    let signal = |kind: &str| {
        format!(
            "insert into signals select gen_random_uuid(), '{kind}-snapshot',
               '{{\"type\": \"incremental\", \"data-collections\": [\"public.a\", \"public.b\"]}}';"
        )
    };
    assert_eq!(numbers(&page(&worker))[..4], [0.0; 4]);

    // In one transaction: nothing has been read when it is paused.
    db.sql(&format!("begin; {} {} commit", signal("execute"), signal("pause")));
    let paused = wait_page(&worker, "the pause", |page| numbers(page)[1] == 1.0);
    assert_eq!(numbers(&paused), [1.0, 1.0, 0.0, 0.0, 2.0, 2.0]);
    db.sql(&signal("resume"));
    let read = wait_page(&worker, "its end", |page| numbers(page)[2] == 1.0);
    assert_eq!(numbers(&read), [0.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
    for (table, rows, chunks) in [("public.a", 5.0, 3.0), ("public.b", 3.0, 2.0)] {
        let labels = [SNAPSHOT[0], SNAPSHOT[1], SNAPSHOT[2], ("table", table)];
        assert_eq!(read.value(&of("RowsScanned"), &labels), Some(rows), "{table}");
        assert_eq!(read.value(&of("TableChunkCounts"), &labels), Some(chunks), "{table}");
        assert_eq!(read.value(&of("TableChunksCompletedCounts"), &labels), Some(chunks), "{table}");
    }
    let tagged = [SNAPSHOT[0], SNAPSHOT[1], SNAPSHOT[2], ("team", "books")];
    assert!(read.value(&of("SnapshotDurationInSeconds"), &tagged).is_some());
    assert!(read.value(&of("SnapshotPausedDurationInSeconds"), &tagged).is_some());

    // One that is stopped was aborted.
    db.sql(&format!("begin; {} {} commit", signal("execute"), signal("pause")));
    wait_page(&worker, "another pause", |page| numbers(page)[1] == 1.0);
    db.sql(&format!(
        "begin; insert into signals values ('stop', 'stop-snapshot', '{{\"type\": \"incremental\"}}'); {} commit",
        signal("resume")
    ));
    let stopped = wait_page(&worker, "the stop", |page| numbers(page)[3] == 1.0);
    assert_eq!(numbers(&stopped)[..4], [0.0, 0.0, 0.0, 1.0]);
}

/// The names by which connectors are watched today: Debezium's attributes, what the usual rules of the JMX exporter and the
/// Strimzi operator make of Connect's, Debezium's platform, and those that we set out to have.
const NAMES: &str = "
    debezium_metrics_Connected debezium_metrics_LastEvent debezium_metrics_MilliSecondsSinceLastEvent
    debezium_metrics_MilliSecondsBehindSource debezium_metrics_MilliSecondsBehindSourceMinValue
    debezium_metrics_MilliSecondsBehindSourceMaxValue debezium_metrics_MilliSecondsBehindSourceAverageValue
    debezium_metrics_MilliSecondsBehindSourceP50 debezium_metrics_MilliSecondsBehindSourceP95
    debezium_metrics_MilliSecondsBehindSourceP99 debezium_metrics_NumberOfCommittedTransactions
    debezium_metrics_NumberOfDisconnects debezium_metrics_NumberOfErroneousEvents debezium_metrics_NumberOfEventsFiltered
    debezium_metrics_NumberOfSkippedEvents debezium_metrics_NumberOfUnchangedEventsSkipped
    debezium_metrics_SourceEventPosition debezium_metrics_LastTransactionId debezium_metrics_CapturedTables
    debezium_metrics_TotalNumberOfEventsSeen debezium_metrics_TotalNumberOfCreateEventsSeen
    debezium_metrics_TotalNumberOfUpdateEventsSeen debezium_metrics_TotalNumberOfDeleteEventsSeen
    debezium_metrics_QueueTotalCapacity debezium_metrics_QueueRemainingCapacity debezium_metrics_MaxQueueSizeInBytes
    debezium_metrics_CurrentQueueSizeInBytes debezium_metrics_TotalTableCount debezium_metrics_RemainingTableCount
    debezium_metrics_SnapshotRunning debezium_metrics_SnapshotPaused debezium_metrics_SnapshotCompleted
    debezium_metrics_SnapshotAborted debezium_metrics_SnapshotSkipped debezium_metrics_SnapshotDurationInSeconds
    debezium_metrics_SnapshotPausedDurationInSeconds debezium_metrics_RowsScanned debezium_metrics_TableChunkCounts
    debezium_metrics_TableChunksCompletedCounts debezium_metrics_ChunkId debezium_metrics_ChunkFrom
    debezium_metrics_ChunkTo debezium_metrics_TableFrom debezium_metrics_TableTo
    kafka_connect_worker_metrics_ kafka_connect_connector_status kafka_connect_worker_connector_count
    kafka_connect_worker_connector_failed_task_count kafka_connect_task_error_total_record_failures
    kafka_connect_worker_task_count
    debezium_event_count_total debezium_source_lag_seconds debezium_queue_size debezium_snapshot_table_remaining_count
    debezium_transaction_committed_count_total debezium_connection_status
    walspring_source_events_total walspring_table_events_total walspring_end_to_end_latency_seconds
    walspring_stage_latency_seconds walspring_source_lag_bytes walspring_slot_retained_wal_bytes
    walspring_slot_safe_wal_bytes walspring_slot_invalidation_eta_seconds walspring_slot_lag_bytes
    walspring_slot_confirmed_age_seconds walspring_snapshot_rows_total walspring_snapshot_progress_ratio
    walspring_sink_errors_total walspring_dlq_entries walspring_dlq_oldest_age_seconds walspring_queue_bytes
    walspring_backpressure_seconds_total walspring_checkpoint_age_seconds walspring_connector_state walspring_build_info";

fn every_name_is_exposed_or_explained(page: &Page) {
    let file = |path: &str| {
        let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    let observability = file("docs/observability.md");
    let (_, missing) = observability.split_once("### Names that are not there").expect("the section");
    let missing = missing.split("\n#").next().unwrap_or_default();
    // The table's first column.
    let missing: String = missing.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next()).collect();
    // Those of sinks are not there without one.
    let (_, of_sinks) = observability.split_once("### Sinks").expect("the section");
    let sinks = file("docs/sinks/README.md") + of_sinks.split("\n#").next().unwrap_or_default();
    let exposed: BTreeSet<&str> = page.families().collect();
    for name in NAMES.split_whitespace() {
        let is_exposed = exposed.contains(name) || sinks.contains(&format!("`{name}"));
        assert_ne!(
            is_exposed,
            missing.contains(&format!("`{name}`")),
            "{name} is neither exposed nor explained, or both"
        );
    }
    let told = [observability, file("docs/operating.md")].concat();
    for name in &exposed {
        let is_told = told.contains(&format!("`{name}")) || told.contains(&format!("`{}", tail(name)));
        assert!(is_told, "{name} is in no document");
    }
    // Alerts on what nobody writes would never fire.
    let rules = file("deploy/prometheus/walspring.rules.yml");
    let words = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours =
        |word: &&str| ["walspring_", "debezium_", "kafka_connect_"].iter().any(|prefix| word.starts_with(prefix));
    let mut seen = 0;
    for name in words.filter(ours) {
        seen += 1;
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(exposed.contains(name) || sinks.contains(&format!("`{name}")), "an alert uses {name}");
    }
    assert!(seen > 20, "{seen}");
}

/// As the tables of the documents shorten a name.
fn tail(name: &str) -> String {
    match name.strip_prefix("debezium_metrics_") {
        Some(attribute) => format!("{attribute}`"),
        None => match name.strip_prefix("kafka_connect_worker_connector_") {
            Some(rest) => format!("…_{rest}`"),
            None => format!("{name}`"),
        },
    }
}
