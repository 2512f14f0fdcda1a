//! A task: batches of records as requests, one after the other.
//!
//! A request that is refused is halved until the records are known that it is refused for. What was sent before a request
//! has to be tried again is remembered, so that the service gets it once.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use walspring_connect::{
    CONNECT_EXCEPTION, Outcome, PutError, SinkRecord, SinkTask, StopToken, TaskError, TopicPartition,
};
use walspring_converters::json::JsonConverter;

use crate::client::HttpClient;
use crate::config::{HttpSinkConfig, OnError};
use crate::request::{Prepared, Step, joins, poison, prepare, request};
use crate::status::{Meaning, meaning};

const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";
/// A put that takes longer ends between two requests, and goes on when it is called again: a member of a consumer group
/// has to be heard of within `max.poll.interval.ms`, by default five minutes.
const PUT_TIME_MAX: Duration = Duration::from_secs(100);
/// A put waits no longer than this for a `Retry-After` to pass: the runtime keeps the group's membership between puts.
const WAIT_MAX: Duration = Duration::from_secs(1);

pub struct HttpSinkTask {
    config: HttpSinkConfig,
    client: HttpClient,
    json: JsonConverter,
    stop: StopToken,
    /// Of a put that failed: what is done with already.
    done: HashMap<Place, Done>,
    /// How often in a row a request had to be tried again.
    failures: u32,
    put_time_max: Duration,
    /// When the put began, once it has sent something.
    sending_since: Option<Instant>,
    /// Not before this is anything sent, and why.
    pause: Option<(Instant, TaskError)>,
}

/// Topic, partition, offset.
type Place = (Arc<str>, i32, i64);

#[derive(Debug, Clone)]
enum Done {
    Sent(Outcome),
    Poison(TaskError),
}

/// Why a request was not taken.
enum Failure {
    Task(TaskError),
    Refused(u16),
}

impl HttpSinkTask {
    /// `poll_interval`: `max.poll.interval.ms` of the group, if it is not the usual one.
    pub fn new(
        config: HttpSinkConfig,
        client: HttpClient,
        stop: StopToken,
        poll_interval: Option<Duration>,
    ) -> HttpSinkTask {
        HttpSinkTask {
            json: JsonConverter::new(config.body.json_options()),
            config,
            client,
            stop,
            done: HashMap::new(),
            failures: 0,
            put_time_max: poll_interval.map_or(PUT_TIME_MAX, |interval| PUT_TIME_MAX.min(interval / 3)),
            sending_since: None,
            pause: None,
        }
    }

    /// Sends records that share a request, in parts if it is refused.
    fn send(&mut self, batch: &[Prepared]) -> Result<(), TaskError> {
        match self.attempt(batch) {
            Ok(()) => {
                for record in batch {
                    let outcome = if record.delete { Outcome::Delete } else { Outcome::Send };
                    self.done.insert(place(record), Done::Sent(outcome));
                }
                Ok(())
            }
            Err(Failure::Task(error)) => Err(error),
            Err(Failure::Refused(_)) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                self.send(first)?;
                self.send(second)
            }
            Err(Failure::Refused(status)) => {
                let error = poison(&format!("{} refuses it with status {status}", self.client.place()));
                for record in batch {
                    let done = self.given_up(record, &error);
                    self.done.insert(place(record), done);
                }
                Ok(())
            }
        }
    }

    fn given_up(&self, record: &Prepared, error: &TaskError) -> Done {
        let (topic, partition, offset) = (&*record.topic, record.partition, record.kafka_offset);
        match self.config.on_error {
            OnError::Fail => return Done::Poison(error.clone()),
            OnError::Log => tracing::warn!(topic, partition, offset, %error, "a refused record is left out"),
            OnError::Ignore => {}
        }
        Done::Sent(Outcome::Ignore)
    }

    fn attempt(&mut self, batch: &[Prepared]) -> Result<(), Failure> {
        if self.stop.is_stopped() {
            return Err(Failure::Task(TaskError::transient(RETRIABLE_EXCEPTION, "The task is being stopped")));
        }
        let since = *self.sending_since.get_or_insert_with(Instant::now);
        if !self.done.is_empty() && since.elapsed() > self.put_time_max {
            let message = format!("{} is slow: the rest of the batch follows", self.client.place());
            return Err(Failure::Task(TaskError::transient(RETRIABLE_EXCEPTION, message)));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let request = request(&self.config, batch, now).map_err(Failure::Task)?;
        let answer = match self.client.send(request) {
            Ok(answer) => answer,
            Err(error) if error.is_transient() => return Err(Failure::Task(self.again(error, None))),
            Err(error) => return Err(Failure::Task(error)),
        };
        let status = answer.status;
        match meaning(status, &self.config.retry.statuses, self.config.url.is_constant()) {
            Meaning::Done => {
                self.failures = 0;
                Ok(())
            }
            Meaning::Again => {
                let message = format!("{} answers with status {status}", self.client.place());
                let error = TaskError::transient(RETRIABLE_EXCEPTION, message);
                Err(Failure::Task(self.again(error, answer.retry_after)))
            }
            Meaning::Misconfigured(why) => {
                let message = format!("{} answers with status {status}: {why}", self.client.place());
                let options = match status {
                    401 | 403 => self.config.authorization_options,
                    _ => self.config.url_option,
                };
                Err(Failure::Task(TaskError::definite(CONNECT_EXCEPTION, message).hint(format!("see {options}"))))
            }
            Meaning::Refused => Err(Failure::Refused(status)),
        }
    }

    /// Counts a failure that goes away by itself, and says when to try again.
    fn again(&mut self, error: TaskError, after: Option<Duration>) -> TaskError {
        self.failures = self.failures.saturating_add(1);
        if let Some(max) = self.config.retry.max.filter(|max| self.failures > *max) {
            let message = format!("Gave up after {max} retries: {}", error.message);
            return TaskError::definite(CONNECT_EXCEPTION, message)
                .hint("leave max.retries out to try for as long as it takes");
        }
        let wait = after.unwrap_or_default().min(self.config.retry.after_max).max(self.config.retry.backoff);
        if !wait.is_zero() {
            self.pause = Some((Instant::now() + wait, error.clone()));
        }
        error
    }

    /// Waits a little for a pause to end; the pause's reason if it goes on.
    fn wait(&mut self) -> Result<(), TaskError> {
        let start = Instant::now();
        while let Some((until, error)) = &self.pause {
            let now = Instant::now();
            if now >= *until {
                self.pause = None;
                break;
            }
            if self.stop.is_stopped() || now - start >= WAIT_MAX {
                return Err(error.clone());
            }
            thread::sleep((*until - now).min(Duration::from_millis(50)));
        }
        Ok(())
    }

    fn put_all(&mut self, records: &[SinkRecord], poison: &mut Vec<(usize, TaskError)>) -> Result<(), TaskError> {
        let mut batch: Vec<Prepared> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if self.done.contains_key(&place_of(record)) {
                continue;
            }
            match prepare(&self.config, &self.json, record) {
                Ok(Step::Ignore) => {}
                Ok(Step::Send(next)) => {
                    if !joins(&self.config, &batch, &next) {
                        self.send(&batch)?;
                        batch.clear();
                    }
                    batch.push(next);
                }
                Err(error) => poison.push((index, error)),
            }
        }
        if batch.is_empty() { Ok(()) } else { self.send(&batch) }
    }
}

impl SinkTask for HttpSinkTask {
    fn open(&mut self, _: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>, TaskError> {
        // Where reading begins anew, everything is to be sent anew.
        self.done.clear();
        Ok(Vec::new())
    }

    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
        self.wait()?;
        self.sending_since = None;
        let mut poison = Vec::new();
        self.put_all(records, &mut poison)?;
        for (index, record) in records.iter().enumerate() {
            match self.done.remove(&place_of(record)) {
                Some(Done::Sent(outcome)) => outcomes.push(outcome),
                Some(Done::Poison(error)) => {
                    outcomes.push(Outcome::Ignore);
                    poison.push((index, error));
                }
                None => outcomes.push(Outcome::Ignore),
            }
        }
        // What is left was sent by a put of more records than this one; their turn comes.
        if poison.is_empty() {
            return Ok(());
        }
        poison.sort_by_key(|(index, _)| *index);
        Err(PutError::Named(poison))
    }

    fn close(&mut self, _: &[TopicPartition]) {
        self.done.clear();
    }
}

fn place(record: &Prepared) -> Place {
    (record.topic.clone(), record.partition, record.kafka_offset)
}

fn place_of(record: &SinkRecord) -> Place {
    (record.origin.topic.clone(), record.origin.partition, record.origin.kafka_offset)
}
