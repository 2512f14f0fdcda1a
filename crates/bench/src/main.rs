//! `walspring-bench`: see the crate's documentation.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use walspring_bench::database::{Load, RowKind};
use walspring_bench::encode::{self, Pipeline};
use walspring_bench::stream::Stream;
use walspring_bench::{Result, budget, filters, instructions, log, report, round, sink, tables, worker};

/// Measures Walspring beside what PostgreSQL and the disk allow. One line of JSON a measurement.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decoding and encoding in memory: time, bytes and instructions a row.
    Encode {
        #[arg(long, default_value_t = 200)]
        rounds: usize,
        /// Do not count instructions.
        #[arg(long)]
        no_count: bool,
    },
    /// Decoding and encoding in memory with masks and filters, beside the same without, in turn: processor time a row.
    Filters {
        #[arg(long, default_value_t = 300)]
        rounds: usize,
        /// Print the options instead, a line each: scripts/bench drains with the same.
        #[arg(long)]
        options: bool,
    },
    /// Decodes and encodes so many times and says nothing: what is run under valgrind.
    #[command(hide = true)]
    Rounds {
        #[arg(long)]
        rounds: usize,
        #[arg(long)]
        schemas: bool,
    },
    /// Encoded rows into the embedded log: rows, bytes and syncs.
    Log {
        #[arg(long, default_value_t = 1_000_000)]
        rows: usize,
        /// Where to write; a directory that is deleted afterwards by default.
        #[arg(long)]
        dir: Option<std::path::PathBuf>,
    },
    /// Decoded records through the PostgreSQL sink's task, beside COPY into the same table.
    Sink {
        #[arg(long, default_value_t = 200_000)]
        rows: u64,
        /// Records in a call, as max.poll.records brings them.
        #[arg(long, default_value_t = 500)]
        put: usize,
        /// batch.size
        #[arg(long, default_value_t = 500)]
        statement: usize,
        /// Commits wait for the disk.
        #[arg(long)]
        durable: bool,
    },
    /// A throw-away PostgreSQL for scripts: prints its port, and ends with its standard input.
    Postgres,
    /// A backlog of changes through a worker into its embedded log, beside pg_recvlogical.
    Drain(LoadArgs),
    /// Many tables: seconds until they are streamed, until each has had an event, and until all have been read.
    Tables {
        #[arg(long, default_value_t = 5000)]
        tables: u64,
        /// Rows of each table that the snapshot reads.
        #[arg(long, default_value_t = 10)]
        rows: u64,
        /// HOST:PORT of a Kafka; else the embedded log.
        #[arg(long)]
        kafka: Option<String>,
    },
    /// Tables as they are through a worker into its embedded log, beside COPY.
    Snapshot {
        #[command(flatten)]
        load: LoadArgs,
        /// snapshot.max.threads
        #[arg(long, default_value_t = 1)]
        threads: u32,
    },
}

#[derive(Args)]
struct LoadArgs {
    #[arg(long, default_value_t = 500_000)]
    rows: u64,
    /// Rows in a transaction; as many as --rows: everything is one transaction.
    #[arg(long, default_value_t = 100)]
    tx: u64,
    #[arg(long, default_value_t = 1)]
    tables: u64,
    #[arg(long, value_enum, default_value_t = RowKind::Plain)]
    row: RowKind,
}

impl LoadArgs {
    fn load(&self) -> Load {
        Load { rows: self.rows, tables: self.tables.max(1), transaction_rows: self.tx, kind: self.row }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("walspring-bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Encode { rounds, no_count } => encode(rounds, no_count),
        Command::Filters { options: true, .. } => {
            filters::twenty().iter().for_each(|(name, value)| println!("{name}={value}"));
            Ok(())
        }
        Command::Filters { rounds, .. } => filters::measure(rounds),
        Command::Rounds { rounds, schemas } => {
            let (stream, mut pipeline) = (instructions::stream(), Pipeline::new(schemas)?);
            (0..rounds).try_for_each(|_| pipeline.run(&stream, drop).map(drop))
        }
        Command::Log { rows, dir } => {
            let temporary = tempfile::tempdir()?;
            report(&log::measure(dir.as_deref().unwrap_or(temporary.path()), rows)?);
            Ok(())
        }
        Command::Sink { rows, put, statement, durable } => {
            sink::measure(sink::SinkLoad { rows, put: put.max(1), statement: statement.max(1), durable })
        }
        Command::Postgres => {
            let server =
                walspring_throwaway_postgres::Server::builder().on_progress(|line| eprintln!("{line}")).start()?;
            println!("{}", server.port());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            Ok(())
        }
        Command::Drain(args) => worker::drain(&worker::program(), &args.load()),
        Command::Tables { tables, rows, kafka } => {
            tables::measure(&worker::program(), tables.max(1), rows.max(1), kafka.as_deref())
        }
        Command::Snapshot { load, threads } => worker::snapshot(&worker::program(), &load.load(), threads),
    }
}

fn encode(rounds: usize, no_count: bool) -> Result<()> {
    let stream = Stream::of_inserts(instructions::ROWS, 100);
    for schemas in [false, true] {
        let (ns, made) = encode::measure(&mut Pipeline::new(schemas)?, &stream, rounds)?;
        let mut line = json!({
            "subject": format!("decode+encode, {}", budget::form(schemas)), "rows": stream.rows,
            "ns_per_row": round(ns, 0), "per_second": round(1e9 / ns, 0),
            "mb_per_second_in": round(stream.bytes() as f64 / stream.rows as f64 / ns * 1e3, 0),
            "mb_per_second_out": round(made.bytes as f64 / stream.rows as f64 / ns * 1e3, 0),
            "bytes_per_record": made.bytes / made.records,
        });
        if !no_count {
            match instructions::count(&std::env::current_exe()?, schemas) {
                Ok(counted) => {
                    line["instructions_per_row"] = json!(round(counted.per_row, 0));
                    line["counted_by"] = json!(counted.by);
                }
                Err(e) => eprintln!("instructions are not counted: {e}"),
            }
        }
        report(&line);
    }
    Ok(())
}
