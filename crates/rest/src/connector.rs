//! `/connectors/{c}`

use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::answer::{Answer, empty, ok, waiting};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    ok(&rest.supervisor.connector(&name)?)
}

pub(crate) async fn delete(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    waiting(move || rest.supervisor.delete(&name)).await?;
    empty(StatusCode::NO_CONTENT)
}
