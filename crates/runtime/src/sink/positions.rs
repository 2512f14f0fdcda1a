//! Where a task stands in each of its partitions: what may be committed, and what has been.

use std::collections::BTreeMap;

use walspring_connect::{ConsumedRecord, TopicPartition};

#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<TopicPartition, Position>);

#[derive(Debug, Default)]
struct Position {
    /// The offset of the next record; `None`: nothing has been dealt with since it was assigned.
    next: Option<i64>,
    /// It differs from what was committed.
    changed: bool,
}

impl Positions {
    pub fn assigned(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.0.insert(partition.clone(), Position::default());
        }
    }

    pub fn remove(&mut self, partitions: &[TopicPartition]) {
        self.0.retain(|partition, _| !partitions.contains(partition));
    }

    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.0.keys().cloned().collect()
    }

    /// All of these are dealt with.
    pub fn advance(&mut self, records: &[ConsumedRecord]) {
        let same = |a: &ConsumedRecord, b: &ConsumedRecord| a.partition == b.partition && a.topic == b.topic;
        for run in records.chunk_by(same) {
            let Some(last) = run.last() else { continue };
            let partition = TopicPartition { topic: last.topic.clone(), partition: last.partition };
            // One that was taken away meanwhile is no matter of ours.
            if let Some(position) = self.0.get_mut(&partition) {
                position.next = Some(last.kafka_offset + 1);
                position.changed = true;
            }
        }
    }

    /// Everything that was read is dealt with: the rest of the way to these offsets holds no records.
    pub fn reach(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            if let Some(position) = self.0.get_mut(partition)
                && position.next.is_none_or(|next| next < *offset)
            {
                *position = Position { next: Some(*offset), changed: true };
            }
        }
    }

    /// What is to be committed, of these partitions or of all.
    pub fn uncommitted(&self, of: Option<&[TopicPartition]>) -> Vec<(TopicPartition, i64)> {
        let wanted = |partition: &TopicPartition| of.is_none_or(|of| of.contains(partition));
        let entry = |(partition, position): (&TopicPartition, &Position)| {
            position.changed.then_some((partition.clone(), position.next?)).filter(|(p, _)| wanted(p))
        };
        self.0.iter().filter_map(entry).collect()
    }

    pub fn committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            if let Some(position) = self.0.get_mut(partition)
                && position.next == Some(*offset)
            {
                position.changed = false;
            }
        }
    }
}
