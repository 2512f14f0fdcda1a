//! `/connectors/{c}/tasks`

use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::answer::{Answer, empty, ok, refused_by_http, waiting};
use crate::routes::Rest;

pub(crate) async fn list(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    ok(&rest.supervisor.tasks(&name)?)
}

pub(crate) async fn status(State(rest): State<Rest>, Path((name, task)): Path<(String, String)>) -> Answer {
    match task.parse() {
        Ok(task) => ok(&rest.supervisor.task_status(&name, task)?),
        Err(_) => Ok(refused_by_http(StatusCode::NOT_FOUND)),
    }
}

pub(crate) async fn restart(State(rest): State<Rest>, Path((name, task)): Path<(String, String)>) -> Answer {
    let Ok(task) = task.parse() else { return Ok(refused_by_http(StatusCode::NOT_FOUND)) };
    waiting(move || rest.supervisor.restart_task(&name, task)).await?;
    empty(StatusCode::NO_CONTENT)
}
