//! Puts a batch: all of it at once, or, where the sink says that a record cannot be written, halves of it until the
//! poison ones are known. What can be written is written in the order in which it was read.

use std::time::Instant;

use walspring_connect::{Outcome, PutError, SinkTask, TaskError};

use super::batch::{Batch, Fate};
use super::failure::{Failure, Stage};
use super::metrics::SinkMetrics;

pub(super) struct Delivery<'a> {
    pub sink: &'a mut dyn SinkTask,
    pub tolerant: bool,
    /// The class of the sink's task, for what is said of records that it refuses.
    pub class: &'a str,
    pub metrics: &'a SinkMetrics,
    /// Hears of each failure once.
    pub on_failure: &'a mut dyn FnMut(&walspring_connect::ConsumedRecord, &Failure),
}

impl Delivery<'_> {
    /// Until nothing is to be put any more, or the sink's system is away or broken: then it may be called again with the
    /// same batch.
    pub fn put(&mut self, batch: &mut Batch, outcomes: &mut Vec<Outcome>) -> Result<(), TaskError> {
        while let Some(range) = batch.todo.last().cloned() {
            outcomes.clear();
            let begun = Instant::now();
            match self.sink.put(&batch.records[range.clone()], outcomes) {
                Ok(()) => {
                    self.metrics.put(range.len(), begun.elapsed());
                    batch.todo.pop();
                    // A sink that leaves outcomes out has written all the same.
                    outcomes.resize(range.len(), Outcome::Send);
                    for (record, outcome) in range.zip(outcomes.iter()) {
                        batch.fates[batch.places[record]] = Fate::Done(*outcome);
                    }
                }
                Err(PutError::Task(error)) => return Err(error),
                Err(PutError::Records(error)) if range.len() <= 1 => {
                    batch.todo.pop();
                    self.refuse(batch, range.start, error);
                }
                Err(PutError::Records(_)) => {
                    batch.todo.pop();
                    let middle = range.start + range.len() / 2;
                    batch.todo.push(middle..range.end);
                    batch.todo.push(range.start..middle);
                }
                Err(PutError::Named(named)) => {
                    self.metrics.put(range.len(), begun.elapsed());
                    batch.todo.pop();
                    // The others are durable. What was done with each is not known where the sink does not say.
                    outcomes.resize(range.len(), Outcome::Send);
                    for (record, outcome) in range.clone().zip(outcomes.iter()) {
                        batch.fates[batch.places[record]] = Fate::Done(*outcome);
                    }
                    for (place, error) in named {
                        if place < range.len() {
                            self.refuse(batch, range.start + place, error);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, batch: &mut Batch, record: usize, error: TaskError) {
        let failure = Failure { stage: Stage::TaskPut, class: self.class.to_owned(), error };
        (self.on_failure)(&batch.raws[batch.places[record]], &failure);
        batch.refuse(record, failure, self.tolerant);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use walspring_connect::{ConsumedRecord, PutError, SinkRecord};
    use walspring_record::Typed;

    use super::*;
    use crate::metrics::{Metrics, TaskMetrics};
    use crate::sink::decoder::origin;

    /// Writes all or nothing, in order; refuses what is poison; is away now and then.
    struct Table {
        poison: Vec<bool>,
        names: bool,
        /// The puts that find it away, by their number.
        away: Vec<usize>,
        puts: usize,
        rows: Vec<i64>,
    }

    impl SinkTask for Table {
        fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
            self.puts += 1;
            if self.away.contains(&self.puts) {
                return Err(TaskError::transient("x", "away").into());
            }
            let is_poison = |r: &SinkRecord| self.poison[r.origin.kafka_offset as usize];
            let poison: Vec<usize> = (0..records.len()).filter(|i| is_poison(&records[*i])).collect();
            let error = || TaskError::definite("x", "poison");
            if !poison.is_empty() && !self.names {
                return Err(PutError::Records(error()));
            }
            self.rows.extend(records.iter().filter(|r| !is_poison(r)).map(|r| r.origin.kafka_offset));
            outcomes.resize(records.len(), Outcome::Upsert);
            match poison.is_empty() {
                true => Ok(()),
                false => Err(PutError::Named(poison.into_iter().map(|place| (place, error())).collect())),
            }
        }
    }

    fn raw(kafka_offset: i64) -> ConsumedRecord {
        let headers = Vec::new();
        ConsumedRecord {
            topic: "t".into(),
            partition: 0,
            kafka_offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers,
        }
    }

    fn batch(count: usize) -> Batch {
        let record = |raw: &ConsumedRecord| SinkRecord {
            topic: raw.topic.clone(),
            key: Typed::NULL,
            value: Typed::NULL,
            headers: Vec::new(),
            timestamp_ms: None,
            origin: origin(raw),
        };
        let raws: Vec<_> = (0..count as i64).map(raw).collect();
        Batch {
            records: raws.iter().map(record).collect(),
            places: (0..count).collect(),
            fates: vec![Fate::Open; count],
            todo: std::iter::once(0..count).filter(|all| !all.is_empty()).collect(),
            raws,
            ..Batch::default()
        }
    }

    proptest! {
        /// Whatever is poison, and whenever the table is away: all other rows are written once, in their order; where
        /// errors are not tolerated, those before the first poison one.
        #[test]
        fn what_can_be_written_is_written_in_order(
            poison in proptest::collection::vec(proptest::bool::weighted(0.1), 0..200),
            names: bool,
            tolerant: bool,
            away in proptest::collection::vec(1usize..40, 0..5),
        ) {
            let mut table = Table { poison: poison.clone(), names, away, puts: 0, rows: Vec::new() };
            let mut batch = batch(poison.len());
            let metrics = SinkMetrics::new(&TaskMetrics::new(&Arc::new(Metrics::default()), "a", 0, false));
            let mut refused = Vec::new();
            let mut outcomes = Vec::new();
            for _ in 0..10 {
                let mut delivery = Delivery {
                    sink: &mut table,
                    tolerant,
                    class: "x",
                    metrics: &metrics,
                    on_failure: &mut |raw, _| refused.push(raw.kafka_offset),
                };
                match delivery.put(&mut batch, &mut outcomes) {
                    Ok(()) => break,
                    Err(error) => prop_assert!(error.is_transient()),
                }
            }
            let places = |is: bool| poison.iter().enumerate().filter(move |(_, p)| **p == is).map(|(i, _)| i as i64);
            let (good, bad): (Vec<i64>, Vec<i64>) = (places(false).collect(), places(true).collect());
            if tolerant {
                batch.letters = batch.failures.len();
                prop_assert_eq!((&table.rows, &refused), (&good, &bad));
                prop_assert_eq!(batch.settled(), poison.len());
                prop_assert!(batch.end.is_none());
            } else {
                let first = bad.first().copied().unwrap_or(poison.len() as i64);
                prop_assert_eq!(batch.settled() as i64, first);
                prop_assert_eq!(batch.end.is_some(), !bad.is_empty());
                // A sink that names them has written those behind it too; they come again.
                let written: Vec<i64> = good.iter().copied().filter(|row| names || *row < first).collect();
                prop_assert_eq!(&table.rows, &written);
            }
            // Halving is not much more than one put for each.
            prop_assert!(table.puts <= 2 * poison.len() + 8);
        }
    }
}
