//! The offsets topic: keys and values of its records, and what they say of one connector.
//!
//! A connector may have an offsets topic of its own (`offsets.storage.topic`). Reading then is the union of that one and
//! the worker's, and its own wins. Offsets are written to its own first; deletions to the worker's first, so that a
//! deletion that was cut off cannot be undone by the union.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use walspring_connect::{Backend, KeyedLog, KeyedRecord, SourcePartition, StoreError};
use walspring_record::SourceOffset;

/// `["connector",{"server":"prefix"}]`, without spaces: the bytes decide the partition of the topic.
pub fn key(connector: &str, partition: &SourcePartition) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(b'[');
    append(&mut key, &connector);
    key.push(b',');
    append(&mut key, partition);
    key.push(b']');
    key
}

pub fn value(offset: &SourceOffset) -> Vec<u8> {
    let mut value = Vec::with_capacity(256);
    append(&mut value, offset);
    value
}

fn append(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(out, value).expect("JSON into memory");
}

/// The partition, when the record's key is the connector's.
fn partition_of(connector: &str, key: &[u8]) -> Option<SourcePartition> {
    match serde_json::from_slice(key) {
        Ok(Value::Array(mut pair)) if pair.len() == 2 => match (pair.pop(), pair.pop()) {
            (Some(Value::Object(partition)), Some(Value::String(name))) => (name == connector).then_some(partition),
            _ => None,
        },
        _ => None,
    }
}

fn offset_of(value: &[u8]) -> Option<SourceOffset> {
    match serde_json::from_slice(value) {
        Ok(Value::Object(offset)) => Some(offset),
        _ => None,
    }
}

/// What the keys of records say, each read once.
struct Keys<'a> {
    connector: &'a str,
    partitions: RefCell<HashMap<Vec<u8>, Option<SourcePartition>>>,
}

impl<'a> Keys<'a> {
    fn of(connector: &'a str) -> Keys<'a> {
        Keys { connector, partitions: RefCell::default() }
    }

    /// `None`: it is another connector's key.
    fn with_partition<T>(&self, key: &[u8], then: impl FnOnce(Option<&SourcePartition>) -> T) -> T {
        let mut partitions = self.partitions.borrow_mut();
        if let Some(known) = partitions.get(key) {
            return then(known.as_ref());
        }
        then(partitions.entry(key.to_vec()).or_insert(partition_of(self.connector, key)).as_ref())
    }
}

/// The logs that hold one connector's offsets.
#[derive(Clone)]
pub struct ConnectorOffsets {
    connector: String,
    worker: Arc<dyn KeyedLog>,
    own: Option<Arc<dyn KeyedLog>>,
}

impl ConnectorOffsets {
    /// `topic` is the connector's `offsets.storage.topic`.
    pub fn open(backend: &dyn Backend, connector: &str, topic: Option<&str>) -> Result<ConnectorOffsets, StoreError> {
        let own = topic.map(|topic| backend.offsets(Some(topic))).transpose()?;
        Ok(ConnectorOffsets { connector: connector.to_owned(), worker: backend.offsets(None)?, own })
    }

    pub fn has_own_topic(&self) -> bool {
        self.own.is_some()
    }

    /// Every partition with its offset, in the order in which they were first stored. Fails while a newer one may be in a
    /// transaction whose outcome is not known yet: after the connector's writer has fenced older ones this is final.
    /// One that cannot be read is an empty map, so that it is seen and can be deleted.
    pub fn read(&self) -> Result<Vec<(SourcePartition, SourceOffset)>, StoreError> {
        let read = self.read_all()?;
        Ok(read.into_iter().map(|(partition, offset)| (partition, offset.unwrap_or_default())).collect())
    }

    /// The offset of one partition. One that cannot be read is an error: without it a source would begin anew unasked.
    pub fn read_one(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>, StoreError> {
        match self.read_all()?.into_iter().find(|(p, _)| p == partition) {
            None => Ok(None),
            Some((_, Some(offset))) => Ok(Some(offset)),
            Some((_, None)) => Err(StoreError::Definite(format!(
                "the stored offset is no JSON object: stop the connector, look at it with GET /connectors/{0}/offsets, and set it by \
                 PATCH or delete it by DELETE of the same path",
                self.connector
            ))),
        }
    }

    /// `None`: it is there, and cannot be read.
    fn read_all(&self) -> Result<Vec<(SourcePartition, Option<SourceOffset>)>, StoreError> {
        let mut all: Vec<(SourcePartition, Option<SourceOffset>)> = Vec::new();
        let keys = Keys::of(&self.connector);
        for log in [Some(&self.worker), self.own.as_ref()].into_iter().flatten() {
            // Until it is compacted a topic has an offset of each transaction, and only the last is of interest.
            let mut last: Vec<(SourcePartition, KeyedRecord)> = Vec::new();
            for record in log.read_settled(&|key| keys.with_partition(key, |partition| partition.is_some()))? {
                let key = record.key.clone();
                keys.with_partition(&key, |partition| {
                    let Some(partition) = partition else { return };
                    match last.iter_mut().find(|(p, _)| p == partition) {
                        Some(known) => known.1 = record,
                        None => last.push((partition.clone(), record)),
                    }
                });
            }
            for (partition, record) in last {
                let Some(value) = &record.value else { continue };
                let offset = offset_of(value);
                if offset.is_none() {
                    tracing::error!(connector = %self.connector, "a stored offset is no JSON object");
                }
                match all.iter_mut().find(|(p, _)| *p == partition) {
                    Some(known) => known.1 = offset,
                    None => all.push((partition, offset)),
                }
            }
        }
        Ok(all)
    }

    /// Stores an offset where it counts, durably.
    pub fn store(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let record = [(key, Some(value))];
        let Some(own) = &self.own else { return self.worker.write(&record) };
        own.write(&record)?;
        if let Err(e) = self.worker.write(&record) {
            tracing::warn!(connector = %self.connector, "the offset was stored, but not in the worker's topic too: {e}");
        }
        Ok(())
    }

    /// Stores an offset in the worker's topic only: beside one that a transaction wrote to the connector's own.
    pub fn store_beside(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.worker.write(&[(key, Some(value))])
    }

    /// Sets or deletes offsets, on request.
    pub fn alter(&self, offsets: &[(SourcePartition, Option<SourceOffset>)]) -> Result<(), StoreError> {
        let record =
            |(p, o): &(SourcePartition, Option<SourceOffset>)| (key(&self.connector, p), o.as_ref().map(value));
        let (set, deleted): (Vec<_>, Vec<_>) = offsets.iter().map(record).partition(|(_, value)| value.is_some());
        for (records, logs) in
            [(deleted, [Some(&self.worker), self.own.as_ref()]), (set, [self.own.as_ref(), Some(&self.worker)])]
        {
            if !records.is_empty() {
                logs.into_iter().flatten().try_for_each(|log| log.write(&records))?;
            }
        }
        Ok(())
    }
}

/// What may stand in a partition or an offset: no objects, no lists.
pub fn is_primitive(map: &Map<String, Value>) -> bool {
    map.values().all(|v| !matches!(v, Value::Array(_) | Value::Object(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_compact() {
        let Value::Object(partition) = json!({"server": "pre\"fix"}) else { panic!() };
        assert_eq!(key("a b", &partition), br#"["a b",{"server":"pre\"fix"}]"#);
        assert_eq!(partition_of("a", br#"["a",{"server":"x"}]"#).unwrap()["server"], "x");
        for other in [r#"["b",{}]"#, r#"["a",null]"#, r#"["a"]"#, "[]", "", "{}", r#"["a",{},1]"#] {
            assert_eq!(partition_of("a", other.as_bytes()), None, "{other}");
        }
    }
}
