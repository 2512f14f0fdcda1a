//! A worker that has just been started serves REST before it has reached its store. What comes in that moment waits, as
//! Kafka Connect lets it: who starts a worker and then registers a connector need not try twice.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use walspring_runtime::Health;

use crate::routes::Rest;

/// Who only asks hears soon what is waited for.
const READ_WAIT: Duration = Duration::from_secs(3);
const WRITE_WAIT: Duration = Duration::from_secs(30);
const PULSE: Duration = Duration::from_millis(20);

pub(crate) async fn wait(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/connectors") && request.method() != Method::OPTIONS {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let end = Instant::now() + if reads { READ_WAIT } else { WRITE_WAIT };
        while matches!(rest.supervisor.health(), Health::Starting(_)) && Instant::now() < end {
            tokio::time::sleep(PULSE).await;
        }
    }
    next.run(request).await
}
