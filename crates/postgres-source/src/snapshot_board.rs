//! How far the snapshot is that is being read, for whoever asks: REST and `/metrics`.
//!
//! The task writes once a batch and once a piece of a table; whoever asks reads. Estimates are the catalog's, of the last
//! ANALYZE or VACUUM: what was never looked at has none, and then no end is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use walspring_record::Lsn;

/// Shared by the snapshot and those who ask.
#[derive(Debug, Default, Clone)]
pub struct SnapshotBoard(Arc<Mutex<Option<Board>>>);

#[derive(Debug)]
struct Board {
    /// `initial` or `blocking`.
    kind: &'static str,
    goes_on: bool,
    /// As of where it is read.
    lsn: Lsn,
    began: Instant,
    tables: Vec<BoardTable>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardTable {
    pub name: String,
    /// What is to be read in this start.
    pub rows_estimated: Option<u64>,
    pub chunks: usize,
    /// It was read before a restart.
    pub read_before: bool,
    pub rows_read: u64,
    pub chunks_done: usize,
    pub has_begun: bool,
}

/// Of all tables together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    pub rows_read: u64,
    /// `None`: of one of the tables nothing is known.
    pub rows_estimated: Option<u64>,
    pub chunks: usize,
    pub chunks_done: usize,
    pub tables_before: usize,
    pub rows_per_second: f64,
    /// `None`: not known.
    pub eta_seconds: Option<f64>,
}

impl BoardTable {
    fn is_read(&self) -> bool {
        self.chunks_done >= self.chunks
    }

    fn state(&self) -> &'static str {
        match self {
            _ if self.read_before => "READ_BEFORE",
            _ if self.is_read() => "READ",
            _ if self.has_begun => "READING",
            _ => "WAITING",
        }
    }

    /// What will have been read of it at its end, as far as is known.
    fn rows(&self) -> Option<u64> {
        if self.is_read() || self.read_before {
            return Some(self.rows_read);
        }
        self.rows_estimated.map(|rows| rows.max(self.rows_read))
    }
}

impl Board {
    fn totals(&self, seconds: f64) -> Totals {
        let rows_read = self.tables.iter().map(|table| table.rows_read).sum::<u64>();
        let rows_estimated = self.tables.iter().map(BoardTable::rows).sum::<Option<u64>>();
        let rows_per_second = if seconds > 0.0 { rows_read as f64 / seconds } else { 0.0 };
        let left = rows_estimated.map(|rows| rows.saturating_sub(rows_read) as f64);
        Totals {
            rows_read,
            rows_estimated,
            chunks: self.tables.iter().map(|table| table.chunks).sum(),
            chunks_done: self.tables.iter().map(|table| table.chunks_done).sum(),
            tables_before: self.tables.iter().filter(|table| table.read_before).count(),
            rows_per_second,
            eta_seconds: left.filter(|_| rows_per_second > 0.0).map(|left| left / rows_per_second),
        }
    }

    fn describe(&self, seconds: f64) -> Value {
        let totals = self.totals(seconds);
        let table = |table: &BoardTable| {
            json!({
                "table": table.name,
                "state": table.state(),
                "rows_read": table.rows_read,
                "rows_estimated": table.rows_estimated,
                "chunks_done": table.chunks_done,
                "chunks": table.chunks,
            })
        };
        json!({
            "type": self.kind,
            "goes_on": self.goes_on,
            "lsn": self.lsn.to_string(),
            "seconds": tenths(seconds),
            "rows_read": totals.rows_read,
            "rows_estimated": totals.rows_estimated,
            "chunks_done": totals.chunks_done,
            "chunks": totals.chunks,
            "rows_per_second": totals.rows_per_second.round() as u64,
            "eta_seconds": totals.eta_seconds.map(tenths),
            "tables": self.tables.iter().map(table).collect::<Vec<_>>(),
        })
    }
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

impl SnapshotBoard {
    fn lock(&self) -> MutexGuard<'_, Option<Board>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `tables`: those that are read, in their order, and behind them those that were read before.
    pub fn begins(&self, kind: &'static str, goes_on: bool, lsn: Lsn, tables: Vec<BoardTable>) {
        *self.lock() = Some(Board { kind, goes_on, lsn, began: Instant::now(), tables });
    }

    pub fn ends(&self) {
        *self.lock() = None;
    }

    /// Rows of the table, by its place, have come; zero: it begins.
    pub fn rows(&self, table: usize, rows: u64) {
        if let Some(table) = self.lock().as_mut().and_then(|board| board.tables.get_mut(table)) {
            table.has_begun = true;
            table.rows_read += rows;
        }
    }

    pub fn chunk_done(&self, table: usize) {
        if let Some(table) = self.lock().as_mut().and_then(|board| board.tables.get_mut(table)) {
            table.chunks_done += 1;
        }
    }

    /// Null: no snapshot is being read.
    pub fn describe(&self) -> Value {
        self.lock().as_ref().map_or(Value::Null, |board| board.describe(board.began.elapsed().as_secs_f64()))
    }

    pub fn totals(&self) -> Option<Totals> {
        self.lock().as_ref().map(|board| board.totals(board.began.elapsed().as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        let table = |name: &str, estimated: Option<u64>, read: u64, done: usize| BoardTable {
            name: name.into(),
            rows_estimated: estimated,
            chunks: 2,
            rows_read: read,
            chunks_done: done,
            has_begun: read > 0,
            ..BoardTable::default()
        };
        let before = BoardTable { read_before: true, name: "public.d".into(), ..BoardTable::default() };
        let tables = vec![table("public.a", Some(90), 100, 2), table("public.b", Some(200), 50, 1)];
        let tables = [tables, vec![table("public.c", Some(150), 0, 0), before]].concat();
        Board { kind: "initial", goes_on: true, lsn: Lsn(16), began: Instant::now(), tables }
    }

    #[test]
    fn the_end_is_told_by_what_is_left_and_the_rate() {
        let totals = board().totals(10.0);
        assert_eq!((totals.rows_read, totals.rows_estimated, totals.rows_per_second), (150, Some(450), 15.0));
        assert_eq!((totals.chunks_done, totals.chunks, totals.tables_before), (3, 6, 1));
        assert_eq!(totals.eta_seconds, Some(20.0));
        let mut unknown = board();
        unknown.tables[2].rows_estimated = None;
        assert_eq!((unknown.totals(10.0).rows_estimated, unknown.totals(10.0).eta_seconds), (None, None));
        assert_eq!(board().totals(0.0).eta_seconds, None);
    }

    #[test]
    fn each_table_has_a_state() {
        let described = board().describe(10.04);
        let states: Vec<&str> =
            described["tables"].as_array().unwrap().iter().map(|t| t["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["READ", "READING", "WAITING", "READ_BEFORE"]);
        assert_eq!((&described["seconds"], &described["lsn"]), (&json!(10.0), &json!("0/10")));
        assert_eq!(SnapshotBoard::default().describe(), Value::Null);
    }
}
