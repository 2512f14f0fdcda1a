//! The optional table of applied offsets. It is written in the transaction of the rows, so that what has been applied is
//! known exactly: a replay changes nothing, and of two tasks that believe to own a partition one waits for the other.

use std::collections::HashMap;

use walspring_connect::{SinkRecord, TopicPartition};

use crate::catalog::{exists, quote_parts};
use crate::errors::SqlError;
use crate::session::Session;

pub struct Offsets {
    sql_name: String,
    group: String,
}

impl Offsets {
    /// `name` may have a schema before it.
    pub fn new(name: &str, group: String) -> Offsets {
        let parts: Vec<String> = name.split('.').map(|part| part.trim_matches('"').to_owned()).collect();
        Offsets { sql_name: quote_parts(&parts), group }
    }

    /// Makes the table where it is not there.
    pub fn prepare(&self, session: &mut Session) -> Result<(), SqlError> {
        if exists(session, &self.sql_name)? {
            return Ok(());
        }
        let sql = format!(
            "create table if not exists {} (consumer_group text not null, topic text not null, partition integer not null, \
             next_offset bigint, applied_at timestamptz not null default now(), \
             primary key (consumer_group, topic, partition))",
            self.sql_name
        );
        session.make(&sql).map_err(|error| match &*error.code {
            "42501" => error.hinted(format!(
                "let an owner run: {sql}; and GRANT SELECT, INSERT, UPDATE ON {} to the role",
                self.sql_name
            )),
            _ => error,
        })
    }

    /// Gives each partition a row, to be locked later, and answers where those that were applied before go on.
    pub fn open(
        &self,
        session: &mut Session,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, i64)>, SqlError> {
        self.prepare(session)?;
        let topics: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        let numbers: Vec<i32> = partitions.iter().map(|partition| partition.partition).collect();
        let insert = format!(
            "insert into {} (consumer_group, topic, partition) select $1, * from unnest($2::text[], $3::int4[]) \
             on conflict do nothing",
            self.sql_name
        );
        session.execute(&insert, &[&self.group, &topics, &numbers])?;
        let known = self.read(session, &topics, &numbers, "")?;
        let at = |partition: &TopicPartition| {
            let next = known.get(&(partition.topic.to_string(), partition.partition)).copied().flatten()?;
            Some((partition.clone(), next))
        };
        Ok(partitions.iter().filter_map(at).collect())
    }

    fn read(
        &self,
        session: &mut Session,
        topics: &[&str],
        numbers: &[i32],
        lock: &str,
    ) -> Result<HashMap<(String, i32), Option<i64>>, SqlError> {
        // In one order, so that two tasks cannot wait for each other.
        let select = format!(
            "select topic, partition, next_offset from {} where consumer_group = $1 and (topic, partition) in \
             (select * from unnest($2::text[], $3::int4[])) order by topic, partition {lock}",
            self.sql_name
        );
        let rows = session.query(&select, &[&self.group, &topics, &numbers])?;
        Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
    }

    /// Inside the transaction: locks the partitions of the records, and says of each record whether it was applied.
    pub fn applied(&self, session: &mut Session, records: &[SinkRecord]) -> Result<Vec<bool>, SqlError> {
        let partitions = partitions(records);
        let topics: Vec<&str> = partitions.iter().map(|((topic, _), _)| *topic).collect();
        let numbers: Vec<i32> = partitions.iter().map(|((_, partition), _)| *partition).collect();
        let known = self.read(session, &topics, &numbers, "for update")?;
        let mut next: HashMap<(&str, i32), i64> = HashMap::new();
        for (partition, _) in &partitions {
            let offset = known.get(&(partition.0.to_owned(), partition.1)).copied().flatten();
            next.insert(*partition, offset.unwrap_or(i64::MIN));
        }
        let applied = |record: &SinkRecord| {
            let origin = &record.origin;
            next.get(&(&*origin.topic, origin.partition)).is_some_and(|next| origin.kafka_offset < *next)
        };
        Ok(records.iter().map(applied).collect())
    }

    /// Inside the transaction: the records are applied.
    pub fn store(&self, session: &mut Session, records: &[SinkRecord]) -> Result<(), SqlError> {
        let partitions = partitions(records);
        let topics: Vec<&str> = partitions.iter().map(|((topic, _), _)| *topic).collect();
        let numbers: Vec<i32> = partitions.iter().map(|((_, partition), _)| *partition).collect();
        let next: Vec<i64> = partitions.iter().map(|(_, last)| last + 1).collect();
        let upsert = format!(
            "insert into {} as t (consumer_group, topic, partition, next_offset) \
             select $1, * from unnest($2::text[], $3::int4[], $4::int8[]) \
             on conflict (consumer_group, topic, partition) do update \
             set next_offset = greatest(t.next_offset, excluded.next_offset), applied_at = now()",
            self.sql_name
        );
        session.execute(&upsert, &[&self.group, &topics, &numbers, &next]).map(drop)
    }
}

/// The partitions of the records, each with the last offset.
fn partitions(records: &[SinkRecord]) -> Vec<((&str, i32), i64)> {
    let mut last: Vec<((&str, i32), i64)> = Vec::new();
    for record in records {
        let (partition, offset) = ((&*record.origin.topic, record.origin.partition), record.origin.kafka_offset);
        match last.iter_mut().rev().find(|(other, _)| *other == partition) {
            Some((_, last)) => *last = (*last).max(offset),
            None => last.push((partition, offset)),
        }
    }
    last
}
