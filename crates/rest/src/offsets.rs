//! `/connectors/{c}/offsets`

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::json;

use crate::answer::{Answer, ok, waiting};
use crate::body;
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    let offsets = waiting(move || rest.supervisor.offsets(&name)).await?;
    ok(&json!({ "offsets": offsets }))
}

pub(crate) async fn alter(State(rest): State<Rest>, Path(name): Path<String>, body: Bytes) -> Answer {
    let offsets = body::offsets(&body)?;
    let message = waiting(move || rest.supervisor.alter_offsets(&name, offsets)).await?;
    ok(&json!({ "message": message }))
}

pub(crate) async fn reset(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    let message = waiting(move || rest.supervisor.reset_offsets(&name)).await?;
    ok(&json!({ "message": message }))
}
