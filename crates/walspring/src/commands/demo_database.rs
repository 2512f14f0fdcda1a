//! The database of a demo: what is made in it, and what is cleaned up.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walspring_config::config::Config;
use walspring_postgres_source::wire::{
    ConnectConfig, Connection, Pem, PgError, SslMode, quote_identifier, quote_literal,
};
use walspring_throwaway_postgres::{Server, Shutdown};

use super::demo::say;
use super::shop;
use crate::failure::Failure;

const CHANGE_EVERY: Duration = Duration::from_millis(700);

pub trait Database {
    /// Where the connector finds it, and how it reads.
    fn configure(&self, connector: &mut Config, snapshot: bool);
    /// Changes begin, where they are ours to make.
    fn start_writing(&mut self) {}
    /// No more changes.
    fn quiet(&mut self) {}
    /// Takes away what was made. The worker has ended.
    fn clean_up(&mut self);
}

/// A throw-away server with a shop in it.
pub struct Shop {
    server: Server,
    database: ConnectConfig,
    writer: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Shop {
    pub fn start() -> Result<Shop, Failure> {
        say("Starting a throw-away PostgreSQL.");
        let server = Server::builder().on_progress(say).start().map_err(|e| Failure::error(e.to_string()))?;
        let admin = ConnectConfig::new(server.host(), server.port(), server.superuser(), "postgres");
        let database = shop::create(&admin).map_err(|e| Failure::error(format!("the shop cannot be made: {e}")))?;
        say(&format!("PostgreSQL {} is at {}", server.major(), server.url(shop::DATABASE)));
        Ok(Shop { server, database, writer: None, stop: Arc::default() })
    }
}

impl Database for Shop {
    fn configure(&self, connector: &mut Config, _snapshot: bool) {
        for (name, value) in [
            ("database.hostname", self.server.host().to_owned()),
            ("database.port", self.server.port().to_string()),
            ("database.user", self.server.superuser().to_owned()),
            ("database.password", "any".to_owned()),
            ("database.dbname", shop::DATABASE.to_owned()),
            ("slot.name", "walspring_demo".to_owned()),
            ("publication.name", "walspring_demo".to_owned()),
        ] {
            connector.insert(name, value);
        }
    }

    fn start_writing(&mut self) {
        if self.writer.is_none() {
            match shop::keep_changing(self.database.clone(), CHANGE_EVERY, self.stop.clone()) {
                Ok(writer) => self.writer = Some(writer),
                Err(e) => tracing::error!("nothing changes in the shop, no thread can be started: {e}"),
            }
        }
    }

    fn quiet(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            let _ = writer.join();
        }
    }

    fn clean_up(&mut self) {
        self.quiet();
        self.server.stop(Shutdown::Immediate);
    }
}

/// A database of the user's. Made in it: a publication, dropped at the end; and the connector's temporary slot.
pub struct OwnDatabase {
    connect: ConnectConfig,
    tables: Vec<(String, String)>,
    publication: String,
    password_file: Option<PathBuf>,
    dropped: bool,
}

impl OwnDatabase {
    /// Checks what capturing needs, chooses the tables and makes the publication.
    pub fn prepare(url: &str, wanted: &[String], dir: &Path) -> Result<OwnDatabase, Failure> {
        let mut connect = ConnectConfig::from_url(url).map_err(|e| Failure::invalid(e.to_string()))?;
        let mut password = password_of(url);
        if password.is_none() {
            password = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty());
            connect.password = password.clone().map(walspring_postgres_source::wire::Secret::new);
        }
        let mut connection = Connection::connect(&connect).map_err(|e| unreachable(&connect, &e))?;
        check(&mut connection, &connect)?;
        let tables = choose_tables(&mut connection, wanted)?;
        let publication = format!("walspring_demo_{}", std::process::id());
        let list: Vec<String> = tables.iter().map(qualified).collect();
        let sql = format!("CREATE PUBLICATION {} FOR TABLE {}", quote_identifier(&publication), list.join(", "));
        connection.batch_execute(&sql).map_err(|e| cannot_publish(&e, &connect.user))?;
        say(&format!("Made the publication {publication} for {}; it is dropped at the end.", list.join(", ")));
        let mut database = OwnDatabase { connect, tables, publication, password_file: None, dropped: false };
        database.password_file = password.map(|password| write_password(dir, &password)).transpose()?;
        Ok(database)
    }
}

impl Database for OwnDatabase {
    fn configure(&self, connector: &mut Config, snapshot: bool) {
        let (host, port) = self.connect.hosts.first().cloned().unwrap_or(("localhost".into(), 5432));
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('.', "\\.").replace(',', "\\,");
        let tables: Vec<String> = self.tables.iter().map(|(s, t)| format!("{}\\.{}", escaped(s), escaped(t))).collect();
        for (name, value) in [
            ("database.hostname", host),
            ("database.port", port.to_string()),
            ("database.user", self.connect.user.clone()),
            ("database.dbname", self.connect.dbname.clone()),
            ("database.sslmode", ssl_mode(self.connect.ssl.mode).to_owned()),
            ("slot.name", self.publication.clone()),
            ("walspring.slot.temporary", "true".to_owned()),
            ("publication.name", self.publication.clone()),
            ("publication.autocreate.mode", "disabled".to_owned()),
            ("table.include.list", tables.join(",")),
            ("snapshot.mode", if snapshot { "initial" } else { "no_data" }.to_owned()),
        ] {
            connector.insert(name, value);
        }
        if let Some(file) = &self.password_file {
            // REST shows this, not the password.
            connector.insert("database.password", format!("${{file:{}}}", file.display()));
        }
        let ssl = &self.connect.ssl;
        let files = [("sslrootcert", &ssl.root_cert), ("sslcert", &ssl.client_cert), ("sslkey", &ssl.client_key)];
        for (name, pem) in files {
            if let Some(Pem::Path(path)) = pem {
                connector.insert(format!("database.{name}"), path.display().to_string());
            }
        }
    }

    fn clean_up(&mut self) {
        if std::mem::replace(&mut self.dropped, true) {
            return;
        }
        let slot = quote_literal(&self.publication);
        let publication = quote_identifier(&self.publication);
        let done = Connection::connect(&self.connect).and_then(|mut connection| {
            connection.batch_execute(&format!("DROP PUBLICATION IF EXISTS {publication}"))?;
            // The slot was temporary and is gone with its session; here for the case that it is not.
            connection.batch_execute(&format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {slot} AND NOT active"
            ))
        });
        match done {
            Ok(()) => say(&format!("Dropped the publication {}.", self.publication)),
            Err(e) => say(&format!("The publication could not be dropped ({e}). Run: DROP PUBLICATION {publication};")),
        }
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        self.clean_up();
    }
}

fn unreachable(connect: &ConnectConfig, error: &PgError) -> Failure {
    let hosts: Vec<String> = connect.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    let failure = Failure::unreachable(format!("PostgreSQL at {} as {}: {error}", hosts.join(","), connect.user));
    match error.code() {
        Some("28P01" | "28000") => failure.hint("Give the password in the URL or in PGPASSWORD."),
        _ => failure,
    }
}

/// What the server and the role must allow; each with the SQL that mends it.
fn check(connection: &mut Connection, connect: &ConnectConfig) -> Result<(), Failure> {
    let failed = |e: PgError| Failure::error(format!("the database cannot be looked at: {e}"));
    let mut one = |sql: &str| -> Result<String, Failure> {
        Ok(connection.query_one(sql).map_err(failed)?.get(0).unwrap_or_default().to_owned())
    };
    let role = quote_identifier(&connect.user);
    let wal_level = one("SHOW wal_level")?;
    if wal_level != "logical" {
        return Err(Failure::invalid(format!(
            "the server writes its log with wal_level={wal_level}; capturing needs logical"
        ))
        .hint(
            "ALTER SYSTEM SET wal_level = logical;   then restart the server (a parameter group, where it is managed).",
        ));
    }
    let may_replicate = one("SELECT rolsuper OR rolreplication OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = \
         'rds_replication' AND pg_has_role(current_user, r.oid, 'member')) FROM pg_roles WHERE rolname = current_user")?;
    if may_replicate != "t" {
        return Err(Failure::invalid(format!("the role {} may not replicate", connect.user))
            .hint(format!("ALTER ROLE {role} REPLICATION;   (on RDS: GRANT rds_replication TO {role};)")));
    }
    let database = one("SELECT current_database()")?;
    if one("SELECT has_database_privilege(current_database(), 'CREATE')")? != "t" {
        return Err(Failure::invalid(format!("the role {} may not make a publication in {database}", connect.user))
            .hint(format!("GRANT CREATE ON DATABASE {} TO {role};", quote_identifier(&database))));
    }
    let free = one("SELECT current_setting('max_replication_slots')::int - count(*) FROM pg_replication_slots")?;
    if free.parse::<i64>().is_ok_and(|free| free < 1) {
        return Err(Failure::invalid("every replication slot of the server is taken (max_replication_slots)").hint(
            "SELECT slot_name, active FROM pg_replication_slots;   then SELECT pg_drop_replication_slot('…') for one that \
             nobody needs, or ALTER SYSTEM SET max_replication_slots and restart.",
        ));
    }
    Ok(())
}

/// Those that were named, as `table` or `schema.table`; else all.
fn choose_tables(connection: &mut Connection, wanted: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let rows = connection
        .query(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2",
        )
        .map_err(|e| Failure::error(format!("the tables cannot be listed: {e}")))?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let all: Vec<(String, String)> = rows.iter().map(|row| (text(row.get(0)), text(row.get(1)))).collect();
    if all.is_empty() {
        return Err(Failure::invalid("there are no tables in this database"));
    }
    if wanted.is_empty() {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in wanted {
        let is_it = |(schema, table): &&(String, String)| match name.split_once('.') {
            Some((s, t)) => s == schema && t == table,
            None => name == table,
        };
        let found: Vec<_> = all.iter().filter(is_it).cloned().collect();
        if found.is_empty() {
            let names: Vec<String> = all.iter().map(|(s, t)| format!("{s}.{t}")).collect();
            let failure = Failure::invalid(format!("there is no table {name}"));
            return Err(failure.hint(format!("There are: {}", names.join(", "))));
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn cannot_publish(error: &PgError, role: &str) -> Failure {
    let failure = Failure::invalid(format!("the publication cannot be made: {error}"));
    match error.code() {
        Some("42501") => failure.hint(format!(
            "A publication is made by the tables' owner: choose others with --tables, or ALTER TABLE … OWNER TO {};",
            quote_identifier(role)
        )),
        Some("25006") => failure.hint("This is a read-only server: give the URL of the primary."),
        _ => failure,
    }
}

fn qualified((schema, table): &(String, String)) -> String {
    format!("{}.{}", quote_identifier(schema), quote_identifier(table))
}

fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

/// The URL's password, for a file that only we can read: it must not stand in a stored configuration.
fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    let (_, password) = login.split_once(':')?;
    let mut bytes = Vec::new();
    let mut rest = password.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| tail.get(..2)).flatten().and_then(|d| std::str::from_utf8(d).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|password| !password.is_empty())
}

fn write_password(dir: &Path, password: &str) -> Result<PathBuf, Failure> {
    let path = dir.join("password");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, password.as_bytes()))
        .map_err(|e| Failure::error(format!("{}: {e}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::password_of;

    #[test]
    fn passwords_of_urls() {
        assert_eq!(password_of("postgres://me:p%40s%3A@h/d").as_deref(), Some("p@s:"));
        assert_eq!(password_of("postgres://me@h:5432/d"), None);
        assert_eq!(password_of("postgres://h/d?x=a:b@c"), None);
    }
}
