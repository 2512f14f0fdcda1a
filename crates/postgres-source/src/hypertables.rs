//! TimescaleDB's catalog, read for the transform that names records after hypertables. A connection of its own, as in the
//! original: the transform has its own `database.*` options.

use walspring_connect::{
    CONFIG_EXCEPTION, CONNECT_EXCEPTION, ConvertError, DEBEZIUM_EXCEPTION, HypertableCatalog, Hypertables,
    RETRIABLE_EXCEPTION, TableName, TaskError,
};

use crate::catalog;
use crate::config::SourceConfig;
use crate::errors::{PSQL_EXCEPTION, from_pg, java_message};
use crate::wire::{Connection, PgError, Row};

const DOING: &str = "Connecting for TimescaleDb's catalog";

const VERSION: &str = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'";
const CHUNKS: &str = "SELECT c.schema_name, c.table_name, h.schema_name, h.table_name FROM _timescaledb_catalog.chunk c \
    JOIN _timescaledb_catalog.hypertable h ON h.id = c.hypertable_id";
/// From 2.29 on chunks are named by their tables only.
const CHUNKS_BY_TABLE: &str = "SELECT n.nspname, t.relname, h.schema_name, h.table_name \
    FROM _timescaledb_catalog.chunk c JOIN _timescaledb_catalog.hypertable h ON h.id = c.hypertable_id \
    JOIN pg_catalog.pg_class t ON t.oid = c.relid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace";
const NUMBERS: &str = "SELECT id, schema_name, table_name FROM _timescaledb_catalog.hypertable";
const AGGREGATES: &str = "SELECT h.schema_name, h.table_name, a.user_view_schema, a.user_view_name \
    FROM _timescaledb_catalog.continuous_agg a \
    JOIN _timescaledb_catalog.hypertable h ON h.id = a.mat_hypertable_id";

/// The catalog of one database.
pub struct TimescaleCatalog {
    config: SourceConfig,
    connection: Option<Connection>,
    /// Whether it names chunks by their tables; not known before the first connection.
    by_table: Option<bool>,
}

impl TimescaleCatalog {
    /// `options`: the transform's, of which those that begin with `database.` count. The extension has to be there; a
    /// server that is away is waited for with the first record.
    pub fn open(options: &[(String, String)]) -> Result<TimescaleCatalog, ConvertError> {
        let database = options.iter().filter(|(name, _)| name.starts_with("database."));
        // The connector's parser wants a prefix, which is of no use here.
        let given: Vec<_> = database.cloned().chain([("topic.prefix".into(), "timescaledb".into())]).collect();
        let config = SourceConfig::parse(&given)
            .map_err(|e| ConvertError { class: CONFIG_EXCEPTION, message: format!("TimescaleDb: {}", e.message) })?;
        let mut catalog = TimescaleCatalog { config, connection: None, by_table: None };
        match catalog.by_table() {
            Ok(_) => Ok(catalog),
            Err(Refusal::Away(e)) => {
                tracing::warn!("the catalog of TimescaleDB is read later: {e}");
                Ok(catalog)
            }
            Err(refusal) => {
                let e = refusal.as_error("Failed to determine TimescaleDB version");
                Err(ConvertError { class: CONNECT_EXCEPTION, message: format!("{}: {}", e.class, e.message) })
            }
        }
    }

    fn by_table(&mut self) -> Result<bool, Refusal> {
        if let Some(by_table) = self.by_table {
            return Ok(by_table);
        }
        let found = self.query(VERSION)?;
        let version = found.first().map(|row| catalog::text(row, 0)).ok_or(Refusal::NotInstalled)?;
        let by_table = names_chunks_by_table(&version).ok_or(Refusal::Version(version))?;
        self.by_table = Some(by_table);
        Ok(by_table)
    }

    /// Asks again once where the connection turns out to be lost.
    fn query(&mut self, sql: &str) -> Result<Vec<Row>, Refusal> {
        for again in [true, false] {
            let connection = match &mut self.connection {
                Some(connection) if connection.is_usable() => connection,
                kept => kept.insert(self.config.open(DOING).map_err(Refusal::of_start)?),
            };
            match connection.query(sql) {
                Ok(rows) => return Ok(rows),
                Err(e) if e.is_transient() && again => self.connection = None,
                Err(e) if e.is_transient() => return Err(Refusal::Away(from_pg(DOING, e))),
                Err(e) => return Err(Refusal::Server(e)),
            }
        }
        Err(Refusal::Away(TaskError::transient(CONNECT_EXCEPTION, DOING)))
    }

    fn read_all(&mut self) -> Result<Hypertables, Refusal> {
        let chunks = if self.by_table()? { CHUNKS_BY_TABLE } else { CHUNKS };
        let name = |row: &Row, at: usize| TableName::new(catalog::text(row, at), catalog::text(row, at + 1));
        let pairs = |rows: Vec<Row>| rows.iter().map(|row| (name(row, 0), name(row, 2))).collect();
        Ok(Hypertables {
            chunks: pairs(self.query(chunks)?),
            numbers: self.query(NUMBERS)?.iter().map(|row| (catalog::number(row, 0), name(row, 1))).collect(),
            aggregates: pairs(self.query(AGGREGATES)?),
        })
    }
}

impl HypertableCatalog for TimescaleCatalog {
    fn read(&mut self) -> Result<Hypertables, ConvertError> {
        self.read_all().map_err(|refusal| refusal.as_error("Failed to read TimescaleDB metadata"))
    }
}

enum Refusal {
    /// The server is not there; it is tried again.
    Away(TaskError),
    Start(TaskError),
    Server(PgError),
    NotInstalled,
    Version(String),
}

impl Refusal {
    fn of_start(e: TaskError) -> Refusal {
        if e.is_transient() { Refusal::Away(e) } else { Refusal::Start(e) }
    }

    /// In the words of the original, which has the driver's below its own.
    fn as_error(&self, failed: &str) -> ConvertError {
        let error = |class, message| ConvertError { class, message };
        match self {
            Refusal::Away(e) => error(RETRIABLE_EXCEPTION, format!("{failed}: {e}")),
            Refusal::Start(e) => error(DEBEZIUM_EXCEPTION, format!("{failed}\n{e}")),
            Refusal::Server(e) => {
                error(DEBEZIUM_EXCEPTION, format!("{failed}\nCaused by: {PSQL_EXCEPTION}: {}", java_message(e)))
            }
            Refusal::NotInstalled => error(
                DEBEZIUM_EXCEPTION,
                "TimescaleDB extension is not installed\nthe options database.* of TimescaleDb name a database without \
                 it: run CREATE EXTENSION timescaledb there, or name the one that is captured"
                    .to_owned(),
            ),
            Refusal::Version(version) => {
                error(DEBEZIUM_EXCEPTION, format!("Unable to parse TimescaleDB version '{version}'"))
            }
        }
    }
}

/// `None`: it is no version.
fn names_chunks_by_table(version: &str) -> Option<bool> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let version = (parts.next()??, parts.next()??);
    Some(version >= (2, 29))
}

#[cfg(test)]
mod tests {
    use super::names_chunks_by_table;

    #[test]
    fn versions() {
        for (version, by_table) in [
            ("2.28.1", Some(false)),
            ("2.29.0-dev", Some(true)),
            ("2.29", Some(true)),
            ("3.0.0", Some(true)),
            ("1.7.5", Some(false)),
            ("2", None),
            ("two.1", None),
        ] {
            assert_eq!(names_chunks_by_table(version), by_table, "{version}");
        }
    }
}
