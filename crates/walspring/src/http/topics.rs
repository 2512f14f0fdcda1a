//! `GET /v1/topics`: which topics there are, and which offsets their partitions have.

use axum::extract::State;
use serde_json::{Value, json};

use super::{Answer, Api, json as answer};

pub async fn list(State(api): State<Api>) -> Answer {
    let topics: Vec<Value> = api
        .log()?
        .topics()
        .into_iter()
        .map(|(name, spec, spans)| {
            let partitions: Vec<Value> = (0..)
                .zip(spans)
                .map(
                    |(n, span): (i32, _)| json!({ "partition": n, "start_offset": span.start, "end_offset": span.end }),
                )
                .collect();
            json!({ "name": name, "compacted": spec.compacted, "partitions": partitions })
        })
        .collect();
    Ok(answer(json!({ "topics": topics }).to_string().into_bytes()))
}
