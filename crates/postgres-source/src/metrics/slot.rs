//! What the server says of the slot, and what follows from several such readings: since when the confirmed position lies
//! behind, and how long the slot lasts. Who asks the server is `slot_watch`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use walspring_connect::NumberSheet;
use walspring_record::Lsn;

use super::{families as f, plain};
use crate::doctor::words::size;

/// The time over which growth is measured: longer than the steps in which a healthy slot moves on.
const WINDOW: Duration = Duration::from_secs(300);
/// How many ends of the log are remembered; a slot that stands still for long is dated more coarsely.
const ENDS_MAX: usize = 1024;

const STATES: [&str; 4] = ["reserved", "extended", "unreserved", "lost"];

/// One look at `pg_replication_slots`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotReading {
    /// The end of the server's log.
    pub end: Lsn,
    pub active: bool,
    /// Empty: none, as of a slot that has never been used.
    pub wal_status: String,
    /// Bytes that can still be written; `None`: no limit, or it is lost.
    pub safe_bytes: Option<i64>,
    pub restart: Option<Lsn>,
    pub confirmed: Option<Lsn>,
    /// `max_slot_wal_keep_size`, in bytes; `None`: no limit.
    pub limit_bytes: Option<u64>,
    /// In transactions.
    pub catalog_xmin_age: Option<u64>,
    pub spilled_transactions: Option<u64>,
    pub spilled_bytes: Option<u64>,
    /// Prepared transactions of the whole server, and since when the oldest waits.
    pub prepared: Option<u64>,
    pub prepared_age_s: Option<u64>,
}

impl SlotReading {
    /// 0: nothing to be said. With a limit by what is left of it: less than a half, a fifth, a tenth. Without one by what the
    /// disk holds: 4 GiB, and each time it doubles.
    fn worry(&self) -> u32 {
        match (self.safe_bytes, self.limit_bytes) {
            _ if self.wal_status == "unreserved" => 3,
            (Some(safe), Some(limit)) if limit > 0 => {
                let left = safe.max(0) as f64 / limit as f64;
                [0.5, 0.2, 0.1].into_iter().filter(|share| left < *share).count() as u32
            }
            _ => {
                let retained = self.restart.map_or(0, |restart| self.end.0.saturating_sub(restart.0));
                (retained >> 32).checked_ilog2().map_or(0, |doubled| doubled + 1)
            }
        }
    }
}

/// `40 s`, `12 min`, `5 h`
fn about(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// The readings of one slot.
#[derive(Debug, Default)]
pub struct SlotHistory {
    /// Whether the last look succeeded; `None`: none yet.
    up: Option<bool>,
    last: Option<SlotReading>,
    /// Room that was left, oldest first, within the window.
    room: VecDeque<(Instant, i64)>,
    /// Ends of the log behind the confirmed position, and when they were first seen.
    ends: VecDeque<(Instant, Lsn)>,
}

impl SlotHistory {
    /// The server was asked; `None`: the slot does not exist.
    pub fn push(&mut self, now: Instant, reading: Option<SlotReading>) {
        self.up = Some(true);
        let Some(reading) = reading else {
            *self = SlotHistory { up: Some(true), ..SlotHistory::default() };
            return;
        };
        while self.room.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.room.pop_front();
        }
        match reading.safe_bytes {
            Some(safe) => self.room.push_back((now, safe)),
            None => self.room.clear(),
        }
        let confirmed = reading.confirmed.unwrap_or(reading.end);
        self.ends.retain(|(_, end)| *end > confirmed);
        if reading.end > confirmed && self.ends.back().is_none_or(|(_, end)| *end < reading.end) {
            if self.ends.len() >= ENDS_MAX {
                let mut keep = false;
                self.ends.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            self.ends.push_back((now, reading.end));
        }
        self.last = Some(reading);
    }

    /// The server could not be asked: what it said before may be true no more.
    pub fn failed(&mut self) {
        self.up = Some(false);
        self.last = None;
    }

    /// Nobody asks any more.
    pub fn forget(&mut self) {
        *self = SlotHistory::default();
    }

    /// Seconds since there has been log behind the confirmed position.
    fn confirmed_age(&self, now: Instant) -> f64 {
        self.ends.front().map_or(0.0, |(since, _)| now.duration_since(*since).as_secs_f64())
    }

    /// Seconds until the slot is invalidated if its room goes on shrinking as within the window.
    fn invalidation_eta(&self, reading: &SlotReading) -> f64 {
        if reading.wal_status == "lost" {
            return 0.0;
        }
        let (Some((from, before)), Some((to, now))) = (self.room.front(), self.room.back()) else {
            return f64::INFINITY;
        };
        let seconds = to.duration_since(*from).as_secs_f64();
        let shrunk = before.saturating_sub(*now);
        if *now <= 0 {
            0.0
        } else if shrunk <= 0 || seconds <= 0.0 {
            f64::INFINITY
        } else {
            *now as f64 / (shrunk as f64 / seconds)
        }
    }

    /// How much the last reading worries, and what of it is to be said.
    pub fn worry(&self) -> Option<(u32, String)> {
        let reading = self.last.as_ref()?;
        let level = reading.worry();
        let retained = reading.end.0.saturating_sub(reading.restart?.0) as i64;
        let mut text = format!("it holds {} of the server's log", size(retained));
        if let (Some(safe), Some(_)) = (reading.safe_bytes, reading.limit_bytes) {
            text += &format!("; {} more, and it may be invalidated (max_slot_wal_keep_size)", size(safe));
            let eta = self.invalidation_eta(reading);
            if eta.is_finite() {
                text += &format!(", in about {}", about(eta));
            }
        }
        Some((level, text))
    }

    pub fn read(&self, sheet: &mut dyn NumberSheet) {
        let Some(up) = self.up else { return };
        plain(sheet, &f::WATCH_UP, f64::from(u8::from(up)));
        let Some(reading) = &self.last else { return };
        let bytes = |from: Option<Lsn>| from.map(|from| reading.end.0.saturating_sub(from.0) as f64);
        let number = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.0 as f64);
        let count = |count: Option<u64>| count.map(|count| count as f64);
        for (family, value) in [
            (&f::SLOT_ACTIVE, Some(f64::from(u8::from(reading.active)))),
            (&f::SLOT_LAG, bytes(reading.confirmed)),
            (&f::SLOT_RETAINED, bytes(reading.restart)),
            (&f::SLOT_SAFE, reading.safe_bytes.map(|safe| safe as f64)),
            (&f::SLOT_LIMIT, count(reading.limit_bytes)),
            (&f::SLOT_ETA, Some(self.invalidation_eta(reading))),
            (&f::SLOT_CONFIRMED_AGE, Some(self.confirmed_age(Instant::now()))),
            (&f::SLOT_CONFIRMED, number(reading.confirmed)),
            (&f::SLOT_RESTART, number(reading.restart)),
            (&f::SLOT_XMIN_AGE, count(reading.catalog_xmin_age)),
            (&f::SLOT_SPILLED, count(reading.spilled_transactions)),
            (&f::SLOT_SPILLED_BYTES, count(reading.spilled_bytes)),
            (&f::PREPARED, count(reading.prepared)),
            (&f::PREPARED_AGE, reading.prepared.map(|_| reading.prepared_age_s.unwrap_or(0) as f64)),
        ] {
            if let Some(value) = value {
                plain(sheet, family, value);
            }
        }
        for state in STATES {
            sheet.number(&f::SLOT_STATUS, &[("status", state)], f64::from(u8::from(state == reading.wal_status)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(end: u64, confirmed: u64, safe: Option<i64>) -> Option<SlotReading> {
        Some(SlotReading {
            end: Lsn(end),
            confirmed: Some(Lsn(confirmed)),
            safe_bytes: safe,
            wal_status: "reserved".into(),
            ..SlotReading::default()
        })
    }

    fn eta(history: &SlotHistory) -> f64 {
        history.invalidation_eta(history.last.as_ref().unwrap())
    }

    #[test]
    fn the_room_that_shrinks_says_how_long_the_slot_lasts() {
        let (mut history, start) = (SlotHistory::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        history.push(at(0), reading(10, 10, Some(1000)));
        assert_eq!(eta(&history), f64::INFINITY);
        history.push(at(10), reading(20, 10, Some(900)));
        assert_eq!(eta(&history), 90.0);
        // It has moved on.
        history.push(at(20), reading(30, 30, Some(1000)));
        assert_eq!(eta(&history), f64::INFINITY);
        // Only the window counts.
        history.push(at(400), reading(40, 30, Some(500)));
        history.push(at(410), reading(50, 30, Some(490)));
        assert_eq!(eta(&history), 490.0);
        history.push(at(420), reading(60, 30, Some(-5)));
        assert_eq!(eta(&history), 0.0);
        history.push(at(430), reading(60, 30, None));
        assert_eq!(eta(&history), f64::INFINITY);
        history.push(at(440), Some(SlotReading { wal_status: "lost".into(), ..reading(70, 30, None).unwrap() }));
        assert_eq!(eta(&history), 0.0);
    }

    #[test]
    fn the_confirmed_position_ages_from_when_log_came_behind_it() {
        let (mut history, start) = (SlotHistory::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        history.push(at(0), reading(10, 10, None));
        assert_eq!(history.confirmed_age(at(5)), 0.0);
        history.push(at(10), reading(20, 10, None));
        history.push(at(20), reading(30, 10, None));
        assert_eq!(history.confirmed_age(at(20)), 10.0);
        // Confirmed up to what was the end at 10: behind since 20.
        history.push(at(30), reading(40, 20, None));
        assert_eq!(history.confirmed_age(at(30)), 10.0);
        history.push(at(40), reading(40, 40, None));
        assert_eq!(history.confirmed_age(at(40)), 0.0);
    }

    #[test]
    fn what_the_server_keeps_worries_by_what_is_left_of_the_limit_or_by_its_size() {
        let at = |safe, limit_bytes, retained: u64, status: &str| {
            let base = reading(retained, 0, safe).unwrap();
            SlotReading { limit_bytes, restart: Some(Lsn(0)), wal_status: status.into(), ..base }.worry()
        };
        let limited = |safe| at(Some(safe), Some(1000), 0, "extended");
        assert_eq!([900, 499, 199, 99, -5].map(limited), [0, 1, 2, 3, 3]);
        assert_eq!(at(Some(900), Some(1000), 0, "unreserved"), 3);
        const GIB: u64 = 1 << 30;
        assert_eq!([1, 3, 4, 7, 8, 16].map(|gib| at(None, None, gib * GIB, "extended")), [0, 0, 1, 1, 2, 3]);
        assert_eq!((about(40.0), about(600.0), about(36_000.0)), ("40 s".into(), "10 min".into(), "10 h".into()));
    }

    #[test]
    fn a_slot_that_stands_still_for_ever_takes_no_more_room() {
        let (mut history, start) = (SlotHistory::default(), Instant::now());
        for i in 0..20_000_u64 {
            history.push(start + Duration::from_secs(10 * i), reading(100 + i, 1, Some(1_000_000)));
        }
        assert!(history.ends.len() <= ENDS_MAX && history.room.len() <= 32, "{history:?}");
        assert_eq!(history.confirmed_age(start + Duration::from_secs(500_000)), 500_000.0);
    }
}
