//! Where the original writes something else than the database holds: counted, and told once for each column.
//!
//! Runs once a batch, and only where something surprised.

use std::collections::{BTreeMap, HashSet};
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
            if !plan.surprises.is_empty() && self.plans.insert(plan.id) {
                self.columns(&plan.relation.qualified_name(), &plan.surprises, metrics);
            }
        }
        for seen in &seen.seen {
            let table = seen.table.as_deref().unwrap_or_default();
            count(metrics, seen.surprise, seen.count);
            if self.is_new(table, &seen.column, seen.surprise) {
                warn(table, &seen.column, seen.surprise);
            }
        }
    }

    /// A line for each kind of surprise, which names all columns: most tables have several of the commonest.
    fn columns(&mut self, table: &str, found: &[(Arc<str>, Surprise)], metrics: &TaskMetrics) {
        let mut by_kind: BTreeMap<Surprise, Vec<&str>> = BTreeMap::new();
        for (column, surprise) in found {
            count(metrics, *surprise, 1);
            if self.is_new(table, column, *surprise) {
                by_kind.entry(*surprise).or_default().push(column);
            }
        }
        for (surprise, columns) in by_kind {
            warn(table, &columns.join(", "), surprise);
        }
    }

    fn is_new(&mut self, table: &str, column: &Arc<str>, surprise: Surprise) -> bool {
        self.told.len() < COLUMNS_MAX && self.told.insert((table.to_owned(), column.clone(), surprise))
    }
}

fn count(metrics: &TaskMetrics, surprise: Surprise, by: u64) {
    let [connector, _] = metrics.labels();
    let labels = [connector, ("surprise", surprise.name())];
    metrics.registry().counter("walspring_source_surprises_total", &labels).add(by);
}

fn warn(table: &str, columns: &str, surprise: Surprise) {
    tracing::warn!(
        surprise = surprise.name(),
        table,
        column = columns,
        "as in Debezium, {}; {} (docs/strict.md)",
        surprise.what(),
        surprise.mend(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn each_column_is_told_once_and_all_are_counted() {
        let registry = Arc::new(Metrics::default());
        let metrics = TaskMetrics::new(&registry, "c", 0, true);
        let mut log = SurpriseLog::default();
        let column: Arc<str> = "n".into();
        let mut seen = Surprises::default();
        seen.add(&column, Surprise::NumericNan);
        seen.add(&column, Surprise::NumericNan);
        log.tell(&ChangeBatch::default(), &seen, &metrics);
        log.tell(&ChangeBatch::default(), &seen, &metrics);
        assert_eq!(log.told.len(), 1);
        log.columns("public.t", &[(column.clone(), Surprise::MaskNull), (column, Surprise::MaskIgnored)], &metrics);
        assert_eq!(log.told.len(), 3);
        let page = registry.render();
        for (surprise, count) in [("numeric_nan", 4), ("mask_null", 1), ("mask_ignored", 1)] {
            let line = format!("walspring_source_surprises_total{{connector=\"c\",surprise=\"{surprise}\"}} {count}\n");
            assert!(page.contains(&line), "{page}");
        }
    }
}
