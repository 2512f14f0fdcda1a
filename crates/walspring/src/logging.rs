//! The log: lines for people on a terminal, JSON elsewhere, on stderr. `WALSPRING_LOG` or `RUST_LOG` say how much, as
//! `info,walspring_kafka=debug`.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};
use walspring_connect::threads;
use walspring_rest::LoggerLevels;

use crate::failure::Failure;

/// Starts the log, in which panics are lines too; REST changes its levels through what is returned.
pub fn start(default: &str) -> Result<LoggerLevels, Failure> {
    let given = ["WALSPRING_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    });
    let (name, directives) = given.unwrap_or(("WALSPRING_LOG", default.to_owned()));
    let targets = parse(&directives).map_err(|e| Failure::invalid(format!("{name}: {e}")))?;
    let root = targets.default_level().map_or_else(|| "INFO".to_owned(), |level| level.to_string());
    let (filter, handle) = reload::Layer::new(targets);
    let people = std::io::stderr().is_terminal();
    let colour = people && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if people {
        Box::new(fmt::layer().compact().with_ansi(colour).with_writer(std::io::stderr).with_filter(filter))
    } else {
        Box::new(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_filter(filter))
    };
    tracing_subscriber::registry().with(lines).init();
    threads::log_panics();
    let set = move |directives: &str| handle.reload(parse(directives)?).map_err(|e| e.to_string());
    Ok(LoggerLevels::new(&root, Box::new(set)))
}

fn parse(directives: &str) -> Result<Targets, String> {
    directives.parse().map_err(|e| format!("{directives:?} does not say what to log: {e}"))
}
