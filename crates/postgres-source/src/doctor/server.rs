//! The server: its version, how it writes its log, how we are connected to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use walspring_doctor::{Finding, Group};

use super::subject::{Subject, session};
use super::words::{self, some};
use super::{PgCheck, check, is_local};
use crate::catalog::number;
use crate::wire::{Connection, PgError, SslMode};

pub const VERSION: &str = "pg.version";

pub const CHECKS: &[PgCheck] = &[
    check(VERSION, Group::Server, "the version is supported, and has no fault that loses changes", version),
    check("pg.wal_level", Group::Server, "the log has what logical decoding needs", wal_level),
    check("pg.output_plugin", Group::Server, "pgoutput may be used for decoding", output_plugin),
    check(
        "pg.replication_connection",
        Group::Server,
        "a connection for replication is granted",
        replication_connection,
    ),
    check("pg.direct", Group::Server, "no pooler stands between us and the server", direct),
    check("pg.tls", Group::Server, "the connection is encrypted, or does not leave the machine", tls),
    check("pg.tls_verified", Group::Server, "the server's certificate is checked, with its name", tls_verified),
    check("pg.tls_certificate", Group::Server, "the server's certificate is valid for two weeks more", tls_certificate),
    check("pg.password_method", Group::Server, "the password is proven with SCRAM", password_method),
    check("pg.encoding", Group::Server, "the database's encoding can be converted to UTF-8", encoding),
    check("pg.clock", Group::Server, "the server's clock and ours agree", clock),
    check("pg.durability", Group::Server, "what the server commits survives its machine's crash", durability),
    check("pg.timescaledb", Group::Server, "events of hypertables are told apart from those of chunks", timescaledb),
];

fn version(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(words::version(s.version))
}

fn wal_level(s: &mut Subject) -> Result<Finding, PgError> {
    let level = s.rows("SHOW wal_level")?;
    Ok(words::wal_level(level.first().and_then(|row| row.get(0)).unwrap_or_default()))
}

/// 15.20 and later minors have a list of plugins that may be used.
fn output_plugin(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(setting) = s.setting("output_plugin_libraries") else {
        return Ok(Finding::pass("the server does not restrict plugins"));
    };
    let list = setting.value.clone();
    if list.split(',').any(|name| name.trim().trim_matches('"') == "pgoutput") {
        return Ok(Finding::pass(format!("output_plugin_libraries allows pgoutput: {list}")).seen(list));
    }
    Ok(Finding::fail("output_plugin_libraries leaves pgoutput out")
        .seen(&list)
        .wanted("a list with pgoutput")
        .sql(format!(
            "ALTER SYSTEM SET output_plugin_libraries = {};",
            if list.is_empty() { "pgoutput".into() } else { format!("{list}, pgoutput") }
        ))
        .sql("SELECT pg_reload_conf();"))
}

/// The only check that takes something for a moment: a walsender.
fn replication_connection(s: &mut Subject) -> Result<Finding, PgError> {
    let mut config = session(&s.config.connect);
    config.replication = true;
    let asked = Connection::connect(&config).and_then(|mut connection| connection.query("IDENTIFY_SYSTEM"));
    let e = match asked {
        Ok(_) => return Ok(Finding::pass("a connection for replication was granted")),
        Err(e) => e,
    };
    let finding = words::connection_failed(&config.hosts, &config.user, &config.dbname, &e);
    let mut finding = Finding { remedies: Vec::new(), ..finding };
    finding.message = format!("a connection for replication is refused: {}", finding.message);
    Ok(match (e.code(), words::replication_refused(&e)) {
        (Some("28000"), _) => finding.advice(
            "a line in pg_hba.conf for the database (logical replication does not match `replication`), and the role:",
        ),
        (_, Some(what)) => finding.advice(what),
        _ => finding.advice("is it PostgreSQL itself that answers? A pooler does not pass replication on"),
    })
}

fn direct(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows("SELECT pg_catalog.pg_backend_pid()")?;
    Ok(words::direct(rows.first().map_or(0, |row| number(row, 0)), s.connection.backend_pid()))
}

fn tls(s: &mut Subject) -> Result<Finding, PgError> {
    if s.connection.is_encrypted() {
        return Ok(Finding::pass("the connection is encrypted"));
    }
    if is_local(&s.config.connect) {
        return Ok(Finding::pass("not encrypted, and on this machine only"));
    }
    Ok(Finding::warn("rows and the password's proof go over the network in the clear")
        .seen("no TLS")
        .wanted("TLS")
        .setting("database.sslmode=verify-full")
        .advice("the server needs ssl=on, ssl_cert_file and ssl_key_file"))
}

fn tls_verified(s: &mut Subject) -> Result<Finding, PgError> {
    let ssl = &s.config.connect.ssl;
    if ssl.mode == SslMode::VerifyFull {
        return Ok(Finding::pass("sslmode is verify-full"));
    }
    if is_local(&s.config.connect) {
        return Ok(Finding::not_applicable("the server is on this machine"));
    }
    let what = match ssl.mode {
        SslMode::VerifyCa => "any server with a certificate of the authority passes for this one",
        SslMode::Require if ssl.root_cert.is_some() => {
            "any server with a certificate of the authority passes for this one"
        }
        _ => "anybody on the way can pass for the server",
    };
    Ok(Finding::warn(format!("{what} (sslmode {:?})", ssl.mode).to_lowercase())
        .wanted("verify-full")
        .setting("database.sslmode=verify-full")
        .setting("database.sslrootcert=… (the authority's certificate)"))
}

fn tls_certificate(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.connection.is_encrypted() {
        return Ok(Finding::not_applicable("there is no TLS"));
    }
    let Some(end) = s.connection.peer_certificate_end() else {
        return Ok(Finding::skip("the certificate's dates cannot be read"));
    };
    let days = (end - now().as_secs() as i64) as f64 / 86_400.0;
    let wanted = s.thresholds.days;
    let mend = |finding: Finding| {
        finding
            .seen(format!("{days:.0} days"))
            .wanted(format!("{wanted:.0} days"))
            .advice("renew ssl_cert_file on the server, then:")
            .sql("SELECT pg_reload_conf();")
    };
    Ok(match days {
        ..0.0 => mend(Finding::fail("the server's certificate has run out")),
        _ if days < wanted => mend(Finding::warn(format!("the server's certificate runs out in {days:.0} days"))),
        _ => Finding::pass(format!("the server's certificate is valid for {days:.0} days")),
    })
}

fn password_method(s: &mut Subject) -> Result<Finding, PgError> {
    let role = crate::wire::quote_identifier(&s.role.name);
    let local = is_local(&s.config.connect);
    let rotate = |finding: Finding| {
        finding
            .wanted("scram-sha-256")
            .sql("ALTER SYSTEM SET password_encryption = 'scram-sha-256';")
            .sql("SELECT pg_reload_conf();")
            .sql(format!("ALTER ROLE {role} PASSWORD '…';"))
            .advice("then scram-sha-256 instead of it in pg_hba.conf")
    };
    Ok(match s.connection.password_method() {
        Some(method) if method.starts_with("scram") => Finding::pass("the password was proven with SCRAM").seen(method),
        Some("md5") => rotate(Finding::warn("the password is proven with md5, which is deprecated").seen("md5")),
        Some(method) if !s.connection.is_encrypted() && !local => {
            rotate(Finding::fail("the password itself goes over the network in the clear").seen(method))
        }
        Some(method) => rotate(Finding::warn("the server is told the password itself").seen(method)),
        None if local => Finding::pass("no password was asked for, on this machine").seen("none"),
        None if s.config.connect.ssl.client_cert.is_some() => {
            Finding::pass("no password was asked for: a certificate was shown").seen("none")
        }
        None => rotate(Finding::warn("the server lets us in without a password (trust in pg_hba.conf?)").seen("none")),
    })
}

fn encoding(s: &mut Subject) -> Result<Finding, PgError> {
    let encoding = s.connection.parameter("server_encoding").unwrap_or_default().to_owned();
    Ok(match encoding.as_str() {
        "UTF8" => Finding::pass("the database is in UTF-8"),
        "SQL_ASCII" => {
            Finding::warn("the database does not say what its bytes mean (SQL_ASCII): those that are no UTF-8 fail")
                .wanted("UTF8")
                .advice("dump the database and load it into one with ENCODING 'UTF8'")
        }
        other => Finding::pass(format!("the server converts {other} to UTF-8")),
    }
    .seen(encoding))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn clock(s: &mut Subject) -> Result<Finding, PgError> {
    const DIFFERENCE_MAX: f64 = 2.0;
    let before = now().as_secs_f64();
    let rows = s.rows("SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8")?;
    let after = now().as_secs_f64();
    let theirs: f64 = rows.first().and_then(|row| row.get(0)).and_then(|t| t.parse().ok()).unwrap_or(before);
    // Somewhere between the two: what is certain is the distance to the nearer one.
    let difference = if theirs < before { theirs - before } else { (theirs - after).max(0.0) };
    let seen = format!("{difference:+.1} s");
    Ok(if difference.abs() <= DIFFERENCE_MAX {
        Finding::pass("the clocks agree").seen(seen)
    } else {
        let what = if difference < 0.0 { "behind" } else { "ahead of" };
        Finding::warn(format!("the server's clock is {:.1} s {what} ours: lags are wrong by it", difference.abs()))
            .seen(seen)
            .wanted(format!("within {DIFFERENCE_MAX} s"))
            .advice("synchronise both machines with NTP (chronyd, systemd-timesyncd)")
    })
}

fn durability(s: &mut Subject) -> Result<Finding, PgError> {
    let off: Vec<&str> = ["fsync", "full_page_writes"].into_iter().filter(|name| !s.on(name)).collect();
    if off.is_empty() {
        return Ok(Finding::pass("fsync and full_page_writes are on"));
    }
    let statements = off.iter().map(|name| format!("ALTER SYSTEM SET {name} = on;")).collect::<Vec<_>>();
    Ok(Finding::warn(format!("{} off: after a crash the database may lack what was sent", some(&off)))
        .wanted("on")
        .sql_each(statements)
        .sql("SELECT pg_reload_conf();"))
}

const TIMESCALE: &str = "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb";

fn timescaledb(s: &mut Subject) -> Result<Finding, PgError> {
    let there = s.rows("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'")?;
    let Some(version) = there.first().and_then(|row| row.get(0)).map(str::to_owned) else {
        return Ok(Finding::not_applicable("TimescaleDB is not installed"));
    };
    let raw = &s.config.typed.raw;
    let transformed = raw
        .iter()
        .any(|(name, value)| name.starts_with("transforms.") && name.ends_with(".type") && value.trim() == TIMESCALE);
    if transformed || s.bare {
        return Ok(Finding::pass(format!("TimescaleDB {version} is installed")).seen(version));
    }
    Ok(Finding::warn(format!("TimescaleDB {version} is installed: rows of hypertables come as those of their chunks"))
        .seen(version)
        .setting("schema.include.list=_timescaledb_internal,… (chunks are there)")
        .setting("transforms=timescale")
        .setting(format!("transforms.timescale.type={TIMESCALE}")))
}
