//! Counting instructions: the same number on a busy machine as on a quiet one.
//!
//! By the processor's counter (`perf_event_open`) where the kernel grants it; else under valgrind, which counts what it
//! simulates. The two agree within a few per cent.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::encode::Pipeline;
use crate::stream::Stream;

pub const ROWS: usize = 2000;
const TRANSACTION_ROWS: usize = 100;

pub fn stream() -> Stream {
    Stream::of_inserts(ROWS, TRANSACTION_ROWS)
}

/// Instructions that a row takes, and who counted them.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    pub per_row: f64,
    pub by: &'static str,
}

/// By the processor.
#[cfg(not(target_os = "linux"))]
pub fn by_counter(_schemas: bool) -> Result<Counted> {
    Err("counting instructions needs Linux".into())
}

/// By the processor.
#[cfg(target_os = "linux")]
pub fn by_counter(schemas: bool) -> Result<Counted> {
    use perf_event::events::Hardware;
    let explain = |e: std::io::Error| {
        format!(
            "the kernel does not let us count instructions ({e}); see /proc/sys/kernel/perf_event_paranoid, or this is a virtual machine without a counter"
        )
    };
    let mut counter = perf_event::Builder::new(Hardware::INSTRUCTIONS).build().map_err(explain)?;
    let stream = stream();
    let mut pipeline = Pipeline::new(schemas)?;
    // Buffers have their size after the first round.
    pipeline.run(&stream, drop)?;
    counter.enable().map_err(explain)?;
    pipeline.run(&stream, drop)?;
    counter.disable().map_err(explain)?;
    let per_row = counter.read().map_err(explain)? as f64 / ROWS as f64;
    if per_row < 100.0 {
        return Err("the counter did not count".into());
    }
    Ok(Counted { per_row, by: "perf" })
}

/// Under valgrind: `program` is this benchmark's binary. What starting takes falls out of the difference of two runs.
pub fn by_valgrind(program: &Path, schemas: bool) -> Result<Counted> {
    let run = |rounds: usize| -> Result<f64> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]).arg(program);
        command.args(["rounds", "--rounds", &rounds.to_string()]);
        if schemas {
            command.arg("--schemas");
        }
        let out = command.output().map_err(|e| format!("valgrind cannot be run ({e}); install it"))?;
        let text = String::from_utf8_lossy(&out.stderr);
        let refs =
            text.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.trim().replace(',', ""));
        let count = refs.and_then(|count| count.parse().ok());
        count.filter(|_| out.status.success()).ok_or_else(|| format!("valgrind did not count: {text}").into())
    };
    let per_row = (run(3)? - run(1)?) / (2.0 * ROWS as f64);
    Ok(Counted { per_row, by: "valgrind" })
}

/// By the processor if possible, else under valgrind.
pub fn count(program: &Path, schemas: bool) -> Result<Counted> {
    by_counter(schemas).or_else(|counter| {
        by_valgrind(program, schemas).map_err(|valgrind| format!("{counter}; and {valgrind}").into())
    })
}
