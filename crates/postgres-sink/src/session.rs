//! One connection to the target: settings, prepared statements, transactions.

use std::collections::HashMap;
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, NoTls, Row, Statement};
use tokio_postgres::config::{SslMode as Negotiated, TargetSessionAttrs};
use walspring_connect::threads::{expecting_panics, message};

use crate::catalog::quote;
use crate::config::SinkConfig;
pub use crate::errors::SqlError;
use crate::errors::SqlErrorKind;
use crate::tls::Tls;
use crate::url::SslMode;

/// Statements differ by table and set of columns; more than this are a sign that they never repeat.
const STATEMENTS_MAX: usize = 512;

pub struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Session {
    pub fn connect(config: &SinkConfig, connector: &str) -> Result<Session, SqlError> {
        let endpoint = &config.endpoint;
        let mut wanted = postgres::Config::new();
        for (host, port) in &endpoint.hosts {
            wanted.host(host).port(*port);
        }
        if let Some(database) = &endpoint.database {
            wanted.dbname(database);
        }
        wanted.user(endpoint.user.as_deref().unwrap_or("postgres"));
        if let Some(password) = &endpoint.password {
            wanted.password(password.expose());
        }
        if let Some(timeout) = endpoint.connect_timeout {
            wanted.connect_timeout(timeout);
        }
        if let Some(options) = &endpoint.options {
            wanted.options(options);
        }
        let name = endpoint.application_name.clone().unwrap_or_else(|| format!("walspring-sink {connector}"));
        wanted
            .application_name(&name)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_secs(60));
        if endpoint.hosts.len() > 1 {
            wanted.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        // The client library panics where it gets no descriptor or thread for its event loop: that passes.
        let client = expecting_panics(|| match endpoint.ssl.mode {
            SslMode::Disable => Ok(wanted.ssl_mode(Negotiated::Disable).connect(NoTls)),
            mode => {
                wanted.ssl_mode(if mode == SslMode::Prefer { Negotiated::Prefer } else { Negotiated::Require });
                Ok(wanted.connect(Tls::new(&endpoint.ssl).map_err(SqlError::definite)?))
            }
        });
        let client = client.unwrap_or_else(|panic| {
            let message = format!("the client library cannot begin: {}", message(&*panic));
            Err(SqlError { kind: SqlErrorKind::Transient, ..SqlError::definite(message) })
        })?;
        let client = client.map_err(|error| {
            let error = SqlError::of(&error);
            match &*error.code {
                "28P01" | "28000" => {
                    error.hinted("check connection.username and connection.password, and pg_hba.conf of the server")
                }
                "3D000" => error.hinted("the database of connection.url does not exist"),
                _ => error,
            }
        })?;
        let mut session = Session { client, statements: HashMap::new() };
        session.settle(config)?;
        Ok(session)
    }

    fn settle(&mut self, config: &SinkConfig) -> Result<(), SqlError> {
        // Texts that we send are read as ISO. Plans of statements are made once: what they write changes, not how. A plan
        // that was made while the table was empty would read all of it, and do so until somebody analyzes it: rows are
        // looked for by an index wherever there is one.
        let mut settings = format!(
            "set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set plan_cache_mode = 'force_generic_plan'; \
             set enable_seqscan = off; set jit = off; \
             set statement_timeout = {}; set bytea_output = 'hex'; set standard_conforming_strings = on;",
            config.statement_timeout_ms
        );
        settings.push_str(&format!("set timezone = {};", literal(&config.time_zone)));
        if let Some(schemas) = &config.endpoint.current_schema {
            let list: Vec<String> = schemas.split(',').map(|schema| quote(schema.trim().trim_matches('"'))).collect();
            settings.push_str(&format!("set search_path = {};", list.join(", ")));
        }
        self.batch(&settings)
    }

    /// Several statements without parameters.
    pub fn batch(&mut self, sql: &str) -> Result<(), SqlError> {
        self.client.batch_execute(sql).map_err(|error| SqlError::of(&error))
    }

    /// `CREATE … IF NOT EXISTS` and the like. Another task that does the same at the same time is no error: PostgreSQL tells
    /// of it by the unique indexes of its catalog.
    pub fn make(&mut self, sql: &str) -> Result<(), SqlError> {
        match self.batch(sql) {
            Err(error) if matches!(&*error.code, "23505" | "42P07" | "42701" | "42710") => Ok(()),
            made => made,
        }
    }

    pub fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, SqlError> {
        let statement = self.prepared(sql)?;
        self.client.query(&statement, params).map_err(|error| SqlError::of(&error))
    }

    /// How many rows it touched.
    pub fn execute(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, SqlError> {
        let statement = self.prepared(sql)?;
        self.client.execute(&statement, params).map_err(|error| SqlError::of(&error))
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, SqlError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(|error| SqlError::of(&error))?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Statements are made anew: tables have changed.
    pub fn forget_statements(&mut self) {
        self.statements.clear();
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// A text as SQL.
pub fn literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if escaped.contains('\\') { format!("E'{}'", escaped.replace('\\', "\\\\")) } else { format!("'{escaped}'") }
}
