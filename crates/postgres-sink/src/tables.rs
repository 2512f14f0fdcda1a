//! The target tables that a task knows: looked up once, and again when a record or the database says that they changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_connect::SinkRecord;
use walspring_debezium::UnavailableValues;
use walspring_record::{FieldRef, Fields};

use crate::catalog;
use crate::config::SinkConfig;
use crate::decode::DecodeError;
use crate::destination::{self, Destination, Field};
use crate::evolution;
use crate::session::{Session, SqlError};
use crate::values::Reading;

/// How long a column that was not there is taken to be missing still.
const MISSING_FOR: Duration = Duration::from_secs(30);

pub struct Tables {
    pub config: SinkConfig,
    pub unavailable: UnavailableValues,
    pub reading: Reading,
    pub destinations: Vec<Destination>,
    /// Of topics whose table does not depend on the record.
    by_topic: HashMap<Arc<str>, usize>,
    by_name: HashMap<(Arc<str>, Vec<String>), usize>,
    /// When a column was last looked for, by table and field.
    looked: HashMap<(String, String), Instant>,
    warned: HashSet<(String, String)>,
    connector: String,
}

impl Tables {
    pub fn new(config: SinkConfig, connector: String) -> Tables {
        let unavailable = UnavailableValues::new(&config.unavailable);
        let reading = Reading { declared: config.declared, utc: is_utc(&config.time_zone) };
        Tables {
            config,
            unavailable,
            reading,
            destinations: Vec::new(),
            by_topic: HashMap::new(),
            by_name: HashMap::new(),
            looked: HashMap::new(),
            warned: HashSet::new(),
            connector,
        }
    }

    /// All are looked up anew.
    pub fn forget(&mut self) {
        self.destinations.clear();
        self.by_topic.clear();
        self.by_name.clear();
    }

    /// Where the record goes. `row` is what a table that is not there would be made from.
    pub fn destination(
        &mut self,
        session: &mut Session,
        record: &SinkRecord,
        source: Option<Fields<'_>>,
        row: Option<Fields<'_>>,
    ) -> Result<usize, DecodeError> {
        if let Some(at) = self.by_topic.get(&record.topic) {
            return Ok(*at);
        }
        let parts = destination::table_name(&self.config, &record.topic, source).map_err(DecodeError::Record)?;
        let name = (record.topic.clone(), parts);
        let at = match self.by_name.get(&name) {
            Some(at) => *at,
            None => {
                let at = self.look_up(session, record, &name.1, row)?;
                self.by_name.insert(name, at);
                at
            }
        };
        if !destination::depends_on_source(&self.config, &record.topic) {
            self.by_topic.insert(record.topic.clone(), at);
        }
        Ok(at)
    }

    fn look_up(
        &mut self,
        session: &mut Session,
        record: &SinkRecord,
        parts: &[String],
        row: Option<Fields<'_>>,
    ) -> Result<usize, DecodeError> {
        let route = self.config.route(&record.topic).cloned();
        let folds = !self.config.quote;
        let mut table = catalog::table(session, parts, folds)?;
        if table.is_none() {
            let mut made = Destination::new(
                record.topic.clone(),
                catalog::Table::empty(evolution::name(parts, folds), folds),
                parts.to_vec(),
                route.clone(),
            );
            let proposal = match self.config.audit {
                true => Some(crate::audit::create_table(&made.table.sql_name)),
                false => evolution::create_table(&self.config, &mut made, record, row),
            };
            match proposal {
                Some(sql) if self.config.evolution => {
                    tracing::info!(connector = self.connector, %sql, "a table that is not there is made");
                    session.make(&sql)?;
                    table = catalog::table(session, parts, folds)?;
                }
                proposal => return Err(no_table(parts, proposal, row.is_some(), self.config.evolution).into()),
            }
        }
        let Some(table) = table else { return Err(no_table(parts, None, false, false).into()) };
        if let Some(columns) = route.as_ref().and_then(|route| route.columns.as_ref()) {
            // A route names what must be there.
            if let (Some(missing), false) =
                (columns.iter().find(|column| table.column(&column.column).is_none()), self.config.evolution)
            {
                let error = format!(
                    "the table {} has no column {}, which the route of {} names",
                    table.sql_name, missing.column, record.topic
                );
                return Err(SqlError::definite(error)
                    .hinted(format!(
                        "ALTER TABLE {} ADD COLUMN {} …; or mend walspring.sink.routes",
                        table.sql_name,
                        catalog::quote(&missing.column)
                    ))
                    .into());
            }
        }
        self.destinations.push(Destination::new(record.topic.clone(), table, parts.to_vec(), route));
        Ok(self.destinations.len() - 1)
    }

    pub fn field(&mut self, at: usize, name: &str) -> Field {
        self.destinations[at].field(&self.config, name)
    }

    /// Looks for a column that was not there, or makes it. Whether there are others now.
    pub fn look_again(
        &mut self,
        session: &mut Session,
        at: usize,
        field: &FieldRef<'_>,
        row: Fields<'_>,
    ) -> Result<bool, SqlError> {
        let destination = &self.destinations[at];
        let key = (destination.table.sql_name.clone(), field.name.to_owned());
        if self.looked.get(&key).is_some_and(|when| when.elapsed() < MISSING_FOR) {
            return Ok(false);
        }
        if self.config.evolution
            && let Some(sql) = evolution::add_columns(&self.config, &mut self.destinations[at], row)
        {
            tracing::info!(connector = self.connector, %sql, "columns that are not there are made");
            session.make(&sql)?;
        }
        let parts = self.destinations[at].parts.clone();
        let Some(table) = catalog::table(session, &parts, !self.config.quote)? else { return Ok(false) };
        let column = self.destinations[at].column_name(field.name).unwrap_or(field.name).to_owned();
        if table.column(&column).is_some() {
            self.destinations[at].set_table(table);
            return Ok(true);
        }
        if self.warned.insert(key.clone()) && !self.config.unknown_fields_fail {
            tracing::warn!(
                connector = self.connector,
                table = key.0,
                field = key.1,
                "the table has no column for a field: it is left out (ALTER TABLE … ADD COLUMN, or \
                 walspring.sink.unknown.fields=fail)"
            );
        }
        self.looked.insert(key, Instant::now());
        Ok(false)
    }
}

fn is_utc(zone: &str) -> bool {
    ["UTC", "GMT", "Z", "Etc/UTC", "Etc/GMT", "UCT"].iter().any(|utc| utc.eq_ignore_ascii_case(zone.trim()))
}

fn no_table(parts: &[String], proposal: Option<String>, has_row: bool, evolution: bool) -> SqlError {
    let name = catalog::quote_parts(parts);
    let error = SqlError::definite(format!("there is no table {name} that this role can see"));
    match proposal {
        Some(sql) => error
            .hinted(format!("{sql}; or set schema.evolution=basic; or name another table with walspring.sink.routes")),
        None if evolution && has_row => error.hinted(format!(
            "schema.evolution=basic makes tables from schemas, which the record does not have: CREATE TABLE {name} (…)"
        )),
        None => error.hinted(format!("CREATE TABLE {name} (…); or name another table with walspring.sink.routes")),
    }
}
