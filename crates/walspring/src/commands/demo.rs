//! `walspring demo`: a worker on an embedded log of its own, and the events as they come. On a throw-away database with a
//! writer, or on a database of the user's, where nothing but a publication and a temporary slot is made.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use walspring_config::config::Config;
use walspring_connect::Props;
use walspring_runtime::info::State;
use walspring_throwaway_postgres::tether::Tether;

use crate::background::Background;
use crate::cli::DemoArgs;
use crate::commands::demo_database::{Database, OwnDatabase, Shop};
use crate::commands::demo_events::Events;
use crate::failure::Failure;
use crate::logging;
use crate::pretty::Style;
use crate::running::RunningWorker;
use crate::wiring::plugins::plugins;
use crate::wiring::worker_file::{self, WorkerFile};

pub const PREFIX: &str = "shop";
const CONNECTOR: &str = "demo";
/// What is said after the first events, once they have been looked at.
const HELP_AFTER: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(250);

pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    let loggers = logging::start("error")?;
    let background = Background::start()?;
    let begun = Instant::now();
    let dir = DataDir::new(args.keep)?;
    let mut database: Box<dyn Database> = match &args.database_url {
        Some(url) => Box::new(OwnDatabase::prepare(url, &args.tables, dir.path())?),
        None => Box::new(Shop::start()?),
    };
    background.stop_in_order();
    let file = worker_of(args, dir.path())?;
    let worker = RunningWorker::start(&file, plugins(&file), loggers, &background)?;
    let outcome = show(args, &background, &worker, &mut *database, begun);
    say("Stopping.");
    // First the writer, then the worker, which lets its slot go, then what was made for it.
    database.quiet();
    worker.stop(&background);
    database.clean_up();
    if args.keep {
        say(&format!("The topics are kept: walspring topics --data-dir {}", dir.path().display()));
    }
    outcome
}

fn show(
    args: &DemoArgs,
    background: &Background,
    worker: &RunningWorker,
    database: &mut dyn Database,
    begun: Instant,
) -> Result<(), Failure> {
    let supervisor = &worker.supervisor;
    if !supervisor.wait_ready(Duration::from_secs(10)) {
        return Err(Failure::error(format!("the worker does not start: {:?}", supervisor.health())));
    }
    let config = connector(database, args.snapshot);
    supervisor.put_config(CONNECTOR, config).map_err(|refusal| Failure::invalid(refusal.message))?;
    let url = worker.url();
    say(&format!("REST is at {url}, the connector is {url}/connectors/{CONNECTOR}/status"));
    let log = worker.log().ok_or_else(|| Failure::error("the embedded log is not open"))?;
    let mut grown = log.grown();
    let mut events = Events::new(log, format!("{PREFIX}."), Style::for_stdout());
    let end = args.duration.map(|duration| Instant::now() + duration);
    let mut helped = false;
    let mut first_at: Option<Instant> = None;
    let mut waited_for = None;
    loop {
        grown.borrow_and_update();
        let printed = events.print()?;
        if printed && first_at.is_none() {
            first_at = Some(Instant::now());
            database.start_writing();
        }
        if !helped && first_at.is_some_and(|at| at.elapsed() >= HELP_AFTER) {
            helped = true;
            say(&try_next(&url, events.a_topic(), args));
        }
        if first_at.is_none() {
            look_at(supervisor, &mut waited_for)?;
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if events.reader_is_gone() || left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if background.wait_change(&mut grown, left.map_or(LOOK, |left| left.min(LOOK))) {
            break;
        }
    }
    let took = first_at.map(|at| format!(", the first after {:.1} s", (at - begun).as_secs_f64()));
    say(&format!("{} events{}.", events.count(), took.unwrap_or_default()));
    if args.database_url.is_none() && events.count() == 0 && end.is_some() {
        return Err(Failure::error("no event came"));
    }
    Ok(())
}

/// A task that has failed will not print anything; one that waits says for what.
fn look_at(supervisor: &walspring_runtime::Supervisor, waited_for: &mut Option<String>) -> Result<(), Failure> {
    let Ok(status) = supervisor.status(CONNECTOR) else { return Ok(()) };
    let tasks = status.tasks.iter().map(|t| (t.state, t.trace.as_ref()));
    for (state, trace) in std::iter::once((status.connector.state, status.connector.trace.as_ref())).chain(tasks) {
        let Some(trace) = trace else { continue };
        if state == State::Failed {
            return Err(Failure::error(trace.clone()));
        }
        if waited_for.as_ref() != Some(trace) {
            say(trace);
            *waited_for = Some(trace.clone());
        }
    }
    Ok(())
}

fn connector(database: &dyn Database, snapshot: bool) -> Props {
    let mut config = Config::new();
    for (name, value) in [
        ("name", CONNECTOR),
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("plugin.name", "pgoutput"),
        ("topic.prefix", PREFIX),
        ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("key.converter.schemas.enable", "false"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        // As text rather than as Connect's bytes: people look at these.
        ("decimal.handling.mode", "string"),
    ] {
        config.insert(name, value);
    }
    database.configure(&mut config, snapshot);
    config.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// REST on the usual port, or on any other where that is taken.
fn worker_of(args: &DemoArgs, dir: &Path) -> Result<WorkerFile, Failure> {
    let port = args.rest_port.unwrap_or_else(|| {
        let free = std::net::TcpListener::bind(("127.0.0.1", 8083)).is_ok();
        if free { 8083 } else { 0 }
    });
    let mut raw = Config::new();
    raw.insert("listeners", format!("http://127.0.0.1:{port}"));
    raw.insert("walspring.data.dir", dir.join("log").display().to_string());
    worker_file::load(raw, "the demo")
}

fn try_next(url: &str, topic: Option<String>, args: &DemoArgs) -> String {
    let topic = topic.unwrap_or_else(|| format!("{PREFIX}.public.orders"));
    let end = if args.duration.is_none() {
        "\n  Ctrl-C                                       ends this, and cleans up"
    } else {
        ""
    };
    format!(
        "Try next, in another terminal:
  walspring tail {topic} --follow --worker {url}
  curl -s {url}/connectors/{CONNECTOR}/status
  curl -s '{url}/v1/topics/{topic}/records?limit=1'
  curl -sN {url}/v1/topics/{topic}/stream
  curl -s {url}/metrics{end}"
    )
}

/// On stderr: stdout is for events.
pub fn say(text: &str) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for line in text.lines() {
        if colour { eprintln!("\x1b[1m›\x1b[0m {line}") } else { eprintln!("> {line}") }
    }
}

/// Gone with the process, however it ends, unless it is kept.
struct DataDir {
    path: PathBuf,
    _tether: Option<Tether>,
}

impl DataDir {
    fn new(keep: bool) -> Result<DataDir, Failure> {
        let path = std::env::temp_dir().join(format!("walspring-demo-{}", std::process::id()));
        let failed = |e: &dyn std::fmt::Display| Failure::error(format!("{}: {e}", path.display()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|e| failed(&e))?;
        let tether = if keep { None } else { Some(Tether::new(&path, "TERM").map_err(|e| failed(&e))?) };
        Ok(DataDir { path, _tether: tether })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
