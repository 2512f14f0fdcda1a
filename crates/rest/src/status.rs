//! `/connectors/{c}/status`

use axum::extract::{Path, State};

use crate::answer::{Answer, ok};
use crate::routes::Rest;

pub(crate) async fn get(State(rest): State<Rest>, Path(name): Path<String>) -> Answer {
    ok(&rest.supervisor.status(&name)?)
}
