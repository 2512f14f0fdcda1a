//! Sends a bulk request until each of its items has an answer that will not change: written, superseded or refused.
//!
//! Only what failed is sent again, for as often and as long as `max.retries` and `flush.timeout.ms` say. Then the batch is
//! given back as transient: the runtime puts all of it again, which the versions make harmless.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use walspring_connect::{CONNECT_EXCEPTION, Outcome, StopToken, TaskError};

use crate::bulk::{self, Action, Bulk, ItemAnswer};
use crate::client::{Client, Method, Question, RETRIABLE_EXCEPTION};
use crate::rejection::ErrorAnswer;

/// What became of a record, finally.
#[derive(Debug)]
pub enum Verdict {
    Done(Outcome),
    /// The cluster has this or a newer version of the document.
    Superseded,
    Refused(ErrorAnswer),
    /// Larger than the cluster takes, alone in its request.
    TooLarge,
}

#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    pub retries: u32,
    pub backoff: Duration,
    pub at_most: Duration,
}

const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How soon a task hears that it should end.
const STOP_STEP: Duration = Duration::from_millis(50);

/// One verdict for each item, with its number in the bulk. An error says that some items have no answer yet; what was
/// written stays written.
pub fn write(
    client: &mut Client,
    bulk: &Bulk,
    policy: RetryPolicy,
    stop: &StopToken,
) -> Result<Vec<(usize, Verdict)>, TaskError> {
    let mut verdicts = Vec::with_capacity(bulk.len());
    let mut scratch = Vec::new();
    let mut groups = VecDeque::from([(0..bulk.len()).collect::<Vec<usize>>()]);
    let (deadline, mut attempts) = (Instant::now() + policy.at_most, 0);
    while let Some(group) = groups.pop_front() {
        let sent = send(client, bulk, &group, &mut scratch);
        let (again, why) = match sent {
            Ok(Sent::Answered(answers)) => sort(client, bulk, &group, answers, &mut verdicts)?,
            Ok(Sent::TooLarge) if group.len() > 1 => {
                let (first, second) = group.split_at(group.len() / 2);
                groups.push_front(second.to_vec());
                groups.push_front(first.to_vec());
                continue;
            }
            Ok(Sent::TooLarge) => {
                verdicts.extend(group.into_iter().map(|item| (item, Verdict::TooLarge)));
                continue;
            }
            Err(error) if error.is_transient() => (group, Some(error)),
            Err(error) => return Err(error),
        };
        let Some(why) = why else { continue };
        attempts += 1;
        let pause = policy.backoff.saturating_mul(1 << (attempts - 1).min(16)).min(BACKOFF_MAX);
        if attempts > policy.retries || Instant::now() + pause > deadline || !wait(pause, stop) {
            return Err(why);
        }
        // Before what has not been sent yet: an earlier record of a document is not written after a later one.
        groups.push_front(again);
    }
    Ok(verdicts)
}

enum Sent {
    Answered(Vec<ItemAnswer>),
    TooLarge,
}

fn send(client: &mut Client, bulk: &Bulk, items: &[usize], scratch: &mut Vec<u8>) -> Result<Sent, TaskError> {
    let body = bulk.body_of(items, scratch);
    let question = Question {
        method: Method::Post,
        path: bulk::PATH,
        content_type: "application/x-ndjson",
        body,
        about_index: false,
    };
    let answer = client.ask(&question)?;
    match answer.status {
        200 => match bulk::answers(&answer.body, items.len()) {
            Some(answers) => Ok(Sent::Answered(answers)),
            None => Err(whole_error(client, "a bulk request", 200, &[])),
        },
        413 => Ok(Sent::TooLarge),
        status => Err(whole_error(client, "a bulk request", status, &answer.body)),
    }
}

/// An answer that is an error, of a request that is not about single items.
pub fn whole_error(client: &Client, what: &str, status: u16, body: &[u8]) -> TaskError {
    let node = client.node();
    let shown = ErrorAnswer::of_body(body).shown(&|_| false);
    let definite = |hint: &str| {
        TaskError::definite(CONNECT_EXCEPTION, format!("{node} refuses {what}: HTTP {status}, {shown}")).hint(hint)
    };
    match status {
        200 => transient(client, format!("answers {what} with something else")),
        401 => definite("set connection.username and connection.password to a user of the cluster"),
        403 => definite(
            "the user needs to write to the connector's indices and to create them (OpenSearch: the action groups write, create_index and manage)",
        ),
        408 | 429 | 500..=599 => transient(client, format!("answers {what} with HTTP {status}, {shown}")),
        300..=399 => definite("redirects are not followed; connection.url has to name the cluster itself"),
        404 | 405 => {
            definite("connection.url has to lead to an OpenSearch or Elasticsearch cluster of version 7 or later")
        }
        _ => definite("see the cluster's log for what it could not read"),
    }
}

fn transient(client: &Client, what: String) -> TaskError {
    TaskError::transient(RETRIABLE_EXCEPTION, format!("{} {what}", client.node()))
}

/// Which items to send again, and why, if there are any.
fn sort(
    client: &Client,
    bulk: &Bulk,
    group: &[usize],
    answers: Vec<ItemAnswer>,
    verdicts: &mut Vec<(usize, Verdict)>,
) -> Result<(Vec<usize>, Option<TaskError>), TaskError> {
    let (mut again, mut why) = (Vec::new(), None);
    for (&number, answer) in group.iter().zip(answers) {
        let action = bulk.item(number).action;
        if !again.is_empty() && bulk.is_ordered() {
            // Behind one that failed: written again after it, so that the last one is the last.
            again.push(number);
            continue;
        }
        let verdict = match (answer.status, answer.error.kind()) {
            (200..=299, _) => Verdict::Done(done(action, answer.not_found)),
            (404, _) if answer.not_found => Verdict::Done(done(action, true)),
            (409, "version_conflict_engine_exception") if action != Action::Upsert => Verdict::Superseded,
            // A write block, such as that of a full disk, goes away; so does an index that is made again.
            (408 | 409 | 429 | 500..=599, _) | (_, "cluster_block_exception") | (404, "index_not_found_exception") => {
                let kind = answer.error.kind();
                let _ = why.get_or_insert_with(|| {
                    transient(client, format!("does not take all documents now: {} {kind}", answer.status))
                });
                again.push(number);
                continue;
            }
            (401 | 403, kind) => {
                let message = format!("{} refuses a document: {} {kind}", client.node(), answer.status);
                return Err(TaskError::definite(CONNECT_EXCEPTION, message)
                    .hint("the user needs to write to the connector's indices"));
            }
            _ => Verdict::Refused(answer.error),
        };
        verdicts.push((number, verdict));
    }
    Ok((again, why))
}

fn done(action: Action, not_found: bool) -> Outcome {
    match action {
        Action::Create => Outcome::Insert,
        Action::Index | Action::Upsert => Outcome::Upsert,
        Action::Delete if not_found => Outcome::Ignore,
        Action::Delete => Outcome::Delete,
    }
}

/// False: the task should end.
fn wait(pause: Duration, stop: &StopToken) -> bool {
    let until = Instant::now() + pause;
    loop {
        if stop.is_stopped() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STOP_STEP));
    }
}
