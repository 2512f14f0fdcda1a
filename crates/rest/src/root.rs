//! `/`: which Kafka Connect this is.

use axum::extract::State;

use crate::answer::{Answer, ok};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>) -> Answer {
    ok(&rest.supervisor.server_info())
}
