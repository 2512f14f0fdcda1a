//! The shared PostgreSQL servers, databases of one's own on them, and plain SQL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ::postgres::{Client, NoTls, SimpleQueryMessage};
use walspring_throwaway_postgres::{Builder, Server};

mod standby;

pub use standby::Standby;

/// Until a walsender whose client is gone has ended.
const SLOT_WAIT: Duration = Duration::from_secs(60);

type Slot = Arc<OnceLock<Arc<Postgres>>>;

/// The server of this major version that all tests of this process share. Give every test a [`Postgres::database`] of
/// its own, and never stop this one: a test that crashes its server starts one with [`Postgres::start`].
#[track_caller]
pub fn postgres(major: u32) -> Arc<Postgres> {
    static SERVERS: Mutex<Option<HashMap<u32, Slot>>> = Mutex::new(None);
    // Each version has its own cell, so that tests that need two wait for both starts at the same time.
    let slot =
        SERVERS.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_default().entry(major).or_default().clone();
    slot.get_or_init(|| Arc::new(running(major).unwrap_or_else(|| Postgres::start(Postgres::builder(major))))).clone()
}

/// The server that WALSPRING_TEST_PG names, where it is of this version.
fn running(major: u32) -> Option<Postgres> {
    let address = std::env::var("WALSPRING_TEST_PG").ok()?;
    let (host, port) = address.rsplit_once(':').expect("WALSPRING_TEST_PG is HOST:PORT");
    let port = port.parse().expect("WALSPRING_TEST_PG is HOST:PORT");
    let server = Postgres { host: host.into(), port, major, server: None };
    let version: u32 = server.value("postgres", "show server_version_num").parse().expect("a version number");
    (version / 10_000 == major).then_some(server)
}

/// A PostgreSQL server for tests, with a superuser `postgres` and any password.
pub struct Postgres {
    host: String,
    port: u16,
    major: u32,
    server: Option<Server>,
}

impl Postgres {
    /// The settings of a test server: logical WAL, room for many slots and connections, little memory, no fsync.
    pub fn builder(major: u32) -> Builder {
        let settings = [
            ("max_connections", "200"),
            ("max_wal_senders", "50"),
            ("max_replication_slots", "50"),
            ("max_prepared_transactions", "10"),
            ("max_worker_processes", "16"),
            ("shared_buffers", "64MB"),
            ("max_wal_size", "2GB"),
            ("jit", "off"),
        ];
        settings
            .into_iter()
            .fold(Server::builder().major(major).from_template(true), |b, (k, v)| b.option(k, v))
            .on_progress(|line| eprintln!("testkit: {line}"))
    }

    /// A server of one's own, which may be killed and restarted ([`Postgres::server`]).
    #[track_caller]
    pub fn start(builder: Builder) -> Postgres {
        let server = builder.start().unwrap_or_else(|e| panic!("{e}"));
        Postgres { host: server.host().into(), port: server.port(), major: server.major(), server: Some(server) }
    }

    /// The process behind it: stop, kill, start, log. Not there where WALSPRING_TEST_PG names a running server.
    #[track_caller]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a server that the testkit started, not that of WALSPRING_TEST_PG")
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn major(&self) -> u32 {
        self.major
    }

    pub fn superuser(&self) -> &'static str {
        "postgres"
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}@{}:{}/{database}", self.superuser(), self.host, self.port)
    }

    /// A session. Do not use it inside an async runtime: it has one of its own.
    #[track_caller]
    pub fn connect(&self, database: &str) -> Client {
        self.try_connect(database).unwrap_or_else(|e| panic!("{}: {e}", self.url(database)))
    }

    pub fn try_connect(&self, database: &str) -> Result<Client, ::postgres::Error> {
        Client::connect(&self.url(database), NoTls)
    }

    /// Runs statements (several are one implicit transaction) and returns the rows of all of them as text.
    #[track_caller]
    pub fn sql(&self, database: &str, statements: &str) -> Vec<Vec<Option<String>>> {
        self.try_sql(database, statements).unwrap_or_else(|e| panic!("{e}\nin: {statements}"))
    }

    /// The same, where an error is what the test expects: its message with SQLSTATE, detail and hint.
    pub fn try_sql(&self, database: &str, statements: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let query = || {
            let mut client = self.try_connect(database).map_err(|e| describe(&e))?;
            let messages = client.simple_query(statements).map_err(|e| describe(&e))?;
            let row = |m: SimpleQueryMessage| match m {
                SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
                _ => None,
            };
            Ok(messages.into_iter().filter_map(row).collect())
        };
        std::thread::scope(|scope| scope.spawn(query).join().expect("the SQL thread"))
    }

    /// The one value that a query answers.
    #[track_caller]
    pub fn value(&self, database: &str, query: &str) -> String {
        let mut rows = self.sql(database, query);
        assert!(rows.len() == 1 && rows[0].len() == 1, "not one value: {query}: {rows:?}");
        rows.remove(0).remove(0).unwrap_or_else(|| panic!("NULL: {query}"))
    }

    /// Waits until nobody reads the slot: a walsender whose client is gone needs a moment to notice.
    #[track_caller]
    pub fn wait_unread(&self, slot: &str) {
        let read = format!("select 1 from pg_replication_slots where slot_name = '{slot}' and active");
        let is_unread = || self.try_sql("postgres", &read).is_ok_and(|rows| rows.is_empty()).then_some(());
        crate::wait_for(&format!("nobody who reads {slot}"), SLOT_WAIT, is_unread);
    }

    /// Drops the slot, which has to be there, once nobody reads it.
    #[track_caller]
    pub fn drop_slot(&self, slot: &str) {
        self.wait_unread(slot);
        self.sql("postgres", &format!("select pg_drop_replication_slot('{slot}')"));
    }

    /// A new empty database with a name of its own.
    #[track_caller]
    pub fn database(self: &Arc<Self>) -> TempDatabase {
        self.database_with("")
    }

    /// The same with options of CREATE DATABASE, such as an encoding.
    #[track_caller]
    pub fn database_with(self: &Arc<Self>, options: &str) -> TempDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // template0, because nobody can be connected to it.
        self.sql("postgres", &format!("create database {name} template template0 {options}"));
        TempDatabase { server: self.clone(), name }
    }
}

fn describe(error: &::postgres::Error) -> String {
    match error.as_db_error() {
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        Some(db) => {
            let mut text = format!("{} ({})", db.message(), db.code().code());
            for (label, more) in [("detail", db.detail()), ("hint", db.hint())] {
                if let Some(more) = more {
                    text += &format!("\n{label}: {more}");
                }
            }
            text
        }
    }
}

/// A database that is dropped at the end of the test, together with the slots that were made in it.
pub struct TempDatabase {
    server: Arc<Postgres>,
    name: String,
}

impl TempDatabase {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server(&self) -> &Arc<Postgres> {
        &self.server
    }

    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        self.server.connect(&self.name)
    }

    #[track_caller]
    pub fn sql(&self, statements: &str) -> Vec<Vec<Option<String>>> {
        self.server.sql(&self.name, statements)
    }

    pub fn try_sql(&self, statements: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        self.server.try_sql(&self.name, statements)
    }

    #[track_caller]
    pub fn value(&self, query: &str) -> String {
        self.server.value(&self.name, query)
    }

    /// See [`Postgres::wait_unread`].
    #[track_caller]
    pub fn wait_unread(&self, slot: &str) {
        self.server.wait_unread(slot);
    }

    /// See [`Postgres::drop_slot`].
    #[track_caller]
    pub fn drop_slot(&self, slot: &str) {
        self.server.drop_slot(slot);
    }

    /// A name for a slot of this test: slots belong to the whole server.
    pub fn slot(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.name)
    }
}

impl Drop for TempDatabase {
    fn drop(&mut self) {
        // All in one session: each is a process of the server, and there are hundreds of tests.
        let drop = || self.server.try_connect("postgres").map(|mut client| self.drop_in(&mut client));
        // A server that the test stopped keeps its database until it is deleted as a whole.
        let _ = std::thread::scope(|scope| scope.spawn(drop).join());
    }
}

impl TempDatabase {
    fn drop_in(&self, client: &mut Client) {
        let slots = format!("from pg_replication_slots where database = '{}'", self.name);
        let end = format!("select pg_terminate_backend(active_pid) {slots} and active");
        let drop = format!("select pg_drop_replication_slot(slot_name) {slots} and not active");
        // An active slot cannot be dropped, and its walsender needs a moment to go.
        let limit = Instant::now() + SLOT_WAIT;
        while Instant::now() < limit {
            let _ = client.simple_query(&end);
            let _ = client.simple_query(&drop);
            let left = client.simple_query(&format!("select 1 {slots}")).unwrap_or_default();
            if !left.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = client.simple_query(&format!("drop database if exists {} with (force)", self.name));
    }
}
