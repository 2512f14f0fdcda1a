//! Looks at the slot every few seconds, on a thread and a connection of its own, so that a stream that stands still is
//! seen. Nothing waits for it, and a look that fails only fails to be a number.
//!
//! What it reads every role may read: `pg_replication_slots`, `pg_stat_replication_slots`, the end of the log.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use walspring_connect::{Progress, threads};
use walspring_record::Lsn;

use crate::catalog::WAL_END;
use crate::failover;
use crate::metrics::{SlotReading, SourceMetrics};
use crate::wire::{ConnectConfig, Connection, PgError, quote_literal};

/// A server that does not answer within this is one that could not be asked.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A transaction that was prepared longer ago has been forgotten; whoever commits in two phases does so in seconds.
const PREPARED_MAX: Duration = Duration::from_secs(3600);

/// Ends when dropped.
pub struct SlotWatch {
    wish: Arc<Wish>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Wish {
    state: Mutex<WishState>,
    changed: Condvar,
}

#[derive(Default)]
struct WishState {
    stop: bool,
    look: bool,
}

impl SlotWatch {
    /// `interval`: zero is never. `progress` hears what holds the slot up.
    pub fn start(
        config: &ConnectConfig,
        slot: &str,
        interval: Duration,
        metrics: Arc<SourceMetrics>,
        progress: Arc<dyn Progress>,
    ) -> SlotWatch {
        let wish = Arc::new(Wish::default());
        let mut config = config.clone();
        config.connect_timeout = Some(ANSWER_MAX);
        config.read_timeout = Some(ANSWER_MAX);
        let (sql, shared, slot) = (sql(slot), wish.clone(), slot.to_owned());
        let run = move || {
            let mut connection = None;
            let mut failing = false;
            let mut told_prepared = false;
            let mut told_retained = 0;
            let mut held_up = false;
            while shared.wait_for_look(if connection.is_none() && !failing { Duration::ZERO } else { interval }) {
                let look_once = || match look(&mut connection, &config, &sql) {
                    Ok(reading) => {
                        tell_prepared(reading.as_ref(), &mut told_prepared);
                        let worry = {
                            let mut history = metrics.slot();
                            history.push(Instant::now(), reading);
                            history.worry()
                        };
                        tell_retained(&slot, worry, &mut told_retained);
                        if failing {
                            tracing::info!("the slot can be looked at again");
                        }
                        failing = false;
                        let held = connection.as_mut().and_then(|c| failover::held_up(c, &slot).ok()).flatten();
                        if held.is_some() || held_up {
                            held_up = held.is_some();
                            progress.waiting(held);
                        }
                    }
                    Err(e) => {
                        connection = None;
                        metrics.slot().failed();
                        if !failing {
                            tracing::warn!("the slot cannot be looked at, its metrics are missing: {e}");
                        }
                        failing = true;
                    }
                };
                // A defect in it must not take the metrics away for good, nor the task.
                if threads::guarded(look_once).is_none() {
                    connection = None;
                    metrics.slot().failed();
                    failing = true;
                }
            }
            if shared.is_stopped() {
                metrics.slot().forget();
            }
        };
        let thread = if interval.is_zero() {
            None
        } else {
            threads::spawn_aside("slot-watch", run)
                .map_err(|e| tracing::warn!("the slot's metrics are missing, no thread can be started: {e}"))
                .ok()
        };
        SlotWatch { wish, thread }
    }

    /// The slot has changed: look now.
    pub fn look(&self) {
        self.wish.state.lock().unwrap_or_else(PoisonError::into_inner).look = true;
        self.wish.changed.notify_all();
    }
}

impl Wish {
    /// False: it is to end.
    fn wait_for_look(&self, interval: Duration) -> bool {
        let due = Instant::now() + interval;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.stop && !state.look {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.look = false;
        !state.stop
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop
    }
}

impl Drop for SlotWatch {
    fn drop(&mut self) {
        self.wish.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.wish.changed.notify_all();
        // One that waits for the server ends with its time limit; the task does not wait for it.
        let end = Instant::now() + Duration::from_millis(100);
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

fn sql(slot: &str) -> String {
    format!(
        "SELECT w.lsn, s.active, s.wal_status, s.safe_wal_size, s.restart_lsn, s.confirmed_flush_lsn, \
         pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size')), \
         pg_catalog.age(s.catalog_xmin), t.spill_txns, t.spill_bytes, p.count, p.age_s \
         FROM (SELECT {WAL_END} AS lsn) w, (SELECT count(*), \
         EXTRACT(epoch FROM pg_catalog.now() - min(prepared))::pg_catalog.int8 AS age_s FROM pg_catalog.pg_prepared_xacts) p, \
         pg_catalog.pg_replication_slots s \
         LEFT JOIN pg_catalog.pg_stat_replication_slots t ON t.slot_name = s.slot_name WHERE s.slot_name = {}",
        quote_literal(slot)
    )
}

/// Says that the server keeps much log for the slot, each time it gets worse, and once that it is over.
fn tell_retained(slot: &str, worry: Option<(u32, String)>, told: &mut u32) {
    let Some((level, text)) = worry else { return };
    if level > *told {
        tracing::warn!(
            slot,
            "the slot is behind: {text}; is what is written to away, or too slow, or a transaction open for long?"
        );
    } else if level == 0 && *told > 0 {
        tracing::info!(slot, "the slot is not far behind any more: {text}");
    }
    *told = if level == 0 { 0 } else { level.max(*told) };
}

/// Says once that a prepared transaction is old, until none is.
fn tell_prepared(reading: Option<&SlotReading>, told: &mut bool) {
    let age = reading.and_then(|reading| reading.prepared_age_s).map(Duration::from_secs);
    let old = age.filter(|age| *age >= PREPARED_MAX);
    if let (Some(age), false) = (old, *told) {
        let seconds = age.as_secs();
        tracing::warn!(
            seconds,
            "a prepared transaction waits for its end: its events come at COMMIT PREPARED, and until then every slot keeps the \
             server's log and the catalogs' dead rows; SELECT * FROM pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED"
        );
    }
    *told = old.is_some();
}

/// `None`: there is no such slot.
fn look(
    connection: &mut Option<Connection>,
    config: &ConnectConfig,
    sql: &str,
) -> Result<Option<SlotReading>, PgError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::connect(config)?),
    };
    let rows = connection.query(sql)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let lsn = |column: usize| row.get(column).and_then(|text| text.parse::<Lsn>().ok());
    let number = |column: usize| row.get(column).and_then(|text| text.parse::<i64>().ok());
    let count = |column: usize| number(column).and_then(|number| u64::try_from(number).ok());
    Ok(Some(SlotReading {
        end: lsn(0).unwrap_or_default(),
        active: row.get(1) == Some("t"),
        wal_status: row.get(2).unwrap_or_default().to_owned(),
        safe_bytes: number(3),
        restart: lsn(4),
        confirmed: lsn(5),
        limit_bytes: count(6),
        catalog_xmin_age: count(7),
        spilled_transactions: count(8),
        spilled_bytes: count(9),
        prepared: count(10),
        prepared_age_s: count(11),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_prepared_transaction_is_told_once_until_it_has_ended() {
        let told_at = |ages: &[Option<u64>]| {
            let mut told = false;
            let mut tell = |prepared_age_s: &Option<u64>| {
                let before = told;
                tell_prepared(
                    Some(&SlotReading { prepared_age_s: *prepared_age_s, ..SlotReading::default() }),
                    &mut told,
                );
                told && !before
            };
            ages.iter().map(&mut tell).collect::<Vec<_>>()
        };
        assert_eq!(
            told_at(&[None, Some(10), Some(3600), Some(3610), None, Some(4000)]),
            [false, false, true, false, false, true]
        );
    }
}
