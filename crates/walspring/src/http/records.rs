//! `GET /v1/topics/{topic}/records?partition=&offset=&limit=&wait_ms=`: records from an offset on. `offset` is a number,
//! `earliest` (without it) or `latest`. With `wait_ms`, an answer without records is put off until some have come.

use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use tokio::time::Instant;
use walspring_log::Fetched;

use super::query::{Query, wrong};
use super::{Answer, Api, json, reading, record_json};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Of keys and values in one answer, about.
const BYTES_MAX: usize = 4 << 20;
/// Below what proxies take for dead.
const WAIT_MAX: Duration = Duration::from_secs(50);

pub async fn get(State(mut api): State<Api>, Path(topic): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let log = api.log()?;
    let query = Query::new(query.as_deref());
    let partition: i32 = query.number("partition")?.unwrap_or(0);
    let limit = query.number::<usize>("limit")?.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let wait = Duration::from_millis(query.number("wait_ms")?.unwrap_or(0)).min(WAIT_MAX);
    let span = super::stream::span(&log, &topic, partition)?;
    let offset = match query.text("offset") {
        None | Some("earliest") => span.start,
        Some("latest") => span.end,
        Some(text) => text.parse().map_err(|_| wrong("offset", text, "a number, earliest or latest is expected"))?,
    };
    let until = Instant::now() + wait;
    let mut grown = log.grown();
    loop {
        // Before reading: what comes after it is not missed.
        grown.borrow_and_update();
        let fetched = {
            let (log, topic) = (log.clone(), topic.clone());
            reading(move || log.fetch(&topic, partition, offset, limit, BYTES_MAX)).await?
        };
        let over = tokio::select! {
            biased;
            () = std::future::ready(()), if !fetched.records.is_empty() => true,
            _ = api.stopping.wait_for(|stop| *stop) => true,
            () = tokio::time::sleep_until(until) => true,
            _ = grown.changed() => false,
        };
        if over {
            return Ok(json(body(&topic, partition, &fetched)));
        }
    }
}

fn body(topic: &str, partition: i32, fetched: &Fetched) -> Vec<u8> {
    let Fetched { next_offset, span, .. } = fetched;
    let mut out = format!(
        r#"{{"topic":"{topic}","partition":{partition},"start_offset":{},"end_offset":{},"next_offset":{next_offset},"records":["#,
        span.start, span.end
    )
    .into_bytes();
    for (index, record) in fetched.records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        record_json::append(&mut out, record);
    }
    out.extend_from_slice(b"]}");
    out
}
