//! Our own topic beside Connect's three: what sources keep over restarts.
//!
//! A key is a JSON list that begins with the connector's name, `["inventory","table","16401"]`; a value is a JSON object
//! with the version of its form as `v`. No workers but ours read or write it, so that nothing in Connect's topics differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use walspring_connect::{KeyedLog, SourceState, StateKey, StoreError};

/// Records of a write: an embedded log makes one frame of them.
const WRITE_RECORDS_MAX: usize = 500;

/// One connector's records.
pub struct ConnectorState {
    connector: String,
    log: Arc<dyn KeyedLog>,
}

impl ConnectorState {
    pub fn new(log: Arc<dyn KeyedLog>, connector: &str) -> ConnectorState {
        ConnectorState { connector: connector.to_owned(), log }
    }

    fn key(&self, parts: &[String]) -> Vec<u8> {
        let all: Vec<&str> = [self.connector.as_str()].into_iter().chain(parts.iter().map(String::as_str)).collect();
        serde_json::to_vec(&all).expect("JSON into memory")
    }

    fn parts(&self, key: &[u8]) -> Option<StateKey> {
        let mut parts: Vec<String> = serde_json::from_slice(key).ok()?;
        (parts.len() > 1 && parts[0] == self.connector).then(|| parts.split_off(1))
    }

    /// Forgets everything: the connector is gone, or begins anew.
    pub fn forget(&self) -> Result<(), StoreError> {
        let gone: Vec<_> = self.read()?.into_iter().map(|(key, _)| (key, None)).collect();
        self.write(&gone)
    }
}

impl SourceState for ConnectorState {
    fn read(&self) -> Result<Vec<(StateKey, Value)>, StoreError> {
        // A later record of a key takes the place of an earlier one.
        let newest: BTreeMap<StateKey, Option<Vec<u8>>> = self
            .log
            .read_to_end()?
            .into_iter()
            .filter_map(|record| Some((self.parts(&record.key)?, record.value)))
            .collect();
        let parsed = newest.into_iter().filter_map(|(parts, value)| {
            // What cannot be read is as if it were not there: it is of a version to come, or damaged by hand.
            let value = serde_json::from_slice(&value?).map_err(|e| {
                let (connector, key) = (&self.connector, parts.join("/"));
                tracing::warn!(
                    connector,
                    key,
                    "what was kept over restarts cannot be read, it is as if it were not there: {e}"
                );
            });
            Some((parts, value.ok()?))
        });
        Ok(parsed.collect())
    }

    fn write(&self, records: &[(StateKey, Option<Value>)]) -> Result<(), StoreError> {
        for records in records.chunks(WRITE_RECORDS_MAX) {
            let record = |(parts, value): &(StateKey, Option<Value>)| {
                (self.key(parts), value.as_ref().map(|value| value.to_string().into_bytes()))
            };
            self.log.write(&records.iter().map(record).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use walspring_connect::KeyedRecord;

    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<KeyedRecord>>);

    impl KeyedLog for Memory {
        fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
            Ok(self.0.lock().unwrap().clone())
        }
        fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
            let mut all = self.0.lock().unwrap();
            for (key, value) in records {
                let kafka_offset = all.len() as i64;
                all.push(KeyedRecord { key: key.clone(), value: value.clone(), kafka_offset });
            }
            Ok(())
        }
    }

    fn key(parts: &[&str]) -> StateKey {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    #[test]
    fn each_connector_has_its_own_and_the_newest_counts() {
        let log = Arc::new(Memory::default());
        let (a, b) = (ConnectorState::new(log.clone(), "a"), ConnectorState::new(log.clone(), "b \"c\""));
        a.write(&[(key(&["table", "1"]), Some(json!({"v": 1}))), (key(&["slot"]), Some(json!({"v": 1})))]).unwrap();
        b.write(&[(key(&["slot"]), Some(json!({"v": 1, "name": "b"})))]).unwrap();
        a.write(&[(key(&["table", "1"]), Some(json!({"v": 1, "n": 2}))), (key(&["slot"]), None)]).unwrap();
        assert_eq!(a.read().unwrap(), [(key(&["table", "1"]), json!({"v": 1, "n": 2}))]);
        assert_eq!(b.read().unwrap(), [(key(&["slot"]), json!({"v": 1, "name": "b"}))]);
        assert_eq!(log.0.lock().unwrap()[0].key, br#"["a","table","1"]"#);
        a.forget().unwrap();
        assert_eq!(a.read().unwrap(), []);
        assert_eq!(b.read().unwrap().len(), 1);
    }

    #[test]
    fn what_others_have_written_is_passed_over() {
        let log = Arc::new(Memory::default());
        let records = [
            (br#"["a"]"#.to_vec(), Some(b"{}".to_vec())),
            (b"x".to_vec(), None),
            (br#"["a","k"]"#.to_vec(), Some(b"{".to_vec())),
        ];
        log.write(&records).unwrap();
        assert_eq!(ConnectorState::new(log, "a").read().unwrap(), []);
    }
}
