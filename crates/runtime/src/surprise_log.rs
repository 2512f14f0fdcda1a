//! Where the original writes something else than the database holds: counted, and told once for each column.
//!
//! Runs once a batch, and only where something surprised.

use std::collections::HashSet;
use std::sync::Arc;

use walspring_record::{ChangeBatch, Surprise, Surprises};

use crate::metrics::TaskMetrics;

/// More columns than this are counted only: a log that nobody reads must not take memory.
const COLUMNS_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct SurpriseLog {
    told: HashSet<(String, Arc<str>, Surprise)>,
    /// Plans whose columns have been looked at.
    plans: HashSet<u64>,
}

impl SurpriseLog {
    /// Those of a batch's rows, and of the columns of plans that are new.
    pub fn tell(&mut self, batch: &ChangeBatch, seen: &Surprises, metrics: &TaskMetrics) {
        for plan in &batch.plans {
            if plan.surprises.is_empty() || !self.plans.insert(plan.id) {
                continue;
            }
            let table = plan.relation.qualified_name();
            for (column, surprise) in &plan.surprises {
                self.one(&table, column, *surprise, 1, metrics);
            }
        }
        for seen in &seen.seen {
            self.one(seen.table.as_deref().unwrap_or_default(), &seen.column, seen.surprise, seen.count, metrics);
        }
    }

    fn one(&mut self, table: &str, column: &Arc<str>, surprise: Surprise, count: u64, metrics: &TaskMetrics) {
        let [connector, _] = metrics.labels();
        let labels = [connector, ("surprise", surprise.name())];
        metrics.registry().counter("walspring_source_surprises_total", &labels).add(count);
        if self.told.len() >= COLUMNS_MAX || !self.told.insert((table.to_owned(), column.clone(), surprise)) {
            return;
        }
        tracing::warn!(
            surprise = surprise.name(),
            table,
            column = %column,
            "as in Debezium, {}; {} (docs/strict.md)",
            surprise.what(),
            surprise.mend(),
        );
    }
}
