//! Our own resources beside Connect's: topics and records of the embedded log. On Kafka they answer 501: its own clients
//! read there.

mod query;
pub mod record_json;
mod records;
mod stream;
mod topics;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use walspring_log::{Log, ReadError};
use walspring_rest::{beside, refused};
use walspring_runtime::Refusal;

use crate::wiring::backend::Storage;

/// What the resources work with.
#[derive(Clone)]
struct Api {
    storage: Storage,
    /// Whoever waits for records must not keep the worker from ending.
    stopping: watch::Receiver<bool>,
}

pub fn router(storage: Storage, stopping: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/v1/topics", get(topics::list))
        .route("/v1/topics/{topic}/records", get(records::get))
        .route("/v1/topics/{topic}/stream", get(stream::get))
        .with_state(Api { storage, stopping })
}

/// A refusal on its way to the client.
struct Refused(Refusal);

type Answer = Result<Response, Refused>;

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

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Refused {
        let status = match error {
            ReadError::NoTopic(_) | ReadError::NoPartition { .. } => 404,
            ReadError::OutOfRange { .. } => 416,
            ReadError::Io(_) | ReadError::Damaged(_) => 500,
        };
        Refused(Refusal::new(status, error.to_string()))
    }
}

impl Api {
    fn log(&self) -> Result<Log, Refused> {
        match &self.storage {
            Storage::Embedded(log) => Ok(log
                .get()
                .cloned()
                .ok_or_else(|| Refusal::unavailable("The embedded log is not open yet; GET /health says why"))?),
            Storage::Kafka => Err(Refused(Refusal::new(
                501,
                "This worker writes to Kafka: read the topics there, for instance with \
                 `walspring tail TOPIC --bootstrap HOST:PORT`. Only the embedded log is read over HTTP",
            ))),
        }
    }
}

/// Reads files beside the server's own thread.
async fn reading<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Refused> {
    Ok(beside(work).await??)
}

fn json(body: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, json)], Body::from(body)).into_response()
}
