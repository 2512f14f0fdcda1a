//! The PostgreSQL sink alone: records that are decoded already, put in batches, beside COPY of the same rows into the same
//! table with the same index.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use postgres::{Client, NoTls};
use serde_json::{Value, json};
use walspring_connect::{
    Converter, Origin, Progress, Side, SinkPlugin, SinkRecord, SinkTask, SinkTaskContext, StopToken, TaskError,
};
use walspring_postgres_sink::PostgresSinkPlugin;
use walspring_record::{Header, Typed};
use walspring_throwaway_postgres::Server;

use crate::{Result, report, round, rows};

const COLUMNS: [&str; 9] = ["id", "account", "status", "note", "amount", "created", "payload", "token", "active"];

const TABLE: &str = "create table bench (id bigint primary key, account int not null, status text not null, note text, \
     amount numeric(12,2), created timestamptz not null, payload jsonb, token uuid, active boolean)";

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct SinkLoad {
    pub rows: u64,
    /// Records in a call of `put`: what `max.poll.records` brings.
    pub put: usize,
    /// `batch.size`
    pub statement: usize,
    /// Commits wait for the disk.
    pub durable: bool,
}

struct Silent;

impl Progress for Silent {
    fn waiting(&self, _: Option<String>) {}

    fn gauge(&self, _: &'static str, _: f64) {}

    fn add(&self, _: &'static str, _: u64) {}
}

/// One line each for COPY, the other way to upsert (COPY into a staging table, then INSERT … SELECT), upserts of rows that
/// are new, and upserts of rows that are there.
pub fn measure(load: SinkLoad) -> Result<()> {
    let settings = [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "30min")];
    let builder = settings.into_iter().fold(Server::builder(), |b, (name, value)| b.option(name, value));
    let server = builder.durable(load.durable).on_progress(|line| eprintln!("{line}")).start()?;
    let mut client = Client::connect(&server.url("postgres"), NoTls)?;
    client.batch_execute(TABLE)?;

    let copied = copy(&mut client, load.rows)?;
    report(&line("COPY", load, copied, 1.0));
    client.batch_execute("truncate bench; checkpoint")?;

    let staged = staged(&mut client, load)?;
    report(&line("COPY into a staging table, INSERT … SELECT … ON CONFLICT", load, staged, copied / staged));
    client.batch_execute("truncate bench; checkpoint")?;

    let mut task = start(&server, load)?;
    for (subject, new) in [("sink: upserts of new rows", true), ("sink: upserts of rows that are there", false)] {
        let spent = put_all(&mut *task, load, new)?;
        let mut line = line(subject, load, spent.seconds, copied / spent.seconds);
        line["sink_cpu_us_per_row"] = json!(round(spent.cpu * 1e6 / load.rows as f64, 1));
        report(&line);
        let count: i64 = client.query_one("select count(*) from bench", &[])?.get(0);
        if count != load.rows as i64 {
            return Err(format!("{count} rows are there instead of {}", load.rows).into());
        }
        client.batch_execute("checkpoint")?;
    }
    Ok(())
}

fn line(subject: &str, load: SinkLoad, seconds: f64, of_copy: f64) -> Value {
    json!({
        "subject": subject, "rows": load.rows, "records_a_put": load.put, "rows_a_statement": load.statement,
        "durable": load.durable, "rows_per_second": round(load.rows as f64 / seconds, 0), "of_copy": round(of_copy, 2),
    })
}

fn copy(client: &mut Client, rows: u64) -> Result<f64> {
    let mut text = Vec::new();
    for i in 0..rows {
        text.extend_from_slice(rows::texts(i).join("\t").as_bytes());
        text.push(b'\n');
    }
    let bytes = text.len() as f64 / rows as f64;
    report(&json!({"subject": "a row as COPY's text", "bytes": round(bytes, 0)}));
    client.batch_execute("checkpoint")?;
    let started = Instant::now();
    let mut writer = client.copy_in("copy bench from stdin")?;
    writer.write_all(&text)?;
    writer.finish()?;
    Ok(started.elapsed().as_secs_f64())
}

/// What the sink does not do, at its best: the text is made beforehand.
fn staged(client: &mut Client, load: SinkLoad) -> Result<f64> {
    client.batch_execute("create temp table stage (like bench) on commit delete rows")?;
    let set: Vec<String> = COLUMNS[1..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let insert = format!("insert into bench select * from stage on conflict (id) do update set {}", set.join(", "));
    let insert = client.prepare(&insert)?;
    let (mut seconds, mut first) = (0.0, 0);
    while first < load.rows {
        let last = load.rows.min(first + load.put as u64);
        let text: String = (first..last).map(|i| rows::texts(i).join("\t") + "\n").collect();
        let started = Instant::now();
        let mut transaction = client.transaction()?;
        let mut writer = transaction.copy_in("copy stage from stdin")?;
        writer.write_all(text.as_bytes())?;
        writer.finish()?;
        transaction.execute(&insert, &[])?;
        transaction.commit()?;
        seconds += started.elapsed().as_secs_f64();
        first = last;
    }
    Ok(seconds)
}

fn start(server: &Server, load: SinkLoad) -> std::result::Result<Box<dyn SinkTask>, TaskError> {
    let url = format!("jdbc:postgresql://{}:{}/postgres?user={}", server.host(), server.port(), server.superuser());
    let statement = load.statement.to_string();
    let config = [
        ("connection.url", &*url),
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("collection.name.format", "bench"),
        ("batch.size", &statement),
        ("walspring.sink.decimal.handling.mode", "string"),
    ];
    PostgresSinkPlugin::new().start(SinkTaskContext {
        connector: "bench".into(),
        task: 0,
        group: "connect-bench".into(),
        config: config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        stop: StopToken::default(),
        progress: Arc::new(Silent),
    })
}

/// What `put` took; reading JSON is not counted.
#[derive(Default)]
struct Spent {
    seconds: f64,
    /// Of this process.
    cpu: f64,
}

fn process_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes into the struct that it is given, which lives long enough.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn put_all(task: &mut dyn SinkTask, load: SinkLoad, new: bool) -> Result<Spent> {
    let converter = walspring_converters::converter(
        "org.apache.kafka.connect.json.JsonConverter",
        Side::Value,
        &[("schemas.enable".to_owned(), "false".to_owned())],
    )?;
    let (mut spent, mut outcomes) = (Spent::default(), Vec::new());
    let mut first = 0;
    while first < load.rows {
        let last = load.rows.min(first + load.put as u64);
        let batch: Vec<SinkRecord> = (first..last).map(|i| record(&*converter, i, new)).collect::<Result<_>>()?;
        outcomes.clear();
        let (started, cpu) = (Instant::now(), process_cpu());
        task.put(&batch, &mut outcomes).map_err(|error| format!("{error:?}"))?;
        spent.seconds += started.elapsed().as_secs_f64();
        spent.cpu += process_cpu() - cpu;
        first = last;
    }
    Ok(spent)
}

/// A schemaless envelope, as the source writes it with `decimal.handling.mode=string`.
fn record(converter: &dyn Converter, i: u64, new: bool) -> Result<SinkRecord> {
    let mut texts = rows::texts(i);
    if !new {
        texts[2] = "void".to_owned();
    }
    texts[5] = texts[5].replace(' ', "T").replace("+00", "000Z");
    let mut after = serde_json::Map::new();
    for (name, text) in COLUMNS.iter().zip(texts) {
        let value = match *name {
            "id" | "account" => json!(text.parse::<i64>()?),
            "active" => json!(text == "t"),
            _ => json!(text),
        };
        after.insert((*name).to_owned(), value);
    }
    let key = json!({"id": after["id"]});
    let value = json!({
        "before": null, "after": after, "op": if new { "c" } else { "u" }, "ts_ms": 1_700_000_000_000_i64,
        "source": {"version": "3.7.0.Final", "connector": "postgresql", "name": "bench", "ts_ms": 1_700_000_000_000_i64,
            "snapshot": "false", "db": "bench", "schema": "public", "table": "bench", "txId": 7, "lsn": i},
    });
    let typed = |value: &Value| -> Result<Typed> {
        Ok(converter.decode("bench", Some(value.to_string().as_bytes())).map_err(|error| error.message)?)
    };
    Ok(SinkRecord {
        topic: "bench.public.bench".into(),
        key: typed(&key)?,
        value: typed(&value)?,
        headers: Vec::<Header>::new(),
        timestamp_ms: Some(1_700_000_000_000),
        origin: Origin { topic: "bench.public.bench".into(), partition: 0, kafka_offset: i as i64 },
    })
}
