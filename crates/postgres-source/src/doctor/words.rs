//! Judgements that are the same whoever asks: `walspring doctor`, `config/validate`, a task that starts. Pure: what was
//! seen goes in, a finding comes out. What fails is said as the original says it, where it has words for it.

use walspring_config::postgres::Guardrail;
use walspring_connect::{DEBEZIUM_EXCEPTION, TaskError};
use walspring_doctor::{Finding, Outcome};

use crate::errors::java_message;
use crate::wire::{PgError, quote_identifier, quote_literal};

/// The oldest major version whose stream and catalog we know: 14 has pgoutput's logical messages and TID range scans.
pub const OLDEST_MAJOR: u32 = 14;
/// Gets fixes still, as of this release.
const OLDEST_MAINTAINED: u32 = 15;

/// Minor versions below which a fault of PostgreSQL's own concerns us: major, first minor without it, what it is. From the
/// release notes; the first that fits is told.
const FAULTS: &[(u32, u32, &str)] = &[
    (14, 4, "CREATE INDEX CONCURRENTLY may make a damaged index"),
    (14, 18, LOST_AFTER_ALTER),
    (14, 19, DECODING_STOPS),
    (15, 13, LOST_AFTER_ALTER),
    (15, 14, DECODING_STOPS),
    (16, 9, LOST_AFTER_ALTER),
    (16, 10, DECODING_STOPS),
    (17, 5, LOST_AFTER_ALTER),
    (17, 6, DECODING_STOPS),
];
const LOST_AFTER_ALTER: &str =
    "changes of transactions that run while ALTER PUBLICATION or ALTER TYPE commits may be lost from the stream";
const DECODING_STOPS: &str = "decoding may end with \"invalid memory alloc request size\" after many concurrent DDLs";

/// What a task makes of a finding: a failure is definite, and ends with what mends it.
pub fn into_result(finding: Finding) -> Result<(), TaskError> {
    match finding.outcome {
        Outcome::Fail => {
            let hint = finding.hint();
            Err(TaskError::definite(DEBEZIUM_EXCEPTION, finding.message).hint(hint))
        }
        _ => Ok(()),
    }
}

/// `version`: as `server_version_num`.
pub fn version(version: u32) -> Finding {
    let (major, minor) = (version / 10_000, version % 10_000);
    let number = format!("{major}.{minor}");
    if major < OLDEST_MAJOR {
        return Finding::fail(format!(
            "PostgreSQL {major} is not supported: version {OLDEST_MAJOR} or later is needed"
        ))
        .seen(number)
        .wanted(format!("{OLDEST_MAJOR} or later"))
        .advice("upgrade the server; versions before 14 get no fixes any more");
    }
    if let Some((_, first, fault)) = FAULTS.iter().find(|(of, first, _)| *of == major && minor < *first) {
        return Finding::warn(format!("PostgreSQL {number}: {fault}"))
            .seen(number)
            .wanted(format!("{major}.{first} or later"))
            .advice("install the newest minor version: no dump, only a restart");
    }
    if major < OLDEST_MAINTAINED {
        return Finding::warn(format!("PostgreSQL {number} gets no fixes since November 2026"))
            .seen(number)
            .wanted(format!("{OLDEST_MAINTAINED} or later"))
            .advice("plan an upgrade to a major version that is maintained");
    }
    Finding::pass(format!("PostgreSQL {number}")).seen(number)
}

pub fn wal_level(level: &str) -> Finding {
    let finding = if level == "logical" {
        Finding::pass("wal_level is logical")
    } else {
        Finding::fail(format!("Postgres server wal_level property must be 'logical' but is: '{level}'"))
            .sql("ALTER SYSTEM SET wal_level = 'logical';")
            .advice("and restart the server (a managed service has a parameter for it)")
    };
    finding.seen(level).wanted("logical")
}

/// What the role may; `managed`: it is a member of a managed service's role for replication.
pub fn replication_role(role: &str, login: bool, replication: bool, managed: bool) -> Finding {
    if login && (replication || managed) {
        return Finding::pass(format!("{role} may replicate"));
    }
    Finding::fail(format!("Postgres roles LOGIN and REPLICATION are not assigned to user: {role}"))
        .seen(format!("rolcanlogin={login}, rolreplication={replication}"))
        .sql(format!("ALTER ROLE {} LOGIN REPLICATION;", quote_identifier(role)))
        .advice(format!("on RDS and Aurora: GRANT rds_replication TO {};", quote_identifier(role)))
}

/// Without a plugin it is a physical slot.
pub fn slot_plugin(name: &str, plugin: &str) -> Finding {
    if plugin == "pgoutput" {
        return Finding::pass(format!("slot {name} decodes with pgoutput")).seen(plugin);
    }
    let what = if plugin.is_empty() { "no plugin (it is a physical slot)" } else { plugin };
    let finding = Finding::fail(format!("Slot {name} uses the plugin {what} instead of pgoutput"));
    another_slot(finding.seen(plugin).wanted("pgoutput"), name)
}

pub fn slot_database(name: &str, database: &str, wanted: &str) -> Finding {
    if database == wanted {
        return Finding::pass(format!("slot {name} belongs to {wanted}")).seen(database);
    }
    let finding = Finding::fail(format!("Slot {name} belongs to the database {database} instead of {wanted}"));
    another_slot(finding.seen(database).wanted(wanted), name)
}

fn another_slot(finding: Finding, name: &str) -> Finding {
    finding.advice("choose another slot.name, or, if nobody needs the slot:").sql(drop_slot(name))
}

pub fn drop_slot(name: &str) -> String {
    format!("SELECT pg_drop_replication_slot({});", quote_literal(name))
}

/// A slot that the server has invalidated: what happened, what keeps the next one from it, and what is left to do about
/// this one. `reason`: as `invalidation_reason` has it; `conflicting` on 16, which does not say which of a standby's two.
pub fn slot_invalidated(name: &str, reason: &str) -> Finding {
    const REMOVED: &str = "rows of the catalog that it needs were removed on the primary";
    const LEVEL: &str = "the primary's wal_level is not logical any more";
    const KEEP: &str = "Set hot_standby_feedback=on on the standby and give it a slot (primary_slot_name)";
    const LOGICAL: &str = "Set wal_level=logical on the primary";
    let (why, mend) = match reason {
        "rows_removed" => (REMOVED.to_owned(), KEEP.to_owned()),
        "wal_level_insufficient" => (LEVEL.to_owned(), LOGICAL.to_owned()),
        "conflicting" => (format!("{REMOVED}, or {LEVEL}"), format!("{KEEP}. {LOGICAL}")),
        "idle_timeout" => (
            "nobody read it for as long as idle_replication_slot_timeout allows".to_owned(),
            "Raise idle_replication_slot_timeout, or set it to 0".to_owned(),
        ),
        "wal_removed" => (
            "more log was written than max_slot_wal_keep_size lets it hold, and its beginning was removed".to_owned(),
            "Raise max_slot_wal_keep_size".to_owned(),
        ),
        // A later version's.
        other => (format!("invalidation_reason is {other}"), "See why in the server's log".to_owned()),
    };
    Finding::fail(format!("The server has invalidated the slot {name} ({reason}): {why}"))
        .seen(reason)
        .advice(format!("{mend}. Nothing can be read from the slot any more; drop it:"))
        .sql(drop_slot(name))
        .advice("and read the tables again:")
        .setting("snapshot.mode=when_needed")
}

/// Why nothing can be read from a slot any more, if that is so. `lost`: of the columns that every version has.
pub fn invalidation(told: Option<&str>, lost: bool) -> Option<&str> {
    told.or(lost.then_some("wal_removed"))
}

pub fn guardrail(count: usize, limit: Option<Guardrail>) -> Finding {
    let Some(limit) = limit.filter(|limit| limit.tables_max > 0) else {
        return Finding::not_applicable("guardrail.collections.max is not set");
    };
    let max = limit.tables_max;
    if count <= max {
        return Finding::pass(format!("{count} of at most {max} tables are captured")).seen(count);
    }
    let message = format!(
        "Guardrail limit exceeded: {count} tables/collections configured for capture, but maximum allowed is {max}."
    );
    let finding = if limit.fail { Finding::fail(message) } else { Finding::warn(message) };
    finding
        .seen(count)
        .wanted(format!("at most {max}"))
        .advice("narrow table.include.list, or raise guardrail.collections.max")
}

/// `tables`: quoted, to be in it.
pub fn publication_missing(name: &str, tables: &[String]) -> Finding {
    let tables = if tables.is_empty() { "…".to_owned() } else { tables.join(", ") };
    Finding::fail("Publication autocreation is disabled, please create one and restart the connector.")
        .sql(format!("CREATE PUBLICATION {} FOR TABLE {tables};", quote_identifier(name)))
}

/// Why a connection for replication, or a slot, was refused.
pub fn replication_refused(e: &PgError) -> Option<&'static str> {
    match e.code()? {
        _ if pooler(e).is_some() => pooler(e),
        "53400" => Some(
            "drop a slot that nobody uses (select * from pg_replication_slots where not active), or raise max_replication_slots",
        ),
        "53300" => Some("raise max_wal_senders"),
        "42501" => Some("ALTER ROLE … REPLICATION; (on a managed service: the role that it offers for replication)"),
        _ => None,
    }
}

const POOLER: &str = "a connection pooler stands between us and PostgreSQL, and passes no replication on: give the address of \
                      PostgreSQL itself (database.hostname, database.port)";
const NO_POSTGRESQL: &str =
    "the other side refuses what PostgreSQL takes: is it a pooler? Connect to PostgreSQL itself";

/// What to do where an error is one of a pooler's in PostgreSQL's place. PgBouncer (to 1.22, and later where no replication
/// is set up) and those after its pattern refuse settings at the start, RDS Proxy replication by name. Others drop the wish
/// for replication in silence, so that PostgreSQL takes its commands for SQL: only a connection for replication can tell.
pub fn pooler(e: &PgError) -> Option<&'static str> {
    let server = e.server()?;
    let says = |words: &str| server.message.to_ascii_lowercase().contains(words);
    let is = match e.code()? {
        "08P01" => says("startup parameter"),
        "0A000" => says("replication"),
        "42601" => ["IDENTIFY_SYSTEM", "CREATE_REPLICATION_SLOT", "START_REPLICATION", "TIMELINE_HISTORY"]
            .iter()
            .any(|command| server.message.contains(command)),
        _ => false,
    };
    is.then_some(POOLER)
}

/// `backend`: the process that runs our statements. `told`: the one that we were told of when we were let in; a pooler makes
/// that up. A proxy may do so too and pass replication on all the same.
pub fn direct(backend: i32, told: i32) -> Finding {
    if backend == told {
        return Finding::pass("PostgreSQL itself answers");
    }
    Finding::warn(
        "a pooler or a proxy answers in PostgreSQL's place: our process there is not the one that it told us of",
    )
    .seen(format!("pid {backend}, told {told}"))
    .advice("give the address of PostgreSQL itself: a pooler passes no replication on, and mixes up sessions")
    .setting("database.hostname=…")
    .setting("database.port=…")
}

/// A connection that could not be made, in the words of the JDBC driver. `hosts`: where it was tried.
pub fn connection_failed(hosts: &[(String, u16)], user: &str, database: &str, e: &PgError) -> Finding {
    let message = refused(hosts, e).unwrap_or_else(|| java_message(e));
    let finding = Finding::fail(message);
    let (role, place) = (quote_identifier(user), quote_identifier(database));
    match e.code() {
        Some("28P01") => finding
            .setting("database.password=…")
            .sql(format!("ALTER ROLE {role} PASSWORD '…';"))
            .advice("if pg_hba.conf asks for scram-sha-256, the stored password must not be an md5 one: set it anew"),
        Some("28000") => finding
            .advice(format!("a line in pg_hba.conf for it: hostssl {place} {role} <our address>/32 scram-sha-256"))
            .sql(format!("ALTER ROLE {role} LOGIN;")),
        Some("42501") => finding.sql(format!("GRANT CONNECT ON DATABASE {place} TO {role};")),
        Some("3D000") => finding.setting("database.dbname=… (a database that exists)"),
        Some("53300") => finding
            .advice("raise max_connections and restart, or free connections:")
            .sql("SELECT usename, count(*) FROM pg_stat_activity GROUP BY 1 ORDER BY 2 DESC;"),
        Some("08P01") => finding.advice(pooler(e).unwrap_or(NO_POSTGRESQL)),
        Some("57P03") => finding.advice("the server is starting or recovering: wait"),
        _ => match e {
            PgError::Tls(_) => finding.advice(
                "database.sslmode and database.sslrootcert must fit the server's certificate: verify-full wants its name to be \
                 database.hostname",
            ),
            PgError::Auth(_) => finding.setting("database.password=…"),
            PgError::Protocol(_) => finding.advice("does database.port belong to PostgreSQL?"),
            _ => finding.advice("check database.hostname and database.port, listen_addresses of the server, and firewalls"),
        },
    }
}

/// Nothing listens at the only address, in the words of the JDBC driver.
fn refused(hosts: &[(String, u16)], e: &PgError) -> Option<String> {
    match (hosts, e) {
        ([(host, port)], PgError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::ConnectionRefused && !host.starts_with('/') =>
        {
            Some(format!(
                "Connection to {host}:{port} refused. Check that the hostname and port are correct and that the \
                 postmaster is accepting TCP/IP connections."
            ))
        }
        _ => None,
    }
}

/// A look that failed: without the right to it the finding says who grants it.
pub fn not_looked_at(e: &PgError, role: &str) -> Finding {
    let finding = Finding::skip(format!("it could not be looked at: {}", java_message(e)));
    match e.code() {
        Some("42501") => finding.sql(format!("GRANT pg_monitor TO {};", quote_identifier(role))),
        _ => finding,
    }
}

/// Names, the first few of them.
pub fn some<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

/// `1 table`, `3 tables`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `1.5 GiB`.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value.fract() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let outcome = |number| version(number).outcome;
        assert_eq!(outcome(130_020), Outcome::Fail);
        assert_eq!(outcome(140_099), Outcome::Warn, "no fixes any more");
        assert_eq!(outcome(170_004), Outcome::Warn);
        assert!(version(170_004).message.contains("ALTER PUBLICATION"), "{:?}", version(170_004));
        assert_eq!(version(170_005).wanted.as_deref(), Some("17.6 or later"));
        assert_eq!(outcome(150_020), Outcome::Pass);
        assert_eq!(outcome(180_004), Outcome::Pass);
    }

    #[test]
    fn what_fails_is_a_definite_error_with_what_mends_it() {
        let error = into_result(wal_level("replica")).unwrap_err();
        let text = format!("{error}");
        assert!(text.contains("wal_level property must be 'logical' but is: 'replica'"), "{text}");
        assert!(into_result(wal_level("logical")).is_ok());
        assert!(slot_database("s", "a", "b").hint().contains("pg_drop_replication_slot('s')"));
    }

    #[test]
    fn each_reason_of_an_invalidated_slot_is_told_with_what_mends_it() {
        for (reason, why, mends) in [
            ("wal_removed", "its beginning was removed", "max_slot_wal_keep_size"),
            ("rows_removed", "rows of the catalog", "hot_standby_feedback=on"),
            ("wal_level_insufficient", "wal_level is not logical", "wal_level=logical"),
            ("conflicting", "or the primary's wal_level", "hot_standby_feedback=on"),
            ("idle_timeout", "nobody read it", "idle_replication_slot_timeout"),
            ("of_tomorrow", "of_tomorrow", "the server's log"),
        ] {
            let finding = slot_invalidated("s", reason);
            assert!(finding.message.contains(reason) && finding.message.contains(why), "{finding:?}");
            assert!(finding.hint().contains(mends), "{finding:?}");
            assert!(finding.hint().contains("pg_drop_replication_slot('s')"), "{finding:?}");
        }
        assert_eq!(invalidation(None, true), Some("wal_removed"));
        assert_eq!(invalidation(Some("idle_timeout"), false), Some("idle_timeout"));
        assert_eq!(invalidation(None, false), None);
    }

    #[test]
    fn lists_and_sizes() {
        assert_eq!(some(&["a"; 7]), "a, a, a, a, a and 2 more");
        assert_eq!((size(512), size(1 << 30), size(1_610_612_736)), ("512 B".into(), "1 GiB".into(), "1.5 GiB".into()));
        assert_eq!(counted(1, "table") + &counted(2, "table"), "1 table2 tables");
    }
}
