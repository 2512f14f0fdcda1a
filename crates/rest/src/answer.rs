//! Answers in Kafka Connect's form.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use walspring_connect::threads;
use walspring_runtime::Refusal;

/// What a resource answers.
pub type Answer = Result<Response, Refused>;

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct Refused(pub Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refused(&self.0)
    }
}

/// Enough for reading the log and for checks of configurations, which wait for databases.
const THREADS_MAX: usize = 16;

/// As long as Kafka Connect lets a request wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

pub fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_with(status, &json!({ "error_code": status.as_u16(), "message": refusal.message }))
}

/// In the words of the original's HTTP library.
pub(crate) fn refused_by_http(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    refused(&Refusal::new(status.as_u16(), format!("HTTP {} {reason}", status.as_u16())))
}

pub(crate) fn ok(value: &impl Serialize) -> Answer {
    Ok(json_with(StatusCode::OK, value))
}

pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, json)], Body::from(body)).into_response()
        }
        Err(e) => refused(&Refusal::internal(e.to_string())),
    }
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    Ok(status.into_response())
}

/// Runs what may wait (for the store, for a database) beside the server's own threads.
pub(crate) async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::time::timeout(REQUEST_TIMEOUT, beside(work)).await {
        Ok(result) => result.flatten().map_err(Refused),
        Err(_) => Err(Refused(Refusal::internal(
            "Request timed out. The worker is still busy with it; ask for the connector's status",
        ))),
    }
}

/// Runs what may wait on a thread of its own. The event loop's own way (`spawn_blocking`) panics where no thread can be
/// started; here that is a refusal, and nothing is done.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    static ROOM: Semaphore = Semaphore::const_new(THREADS_MAX);
    let Ok(room) = ROOM.acquire().await else { return Err(Refusal::internal("the server has ended")) };
    let (sender, done) = oneshot::channel();
    let work = move || {
        let _room = room;
        // Whoever asked may have gone.
        drop(sender.send(work()));
    };
    threads::spawn_aside("request", work)
        .map_err(|e| Refusal::unavailable(format!("no thread can be started for the request: {e}")))?;
    done.await.map_err(|_| Refusal::internal("the request broke off; the log says where"))
}
