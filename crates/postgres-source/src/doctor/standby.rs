//! A standby as the source (16 and later), and failover slots (17 and later): the traps are those that a first failover
//! shows, when it is too late.

use walspring_doctor::{Finding, Group};

use super::subject::{self, Subject};
use super::words::some;
use super::{PgCheck, check};
use crate::catalog::{number, text};
use crate::failover::{self, Place};
use crate::wire::{ConnectConfig, Connection, PgError, TargetSession, quote_literal};

pub const CHECKS: &[PgCheck] = &[
    check("pg.standby.version", Group::Standby, "a standby can decode", version),
    check(
        "pg.standby.hot_standby_feedback",
        Group::Standby,
        "the primary keeps the rows that decoding needs",
        hot_standby_feedback,
    ),
    check("pg.standby.primary_slot", Group::Standby, "the primary keeps the log that the standby needs", primary_slot),
    check("pg.standby.receiver", Group::Standby, "the standby receives the primary's log", receiver),
    check("pg.standby.replay_lag", Group::Standby, "the standby replays what it receives", replay_lag),
    check(
        "pg.standby.slot_creation",
        Group::Standby,
        "a slot can be made without waiting for the primary",
        slot_creation,
    ),
    check("pg.failover.sync_slots", Group::Standby, "the standby keeps failover slots in step", sync_slots),
    check(
        "pg.failover.conninfo_dbname",
        Group::Standby,
        "the standby may ask the primary for its slots",
        conninfo_dbname,
    ),
    check("pg.failover.synced", Group::Standby, "failover slots are ready on the standby", synced),
    check(
        "pg.failover.synchronized_standby_slots",
        Group::Standby,
        "no standby that is gone holds decoding up",
        synchronized_standby_slots,
    ),
    check("pg.failover.order", Group::Standby, "events do not run ahead of the standby that takes over", order),
    check("pg.failover.hosts", Group::Standby, "the other servers of database.hostname can take over", hosts),
    check("pg.failover.timeline", Group::Standby, "the slot came along when the server was promoted", timeline),
];

const RELOAD: &str = "SELECT pg_reload_conf();";

fn primary() -> Finding {
    Finding::not_applicable("the server is a primary")
}

fn version(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(match s.standby {
        false => primary(),
        true if s.major() >= 16 => Finding::pass(format!("a standby of PostgreSQL {} decodes", s.major())),
        true => Finding::fail(format!("a standby of PostgreSQL {} cannot decode", s.major()))
            .seen(s.major())
            .wanted("16 or later, or the primary")
            .setting("database.hostname=… (the primary)"),
    })
}

fn hot_standby_feedback(s: &mut Subject) -> Result<Finding, PgError> {
    let failover = s.on("sync_replication_slots");
    Ok(match s.standby {
        false => primary(),
        true if s.on("hot_standby_feedback") => Finding::pass("hot_standby_feedback is on"),
        true => {
            let what = if failover {
                "slots cannot be kept in step"
            } else {
                "the primary's vacuum invalidates slots here (rows_removed)"
            };
            Finding::fail(format!("hot_standby_feedback is off: {what}"))
                .seen("off")
                .wanted("on")
                .sql("ALTER SYSTEM SET hot_standby_feedback = on;")
                .sql(RELOAD)
        }
    })
}

fn primary_slot(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.standby {
        return Ok(primary());
    }
    let name = s.setting("primary_slot_name").map(|setting| setting.value.clone()).unwrap_or_default();
    if !name.is_empty() {
        return Ok(Finding::pass(format!("the standby has the slot {name} on the primary")).seen(name));
    }
    let message =
        "primary_slot_name is not set: hot_standby_feedback is forgotten whenever the standby is disconnected";
    let finding = if s.on("sync_replication_slots") {
        Finding::fail(format!("{message}, and slots are not kept in step"))
    } else {
        Finding::warn(message)
    };
    Ok(finding
        .wanted("a physical slot")
        .advice("on the primary:")
        .sql("SELECT pg_create_physical_replication_slot('standby1');")
        .advice("here:")
        .sql("ALTER SYSTEM SET primary_slot_name = 'standby1';")
        .sql(RELOAD))
}

fn receiver(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.standby {
        return Ok(primary());
    }
    // The status is hidden from most roles; that there is a receiver is not.
    let rows = s.rows("SELECT r.pid, r.status FROM pg_catalog.pg_stat_wal_receiver r")?;
    Ok(match rows.first().and_then(|row| row.get(0)) {
        Some(_) => Finding::pass("the standby is connected to its primary"),
        None => Finding::warn("the standby is not connected to its primary: nothing new arrives")
            .advice("see its log; primary_conninfo says where it looks"),
    })
}

fn replay_lag(s: &mut Subject) -> Result<Finding, PgError> {
    const LAG_MAX: i64 = 1 << 30;
    if !s.standby {
        return Ok(primary());
    }
    let rows = s.rows(
        "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())::pg_catalog.int8, \
         pg_catalog.pg_is_wal_replay_paused()",
    )?;
    let lag: i64 = rows.first().map_or(0, |row| number(row, 0));
    let paused = rows.first().is_some_and(|row| row.get(1) == Some("t"));
    let seen = super::words::size(lag);
    Ok(match (paused, lag) {
        (true, _) => Finding::fail("replay is paused on the standby: nothing new is decoded")
            .sql("SELECT pg_wal_replay_resume();"),
        (_, LAG_MAX..) => Finding::warn(format!("{seen} of log are received and not replayed"))
            .seen(seen)
            .advice("a long query may hold replay up: max_standby_streaming_delay"),
        _ => Finding::pass(format!("{seen} of log are received and not replayed")).seen(seen),
    })
}

fn slot_creation(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(match (s.standby, &s.slot) {
        (false, _) => primary(),
        (true, Some(_)) => Finding::not_applicable("the slot is there"),
        (true, None) => {
            Finding::warn("making a slot on a standby waits until the primary logs its running transactions")
                .advice("when the connector starts, on the primary:")
                .sql("SELECT pg_log_standby_snapshot();")
        }
    })
}

fn sync_slots(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.standby {
        return Ok(primary());
    }
    if s.major() < 17 {
        return Ok(Finding::not_applicable("failover slots are of 17 and later"));
    }
    if s.on("sync_replication_slots") {
        return Ok(Finding::pass("sync_replication_slots is on"));
    }
    if !s.config.typed.slot.failover {
        return Ok(Finding::not_applicable("slot.failover is not set"));
    }
    Ok(Finding::fail("slot.failover is set, and this standby does not keep slots in step")
        .seen("off")
        .wanted("on")
        .sql("ALTER SYSTEM SET sync_replication_slots = on;")
        .sql(RELOAD))
}

fn conninfo_dbname(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.standby || s.major() < 17 || !s.on("sync_replication_slots") {
        return Ok(Finding::not_applicable("the server does not keep slots in step with a primary's"));
    }
    // It holds a password perhaps: never told.
    let Some(conninfo) = s.setting("primary_conninfo") else {
        return Ok(Finding::skip("primary_conninfo is hidden from the role")
            .sql(format!("GRANT pg_read_all_settings TO {};", crate::wire::quote_identifier(&s.role.name))));
    };
    if conninfo.value.split_ascii_whitespace().any(|part| part.starts_with("dbname=") && part.len() > "dbname=".len()) {
        return Ok(Finding::pass("primary_conninfo names a database"));
    }
    Ok(Finding::fail("primary_conninfo names no database: slots are not kept in step")
        .wanted("dbname=postgres in it")
        .sql("ALTER SYSTEM SET primary_conninfo = '… dbname=postgres';")
        .sql(RELOAD))
}

/// The first trap: the copy of a slot stays temporary, for ever, while another slot holds older rows on the primary.
fn synced(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.standby || s.major() < 17 {
        return Ok(Finding::not_applicable("the server keeps no slots in step with a primary's"));
    }
    let (name, wanted) = (&s.config.typed.slot.name, s.config.typed.slot.failover);
    let own = format!(
        "SELECT s.slot_name FROM pg_catalog.pg_replication_slots s WHERE NOT s.synced AND s.slot_type = 'logical' \
         AND (s.failover OR (s.slot_name = {} AND {wanted})) ORDER BY 1",
        quote_literal(name)
    );
    let own: Vec<String> = s.rows(&own)?.iter().map(|row| text(row, 0)).collect();
    if !own.is_empty() && s.on("sync_replication_slots") {
        return Ok(own_slots(&own));
    }
    let rows = s.rows(
        "SELECT s.slot_name, s.temporary, s.invalidation_reason FROM pg_catalog.pg_replication_slots s \
         WHERE s.synced ORDER BY 1",
    )?;
    if rows.is_empty() {
        let what = "no slot is kept in step with the primary's";
        return Ok(match wanted {
            false => Finding::not_applicable(what),
            true => Finding::fail(what)
                .advice("the connector on the primary makes it with slot.failover=true; then wait a moment")
                .advice("a standby that follows another standby gets none: it has to follow the primary"),
        });
    }
    let ready = |row: &&crate::wire::Row| row.get(1) != Some("t") && row.get(2).is_none();
    let unready: Vec<String> = rows.iter().filter(|row| !ready(row)).map(|row| text(row, 0)).collect();
    if unready.is_empty() {
        let names: Vec<String> = rows.iter().map(|row| text(row, 0)).collect();
        return Ok(Finding::pass(format!("ready to take over: {}", some(&names))));
    }
    Ok(Finding::fail(format!("not ready, and lost at a failover: {}", some(&unready)))
        .advice(
            "the copy becomes permanent once the slot on the primary confirms past an older row: let the connector confirm \
             something (heartbeat.interval.ms), and see on the primary what holds old rows:",
        )
        .sql("SELECT slot_name, catalog_xmin, active FROM pg_replication_slots ORDER BY age(catalog_xmin) DESC;"))
}

/// The third trap: what a former primary has of its own is in the way of the copies. The server does not begin with any
/// other slot either.
fn own_slots(own: &[String]) -> Finding {
    let finding = Finding::fail(format!(
        "the standby has slots of its own from when it was a primary, and none is kept in step: {}",
        some(own)
    ))
    .wanted("only copies of the primary's")
    .advice("they are of no use while it is a standby; here:");
    own.iter().fold(finding, |finding, name| {
        finding.sql(format!("SELECT pg_drop_replication_slot({});", quote_literal(name)))
    })
}

/// The second trap: `pg_basebackup` copies the setting to the standby, where it blocks every slot after a promotion.
fn synchronized_standby_slots(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(setting) = s.setting("synchronized_standby_slots").map(|setting| setting.value.clone()) else {
        return Ok(Finding::not_applicable("synchronized_standby_slots is of 17 and later"));
    };
    let names = failover::names(&setting);
    if names.is_empty() {
        return Ok(Finding::not_applicable("synchronized_standby_slots is not set"));
    }
    if s.standby {
        return Ok(Finding::warn("synchronized_standby_slots is set on a standby (copied from its primary): after a promotion it holds every slot up")
            .seen(setting)
            .advice("once it is promoted, unless these standbys follow it:")
            .sql("ALTER SYSTEM RESET synchronized_standby_slots;")
            .sql(RELOAD));
    }
    let gone = failover::not_connected(&mut s.connection, &names)?;
    if gone.is_empty() {
        return Ok(Finding::pass(format!("connected: {}", some(&names))).seen(setting));
    }
    Ok(Finding::fail(format!("nothing is decoded of failover slots: no standby is connected by {}", some(&gone)))
        .seen(setting)
        .wanted("only standbys that are there")
        .advice("start the standby, or let decoding go on without it:")
        .sql("ALTER SYSTEM RESET synchronized_standby_slots;")
        .sql(RELOAD))
}

fn order(s: &mut Subject) -> Result<Finding, PgError> {
    if s.standby || !s.config.typed.slot.failover || s.major() < 17 {
        return Ok(Finding::not_applicable("there is no failover slot on a primary here"));
    }
    let set = s.setting("synchronized_standby_slots").is_some_and(|setting| !setting.value.trim().is_empty());
    if set {
        return Ok(Finding::pass("decoding waits for the standbys of synchronized_standby_slots"));
    }
    Ok(Finding::warn(
        "synchronized_standby_slots is not set: events may be sent that the standby, once promoted, never had",
    )
    .wanted("the physical slots of the standbys that may take over")
    .sql("ALTER SYSTEM SET synchronized_standby_slots = 'standby1';")
    .sql(RELOAD))
}

/// A server of the list, as it is found.
struct Seen {
    place: Place,
    /// The connector's; none: there is no such slot.
    slot: Option<SlotThere>,
    /// By which slot it follows another server.
    follows_by: Option<String>,
    /// The physical slots by which others follow it.
    followed_by: Vec<String>,
}

struct SlotThere {
    temporary: bool,
    /// Why it is invalid.
    reason: Option<String>,
    /// On a standby: it is a copy of the primary's.
    synced: bool,
}

fn look(connection: &mut Connection, slot: &str) -> Result<Seen, PgError> {
    let place = failover::place(connection)?;
    let (reason, synced) = match connection.server_version_num() {
        170_000.. => ("s.invalidation_reason", "s.synced"),
        _ => ("NULL", "false"),
    };
    let rows = connection.query(&format!(
        "SELECT s.slot_name, s.slot_type, s.temporary, {reason}, {synced}, s.active FROM pg_catalog.pg_replication_slots s"
    ))?;
    let is = |row: &crate::wire::Row, column| row.get(column) == Some("t");
    let there = |row: &crate::wire::Row| SlotThere {
        temporary: is(row, 2),
        reason: row.get(3).map(str::to_owned),
        synced: is(row, 4),
    };
    let followed = rows.iter().filter(|row| row.get(1) == Some("physical") && is(row, 5));
    let by = connection.query_one("SELECT pg_catalog.current_setting('primary_slot_name')")?;
    Ok(Seen {
        slot: rows.iter().find(|row| row.get(0) == Some(slot)).map(there),
        follows_by: by.get(0).filter(|name| !name.is_empty() && place.timeline.is_none()).map(str::to_owned),
        followed_by: followed.map(|row| text(row, 0)).collect(),
        place,
    })
}

/// Whom of the list a standby follows, where that is not the primary. Nobody tells its upstream to every role; slots and
/// the name by which it uses one are told.
fn follows_standby<'a>(seen: &Seen, all: &'a [(String, Seen)]) -> Option<&'a str> {
    let by = seen.follows_by.as_ref()?;
    let followed = |primaries: bool| {
        all.iter().find(|(_, other)| other.place.timeline.is_some() == primaries && other.followed_by.contains(by))
    };
    followed(true).is_none().then(|| followed(false)).flatten().map(|(at, _)| at.as_str())
}

fn hosts(s: &mut Subject) -> Result<Finding, PgError> {
    let connect = &s.config.connect;
    if connect.hosts.len() < 2 {
        return Ok(Finding::not_applicable("database.hostname names one server"));
    }
    let (typed, major) = (&s.config.typed, s.major());
    let name = &typed.slot.name;
    let here = look(&mut s.connection, name)?.place;
    let reads_standbys = here.timeline.is_none();
    let mut primaries: Vec<(u32, String)> = Vec::new();
    let (mut fails, mut warns, mut told, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (host, port) in &connect.hosts {
        let at = format!("{host}:{port}");
        let one = ConnectConfig {
            hosts: vec![(host.clone(), *port)],
            target_session: TargetSession::Any,
            connect_timeout: Some(std::time::Duration::from_secs(3)),
            ..connect.clone()
        };
        match subject::open(&one).and_then(|mut connection| look(&mut connection, name)) {
            Ok(seen) => all.push((at, seen)),
            Err(e) => warns.push(format!("{at} cannot be asked: {e}")),
        }
    }
    for (at, seen) in &all {
        match (seen.place.timeline, &seen.slot) {
            _ if seen.place.system != here.system => fails.push(format!("{at} is another cluster")),
            (Some(timeline), _) => primaries.push((timeline, at.clone())),
            (None, _) if reads_standbys => told.push(format!("{at} is a standby")),
            (None, _) if major < 17 => {
                warns.push(format!("{at} cannot take the slot over: slots are kept in step by 17 and later"))
            }
            (None, _) if !typed.slot.failover => {
                warns.push(format!("slot.failover is not set: slot {name} is lost when {at} takes over"))
            }
            (None, None) => fails.push(match follows_standby(seen, &all) {
                Some(upstream) => format!(
                    "slot {name} is not on {at}, and would be lost: {at} follows {upstream}, a standby, and slots are kept in \
                     step by standbys of the primary alone"
                ),
                None => format!("slot {name} is not on {at}, and would be lost"),
            }),
            (None, Some(there)) if !there.synced => fails.push(format!(
                "slot {name} on {at} is one of its own, from when it was a primary, and not a copy: drop it there, and it is \
                 kept in step again"
            )),
            (None, Some(SlotThere { reason: Some(reason), .. })) => {
                fails.push(format!("slot {name} is invalid on {at}: {reason}"))
            }
            (None, Some(there)) if there.temporary => {
                fails.push(format!("slot {name} is not ready on {at} (temporary), and would be lost"))
            }
            (None, Some(_)) => told.push(format!("slot {name} is ready on {at}")),
        }
    }
    primaries.sort();
    if let Some((newest, current)) = primaries.pop() {
        fails.extend(primaries.iter().map(|(timeline, former)| {
            format!(
                "{former} takes writes on timeline {timeline} beside {current} on timeline {newest}: a former primary"
            )
        }));
        told.push(format!("{current} is the primary"));
    }
    let every: Vec<String> = fails.iter().chain(&warns).cloned().collect();
    Ok(match (fails.is_empty(), warns.is_empty()) {
        (true, true) => Finding::pass(told.join("; ")),
        (true, false) => Finding::warn(every.join("; ")),
        _ => Finding::fail(every.join("; ")),
    }
    .advice("see docs/failover.md; on a standby:")
    .sql("SELECT slot_name, synced, temporary, invalidation_reason FROM pg_replication_slots;"))
}

/// Without the slot the connector stops, or starts anew if nobody remembers it.
fn timeline(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(timeline) = failover::timeline(&mut s.connection)?.filter(|timeline| *timeline > 1) else {
        return Ok(Finding::not_applicable("the server was not promoted"));
    };
    let name = &s.config.typed.slot.name;
    Ok(match s.slot {
        _ if s.bare => Finding::not_applicable("no connector is given"),
        Some(_) => Finding::pass(format!("slot {name} is there, on timeline {timeline}")).seen(timeline),
        None => Finding::warn(format!(
            "the server was promoted (timeline {timeline}) and has no slot {name}: where a connector has read before, what it \
             had not read is missing"
        ))
        .seen(timeline)
        .advice("the connector stops and says so; it goes on with the tables read again (DELETE /connectors/…/offsets)")
        .setting("slot.failover=true (17 and later; so that it comes along next time)"),
    })
}
