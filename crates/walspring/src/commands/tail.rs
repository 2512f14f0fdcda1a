//! `walspring tail` and `walspring topics`

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use walspring_config::properties;
use walspring_log::StoredRecord;

use crate::cli::{Format, PlaceArgs, TailArgs, TopicsArgs};
use crate::failure::Failure;
use crate::http::record_json;
use crate::pretty::{self, Style};
use crate::reading::{From, Place, Request};

const WAIT: Duration = Duration::from_secs(5);

pub fn run(args: &TailArgs) -> Result<(), Failure> {
    let from = args.from.unwrap_or(if args.follow { From::End } else { From::Beginning });
    let request = Request { topic: &args.topic, partition: args.partition, from, follow: args.follow };
    let mut records = place(&args.place)?.open(&request)?;
    let style = Style::for_stdout();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut left = args.limit.unwrap_or(usize::MAX);
    while let Some(read) = records.read(WAIT)? {
        for record in read.iter().take(left) {
            if !written(print(&mut out, style, args.format, &args.topic, record))? {
                return Ok(());
            }
        }
        left -= read.len().min(left);
        if !written(out.flush())? || left == 0 {
            return Ok(());
        }
    }
    Ok(())
}

pub fn topics(args: &TopicsArgs) -> Result<(), Failure> {
    let mut topics = place(&args.place)?.topics()?;
    topics.sort();
    let width = topics.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, records) in topics {
        if !written(writeln!(out, "{name:width$}  {records:>9} records"))? {
            return Ok(());
        }
    }
    written(out.flush()).map(|_| ())
}

fn place(args: &PlaceArgs) -> Result<Place, Failure> {
    if let Some(dir) = &args.data_dir {
        return Ok(Place::DataDir(dir.clone()));
    }
    if let Some(url) = &args.worker {
        return Ok(Place::Worker(url.clone()));
    }
    let mut kafka = args.config.as_deref().map(read_properties).transpose()?.unwrap_or_default();
    if let Some(servers) = &args.bootstrap {
        kafka.insert("bootstrap.servers".to_owned(), servers.clone());
    }
    if kafka.is_empty() { Place::usual() } else { Ok(Place::Kafka(kafka)) }
}

fn read_properties(path: &Path) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::invalid(format!("{}: {e}", path.display())))?;
    let parsed = properties::parse(&text).map_err(|e| Failure::invalid(format!("{}: {e}", path.display())))?;
    Ok(parsed.into_map())
}

fn print(out: &mut impl Write, style: Style, format: Format, topic: &str, record: &StoredRecord) -> io::Result<()> {
    match format {
        Format::Pretty => {
            writeln!(out, "{}", pretty::line(style, topic, record.key.as_deref(), record.value.as_deref()))
        }
        Format::Json => {
            let mut line = Vec::new();
            record_json::append(&mut line, record);
            line.push(b'\n');
            out.write_all(&line)
        }
        Format::Raw => {
            out.write_all(record.value.as_deref().unwrap_or_default())?;
            out.write_all(b"\n")
        }
    }
}

/// False: whoever read our output has gone, as `head` does. That is no error.
pub fn written(result: io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::error(format!("the output cannot be written: {e}"))),
    }
}
