//! `/health`: whether the worker serves (KIP-1017).

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use walspring_runtime::Health;

use crate::answer::{Answer, json_with};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>) -> Answer {
    let (code, status, message) = match rest.supervisor.health() {
        Health::Healthy => {
            (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests.".to_owned())
        }
        Health::Starting(what) => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting", format!("Worker is still starting up. {what}"))
        }
        Health::Unhealthy(why) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            format!("Worker was unable to handle this request and may be unable to handle other requests. {why}"),
        ),
    };
    Ok(json_with(code, &json!({ "status": status, "message": message })))
}
