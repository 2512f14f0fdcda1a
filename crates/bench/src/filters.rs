//! What masks and filters cost a row: decoding and encoding in memory, with them and without, in turn.
//!
//! Of each the best round counts, in processor time of the thread: a busy machine makes rounds worse, never better.

use serde_json::json;
use walspring_config::config::Config;
use walspring_config::postgres::ColumnRules;

use crate::encode::{Made, Pipeline};
use crate::process::thread_cpu_ns;
use crate::stream::Stream;
use crate::{Result, instructions, report, round};

type Options = Vec<(String, String)>;

/// Twenty options. Two rules find a column of the benchmark's table, one of them the costly kind: a hash of 96 characters.
/// The others and the lists have to be asked all the same.
pub fn twenty() -> Options {
    let mut options = options(&[
        ("table.include.list", "public\\.(bench|other_[0-9]+)"),
        ("column.exclude.list", "public.other_.*\\.secret"),
        MASK,
        HASH,
    ]);
    for i in 1..=8 {
        options.push((
            format!("column.truncate.to.{}.chars", 10 * i),
            format!("public.other_{i}.a,public.other_{i}.b_.*"),
        ));
        options.push((format!("column.mask.with.{}.chars", 10 + i), format!("public.other_{i}.(c|d)")));
    }
    options
}

const MASK: (&str, &str) = ("column.mask.with.6.chars", "public.bench.status");
const HASH: (&str, &str) = ("column.mask.hash.v2.SHA-256.with.salt.salt", "public.bench.note");

fn options(options: &[(&str, &str)]) -> Options {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

struct Subject {
    name: &'static str,
    pipeline: Pipeline,
    best_ns: u64,
    made: Made,
}

impl Subject {
    fn new(name: &'static str, options: Options) -> Result<Subject> {
        let config: Config = options.into_iter().collect();
        let pipeline = Pipeline::with_columns(false, ColumnRules::from_config(&config)?)?;
        Ok(Subject { name, pipeline, best_ns: u64::MAX, made: Made::default() })
    }

    fn round(&mut self, stream: &Stream) -> Result<()> {
        let start = thread_cpu_ns();
        self.made = self.pipeline.run(stream, drop)?;
        self.best_ns = self.best_ns.min(thread_cpu_ns() - start);
        Ok(())
    }
}

/// One line each for no filters, for the twenty, and for one rule of each kind alone.
pub fn measure(rounds: usize) -> Result<()> {
    let stream = Stream::of_inserts(instructions::ROWS, 100);
    let start = thread_cpu_ns();
    ColumnRules::from_config(&twenty().into_iter().collect())?;
    let compiled_ns = thread_cpu_ns() - start;
    let one = |name, option: (&str, &str)| Subject::new(name, options(&[option]));
    let mut subjects = vec![
        Subject::new("no masks", Vec::new())?,
        Subject::new("twenty masks and filters", twenty())?,
        one("a mask of asterisks", MASK)?,
        one("a SHA-256 of 96 characters", HASH)?,
        one("the same, first version", ("column.mask.hash.SHA-256.with.salt.salt", "public.bench.note"))?,
        one("an MD5 of 96 characters", ("column.mask.hash.v2.MD5.with.salt.salt", "public.bench.note"))?,
        one("96 characters cut to 40", ("column.truncate.to.40.chars", "public.bench.note"))?,
        one("a column left out", ("column.exclude.list", "public.bench.note"))?,
    ];
    for _ in 0..rounds {
        subjects.iter_mut().try_for_each(|subject| subject.round(&stream))?;
    }
    let rows = stream.rows as f64;
    let base = subjects[0].best_ns as f64 / rows;
    for subject in &subjects {
        let ns = subject.best_ns as f64 / rows;
        report(&json!({
            "subject": subject.name, "ns_per_row": round(ns, 0), "more_ns": round(ns - base, 0),
            "ratio": round(ns / base, 2), "bytes_per_record": subject.made.bytes / subject.made.records,
        }));
    }
    report(&json!({"subject": "the twenty's expressions", "compiled_ms": round(compiled_ns as f64 / 1e6, 1)}));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record_batch::batches;

    #[test]
    fn the_twenty_change_two_columns() {
        assert_eq!(twenty().len(), 20);
        let stream = Stream::of_inserts(1, 1);
        let mut subject = Subject::new("", twenty()).unwrap();
        let mut seen = Vec::new();
        subject.pipeline.run(&stream, |b| seen.extend(b)).unwrap();
        let batch = batches(&seen[0].bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let record = batch.records(&mut scratch, usize::MAX).unwrap().next().unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
        assert_eq!(value["after"]["status"], "******");
        assert_eq!(value["after"]["note"].as_str().unwrap().len(), 64);
        assert_eq!(value["after"]["account"], 0);
    }
}
