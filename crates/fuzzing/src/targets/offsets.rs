//! A stored offset: JSON by whoever has written the topic of offsets, or typed to REST.

use serde_json::Value;
use walspring_postgres_source::fuzzing;

pub fn run(data: &[u8]) {
    if let Ok(Value::Object(map)) = serde_json::from_slice(data) {
        fuzzing::offset(&map);
    }
}
