//! A member of a consumer group, on the kept client: what one task of a sink reads with.
//!
//! Partitions are given and taken in two steps. A poll says so; what the client waits for, that they are taken over or
//! given up, happens with the poll after it. So a caller may [`seek`](RecordConsumer::seek) before the first record comes,
//! and commit what it has before somebody else goes on from there.
//!
//! Invariants: no record comes of a partition that was not announced; after `seek`, `pause` and the loss of a partition
//! nothing comes that was fetched before. Records of aborted transactions never come, unless `isolation.level` says so.

use std::collections::HashMap;
use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_config::java_regex::JavaRegex;
use walspring_connect::{
    Consumed, ConsumedRecord, ConsumerRequest, RecordConsumer, StopToken, StoreError, TopicPartition, Topics,
};

use crate::client_config::{ClientConfigError, ClientOptions};
use crate::consumer::record;
use crate::group::partition_list::{self, NO_OFFSET, PartitionList};
use crate::group::rebalance::{self, Heard, Rebalance, Turn};
use crate::group::topic_watch::TopicWatch;
use crate::group::{errors, leaving, options};
use crate::kept::{Kept, KeptError, Kind, Until, millis, text};
use crate::keyed_log::store_error;

/// What one call to the client brings at most: 8 bytes each, and a look at the group between.
const BATCH_RECORDS_MAX: usize = 8192;
/// A commit that is not answered; the client has tried again until then.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a commit that waits looks whether it is still wanted.
const STOP_CHECK: Duration = Duration::from_millis(500);
/// A seek is no request: what answers is another thread of the client.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);
/// Leaving a group that does not answer; the broker finds out after the session's timeout.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// After this the client is taken for one whose farewell waits behind a share that it has asked for.
const LEAVE_ALONE: Duration = Duration::from_millis(200);

pub struct GroupConsumer {
    // Dropped in this order: what uses the client must not outlive it, nor the client what it calls back.
    watch: Option<TopicWatch>,
    queue: Queue,
    client: Arc<Kept>,
    heard: Arc<Heard>,
    group: String,
    /// For a farewell that the client cannot send itself.
    options: ClientOptions,
    stop: StopToken,
    records_max: usize,
    /// What was told to the caller, and is carried out with the next poll.
    announced: Option<Rebalance>,
    assigned: HashMap<TopicPartition, Assigned>,
    /// Seeks that the client could not carry out yet: it still asks where the partition begins.
    seeks: HashMap<TopicPartition, i64>,
    topics: HashMap<String, Arc<str>>,
    messages: Vec<*mut rdsys::rd_kafka_message_t>,
    /// Came after records that were returned first.
    error: Option<StoreError>,
    left: bool,
    /// `max.poll.interval.ms`, and whether it was over since partitions were last given.
    away_max: Duration,
    last_poll: Instant,
    was_away: bool,
}

// SAFETY: librdkafka's handles may be used from any thread; the pointers in `messages` do not outlive a call.
unsafe impl Send for GroupConsumer {}

struct Queue(*mut rdsys::rd_kafka_queue_t);

#[derive(Default)]
struct Assigned {
    /// Where reading begins, when `seek` has said so before it began.
    start: Option<i64>,
    /// What comes next, as far as it is known.
    position: Option<i64>,
    /// A record has come since it was given, or since the last seek: before that the client may still know an old place.
    read: bool,
    paused: bool,
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, before its client.
        unsafe { rdsys::rd_kafka_queue_destroy(self.0) };
    }
}

/// For other threads that only wake whoever waits.
struct Waker(*mut rdsys::rd_kafka_queue_t);

// SAFETY: a queue may be used from any thread; the watch, which has it, is dropped before the queue.
unsafe impl Send for Waker {}

impl Waker {
    fn wake(&self) {
        // SAFETY: as above.
        unsafe { rdsys::rd_kafka_queue_yield(self.0) };
    }
}

impl GroupConsumer {
    /// Subscribes; the group gives partitions with a later poll. Makes no request itself.
    pub fn join(options: &ClientOptions, request: ConsumerRequest) -> Result<Self, StoreError> {
        let ConsumerRequest { connector, task, group, topics, stop, .. } = request;
        let definite = |error: ClientConfigError| StoreError::Definite(error.to_string());
        let role = format!("connector-consumer-{connector}-{task}");
        let config = options::member_config(options, &role, &group).map_err(definite)?;
        let records_max = options::poll_records_max(options).map_err(definite)?;
        let away_max = config.get("max.poll.interval.ms").and_then(|ms| ms.parse().ok()).unwrap_or(300_000);
        let away_max = Duration::from_millis(away_max);
        let pattern = match &topics {
            Topics::Named(_) => None,
            Topics::Matching(pattern) => {
                Some(JavaRegex::new(pattern).map_err(|error| StoreError::Definite(format!("topics.regex: {error}")))?)
            }
        };
        let heard = Arc::<Heard>::default();
        let opened = Kept::open_with(Kind::Consumer, &config, options, None, |config| {
            // SAFETY: what is pointed at outlives the client, being a field behind it.
            unsafe {
                rdsys::rd_kafka_conf_set_opaque(config, Arc::as_ptr(&heard).cast_mut().cast());
                rdsys::rd_kafka_conf_set_rebalance_cb(config, Some(rebalance::on_rebalance));
            }
        });
        let client = Arc::new(opened.map_err(|error| store_error(&error, "the Kafka consumer"))?);
        // SAFETY: the handle lives.
        let queue = Queue(unsafe { rdsys::rd_kafka_queue_get_consumer(client.ptr()) });
        heard.set_queue(queue.0);
        let mut member = Self {
            watch: None,
            queue,
            client,
            heard,
            group,
            options: options.clone(),
            stop,
            records_max,
            announced: None,
            assigned: HashMap::new(),
            seeks: HashMap::new(),
            topics: HashMap::new(),
            messages: Vec::new(),
            error: None,
            left: false,
            away_max,
            last_poll: Instant::now(),
            was_away: false,
        };
        match (topics, pattern) {
            (Topics::Named(names), _) => member.subscribe(&names)?,
            (Topics::Matching(_), Some(pattern)) => {
                let internal_too =
                    options.get("exclude.internal.topics").is_some_and(|v| v.eq_ignore_ascii_case("false"));
                let every = options.get("metadata.max.age.ms").and_then(|ms| ms.parse().ok());
                let every = Duration::from_millis(every.unwrap_or(options::METADATA_AGE_MS).max(10));
                let waker = Waker(member.queue.0);
                let wake = move || waker.wake();
                member.watch = Some(TopicWatch::start(member.client.clone(), pattern, internal_too, every, wake)?);
            }
            (Topics::Matching(_), None) => {}
        }
        Ok(member)
    }

    fn subscribe(&self, topics: &[String]) -> Result<(), StoreError> {
        let failed = |error: KeptError| StoreError::Definite(format!("topics: {error}"));
        let list = PartitionList::of_topics(topics).map_err(failed)?;
        // SAFETY: the handle lives; the list is copied.
        let code = unsafe {
            if topics.is_empty() {
                rdsys::rd_kafka_unsubscribe(self.client.ptr())
            } else {
                rdsys::rd_kafka_subscribe(self.client.ptr(), list.ptr())
            }
        };
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(failed(KeptError::of_code(code))) }
    }

    /// Carries out what was announced: takes partitions over, or gives them up.
    fn settle(&mut self) -> Result<(), StoreError> {
        let Some(Rebalance { turn, partitions }) = self.announced.take() else { return Ok(()) };
        let outcome = match turn {
            Turn::Given => self.take_over(&partitions),
            Turn::Taken => self.give_up(&partitions),
            Turn::Lost => Ok(()),
        };
        outcome.map_err(|error| {
            let text = format!("group {}: {error}", self.group);
            if error.fatal { StoreError::Definite(text) } else { StoreError::Transient(text) }
        })
    }

    fn take_over(&mut self, partitions: &[TopicPartition]) -> Result<(), KeptError> {
        let start = |partition| self.assigned.get(partition).and_then(|assigned| assigned.start).unwrap_or(NO_OFFSET);
        let list = PartitionList::of_offsets(partitions.iter().map(|partition| (partition, start(partition))))?;
        rebalance::assign(&self.client, &list)?;
        let is_paused = |partition: &&TopicPartition| self.assigned.get(*partition).is_some_and(|a| a.paused);
        let paused: Vec<_> = partitions.iter().filter(is_paused).cloned().collect();
        self.set_paused(&paused, true)
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), KeptError> {
        // The client remembers for ever that a partition is paused; who is given it again expects it to run.
        let is_paused =
            |partition: &&TopicPartition| self.assigned.get(*partition).is_some_and(|assigned| assigned.paused);
        let paused: Vec<_> = partitions.iter().filter(is_paused).cloned().collect();
        let _ = self.set_paused(&paused, false);
        for partition in partitions {
            self.assigned.remove(partition);
            self.seeks.remove(partition);
        }
        rebalance::unassign(&self.client, &PartitionList::of_partitions(partitions)?)
    }

    /// What the group has said, for the caller to hear.
    fn announce(&mut self) -> Result<Option<Consumed>, StoreError> {
        let Some(mut rebalance) = self.heard.take() else { return Ok(None) };
        // The client says so only when it had not begun to take them before.
        if rebalance.turn == Turn::Taken && self.was_away {
            rebalance.turn = Turn::Lost;
        }
        self.was_away = false;
        let partitions = rebalance.partitions.clone();
        tracing::debug!(group = self.group, turn = ?rebalance.turn, ?partitions, "rebalance");
        let turn = rebalance.turn;
        self.announced = Some(rebalance);
        match turn {
            Turn::Given => {
                for partition in &partitions {
                    let topic =
                        self.topics.entry(partition.topic.to_string()).or_insert_with(|| partition.topic.clone());
                    let partition = TopicPartition { topic: topic.clone(), partition: partition.partition };
                    self.assigned.insert(partition, Assigned::default());
                }
            }
            Turn::Taken => {}
            Turn::Lost => {
                self.announced = None;
                self.give_up(&partitions)
                    .map_err(|error| StoreError::Transient(format!("group {}: {error}", self.group)))?;
            }
        }
        // A first round without a partition for us is nothing to hear of, but is answered.
        if partitions.is_empty() {
            self.settle()?;
            return Ok(None);
        }
        Ok(Some(match turn {
            Turn::Given => Consumed::Assigned(partitions),
            Turn::Taken => Consumed::Revoked(partitions),
            Turn::Lost => Consumed::Lost(partitions),
        }))
    }

    /// Takes what has come, at most `count`, waiting for the first.
    fn take(&mut self, into: &mut Vec<ConsumedRecord>, count: usize, wait_ms: i32) -> Result<(), StoreError> {
        let count = count.min(BATCH_RECORDS_MAX);
        self.messages.resize(self.messages.len().max(count), ptr::null_mut());
        // SAFETY: there is room for as many; each message is used before it is destroyed, once.
        let taken =
            unsafe { rdsys::rd_kafka_consume_batch_queue(self.queue.0, wait_ms, self.messages.as_mut_ptr(), count) };
        let taken = usize::try_from(taken).map_err(|_| {
            // SAFETY: the last error belongs to this thread.
            let error = KeptError::of_code(unsafe { rdsys::rd_kafka_last_error() });
            StoreError::Transient(format!("group {}: {error}", self.group))
        })?;
        into.reserve(taken);
        let messages = std::mem::take(&mut self.messages);
        let mut run = Run::default();
        for &message in &messages[..taken] {
            // SAFETY: as above.
            unsafe {
                match (*message).err {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                        if !run.is_of(message) {
                            self.end(&run);
                            run = self.begin(message);
                        }
                        run.position = Some((*message).offset + 1);
                        if run.wanted {
                            into.push(record(message, &run.topic));
                        }
                    }
                    code => {
                        self.end(&run);
                        run = Run::default();
                        self.error_came(code, message);
                    }
                }
                rdsys::rd_kafka_message_destroy(message);
            }
        }
        self.end(&run);
        self.messages = messages;
        Ok(())
    }

    /// The partition of which records come now.
    ///
    /// # Safety
    /// `message` is one of a partition.
    unsafe fn begin(&mut self, message: *const rdsys::rd_kafka_message_t) -> Run {
        // SAFETY: the caller's promise; a topic's name is a C text.
        let (handle, partition, name) = unsafe {
            let handle = (*message).rkt;
            (handle, (*message).partition, CStr::from_ptr(rdsys::rd_kafka_topic_name(handle)).to_string_lossy())
        };
        let topic = match self.topics.get(name.as_ref()) {
            Some(topic) => topic.clone(),
            None => Arc::from(name.as_ref()),
        };
        let key = TopicPartition { topic: topic.clone(), partition };
        let wanted = self.assigned.contains_key(&key) && !self.seeks.contains_key(&key);
        Run { handle, partition, topic, wanted, position: None }
    }

    fn end(&mut self, run: &Run) {
        let Some(position) = run.position.filter(|_| run.wanted) else { return };
        let key = TopicPartition { topic: run.topic.clone(), partition: run.partition };
        if let Some(assigned) = self.assigned.get_mut(&key) {
            assigned.position = Some(position);
            assigned.read = true;
        }
    }

    /// # Safety
    /// `message` is an error.
    unsafe fn error_came(&mut self, code: Code, message: *const rdsys::rd_kafka_message_t) {
        // SAFETY: the caller's promise; a topic's name is a C text.
        let (topic, reason) = unsafe {
            let handle = (*message).rkt;
            let topic = if handle.is_null() { String::new() } else { text(rdsys::rd_kafka_topic_name(handle)) };
            (topic, text(rdsys::rd_kafka_message_errstr(message)))
        };
        // SAFETY: as above.
        let (partition, offset) = unsafe { ((*message).partition, (*message).offset) };
        let at = TopicPartition { topic: topic.as_str().into(), partition };
        if offset >= 0
            && let Some(assigned) = self.assigned.get_mut(&at)
        {
            // A batch takes an error for a record that was read, and the client would go on behind it.
            let position = assigned.position.unwrap_or(offset);
            assigned.read = false;
            self.seeks.entry(at).or_insert(position);
        }
        let error = self.client.explained(KeptError { text: reason, ..KeptError::of_code(code) });
        match errors::of_reading(&error, &topic, &self.group) {
            Some(error) => {
                self.error.get_or_insert(error);
            }
            None if code == Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                tracing::warn!(group = self.group, topic, "there is no such topic; waiting for it");
            }
            None => tracing::debug!(group = self.group, topic, %error, "the Kafka consumer goes on"),
        }
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), KeptError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = PartitionList::of_partitions(partitions)?;
        // SAFETY: the handles live.
        unsafe {
            if paused {
                rdsys::rd_kafka_pause_partitions(self.client.ptr(), list.ptr());
            } else {
                rdsys::rd_kafka_resume_partitions(self.client.ptr(), list.ptr());
            }
        }
        list.check().map_err(|(_, error)| error)
    }

    fn pause_or_resume(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), StoreError> {
        for partition in partitions {
            self.check_assigned(partition)?.paused = paused;
        }
        let waits = self.waiting_partitions();
        let now: Vec<_> = partitions.iter().filter(|partition| !waits.contains(partition)).cloned().collect();
        self.set_paused(&now, paused)
            .map_err(|error| StoreError::Transient(format!("partitions of group {} : {error}", self.group)))
    }

    fn check_assigned(&mut self, partition: &TopicPartition) -> Result<&mut Assigned, StoreError> {
        let TopicPartition { topic, partition: number } = partition;
        self.assigned
            .get_mut(partition)
            .ok_or_else(|| StoreError::Transient(format!("{topic}-{number} is not assigned to this consumer")))
    }

    /// Those that were announced and are not taken over yet.
    fn waiting_partitions(&self) -> &[TopicPartition] {
        match &self.announced {
            Some(Rebalance { turn: Turn::Given, partitions }) => partitions,
            _ => &[],
        }
    }

    /// Moves positions behind what is no record, such as the end of a transaction: the client counts it as read when what
    /// is before it has been taken.
    fn pass_markers(&mut self) {
        let known: Vec<_> = self.assigned.iter().filter(|(_, assigned)| assigned.read).collect();
        let list = PartitionList::of_offsets(known.into_iter().map(|(partition, _)| (partition, NO_OFFSET)));
        let Ok(list) = list else { return };
        // SAFETY: the handles live. No request is made.
        unsafe { rdsys::rd_kafka_position(self.client.ptr(), list.ptr()) };
        for element in list.elements() {
            if element.offset < 0 || self.seeks.contains_key(&element.partition) {
                continue;
            }
            if let Some(assigned) = self.assigned.get_mut(&element.partition) {
                assigned.position = assigned.position.max(Some(element.offset));
            }
        }
    }

    /// Carries out seeks that were too early; what comes of their partitions until then is passed over.
    fn seek_now(&mut self) -> Result<(), StoreError> {
        if self.seeks.is_empty() {
            return Ok(());
        }
        let failed = |error: KeptError| StoreError::Transient(format!("seek: {error}"));
        let list = PartitionList::of_offsets(self.seeks.iter().map(|(partition, offset)| (partition, *offset)));
        let list = list.map_err(failed)?;
        // SAFETY: the handles live; the error is ours.
        let error = unsafe {
            KeptError::take(rdsys::rd_kafka_seek_partitions(self.client.ptr(), list.ptr(), millis(SEEK_TIMEOUT)))
        };
        error.map_err(failed)?;
        for element in list.elements() {
            match element.code {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    self.seeks.remove(&element.partition);
                }
                Code::RD_KAFKA_RESP_ERR__STATE
                | Code::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS
                | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS
                | Code::RD_KAFKA_RESP_ERR__TIMED_OUT => {}
                code => return Err(failed(KeptError::of_code(code))),
            }
        }
        Ok(())
    }

    fn wait_for_commit(&self, queue: &Queue) -> Result<(), StoreError> {
        let until = Until::after(COMMIT_TIMEOUT);
        loop {
            // SAFETY: an event is used before it is destroyed, once; its list lives as long as it.
            let outcome = unsafe {
                let event = rdsys::rd_kafka_queue_poll(queue.0, millis(until.left().min(STOP_CHECK)));
                if event.is_null() {
                    if !until.is_over() && !self.stop.is_stopped() {
                        continue;
                    }
                    let error = self.client.explained(KeptError::timed_out("a commit"));
                    return Err(errors::of_commit(&error, &self.group));
                }
                let whole = rdsys::rd_kafka_event_error(event);
                let reason = text(rdsys::rd_kafka_event_error_string(event));
                let list = rdsys::rd_kafka_event_topic_partition_list(event);
                let codes: Vec<_> = partition_list::elements(list).into_iter().map(|element| element.code).collect();
                rdsys::rd_kafka_event_destroy(event);
                let failed = codes.into_iter().find(|code| *code != Code::RD_KAFKA_RESP_ERR_NO_ERROR);
                match (whole, failed) {
                    (Code::RD_KAFKA_RESP_ERR_NO_ERROR, None) => Ok(()),
                    (Code::RD_KAFKA_RESP_ERR_NO_ERROR, Some(code)) => Err(KeptError::of_code(code)),
                    (code, _) => Err(KeptError { text: reason, ..KeptError::of_code(code) }),
                }
            };
            return outcome.map_err(|error| errors::of_commit(&self.client.explained(error), &self.group));
        }
    }

    fn poll_inside(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        room: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError> {
        let until = Until::after(wait);
        let before = into.len();
        self.settle()?;
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if let Some(names) = self.watch.as_ref().and_then(TopicWatch::news) {
            tracing::debug!(group = self.group, topics = ?names, "topics that match");
            self.subscribe(&names)?;
        }
        let mut wait_ms = 0;
        loop {
            self.seek_now()?;
            if self.heard.is_empty() {
                // The client waits until as many have come as were asked for: so one is waited for, not many.
                self.take(into, if wait_ms == 0 { room } else { 1 }, wait_ms)?;
                if wait_ms > 0 && into.len() > before && room > 1 {
                    self.take(into, room - 1, 0)?;
                }
            }
            if into.len() > before {
                return Ok(Consumed::Records);
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if let Some(announced) = self.announce()? {
                return Ok(announced);
            }
            if let Some(names) = self.watch.as_ref().and_then(TopicWatch::news) {
                self.subscribe(&names)?;
            }
            if until.is_over() {
                return Ok(Consumed::Nothing);
            }
            wait_ms = millis(until.left());
            if !self.seeks.is_empty() {
                wait_ms = wait_ms.min(10);
            }
        }
    }

    /// Who the group says that we are, once it has.
    fn member_id(&self) -> Option<String> {
        // SAFETY: the handle lives; the text is ours, and freed once.
        let id = unsafe {
            let id = rdsys::rd_kafka_memberid(self.client.ptr());
            let copy = text(id);
            if !id.is_null() {
                rdsys::rd_kafka_mem_free(self.client.ptr(), id.cast());
            }
            copy
        };
        (!id.is_empty()).then_some(id)
    }

    /// Leaves the group, once, and waits until the broker knows.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        self.watch = None;
        // What the client still waits for is answered when it knows that this is the end: before, it would ask the group
        // for a new share, and could not leave before it has one.
        let mut waiting: Vec<_> = self.announced.take().into_iter().collect();
        waiting.extend(std::iter::from_fn(|| self.heard.take()));
        let now = Instant::now();
        let (alone_until, until) = (now + LEAVE_ALONE, now + LEAVE_TIMEOUT);
        let mut member_id = leaving::is_possible(&self.options).then(|| self.member_id()).flatten();
        // SAFETY: the handles live; each event is destroyed once.
        unsafe {
            let queue = Queue(rdsys::rd_kafka_queue_new(self.client.ptr()));
            if KeptError::take(rdsys::rd_kafka_consumer_close_queue(self.client.ptr(), queue.0)).is_err() {
                return;
            }
            for Rebalance { partitions, .. } in waiting {
                if let Ok(list) = PartitionList::of_partitions(&partitions) {
                    let _ = rebalance::unassign(&self.client, &list);
                }
            }
            while rdsys::rd_kafka_consumer_closed(self.client.ptr()) == 0 && Instant::now() < until {
                let event = rdsys::rd_kafka_queue_poll(queue.0, 100);
                if event.is_null() {
                    if Instant::now() >= alone_until
                        && let Some(member_id) = member_id.take()
                        && let Err(reason) = leaving::leave(&self.options, &self.group, &member_id, LEAVE_TIMEOUT / 2)
                    {
                        tracing::debug!(group = self.group, reason, "the group was not left");
                    }
                    continue;
                }
                if rdsys::rd_kafka_event_type(event) == rdsys::RD_KAFKA_EVENT_REBALANCE {
                    let list = PartitionList::copy_of(rdsys::rd_kafka_event_topic_partition_list(event));
                    let _ = rebalance::unassign(&self.client, &list);
                }
                rdsys::rd_kafka_event_destroy(event);
            }
        }
    }
}

/// Records of one partition that came one after the other.
#[derive(Default)]
struct Run {
    handle: *mut rdsys::rd_kafka_topic_t,
    partition: i32,
    topic: Arc<str>,
    /// Still assigned, and no seek waits.
    wanted: bool,
    position: Option<i64>,
}

impl Run {
    /// # Safety
    /// `message` is one of a partition.
    unsafe fn is_of(&self, message: *const rdsys::rd_kafka_message_t) -> bool {
        // SAFETY: the caller's promise. Handles that are alive at once differ.
        unsafe { (*message).rkt == self.handle && (*message).partition == self.partition }
    }
}

impl RecordConsumer for GroupConsumer {
    fn poll(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        records_max: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError> {
        self.was_away |= self.last_poll.elapsed() > self.away_max;
        let outcome = self.poll_inside(into, records_max.min(self.records_max).max(1), wait);
        self.last_poll = Instant::now();
        outcome
    }

    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), StoreError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let failed = |error: KeptError| errors::of_commit(&error, &self.group);
        let list = PartitionList::of_offsets(offsets.iter().map(|(partition, offset)| (partition, *offset)));
        let list = list.map_err(failed)?;
        // SAFETY: the handles live; the list is copied; an answer that comes too late is freed with the queue.
        unsafe {
            let queue = Queue(rdsys::rd_kafka_queue_new(self.client.ptr()));
            match rdsys::rd_kafka_commit_queue(self.client.ptr(), list.ptr(), queue.0, None, ptr::null_mut()) {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => self.wait_for_commit(&queue),
                code => Err(failed(self.client.explained(KeptError::of_code(code)))),
            }
        }
    }

    fn seek(&mut self, partition: &TopicPartition, kafka_offset: i64) -> Result<(), StoreError> {
        let waits = self.waiting_partitions().contains(partition);
        let assigned = self.check_assigned(partition)?;
        assigned.position = Some(kafka_offset);
        assigned.read = false;
        if waits {
            assigned.start = Some(kafka_offset);
            return Ok(());
        }
        self.seeks.insert(partition.clone(), kafka_offset);
        self.seek_now()
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        self.pause_or_resume(partitions, true)
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError> {
        self.pause_or_resume(partitions, false)
    }

    fn lag(&mut self) -> Vec<(TopicPartition, u64)> {
        let mut lags = Vec::with_capacity(self.assigned.len());
        for (partition, position) in self.positions() {
            let Ok(topic) = std::ffi::CString::new(&*partition.topic) else { continue };
            let (mut low, mut high) = (0, 0);
            // SAFETY: the handle lives; the numbers are written.
            let code = unsafe {
                let (client, number) = (self.client.ptr(), partition.partition);
                rdsys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), number, &mut low, &mut high)
            };
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 {
                lags.push((partition, u64::try_from(high - position).unwrap_or(0)));
            }
        }
        lags
    }

    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        self.pass_markers();
        let known = |(partition, assigned): (&TopicPartition, &Assigned)| Some((partition.clone(), assigned.position?));
        self.assigned.iter().filter_map(known).collect()
    }

    fn close(mut self: Box<Self>) {
        self.leave();
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}
