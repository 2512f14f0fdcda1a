//! `/metrics`, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::answer::Answer;
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>) -> Answer {
    let text = rest.supervisor.metrics_text();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
