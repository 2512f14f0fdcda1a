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
