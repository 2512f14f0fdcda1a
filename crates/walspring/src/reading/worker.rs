//! Reads a topic of a worker's embedded log over HTTP.

use std::io::Read;
use std::time::{Duration, Instant};

use serde::Deserialize;
use walspring_log::StoredRecord;

use super::{Records, Request, first_offset};
use crate::failure::Failure;
use crate::http::record_json::ReadRecord;

/// Above what the worker may wait for.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const LIMIT: usize = 500;
/// With several partitions none may wait for long, or the others would.
const TURN: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Topics {
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    name: String,
    partitions: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    partition: i32,
    start_offset: i64,
    end_offset: i64,
}

#[derive(Deserialize)]
struct Answer<'a> {
    next_offset: i64,
    #[serde(borrow)]
    records: Vec<ReadRecord<'a>>,
}

struct Partition {
    number: i32,
    next: i64,
    end: i64,
}

pub struct WorkerTopic {
    client: Client,
    topic: String,
    partitions: Vec<Partition>,
    follow: bool,
}

struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn new(url: &str) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        Client { agent: config.into(), url: url.trim_end_matches('/').to_owned() }
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let url = format!("{}{path}", self.url);
        let failed = |e: &dyn std::fmt::Display| {
            Failure::unreachable(format!("{url}: {e}")).hint(
                "--worker URL names a worker, --data-dir DIR its embedded log, --bootstrap HOST:PORT a Kafka cluster.",
            )
        };
        let response = self.agent.get(&url).call().map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut reader = response.into_body().into_reader().take(ANSWER_BYTES_MAX);
        reader.read_to_end(&mut body).map_err(|e| failed(&e))?;
        if status == 200 {
            return Ok(body);
        }
        let message = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let message = message.as_ref().and_then(|answer| answer["message"].as_str()).unwrap_or("no reason was given");
        let text = format!("{url}: {status}: {message}");
        Err(if status < 500 { Failure::invalid(text) } else { Failure::error(text) })
    }

    fn topics(&self) -> Result<Topics, Failure> {
        let body = self.get("/v1/topics")?;
        serde_json::from_slice(&body).map_err(|e| Failure::error(format!("{}: {e}", self.url)))
    }
}

pub fn topics(url: &str) -> Result<Vec<(String, i64)>, Failure> {
    let records = |topic: &Topic| topic.partitions.iter().map(|span| span.end_offset - span.start_offset).sum();
    Ok(Client::new(url).topics()?.topics.into_iter().map(|topic| (topic.name.clone(), records(&topic))).collect())
}

pub fn open(url: &str, request: &Request<'_>) -> Result<WorkerTopic, Failure> {
    let client = Client::new(url);
    let topics = client.topics()?.topics;
    let Some(topic) = topics.iter().find(|topic| topic.name == request.topic) else {
        let failure = Failure::invalid(format!("there is no topic {} at {url}", request.topic));
        let nearest = walspring_config::nearest::nearest(request.topic, topics.iter().map(|t| t.name.as_str()));
        return Err(match nearest {
            Some(nearest) => failure.hint(format!("Is {nearest} meant?")),
            None => failure.hint(format!("`walspring topics --worker {url}` lists those that there are.")),
        });
    };
    let wanted = topic.partitions.iter().filter(|span| request.partition.is_none_or(|p| p == span.partition));
    let partitions = wanted.map(|span| Partition {
        number: span.partition,
        next: first_offset(request.from, span.start_offset, span.end_offset),
        end: span.end_offset,
    });
    Ok(WorkerTopic {
        partitions: partitions.collect(),
        client,
        topic: request.topic.to_owned(),
        follow: request.follow,
    })
}

impl Records for WorkerTopic {
    fn read(&mut self, wait: Duration) -> Result<Option<Vec<StoredRecord>>, Failure> {
        let until = Instant::now() + wait;
        let turn = if self.partitions.len() > 1 { TURN } else { wait };
        loop {
            let mut records = Vec::new();
            for partition in self.partitions.iter_mut().filter(|p| self.follow || p.next < p.end) {
                let wait_ms = turn.min(until.saturating_duration_since(Instant::now())).as_millis();
                let body = self.client.get(&format!(
                    "/v1/topics/{}/records?partition={}&offset={}&limit={LIMIT}&wait_ms={wait_ms}",
                    self.topic, partition.number, partition.next
                ))?;
                let unreadable = |e: String| Failure::error(format!("the worker's answer cannot be read: {e}"));
                let answer: Answer = serde_json::from_slice(&body).map_err(|e| unreadable(e.to_string()))?;
                partition.next = answer.next_offset;
                for record in answer.records {
                    let record = record.into_stored().map_err(unreadable)?;
                    if self.follow || record.kafka_offset < partition.end {
                        records.push(record);
                    }
                }
            }
            let ended = !self.follow && self.partitions.iter().all(|p| p.next >= p.end);
            if records.is_empty() && ended {
                return Ok(None);
            }
            if !records.is_empty() || Instant::now() >= until {
                return Ok(Some(records));
            }
        }
    }
}
