//! The database of a measurement: its tables, its load, and what of both is to be expected.

use clap::ValueEnum;
use postgres::{Client, NoTls};
use walspring_throwaway_postgres::Server;

use crate::Result;

pub const DATABASE: &str = "bench";
pub const PUBLICATION: &str = "bench";

/// What a row is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowKind {
    /// Nine columns, about 850 bytes as an event.
    Plain,
    /// 200 columns of text.
    Wide,
    /// One value of 1 MiB.
    Huge,
}

/// What is written and read.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub rows: u64,
    pub tables: u64,
    /// Rows in a transaction; `rows` or more: everything is one transaction.
    pub transaction_rows: u64,
    pub kind: RowKind,
}

impl Load {
    pub fn table(&self, i: u64) -> String {
        if self.tables == 1 { "bench".into() } else { format!("bench_{i:04}") }
    }

    fn create(&self, table: &str) -> String {
        match self.kind {
            RowKind::Plain => format!(
                "create table {table} (id bigint primary key, account int not null, status text not null, note text, \
                 amount numeric(12,2), created timestamptz not null, payload jsonb, token uuid, active boolean)"
            ),
            RowKind::Wide => {
                let columns: Vec<String> = (1..200).map(|i| format!("c{i} text")).collect();
                format!("create table {table} (id bigint primary key, {})", columns.join(", "))
            }
            RowKind::Huge => format!("create table {table} (id bigint primary key, body text)"),
        }
    }

    fn rows_from(&self, first: u64, last: u64) -> String {
        let select = match self.kind {
            RowKind::Plain => "select i, ((i*7919)%100000)::int, (array['new','paid','sent','done'])[1+i%4], \
                 repeat(md5(i::text), 3), (i%1000000)/100.0, timestamptz '2026-01-01' + i * interval '1 ms', \
                 jsonb_build_object('k', i, 'tags', array['a','b'], 'name', md5((i+1)::text)), md5(i::text)::uuid, i%2=0"
                .to_owned(),
            RowKind::Wide => {
                let columns: Vec<String> = (1..200).map(|c| format!("'value {c} of ' || i")).collect();
                format!("select i, {}", columns.join(", "))
            }
            RowKind::Huge => "select i, repeat(md5(i::text), 32768)".to_owned(),
        };
        format!("{select} from generate_series({first}::bigint, {last}::bigint) i")
    }

    /// The statement that inserts row `id` into table `i`.
    pub fn insert(&self, i: u64, id: u64) -> String {
        format!("insert into {} {}", self.table(i), self.rows_from(id, id))
    }

    /// The statements, and how many records they become: seven inserts to two updates and a delete for plain rows, whose
    /// deletes also have a tombstone, else inserts alone.
    fn changes(&self) -> (Vec<String>, u64) {
        let (inserts, updates, deletes) = match self.kind {
            RowKind::Plain if self.tables == 1 => (self.rows * 7 / 10, self.rows / 5, self.rows / 10),
            _ => (self.rows, 0, 0),
        };
        let mut statements = Vec::new();
        let step = self.transaction_rows.clamp(1, 100_000);
        for (turn, first) in (0..).zip((1..=inserts).step_by(step as usize)) {
            let last = inserts.min(first + step - 1);
            statements.push(format!("insert into {} {}", self.table(turn % self.tables), self.rows_from(first, last)));
        }
        for first in (1..=updates).step_by(step as usize) {
            let last = updates.min(first + step - 1);
            statements
                .push(format!("update bench set status='void', amount=amount+1 where id between {first} and {last}"));
        }
        for first in (updates + 1..=updates + deletes).step_by(step as usize) {
            let last = (updates + deletes).min(first + step - 1);
            statements.push(format!("delete from bench where id between {first} and {last}"));
        }
        (statements, inserts + updates + 2 * deletes)
    }
}

/// A throw-away server with the benchmark's database.
pub struct Database {
    pub server: Server,
}

impl Database {
    pub fn start(load: &Load) -> Result<Database> {
        let settings = [
            ("shared_buffers", "512MB"),
            ("max_wal_size", "8GB"),
            ("checkpoint_timeout", "30min"),
            ("synchronous_commit", "off"),
            ("max_locks_per_transaction", "1024"),
        ];
        let builder = settings.into_iter().fold(Server::builder(), |b, (name, value)| b.option(name, value));
        let server = builder.on_progress(|line| eprintln!("{line}")).start()?;
        Client::connect(&server.url("postgres"), NoTls)?.batch_execute("create database bench")?;
        let database = Database { server };
        let mut client = database.client()?;
        let tables: Vec<String> = (0..load.tables).map(|i| load.table(i)).collect();
        // So many in a transaction as locks are had for.
        for tables in tables.chunks(500) {
            let statements: Vec<String> = tables.iter().map(|table| load.create(table)).collect();
            client.batch_execute(&statements.join(";\n"))?;
        }
        client.batch_execute(&format!("create publication {PUBLICATION} for table {}", tables.join(", ")))?;
        Ok(database)
    }

    pub fn client(&self) -> Result<Client> {
        Ok(Client::connect(&self.server.url(DATABASE), NoTls)?)
    }

    /// One text that a query answers.
    pub fn value(&self, query: &str) -> Result<String> {
        Ok(self.client()?.query_opt(query, &[])?.and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default())
    }

    /// Commits the load; answers how many records it becomes.
    pub fn change(&self, load: &Load) -> Result<u64> {
        let (statements, records) = load.changes();
        let mut client = self.client()?;
        let one = load.transaction_rows >= load.rows;
        if one {
            client.batch_execute("begin")?;
        }
        for statement in statements {
            client.batch_execute(&statement)?;
        }
        if one {
            client.batch_execute("commit")?;
        }
        client.batch_execute("checkpoint")?;
        Ok(records)
    }

    /// Fills the tables before a snapshot; answers how many rows there are.
    pub fn fill(&self, load: &Load) -> Result<u64> {
        let mut client = self.client()?;
        let each = load.rows.div_ceil(load.tables);
        for i in 0..load.tables {
            let step = if load.kind == RowKind::Huge { 100 } else { 100_000 };
            for first in (1..=each).step_by(step) {
                let last = each.min(first + step as u64 - 1);
                client.batch_execute(&format!("insert into {} {}", load.table(i), load.rows_from(first, last)))?;
            }
        }
        client.batch_execute("vacuum analyze")?;
        client.batch_execute("checkpoint")?;
        Ok(each * load.tables)
    }
}
