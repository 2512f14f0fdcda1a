//! A database under the load of [`crate::ledger`], a worker with one connector to it, and the check of what it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walspring_connect::fault;
use walspring_testkit::{Postgres, TempDatabase};

use crate::ledger::{self, Load, LoadOptions, TABLES, Verdict};
use crate::random::Random;
use crate::stream::{Log, Topic, events};
use crate::worker::{Program, Worker};

/// From the end of a fault until a row comes again; generous, for a machine that does other things too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// In an offset: how far an initial snapshot is that a restart has broken off.
const SNAPSHOT_PROGRESS: &str = "walspring_snapshot";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

/// What a rig is made of.
pub struct Setup<'a> {
    /// The worker's program.
    pub program: &'a Path,
    pub postgres: &'a Arc<Postgres>,
    /// Kafka's servers; `None`: the embedded log.
    pub bootstrap: Option<String>,
    /// Where the topics are read, if not at `bootstrap` (which may be a proxy).
    pub read_from: Option<String>,
    pub delivery: Delivery,
    /// The port at which the worker finds PostgreSQL, if not its own.
    pub postgres_port: Option<u16>,
    /// Of the worker: what `walspring_connect::fault` reads.
    pub environment: &'a [(&'a str, &'a str)],
    /// A database that is prepared already, and the ending of the connector's names in it; else a new one.
    pub database: Option<(Arc<TempDatabase>, &'a str)>,
    /// More of the connector's configuration.
    pub connector: &'a [(&'a str, &'a str)],
    /// With a table of signals: see [`Rig::ask`].
    pub signals: bool,
    /// More of the worker's.
    pub worker: &'a [(&'a str, &'a str)],
}

impl<'a> Setup<'a> {
    pub fn new(program: &'a Path, postgres: &'a Arc<Postgres>) -> Setup<'a> {
        Setup {
            program,
            postgres,
            bootstrap: None,
            read_from: None,
            delivery: Delivery::ExactlyOnce,
            postgres_port: None,
            environment: &[],
            database: None,
            connector: &[],
            signals: false,
            worker: &[],
        }
    }

    pub fn rig(&self) -> Rig {
        Rig::new(self)
    }
}

pub struct Rig {
    pub db: Arc<TempDatabase>,
    slot: String,
    pub program: Program,
    pub topics: Vec<Topic>,
    /// Commits that were taken from the account's slot already.
    pub taken: Vec<i64>,
    offsets: Topic,
    log: Log,
    environment: Vec<(String, String)>,
    delivery: Delivery,
    /// How long anything is waited for.
    pub patience: Duration,
    /// [`Rig::kill`] takes the places in turn, and no random moments.
    pub in_turn: bool,
    /// At a place a thread panics, and the worker goes on until the task is there again.
    pub panics: bool,
    asked: Option<Asked>,
    _dir: tempfile::TempDir,
}

/// What signals have asked for.
#[derive(Debug, Default, Clone)]
struct Asked {
    /// Of each topic, the offset from which on rows are what signals asked for; empty: none was sent.
    from: Vec<i64>,
    incremental: usize,
    blocking: usize,
}

/// What a run of kills was.
#[derive(Debug, Default, Clone)]
pub struct Kills {
    /// SIGKILLs at random moments, and processes that ended at a failpoint.
    pub random: usize,
    pub at_points: usize,
    /// The latter, by the places' names.
    pub points: BTreeMap<&'static str, usize>,
    /// From the start of a worker until the slot moves, in seconds.
    pub recovery_s: Vec<f64>,
    /// What a task said that does not go on: its offset and its slot do not agree.
    pub failed: Vec<String>,
    /// Findings of [`Rig::confirmed_too_much`] (I6), and how often it was looked.
    pub confirmed_too_much: Vec<String>,
    pub confirmed_looks: usize,
}

impl Rig {
    fn new(setup: &Setup<'_>) -> Rig {
        let (db, ending) = setup.database.clone().unwrap_or_else(|| {
            let db = Arc::new(setup.postgres.database());
            ledger::prepare(&db);
            (db, "s")
        });
        let dir = tempfile::tempdir().expect("a directory");
        let (slot, prefix, group) = (db.slot(ending), db.slot(&format!("f{ending}")), db.slot(&format!("g{ending}")));
        let exactly_once = setup.delivery == Delivery::ExactlyOnce;
        let (mut lines, log, offsets) = match &setup.bootstrap {
            Some(bootstrap) => {
                let lines = format!(
                    "bootstrap.servers={bootstrap}\ngroup.id={group}\nconfig.storage.topic={group}-configs\n\
                     offset.storage.topic={group}-offsets\nstatus.storage.topic={group}-status\n\
                     config.storage.replication.factor=1\noffset.storage.replication.factor=1\n\
                     offset.storage.partitions=1\nstatus.storage.replication.factor=1\nstatus.storage.partitions=1\n\
                     key.converter=org.apache.kafka.connect.json.JsonConverter\n\
                     value.converter=org.apache.kafka.connect.json.JsonConverter\n\
                     exactly.once.source.support={}\noffset.flush.interval.ms=200\n",
                    if exactly_once { "enabled" } else { "disabled" }
                );
                let bootstrap = setup.read_from.clone().unwrap_or_else(|| bootstrap.clone());
                (lines, Log::Kafka { bootstrap }, format!("{group}-offsets"))
            }
            None => {
                let data = dir.path().join("log");
                let lines = format!("walspring.data.dir={}\n", data.display());
                (lines, Log::Embedded { dir: data }, "walspring-offsets".to_owned())
            }
        };
        lines += "task.shutdown.graceful.timeout.ms=3000\n";
        setup.worker.iter().for_each(|(name, value)| lines += &format!("{name}={value}\n"));
        let mut connector = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": setup.postgres_port.unwrap_or(setup.postgres.port()).to_string(),
            "database.user": "postgres",
            "database.password": "any",
            "database.dbname": db.name(),
            "topic.prefix": prefix,
            "slot.name": slot,
            "publication.name": db.slot("p"),
            "table.include.list": "public.plain,public.full",
            "publication.autocreate.mode": "filtered",
            "snapshot.mode": "initial",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false"
        });
        if setup.signals {
            ledger::prepare_signals(&db);
            connector["signal.data.collection"] = "public.signals".into();
            // Several chunks of the rows that are asked for, and more readers than one.
            connector["incremental.snapshot.chunk.size"] = "60".into();
            connector["snapshot.max.threads"] = "2".into();
        }
        setup.connector.iter().for_each(|(name, value)| connector[*name] = Value::from(*value));
        let connector = json!({"name": "one", "config": connector});
        let program = Program::new(setup.program, dir.path(), &lines, &connector);
        let topic = |name: String| Topic::new(setup.program.to_owned(), log.clone(), name);
        let topics = TABLES.iter().map(|table| topic(format!("{prefix}.public.{table}"))).collect();
        let offsets = topic(offsets);
        let environment = setup.environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let taken = Vec::new();
        Rig {
            db,
            slot,
            program,
            topics,
            taken,
            offsets,
            log,
            environment,
            delivery: setup.delivery,
            patience: PATIENCE,
            in_turn: false,
            panics: false,
            asked: setup.signals.then(Asked::default),
            _dir: dir,
        }
    }

    pub fn start(&self) -> Worker {
        self.start_to(None)
    }

    /// A worker that ends itself at `NAME:K`.
    pub fn start_to(&self, failpoint: Option<&str>) -> Worker {
        let failpoint = failpoint.map(|value| ("WALSPRING_FAILPOINT", value));
        let more = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.program.start(failpoint.into_iter().chain(more))
    }

    pub fn load(&self, options: LoadOptions) -> Load {
        Load::start(&self.db.url(), options)
    }

    pub fn slot(&self) -> &str {
        &self.slot
    }

    #[track_caller]
    pub fn wait_streaming(&self) {
        let active = format!(
            "select 1 from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid \
             where slot_name = '{}' and state = 'streaming'",
            self.slot()
        );
        self.wait("the stream", || self.db.try_sql(&active).is_ok_and(|rows| !rows.is_empty()).then_some(()));
    }

    /// Waits until the stored offset says that the initial snapshot is over.
    pub fn wait_snapshot_over(&mut self) {
        let end = Instant::now() + self.patience;
        let is_over = |stored: Value| {
            let is_read = stored["snapshot"].is_null() || stored["snapshot_completed"] == true;
            is_read && stored[SNAPSHOT_PROGRESS].is_null()
        };
        while !self.stored().is_some_and(is_over) {
            assert!(Instant::now() < end, "the initial snapshot is not over:\n{}", self.program.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(value) = ready() {
                return value;
            }
            if Instant::now() > end {
                let log = self.program.log();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!("waited {:?} for {what}; the worker's log ends with\n{}", self.patience, tail.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server knows to be safe, in bytes of its log; `None`: there is no slot, or no server.
    pub fn confirmed(&self) -> Option<u64> {
        let sql = format!(
            "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = '{}'",
            self.slot()
        );
        self.db.try_sql(&sql).ok()?.first()?[0].as_ref()?.parse().ok()
    }

    /// Waits until more has been confirmed.
    #[track_caller]
    pub fn wait_confirmed(&self, more_than: u64) {
        self.wait("a confirmation", || self.confirmed().filter(|now| *now > more_than));
    }

    /// The connector's stored offset.
    pub fn stored(&mut self) -> Option<Value> {
        self.offsets.read();
        let is_ours = |record: &&Value| record["key"][0] == "one" && record["value"].is_object();
        self.offsets.records.iter().rev().find(is_ours).map(|record| record["value"].clone())
    }

    /// The connector's offset, as it was stored last.
    pub fn stored_offset(&mut self) -> Option<Value> {
        self.offsets.read();
        let is_ours = |record: &&Value| record["key"][0] == "one" && record["value"].is_object();
        self.offsets.records.iter().rev().find(is_ours).map(|record| record["value"].clone())
    }

    /// I6: with no worker running, whether the server was told more than the stored offset says.
    pub fn confirmed_too_much(&mut self) -> Option<String> {
        let confirmed = self.confirmed()?;
        // What was committed is shown a moment later.
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            // Without the end of a transaction it is a snapshot's, which says where it read.
            let stored = self.stored().and_then(|o| o["lsn_commit"].as_u64().or(o["lsn"].as_u64()));
            // Before the first offset the slot stands where it was made.
            if stored.is_none_or(|stored| stored >= confirmed) {
                return None;
            }
            if Instant::now() > end {
                return Some(format!("confirmed {confirmed}, stored {stored:?}"));
            }
        }
    }

    /// Signals for a snapshot of both tables, of the rows that stay as they are and a few that all writers change. The initial
    /// snapshot has to be complete, and stored, by the first of them; nothing without a table of signals.
    pub fn ask(&mut self, blocking: bool) {
        let Some(asked) = &mut self.asked else { return };
        if asked.from.is_empty() {
            for topic in &mut self.topics {
                topic.read();
            }
            asked.from = self.topics.iter().map(Topic::next).collect();
        }
        *(if blocking { &mut asked.blocking } else { &mut asked.incremental }) += 1;
        let condition = |table: &str| {
            let filter = "pk < 1000";
            let filter = if blocking { format!("select * from \"{table}\" where {filter}") } else { filter.to_owned() };
            json!({"data-collection": format!("public.{table}"), "filter": filter})
        };
        let data = json!({
            "type": if blocking { "blocking" } else { "incremental" },
            "data-collections": TABLES.map(|table| format!("public.{table}")),
            // Every fourth blocking one reads whole tables.
            "additional-conditions":
                if blocking && asked.blocking % 4 == 0 { json!([]) } else { Value::from(TABLES.map(condition).to_vec()) },
        });
        let id = format!("s-{}", asked.incremental + asked.blocking);
        self.db.sql(&format!(
            "insert into signals values ('{id}', 'execute-snapshot', '{}')",
            data.to_string().replace('\'', "''")
        ));
    }

    /// Has a signal sent that leads to the place, if it is one to which only signals lead.
    pub fn ask_for(&mut self, point: &str) {
        match point.split_once('.').map_or(point, |(part, _)| part) {
            "blocking" => self.ask(true),
            "incremental" | "signal" => self.ask(false),
            _ => {}
        }
    }

    /// Kills workers under load: a third at one of `points`; of the others a quarter while they start, the rest a random
    /// moment after they began to stream. Nothing more is waited for, but at every tenth a confirmation; and at every tenth
    /// nothing becomes durable any more in the last moments, in which nothing may be confirmed. The first finding is the end.
    pub fn kill(&mut self, kills: usize, points: &[&'static str], random: &mut Random) -> Kills {
        let mut done = Kills::default();
        let mut typical = Duration::from_millis(800);
        for n in 0..kills {
            let held = n % 10 == 8 && !self.in_turn;
            let to_point = !held && !points.is_empty() && (self.in_turn || random.below(3) == 0);
            let point = to_point.then(|| if self.in_turn { points[n % points.len()] } else { *random.pick(points) });
            let then = if self.panics { ":panic" } else { "" };
            let mut failpoint = point.map(|point| format!("{point}:{}{then}", times(point, random)));
            match point {
                Some(point) => self.ask_for(point),
                None if n % 5 == 0 => self.ask(n % 2 == 0),
                None => {}
            }
            if held {
                failpoint = Some(format!("{}:{}:hold", random.pick(self.holds()), 2 + random.below(8)));
            }
            let before = self.confirmed().unwrap_or_default();
            let logged = self.program.log_bytes();
            let begun = Instant::now();
            let mut worker = self.start_to(failpoint.as_deref());
            let mut ended = false;
            if held {
                let end = Instant::now() + typical + Duration::from_secs(5);
                while !self.program.log_since(logged).contains(fault::HELD_AT) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                }
                // Longer than between two status updates: what is confirmed too early is said now.
                std::thread::sleep(Duration::from_millis(300));
            } else if to_point && self.panics {
                let end = Instant::now() + typical + Duration::from_secs(5);
                // The attempt that panicked, and the one behind it.
                let goes_on = |log: String| {
                    let behind =
                        log.split_once("a thread panicked").map(|(_, behind)| behind.contains("\"streaming\""));
                    behind.unwrap_or_default()
                };
                while !ended && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                    ended = goes_on(self.program.log_since(logged));
                }
                std::thread::sleep(Duration::from_micros(random.below(300_000)));
            } else if to_point {
                ended = worker.wait(typical + Duration::from_secs(2)).is_some();
            } else if n % 10 == 9 {
                self.wait_confirmed(before);
                done.recovery_s.push(begun.elapsed().as_secs_f64());
            } else if random.below(4) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(typical.as_micros() as u64)));
            } else {
                let end = Instant::now() + self.patience;
                let is_there = |log: String| log.contains("\"streaming\"") || log.contains("the task failed");
                while !is_there(self.program.log_since(logged)) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                }
                typical = (typical * 3 + begun.elapsed()) / 4;
                std::thread::sleep(Duration::from_micros(random.below(300_000)));
            }
            worker.kill();
            let failed = self.program.log_since(logged);
            done.failed.extend(failed.lines().find(|line| line.contains("the task failed")).map(str::to_owned));
            *(if ended { &mut done.at_points } else { &mut done.random }) += 1;
            if let Some(point) = point.filter(|_| ended) {
                *done.points.entry(point).or_default() += 1;
            }
            if held {
                done.confirmed_looks += 1;
                done.confirmed_too_much.extend(self.confirmed_too_much());
            }
            if !(done.failed.is_empty() && done.confirmed_too_much.is_empty()) {
                break;
            }
        }
        done
    }

    /// Places behind which nothing becomes durable, or is stored, while a thread is held there.
    fn holds(&self) -> &'static [&'static str] {
        match (&self.log, self.delivery) {
            (Log::Embedded { .. }, _) => &["task.encoded", "log.write"],
            (Log::Kafka { .. }, Delivery::ExactlyOnce) => &["task.encoded", "kafka.commit"],
            (Log::Kafka { .. }, Delivery::AtLeastOnce) => &["task.encoded", "offset.store"],
        }
    }

    /// Ends the load by rows that mark the end, waits for them and checks everything. A worker has to run.
    pub fn check(&mut self) -> Verdict {
        let marks = TABLES.map(|table| {
            let pk = self.db.value("select nextval('keys')");
            self.db.sql(&format!(
                "with w as (insert into \"{table}\" values ({pk}, 1, 'the end') returning pk, seq, pad) \
                 insert into ledger (tbl, op, pk, seq, sum) \
                 select '{table}', 'c', pk, seq, md5(pk || ':' || seq || ':' || pad) from w"
            ));
            pk.parse::<i64>().expect("a key")
        });
        let mut verdict = Verdict::default();
        let end = Instant::now() + self.patience;
        for (topic, mark) in self.topics.iter_mut().zip(marks) {
            let mut known = 0;
            while Instant::now() < end {
                let now = topic.read();
                let found = topic.records[known..].iter().any(|record| record["key"]["pk"] == mark);
                if found {
                    break;
                }
                known = now;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let account = ledger::account_after(&self.db, &self.taken);
        let asked = self.asked.clone().unwrap_or_default();
        // A blocking one is read again where its end was not stored.
        let once = self.delivery == Delivery::ExactlyOnce;
        let still = [('i', asked.incremental, !once), ('b', asked.blocking, true)];
        for (n, (topic, table)) in self.topics.iter_mut().zip(TABLES).enumerate() {
            topic.read();
            let from = asked.from.get(n).copied();
            let done = |topic: &Topic| {
                let seen = events(&topic.records, table == "full", from).unwrap_or_default();
                ledger::check_still(&seen, &still).lost.is_empty()
            };
            while from.is_some() && !done(topic) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
                topic.read();
            }
            let expected = account.tables.get(table).map(Vec::as_slice).unwrap_or_default();
            match events(&topic.records, table == "full", from) {
                Ok(seen) => {
                    verdict.add(ledger::check_topic(expected, &seen, &ledger::table(&self.db, table)));
                    verdict.add(ledger::check_still(&seen, &still));
                }
                Err(what) => verdict.foreign.push(what),
            }
        }
        verdict
    }

    /// Replays that are allowed after so many ends of a worker.
    pub fn replays_max(&self, ends: usize) -> usize {
        match self.delivery {
            Delivery::ExactlyOnce => 0,
            Delivery::AtLeastOnce => ends * self.topics.len(),
        }
    }
}

/// The program of this build: `$WALSPRING`, else beside the running one or one directory above it.
pub fn program() -> PathBuf {
    let beside = || {
        let me = std::env::current_exe().ok()?;
        me.ancestors().skip(1).take(2).map(|dir| dir.join("walspring")).find(|path| path.is_file())
    };
    std::env::var_os("WALSPRING").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "walspring".into())
}

/// When it is passed the how-manieth time a worker ends there: one of the first four, where it is passed so often in one life.
fn times(point: &str, random: &mut Random) -> u64 {
    let once = ["keeper.", "signal.", "blocking."].iter().any(|part| point.starts_with(part));
    if once { 1 } else { 1 + random.below(4) }
}

/// The places that a worker passes in an initial snapshot, in their order.
pub const AT_START: [&str; 9] = [
    "source.slot_made",
    "snapshot.reader",
    "keeper.write",
    "snapshot.range",
    "snapshot.rows",
    "snapshot.range_read",
    "snapshot.chunk",
    "snapshot.complete",
    "stream.begin",
];

/// The places of `walspring_connect::fault` that a worker of this kind passes again and again while it streams; with `signals`
/// those to which [`Rig::ask_for`] leads.
pub fn points(on_kafka: bool, delivery: Delivery, signals: bool) -> Vec<&'static str> {
    let passed = |point: &str| {
        let (part, _) = point.split_once('.').unwrap_or((point, ""));
        match part {
            "source" | "snapshot" => false,
            "signal" | "incremental" | "blocking" => signals,
            "log" => !on_kafka && point != "log.segment_made",
            "kafka" => on_kafka && (delivery == Delivery::ExactlyOnce || point.starts_with("kafka.produce")),
            "offset" => point == "offset.confirmed" || delivery == Delivery::AtLeastOnce,
            _ => true,
        }
    };
    fault::POINTS.iter().copied().filter(|point| passed(point)).collect()
}
