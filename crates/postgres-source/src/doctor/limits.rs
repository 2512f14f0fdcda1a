//! Limits of the server: room for us, and what ends a slot or a session.

use walspring_doctor::{Finding, Group};

use super::role::connections_needed;
use super::subject::Subject;
use super::{PgCheck, check};
use crate::catalog::number;
use crate::wire::{PgError, quote_identifier};

pub const CHECKS: &[PgCheck] = &[
    check("pg.limits.replication_slots", Group::Limits, "a slot is free, where one has to be made", replication_slots),
    check("pg.limits.wal_senders", Group::Limits, "walsenders are free", wal_senders),
    check("pg.limits.connections", Group::Limits, "connections are free", connections),
    check("pg.limits.database_connections", Group::Limits, "the database takes more connections", database_connections),
    check(
        "pg.limits.wal_sender_timeout",
        Group::Limits,
        "dead connections are noticed, slow ones are not cut",
        wal_sender_timeout,
    ),
    check(
        "pg.limits.slot_wal_keep_size",
        Group::Limits,
        "a slot that nobody reads cannot fill the disk",
        slot_wal_keep_size,
    ),
    check("pg.limits.idle_slot_timeout", Group::Limits, "a slot survives a pause of its connector", idle_slot_timeout),
    check(
        "pg.limits.decoding_memory",
        Group::Limits,
        "transactions of a usual size are decoded in memory",
        decoding_memory,
    ),
    check(
        "pg.limits.transaction_timeout",
        Group::Limits,
        "a snapshot's transaction may take its time",
        transaction_timeout,
    ),
    check("pg.limits.archiver", Group::Limits, "the archiver does not hold the log back", archiver),
];

const RELOAD: &str = "SELECT pg_reload_conf();";

fn whole(s: &Subject, name: &str) -> i64 {
    s.setting(name).and_then(|setting| setting.number()).unwrap_or(0)
}

/// `needed` of `max`, of which `used` are.
fn room(what: &str, setting: &str, (max, used, needed): (i64, i64, i64), short: fn(String) -> Finding) -> Finding {
    let free = max - used;
    let message = format!("{used} of {max} {what} are used");
    if free >= needed {
        return Finding::pass(message).seen(format!("{free} free"));
    }
    short(message)
        .seen(format!("{} free", free.max(0)))
        .wanted(format!("{needed} free"))
        .sql(format!("ALTER SYSTEM SET {setting} = {};", used + needed + 5))
        .advice("and restart the server")
}

fn replication_slots(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows("SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots")?;
    let used = rows.first().map_or(0, |row| number(row, 0));
    // A snapshot of a connector whose slot is there needs a temporary one beside it.
    let (needed, short): (i64, fn(String) -> Finding) = match s.slot {
        Some(_) => (1, Finding::warn),
        None => (1, Finding::fail),
    };
    let finding =
        room("replication slots", "max_replication_slots", (whole(s, "max_replication_slots"), used, needed), short);
    Ok(finding.sql("SELECT slot_name, active, wal_status FROM pg_replication_slots;"))
}

fn wal_senders(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication")?;
    let used = rows.first().map_or(0, |row| number(row, 0));
    let running = s.slot.as_ref().is_some_and(|slot| slot.active_pid.is_some());
    let (needed, short): (i64, fn(String) -> Finding) = if running { (1, Finding::warn) } else { (2, Finding::fail) };
    Ok(room("walsenders", "max_wal_senders", (whole(s, "max_wal_senders"), used, needed), short))
}

fn connections(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE pid IS NOT NULL AND datname IS NOT NULL",
    )?;
    let used: i64 = rows.first().map_or(0, |row| number(row, 0));
    let reserved = whole(s, "superuser_reserved_connections") + whole(s, "reserved_connections");
    let max = whole(s, "max_connections") - reserved;
    // Ours are among them.
    Ok(room("connections", "max_connections", (max, used, connections_needed(s) - 1), Finding::warn))
}

fn database_connections(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows(
        "SELECT d.datconnlimit, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) \
         FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()",
    )?;
    let (max, used): (i64, i64) = rows.first().map_or((-1, 0), |row| (number(row, 0), number(row, 1)));
    if max < 0 {
        return Ok(Finding::pass("the database has no connection limit"));
    }
    let needed = connections_needed(s) - 1;
    if max - used >= needed {
        return Ok(Finding::pass(format!("{used} of the database's {max} connections are used")));
    }
    Ok(Finding::warn(format!("{used} of the database's {max} connections are used"))
        .seen(format!("{} free", (max - used).max(0)))
        .wanted(format!("{needed} free"))
        .sql(format!(
            "ALTER DATABASE {} CONNECTION LIMIT {};",
            quote_identifier(&s.config.connect.dbname),
            used + needed
        )))
}

fn wal_sender_timeout(s: &mut Subject) -> Result<Finding, PgError> {
    const LEAST: f64 = 5.0;
    let seconds = s.setting("wal_sender_timeout").and_then(|setting| setting.seconds()).unwrap_or(60.0);
    let finding = match seconds {
        0.0 => Finding::warn("wal_sender_timeout is off: the server keeps a slot busy whose reader has gone"),
        _ if seconds < LEAST => {
            Finding::warn(format!("wal_sender_timeout is {seconds} s: a short break ends the stream"))
        }
        _ => return Ok(Finding::pass(format!("wal_sender_timeout is {seconds} s")).seen(seconds)),
    };
    Ok(finding.seen(seconds).wanted("60 s").sql("ALTER SYSTEM SET wal_sender_timeout = '60s';").sql(RELOAD))
}

fn slot_wal_keep_size(s: &mut Subject) -> Result<Finding, PgError> {
    const LEAST: i64 = 1 << 30;
    let Some(bytes) = s.setting("max_slot_wal_keep_size").and_then(|setting| setting.bytes()) else {
        return Ok(Finding::skip("max_slot_wal_keep_size is not shown"));
    };
    let finding = match bytes {
        ..0 => Finding::warn("max_slot_wal_keep_size is not set: while the connector is away, the log fills the disk and the server stops")
            .advice("a part of the disk that can be spared; the connector then has to begin anew once it is exceeded:"),
        0..LEAST => Finding::warn(format!("max_slot_wal_keep_size is {}: a short break loses the slot", super::words::size(bytes)))
            .advice("what the database writes in the longest break that should be survived:"),
        _ => return Ok(Finding::pass(format!("a slot may hold {}", super::words::size(bytes))).seen(super::words::size(bytes))),
    };
    Ok(finding
        .seen(if bytes < 0 { "-1".to_owned() } else { super::words::size(bytes) })
        .wanted("1 GiB or more, and a limit")
        .sql("ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';")
        .sql(RELOAD))
}

/// Since 18.
fn idle_slot_timeout(s: &mut Subject) -> Result<Finding, PgError> {
    const LEAST: f64 = 86_400.0;
    let Some(seconds) = s.setting("idle_replication_slot_timeout").and_then(|setting| setting.seconds()) else {
        return Ok(Finding::not_applicable("this version has no idle_replication_slot_timeout"));
    };
    if seconds == 0.0 || seconds >= LEAST {
        return Ok(Finding::pass("an idle slot is not invalidated within a day").seen(seconds));
    }
    Ok(Finding::warn(format!("a connector that is away for {seconds} s loses its slot"))
        .seen(format!("{seconds} s"))
        .wanted("0, or a day")
        .sql("ALTER SYSTEM SET idle_replication_slot_timeout = '0';")
        .sql(RELOAD))
}

fn decoding_memory(s: &mut Subject) -> Result<Finding, PgError> {
    const LEAST: i64 = 64 << 20;
    let bytes = s.setting("logical_decoding_work_mem").and_then(|setting| setting.bytes()).unwrap_or(LEAST);
    let seen = super::words::size(bytes);
    if bytes >= LEAST {
        return Ok(Finding::pass(format!("logical_decoding_work_mem is {seen}")).seen(seen));
    }
    Ok(Finding::warn(format!("logical_decoding_work_mem is {seen}: more transactions are decoded through the disk"))
        .seen(seen)
        .wanted("64 MiB")
        .sql("ALTER SYSTEM SET logical_decoding_work_mem = '64MB';")
        .sql(RELOAD))
}

/// Since 17. As the other time limits, our sessions switch it off for themselves: what is seen is what is left of it.
fn transaction_timeout(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(seconds) = s.setting("transaction_timeout").and_then(|setting| setting.seconds()) else {
        return Ok(Finding::not_applicable("this version has no transaction_timeout"));
    };
    if seconds == 0.0 {
        return Ok(Finding::pass("transaction_timeout is off in our sessions"));
    }
    Ok(Finding::warn(format!("transaction_timeout ends a snapshot after {seconds} s"))
        .seen(format!("{seconds} s"))
        .wanted("0")
        .sql(format!("ALTER ROLE {} SET transaction_timeout = 0;", quote_identifier(&s.role.name))))
}

fn archiver(s: &mut Subject) -> Result<Finding, PgError> {
    if s.setting("archive_mode").is_none_or(|setting| setting.value == "off") {
        return Ok(Finding::not_applicable("archive_mode is off"));
    }
    let rows = s.rows(
        "SELECT a.failed_count, a.last_failed_time > COALESCE(a.last_archived_time, '-infinity'), \
         a.last_failed_wal FROM pg_catalog.pg_stat_archiver a",
    )?;
    let failing = rows.first().is_some_and(|row| row.get(1) == Some("t"));
    if !failing {
        return Ok(Finding::pass("the archiver works"));
    }
    let (count, wal): (i64, String) =
        rows.first().map_or_else(Default::default, |row| (number(row, 0), crate::catalog::text(row, 2)));
    Ok(Finding::warn(format!("the archiver fails ({count} times, last at {wal}): the log fills the disk"))
        .advice("see the server's log for what archive_command says")
        .sql("SELECT * FROM pg_stat_archiver;"))
}
