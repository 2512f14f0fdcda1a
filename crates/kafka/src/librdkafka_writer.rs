//! The kept client as a [`RecordWriter`] (`walspring.producer=librdkafka`): for Kerberos, and to compare our own
//! producer with.
//!
//! Batches are taken apart and handed over record by record, with the partitions they already have. Tickets become
//! durable in their order; with transactions, when the transaction that holds them is committed. A transaction ends
//! as soon as nothing waits, or at 8 MiB or 250 ms under backlog, or by an interval. The first version of transactions is spoken
//! (librdkafka issue 5423): what KIP-890 closes stays open here.
//!
//! Invariant: after an error the writer does nothing more; the runtime makes another one, which fences this one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::threads;
use walspring_connect::writer::{DurabilityListener, EncodedBatch, RecordWriter, Ticket, TopicInfo, WriteError};
use walspring_record_batch::{RecordBatchReader, RecordRef};

use crate::admin::creation::write_error;
use crate::client_config::ClientOptions;
use crate::kept::{Delivery, Kept, KeptError, Kind, TopicHandle, Until, millis};
use crate::producer::{TopicAdmin, TransactionConfig};

/// Java's `max.request.size`; librdkafka's default is a little less.
const REQUEST_BYTES_MAX: &str = "1048576";
/// librdkafka's own default is 1 GiB.
const QUEUE_KIB_MAX: u64 = 8192;
/// What a record costs in the client's queue beside its bytes.
const RECORD_OVERHEAD: usize = 256;
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

pub struct LibrdkafkaWriter {
    shared: Arc<Shared>,
    kept: Arc<Kept>,
    topic_admin: Box<dyn TopicAdmin>,
    thread: Option<JoinHandle<()>>,
}

/// What the writer, its thread and the client's thread share. The client itself is not in it: its thread must never
/// be the one that closes it.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    listener: Arc<dyn DurabilityListener>,
    transaction: Option<TransactionConfig>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    /// Submitted, not yet handed to the client.
    waiting: VecDeque<Ticket>,
    /// Handed over, not yet durable, in order.
    flying: VecDeque<Flying>,
    bytes: usize,
    error: Option<WriteError>,
    /// Why a record of the open transaction was not written: the transaction's commit fails with it.
    refusal: Option<WriteError>,
    /// `failed` was called.
    is_reported: bool,
    ending: bool,
    /// Somebody waits for all that was submitted.
    flushing: bool,
}

struct Flying {
    ticket: u64,
    size: usize,
    /// Records that are not acknowledged yet.
    records: usize,
    has_offset: bool,
}

impl LibrdkafkaWriter {
    /// With a transaction this returns once older writers of the same id are fenced.
    pub fn connect(
        options: &ClientOptions,
        role: &str,
        transaction: Option<TransactionConfig>,
        listener: Arc<dyn DurabilityListener>,
        topic_admin: Box<dyn TopicAdmin>,
    ) -> Result<Self, WriteError> {
        let definite = |error: KeptError| write_error(&error, "the Kafka producer");
        let config = config(options, role, transaction.as_ref())?;
        let kib = config.get("queue.buffering.max.kbytes").and_then(|kib| kib.parse().ok()).unwrap_or(QUEUE_KIB_MAX);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            listener,
            transaction,
            bytes_max: usize::try_from(kib * 1024).unwrap_or(usize::MAX),
        });
        let heard = shared.clone();
        let on_delivery = Box::new(move |delivery: Delivery| heard.delivered(delivery));
        let kept = Kept::open(Kind::Producer, &config, options, Some(on_delivery)).map_err(definite)?;
        if shared.transaction.is_some() {
            let until = Until::after(COMMIT_TIMEOUT);
            loop {
                // SAFETY: the handle lives; the error is ours.
                let outcome =
                    unsafe { KeptError::take(rdsys::rd_kafka_init_transactions(kept.ptr(), millis(until.left()))) };
                match outcome {
                    Ok(()) => break,
                    Err(error) if error.retriable && !until.is_over() => {}
                    Err(error) => return Err(write_error(&kept.explained(error), "the transactional id")),
                }
            }
        }
        let kept = Arc::new(kept);
        let (working, client) = (shared.clone(), kept.clone());
        let thread = threads::spawn("kafka-writer", move || working.run(&client))
            .map_err(|error| WriteError::Transient(format!("no thread for the Kafka producer: {error}")))?;
        Ok(Self { shared, kept, topic_admin, thread: Some(thread) })
    }

    fn end(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        // SAFETY: the handle lives. What is queued or under way is given up.
        unsafe {
            rdsys::rd_kafka_purge(self.kept.ptr(), PURGE_ALL);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT`.
const PURGE_ALL: i32 = 3;

fn config(
    options: &ClientOptions,
    role: &str,
    transaction: Option<&TransactionConfig>,
) -> Result<ClientConfig, WriteError> {
    let mut config = options.kept(role).map_err(|error| WriteError::Definite(error.to_string()))?;
    config.set("enable.idempotence", "true").set("acks", "all").set("partitioner", "murmur2_random");
    // There may be more small records than its default of 100,000; bytes are what is bounded.
    config.set("queue.buffering.max.messages", "10000000");
    for (name, value) in [
        ("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string()),
        ("message.max.bytes", REQUEST_BYTES_MAX.to_owned()),
        ("linger.ms", "0".to_owned()),
        // Connect's producers never give up by themselves.
        ("message.timeout.ms", "0".to_owned()),
    ] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    if let Some(transaction) = transaction {
        config.set("transactional.id", &transaction.transactional_id);
        let timeout_ms = transaction.timeout.as_millis();
        config.set("transaction.timeout.ms", timeout_ms.to_string());
        // The client insists on a time for records that ends before the transaction's; unset, it is the same.
        config.remove("message.timeout.ms");
    }
    Ok(config)
}

impl RecordWriter for LibrdkafkaWriter {
    fn topic(&mut self, name: &str) -> Result<TopicInfo, WriteError> {
        self.topic_admin.ensure(name)
    }

    fn submit(&mut self, ticket: Ticket) -> Result<(), WriteError> {
        let size = weight(&ticket);
        let mut state = self.shared.lock();
        loop {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if state.bytes == 0 || state.bytes + size <= self.shared.bytes_max {
                break;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += size;
        state.flushing = false;
        state.waiting.push_back(ticket);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn bytes_max(&self) -> Option<u64> {
        Some(self.shared.bytes_max as u64)
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError> {
        let mut state = self.shared.lock();
        state.flushing = true;
        self.shared.changed.notify_all();
        let busy = |state: &mut State| state.error.is_none() && !(state.waiting.is_empty() && state.flying.is_empty());
        let (state, waited) =
            self.shared.changed.wait_timeout_while(state, timeout, busy).unwrap_or_else(PoisonError::into_inner);
        match &state.error {
            Some(error) => Err(error.clone()),
            None if waited.timed_out() => {
                Err(WriteError::Transient(format!("not everything is written after {} ms", timeout.as_millis())))
            }
            None => Ok(()),
        }
    }

    fn abort(mut self: Box<Self>) {
        self.end();
    }
}

impl Drop for LibrdkafkaWriter {
    fn drop(&mut self) {
        self.end();
    }
}

/// In memory, with the client's own share.
fn weight(ticket: &Ticket) -> usize {
    ticket.size() + ticket.batches.iter().map(|batch| batch.records as usize * RECORD_OVERHEAD).sum::<usize>()
}

struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(WriteError::Transient("the thread of the Kafka producer panicked".into()));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread.
    fn run(&self, kept: &Kept) {
        // Nobody waits for a thread that has panicked.
        let _told = FailOnPanic(self);
        let mut topics = BTreeMap::new();
        let outcome = match &self.transaction {
            Some(transaction) => self.run_transactions(kept, &mut topics, transaction),
            None => self.run_plain(kept, &mut topics),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    fn run_plain(&self, kept: &Kept, topics: &mut Topics) -> Result<(), WriteError> {
        while let Some(ticket) = self.next_ticket(None) {
            self.hand_over(kept, topics, ticket, None)?;
        }
        Ok(())
    }

    fn run_transactions(
        &self,
        kept: &Kept,
        topics: &mut Topics,
        transaction: &TransactionConfig,
    ) -> Result<(), WriteError> {
        while let Some(first) = self.next_ticket(None) {
            let began = Instant::now();
            let failed = |error: KeptError| write_error(&kept.explained(error), "a transaction");
            // SAFETY: the handle lives; the error is ours.
            unsafe { KeptError::take(rdsys::rd_kafka_begin_transaction(kept.ptr())) }.map_err(failed)?;
            let mut bytes = weight(&first);
            let mut last = first.number;
            let mut offset = first.offset.clone();
            let mut work = self.hand_over(kept, topics, first, Some(()));
            while work.is_ok() && bytes < transaction.bytes_max && began.elapsed() < transaction.age_max {
                let end = if transaction.by_interval { began + transaction.age_max } else { began };
                let Some(ticket) = self.next_ticket(Some(end)) else { break };
                bytes += weight(&ticket);
                last = ticket.number;
                offset = ticket.offset.clone().or(offset);
                work = self.hand_over(kept, topics, ticket, Some(()));
            }
            let offset_stored = offset.is_some();
            if work.is_ok()
                && let Some(offset) = offset
            {
                work = crate::keyed_log::produce(
                    kept,
                    &transaction.offsets_topic,
                    &offset.key,
                    offset.value.as_deref(),
                    OFFSET_NUMBER,
                )
                .map_err(failed);
            }
            let outcome = work.and_then(|()| self.commit(kept));
            if let Err(error) = outcome {
                // SAFETY: as above. Whatever this says, the next writer with the same id ends the transaction.
                let _ = unsafe { KeptError::take(rdsys::rd_kafka_abort_transaction(kept.ptr(), 5000)) };
                return Err(error);
            }
            self.committed(last, offset_stored);
        }
        Ok(())
    }

    /// Flushes and commits; the client's thread hears of the deliveries meanwhile.
    fn commit(&self, kept: &Kept) -> Result<(), WriteError> {
        if self.lock().ending {
            return Err(WriteError::Transient("the writer has been ended".into()));
        }
        let until = Until::after(COMMIT_TIMEOUT);
        loop {
            // SAFETY: the handle lives; the error is ours.
            let outcome =
                unsafe { KeptError::take(rdsys::rd_kafka_commit_transaction(kept.ptr(), millis(until.left()))) };
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) if error.retriable && !until.is_over() && !self.lock().ending => {}
                Err(error) => {
                    let error = kept.explained(error);
                    // What happened to a record says more than that the commit failed.
                    let refusal = self.lock().refusal.take().filter(|_| !error.is_fenced());
                    return Err(refusal.unwrap_or_else(|| write_error(&error, "a transaction")));
                }
            }
        }
    }

    /// The next ticket, or none: when ending, after an error, at `end`, or before that when somebody waits for what came
    /// so far.
    fn next_ticket(&self, end: Option<Instant>) -> Option<Ticket> {
        let mut state = self.lock();
        loop {
            if state.ending || state.error.is_some() {
                return None;
            }
            if let Some(ticket) = state.waiting.pop_front() {
                return Some(ticket);
            }
            let Some(end) = end else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.flushing {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the ticket's records to the client.
    fn hand_over(
        &self,
        kept: &Kept,
        topics: &mut Topics,
        ticket: Ticket,
        in_transaction: Option<()>,
    ) -> Result<(), WriteError> {
        let records: usize = ticket.batches.iter().map(|batch| batch.records as usize).sum();
        let flying =
            Flying { ticket: ticket.number, size: weight(&ticket), records, has_offset: ticket.offset.is_some() };
        self.lock().flying.push_back(flying);
        for batch in &ticket.batches {
            self.hand_over_batch(kept, topics, batch, ticket.number)?;
        }
        if records == 0 && in_transaction.is_none() {
            self.advance();
        }
        Ok(())
    }

    fn hand_over_batch(
        &self,
        kept: &Kept,
        topics: &mut Topics,
        batch: &EncodedBatch,
        ticket: u64,
    ) -> Result<(), WriteError> {
        let unreadable = |error| WriteError::Definite(format!("topic {}: {error}", batch.topic));
        if !topics.contains_key(&batch.topic) {
            let handle = TopicHandle::new(kept, &batch.topic).map_err(|error| write_error(&error, &batch.topic))?;
            topics.insert(batch.topic.clone(), handle);
        }
        let topic = &topics[&batch.topic];
        let reader = RecordBatchReader::parse(&batch.bytes).map_err(unreadable)?;
        let mut scratch = Vec::new();
        for record in reader.records(&mut scratch, usize::MAX).map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            loop {
                match produce(kept, topic, batch.partition, &record, ticket) {
                    Ok(()) => break,
                    Err(error) if error.code == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL => {
                        // A single ticket may be larger than the queue: room comes with the deliveries.
                        if self.lock().ending {
                            return Err(WriteError::Transient("the writer has been ended".into()));
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(error) if error.code == Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE => {
                        return Err(too_large(&batch.topic, &record));
                    }
                    Err(error) => {
                        return Err(write_error(&kept.explained(error), &format!("topic {}", batch.topic)));
                    }
                }
            }
        }
        Ok(())
    }

    fn delivered(&self, delivery: Delivery) {
        let number = delivery.number as u64;
        let mut state = self.lock();
        match delivery.result {
            Ok(_) => {
                if let Some(flying) = state.flying.iter_mut().find(|flying| flying.ticket == number) {
                    flying.records -= 1;
                }
                drop(state);
                if self.transaction.is_none() {
                    self.advance();
                }
            }
            Err(_) if state.ending => {}
            // Follows from something else, which the writer's thread hears of.
            Err(error) if error.is_purge() && self.transaction.is_some() => {}
            Err(error) => {
                let error = match error.code {
                    Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE => WriteError::RecordTooLarge(format!(
                        "a record is larger than the topic takes: raise max.message.bytes of the topic ({error})"
                    )),
                    _ => write_error(&error, "writing"),
                };
                if self.transaction.is_some() {
                    state.refusal.get_or_insert(error);
                    return;
                }
                drop(state);
                self.fail(error);
            }
        }
    }

    /// Tickets whose records are all acknowledged, from the first on.
    fn advance(&self) {
        let mut state = self.lock();
        let mut durable = None;
        while state.flying.front().is_some_and(|flying| flying.records == 0) && state.error.is_none() {
            let flying = state.flying.pop_front().expect("seen above");
            state.bytes = state.bytes.saturating_sub(flying.size);
            durable = Some(flying.ticket);
        }
        // Told with the lock held: in order, whichever thread is here.
        if let Some(ticket) = durable {
            self.listener.durable(ticket, false);
            drop(state);
            self.changed.notify_all();
        }
    }

    fn committed(&self, last: u64, offset_stored: bool) {
        let mut state = self.lock();
        while state.flying.front().is_some_and(|flying| flying.ticket <= last) {
            let flying = state.flying.pop_front().expect("seen above");
            state.bytes = state.bytes.saturating_sub(flying.size);
            debug_assert!(!flying.has_offset || offset_stored, "the transaction has its tickets' offset");
        }
        self.listener.durable(last, offset_stored);
        drop(state);
        self.changed.notify_all();
    }

    /// Says so once; nothing is durable after it.
    fn fail(&self, error: WriteError) {
        let mut state = self.lock();
        state.error.get_or_insert_with(|| error.clone());
        let report = !state.is_reported && !state.ending;
        state.is_reported = true;
        drop(state);
        self.changed.notify_all();
        if report {
            self.listener.failed(error);
        }
    }
}

type Topics = BTreeMap<Arc<str>, TopicHandle>;

/// The number under which the offset record flies: no ticket's.
const OFFSET_NUMBER: usize = 0;

fn too_large(topic: &str, record: &RecordRef<'_>) -> WriteError {
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    WriteError::RecordTooLarge(format!(
        "a record of {bytes} bytes for topic {topic} is larger than max.request.size: raise \
         producer.override.max.request.size, and max.message.bytes of the topic"
    ))
}

fn produce(
    kept: &Kept,
    topic: &TopicHandle,
    partition: i32,
    record: &RecordRef<'_>,
    ticket: u64,
) -> Result<(), KeptError> {
    use rdsys::rd_kafka_vtype_t::*;
    let place = |bytes: Option<&[u8]>| bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    let (key, key_len) = place(record.key);
    let (value, value_len) = place(record.value);
    // SAFETY: the list is as the function wants it, ended by END; the client copies key, value and headers, and owns
    // the headers when it has taken the record.
    unsafe {
        let headers = rdsys::rd_kafka_headers_new(8);
        for header in record.headers() {
            let Ok((name, header_value)) = header else { break };
            let (header_value, header_len) = place(header_value);
            rdsys::rd_kafka_header_add(
                headers,
                name.as_ptr().cast(),
                name.len() as isize,
                header_value.cast(),
                header_len as isize,
            );
        }
        let code = rdsys::rd_kafka_producev(
            kept.ptr(),
            RD_KAFKA_VTYPE_RKT,
            topic.ptr,
            RD_KAFKA_VTYPE_PARTITION,
            partition,
            RD_KAFKA_VTYPE_MSGFLAGS,
            rdsys::RD_KAFKA_MSG_F_COPY,
            RD_KAFKA_VTYPE_KEY,
            key,
            key_len,
            RD_KAFKA_VTYPE_VALUE,
            value,
            value_len,
            RD_KAFKA_VTYPE_TIMESTAMP,
            record.timestamp_ms,
            RD_KAFKA_VTYPE_HEADERS,
            headers,
            RD_KAFKA_VTYPE_OPAQUE,
            ticket as usize,
            RD_KAFKA_VTYPE_END,
        );
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            rdsys::rd_kafka_headers_destroy(headers);
            return Err(KeptError::of_code(code));
        }
    }
    Ok(())
}
