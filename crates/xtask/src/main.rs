//! Chores of the repository: `cargo run -p walspring-xtask -- options`.

use std::process::ExitCode;

use walspring_xtask::options_page;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["options"] => match std::fs::write(options_page::path(), options_page::render()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{}: {e}", options_page::path().display());
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: walspring-xtask options    writes docs/options.md from the option tables");
            ExitCode::from(2)
        }
    }
}
