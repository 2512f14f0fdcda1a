//! Records on their way through a sink's task: what was read, what of it is to be put, and what became of each.
//!
//! A batch can be put in parts, and a part again, in order: what is to be put is a stack of ranges, the next one on top.
//! Invariant: ranges on the stack do not overlap, ascend from the top, and hold every record that is still open.

use std::collections::HashSet;
use std::ops::Range;
use std::time::SystemTime;

use walspring_connect::{ConsumedRecord, Outcome, SinkRecord, TaskError, TopicPartition};

use super::decoder::Decoder;
use super::failure::Failure;

/// What became of a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Done(Outcome),
    /// By a transform.
    Dropped,
    /// The place in the list of failures.
    Failed(usize),
}

#[derive(Default)]
pub(super) struct Batch {
    pub raws: Vec<ConsumedRecord>,
    /// One for each of `raws`.
    pub fates: Vec<Fate>,
    /// Those of `raws` that came through converters and transforms.
    pub records: Vec<SinkRecord>,
    /// Where each of `records` stands in `raws`.
    pub places: Vec<usize>,
    pub todo: Vec<Range<usize>>,
    /// By the place in `raws`.
    pub failures: Vec<(usize, Failure)>,
    /// How many of `failures` are in the dead letter queue, where there is one.
    pub letters: usize,
    /// The task fails with this, once what came before it is written.
    pub end: Option<TaskError>,
    /// When it was taken from the consumer.
    pub started: Option<SystemTime>,
}

impl Batch {
    /// Decodes what was read. Where errors are not tolerated it ends with the first record that is refused.
    pub fn decode(raws: Vec<ConsumedRecord>, decoder: &mut Decoder, tolerant: bool) -> Batch {
        let mut batch = Batch { records: Vec::with_capacity(raws.len()), ..Batch::default() };
        batch.fates.reserve(raws.len());
        batch.places.reserve(raws.len());
        for (place, raw) in raws.iter().enumerate() {
            let fate = match decoder.decode(raw) {
                Ok(Some(record)) => {
                    batch.records.push(record);
                    batch.places.push(place);
                    Fate::Open
                }
                Ok(None) => Fate::Dropped,
                Err(failure) => {
                    if !tolerant {
                        batch.end = Some(failure.intolerable(raw));
                    }
                    batch.failures.push((place, *failure));
                    Fate::Failed(batch.failures.len() - 1)
                }
            };
            batch.fates.push(fate);
            if batch.end.is_some() {
                break;
            }
        }
        batch.raws = raws;
        batch.raws.truncate(batch.fates.len());
        batch.put_all_again();
        batch
    }

    fn put_all_again(&mut self) {
        self.todo.clear();
        if !self.records.is_empty() {
            self.todo.push(0..self.records.len());
        }
    }

    /// A record cannot be written.
    pub fn refuse(&mut self, record: usize, failure: Failure, tolerant: bool) {
        let place = self.places[record];
        if !tolerant && self.end.is_none() {
            self.end = Some(failure.intolerable(&self.raws[place]));
            self.todo.clear();
        }
        self.failures.push((place, failure));
        self.fates[place] = Fate::Failed(self.failures.len() - 1);
    }

    /// How many of the first records are dealt with: their offsets may be committed. The record that ends the task is not
    /// among them.
    pub fn settled(&self) -> usize {
        let open = |fate: &Fate| match fate {
            Fate::Open => true,
            // Either every failure is tolerated or none is.
            Fate::Failed(failure) => self.end.is_some() || *failure >= self.letters,
            _ => false,
        };
        self.fates.iter().position(open).unwrap_or(self.fates.len())
    }

    /// Forgets the first `settled` records, and what was read from partitions that are gone. What is left is put again.
    pub fn forget(&mut self, settled: usize, gone: &HashSet<TopicPartition>) {
        let keep = |raw: &ConsumedRecord| {
            !gone.contains(&TopicPartition { topic: raw.topic.clone(), partition: raw.partition })
        };
        let kept: Vec<bool> = self.raws.iter().enumerate().map(|(place, raw)| place >= settled && keep(raw)).collect();
        let old = std::mem::take(self);
        let mut place_now = vec![None; old.raws.len()];
        for (place, (raw, fate)) in old.raws.into_iter().zip(old.fates).enumerate() {
            if kept[place] {
                place_now[place] = Some(self.raws.len());
                self.raws.push(raw);
                self.fates.push(fate);
            }
        }
        for (index, (place, failure)) in old.failures.into_iter().enumerate() {
            let Some(place) = place_now[place] else { continue };
            if index < old.letters {
                self.letters += 1;
            }
            self.failures.push((place, failure));
            self.fates[place] = Fate::Failed(self.failures.len() - 1);
        }
        for (record, place) in old.records.into_iter().zip(old.places) {
            // What is done is not put again.
            if let Some(place) = place_now[place].filter(|place| self.fates[*place] == Fate::Open) {
                self.records.push(record);
                self.places.push(place);
            }
        }
        self.started = old.started;
        self.end = old.end.filter(|_| !self.failures.is_empty());
        self.put_all_again();
    }
}
