//! `/connector-plugins`: what can be named in a configuration, its options, and whether a configuration is good.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};

use crate::answer::{Answer, ok, waiting};
use crate::body::config_map;
use crate::connectors::parameters;
use crate::routes::Rest;

pub(crate) async fn list(State(rest): State<Rest>, RawQuery(query): RawQuery) -> Answer {
    let all = parameters(query.as_deref()).any(|(k, v)| k == "connectorsOnly" && v.eq_ignore_ascii_case("false"));
    ok(&rest.supervisor.plugin_list(!all))
}

pub(crate) async fn config(State(rest): State<Rest>, Path(plugin): Path<String>) -> Answer {
    ok(&rest.supervisor.plugin_config(&plugin)?)
}

pub(crate) async fn validate(State(rest): State<Rest>, Path(plugin): Path<String>, body: Bytes) -> Answer {
    let config = config_map(&body, "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null")?;
    ok(&waiting(move || rest.supervisor.validate(&plugin, &config)).await?)
}
