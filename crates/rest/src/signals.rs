//! `/connectors/{c}/signals`: ours, not Connect's. What Debezium calls the channel `in-process`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use walspring_runtime::Refusal;

use crate::answer::{Answer, Refused, json_with, ok, waiting};
use crate::routes::Rest;

/// Which snapshots signals have asked for.
pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    ok(&waiting(move || rest.supervisor.signalled(&name)).await?)
}

/// One signal, or a list of them: all are handed to the running task, or none.
pub(crate) async fn send(State(rest): State<Rest>, Path(name): Path<String>, body: Bytes) -> Answer {
    let given: Value = serde_json::from_slice(&body)
        .map_err(|e| Refused(Refusal::bad_request(format!("The request's body is no JSON: {e}"))))?;
    let ids = waiting(move || rest.supervisor.signal(&name, &given)).await?;
    Ok(json_with(StatusCode::ACCEPTED, &json!({ "ids": ids })))
}
