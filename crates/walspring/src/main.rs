//! `walspring`: the command line and the wiring. The only crate that names every plugin.

mod background;
mod cli;
mod commands;
mod failure;
mod http;
mod logging;
mod memory;
mod pretty;
mod reading;
mod running;
mod telemetry;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    memory::settle();
    let outcome = match Cli::parse().command {
        Command::Worker(args) => commands::worker::run(args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Tail(args) => commands::tail::run(&args),
        Command::Topics(args) => commands::tail::topics(&args),
        Command::Doctor(args) => match commands::doctor::run(&args) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        Command::Completions(args) => {
            commands::completions::run(&args);
            Ok(())
        }
        Command::Version(args) => commands::version::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
