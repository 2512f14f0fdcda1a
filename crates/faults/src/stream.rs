//! What came out of a worker: topics read with `walspring tail`, and records taken apart.

use std::path::PathBuf;
use std::process::Command;

use md5::{Digest, Md5};
use serde_json::Value;

use crate::ledger::Seen;

/// Where the worker writes.
#[derive(Debug, Clone)]
pub enum Log {
    Kafka { bootstrap: String },
    Embedded { dir: PathBuf },
}

/// A topic of one partition, read as far as it has been asked for.
pub struct Topic {
    program: PathBuf,
    log: Log,
    name: String,
    next: i64,
    pub records: Vec<Value>,
}

impl Topic {
    pub fn new(program: PathBuf, log: Log, name: String) -> Topic {
        Topic { program, log, name, next: 0, records: Vec::new() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Behind the last record that has been read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Reads what has been committed since; how many records there are now. A topic that is not there has none.
    pub fn read(&mut self) -> usize {
        let mut command = Command::new(&self.program);
        let from = if self.next == 0 { "beginning".to_owned() } else { self.next.to_string() };
        command.args(["tail", &self.name, "--format", "json", "--from", &from]);
        match &self.log {
            Log::Kafka { bootstrap } => command.args(["--bootstrap", bootstrap]),
            Log::Embedded { dir } => command.arg("--data-dir").arg(dir),
        };
        command.env_remove("WALSPRING_FAILPOINT").env_remove("WALSPRING_PLANT");
        let out = command.output().expect("the program");
        for line in out.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // A record that is not whole is read with the next.
            let Ok(record) = serde_json::from_slice::<Value>(line) else { break };
            let offset = record["offset"].as_i64().expect("an offset");
            if offset >= self.next {
                self.next = offset + 1;
                self.records.push(record);
            }
        }
        self.records.len()
    }
}

/// The md5 that PostgreSQL makes of `pk || ':' || seq || ':' || pad`.
pub fn sum_of(pk: i64, seq: i64, pad: &str) -> String {
    let digest = Md5::digest(format!("{pk}:{seq}:{pad}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A topic's records as events; a tombstone is checked to follow its delete and left out. `asked_from`: the first offset at which
/// rows of a snapshot are what a signal asked for. `Err`: not a record of the tables.
pub fn events(records: &[Value], full: bool, asked_from: Option<i64>) -> Result<Vec<Seen>, String> {
    let mut events: Vec<Seen> = Vec::new();
    let mut due: Option<i64> = None;
    for record in records {
        let (value, key) = (&record["value"], record["key"]["pk"].as_i64());
        if value.is_null() {
            if due.is_none() || due != key {
                return Err(format!("a tombstone without its delete: {record}"));
            }
            due = None;
            continue;
        }
        if let Some(pk) = due {
            return Err(format!("no tombstone behind the delete of {pk}, but {record}"));
        }
        let mut event = event(value, full).ok_or_else(|| format!("not an event of these tables: {record}"))?;
        if event.op.eq_ignore_ascii_case(&'r') && asked_from.is_some_and(|from| record["offset"].as_i64() >= Some(from))
        {
            event.op = 'b';
        }
        if event.op == 'd' {
            due = Some(event.pk);
        }
        if key != Some(event.pk) {
            return Err(format!("a key that is not the row's: {record}"));
        }
        events.push(event);
    }
    match due {
        Some(pk) => Err(format!("no tombstone behind the delete of {pk} at the end")),
        None => Ok(events),
    }
}

fn event(value: &Value, full: bool) -> Option<Seen> {
    let op = match (value["op"].as_str()?, value["source"]["snapshot"].as_str()) {
        ("r", Some("first" | "first_in_data_collection")) => 'R',
        ("r", Some("incremental")) => 'i',
        (op, _) => op.chars().next()?,
    };
    let row = if op == 'd' { &value["before"] } else { &value["after"] };
    let pk = row["pk"].as_i64()?;
    let xid = if op.eq_ignore_ascii_case(&'r') || op == 'i' { 0 } else { value["source"]["txId"].as_i64()? };
    if op == 'd' && !full {
        return Some(Seen { op, pk, seq: -1, sum: String::new(), xid });
    }
    let seq = row["seq"].as_i64()?;
    Some(Seen { op, pk, seq, sum: sum_of(pk, seq, row["pad"].as_str()?), xid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sum_is_postgresqls() {
        assert_eq!(sum_of(1, 2, "x"), "a1c4989d65d584b63b05738f2e3a9fe7");
    }

    #[test]
    fn a_delete_has_its_tombstone() {
        let delete = json!({"key": {"pk": 1}, "value": {"op": "d", "before": {"pk": 1}, "source": {"txId": 7}}});
        let tombstone = json!({"key": {"pk": 1}, "value": null});
        let both = [delete.clone(), tombstone.clone()];
        let seen = events(&both, false, None).unwrap();
        assert_eq!(seen, [Seen { op: 'd', pk: 1, seq: -1, sum: String::new(), xid: 7 }]);
        assert!(events(std::slice::from_ref(&delete), false, None).is_err());
        assert!(events(&[tombstone], false, None).is_err());
        assert!(events(&[delete.clone(), delete], false, None).is_err());
    }
}
