//! What PostgreSQL itself allows: the same changes, or the same rows, read into nothing by its own programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use walspring_throwaway_postgres::packages;

use crate::Result;
use crate::database::{DATABASE, Database, Load, PUBLICATION};

pub const SLOT: &str = "bench_limit";

/// Of the server's own package, else of the machine.
fn program(database: &Database, name: &str) -> PathBuf {
    let own = packages::bin_dir(Some(database.server.major()), &|_| ()).map(|dir| dir.join(name));
    own.ok().filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

/// Seconds that `pg_recvlogical` takes for everything up to `end`. `None`: there is no such program.
pub fn recvlogical(database: &Database, end: &str) -> Result<Option<f64>> {
    let mut command = Command::new(program(database, "pg_recvlogical"));
    command.args([
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-d",
        DATABASE,
        "-S",
        SLOT,
        "--start",
        "--no-loop",
        "-f",
        "/dev/null",
    ]);
    command.args(["-p", &database.server.port().to_string(), "--endpos", end]);
    command.args(["-o", "proto_version=1", "-o", &format!("publication_names={PUBLICATION}")]);
    let start = Instant::now();
    match command.stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(Some(start.elapsed().as_secs_f64())),
        Ok(status) => Err(format!("pg_recvlogical ended with {status}").into()),
        Err(_) => {
            eprintln!("there is no pg_recvlogical here: the ratio to PostgreSQL's limit is not measured");
            Ok(None)
        }
    }
}

/// Seconds that `COPY … TO STDOUT` takes for all tables.
pub fn copy(database: &Database, load: &Load) -> Result<f64> {
    let tables: Vec<String> = (0..load.tables).map(|i| format!("copy {} to stdout", load.table(i))).collect();
    let start = Instant::now();
    let mut command = Command::new(program(database, "psql"));
    command.args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE, "-f", "-"]);
    command.args(["-p", &database.server.port().to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            use std::io::Write;
            child.stdin.take().ok_or("psql has no stdin")?.write_all(tables.join(";\n").as_bytes())?;
            let status = child.wait()?;
            if !status.success() {
                return Err(format!("psql ended with {status}").into());
            }
        }
        Err(_) => {
            // By our own client, which parses as little as psql.
            let mut client = database.client()?;
            for statement in &tables {
                std::io::copy(&mut client.copy_out(statement.as_str())?, &mut std::io::sink())?;
            }
        }
    }
    Ok(start.elapsed().as_secs_f64())
}
