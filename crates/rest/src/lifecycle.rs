//! `/connectors/{c}/restart`, `pause`, `resume`, `stop`. The codes differ, and clients insist on each.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;

use crate::answer::{Answer, empty, json_with, waiting};
use crate::connectors::is_true;
use crate::routes::Rest;

pub(crate) async fn restart(State(rest): State<Rest>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let (tasks, failed) = (is_true(query.as_deref(), "includeTasks"), is_true(query.as_deref(), "onlyFailed"));
    if !tasks && !failed {
        waiting(move || rest.supervisor.restart_connector(&name)).await?;
        return empty(StatusCode::NO_CONTENT);
    }
    let plan = waiting(move || rest.supervisor.restart(&name, tasks, failed)).await?;
    Ok(json_with(StatusCode::ACCEPTED, &plan))
}

pub(crate) async fn pause(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    waiting(move || rest.supervisor.pause(&name)).await?;
    empty(StatusCode::ACCEPTED)
}

pub(crate) async fn resume(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    waiting(move || rest.supervisor.resume(&name)).await?;
    empty(StatusCode::ACCEPTED)
}

pub(crate) async fn stop(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    waiting(move || rest.supervisor.stop_connector(&name)).await?;
    empty(StatusCode::NO_CONTENT)
}
