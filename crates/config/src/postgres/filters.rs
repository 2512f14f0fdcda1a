//! Which schemas, tables and messages are captured, and which columns make up a key. Expressions are matched against
//! the whole of `schema`, `schema.table` or `schema.table.column`, without quotes, ASCII case ignored.

use crate::config::{Config, ConfigError};
use crate::java_regex::{JavaRegex, MatchError, RegexList};

/// What is included, or what is excluded; never both.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum NameFilter {
    #[default]
    All,
    Only(RegexList),
    AllBut(RegexList),
}

impl NameFilter {
    /// An empty list is as good as none.
    pub fn from_config(config: &Config, include: &str, exclude: &str) -> Result<NameFilter, ConfigError> {
        let list = |name: &str| match config.get(name) {
            None => Ok(None),
            Some(list) => RegexList::parse(list)
                .map(|list| Some(list).filter(|list| !list.is_empty()))
                .map_err(|error| ConfigError::invalid(name, list, error)),
        };
        Ok(match (list(include)?, list(exclude)?) {
            (Some(only), _) => NameFilter::Only(only),
            (None, Some(but)) => NameFilter::AllBut(but),
            (None, None) => NameFilter::All,
        })
    }

    pub fn admits(&self, name: &str) -> Result<bool, MatchError> {
        match self {
            NameFilter::All => Ok(true),
            NameFilter::Only(list) => list.matches(name),
            NameFilter::AllBut(list) => list.matches(name).map(|matches| !matches),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters {
    pub schemas: NameFilter,
    pub tables: NameFilter,
    /// `snapshot.include.collection.list`; `All` if it is left out.
    pub snapshot_tables: NameFilter,
    /// Prefixes of logical messages.
    pub messages: NameFilter,
    /// Whether the system catalogs are left out.
    pub ignore_builtin: bool,
    /// The table of signals, `schema.table`: captured whatever the lists say.
    pub signal_table: Option<String>,
}

impl Filters {
    pub fn captures_schema(&self, schema: &str) -> Result<bool, MatchError> {
        if self.ignore_builtin && is_builtin_schema(schema) {
            return Ok(false);
        }
        self.schemas.admits(schema)
    }

    pub fn captures(&self, schema: &str, table: &str) -> Result<bool, MatchError> {
        let name = format!("{schema}.{table}");
        if self.signal_table.as_ref().is_some_and(|signals| *signals == name) {
            return Ok(true);
        }
        if self.ignore_builtin && table == "spatial_ref_sys" {
            return Ok(false);
        }
        Ok(self.captures_schema(schema)? && self.tables.admits(&name)?)
    }

    /// The place of the first expression of `table.include.list` that matches: a snapshot reads tables in that order.
    pub fn snapshot_place(&self, schema: &str, table: &str) -> Result<usize, MatchError> {
        let name = format!("{schema}.{table}");
        let NameFilter::Only(list) = &self.tables else { return Ok(usize::MAX) };
        for (place, expression) in list.iter().enumerate() {
            if expression.matches(&name)? {
                return Ok(place);
            }
        }
        Ok(usize::MAX)
    }

    pub fn wants_message(&self, prefix: &str) -> Result<bool, MatchError> {
        self.messages.admits(prefix)
    }
}

fn is_builtin_schema(schema: &str) -> bool {
    schema == "pg_catalog"
        || schema == "information_schema"
        || schema.starts_with("pg_temp")
        || schema.starts_with("pg_toast")
}

/// `message.key.columns`: `table:column,column;table:column`, table and column being expressions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyColumns {
    /// One for each column, matched against `schema.table.column`.
    expressions: Vec<JavaRegex>,
}

impl KeyColumns {
    pub fn parse(text: &str) -> Result<KeyColumns, ConfigError> {
        const NAME: &str = "message.key.columns";
        let mut expressions = Vec::new();
        for item in text.split(';').filter(|item| !item.trim().is_empty()) {
            let (table, columns) =
                item.split_once(':').ok_or_else(|| ConfigError::invalid(NAME, item, "table:column is expected"))?;
            for column in columns.split(',') {
                let expression = format!("{}.{}", table.trim(), column.trim());
                expressions.push(
                    JavaRegex::new_ignoring_case(&expression)
                        .map_err(|error| ConfigError::invalid(NAME, item, error))?,
                );
            }
        }
        Ok(KeyColumns { expressions })
    }

    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// The places of the key's columns among the table's, in the order of the option. None means the primary key.
    pub fn of_table(&self, schema: &str, table: &str, columns: &[&str]) -> Result<Option<Vec<usize>>, MatchError> {
        let mut key = Vec::new();
        for expression in &self.expressions {
            for (place, column) in columns.iter().enumerate() {
                if !key.contains(&place) && expression.matches(&format!("{schema}.{table}.{column}"))? {
                    key.push(place);
                }
            }
        }
        Ok(Some(key).filter(|key| !key.is_empty()))
    }
}

/// One item of `replica.identity.autoset.values`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaIdentityRule {
    /// Matched against `schema.table`.
    pub tables: JavaRegex,
    pub identity: ReplicaIdentity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaIdentity {
    Default,
    Full,
    Nothing,
    Index(String),
}

impl ReplicaIdentityRule {
    pub fn parse_list(text: &str) -> Result<Vec<ReplicaIdentityRule>, ConfigError> {
        const NAME: &str = "replica.identity.autoset.values";
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items
            .map(|item| {
                let (table, identity) = item
                    .split_once(':')
                    .ok_or_else(|| ConfigError::invalid(NAME, item, "table:identity is expected"))?;
                let tables = JavaRegex::new_ignoring_case(table.trim())
                    .map_err(|error| ConfigError::invalid(NAME, item, error))?;
                let identity = match identity.trim().split_once(' ') {
                    Some((index, name)) if index.eq_ignore_ascii_case("INDEX") => {
                        ReplicaIdentity::Index(name.trim().to_owned())
                    }
                    _ => match identity.trim().to_ascii_uppercase().as_str() {
                        "DEFAULT" => ReplicaIdentity::Default,
                        "FULL" => ReplicaIdentity::Full,
                        "NOTHING" => ReplicaIdentity::Nothing,
                        _ => {
                            return Err(ConfigError::invalid(
                                NAME,
                                item,
                                "DEFAULT, FULL, NOTHING or INDEX is expected",
                            ));
                        }
                    },
                };
                Ok(ReplicaIdentityRule { tables, identity })
            })
            .collect()
    }
}
