//! The stream's part of transactions in progress: what is kept of them, and the one that has committed and is being read.
//!
//! Invariant: while one is being read, nothing is taken from the server: what came after its commit comes after it.

use std::time::Instant;

use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_pgoutput::StreamCommit;
use walspring_record::{ChangeBatch, Lsn};

use super::{Flow, Stream};
use crate::errors::{PSQL_EXCEPTION, java_message};
use crate::snapshot::now_us;
use crate::streamed::{GiveUp, Refused, Release, Streamed, StreamedNumbers, Taken};
use crate::wire::PgError;

/// Messages between two looks at the clock.
const LOOK_EVERY: u32 = 1024;

pub struct InProgress {
    pub streamed: Streamed,
    release: Option<Box<Release>>,
    refused: Refused,
    /// The server sends BEGIN and COMMIT of transactions without events too, before 15.
    empty_ones: bool,
}

impl InProgress {
    pub fn new(streamed: Streamed, refused: Refused, server_version: u32) -> InProgress {
        InProgress { streamed, release: None, refused, empty_ones: server_version < 150_000 }
    }

    pub fn is_releasing(&self) -> bool {
        self.release.is_some()
    }

    pub fn numbers(&self) -> StreamedNumbers {
        self.streamed.numbers(self.release.as_deref())
    }

    /// The server could not go on, which may be because of what was asked of it: where a subtransaction has altered a table
    /// and was rolled back, and the same transaction alters it again later, decoding the rows between before the whole is
    /// there finds no table (`ResolveCminCmaxDuringDecoding` knows the rolled back alteration only; seen with 15 to 18).
    /// Without streaming it is decoded at its commit. `None`: it has nothing to do with that.
    pub fn failed_at_server(&self, e: &PgError) -> Option<TaskError> {
        // Connections, resources, operators, files; and a publication that is not there, with or without streaming.
        let ordinary = |code: &str| ["08", "53", "57", "58", "42704"].iter().any(|begin| code.starts_with(begin));
        if e.server()?.severity == "FATAL" || e.code().is_none_or(ordinary) {
            return None;
        }
        self.refused.set();
        let error = TaskError::transient(CONNECT_EXCEPTION, "Reading the replication stream failed");
        Some(error.caused_by(PSQL_EXCEPTION, java_message(e)).hint(
            "the stream starts again without transactions in progress (walspring.streaming), until the connector is changed or \
             the worker is started anew",
        ))
    }

    /// What fails the stream, after what has been read so far.
    fn give_up(&self, why: GiveUp) -> TaskError {
        self.refused.set();
        why.error()
    }
}

impl Stream {
    /// After a payload was taken.
    pub(super) fn taken(&mut self, taken: Taken, batch: &mut ChangeBatch) -> Flow {
        let Some(in_progress) = &mut self.in_progress else { return Flow::On };
        match taken {
            Taken::Kept => {}
            Taken::Committed(Some(release), _) => in_progress.release = Some(release),
            Taken::Committed(None, commit) => {
                if in_progress.empty_ones {
                    let StreamCommit { xid, commit_lsn, end_lsn, commit_ts, .. } = commit;
                    self.reader.begin_streamed(xid, Lsn(commit_lsn), commit_ts.unix_us(), batch);
                    self.reader.commit_streamed(Lsn(end_lsn), commit_ts.unix_us(), batch);
                }
            }
            Taken::GiveUp(why) => {
                self.failed = Some(in_progress.give_up(why));
                return Flow::Enough;
            }
        }
        Flow::On
    }

    /// Reads on in the transaction that has committed, until the batch is full.
    pub(super) fn release(&mut self, batch: &mut ChangeBatch, deadline: Instant) -> Result<Flow, TaskError> {
        let Some(mut release) = self.in_progress.as_mut().and_then(|p| p.release.take()) else { return Ok(Flow::On) };
        let commit = release.commit;
        let commit_us = commit.commit_ts.unix_us();
        if !release.begun {
            release.begun = true;
            self.reader.begin_streamed(commit.xid, release.begin, commit_us, batch);
        }
        let seen_us = now_us();
        let mut messages = 0u32;
        let flow = loop {
            match release.next() {
                Ok(Some((mark, payload))) => {
                    let before = self.reselect.as_ref().and_then(|reselect| reselect.before(&self.reader));
                    let changes = batch.changes.len();
                    if let Err(e) = self.reader.read(Lsn(mark), payload, seen_us, batch) {
                        self.put_off(e, batch)?;
                        break Flow::Enough;
                    }
                    match self.after_read(before, changes, batch)? {
                        Flow::On => {}
                        other => break other,
                    }
                }
                Ok(None) => {
                    self.reader.commit_streamed(Lsn(commit.end_lsn), commit_us, batch);
                    let awaited = self.signals.as_ref().and_then(|s| s.waits_for());
                    let passed = awaited.is_some_and(|at| self.reader.passed_at_commit() >= Some(at));
                    return Ok(if passed || self.is_full(batch) { Flow::Enough } else { Flow::On });
                }
                Err(e) => {
                    self.failed = self.in_progress.as_ref().map(|p| p.give_up(GiveUp::Disk(e)));
                    break Flow::Enough;
                }
            }
            messages += 1;
            if self.is_full(batch) || messages.is_multiple_of(LOOK_EVERY) && Instant::now() >= deadline {
                break Flow::Enough;
            }
        };
        if let Some(in_progress) = &mut self.in_progress {
            in_progress.release = Some(release);
        }
        Ok(flow)
    }

    /// What is kept of transactions in progress.
    pub fn streamed_numbers(&self) -> StreamedNumbers {
        self.in_progress.as_ref().map(|p| p.numbers()).unwrap_or_default()
    }
}
