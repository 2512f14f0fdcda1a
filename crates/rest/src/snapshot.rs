//! `/connectors/{c}/snapshot`: ours, not Connect's. How far the snapshot is that a connector reads.

use axum::extract::{Path, State};
use serde_json::json;

use crate::answer::{Answer, ok, waiting};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    let snapshot = waiting(move || rest.supervisor.snapshot(&name)).await?;
    ok(&json!({ "snapshot": snapshot }))
}
