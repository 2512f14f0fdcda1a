//! Which path leads to which resource.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Router, middleware};
use walspring_runtime::Supervisor;

use crate::answer::refused_by_http;
use crate::guard::{self, Access};
use crate::loggers::LoggerLevels;
use crate::{
    config, connector, connectors, health, lifecycle, loggers, metrics, offsets, plugins, root, signals, snapshot,
    starting, status, tasks, topics,
};

/// Bodies beyond this are refused, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;

/// What the resources work with.
#[derive(Clone)]
pub struct Rest {
    pub supervisor: Arc<Supervisor>,
    pub loggers: Arc<LoggerLevels>,
    pub access: Arc<Access>,
    /// Our own version, for a header of every answer.
    pub version: &'static str,
}

/// All resources, and `extra` beside them.
pub fn router(rest: Rest, extra: Router) -> Router {
    let routes: [(&str, &'static str, MethodRouter<Rest>); 23] = [
        ("/health", "HEAD, GET, OPTIONS", get(health::get)),
        ("/connectors", "HEAD, POST, GET, OPTIONS", get(connectors::list).post(connectors::create)),
        ("/connectors/{c}", "HEAD, DELETE, GET, OPTIONS", get(connector::get).delete(connector::delete)),
        (
            "/connectors/{c}/config",
            "HEAD, GET, OPTIONS, PUT, PATCH",
            get(config::get).put(config::put).patch(config::patch),
        ),
        ("/connectors/{c}/status", "HEAD, GET, OPTIONS", get(status::get)),
        ("/connectors/{c}/restart", "POST, OPTIONS", post(lifecycle::restart)),
        ("/connectors/{c}/pause", "OPTIONS, PUT", put(lifecycle::pause)),
        ("/connectors/{c}/resume", "OPTIONS, PUT", put(lifecycle::resume)),
        ("/connectors/{c}/stop", "OPTIONS, PUT", put(lifecycle::stop)),
        ("/connectors/{c}/tasks", "HEAD, GET, OPTIONS", get(tasks::list)),
        ("/connectors/{c}/tasks/{n}/status", "HEAD, GET, OPTIONS", get(tasks::status)),
        ("/connectors/{c}/tasks/{n}/restart", "POST, OPTIONS", post(tasks::restart)),
        (
            "/connectors/{c}/offsets",
            "HEAD, DELETE, GET, OPTIONS, PATCH",
            get(offsets::get).merge(patch(offsets::alter)).merge(delete(offsets::reset)),
        ),
        ("/connectors/{c}/signals", "HEAD, POST, GET, OPTIONS", get(signals::get).post(signals::send)),
        ("/connectors/{c}/snapshot", "HEAD, GET, OPTIONS", get(snapshot::get)),
        ("/connectors/{c}/topics", "HEAD, GET, OPTIONS", get(topics::get)),
        ("/connectors/{c}/topics/reset", "OPTIONS, PUT", put(topics::reset)),
        ("/connector-plugins", "HEAD, GET, OPTIONS", get(plugins::list)),
        ("/connector-plugins/{p}/config", "HEAD, GET, OPTIONS", get(plugins::config)),
        ("/connector-plugins/{p}/config/validate", "OPTIONS, PUT", put(plugins::validate)),
        ("/admin/loggers", "HEAD, GET, OPTIONS", get(loggers::list)),
        ("/admin/loggers/{l}", "HEAD, GET, OPTIONS, PUT", get(loggers::get).put(loggers::put)),
        ("/metrics", "HEAD, GET, OPTIONS", get(metrics::get)),
    ];
    let mut router = Router::new().route("/", with_options("HEAD, GET, OPTIONS", get(root::get)));
    for (path, allow, methods) in routes {
        let methods = with_options(allow, methods);
        router = router.route(&format!("{path}/"), methods.clone()).route(path, methods);
    }
    router
        .with_state(rest.clone())
        .merge(extra)
        .fallback(async || refused_by_http(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || refused_by_http(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(rest.clone(), starting::wait))
        .layer(middleware::from_fn_with_state(rest, guard::check))
}

/// `OPTIONS` answers with the methods, in the original's order.
fn with_options(allow: &'static str, methods: MethodRouter<Rest>) -> MethodRouter<Rest> {
    methods.options(async move || ([("allow", allow), ("content-type", "text/plain")], allow))
}
