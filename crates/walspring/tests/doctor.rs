//! `walspring doctor` on a real database: what people read, what scripts read, and that the page has every check.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::walspring;

const PASSWORD: &str = "canary-Zq81";

fn run(args: &[&str]) -> (i32, String) {
    let out = walspring(args);
    let stdout = String::from_utf8(out.stdout).expect("UTF-8");
    let all = format!("{stdout}{}", String::from_utf8_lossy(&out.stderr));
    assert!(!all.contains(PASSWORD), "{args:?} tells a secret: {all}");
    (out.status.code().expect("an exit code"), stdout)
}

fn finding(report: &Value, id: &str) -> Value {
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {report}")).clone()
}

#[test]
fn a_connector_is_examined_before_it_runs() {
    let database = walspring_testkit::postgres(18).database();
    database.sql("create table orders (id int primary key); create table nokey (a int)");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.json");
    let secret = directory.path().join("password");
    std::fs::write(&secret, PASSWORD).expect("a file");
    let connector = json!({ "name": "shop", "config": {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "topic.prefix": "shop",
        "database.hostname": database.server().host(),
        "database.port": database.server().port().to_string(),
        "database.user": "postgres",
        "database.password": format!("${{file:{}}}", secret.display()),
        "database.dbname": database.name(),
        "table.include.list": "public.orders",
        "slot.name": database.slot("shop"),
    }});
    std::fs::write(&file, connector.to_string()).expect("a file");
    let worker = directory.path().join("worker.properties");
    let providers = "config.providers=file\nconfig.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n";
    std::fs::write(&worker, format!("{providers}rest.port=0\n")).expect("a file");
    let files = [file.to_str().expect("a path"), worker.to_str().expect("a path")];

    // All tables are going to be published, and one has no identity: the application would hear it.
    let (code, text) = run(&["doctor", files[0], files[1]]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("FAIL  pg.tables.identity "), "{text}");
    assert!(text.contains("          ALTER TABLE \"public\".\"nokey\" REPLICA IDENTITY FULL;"), "{text}");
    assert!(!text.contains('\u{1b}'), "colour where nobody looks: {text}");

    let mended = ["doctor", files[0], files[1], "--set", "publication.autocreate.mode=filtered", "--json"];
    let (code, text) = run(&mended);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, 0, "{text}");
    assert_eq!(report["outcome"], "warn");
    assert_eq!(finding(&report, "pg.tables.identity")["outcome"], "pass");
    let superuser = finding(&report, "pg.role.superuser");
    assert_eq!((&superuser["group"], &superuser["remedies"][0]["kind"]), (&json!("role"), &json!("sql")));

    let (code, text) = run(&["doctor", files[0], files[1], "--only", "server,limits"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\nserver\n") && text.contains("\nlimits\n") && !text.contains("\ntables\n"), "{text}");
    let (code, text) = run(&["doctor", "--database-url", &database.url(), "--json"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(finding(&report, "pg.slot.exists")["outcome"], "not applicable");
    // Nothing is published yet.
    assert_eq!(finding(&report, "pg.tables.identity")["outcome"], "warn");
    assert_eq!(code, 0);
    // Nothing was made.
    assert_eq!(database.value("select count(*) from pg_publication"), "0");
    let slots = format!("select count(*) from pg_replication_slots where database = '{}'", database.name());
    assert_eq!(database.value(&slots), "0");
}

#[test]
fn a_cluster_is_examined_with_the_connectors_topics() {
    let database = walspring_testkit::postgres(18).database();
    database.sql("create table orders (id int primary key)");
    let kafka = walspring_testkit::kafka().bootstrap();
    let (code, text) = run(&["doctor", "--database-url", &database.url(), "--bootstrap-servers", &kafka]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("pass  kafka.bootstrap ") && text.contains("pass  pg.connection "), "{text}");
    let nobody = format!("127.0.0.1:{}", walspring_testkit::free_port());
    let (code, text) = run(&["doctor", "--bootstrap-servers", &nobody]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("FAIL  kafka.bootstrap ") && text.contains("skip  kafka.leaders "), "{text}");
}

/// A row for each, and no other.
#[test]
fn the_page_has_every_check() {
    let (_, list) = run(&["doctor", "--list", "--json"]);
    let list: Vec<Value> = serde_json::from_str(&list).expect("JSON");
    assert!(list.len() >= 40, "{} checks", list.len());
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows: BTreeSet<String> =
        list.iter().map(|check| format!("| `{}` | {} |", text(&check["id"]), text(&check["title"]))).collect();
    assert_eq!(rows.len(), list.len(), "two checks have one name");
    let page = include_str!("../../../docs/doctor.md");
    let there = page.lines().filter(|line| line.starts_with("| `pg.") || line.starts_with("| `kafka."));
    let there: BTreeSet<String> = there.map(str::to_owned).collect();
    let (missing, gone): (Vec<_>, Vec<_>) = (rows.difference(&there).collect(), there.difference(&rows).collect());
    assert!(missing.is_empty() && gone.is_empty(), "docs/doctor.md lacks {missing:#?}, and has {gone:#?}");
    let (_, lines) = run(&["doctor", "--list", "--only", "kafka"]);
    assert!(lines.lines().all(|line| line.starts_with("kafka.")) && !lines.is_empty(), "{lines}");
}
