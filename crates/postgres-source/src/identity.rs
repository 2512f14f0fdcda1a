//! Which server and slot a connector reads, kept over restarts: events may be missing where another one answers.
//!
//! Compared at every start of a task, which includes every reconnect. The system identifier tells clusters apart, the
//! timeline and its history a promoted standby or a restored copy, the end of the log one that lacks what was sent; a slot
//! that stands beyond the stored offset was dropped and made again, advanced, or read by somebody else.

use serde_json::{Value, json};
use walspring_config::postgres::{LsnFlushMode, OffsetMismatchStrategy, SlotConfig};
use walspring_connect::{DEBEZIUM_EXCEPTION, StateKey, TaskError};
use walspring_record::Lsn;

use crate::catalog::{number, text};
use crate::errors::from_pg;
use crate::slot::Slot;
use crate::wire::Connection;

/// The form of the record.
const FORM: u64 = 1;
const KIND: &str = "source";

/// The server at the other end of a replication connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub system: String,
    pub timeline: u32,
    /// The end of its log.
    pub end: Lsn,
    pub is_standby: bool,
}

impl Server {
    pub fn ask(replication: &mut Connection) -> Result<Server, TaskError> {
        let failed = |e| from_pg("Asking which server this is", e);
        let row = replication.query_one("IDENTIFY_SYSTEM").map_err(failed)?;
        let standby = replication.query_one("SELECT pg_catalog.pg_is_in_recovery()").map_err(failed)?;
        Ok(Server {
            system: text(&row, 0),
            timeline: number(&row, 1),
            end: text(&row, 2).parse().unwrap_or_default(),
            is_standby: standby.get(0) == Some("t"),
        })
    }

    /// Where the server's history left a timeline; `None`: it never was on it.
    pub fn left(&self, timeline: u32, replication: &mut Connection) -> Result<Option<Lsn>, TaskError> {
        let rows = replication.query(&format!("TIMELINE_HISTORY {}", self.timeline));
        match rows {
            Ok(rows) => Ok(rows.first().and_then(|row| left(&text(row, 1), timeline))),
            // The file is gone, as it may be after years.
            Err(e) if !e.is_transient() => Ok(None),
            Err(e) => Err(from_pg("Reading the timeline's history", e)),
        }
    }
}

/// Of a history file: `1<TAB>0/5000000<TAB>reason`.
fn left(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut parts = line.split_whitespace();
        let of = parts.next()?.parse::<u32>().ok()?;
        let at = parts.next()?.parse().ok()?;
        (of == timeline).then_some(at)
    })
}

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub system: String,
    pub timeline: u32,
    /// The slot's name, and how it stood when the stream began.
    pub slot: String,
    pub plugin: String,
    pub database: String,
    pub restart: Option<Lsn>,
    pub confirmed: Option<Lsn>,
    pub catalog_xmin: Option<u32>,
    /// What we had confirmed when this was written.
    pub reached: Lsn,
    /// As of where rows of a snapshot were read, an initial or a blocking one: they are sent before the stream comes there.
    pub read: Lsn,
}

impl Source {
    pub fn new(server: &Server, name: &str, slot: &Slot, reached: Lsn) -> Source {
        Source {
            system: server.system.clone(),
            timeline: server.timeline,
            slot: name.to_owned(),
            plugin: slot.plugin.clone(),
            database: slot.database.clone(),
            restart: slot.restart_lsn,
            confirmed: slot.confirmed_lsn,
            catalog_xmin: slot.catalog_xmin,
            reached: reached.max(slot.confirmed_lsn.unwrap_or_default()),
            read: Lsn::ZERO,
        }
    }

    pub fn key() -> StateKey {
        vec![KIND.to_owned()]
    }

    pub fn record(&self) -> Value {
        let lsn = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.to_string());
        json!({
            "v": FORM,
            "system": self.system,
            "timeline": self.timeline,
            "slot": {
                "name": self.slot,
                "plugin": self.plugin,
                "database": self.database,
                "restart": lsn(self.restart),
                "confirmed": lsn(self.confirmed),
                "catalog_xmin": self.catalog_xmin,
            },
            "reached": self.reached.to_string(),
            "read": self.read.to_string(),
        })
    }

    /// `None`: of a form to come.
    pub fn read(value: &Value) -> Option<Source> {
        let slot = &value["slot"];
        let lsn = |value: &Value| value.as_str().and_then(|lsn| lsn.parse().ok());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if value["v"] != FORM {
            return None;
        }
        Some(Source {
            system: text(&value["system"])?,
            timeline: u32::try_from(value["timeline"].as_u64()?).ok()?,
            slot: text(&slot["name"])?,
            plugin: text(&slot["plugin"])?,
            database: text(&slot["database"])?,
            restart: lsn(&slot["restart"]),
            confirmed: lsn(&slot["confirmed"]),
            catalog_xmin: slot["catalog_xmin"].as_u64().and_then(|xid| u32::try_from(xid).ok()),
            reached: lsn(&value["reached"])?,
            // Not in records of before.
            read: lsn(&value["read"]).unwrap_or_default(),
        })
    }
}

/// What speaks against going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    what: String,
    /// It may be over in a moment.
    passes: bool,
}

impl Mismatch {
    pub fn what(&self) -> &str {
        &self.what
    }

    fn stays(what: String) -> Mismatch {
        Mismatch { what, passes: false }
    }
}

/// Whether the server is the one that was read, and has what was sent. `reach`: up to where events were sent.
pub fn compare(
    server: &Server,
    kept: Option<&Source>,
    reach: Lsn,
    left: impl FnOnce(u32) -> Result<Option<Lsn>, TaskError>,
) -> Result<Result<(), Mismatch>, TaskError> {
    let Server { system, timeline, end, is_standby } = server;
    if let Some(kept) = kept.filter(|kept| kept.system != *system) {
        return Ok(Err(Mismatch::stays(format!(
            "Another server answers than the one that was read: its system identifier is {system} instead of {}. What \
             changed on the other one after {reach} was not sent, and positions of the two have nothing to do with each other",
            kept.system
        ))));
    }
    if let Some(kept) = kept.filter(|kept| kept.timeline != *timeline) {
        let was = kept.timeline;
        if was > *timeline {
            let what = format!(
                "The server is on timeline {timeline}, older than timeline {was} that was read up to {reach}: it is the former \
                 primary, or was restored from an older copy"
            );
            return Ok(Err(Mismatch { what, passes: *is_standby }));
        }
        return Ok(match left(was)? {
            Some(left) if left >= reach => Ok(()),
            Some(left) => Err(Mismatch::stays(format!(
                "The server left timeline {was} at {left}, and events were sent up to {reach}: what was sent between the two \
                 is not in this server (a standby was promoted that lacked it, or the server was restored to a point in time), \
                 and what the server has there now will not be sent"
            ))),
            None => Err(Mismatch::stays(format!(
                "The server is on timeline {timeline}, whose history does not tell where it left timeline {was}, which was \
                 read up to {reach}: what was sent may not be in this server"
            ))),
        });
    }
    if *end < reach {
        let what = format!(
            "The server's log ends at {end}, before {reach}, up to which events were sent: what was sent between the two is not \
             in this server (it was restored from an older copy, or another one has its place)"
        );
        return Ok(Err(Mismatch { what, passes: *is_standby }));
    }
    Ok(Ok(()))
}

/// Whether a server that went over to another timeline has the transaction of which events were sent last. Its rows may
/// stand before the place where the timelines part, and its commit, of which the offset knows nothing, behind it. `next`:
/// the transaction's id that the server gives next; `status`: what it says of one, in 64 bits.
pub fn has_transaction(
    xid: u32,
    next: u64,
    status: impl FnOnce(u64) -> Result<Option<String>, TaskError>,
) -> Result<Result<(), Mismatch>, TaskError> {
    let lacks = |how: &str| {
        Err(Mismatch::stays(format!(
            "Events of transaction {xid} were sent, which this server {how}: it took over before it had the transaction's \
             commit. What the server has there now will not be sent"
        )))
    };
    // It was the last one there: half of all ids ago is one that is still to come.
    let back = (next as u32).wrapping_sub(xid);
    let Some(full) = next.checked_sub(u64::from(back)).filter(|_| back > 0 && back < 1 << 31) else {
        return Ok(lacks("has never seen"));
    };
    Ok(match status(full)?.as_deref() {
        Some("committed") | None => Ok(()),
        Some(other) => lacks(if other == "aborted" { "has not committed" } else { "has not committed yet" }),
    })
}

/// The server's answer to that question.
pub fn ask_for_transaction(xid: u32, replication: &mut Connection) -> Result<Result<(), Mismatch>, TaskError> {
    let failed = |e| from_pg("Asking for the transaction that was sent last", e);
    let next = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())";
    let next: u64 = number(&replication.query_one(next).map_err(failed)?, 0);
    has_transaction(xid, next, |full| {
        let sql = format!("SELECT pg_catalog.pg_xact_status('{full}'::pg_catalog.xid8)");
        Ok(replication.query_one(&sql).map_err(failed)?.get(0).map(str::to_owned))
    })
}

/// Whether the slot has been moved past what was sent. `needed`: where the stored offset would go on.
pub fn beyond(name: &str, slot: &Slot, kept: Option<&Source>, needed: Lsn) -> Result<(), Mismatch> {
    let Some(confirmed) = slot.confirmed_lsn.filter(|confirmed| *confirmed > needed) else { return Ok(()) };
    let made_again = slot.restart_lsn.is_some_and(|restart| restart > needed)
        || kept.is_some_and(|kept| {
            let was = kept.slot == name && (&kept.plugin, &kept.database) == (&slot.plugin, &slot.database);
            was && slot.restart_lsn.is_some_and(|restart| restart > kept.reached)
        });
    let how = if made_again {
        "it was dropped and made again, or advanced by hand"
    } else {
        "it was advanced by hand, or read by somebody else"
    };
    let bytes = confirmed.0 - needed.0;
    Err(Mismatch::stays(format!(
        "Slot {name} has been confirmed up to {confirmed}, beyond {needed}, where the stored offset goes on: {how}. What was \
         committed between the two ({bytes} bytes of the log) does not come again"
    )))
}

/// What `offset.mismatch.strategy` makes of a mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategy {
    /// The slot is where to go on, wherever it stands.
    pub follows_slot: bool,
    server_stops: bool,
    slot_stops: bool,
}

impl Strategy {
    pub fn of(slot: &SlotConfig) -> Strategy {
        use OffsetMismatchStrategy as Given;
        let given = slot.offset_mismatch;
        // Elsewhere positions are confirmed that are not stored: by the original's driver, or by others.
        let only_stored = slot.flush_mode == LsnFlushMode::Connector;
        Strategy {
            follows_slot: matches!(given, Some(Given::TrustSlot | Given::TrustGreaterLsn)),
            server_stops: matches!(given, None | Some(Given::TrustOffset)),
            slot_stops: given == Some(Given::TrustOffset) || (given.is_none() && only_stored),
        }
    }

    pub fn on_server(self, found: Result<(), Mismatch>, connector: &str) -> Result<(), TaskError> {
        self.judge(found, self.server_stops, connector)
    }

    pub fn on_slot(self, found: Result<(), Mismatch>, connector: &str) -> Result<(), TaskError> {
        self.judge(found, self.slot_stops, connector)
    }

    fn judge(self, found: Result<(), Mismatch>, stops: bool, connector: &str) -> Result<(), TaskError> {
        match found {
            Ok(()) => Ok(()),
            Err(Mismatch { what, passes: true }) if stops => Err(TaskError::transient(DEBEZIUM_EXCEPTION, what)),
            Err(Mismatch { what, .. }) if stops => Err(TaskError::definite(DEBEZIUM_EXCEPTION, what).hint(format!(
                "read the tables again: PUT /connectors/{connector}/stop, DELETE /connectors/{connector}/offsets, PUT \
                 /connectors/{connector}/resume; or set offset.mismatch.strategy=trust_slot, and the connector goes on where \
                 its slot stands, without what is missing"
            ))),
            Err(Mismatch { what, .. }) => {
                tracing::warn!("{what}; the connector goes on, as offset.mismatch.strategy or lsn.flush.mode say");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(timeline: u32, end: u64) -> Server {
        Server { system: "7".into(), timeline, end: Lsn(end), is_standby: false }
    }

    fn slot(restart: u64, confirmed: u64) -> Slot {
        Slot {
            plugin: "pgoutput".into(),
            database: "db".into(),
            active_pid: None,
            restart_lsn: Some(Lsn(restart)),
            confirmed_lsn: Some(Lsn(confirmed)),
            wal_status: "reserved".into(),
            invalidation: None,
            catalog_xmin: Some(700),
        }
    }

    fn kept(timeline: u32) -> Source {
        Source::new(&server(timeline, 100), "s", &slot(50, 80), Lsn(90))
    }

    fn check(server: &Server, timeline: u32, reach: u64, left: Option<u64>) -> String {
        let found = compare(server, Some(&kept(timeline)), Lsn(reach), |_| Ok(left.map(Lsn))).unwrap();
        found.map_or_else(|mismatch| mismatch.what, |()| "fine".into())
    }

    #[test]
    fn servers_are_told_apart() {
        assert_eq!(check(&server(1, 100), 1, 100, None), "fine");
        assert!(check(&server(1, 99), 1, 100, None).contains("ends at 0/63, before 0/64"));
        assert_eq!(check(&server(2, 50), 1, 100, Some(100)), "fine");
        assert!(check(&server(2, 500), 1, 100, Some(99)).contains("left timeline 1 at 0/63"));
        assert!(check(&server(2, 500), 1, 100, None).contains("does not tell where it left timeline 1"));
        assert!(check(&server(1, 500), 2, 100, None).contains("older than timeline 2"));
        let other = Server { system: "8".into(), ..server(1, 500) };
        assert!(check(&other, 1, 100, None).contains("8 instead of 7"));
        let first = compare(&server(3, 100), None, Lsn(10), |_| unreachable!()).unwrap();
        assert_eq!(first, Ok(()));
        let behind = Server { is_standby: true, ..server(1, 99) };
        assert!(compare(&behind, None, Lsn(100), |_| Ok(None)).unwrap().unwrap_err().passes);
    }

    #[test]
    fn a_commit_behind_the_fork_is_missed() {
        let found = |xid, next, status: Option<&str>| {
            let told = |full| {
                assert_eq!(full as u32, xid);
                Ok(status.map(str::to_owned))
            };
            has_transaction(xid, next, told).unwrap().map_err(|mismatch| mismatch.what)
        };
        assert_eq!(found(700, 701, Some("committed")), Ok(()));
        assert_eq!(found(u32::MAX, (7 << 32) + 3, Some("committed")), Ok(()), "ids have gone round since");
        assert_eq!(found(700, 900, None), Ok(()), "so long ago that nobody knows");
        assert!(
            found(700, 701, Some("aborted"))
                .unwrap_err()
                .contains("transaction 700 were sent, which this server has not")
        );
        for next in [700, 699, 3] {
            assert!(found(700, next, Some("committed")).unwrap_err().contains("has never seen"), "{next}");
        }
    }

    #[test]
    fn a_slot_beyond_the_offset_is_found() {
        let found = |slot: &Slot, needed| beyond("s", slot, Some(&kept(1)), Lsn(needed)).map_err(|m| m.what);
        assert_eq!(found(&slot(50, 80), 80), Ok(()));
        let advanced = found(&slot(50, 96), 80).unwrap_err();
        assert!(advanced.contains("up to 0/60, beyond 0/50") && advanced.contains("16 bytes"), "{advanced}");
        assert!(advanced.contains("it was advanced by hand, or read"), "{advanced}");
        assert!(found(&slot(95, 96), 80).unwrap_err().contains("made again"));
    }

    #[test]
    fn history_files_are_read() {
        let history = "1\t0/5000000\tno recovery target specified\n\n2\t1/A0\tbefore 2026-01-01\n";
        assert_eq!(left(history, 1), Some(Lsn(0x500_0000)));
        assert_eq!(left(history, 2), Some(Lsn(0x1_0000_00A0)));
        assert_eq!(left(history, 3), None);
        assert_eq!(left("x\n# 1 0/1\n", 1), None);
    }

    #[test]
    fn records_come_back() {
        let source = kept(3);
        assert_eq!(Source::read(&source.record()), Some(source.clone()));
        assert_eq!(source.record()["v"], 1);
        for text in ["{}", r#"{"v":2}"#, r#"{"v":1,"system":"7"}"#, "[]", "1"] {
            assert_eq!(Source::read(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }
}
