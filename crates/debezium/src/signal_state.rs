//! The state of an incremental snapshot in the offset, in the original's keys, so that a restart of either goes on with it.
//! Keys of rows are `Object[]` in Java's serialization, in hexadecimal.

use serde_json::{Map, Value as Json};
use walspring_record::SourceOffset;

use crate::signal_java_array::{JavaValue, read_array, write_array};

const COLLECTIONS: &str = "incremental_snapshot_collections";
const PRIMARY_KEY: &str = "incremental_snapshot_primary_key";
const MAXIMUM_KEY: &str = "incremental_snapshot_maximum_key";
const CORRELATION_ID: &str = "incremental_snapshot_correlation_id";
const TOTAL_ROWS: &str = "incremental_snapshot_total_rows";

/// A table that waits for being read, or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCollection {
    /// `schema.table`
    pub table: String,
    /// What rows must meet, in parentheses.
    pub condition: Option<String>,
    pub surrogate_key: Option<String>,
    /// The id of the signal that asked for it.
    pub signal: Option<String>,
}

/// A snapshot in progress: the first of the tables has been read up to `last_key`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IncrementalState {
    pub collections: Vec<SnapshotCollection>,
    /// The key of the last row that was sent; `None`: none of this table.
    pub last_key: Option<Vec<JavaValue>>,
    /// The largest key when the table was begun; `None`: it has not been.
    pub maximum_key: Option<Vec<JavaValue>>,
    /// Of the newest signal.
    pub signal: Option<String>,
    pub total_rows: Option<u64>,
}

impl IncrementalState {
    /// What [`IncrementalState::store`] wrote, or the original. `None`: no snapshot is in progress. A key that cannot be read
    /// makes the table begin again.
    pub fn load(offset: &SourceOffset) -> Option<IncrementalState> {
        let text = |name: &str| offset.get(name).and_then(Json::as_str);
        let list: Vec<Map<String, Json>> = serde_json::from_str(text(COLLECTIONS)?).ok()?;
        let collection = |map: &Map<String, Json>| {
            let field = |name: &str| {
                let value = map.get(&format!("{COLLECTIONS}_{name}")).and_then(Json::as_str);
                value.filter(|v| !v.is_empty()).map(str::to_owned)
            };
            Some(SnapshotCollection {
                table: field("id")?,
                condition: field("additional_condition"),
                surrogate_key: field("surrogate_key"),
                signal: field("correlation_id"),
            })
        };
        let collections: Vec<_> = list.iter().filter_map(collection).collect();
        if collections.is_empty() {
            return None;
        }
        let key = |name: &str| text(name).map_or(Some(None), |hex| read_array(hex).ok());
        let keys = key(PRIMARY_KEY).zip(key(MAXIMUM_KEY));
        let (last_key, maximum_key) = keys.unwrap_or_default();
        Some(IncrementalState {
            collections,
            // Without its end a table is begun again.
            last_key: last_key.filter(|_| maximum_key.is_some()),
            maximum_key,
            signal: text(CORRELATION_ID).map(str::to_owned),
            total_rows: text(TOTAL_ROWS).and_then(|n| n.parse().ok()),
        })
    }

    /// Adds the keys to the offset; none where no table is left.
    pub fn store(&self, offset: &mut SourceOffset) {
        if self.collections.is_empty() {
            return;
        }
        let collections: Vec<Json> = self
            .collections
            .iter()
            .map(|c| {
                let fields = [
                    ("id", Some(&c.table)),
                    ("additional_condition", c.condition.as_ref()),
                    ("surrogate_key", c.surrogate_key.as_ref()),
                    ("correlation_id", c.signal.as_ref()),
                ];
                let field = |(name, value): (&str, Option<&String>)| {
                    (format!("{COLLECTIONS}_{name}"), value.map_or(Json::Null, |v| v.as_str().into()))
                };
                Json::Object(fields.into_iter().map(field).collect())
            })
            .collect();
        offset.insert(PRIMARY_KEY.into(), write_array(self.last_key.as_deref()).into());
        offset.insert(MAXIMUM_KEY.into(), write_array(self.maximum_key.as_deref()).into());
        offset.insert(COLLECTIONS.into(), Json::Array(collections).to_string().into());
        offset.insert(CORRELATION_ID.into(), self.signal.clone().map_or(Json::Null, Json::from));
        if let Some(rows) = self.total_rows {
            offset.insert(TOTAL_ROWS.into(), rows.to_string().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_state_is_found_again() {
        let collection = |table: &str, condition: Option<&str>| SnapshotCollection {
            table: table.into(),
            condition: condition.map(str::to_owned),
            surrogate_key: None,
            signal: Some("s1".into()),
        };
        let state = IncrementalState {
            collections: vec![collection("public.t", None), collection("public.u", Some("(id > 0)"))],
            last_key: Some(vec![JavaValue::Int(2)]),
            maximum_key: Some(vec![JavaValue::Int(5)]),
            signal: Some("s1".into()),
            total_rows: Some(5),
        };
        let mut offset = SourceOffset::new();
        state.store(&mut offset);
        // As the original stored it (`conformance/cases/signal_incremental_offsets`).
        assert_eq!(
            offset[COLLECTIONS],
            "[{\"incremental_snapshot_collections_id\":\"public.t\",\"incremental_snapshot_collections_additional_condition\":null,\
             \"incremental_snapshot_collections_surrogate_key\":null,\"incremental_snapshot_collections_correlation_id\":\"s1\"},\
             {\"incremental_snapshot_collections_id\":\"public.u\",\"incremental_snapshot_collections_additional_condition\":\"(id > 0)\",\
             \"incremental_snapshot_collections_surrogate_key\":null,\"incremental_snapshot_collections_correlation_id\":\"s1\"}]"
        );
        assert_eq!(IncrementalState::load(&offset), Some(state));
        assert_eq!(IncrementalState::load(&SourceOffset::new()), None);
    }

    #[test]
    fn a_key_that_cannot_be_read_begins_the_table_again() {
        let mut offset = SourceOffset::new();
        offset.insert(COLLECTIONS.into(), r#"[{"incremental_snapshot_collections_id":"public.t"}]"#.into());
        offset.insert(PRIMARY_KEY.into(), "zz".into());
        offset.insert(MAXIMUM_KEY.into(), write_array(Some(&[JavaValue::Int(5)])).into());
        let state = IncrementalState::load(&offset).unwrap();
        assert_eq!((state.last_key, state.maximum_key, state.collections.len()), (None, None, 1));
    }
}
