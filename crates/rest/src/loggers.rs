//! `/admin/loggers`: how much is logged, by name. A name holds for all below it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use walspring_runtime::Refusal;

use crate::answer::{Answer, empty, ok};
use crate::body::config_map;
use crate::connectors::parameters;
use crate::routes::Rest;

/// Takes the directives of a log filter, such as `info,walspring_kafka=debug`.
pub type SetFilter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The levels that were set while the worker runs.
pub struct LoggerLevels {
    levels: Mutex<BTreeMap<String, Level>>,
    set: SetFilter,
}

#[derive(Debug, Clone, Serialize)]
struct Level {
    level: &'static str,
    last_modified: Option<u64>,
}

const ROOT: &str = "root";

impl LoggerLevels {
    /// `root` is the level as of now: one of ERROR, WARN, INFO, DEBUG, TRACE, OFF.
    pub fn new(root: &str, set: SetFilter) -> LoggerLevels {
        let root = Level { level: level(root).unwrap_or("INFO"), last_modified: None };
        LoggerLevels { levels: Mutex::new(BTreeMap::from([(ROOT.to_owned(), root)])), set }
    }

    fn set(&self, logger: &str, level: &'static str) -> Result<Vec<String>, Refusal> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let below = |name: &str| logger == ROOT || name.strip_prefix(logger).is_some_and(|r| r.starts_with(['.', ':']));
        let mut changed: Vec<String> = levels.keys().filter(|name| *name == logger || below(name)).cloned().collect();
        if !changed.iter().any(|name| name == logger) {
            changed.insert(0, logger.to_owned());
        }
        let mut next = levels.clone();
        for name in &changed {
            next.insert(name.clone(), Level { level, last_modified: Some(now) });
        }
        let directive = |(name, l): (&String, &Level)| {
            let level = l.level.to_ascii_lowercase();
            if name == ROOT { level } else { format!("{name}={level}") }
        };
        let directives: Vec<String> = next.iter().map(directive).collect();
        (self.set)(&directives.join(",")).map_err(Refusal::bad_request)?;
        *levels = next;
        Ok(changed)
    }
}

/// Java's names of levels, as ours.
fn level(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_uppercase().as_str() {
        "OFF" => "OFF",
        "FATAL" | "ERROR" => "ERROR",
        "WARN" => "WARN",
        "INFO" => "INFO",
        "DEBUG" => "DEBUG",
        "TRACE" | "ALL" => "TRACE",
        _ => return None,
    })
}

pub(crate) async fn list(State(rest): State<Rest>) -> Answer {
    ok(&*rest.loggers.levels.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) async fn get(State(rest): State<Rest>, Path(logger): Path<String>) -> Answer {
    match rest.loggers.levels.lock().unwrap_or_else(PoisonError::into_inner).get(&logger) {
        Some(level) => ok(level),
        None => Err(Refusal::not_found(format!("Logger {logger} not found.")).into()),
    }
}

pub(crate) async fn put(
    State(rest): State<Rest>,
    Path(logger): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    let request = config_map(&body, "Cannot invoke \"java.util.Map.get(Object)\" because \"levelMap\" is null")?;
    let Some(name) = request.get("level").and_then(Value::as_str) else {
        return Err(Refusal::bad_request("Desired 'level' parameter was not specified in request.").into());
    };
    let known = level(name).ok_or_else(|| Refusal::not_found(format!("invalid log level '{name}'.")))?;
    if logger != ROOT && !logger.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '$'))
    {
        return Err(Refusal::bad_request("A logger's name is made of letters, digits and _ . : - $").into());
    }
    let changed = rest.loggers.set(&logger, known)?;
    if parameters(query.as_deref()).any(|(k, v)| k == "scope" && v.eq_ignore_ascii_case("cluster")) {
        return empty(StatusCode::NO_CONTENT);
    }
    ok(&changed)
}
