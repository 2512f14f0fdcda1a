//! A worker's file, as far as a test needs one, and names that nobody else has.
#![allow(dead_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use walspring_kafka::client_config::Properties;

/// A name that no other test, nor an earlier run against the same broker, has used.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
    format!("{name}-{nanos}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A worker whose topics are named after its group and have one replica. `more`: options beside these, or in their place.
pub fn properties(bootstrap: &str, group: &str, more: &[(&str, &str)]) -> Properties {
    let mut worker: Properties = [
        ("bootstrap.servers", bootstrap.to_owned()),
        ("group.id", group.to_owned()),
        ("config.storage.topic", format!("{group}-configs")),
        ("offset.storage.topic", format!("{group}-offsets")),
        ("status.storage.topic", format!("{group}-status")),
        ("config.storage.replication.factor", "1".to_owned()),
        ("offset.storage.replication.factor", "1".to_owned()),
        ("status.storage.replication.factor", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    worker.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    worker
}
