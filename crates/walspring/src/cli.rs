//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use walspring_doctor::Group;

use crate::reading::From;

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

#[derive(Parser)]
#[command(
    name = "walspring",
    version,
    about = "Change data capture for PostgreSQL in one binary: Debezium's events, Kafka Connect's REST API, no JVM.",
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring demo                              a database that changes, and its events as they come
  walspring demo --database-url postgres://me@localhost/mine
  walspring worker connect-distributed.properties inventory.json
  walspring tail shop.public.orders --follow
  walspring doctor inventory.json connect-distributed.properties
",
    after_help = "Exit codes: 0 ok, 1 error, 2 usage or configuration invalid, 3 something outside cannot be reached,
130 and 143 ended by a second signal.
Environment: WALSPRING_LOG or RUST_LOG (info, debug, info,walspring_kafka=debug), NO_COLOR.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Demo(DemoArgs),
    Worker(WorkerArgs),
    Tail(TailArgs),
    Topics(TopicsArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Version(VersionArgs),
}

/// Shows what Walspring does: a database, its changes, and the events as they come.
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring demo
  walspring demo --for 20s
  walspring demo --database-url postgres://me@localhost/mine --tables orders,public.customers
",
    after_help = "Without --database-url a throw-away PostgreSQL is started (and fetched where the machine has none), with a
small shop that keeps changing. With it, existing tables are captured: nothing is written; the slot is temporary, and the
publication made for it is dropped at the end. The password may stand in PGPASSWORD."
)]
pub struct DemoArgs {
    /// End by itself after this time, such as 20s or 2m.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// A database to capture instead of a throw-away one.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Of that database, only these tables, as table or schema.table.
    #[arg(long, value_name = "TABLE,...", value_delimiter = ',', requires = "database_url")]
    pub tables: Vec<String>,
    /// Of that database, also read the rows that are there.
    #[arg(long, requires = "database_url")]
    pub snapshot: bool,
    /// The port of REST; by default 8083, or any free one.
    #[arg(long, value_name = "PORT")]
    pub rest_port: Option<u16>,
    /// Keep the topics on disk.
    #[arg(long)]
    pub keep: bool,
}

/// `500ms`, `20s`, `2m`, `1h`, or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time such as 20s or 2m is expected".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a time such as 20s or 2m is expected")?;
    Ok(Duration::from_millis(number.saturating_mul(unit_ms)))
}

/// Runs a worker: connectors from PostgreSQL to Kafka or to the embedded log, with Kafka Connect's REST API.
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring worker connect-distributed.properties
  walspring worker worker.properties inventory.json orders.properties
  BOOTSTRAP_SERVERS=kafka:9092 GROUP_ID=cdc ... walspring worker
  walspring worker inventory.json              on the embedded log
",
    after_help = "Without bootstrap.servers the worker keeps topics in its embedded log, in walspring.data.dir
(by default walspring in the XDG state directory). REST is on 127.0.0.1:8083 unless listeners says otherwise.
SIGTERM and Ctrl-C stop it in order; a second one at once."
)]
pub struct WorkerArgs {
    /// The file of a Kafka Connect distributed worker; without it the environment is read as the Connect images do
    /// (BOOTSTRAP_SERVERS, CONNECT_*, WALSPRING_*). Then files of connectors: {"name","config"} JSON, or properties
    /// with `name`.
    #[arg(value_name = "FILE.properties|CONNECTOR.json")]
    files: Vec<PathBuf>,
}

impl WorkerArgs {
    /// The worker's file, and those of connectors. The first is the worker's, if it is no connector's.
    pub fn files(&self) -> (Option<&Path>, &[PathBuf]) {
        match self.files.split_first() {
            Some((first, rest)) if !is_connector(first) => (Some(first), rest),
            _ => (None, &self.files),
        }
    }
}

fn is_connector(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "json") {
        return true;
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    walspring_config::properties::parse(&text).is_ok_and(|config| config.contains("connector.class"))
}

/// Prints the records of a topic, of the embedded log or of Kafka.
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring tail shop.public.orders                      what is there
  walspring tail shop.public.orders --follow             what comes
  walspring tail shop.public.orders --from 100 --format json | jq .value.after
  walspring tail shop.public.orders --bootstrap kafka:9092 --follow
"
)]
pub struct TailArgs {
    /// The topic's name.
    pub topic: String,
    /// Where to begin: beginning, end or an offset. By default at the beginning, with --follow at the end.
    #[arg(long, value_name = "beginning|end|OFFSET")]
    pub from: Option<From>,
    /// Go on as records come.
    #[arg(long, short)]
    pub follow: bool,
    /// Only this partition.
    #[arg(long)]
    pub partition: Option<i32>,
    /// End after so many records.
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub limit: Option<usize>,
    /// A line for people; a JSON object with key, value, headers and place; or the value's bytes.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    pub format: Format,
    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Pretty,
    Json,
    Raw,
}

/// Lists the topics of an embedded log.
#[derive(Args)]
pub struct TopicsArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Args)]
pub struct PlaceArgs {
    /// The directory of an embedded log; by default the usual one, and where there is none the worker on this machine.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["worker", "bootstrap", "config"])]
    pub data_dir: Option<PathBuf>,
    /// A running worker with an embedded log.
    #[arg(long, value_name = "URL", conflicts_with_all = ["bootstrap", "config"])]
    pub worker: Option<String>,
    /// Kafka's servers.
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// A worker's file or a client's, for Kafka's servers and how to log in.
    #[arg(long, value_name = "FILE.properties")]
    pub config: Option<PathBuf>,
}

/// Checks a database, its role, slot, publication and tables, and a Kafka cluster; says what mends what is wrong.
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring doctor inventory.json worker.properties      everything that a connector needs
  walspring doctor inventory.json                        without Kafka
  walspring doctor worker.properties                     Kafka alone
  walspring doctor --database-url postgres://me@db/shop
  walspring doctor --bootstrap-servers kafka:9092
  walspring doctor inventory.json --only tables,publication
  walspring doctor inventory.json --set slot.name=other --json | jq '.checks[] | select(.outcome == \"fail\")'
",
    after_help = "Nothing is changed anywhere: sessions are read-only, and wait for no lock. The password of --database-url may
stand in PGPASSWORD. What each check means: docs/doctor.md.
Exit codes: 0 all pass, or warn; 1 at least one fails; 2 it could not be run (usage, or a file that is not right)."
)]
pub struct DoctorArgs {
    /// A connector: {"name","config"} JSON, or properties with `name`. A worker's file: for Kafka, and for what the
    /// connector's references (${file:…}) stand for.
    #[arg(value_name = "CONNECTOR.json|WORKER.properties")]
    files: Vec<PathBuf>,
    /// A database, instead of the connector's, or alone.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Kafka's servers, instead of the worker's, or alone.
    #[arg(long, value_name = "HOST:PORT,...")]
    pub bootstrap_servers: Option<String>,
    /// An option of the connector, as if it stood in its file.
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = option_value)]
    pub options: Vec<(String, String)>,
    /// Only these groups: server, role, publication, slot, tables, limits, standby, kafka.
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    pub only: Vec<Group>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Print which checks there are, and do none.
    #[arg(long)]
    pub list: bool,
}

impl DoctorArgs {
    /// The files of connectors, and those of workers.
    pub fn files(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        self.files.iter().cloned().partition(|path| is_connector(path))
    }
}

fn option_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("OPTION=VALUE is expected")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Prints what a shell needs to complete our commands.
#[derive(Args)]
#[command(
    help_template = TEMPLATE,
    before_help = "Examples:
  walspring completions bash > ~/.local/share/bash-completion/completions/walspring
  walspring completions zsh > ~/.zfunc/_walspring
  walspring completions fish > ~/.config/fish/completions/walspring.fish
"
)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Says which version this is.
#[derive(Args)]
pub struct VersionArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::duration;

    #[test]
    fn times() {
        for (text, ms) in [("20s", 20_000), ("2m", 120_000), ("500ms", 500), ("7", 7_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text).unwrap().as_millis(), ms, "{text}");
        }
        assert!(duration("soon").is_err() && duration("5d").is_err() && duration("").is_err());
    }

    #[test]
    fn the_definitions_are_sound() {
        super::Cli::command().debug_assert();
    }
}
