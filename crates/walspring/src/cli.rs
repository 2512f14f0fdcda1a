//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Worker(WorkerArgs),
    Tail(TailArgs),
    Topics(TopicsArgs),
    Completions(CompletionsArgs),
    Version(VersionArgs),
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

    #[test]
    fn the_definitions_are_sound() {
        super::Cli::command().debug_assert();
    }
}
