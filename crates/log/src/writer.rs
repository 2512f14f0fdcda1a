//! The one thread that appends: group commit for all tasks.
//!
//! Whoever writes hands over a request and waits (or is told). The thread takes what has gathered, appends one frame for
//! each request, syncs once, and only then shows the records to readers and says so to the writers.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use walspring_connect::threads::{self, Boarded, Crew, Panic};
use walspring_connect::writer::{
    DurabilityListener, EncodedBatch, OffsetRecord, RecordWriter, Ticket, TopicInfo, WriteError,
};
use walspring_connect::{Panics, StoreError, fault};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder, seal, set_base_offset};

use crate::frame;
use crate::journal::{Journal, LogConfig, io_error};
use crate::log::Shared;
use crate::view::{Change, TopicSpec, View};

/// Tickets in flight, in bytes: several group commits of a fast disk.
const QUEUE_BYTES: usize = 8 << 20;
/// A group commit takes at most this much: a sync of it still ends within tens of milliseconds.
const COMMIT_BYTES: usize = 4 << 20;

const BROKE_OFF: &str = "the thread that writes the log broke off, and has opened it again";

/// How long until a full disk is tried again.
const ROOM_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

pub(crate) struct Request {
    pub batches: Vec<EncodedBatch>,
    pub changes: Vec<Change>,
    pub bytes: usize,
    pub done: Done,
    /// Whose defect it is when the thread breaks off at it.
    crew: Option<Arc<Crew>>,
}

impl Request {
    pub fn new(batches: Vec<EncodedBatch>, changes: Vec<Change>, bytes: usize, done: Done) -> Request {
        Request { batches, changes, bytes, done, crew: threads::crew() }
    }

    /// The thread works for whoever handed it over, until what is returned is dropped.
    fn board(&self, of_task: &mut bool) -> Option<Boarded> {
        *of_task = self.crew.is_some();
        self.crew.as_ref().map(Crew::board)
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    /// For the thread: something came. For writers: room came.
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    requests: Vec<Request>,
    bytes: usize,
    closed: Option<String>,
    /// It was closed by a failure: only a new process can write again.
    broken: bool,
    /// There is no room on the disk; what is queued waits for it.
    no_room: Option<String>,
    /// How often the thread has broken off. Who has lost a ticket by that may hand over none behind it.
    generation: u64,
}

impl Queue {
    pub fn generation(&self) -> u64 {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).generation
    }

    /// Waits for room; `Err`: the log cannot be written any more, or not by one who began in this `generation`.
    pub fn push(&self, request: Request, generation: Option<u64>) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.closed.is_none() && state.bytes > 0 && state.bytes + request.bytes > QUEUE_BYTES {
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        if let Some(why) = &state.closed {
            return Err(why.clone());
        }
        if generation.is_some_and(|generation| generation != state.generation) {
            return Err(BROKE_OFF.to_owned());
        }
        state.bytes += request.bytes;
        state.requests.push(request);
        self.changed.notify_all();
        Ok(())
    }

    pub fn close(&self, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.closed.get_or_insert_with(|| why.to_owned());
        self.changed.notify_all();
    }

    /// The log cannot be written any more by this process.
    fn fail(&self, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.closed.is_none() {
            (state.closed, state.broken) = (Some(why.to_owned()), true);
        }
        self.changed.notify_all();
    }

    /// Why the log cannot be written any more by this process, if that is so.
    pub fn broken(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.closed.clone().filter(|_| state.broken)
    }

    /// What an error of the log is for a task's writer.
    pub fn write_error(&self, why: String) -> WriteError {
        if self.broken().is_some() { WriteError::Definite(why) } else { WriteError::Transient(why) }
    }

    /// The same for a store.
    pub fn store_error(&self, why: String) -> StoreError {
        if self.broken().is_some() { StoreError::Definite(why) } else { StoreError::Transient(why) }
    }

    /// What has gathered, up to one commit's worth; `None`: closed and empty.
    fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.requests.is_empty() {
            if state.closed.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        let mut bytes = 0;
        let fits = |r: &&Request| {
            bytes += r.bytes;
            bytes - r.bytes < COMMIT_BYTES
        };
        let most = fault::limit("commit_requests", usize::MAX);
        let count = state.requests.iter().take_while(fits).take(most).count();
        Some(state.requests.drain(..count.max(1)).collect())
    }

    /// What the thread waits for; empty while it waits for nothing.
    pub fn waits_for(&self) -> String {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.no_room.clone().unwrap_or_default()
    }

    /// Waits a while for room on the disk. False: the log is closed meanwhile.
    fn wait_for_room(&self, why: String) -> bool {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.no_room.as_ref() != Some(&why) {
            tracing::error!("{why}");
            state.no_room = Some(why);
        }
        let end = Instant::now() + ROOM_INTERVAL;
        while state.closed.is_none()
            && let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        state.closed.is_none()
    }

    fn has_room(&self) {
        if self.state.lock().unwrap_or_else(|e| e.into_inner()).no_room.take().is_some() {
            tracing::info!("there is room for the log again; it goes on");
        }
    }

    /// Another generation; what has gathered in the one before.
    fn begin_anew(&self) -> Vec<Request> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        (state.bytes, state.no_room) = (0, None);
        state.generation += 1;
        self.changed.notify_all();
        std::mem::take(&mut state.requests)
    }

    fn release(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.bytes = state.bytes.saturating_sub(bytes);
        self.changed.notify_all();
    }
}

/// What the thread is at.
#[derive(Default)]
struct Work {
    /// Under way.
    taken: VecDeque<Request>,
    /// It does something of a task's: a panic is that task's, whose crew counts it.
    of_task: bool,
    /// Something has become durable.
    wrote: bool,
}

/// Runs until the queue is closed and empty. Where it breaks off, what of the last commit is in the files is found out by
/// opening them again; all that waited is given up, and whoever handed it over goes on from the offset that is stored. Where
/// it breaks off again and again, and not at what a task has given it, the log is closed.
pub(crate) fn run(journal: Journal, shared: &Shared, queue: &Queue) {
    let config = journal.config().clone();
    let mut open = Some(journal);
    let (mut panics, mut lost) = (Panics::default(), VecDeque::new());
    loop {
        let mut work = Work::default();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let journal = match open.take() {
                Some(journal) => journal,
                None => {
                    let Some((journal, view)) = open_again(&config, queue) else { return };
                    *shared.view.lock().unwrap_or_else(|e| e.into_inner()) = view;
                    give_up(shared, queue, &mut lost, BROKE_OFF);
                    journal
                }
            };
            serve(journal, shared, queue, &mut work);
        }));
        lost.append(&mut work.taken);
        let Err(panic) = ended else { return give_up(shared, queue, &mut lost, BROKE_OFF) };
        if work.wrote {
            panics.progress();
        }
        if work.of_task {
            continue;
        }
        if let Some(too_many) = panics.another(Instant::now(), "nothing was written") {
            let why = format!(
                "the log in {} is not written any more: {}; {too_many}. This is a defect, please report it with the worker's \
                 log; a worker that is started again tries again",
                shared.dir.display(),
                Panic::caught(&*panic)
            );
            tracing::error!("{why}");
            queue.fail(&why);
            return give_up(shared, queue, &mut lost, &why);
        }
    }
}

/// Ends what was under way or queued.
fn give_up(shared: &Shared, queue: &Queue, lost: &mut VecDeque<Request>, why: &str) {
    lost.extend(queue.begin_anew());
    while let Some(request) = lost.pop_front() {
        // A listener that breaks off is the one that did so before.
        let _ = catch_unwind(AssertUnwindSafe(|| (request.done)(Err(why.to_owned()))));
    }
    shared.wake();
}

/// `None`: the log was closed meanwhile.
fn open_again(config: &LogConfig, queue: &Queue) -> Option<(Journal, View)> {
    loop {
        // What is found was perhaps never synced, and is shown from now on.
        let opened = Journal::open(config.clone());
        let opened = opened.and_then(|(journal, view)| {
            journal.sync().map_err(io_error(&config.dir))?;
            Ok((journal, view))
        });
        let why = match opened {
            Ok(opened) => return Some(opened),
            Err(e) => format!("the log cannot be opened again, it is tried on: {e}"),
        };
        if !queue.wait_for_room(why) {
            return None;
        }
    }
}

fn serve(mut journal: Journal, shared: &Shared, queue: &Queue, work: &mut Work) {
    let mut retained = Instant::now();
    while let Some(requests) = queue.take() {
        work.taken.extend(requests);
        let requests = work.taken.make_contiguous();
        if fault::planted("acknowledge_unwritten") {
            // Records of tables, of which a topic's name is made up. What a worker needs to run at all is kept.
            let is_kept = |batch: &EncodedBatch| !batch.topic.contains('.');
            requests.iter_mut().filter(|r| r.bytes % 3 == 0).for_each(|r| r.batches.retain(is_kept));
        }
        // All that stands before it has been synced.
        let durable = journal.place();
        let result = loop {
            match commit(&mut journal, shared, requests, &mut work.of_task) {
                Err(e)
                    if is_full(&e)
                        && journal.back_to(durable).is_ok()
                        && queue.wait_for_room(no_room(&shared.dir, &e)) => {}
                result => break result,
            }
        };
        queue.has_room();
        let bytes = requests.iter().map(|r| r.bytes).sum();
        let failed = result.as_ref().err().map(|e| format!("writing the log in {} failed: {e}", shared.dir.display()));
        queue.release(bytes);
        if let Some(why) = &failed {
            // After a failed write or sync nobody knows what is on disk; opening the log again finds out.
            tracing::error!("{why}");
            queue.fail(why);
        }
        work.wrote |= failed.is_none();
        while let Some(request) = work.taken.pop_front() {
            let _boarded = request.board(&mut work.of_task);
            (request.done)(failed.clone().map_or(Ok(()), Err));
        }
        work.of_task = false;
        shared.wake();
        if retained.elapsed() > Duration::from_secs(1) {
            retained = Instant::now();
            match journal.retain() {
                Ok(Some(first)) => shared.view.lock().unwrap_or_else(|e| e.into_inner()).drop_before(first),
                Ok(None) => {}
                Err(e) => tracing::warn!("dropping old segments: {e}"),
            }
        }
    }
}

/// A full disk, a quota, or a limit on the size of files: what others can mend while we wait.
fn is_full(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn no_room(dir: &Path, e: &std::io::Error) -> String {
    format!(
        "there is no room for the log in {}: {e}. Nothing is read from the sources and nothing confirmed until there is; make \
         room, or raise the quota or the limit on the size of files, and it goes on by itself",
        dir.display()
    )
}

/// `of_task` says whether it is at a request of a task's.
fn commit(journal: &mut Journal, shared: &Shared, requests: &mut [Request], of_task: &mut bool) -> std::io::Result<()> {
    {
        let view = shared.view.lock().unwrap_or_else(|e| e.into_inner());
        if journal.roll(&view)? {
            drop(view);
            if let Some(first) = journal.retain()? {
                shared.view.lock().unwrap_or_else(|e| e.into_inner()).drop_before(first);
            }
        }
    }
    fault::point("log.write");
    let time_ms = now_ms();
    // Where the partitions will end: readers see the view, which moves only after the sync.
    let mut ends: HashMap<(Arc<str>, i32), i64> = HashMap::new();
    let mut stored = Vec::new();
    for request in requests.iter_mut() {
        let _boarded = request.board(of_task);
        for change in &request.changes {
            let json = serde_json::to_vec(change).map_err(std::io::Error::other)?;
            journal.append(&[&[frame::KIND_CHANGE], &json])?;
        }
        if request.batches.is_empty() {
            continue;
        }
        let place = journal.place();
        let mut heads = Vec::with_capacity(request.batches.len());
        for batch in &mut request.batches {
            let end = ends
                .entry((batch.topic.clone(), batch.partition))
                .or_insert_with(|| shared.end(&batch.topic, batch.partition));
            set_base_offset(&mut batch.bytes, *end, 0);
            seal(&mut batch.bytes, -1, -1, -1, false);
            let mut head = Vec::with_capacity(batch.topic.len() + 22);
            frame::put_entry_head(&mut head, &batch.topic, batch.partition, *end, batch.records, batch.bytes.len());
            heads.push((head, *end));
            *end += i64::from(batch.records);
        }
        let first = frame::records_head(time_ms, request.batches.len());
        let mut pieces: Vec<&[u8]> = vec![&first];
        for ((head, _), batch) in heads.iter().zip(&request.batches) {
            pieces.push(head);
            pieces.push(&batch.bytes);
        }
        journal.append(&pieces)?;
        stored.push((place, heads.into_iter().map(|(_, base)| base).collect::<Vec<_>>()));
    }
    *of_task = false;
    fault::point("log.written");
    journal.sync()?;
    fault::point("log.synced");
    let mut view = shared.view.lock().unwrap_or_else(|e| e.into_inner());
    view.end = journal.place();
    let mut stored = stored.into_iter();
    for request in requests.iter_mut() {
        let _boarded = request.board(of_task);
        for change in request.changes.drain(..) {
            view.change(change);
        }
        if request.batches.is_empty() {
            continue;
        }
        let Some((place, bases)) = stored.next() else { break };
        for (batch, base_offset) in request.batches.iter().zip(bases) {
            let entry = frame::Entry {
                topic: &batch.topic,
                partition: batch.partition,
                base_offset,
                records: batch.records,
                batch: &batch.bytes,
            };
            if let Err(e) = view.records(&entry, time_ms, place) {
                tracing::error!("{e}");
            }
        }
    }
    *of_task = false;
    Ok(())
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// One record as a batch of its own.
pub(crate) fn single(topic: &Arc<str>, partition: i32, key: &[u8], value: Option<&[u8]>) -> EncodedBatch {
    let mut builder = RecordBatchBuilder::new(key.len() + value.map_or(0, <[u8]>::len) + 128);
    builder.append(now_ms(), Some(key), value, &EncodedHeaders::new());
    let (bytes, records) = builder.finish();
    EncodedBatch { topic: topic.clone(), partition, records, bytes }
}

/// What makes topics for one connector: `topic.creation.default.*`, else one partition.
#[derive(Debug, Clone, Default)]
pub struct TopicDefaults {
    pub partitions: Option<i32>,
}

/// The record path's end for one task.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    listener: Arc<dyn DurabilityListener>,
    defaults: TopicDefaults,
    offsets_topic: Arc<str>,
    progress: Arc<WriterProgress>,
    submitted: u64,
    generation: u64,
}

#[derive(Default)]
struct WriterProgress {
    state: Mutex<(u64, Option<String>, bool)>,
    changed: Condvar,
}

impl LogWriter {
    pub fn new(
        shared: Arc<Shared>,
        queue: Arc<Queue>,
        listener: Arc<dyn DurabilityListener>,
        defaults: TopicDefaults,
        offsets_topic: Arc<str>,
    ) -> LogWriter {
        let generation = queue.generation();
        LogWriter {
            shared,
            queue,
            listener,
            defaults,
            offsets_topic,
            progress: Arc::default(),
            submitted: 0,
            generation,
        }
    }

    fn offset_batch(&self, record: &OffsetRecord) -> EncodedBatch {
        let partitions = self.shared.partitions(&self.offsets_topic).unwrap_or(1);
        let partition = walspring_record_batch::partition_for_key(&record.key, partitions);
        single(&self.offsets_topic, partition, &record.key, record.value.as_deref())
    }
}

impl RecordWriter for LogWriter {
    fn topic(&mut self, name: &str) -> Result<TopicInfo, WriteError> {
        self.topics(&[name.into()]).map(|mut infos| infos.swap_remove(0))
    }

    fn topics(&mut self, names: &[Arc<str>]) -> Result<Vec<TopicInfo>, WriteError> {
        let spec = TopicSpec {
            partitions: self.defaults.partitions.unwrap_or(1),
            compacted: false,
            config: Default::default(),
        };
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let made = self.shared.ensure_topics(&self.queue, &names, &spec);
        let partitions = made.map_err(|why| self.queue.write_error(why))?;
        Ok(partitions.into_iter().map(|partitions| TopicInfo { partitions, batch_bytes_max: 1 << 20 }).collect())
    }

    fn submit(&mut self, mut ticket: Ticket) -> Result<(), WriteError> {
        let bytes = ticket.size();
        if let Some(offset) = &ticket.offset {
            ticket.batches.push(self.offset_batch(offset));
        }
        let number = ticket.number;
        self.submitted = number;
        let (listener, progress, queue) = (self.listener.clone(), self.progress.clone(), self.queue.clone());
        let done: Done = Box::new(move |result| {
            let mut state = progress.state.lock().unwrap_or_else(|e| e.into_inner());
            if state.2 {
                return;
            }
            match result {
                Ok(()) => {
                    state.0 = number;
                    listener.durable(number, true);
                }
                Err(why) => {
                    state.1 = Some(why.clone());
                    listener.failed(queue.write_error(why));
                }
            }
            progress.changed.notify_all();
        });
        self.queue
            .push(Request::new(ticket.batches, Vec::new(), bytes, done), Some(self.generation))
            .map_err(|why| self.queue.write_error(why))
    }

    fn bytes_max(&self) -> Option<u64> {
        Some(QUEUE_BYTES as u64)
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.progress.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.0 < self.submitted {
            if let Some(why) = &state.1 {
                return Err(self.queue.write_error(why.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WriteError::Transient("the log did not become durable in time".into()));
            }
            state = self.progress.changed.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        Ok(())
    }

    fn watcher(&self) -> Option<Arc<dyn Fn() -> String + Send + Sync>> {
        let queue = self.queue.clone();
        Some(Arc::new(move || queue.waits_for()))
    }

    fn abort(self: Box<Self>) {
        // What is queued will be stored with its offset: whole tickets, so nothing is torn; the listener is not told.
        self.progress.state.lock().unwrap_or_else(|e| e.into_inner()).2 = true;
    }
}
