//! Counters of `provide.transaction.metadata`: the place of each event in its transaction and in its table, and the
//! totals that END tells. They travel in the offset, so that a restart in the middle of a transaction goes on counting.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_record::leaf::java_hash::{iteration_order, string_hash, table_size};
use walspring_record::{SourceOffset, TransactionOrder};

const TRANSACTION_ID: &str = "transaction_id";
const COLLECTION_PREFIX: &str = "transaction_data_collection_order_";

/// One entry of END's `data_collections`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionCount {
    /// `schema.table`
    pub collection: Arc<str>,
    pub events: u64,
}

#[derive(Debug, Clone)]
pub struct TransactionCounters {
    id: Option<String>,
    total: u64,
    /// In the order in which they came.
    counts: Vec<CollectionCount>,
    places: HashMap<Arc<str>, usize>,
    /// Of the original's hash table, which gives END its order, and which keeps its size from transaction to transaction.
    table_size: usize,
}

impl Default for TransactionCounters {
    fn default() -> TransactionCounters {
        TransactionCounters { id: None, total: 0, counts: Vec::new(), places: HashMap::new(), table_size: 16 }
    }
}

impl TransactionCounters {
    /// Goes on from a stored offset.
    pub fn load(offset: &SourceOffset) -> TransactionCounters {
        let mut counters = TransactionCounters {
            id: offset.get(TRANSACTION_ID).and_then(|id| id.as_str()).map(str::to_owned),
            ..TransactionCounters::default()
        };
        for (key, value) in offset {
            if let (Some(collection), Some(events)) = (key.strip_prefix(COLLECTION_PREFIX), value.as_u64()) {
                let place = counters.place(&collection.into());
                counters.counts[place].events = events;
                counters.total += events;
            }
        }
        counters
    }

    /// Writes what [`TransactionCounters::load`] reads.
    pub fn store(&self, offset: &mut SourceOffset) {
        if let Some(id) = &self.id {
            offset.insert(TRANSACTION_ID.into(), id.as_str().into());
        }
        for count in &self.counts {
            offset.insert(format!("{COLLECTION_PREFIX}{}", count.collection), count.events.into());
        }
    }

    /// A transaction begins. False: it is the one that the offset was in the midst of, whose BEGIN was sent.
    pub fn begin(&mut self, xid: u32) -> bool {
        let id = xid.to_string();
        if self.id.as_ref() == Some(&id) {
            return false;
        }
        self.reset();
        self.id = Some(id);
        true
    }

    /// An event of a table: its place in the transaction and in the table.
    pub fn event(&mut self, collection: &Arc<str>) -> TransactionOrder {
        let place = self.place(collection);
        self.total += 1;
        self.counts[place].events += 1;
        TransactionOrder { total: self.total, data_collection: self.counts[place].events }
    }

    /// The transaction ends: its number of events, and of each table's, in the original's order.
    pub fn end(&mut self) -> (u64, Vec<CollectionCount>) {
        let hashes: Vec<i32> = self.counts.iter().map(|c| string_hash(&c.collection)).collect();
        let order = iteration_order(&hashes, self.table_size);
        let ended = (self.total, order.into_iter().map(|i| self.counts[i].clone()).collect());
        self.reset();
        ended
    }

    /// BEGIN was sent and END was not.
    pub fn is_open(&self) -> bool {
        self.id.is_some()
    }

    fn place(&mut self, collection: &Arc<str>) -> usize {
        if let Some(place) = self.places.get(collection) {
            return *place;
        }
        self.counts.push(CollectionCount { collection: collection.clone(), events: 0 });
        self.table_size = table_size(self.counts.len(), self.table_size);
        self.places.insert(collection.clone(), self.counts.len() - 1);
        self.counts.len() - 1
    }

    fn reset(&mut self) {
        self.id = None;
        self.total = 0;
        self.counts.clear();
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(total: u64, data_collection: u64) -> TransactionOrder {
        TransactionOrder { total, data_collection }
    }

    #[test]
    fn counts_as_recorded_in_ops_transaction_metadata() {
        let (a, b): (Arc<str>, Arc<str>) = ("public.a".into(), "public.b".into());
        let mut counters = TransactionCounters::default();
        assert!(counters.begin(7));
        assert_eq!(counters.event(&a), order(1, 1));
        assert_eq!(counters.event(&a), order(2, 2));
        assert_eq!(counters.event(&b), order(3, 1));

        // A restart in its midst.
        let mut offset = SourceOffset::new();
        counters.store(&mut offset);
        let mut counters = TransactionCounters::load(&offset);
        assert!(!counters.begin(7));
        assert_eq!(counters.event(&a), order(4, 3));
        let count = |collection: &Arc<str>, events| CollectionCount { collection: collection.clone(), events };
        assert_eq!(counters.end(), (4, vec![count(&a, 3), count(&b, 1)]));
        assert!(!counters.is_open());
        assert!(counters.begin(8));
        assert_eq!(counters.event(&b), order(1, 1));
    }
}
