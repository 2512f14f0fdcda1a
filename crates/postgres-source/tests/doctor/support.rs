//! A connector's configuration for a server, its examination, and what was found.

use std::time::Duration;

use walspring_doctor::{Outcome, Report};
use walspring_postgres_source::doctor::{Examined, Thresholds, examine};
use walspring_testkit::{Postgres, wait_for};

pub const CLASS: &str = "io.debezium.connector.postgresql.PostgresConnector";

/// No output of the doctor may hold it.
pub const PASSWORD: &str = "canary-Zq81";

pub fn config(server: &Postgres, user: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let port = server.port().to_string();
    let base = [
        ("connector.class", CLASS),
        ("plugin.name", "pgoutput"),
        ("topic.prefix", "shop"),
        ("database.hostname", server.host()),
        ("database.port", &port),
        ("database.user", user),
        ("database.password", PASSWORD),
        ("database.dbname", "postgres"),
    ];
    let base = base.into_iter().filter(|(name, _)| more.iter().all(|(given, _)| given != name));
    base.chain(more.iter().copied()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub fn report_at(config: &[(String, String)], thresholds: Thresholds) -> Report {
    let examined = Examined { config, connect: None, bare: false, thresholds };
    let examination = examine(&examined).unwrap_or_else(|e| panic!("{e}"));
    let report = examination.report;
    let text = format!("{:#}{}", report.to_json(), report.text(walspring_doctor::Paint::Plain));
    assert!(!text.contains(PASSWORD), "a secret is told: {text}");
    let ids: Vec<&str> = report.entries().iter().map(|entry| entry.check.id).collect();
    let known: Vec<&str> = walspring_postgres_source::doctor::checks().iter().map(|check| check.id).collect();
    assert_eq!(ids, known, "each check once, in its order");
    report
}

pub fn report(config: &[(String, String)]) -> Report {
    report_at(config, Thresholds::default())
}

/// Each id with its outcome, and words that its message or remedies must have.
#[track_caller]
pub fn check(report: &Report, expected: &[(&str, Outcome, &str)]) {
    let mut wrong = Vec::new();
    for (id, outcome, words) in expected {
        let Some(finding) = report.find(id) else {
            wrong.push(format!("there is no check {id}"));
            continue;
        };
        let text = format!("{} {}", finding.message, finding.hint());
        if finding.outcome != *outcome || !text.contains(words) {
            wrong.push(format!("{id}: wanted {} with {words:?}: {finding:?}", outcome.name()));
        }
        if matches!(finding.outcome, Outcome::Fail | Outcome::Warn)
            && finding.remedies.is_empty()
            && finding.wanted.is_none()
        {
            wrong.push(format!("{id}: nothing mends it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    wait_for(what, Duration::from_secs(60), || is().then_some(()));
}
