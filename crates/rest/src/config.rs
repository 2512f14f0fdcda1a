//! `/connectors/{c}/config`: as it was given, with its references.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use crate::answer::{Answer, ok, waiting};
use crate::body::config_map;
use crate::connectors::created;
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    ok(&rest.supervisor.config(&name)?)
}

pub(crate) async fn put(State(rest): State<Rest>, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let config = config_map(&body, "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null")?;
    let (is_new, info) = waiting(move || rest.supervisor.put_config(&name, config)).await?;
    if is_new { Ok(created(&headers, &info)) } else { ok(&info) }
}

pub(crate) async fn patch(State(rest): State<Rest>, Path(name): Path<String>, body: Bytes) -> Answer {
    let patch = config_map(
        &body,
        "Cannot invoke \"java.util.Map.forEach(java.util.function.BiConsumer)\" because \"patch\" is null",
    )?;
    ok(&waiting(move || rest.supervisor.patch_config(&name, patch)).await?)
}
