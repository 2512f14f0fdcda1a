//! Transactions that the server sends before they end: what comes out is what would have come without.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use walspring_record::{ChangeKind, SourceOffset};
use walspring_testkit::client::Client;
use walspring_testkit::{Postgres, TempDatabase, wait_for};

use crate::support::{Connector, Event, Random, WAIT};

/// A server that decodes with next to no memory; from 16 on it sends each change as it comes.
fn server(major: u32) -> Arc<Postgres> {
    static SERVERS: [Mutex<Option<Arc<Postgres>>>; 4] = [const { Mutex::new(None) }; 4];
    let at = [14, 15, 16, 18].iter().position(|m| *m == major).expect("a version of these tests");
    let mut server = SERVERS[at].lock().unwrap_or_else(|e| e.into_inner());
    let start = || {
        let mut builder = Postgres::builder(major).option("logical_decoding_work_mem", "64kB");
        if major >= 16 {
            builder = builder.option("debug_logical_replication_streaming", "immediate");
        }
        Arc::new(Postgres::start(builder))
    };
    server.get_or_insert_with(start).clone()
}

/// A connector with a slot of its own, with or without transactions in progress.
fn connector(db: &TempDatabase, streaming: bool, batch: usize) -> Connector {
    let options = [
        ("snapshot.mode", "no_data"),
        ("publication.autocreate.mode", "all_tables"),
        ("walspring.streaming", if streaming { "true" } else { "false" }),
        ("slot.name", &db.slot(if streaming { "on" } else { "off" })),
    ];
    // Little memory, so that the disk is needed.
    Connector::new(db, &options).limits(|l| (l.batch_changes, l.held_bytes) = (batch, 20_000))
}

/// Both slots, where the log is now.
fn make_slots(db: &TempDatabase, options: &[(&str, &str)]) {
    for streaming in [true, false] {
        with(connector(db, streaming, 1), options).streaming(None).close();
    }
}

fn with(mut connector: Connector, options: &[(&str, &str)]) -> Connector {
    options.iter().for_each(|(name, value)| connector.set(name, value));
    connector
}

fn is_end(e: &Event) -> bool {
    e.table == "public.done"
}

fn end(db: &TempDatabase) {
    db.sql("insert into done values (1)");
}

/// All there is to an event but the time at which it was read, and its offset.
type Line = (String, Option<SourceOffset>);

/// What comes until the end, and how often it was begun again after an error.
fn lines(connector: &Connector) -> (Vec<Line>, u32) {
    let (mut lines, mut restarts, until) = (Vec::<Line>::new(), 0, Instant::now() + 2 * WAIT);
    let mut source = connector.streaming(None);
    loop {
        assert!(Instant::now() < until, "no end came");
        let step = match source.poll(Duration::from_millis(50)) {
            Ok(Some(step)) => step,
            Ok(None) => continue,
            Err(e) => {
                assert!(e.is_transient() && restarts < 3, "{}", e.trace());
                eprintln!("{}", e.trace());
                restarts += 1;
                let offset = source.close();
                source = connector.streaming(offset.as_ref());
                continue;
            }
        };
        let batch = source.batch();
        for (change, event) in batch.changes.iter().zip(&step.events) {
            let transaction = batch.transactions.get(change.transaction as usize);
            let record = (change.kind == ChangeKind::Record).then(|| &batch.records[change.plan as usize]);
            let record = record.filter(|record| record.topic.ends_with(".transaction"));
            lines.push((format!("{event:?} {transaction:?} {:?} {record:?}", change.order), None));
        }
        if let (Some((_, offset)), false) = (lines.last_mut(), step.events.is_empty()) {
            *offset = step.offset;
        }
        if step.events.iter().any(is_end) {
            source.close();
            return (lines, restarts);
        }
    }
}

/// Whether the server sent transactions of this slot before they ended, and kept none.
fn was_streamed(db: &TempDatabase, slot: &str) {
    let sql = format!(
        "select stream_txns || ' ' || (stream_bytes > 0) || ' ' || spill_bytes from pg_stat_replication_slots \
         where slot_name = '{slot}'"
    );
    wait_for("streamed transactions", WAIT, || {
        let row = db.value(&sql);
        (!row.starts_with("0 ")).then(|| assert!(row.contains(" true "), "{row}"))
    });
}

/// What a session does to its table: it may alter it, so that no other session can.
struct Session {
    client: Client,
    table: String,
    open: bool,
    /// Open savepoints.
    depth: u32,
    ids: Vec<u64>,
}

impl Session {
    fn step(&mut self, random: &mut Random, id: u64, alters: Alters) {
        if !self.open {
            self.client.batch_execute("begin").unwrap();
            self.open = true;
        }
        let (table, wide) = (&self.table, 500 + random.below(4000));
        let alters = alters == Alters::Tables;
        let sql = match random.below(31) {
            0..=3 => {
                self.ids.push(id);
                format!("insert into {table} (id, v) values ({id}, repeat('x', {wide}))")
            }
            // A value that is kept beside the table.
            4 => format!(
                "insert into {table} (id, v) select {id}, string_agg(md5(g::text), '') from generate_series(1, 300) g"
            ),
            5 | 6 => format!(
                "insert into {table} (id, v) select g, repeat('y', {wide}) from generate_series({id}, {id} + 20) g"
            ),
            7 => {
                let mut copy = self.client.copy_in(&format!("copy {table} (id, v) from stdin")).unwrap();
                for n in 0..10 {
                    writeln!(copy, "{}\tcopied {}", id + n, "z".repeat(wide as usize)).unwrap();
                }
                copy.finish().unwrap();
                return;
            }
            8..=10 => match self.ids.last() {
                Some(row) => format!("update {table} set w = {id} where id = {row}"),
                None => format!("update {table} set id = id + 1000000000 where id = (select max(id) from {table})"),
            },
            11 => match self.ids.pop() {
                Some(row) => format!("delete from {table} where id = {row}"),
                None => format!("delete from {table} where w is null and id % 7 = 0"),
            },
            12 => format!("insert into shared values ({id}, repeat('s', {wide}))"),
            13 => "select pg_logical_emit_message(false, 'app', 'loose')".into(),
            // With a row behind it, so that it is plain that no subtransaction begins with it.
            14 if self.depth == 0 => format!(
                "select pg_logical_emit_message(true, 'app', 'in the whole'); insert into {table} (id, v) values ({id}, '')"
            ),
            15 if alters => format!("alter table {table} add column c{id} int default {id}"),
            16 if alters => format!(
                "do $$ declare c text; begin
                   select attname into c from pg_attribute where attrelid = '{table}'::regclass and attname ~ '^[cr]\\d'
                     and not attisdropped order by attnum desc limit 1;
                   if found then execute format('alter table {table} rename %I to r{id}', c); end if;
                 end $$"
            ),
            29 if alters => format!(
                "do $$ declare c text; begin
                   select attname into c from pg_attribute where attrelid = '{table}'::regclass and attname ~ '^[cr]\\d'
                     and not attisdropped order by attnum limit 1;
                   if found then execute format('alter table {table} drop column %I', c); end if;
                 end $$"
            ),
            17 if alters => format!("truncate {table}"),
            18 if alters => format!(
                "alter table {table} replica identity {}",
                if random.below(2) == 0 { "full" } else { "default" }
            ),
            19..=22 => {
                self.depth += 1;
                format!("savepoint s{}", self.depth)
            }
            23 | 24 if self.depth > 0 => {
                self.depth -= 1;
                format!("release s{}", self.depth + 1)
            }
            25..=27 if self.depth > 0 => {
                let to = 1 + random.below(u64::from(self.depth)) as u32;
                self.depth = to - 1;
                self.ids.clear();
                self.client.batch_execute(&format!("rollback to s{to}; release s{to}")).unwrap();
                return;
            }
            28 => return self.finish(random.below(4) != 0),
            _ => format!("insert into {table} (id, v) values ({id}, 'small')"),
        };
        self.client.batch_execute(&sql).unwrap_or_else(|e| panic!("{e:?}\n{sql}"));
    }

    fn finish(&mut self, commit: bool) {
        if std::mem::take(&mut self.open) {
            self.client.batch_execute(if commit { "commit" } else { "rollback" }).unwrap();
        }
        self.depth = 0;
        self.ids.clear();
    }
}

/// Transactions of several sessions, side by side: rows small and large, COPY, changes of tables, truncates, logical
/// messages, savepoints one in another that are kept and rolled back.
fn workload(db: &TempDatabase, seed: u64, steps: usize, alters: Alters) {
    let mut random = Random::new(seed);
    let mut sessions: Vec<Session> = (0..4)
        .map(|n| {
            let mut client = db.connect();
            client.batch_execute(&format!("create table t{n} (id bigint primary key, v text, w bigint)")).unwrap();
            Session { client, table: format!("t{n}"), open: false, depth: 0, ids: Vec::new() }
        })
        .collect();
    for step in 0..steps as u64 {
        let session = &mut sessions[random.below(4) as usize];
        session.step(&mut random, (step + 1) * 100, alters);
    }
    sessions.iter_mut().for_each(|session| session.finish(true));
    end(db);
}

fn prepared(major: u32) -> TempDatabase {
    let db = server(major).database();
    db.sql("create table shared (id bigint primary key, v text); create table done (id int primary key)");
    db
}

/// What a workload does beside rows.
#[derive(Clone, Copy, PartialEq)]
enum Alters {
    Nothing,
    /// Tables, in transactions and subtransactions that end one way or the other. A server that sends transactions in progress
    /// is not always able to decode that; the stream then goes on without.
    Tables,
}

/// The same log with and without: the same events, with the same offsets.
fn is_the_same(major: u32, seed: u64, steps: usize, alters: Alters, options: &[(&str, &str)]) {
    let db = prepared(major);
    make_slots(&db, options);
    workload(&db, seed, steps, alters);
    let read = |streaming| lines(&with(connector(&db, streaming, 1), options));
    let ((off, never), (on, restarts)) = (read(false), read(true));
    was_streamed(&db, &db.slot("on"));
    let what = format!("version {major}, seed {seed}, {restarts} restarts");
    for (n, (on, off)) in on.iter().zip(&off).enumerate() {
        assert_eq!(on, off, "event {n}, {what}");
    }
    assert_eq!(on.len(), off.len(), "{what}");
    assert!(never == 0 && (restarts == 0 || alters == Alters::Tables), "{what}");
}

#[test]
fn it_is_the_same_with_and_without_on_15() {
    for seed in 1..4 {
        is_the_same(15, seed, 600, Alters::Nothing, &[]);
        is_the_same(15, seed, 600, Alters::Tables, &[]);
    }
}

#[test]
fn it_is_the_same_with_and_without_on_18() {
    for seed in 1..4 {
        is_the_same(18, seed, 300, Alters::Nothing, &[]);
        is_the_same(18, seed, 300, Alters::Tables, &[]);
    }
}

#[test]
fn it_is_the_same_with_and_without_on_other_versions() {
    is_the_same(14, 5, 600, Alters::Nothing, &[]);
    is_the_same(14, 5, 600, Alters::Tables, &[]);
    is_the_same(16, 6, 300, Alters::Tables, &[]);
}

#[test]
fn transaction_records_are_the_same_too() {
    for (major, seed, steps) in [(15, 7, 600), (18, 8, 300)] {
        is_the_same(major, seed, steps, Alters::Tables, &[("provide.transaction.metadata", "true")]);
    }
}
