//! Decodes the next batch on a thread of its own while the sink makes the one before it durable: on two cores that takes
//! the decoding out of the way of a record. The thread begins with the first batch that is worth it, and ends with the
//! task.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Result as Caught;

use walspring_connect::{ConsumedRecord, threads};

use super::batch::Batch;
use super::decoder::Decoder;

pub(super) struct Ahead {
    /// Used by one thread at a time.
    decoder: Arc<Mutex<Decoder>>,
    tolerant: bool,
    thread_name: String,
    helper: Option<Helper>,
    is_busy: bool,
}

struct Helper {
    records: SyncSender<Vec<ConsumedRecord>>,
    batches: Receiver<Caught<Batch>>,
}

impl Ahead {
    pub fn new(decoder: Decoder, tolerant: bool, thread_name: String) -> Ahead {
        Ahead { decoder: Arc::new(Mutex::new(decoder)), tolerant, thread_name, helper: None, is_busy: false }
    }

    pub fn decode_now(&mut self, records: Vec<ConsumedRecord>) -> Batch {
        Batch::decode(records, &mut self.decoder.lock().unwrap_or_else(PoisonError::into_inner), self.tolerant)
    }

    /// A batch is on its way.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Gives the records back where there can be no thread for them. Nothing else may be on its way.
    pub fn begin(&mut self, records: Vec<ConsumedRecord>) -> Result<(), Vec<ConsumedRecord>> {
        if self.helper.is_none() {
            self.helper = self.start();
        }
        let Some(helper) = &self.helper else { return Err(records) };
        helper.records.send(records).map_err(|unsent| unsent.0)?;
        self.is_busy = true;
        Ok(())
    }

    /// The batch that was begun, once it is decoded.
    pub fn finish(&mut self) -> Option<Batch> {
        if !std::mem::take(&mut self.is_busy) {
            return None;
        }
        match self.helper.as_ref()?.batches.recv() {
            Ok(Ok(batch)) => Some(batch),
            // As if it had been on this thread.
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => panic!("the thread that decodes is gone"),
        }
    }

    fn start(&self) -> Option<Helper> {
        let (records, of_task) = sync_channel::<Vec<ConsumedRecord>>(1);
        let (to_task, batches) = sync_channel(1);
        let (decoder, tolerant) = (self.decoder.clone(), self.tolerant);
        let work = move || {
            for records in of_task {
                let decode =
                    || Batch::decode(records, &mut decoder.lock().unwrap_or_else(PoisonError::into_inner), tolerant);
                if to_task.send(catch_unwind(AssertUnwindSafe(decode))).is_err() {
                    return;
                }
            }
        };
        if let Err(e) = threads::spawn(&self.thread_name, work) {
            tracing::debug!("nothing is decoded ahead, no thread can be started: {e}");
            return None;
        }
        Some(Helper { records, batches })
    }
}
