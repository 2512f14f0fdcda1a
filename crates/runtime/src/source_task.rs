//! The loop of a source task: poll, encode, submit. Once a batch, never once a row, it looks whether it should stop.
//!
//! The source offset of a batch goes with the ticket that holds its records, so that a crash between any two steps only
//! repeats what was not yet stored.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use walspring_connect::writer::{EncodedBatch, OffsetRecord, RecordWriter, Ticket};
use walspring_connect::{Poll, SourceTask, TaskError, fault, threads};
use walspring_record::{ChangeBatch, SourceOffset};

use crate::committer::{Commits, write_error};
use crate::offsets_store;
use crate::record_encoder::RecordEncoder;
use crate::task::broke_off;
use crate::task_control::{TaskControl, Wish};
use crate::turns;

/// How long a poll waits for something to come; how late a pause or a failure of the writer may be noticed.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// A batch keeps buffers up to this, in bytes, for the next one.
const BATCH_KEEP_BYTES: usize = 2 << 20;

pub(crate) struct SourceLoop<'a> {
    pub source: &'a mut dyn SourceTask,
    pub writer: &'a mut dyn RecordWriter,
    pub encoder: &'a mut RecordEncoder,
    pub commits: &'a Arc<Commits>,
    pub control: &'a TaskControl,
    /// Of the offset's record.
    pub offset_key: Vec<u8>,
    /// The writer stores the offset with the records.
    pub transactional: bool,
    /// What the source began from.
    pub stored_offset: Option<SourceOffset>,
    pub graceful_timeout: Duration,
    /// Hears when the task pauses (true) and goes on (false).
    pub on_pause: &'a dyn Fn(bool),
}

impl SourceLoop<'_> {
    /// Until the task should stop, or fails. What was submitted is flushed, unless the writer is what failed: a defect of the
    /// source or of the encoder is none of the records before it.
    pub fn run(mut self) -> Result<(), TaskError> {
        match catch_unwind(AssertUnwindSafe(|| self.turns())) {
            Ok(Ok(result)) => {
                self.settle();
                result
            }
            Ok(Err(of_the_writer)) => Err(of_the_writer),
            Err(panic) => {
                self.settle();
                resume_unwind(panic)
            }
        }
    }

    /// The outer error is the writer's, after which nothing can be flushed.
    fn turns(&mut self) -> Result<Result<(), TaskError>, TaskError> {
        let mut batch = ChangeBatch::default();
        let mut number = 0;
        self.store_again(&mut number)?;
        loop {
            match self.control.wish() {
                Wish::Stop => return Ok(Ok(())),
                Wish::Run => {}
                Wish::Pause => {
                    self.settle();
                    (self.on_pause)(true);
                    if self.control.wait_while_paused() == Wish::Stop {
                        return Ok(Ok(()));
                    }
                    (self.on_pause)(false);
                }
            }
            self.commits.check()?;
            if let Some(panic) = threads::panicked() {
                return Ok(Err(broke_off(&panic)));
            }
            batch.clear(BATCH_KEEP_BYTES);
            match self.source.poll(&mut batch, POLL_WAIT) {
                Ok(Poll::Batch) => {}
                Ok(Poll::Idle) => {
                    self.writer.idle();
                    continue;
                }
                Ok(Poll::Finished) => {
                    self.writer.idle();
                    self.control.wait(POLL_WAIT);
                    continue;
                }
                Err(e) => return Ok(Err(e)),
            }
            if let Err(e) = self.pass_on(&mut batch, &mut number)? {
                return Ok(Err(e));
            }
        }
    }

    /// The first transaction begins with the offset that is stored already: a reader of uncommitted records then never
    /// finds one last that was aborted.
    fn store_again(&mut self, number: &mut u64) -> Result<(), TaskError> {
        match self.stored_offset.take().filter(|_| self.transactional) {
            None => Ok(()),
            Some(offset) => {
                self.commits.will_store_again(offset.clone());
                self.submit(number, Vec::new(), Some(offset))?;
                self.writer.idle();
                Ok(())
            }
        }
    }

    /// Encodes and submits a batch. The outer error is the writer's, after which nothing can be flushed.
    fn pass_on(&mut self, batch: &mut ChangeBatch, number: &mut u64) -> Result<Result<(), TaskError>, TaskError> {
        crate::planted::spoil(batch);
        let encoded = self.encoder.encode(batch, self.writer, now_ms());
        let batches = self.encoder.take();
        if encoded.is_err() && (self.transactional || batches.is_empty()) {
            // A part of a batch has no offset of its own: in a transaction it would come twice.
            return Ok(encoded);
        }
        let offset = if encoded.is_ok() { batch.offset.take() } else { None };
        if !batches.is_empty() || offset.is_some() {
            self.submit(number, batches, offset)?;
        }
        if batch.drained {
            self.writer.idle();
        }
        Ok(encoded)
    }

    fn submit(
        &mut self,
        number: &mut u64,
        batches: Vec<EncodedBatch>,
        offset: Option<SourceOffset>,
    ) -> Result<(), TaskError> {
        fault::point("task.encoded");
        *number += 1;
        let record = |offset| OffsetRecord { key: self.offset_key.clone(), value: Some(offsets_store::value(offset)) };
        let record = offset.as_ref().filter(|_| self.transactional).map(record);
        let ticket = Ticket { number: *number, batches, offset: record };
        self.commits.submitted(*number, offset, ticket.size());
        self.writer.submit(ticket).map_err(|e| write_error(&e))?;
        fault::point("task.submitted");
        Ok(())
    }

    /// Makes everything durable, stored and confirmed, as far as that goes within the time.
    fn settle(&mut self) {
        let end = turns::now() + self.graceful_timeout;
        match self.writer.flush(self.graceful_timeout) {
            Ok(()) => {
                if !self.commits.settle(end) {
                    tracing::warn!(
                        "the last offset was not stored in time; what came after the one before comes again"
                    );
                }
            }
            Err(e) => tracing::warn!("records were not flushed, they will be read again: {e}"),
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
