//! The doctor's checks of PostgreSQL. Each module has those of one group: a table of checks, then the functions.
//!
//! [`examine`] runs all of them; [`at_validation`] those that `config/validate` runs beside; a task's start says the same
//! words by [`words`]. The session reads only, waits for no lock, and gives up after 30 s: see [`subject`].

mod limits;
mod publication;
mod role;
mod server;
mod slot;
mod standby;
mod subject;
mod tables;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Duration;

use walspring_connect::TaskError;
use walspring_doctor::{Check, Finding, Group, Outcome, Report};

use crate::config::{SourceConfig, connect_options};
use crate::wire::{ConnectConfig, Connection, PgError};
use subject::Subject;

/// One check and how it is done. An error is a look that failed: the check is told as skipped.
struct PgCheck {
    check: Check,
    run: fn(&mut Subject) -> Result<Finding, PgError>,
}

const fn check(
    id: &'static str,
    group: Group,
    title: &'static str,
    run: fn(&mut Subject) -> Result<Finding, PgError>,
) -> PgCheck {
    PgCheck { check: Check { id, group, title }, run }
}

const CONNECTION: Check =
    Check { id: "pg.connection", group: Group::Server, title: "the server is reached, and lets us in" };

const TABLES: [&[PgCheck]; 7] =
    [server::CHECKS, role::CHECKS, publication::CHECKS, slot::CHECKS, tables::CHECKS, limits::CHECKS, standby::CHECKS];

/// All checks, in the order of a report.
pub fn checks() -> Vec<Check> {
    let rest = TABLES.into_iter().flatten().map(|check| check.check);
    [CONNECTION].into_iter().chain(rest).collect()
}

/// From where on something is worth a warning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Age of a transaction, prepared or running: the slot's WAL and the vacuum wait for it.
    pub transaction: Duration,
    /// WAL that a slot holds, where no limit of the server says otherwise.
    pub retained_bytes: i64,
    /// Size of a table from which REPLICA IDENTITY FULL is told.
    pub full_table_bytes: i64,
    /// Pages of a TOAST table from which unchanged values are likely to matter.
    pub toast_pages: i64,
    /// Days that a certificate or a password should last.
    pub days: f64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            transaction: Duration::from_secs(3600),
            retained_bytes: 10 << 30,
            full_table_bytes: 1 << 30,
            toast_pages: 1,
            days: 14.0,
        }
    }
}

/// What is to be examined.
pub struct Examined<'a> {
    /// A connector's configuration, its references resolved.
    pub config: &'a [(String, String)],
    /// Where to connect, instead of the configuration's `database.*`.
    pub connect: Option<ConnectConfig>,
    /// The configuration is nobody's: there is only the place.
    pub bare: bool,
    pub thresholds: Thresholds,
}

/// What was found, and the topics that the captured tables' events go to.
pub struct Examination {
    pub report: Report,
    pub topics: Vec<String>,
}

/// Does all checks. The error is that of a configuration that cannot be read.
pub fn examine(examined: &Examined<'_>) -> Result<Examination, TaskError> {
    let mut config = SourceConfig::parse(examined.config)?;
    if let Some(connect) = &examined.connect {
        config.connect = connect_options(connect.clone());
        config.typed.connection.database.clone_from(&connect.dbname);
    }
    // Whoever connects for us, as a reader that lost its connection, finds nothing that could change something.
    config.connect = subject::session(&config.connect);
    config.typed.connection.initial_statements.clear();
    let config = Arc::new(config);
    let mut report = Report::new();
    report.subjects.push(format!("PostgreSQL {}", place(&config.connect)));
    let connect = &config.connect;
    let connection = match subject::open(connect) {
        Ok(connection) => connection,
        Err(e) => {
            report.add(CONNECTION, words::connection_failed(&connect.hosts, &connect.user, &connect.dbname, &e));
            return Ok(Examination { report: without(report, "the server was not reached"), topics: Vec::new() });
        }
    };
    let version = connection.parameter("server_version").unwrap_or_default().to_owned();
    let old = connection.server_version_num() / 10_000 < words::OLDEST_MAJOR;
    let connected = Finding::pass(format!("{} answers, PostgreSQL {version}", place(connect))).seen(version);
    if old {
        report.add(CONNECTION, connected);
        for check in server::CHECKS.iter().filter(|check| check.check.id == server::VERSION) {
            report.add(check.check, words::version(connection.server_version_num()));
        }
        return Ok(Examination { report: without(report, "the server is too old"), topics: Vec::new() });
    }
    let role = connect.user.clone();
    let mut subject = match Subject::read(connection, config, examined.bare, examined.thresholds) {
        Ok(subject) => subject,
        Err(e) => {
            let Finding { message, remedies, .. } = words::not_looked_at(&e, &role);
            let failed =
                Finding { remedies, ..Finding::fail(format!("it answers, and its catalog does not: {message}")) };
            report.add(CONNECTION, failed);
            return Ok(Examination { report: without(report, &message), topics: Vec::new() });
        }
    };
    report.add(CONNECTION, connected);
    for PgCheck { check, run } in TABLES.into_iter().flatten() {
        let finding = run(&mut subject).unwrap_or_else(|e| words::not_looked_at(&e, &subject.role.name));
        report.add(*check, finding);
    }
    let topics = subject.plans.iter().filter_map(|(_, plan)| Some(plan.as_ref().ok()?.topic.to_string())).collect();
    Ok(Examination { report, topics })
}

/// Beside the connection, what is known to stop the task: told in the log, as by the original.
pub(crate) fn at_validation(connection: &mut Connection, config: &SourceConfig) -> Result<Vec<Finding>, PgError> {
    connection.query(subject::HIDE_PATH)?;
    let version = connection.server_version_num();
    if version / 10_000 < words::OLDEST_MAJOR {
        return Ok(vec![words::version(version)]);
    }
    let level = connection.query_one("SHOW wal_level")?;
    let role = subject::role(connection)?;
    let slot = subject::slot(connection, version, &config.typed.slot.name)?;
    let mut findings = vec![
        words::version(version),
        words::wal_level(level.get(0).unwrap_or_default()),
        words::replication_role(&role.name, role.login, role.replication || role.superuser, role.managed),
    ];
    if let Some(slot) = slot {
        let (name, database) = (&config.typed.slot.name, &config.typed.connection.database);
        findings.push(words::slot_plugin(name, &slot.plugin));
        findings.push(words::slot_database(name, &slot.database, database));
        let reason = words::invalidation(slot.invalidation.as_deref(), slot.wal_status == "lost");
        findings.extend(reason.map(|reason| words::slot_invalidated(name, reason)));
    }
    Ok(findings)
}

/// Why a pooler in the server's place cannot be used. Only where something tells of one a replication connection is tried.
pub(crate) fn pooler(connection: &mut Connection, connect: &ConnectConfig) -> Option<String> {
    let backend = crate::catalog::number(&connection.query_one("SELECT pg_catalog.pg_backend_pid()").ok()?, 0);
    if words::direct(backend, connection.backend_pid()).outcome == Outcome::Pass {
        return None;
    }
    let replication = ConnectConfig { replication: true, ..connect.clone() };
    let e = Connection::connect(&replication).and_then(|mut c| c.query("IDENTIFY_SYSTEM")).err()?;
    words::pooler(&e).map(|hint| format!("{}; {hint}", crate::errors::java_message(&e)))
}

/// The checks that were not done, for one reason.
fn without(mut report: Report, why: &str) -> Report {
    for check in checks() {
        if report.find(check.id).is_none() {
            report.add(check, Finding::skip(why));
        }
    }
    report
}

/// `host:port/database as role`, of several hosts the list.
fn place(connect: &ConnectConfig) -> String {
    let hosts: Vec<String> = connect.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    format!("{}/{} as {}", hosts.join(","), connect.dbname, connect.user)
}

/// Whether only this machine is on the way.
fn is_local(connect: &ConnectConfig) -> bool {
    connect.hosts.iter().all(|(host, _)| {
        host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
