//! `walspring doctor`: gathers what to look at from files and flags, has the edges examine it, and prints the report.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::json;
use walspring_config::config::Config;
use walspring_doctor::{Check, Group, Outcome, Paint, Report};
use walspring_kafka::doctor as kafka;
use walspring_postgres_source::PostgresPlugin;
use walspring_postgres_source::doctor as postgres;
use walspring_postgres_source::wire::{ConnectConfig, Secret};

use super::tail::written;
use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::logging;
use crate::wiring::plugins::plugins;
use crate::wiring::worker_file::WorkerFile;
use crate::wiring::{connector_files, worker_file};

/// Some check failed. That the doctor could not be run is a [`Failure`].
const FAILED: u8 = 1;

pub fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    if args.list {
        return list(args);
    }
    logging::start("off")?;
    let subject = Subject::read(args)?;
    let mut report = Report::new();
    let mut topics = Vec::new();
    // Kafka is asked about the topics of the tables that a connector captures.
    let tables = subject.connector.is_some() && subject.kafka.is_some();
    if subject.has_database() && (tables || wants(args, |group| group != Group::Kafka)) {
        let examination = postgres::examine(&postgres::Examined {
            config: &subject.source,
            connect: subject.connect.clone(),
            bare: subject.connector.is_none(),
            thresholds: postgres::Thresholds::default(),
        });
        let examination = examination.map_err(|e| Failure::invalid(e.to_string()))?;
        report.extend(examination.report);
        topics = examination.topics;
    }
    if let Some(worker) = subject.kafka.as_ref().filter(|_| wants(args, |group| group == Group::Kafka)) {
        let connector = subject.connector.as_deref().map(|name| (name, subject.all.as_slice()));
        let topics = if subject.connector.is_some() { topics.as_slice() } else { &[] };
        let examined = kafka::Examined { worker: worker.as_map(), connector, topics };
        report.extend(kafka::examine(&examined).map_err(|e| Failure::invalid(e.to_string()))?);
    }
    report.keep(&args.only);
    let text = match args.json {
        true => format!("{:#}\n", report.to_json()),
        false => report.text(paint()),
    };
    print(&text)?;
    Ok(match report.outcome() {
        Outcome::Fail => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// Whether one of the wanted groups is so.
fn wants(args: &DoctorArgs, is: impl Fn(Group) -> bool) -> bool {
    args.only.is_empty() || args.only.iter().any(|group| is(*group))
}

fn paint() -> Paint {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colour { Paint::Colour } else { Paint::Plain }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// What there is to look at.
struct Subject {
    /// The connector's name, if one is given.
    connector: Option<String>,
    /// Its configuration, references resolved.
    all: Vec<(String, String)>,
    /// The same, if it reads a PostgreSQL; or what a database alone is examined as. Empty: there is no database.
    source: Vec<(String, String)>,
    connect: Option<ConnectConfig>,
    kafka: Option<Config>,
}

impl Subject {
    fn read(args: &DoctorArgs) -> Result<Subject, Failure> {
        let (connectors, workers) = args.files();
        if connectors.len() > 1 || workers.len() > 1 {
            return Err(Failure::invalid("one connector and one worker at most are looked at"));
        }
        let file = match workers.first() {
            Some(path) => worker_file::read(Some(path))?,
            None => worker_file::load(Config::new(), "a worker without a file")?,
        };
        let connect = args.database_url.as_deref().map(connect).transpose()?;
        let (connector, all, is_source) = match connectors.first() {
            Some(_) => connector(&connectors, &file, args)?,
            None => (None, Vec::new(), false),
        };
        let source = match (&connect, is_source) {
            (_, true) => all.clone(),
            (Some(connect), false) => alone(connect, args),
            (None, false) => Vec::new(),
        };
        let subject = Subject { connector, all, source, connect, kafka: kafka_of(file, args) };
        if !subject.has_database() && subject.kafka.is_none() {
            return Err(Failure::invalid("there is nothing to look at").hint(
                "Name a PostgreSQL connector's file, a worker's with bootstrap.servers, --database-url or \
                 --bootstrap-servers.",
            ));
        }
        Ok(subject)
    }

    fn has_database(&self) -> bool {
        !self.source.is_empty()
    }
}

type Connector = (Option<String>, Vec<(String, String)>, bool);

fn connector(paths: &[std::path::PathBuf], file: &WorkerFile, args: &DoctorArgs) -> Result<Connector, Failure> {
    let plugins = plugins(file);
    let mut read = connector_files::read(paths, &plugins)?;
    let Some(mut connector) = read.pop() else { return Ok((None, Vec::new(), false)) };
    for (name, value) in &args.options {
        connector.config.insert(name.clone(), value.clone().into());
    }
    let resolved = plugins.options.resolve(&connector.config).map_err(Failure::invalid)?;
    let mut config: Vec<(String, String)> = resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
    let class = config.iter().find(|(name, _)| name == "connector.class").map(|(_, class)| class.clone());
    let is_source = class
        .is_some_and(|class| plugins.connector(&class).is_some_and(|plugin| plugin.class() == PostgresPlugin::CLASS));
    const STRICT: &str = "walspring.strict";
    if file.typed.strict && config.iter().all(|(name, _)| name != STRICT) {
        config.push((STRICT.into(), "true".into()));
    }
    Ok((Some(connector.name), config, is_source))
}

/// A database is examined as that of a connector with nothing but the defaults.
fn alone(connect: &ConnectConfig, args: &DoctorArgs) -> Vec<(String, String)> {
    let named = [
        ("connector.class", PostgresPlugin::CLASS),
        ("topic.prefix", "doctor"),
        // Where to connect is told apart; this only has to be a name.
        ("database.hostname", "localhost"),
        ("database.user", connect.user.as_str()),
        ("database.dbname", connect.dbname.as_str()),
        ("plugin.name", "pgoutput"),
    ];
    let named = named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = |name: &str| args.options.iter().any(|(given, _)| given == name);
    named.filter(|(name, _)| !given(name)).chain(args.options.iter().cloned()).collect()
}

fn connect(url: &str) -> Result<ConnectConfig, Failure> {
    let mut connect = ConnectConfig::from_url(url).map_err(|e| Failure::invalid(e.to_string()))?;
    if connect.password.is_none() {
        let password = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty());
        connect.password = password.map(Secret::new);
    }
    Ok(connect)
}

/// None: the worker has its embedded log, or none is given.
fn kafka_of(file: WorkerFile, args: &DoctorArgs) -> Option<Config> {
    let mut config = file.resolved;
    if let Some(servers) = &args.bootstrap_servers {
        config.insert("bootstrap.servers", servers.clone());
    }
    config.get("bootstrap.servers").is_some_and(|servers| !servers.trim().is_empty()).then_some(config)
}

fn list(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let all = postgres::checks().into_iter().chain(kafka::checks());
    let all: Vec<Check> = all.filter(|check| args.only.is_empty() || args.only.contains(&check.group)).collect();
    let text = if args.json {
        let one = |check: &Check| json!({ "id": check.id, "group": check.group.name(), "title": check.title });
        format!("{:#}\n", serde_json::Value::from(all.iter().map(one).collect::<Vec<_>>()))
    } else {
        let width = all.iter().map(|check| check.id.len()).max().unwrap_or(0);
        all.iter().map(|check| format!("{:width$}  {}\n", check.id, check.title)).collect()
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
