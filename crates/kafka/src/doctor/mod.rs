//! The doctor's checks of a Kafka cluster: what was heard of it is gathered once ([`facts`]), and judged without asking
//! again. Nothing is made: no topic is asked for that a broker would create, no transactional id is initialised.

mod access;
mod cluster;
mod facts;
mod topics;

use walspring_doctor::{Check, Finding, Group, Report};

use crate::client_config::{ClientConfigError, Properties};
use facts::Facts;

struct KafkaCheck {
    check: Check,
    run: fn(&Facts) -> Finding,
}

const fn check(id: &'static str, title: &'static str, run: fn(&Facts) -> Finding) -> KafkaCheck {
    KafkaCheck { check: Check { id, group: Group::Kafka, title }, run }
}

const TABLES: [&[KafkaCheck]; 3] = [cluster::CHECKS, topics::CHECKS, access::CHECKS];

/// All checks, in the order of a report.
pub fn checks() -> Vec<Check> {
    TABLES.into_iter().flatten().map(|check| check.check).collect()
}

/// What is to be examined.
pub struct Examined<'a> {
    /// The worker's file, its references resolved; or `bootstrap.servers` and how to log in, and no more.
    pub worker: &'a Properties,
    /// A connector's name and configuration.
    pub connector: Option<(&'a str, &'a [(String, String)])>,
    /// Where its events go.
    pub topics: &'a [String],
}

/// Does all checks. The error is that of options that cannot be used.
pub fn examine(examined: &Examined<'_>) -> Result<Report, ClientConfigError> {
    let facts = facts::gather(examined)?;
    let mut report = Report::new();
    report.subjects.push(format!("Kafka {}", facts.options.bootstrap_servers.join(",")));
    for KafkaCheck { check, run } in TABLES.into_iter().flatten() {
        let heard = facts.cluster.is_some() || cluster::WITHOUT_ANSWER.contains(&check.id);
        report.add(*check, if heard { run(&facts) } else { Finding::skip("no broker answered") });
    }
    Ok(report)
}

/// Names, the first few of them.
fn some<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}
