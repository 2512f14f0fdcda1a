//! `/connectors/{c}/topics`: where a connector has written (KIP-558).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;

use crate::answer::{Answer, empty, ok};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    let topics = rest.supervisor.topics(&name)?;
    ok(&json!({ name: { "topics": topics } }))
}

pub(crate) async fn reset(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    rest.supervisor.reset_topics(&name)?;
    empty(StatusCode::ACCEPTED)
}
