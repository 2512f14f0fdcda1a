//! The loop of a sink's task: poll, decode, put, commit; and what happens to its partitions meanwhile.
//!
//! Invariant: an offset is committed only after the sink has said that the record before it, and all before that, are
//! durable, or has been left out as the configuration says. So a crash between any two steps only repeats records.
//!
//! A sink whose system is away keeps its batch and tries it again; so does one that cannot open its partitions. The task
//! polls all the while, with every partition paused, so that the group does not take it for dead.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use walspring_connect::Progress;
use walspring_connect::{
    CONNECT_EXCEPTION, Consumed, ConsumedRecord, Outcome, RecordConsumer, SinkTask, StoreError, TaskError,
    TopicPartition, threads,
};

use super::ahead::Ahead;
use super::batch::Batch;
use super::delivery::Delivery;
use super::metrics::SinkMetrics;
use super::observing::Observing;
use super::positions::Positions;
use super::reporter::Reporter;
use super::settings::SinkSettings;
use crate::committer::store_error;
use crate::info::State;
use crate::restarts::PutBackoff;
use crate::task::broke_off;
use crate::task_control::{TaskControl, Wish};
use crate::task_status::TaskStatus;

/// How long a poll waits for records; how late a pause may be noticed.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// Records of one batch, in bytes as they were read. Decoded they take a few times as much.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// A batch that is decoded beside the one before it has at least this many in front of it: fewer are written before the
/// other thread is awake.
const AHEAD_RECORDS_MIN: usize = 100;
const LAG_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct SinkLoop<'a> {
    pub consumer: &'a mut dyn RecordConsumer,
    pub sink: &'a mut dyn SinkTask,
    pub class: &'a str,
    pub ahead: Ahead,
    pub settings: &'a SinkSettings,
    pub reporter: Reporter<'a>,
    pub observing: Option<Observing>,
    pub metrics: SinkMetrics,
    pub control: &'a TaskControl,
    pub status: &'a TaskStatus,
    pub backoff: PutBackoff,
    /// Hears of each topic of which records were read, once.
    pub on_topic: Box<dyn FnMut(&str) + Send>,
    /// Becomes true when an offset was committed.
    pub progress: &'a AtomicBool,
    pub state: LoopState,
}

#[derive(Default)]
pub(super) struct LoopState {
    positions: Positions,
    /// Read, and in no batch yet.
    read: Vec<ConsumedRecord>,
    /// Given to this task, and not opened by the sink yet.
    to_open: Vec<TopicPartition>,
    batch: Option<Batch>,
    /// Decoded while the one before it was written.
    next: Option<Batch>,
    /// When the records that are being decoded were taken from the consumer.
    ahead_started: Option<SystemTime>,
    /// These go with the next poll; what was read from them is written first.
    leaving: Option<Vec<TopicPartition>>,
    outcomes: Vec<Outcome>,
    /// When what failed is tried again.
    again_at: Option<Instant>,
    paused: bool,
    /// Every partition is paused at the consumer.
    quiet: bool,
    commit_at: Option<Instant>,
    lag_at: Option<Instant>,
    /// Bytes of a record, on average, in the last poll.
    record_bytes: usize,
    topics: HashSet<Arc<str>>,
}

impl SinkLoop<'_> {
    /// Until the task should stop, or fails. What was written is committed whichever way it ends.
    pub fn run(&mut self) -> Result<(), TaskError> {
        let result = catch_unwind(AssertUnwindSafe(|| self.turns())).unwrap_or_else(|panic| {
            // What was written before need not come again; the sink itself may be in any state.
            self.commit_at_end();
            resume_unwind(panic)
        });
        // After an error there is a record that was read and is not dealt with.
        if result.is_ok() {
            self.reach();
        }
        self.commit_at_end();
        self.sink.close(&self.opened(&self.state.positions.partitions()));
        self.metrics.set_partitions(&[]);
        result
    }

    fn commit_at_end(&mut self) {
        if let Err(error) = self.commit(None) {
            self.warn(&format!("offsets were not committed at the end; records will come again: {error}"));
        }
    }

    fn turns(&mut self) -> Result<(), TaskError> {
        loop {
            if let Some(panic) = threads::panicked() {
                return Err(broke_off(&panic));
            }
            match self.control.wish() {
                Wish::Stop => return Ok(()),
                Wish::Pause => self.pause()?,
                Wish::Run => self.go_on(),
            }
            if !self.state.paused && self.state.again_at.is_none_or(|at| at <= Instant::now()) && self.has_work() {
                self.work()?;
                if self.state.again_at.is_none() && self.has_work() {
                    continue;
                }
            }
            self.poll()?;
        }
    }

    fn pause(&mut self) -> Result<(), TaskError> {
        if !self.state.paused {
            self.commit_all()?;
            self.state.paused = true;
            self.status.set(State::Paused, None);
        }
        Ok(())
    }

    fn go_on(&mut self) {
        if std::mem::take(&mut self.state.paused) {
            self.status.set_running();
        }
    }

    fn has_work(&self) -> bool {
        let state = &self.state;
        !state.to_open.is_empty() || !state.read.is_empty() || self.has_batch()
    }

    fn has_batch(&self) -> bool {
        self.state.batch.is_some() || self.state.next.is_some() || self.ahead.is_busy()
    }

    /// One step: opens what is to be opened, or puts a batch. A transient error is waited out.
    fn work(&mut self) -> Result<(), TaskError> {
        let step = if self.state.to_open.is_empty() { self.put() } else { self.open() };
        match step {
            Ok(()) => {
                if self.state.again_at.take().is_some() {
                    self.backoff.reset();
                    self.status.waiting(None);
                }
                if self.commit_is_due() {
                    self.commit_all()?;
                }
                Ok(())
            }
            Err(error) if error.is_transient() => {
                self.metrics.put_errors.add(1);
                self.state.again_at = Some(Instant::now() + self.backoff.next());
                self.status.waiting(Some(error.trace()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn open(&mut self) -> Result<(), TaskError> {
        let seeks = self.sink.open(&self.state.to_open).map_err(unrecoverable)?;
        let opened = std::mem::take(&mut self.state.to_open);
        for (partition, kafka_offset) in seeks.into_iter().filter(|(partition, _)| opened.contains(partition)) {
            self.consumer.seek(&partition, kafka_offset).map_err(|e| store_error(&e))?;
        }
        Ok(())
    }

    fn put(&mut self) -> Result<(), TaskError> {
        let batch = match self.state.batch.take() {
            Some(batch) => batch,
            None => self.next_batch(),
        };
        let Some(mut batch) = self.look_ahead(batch)? else { return Ok(()) };
        let result = self.deliver(&mut batch);
        match &result {
            Err(error) if error.is_transient() => self.state.batch = Some(batch),
            _ => self.settle(&batch),
        }
        result
    }

    /// The first records of a batch are dealt with: they are counted, told of, and may be committed.
    fn settle(&mut self, batch: &Batch) {
        let settled = batch.settled();
        self.metrics.settled(batch, settled);
        self.state.positions.advance(&batch.raws[..settled]);
        if let Some(observing) = &self.observing {
            // So is the record that the task fails at, but that it comes again.
            let ends = usize::from(batch.end.is_some() && batch.todo.is_empty());
            observing.tell(batch, (settled + ends).min(batch.raws.len()));
        }
    }

    /// What was decoded already, or else what was read.
    fn next_batch(&mut self) -> Batch {
        let decoded = match self.state.next.take() {
            Some(batch) => Some(batch),
            None => self.decoded_ahead(),
        };
        let batch = decoded.unwrap_or_else(|| {
            let started = SystemTime::now();
            let records = self.take_read();
            Batch { started: Some(started), ..self.ahead.decode_now(records) }
        });
        for (place, failure) in &batch.failures {
            self.reporter.failed(&batch.raws[*place], failure, &self.metrics);
        }
        for run in batch.raws.chunk_by(|a, b| Arc::ptr_eq(&a.topic, &b.topic)) {
            if self.state.topics.insert(run[0].topic.clone()) {
                (self.on_topic)(&run[0].topic);
            }
        }
        batch
    }

    fn decoded_ahead(&mut self) -> Option<Batch> {
        let batch = self.ahead.finish()?;
        Some(Batch { started: self.state.ahead_started.take(), ..batch })
    }

    /// Takes what was read, up to the bound in bytes.
    fn take_read(&mut self) -> Vec<ConsumedRecord> {
        let read = &mut self.state.read;
        let mut bytes = 0;
        let fits = |record: &&ConsumedRecord| {
            bytes += size(record);
            bytes <= BATCH_BYTES_MAX
        };
        let count = read.iter().take(self.settings.batch_records_max).take_while(fits).count();
        let rest = read.split_off(count.max(1).min(read.len()));
        std::mem::replace(read, rest)
    }

    /// Before a large batch is written, lets the records behind it be decoded meanwhile. `None`: the batch is gone, with
    /// its partitions.
    fn look_ahead(&mut self, batch: Batch) -> Result<Option<Batch>, TaskError> {
        let is_worth_it = batch.raws.len() >= AHEAD_RECORDS_MIN && batch.end.is_none();
        if !is_worth_it || self.state.next.is_some() || self.ahead.is_busy() {
            return Ok(Some(batch));
        }
        self.state.batch = Some(batch);
        let tries_again = self.state.again_at.is_some() || self.state.leaving.is_some();
        if self.state.read.is_empty() && !self.state.quiet && !tries_again {
            match self.read(Duration::ZERO)? {
                Consumed::Records | Consumed::Nothing => {}
                Consumed::Assigned(partitions) => self.assigned(partitions)?,
                Consumed::Revoked(partitions) => self.state.leaving = Some(partitions),
                Consumed::Lost(partitions) => self.gone(partitions, false),
            }
        }
        if !self.state.read.is_empty() {
            let records = self.take_read();
            self.state.ahead_started = Some(SystemTime::now());
            if let Err(mut records) = self.ahead.begin(records) {
                records.append(&mut self.state.read);
                self.state.read = records;
            }
        }
        Ok(self.state.batch.take())
    }

    fn deliver(&mut self, batch: &mut Batch) -> Result<(), TaskError> {
        let (reporter, metrics) = (&mut self.reporter, &self.metrics);
        let mut delivery = Delivery {
            sink: self.sink,
            tolerant: self.settings.tolerant,
            class: self.class,
            metrics,
            on_failure: &mut |record, failure| reporter.failed(record, failure, metrics),
        };
        delivery.put(batch, &mut self.state.outcomes).map_err(unrecoverable)?;
        match (self.reporter.write_letters(batch, &self.metrics), &batch.end) {
            (Ok(()), None) => Ok(()),
            (Err(error), None) => Err(store_error(&error)),
            (letters, Some(end)) => {
                if let Err(error) = letters {
                    self.warn(&format!("a record that the task fails at is not in the dead letter queue: {error}"));
                }
                Err(end.clone())
            }
        }
    }

    fn poll(&mut self) -> Result<(), TaskError> {
        if let Some(partitions) = self.state.leaving.take() {
            self.gone(partitions, true);
            return Ok(());
        }
        self.quieten(self.state.paused || self.has_work())?;
        let wait = match self.state.again_at.filter(|_| !self.state.paused) {
            Some(at) => at.saturating_duration_since(Instant::now()).min(POLL_WAIT),
            None => POLL_WAIT,
        };
        match self.read(wait)? {
            Consumed::Records => {}
            Consumed::Nothing => {
                self.reach();
                if self.commit_is_due() {
                    self.commit_all()?;
                }
            }
            Consumed::Assigned(partitions) => self.assigned(partitions)?,
            Consumed::Revoked(partitions) => self.gone(partitions, true),
            Consumed::Lost(partitions) => self.gone(partitions, false),
        }
        self.look_at_lag();
        Ok(())
    }

    fn read(&mut self, wait: Duration) -> Result<Consumed, TaskError> {
        let room = BATCH_BYTES_MAX / self.state.record_bytes.max(1);
        let records_max = self.settings.batch_records_max.min(room).max(1);
        let before = self.state.read.len();
        let consumed = self.consumer.poll(&mut self.state.read, records_max, wait).map_err(|e| store_error(&e))?;
        if consumed == Consumed::Records {
            let new = &self.state.read[before..];
            self.state.record_bytes = new.iter().map(size).sum::<usize>() / new.len().max(1);
        }
        Ok(consumed)
    }

    fn quieten(&mut self, quiet: bool) -> Result<(), TaskError> {
        if quiet == self.state.quiet {
            return Ok(());
        }
        let partitions = self.state.positions.partitions();
        let done = if quiet { self.consumer.pause(&partitions) } else { self.consumer.resume(&partitions) };
        self.state.quiet = quiet;
        done.map_err(|e| store_error(&e))
    }

    fn assigned(&mut self, partitions: Vec<TopicPartition>) -> Result<(), TaskError> {
        self.say("partitions were assigned", &partitions);
        self.state.positions.assigned(&partitions);
        self.metrics.set_partitions(&self.state.positions.partitions());
        if self.state.quiet {
            self.consumer.pause(&partitions).map_err(|e| store_error(&e))?;
        }
        self.state.to_open.extend(partitions);
        Ok(())
    }

    /// Partitions go to another member; `ours`: until the next poll they are still this one's.
    fn gone(&mut self, partitions: Vec<TopicPartition>, ours: bool) {
        self.say(if ours { "partitions were revoked" } else { "partitions were lost" }, &partitions);
        let gone: HashSet<TopicPartition> = partitions.iter().cloned().collect();
        // What has not been written by now is the next member's.
        self.state.read.retain(|r| !gone.contains(&TopicPartition { topic: r.topic.clone(), partition: r.partition }));
        if let Some(mut batch) = self.state.batch.take() {
            self.settle(&batch);
            batch.forget(batch.settled(), &gone);
            self.state.batch = Some(batch).filter(|batch| !batch.raws.is_empty());
        }
        // Of the one behind it nothing is settled before all of this one is.
        let next = self.state.next.take();
        if let Some(mut next) = next.or_else(|| self.decoded_ahead()) {
            next.forget(0, &gone);
            self.state.next = Some(next).filter(|next| !next.raws.is_empty());
        }
        if ours && let Err(error) = self.commit(Some(&partitions)) {
            self.warn(&format!("offsets were not committed before partitions went; records will come again: {error}"));
        }
        self.sink.close(&self.opened(&partitions));
        self.state.to_open.retain(|partition| !gone.contains(partition));
        self.state.positions.remove(&partitions);
        self.metrics.set_partitions(&self.state.positions.partitions());
        if !self.has_work() && self.state.again_at.take().is_some() {
            self.backoff.reset();
            self.status.waiting(None);
        }
    }

    /// Where all that was read is dealt with, the ends of transactions behind it are, too.
    fn reach(&mut self) {
        if !self.has_work() {
            self.state.positions.reach(&self.consumer.positions());
        }
    }

    fn commit_is_due(&self) -> bool {
        self.state.commit_at.is_none_or(|at| at <= Instant::now())
    }

    /// Commits what is durable. What goes away by itself is tried again later.
    fn commit_all(&mut self) -> Result<(), TaskError> {
        match self.commit(None) {
            Ok(()) => Ok(()),
            Err(StoreError::Transient(why)) => {
                self.warn(&format!("offsets cannot be committed, will be tried again: {why}"));
                Ok(())
            }
            Err(error) => Err(store_error(&error)),
        }
    }

    fn commit(&mut self, of: Option<&[TopicPartition]>) -> Result<(), StoreError> {
        let offsets = self.state.positions.uncommitted(of);
        if offsets.is_empty() {
            return Ok(());
        }
        self.state.commit_at = Some(Instant::now() + self.settings.commit_interval);
        self.consumer.commit(&offsets)?;
        self.progress.store(true, Ordering::Release);
        self.metrics.commits.add(1);
        self.state.positions.committed(&offsets);
        Ok(())
    }

    /// Those of the partitions that the sink has been told of.
    fn opened(&self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        partitions.iter().filter(|partition| !self.state.to_open.contains(partition)).cloned().collect()
    }

    fn warn(&self, what: &str) {
        tracing::warn!(connector = self.reporter.connector, task = self.reporter.task, "{what}");
    }

    fn say(&self, what: &str, partitions: &[TopicPartition]) {
        let names: Vec<String> = partitions.iter().map(|p| format!("{}-{}", p.topic, p.partition)).collect();
        let names = names.join(", ");
        tracing::info!(connector = self.reporter.connector, task = self.reporter.task, partitions = names, "{what}");
    }

    fn look_at_lag(&mut self) {
        if self.state.lag_at.is_none_or(|at| at <= Instant::now()) {
            self.state.lag_at = Some(Instant::now() + LAG_INTERVAL);
            let lag = self.consumer.lag();
            self.metrics.set_lag(&lag);
        }
    }
}

/// What a record holds in memory before it is decoded, in bytes.
fn size(record: &ConsumedRecord) -> usize {
    let bytes = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + bytes(value) + 48).sum();
    bytes(&record.key) + bytes(&record.value) + headers + 96
}

/// As the original says that a sink's `put` threw; what goes away by itself keeps its own words.
fn unrecoverable(error: TaskError) -> TaskError {
    if error.is_transient() {
        return error;
    }
    let TaskError { kind, class, message, causes, hint } = error;
    let causes = [(class, message)].into_iter().chain(causes).collect();
    let message = "Exiting WorkerSinkTask due to unrecoverable exception.".to_owned();
    TaskError { kind, class: CONNECT_EXCEPTION, message, causes, hint }
}
