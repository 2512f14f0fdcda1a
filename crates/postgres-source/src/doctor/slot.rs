//! The replication slot, and what holds it.

use walspring_doctor::{Finding, Group};

use super::subject::{SlotFacts, Subject};
use super::words::{self, counted, size, some};
use super::{PgCheck, check};
use crate::catalog::{WAL_END, number, text};
use crate::wire::{PgError, quote_identifier, quote_literal};

pub const CHECKS: &[PgCheck] = &[
    check("pg.slot.exists", Group::Slot, "the slot is there, or will be made", exists),
    check("pg.slot.plugin", Group::Slot, "the slot decodes with pgoutput", plugin),
    check("pg.slot.database", Group::Slot, "the slot belongs to this database", database),
    check("pg.slot.temporary", Group::Slot, "the slot outlives a session", temporary),
    check("pg.slot.active", Group::Slot, "nobody else reads the slot", active),
    check("pg.slot.wal_status", Group::Slot, "the slot has all the log that it needs", wal_status),
    check("pg.slot.safe_wal_size", Group::Slot, "the slot is far from being invalidated", safe_wal_size),
    check("pg.slot.retained", Group::Slot, "the slot holds little log back", retained),
    check("pg.slot.confirmed_lag", Group::Slot, "what is read is confirmed", confirmed_lag),
    check("pg.slot.catalog_xmin", Group::Slot, "the slot does not hold the vacuum of catalogs back", catalog_xmin),
    check("pg.slot.two_phase", Group::Slot, "transactions are decoded when they commit", two_phase),
    check("pg.slot.failover", Group::Slot, "the slot survives a failover, where that is asked for", failover),
    check("pg.slot.spill", Group::Slot, "transactions are decoded in memory", spill),
    check("pg.slot.others", Group::Slot, "no other slot was left behind", others),
    check("pg.slot.long_transactions", Group::Slot, "no transaction is open for long", long_transactions),
    check("pg.slot.prepared_transactions", Group::Slot, "no prepared transaction is left", prepared_transactions),
];

/// Half of what the server lets a slot hold is worth a word.
const SHARE_OF_LIMIT: f64 = 0.5;
const SPILL_SHARE: i64 = 1 << 30;
const XMIN_AGE_WARN: i64 = 200_000_000;
const XMIN_AGE_FAIL: i64 = 1_000_000_000;

fn name(s: &Subject) -> &str {
    &s.config.typed.slot.name
}

/// With the slot, if there is one.
fn of(s: &Subject, judge: impl FnOnce(&SlotFacts) -> Finding) -> Result<Finding, PgError> {
    Ok(match &s.slot {
        Some(slot) => judge(slot),
        None => Finding::not_applicable(format!("there is no slot {} yet", name(s))),
    })
}

fn exists(s: &mut Subject) -> Result<Finding, PgError> {
    let name = name(s);
    Ok(match &s.slot {
        Some(_) => Finding::pass(format!("slot {name} is there")),
        None if s.bare => Finding::not_applicable("no connector is given, and nothing is called as by default"),
        None => Finding::pass(format!("slot {name} will be made at the start")),
    })
}

fn plugin(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| words::slot_plugin(name(s), &slot.plugin))
}

fn database(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| words::slot_database(name(s), &slot.database, &s.config.connect.dbname))
}

fn temporary(s: &mut Subject) -> Result<Finding, PgError> {
    let by_synchronisation = s.standby && s.slot.as_ref().is_some_and(|slot| slot.synced);
    of(s, |slot| match slot.temporary {
        _ if by_synchronisation => Finding::not_applicable("the server keeps it in step with the primary's"),
        false => Finding::pass("the slot is permanent"),
        true => Finding::fail(format!("slot {} is temporary, of another session, and ends with it", name(s)))
            .setting("slot.name=… (another name)"),
    })
}

fn active(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| {
        let Some(pid) = slot.active_pid else { return Finding::pass("nobody reads the slot now") };
        match slot.active_name.as_deref() {
            Some("walspring" | "Debezium Streaming") => {
                Finding::pass(format!("a connector reads it (pid {pid})")).seen(pid)
            }
            other => {
                let who = other.map_or_else(|| format!("pid {pid}"), |who| format!("{who:?} (pid {pid})"));
                Finding::warn(format!("{who} reads the slot: only one can"))
                    .seen(pid)
                    .sql(format!("SELECT * FROM pg_stat_activity WHERE pid = {pid};"))
                    .advice("if that is nobody's:")
                    .sql(format!("SELECT pg_terminate_backend({pid});"))
            }
        }
    })
}

fn wal_status(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| {
        let lost = slot.wal_status == "lost";
        if let Some(reason) = words::invalidation(slot.invalidation.as_deref(), lost) {
            return words::slot_invalidated(name(s), reason).wanted("reserved");
        }
        let finding = match slot.wal_status.as_str() {
            "unreserved" => Finding::fail("the slot's log may be removed at the next checkpoint")
                .advice("start the connector now, or give it more room:")
                .sql("ALTER SYSTEM SET max_slot_wal_keep_size = -1;")
                .sql("SELECT pg_reload_conf();"),
            "extended" => Finding::warn("the slot holds more log than max_wal_size")
                .advice("is the connector running, and keeping up?"),
            _ => Finding::pass("the slot has all its log"),
        };
        finding.seen(&slot.wal_status).wanted("reserved")
    })
}

fn keep_limit(s: &Subject) -> Option<i64> {
    s.setting("max_slot_wal_keep_size").and_then(|setting| setting.bytes()).filter(|bytes| *bytes >= 0)
}

fn safe_wal_size(s: &mut Subject) -> Result<Finding, PgError> {
    let limit = keep_limit(s);
    of(s, |slot| {
        let (Some(limit), Some(safe)) = (limit, slot.safe_bytes) else {
            return Finding::not_applicable("the server sets no limit to what a slot holds");
        };
        let message = format!("{} more of log until the slot is invalidated", size(safe));
        let low = (safe as f64) < limit as f64 * SHARE_OF_LIMIT;
        let finding = if low { Finding::warn(message) } else { Finding::pass(message) };
        finding
            .seen(size(safe))
            .wanted(format!("at least {}", size((limit as f64 * SHARE_OF_LIMIT) as i64)))
            .advice("start the connector, or give it more room:")
            .sql(format!("ALTER SYSTEM SET max_slot_wal_keep_size = '{}MB';", (limit >> 20).max(1) * 4))
            .sql("SELECT pg_reload_conf();")
    })
}

/// What a slot may hold before it is told: half of the server's limit, or our own threshold.
fn retained_max(s: &Subject) -> i64 {
    let share = keep_limit(s).map(|limit| (limit as f64 * SHARE_OF_LIMIT) as i64);
    share.unwrap_or(s.thresholds.retained_bytes).min(s.thresholds.retained_bytes)
}

fn retained(s: &mut Subject) -> Result<Finding, PgError> {
    let max = retained_max(s);
    of(s, |slot| {
        let Some(bytes) = slot.retained_bytes else {
            return Finding::not_applicable("the slot holds no log");
        };
        let message = format!("the slot holds {} of log on the server's disk", size(bytes));
        let finding = if bytes > max { Finding::warn(message) } else { Finding::pass(message) };
        finding
            .seen(size(bytes))
            .wanted(format!("at most {}", size(max)))
            .advice("start the connector, see whether a long transaction holds it, or, if nobody needs the slot:")
            .sql(words::drop_slot(name(s)))
    })
}

fn confirmed_lag(s: &mut Subject) -> Result<Finding, PgError> {
    let max = retained_max(s);
    of(s, |slot| {
        let Some(bytes) = slot.unconfirmed_bytes else { return Finding::not_applicable("nothing was confirmed yet") };
        let message = format!("{} of log are not confirmed", size(bytes));
        let finding = match slot.active_pid {
            Some(_) if bytes > max => Finding::warn(message).advice(
                "the connector runs and does not keep up, or the broker takes nothing: see its status and metrics",
            ),
            _ => Finding::pass(message),
        };
        finding.seen(size(bytes)).wanted(format!("at most {}", size(max)))
    })
}

fn catalog_xmin(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| {
        let Some(age) = slot.xmin_age else { return Finding::not_applicable("the slot holds no catalog rows") };
        let message = format!("the slot keeps catalog rows of {age} transactions from being vacuumed");
        let finding = match age {
            XMIN_AGE_FAIL.. => Finding::fail(format!("{message}: near the wraparound of transaction ids")),
            XMIN_AGE_WARN.. => Finding::warn(message),
            _ => Finding::pass(message),
        };
        finding
            .seen(age)
            .wanted(format!("below {XMIN_AGE_WARN}"))
            .advice("let the connector confirm something (heartbeat.interval.ms), or, if nobody needs the slot:")
            .sql(words::drop_slot(name(s)))
    })
}

fn two_phase(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| match slot.two_phase {
        false => Finding::pass("two_phase is off"),
        true => Finding::warn("the slot was made with two_phase, which connectors do not ask for")
            .advice("let the connector make its slot: stop it, then")
            .sql(words::drop_slot(name(s))),
    })
}

fn failover(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.config.typed.slot.failover {
        return Ok(Finding::not_applicable("slot.failover is not set"));
    }
    if s.major() < 17 {
        return Ok(Finding::warn(format!("slot.failover has no effect: PostgreSQL {} cannot", s.major()))
            .seen(s.major())
            .wanted("17 or later"));
    }
    of(s, |slot| match slot.failover {
        true => Finding::pass("the slot is kept on standbys too"),
        false => {
            Finding::fail(format!("slot.failover is set, and slot {} is without it: a failover loses it", name(s)))
                .advice("stop the connector, then on a replication connection (psql 'replication=database'):")
                .sql(format!("ALTER_REPLICATION_SLOT {} ( FAILOVER true );", quote_identifier(name(s))))
        }
    })
}

fn spill(s: &mut Subject) -> Result<Finding, PgError> {
    of(s, |slot| {
        let seen =
            format!("{} in {}", size(slot.spilled_bytes), counted(slot.spilled_transactions as usize, "transaction"));
        match slot.spilled_bytes {
            SPILL_SHARE.. => Finding::warn(format!("decoding has written {seen} to the server's disk"))
                .seen(seen)
                .sql("ALTER SYSTEM SET logical_decoding_work_mem = '256MB';")
                .sql("SELECT pg_reload_conf();"),
            _ => Finding::pass(format!("decoding has written {seen} to the server's disk")).seen(seen),
        }
    })
}

fn others(s: &mut Subject) -> Result<Finding, PgError> {
    let rows = s.rows(&format!(
        "SELECT s.slot_name, s.wal_status, pg_catalog.pg_wal_lsn_diff({WAL_END}, s.restart_lsn)::pg_catalog.int8 \
         FROM pg_catalog.pg_replication_slots s WHERE NOT s.active AND s.slot_name <> {} ORDER BY 3 DESC NULLS LAST",
        quote_literal(name(s))
    ))?;
    let max = retained_max(s);
    let (mut told, mut drops) = (Vec::new(), Vec::new());
    for row in &rows {
        let (slot, status, bytes): (String, String, i64) = (text(row, 0), text(row, 1), number(row, 2));
        if status == "lost" {
            told.push(format!("{slot} has lost its log"));
        } else if bytes > max || status == "unreserved" {
            told.push(format!("{slot} holds {}", size(bytes)));
        } else {
            continue;
        }
        drops.push(words::drop_slot(&slot));
    }
    if told.is_empty() {
        return Ok(Finding::pass(match rows.len() {
            0 => "there is no other slot that nobody reads".to_owned(),
            count => format!("{count} that nobody reads now, none of them in the way"),
        }));
    }
    Ok(Finding::warn(format!("nobody reads: {}", some(&told))).advice("each that nobody needs:").sql_each(drops))
}

fn long_transactions(s: &mut Subject) -> Result<Finding, PgError> {
    let seconds = s.thresholds.transaction.as_secs();
    let rows = s.rows(&format!(
        "SELECT a.pid, a.usename, a.application_name, EXTRACT(epoch FROM pg_catalog.now() - a.xact_start)::pg_catalog.int8 \
         FROM pg_catalog.pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.backend_type = 'client backend' \
         AND a.xact_start < pg_catalog.now() - pg_catalog.make_interval(secs => {seconds}) ORDER BY a.xact_start LIMIT 100"
    ))?;
    if !rows.is_empty() {
        let who = |row: &crate::wire::Row| {
            format!("pid {} ({} {}, {} min)", text(row, 0), text(row, 1), text(row, 2), number::<i64>(row, 3) / 60)
        };
        let who: Vec<String> = rows.iter().map(who).collect();
        return Ok(Finding::warn(format!(
            "open for more than {} min, and holding every slot: {}",
            seconds / 60,
            some(&who)
        ))
        .advice("end them, and let it not happen again with idle_in_transaction_session_timeout:")
        .sql_each(rows.iter().map(|row| format!("SELECT pg_terminate_backend({});", text(row, 0)))));
    }
    if !s.role.sees_statistics {
        return Ok(Finding::skip("the role does not see others' transactions")
            .sql(format!("GRANT pg_read_all_stats TO {};", quote_identifier(&s.role.name))));
    }
    Ok(Finding::pass(format!("no transaction is open for more than {} min", seconds / 60)))
}

fn prepared_transactions(s: &mut Subject) -> Result<Finding, PgError> {
    let seconds = s.thresholds.transaction.as_secs();
    let rows = s.rows(&format!(
        "SELECT p.gid, p.owner, p.database FROM pg_catalog.pg_prepared_xacts p \
         WHERE p.prepared < pg_catalog.now() - pg_catalog.make_interval(secs => {seconds}) ORDER BY p.prepared LIMIT 100"
    ))?;
    if rows.is_empty() {
        return Ok(Finding::pass("no prepared transaction was left"));
    }
    let names: Vec<String> =
        rows.iter().map(|row| format!("{} ({} in {})", text(row, 0), text(row, 1), text(row, 2))).collect();
    Ok(Finding::warn(format!("prepared, and never ended: {}", some(&names)))
        .advice("they hold locks, every slot and the vacuum; each of them, in its database:")
        .sql_each(rows.iter().map(|row| format!("ROLLBACK PREPARED {};", quote_literal(&text(row, 0))))))
}
