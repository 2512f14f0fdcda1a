//! Blocking snapshots that were asked for and have not ended, in the offset: so that a restart begins them again. The
//! original has nothing of the kind, and passes over the key.

use serde_json::{Map, Value as Json, json};
use walspring_record::SourceOffset;

use crate::signal::{Condition, SnapshotRequest};

const KEY: &str = "walspring_blocking_snapshots";
/// Of what stands under the key. One that is not known is passed over.
const VERSION: u64 = 1;

/// A signal for a blocking snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockingSnapshot {
    /// The id of the signal.
    pub signal: String,
    /// Names or expressions, as in the signal.
    pub tables: Vec<String>,
    /// Of each table that is not read whole, the query to read it by.
    pub queries: Vec<Condition>,
}

impl BlockingSnapshot {
    pub fn new(signal: &str, request: SnapshotRequest) -> BlockingSnapshot {
        BlockingSnapshot { signal: signal.to_owned(), tables: request.tables, queries: request.conditions }
    }

    /// What the offset says is to be read, the first first.
    pub fn load(offset: &SourceOffset) -> Vec<BlockingSnapshot> {
        let Some(text) = offset.get(KEY).and_then(Json::as_str) else { return Vec::new() };
        let Ok(stored) = serde_json::from_str::<Map<String, Json>>(text) else { return Vec::new() };
        if stored.get("version").and_then(Json::as_u64) != Some(VERSION) {
            return Vec::new();
        }
        let list = stored.get("snapshots").and_then(Json::as_array);
        list.into_iter().flatten().filter_map(from_json).collect()
    }

    /// Adds the key to the offset, unless there is nothing to read.
    pub fn store<'a>(snapshots: impl Iterator<Item = &'a BlockingSnapshot>, offset: &mut SourceOffset) {
        let list: Vec<Json> = snapshots.map(to_json).collect();
        if !list.is_empty() {
            offset.insert(KEY.into(), json!({ "version": VERSION, "snapshots": list }).to_string().into());
        }
    }
}

fn to_json(snapshot: &BlockingSnapshot) -> Json {
    let query = |c: &Condition| json!({ "data-collection": c.table, "filter": c.filter });
    let queries: Vec<Json> = snapshot.queries.iter().map(query).collect();
    json!({ "id": snapshot.signal, "data-collections": snapshot.tables, "additional-conditions": queries })
}

fn from_json(json: &Json) -> Option<BlockingSnapshot> {
    let text = |json: &Json, name: &str| json.get(name)?.as_str().map(str::to_owned);
    let list = |name: &str| json.get(name)?.as_array();
    let tables = list("data-collections")?.iter().map(|name| name.as_str().map(str::to_owned));
    let queries = list("additional-conditions")?.iter();
    let query = |c: &Json| Some(Condition { table: text(c, "data-collection")?, filter: text(c, "filter")? });
    Some(BlockingSnapshot {
        signal: text(json, "id")?,
        tables: tables.collect::<Option<_>>()?,
        queries: queries.map(query).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_found_again() {
        let snapshot = |signal: &str, queries: Vec<Condition>| BlockingSnapshot {
            signal: signal.into(),
            tables: vec!["public.t".into(), "shop\\..*".into()],
            queries,
        };
        let query = Condition { table: "public.t".into(), filter: "select \"a\" from t".into() };
        let all = [snapshot("1", vec![query]), snapshot("2", Vec::new())];
        let mut offset = SourceOffset::new();
        BlockingSnapshot::store(all.iter(), &mut offset);
        assert!(offset.values().all(Json::is_string), "values of offsets are primitive");
        assert_eq!(BlockingSnapshot::load(&offset), all);
        offset.clear();
        BlockingSnapshot::store([].iter(), &mut offset);
        assert!(offset.is_empty());
    }

    #[test]
    fn what_another_version_stored_is_passed_over() {
        for text in [r#"{"version":2,"snapshots":[{}]}"#, "[]", "", r#"{"version":1,"snapshots":[{"id":1}]}"#] {
            let mut offset = SourceOffset::new();
            offset.insert(KEY.into(), text.into());
            assert_eq!(BlockingSnapshot::load(&offset), [], "{text}");
        }
    }
}
