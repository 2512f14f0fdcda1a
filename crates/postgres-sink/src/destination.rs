//! Where a record goes: its table, and which of its fields go to which columns. Decided once for a topic and table.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_record::{Fields, Value};

use crate::catalog::Table;
use crate::config::SinkConfig;
use crate::routes::Route;

/// Fields that `ExtractNewRecordState` and others add beside the row's: no warning where the table lacks them.
const ADDED_PREFIX: &str = "__";

pub struct Destination {
    pub topic: Arc<str>,
    pub table: Table,
    /// The parts of the name as it was asked for.
    pub parts: Vec<String>,
    route: Option<Route>,
    /// What has been decided of fields by name.
    fields: HashMap<String, Field>,
    /// Sets of key columns that were seen; a record has one of them.
    pub key_sets: Vec<Vec<usize>>,
}

/// What happens to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Column(usize),
    /// Left out: by the route, a filter, or because PostgreSQL makes it itself.
    Dropped,
    /// The table has no such column.
    Unknown,
}

impl Destination {
    pub fn new(topic: Arc<str>, table: Table, parts: Vec<String>, route: Option<Route>) -> Destination {
        Destination { topic, table, parts, route, fields: HashMap::new(), key_sets: Vec::new() }
    }

    pub fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// The columns of the target changed.
    pub fn set_table(&mut self, table: Table) {
        self.table = table;
        self.fields.clear();
        self.key_sets.clear();
    }

    /// The column that the route has for a field.
    pub fn column_name<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        match self.route.as_ref().and_then(|route| route.columns.as_ref()) {
            Some(columns) => columns.iter().find(|column| column.field == field).map(|column| &*column.column),
            None => Some(field),
        }
    }

    /// A field of the row.
    #[inline]
    pub fn field(&mut self, config: &SinkConfig, name: &str) -> Field {
        if let Some(field) = self.fields.get(name) {
            return *field;
        }
        let decided = self.decide(config, name);
        self.fields.insert(name.to_owned(), decided);
        decided
    }

    fn decide(&self, config: &SinkConfig, name: &str) -> Field {
        if !config.fields.is_empty() && !config.fields.takes(&self.topic, name) {
            return Field::Dropped;
        }
        let Some(column) = self.column_name(name) else { return Field::Dropped };
        match self.table.column(column) {
            Some(at) if self.table.columns[at].generated => Field::Dropped,
            Some(at) => Field::Column(at),
            None if name.starts_with(ADDED_PREFIX) => Field::Dropped,
            None => Field::Unknown,
        }
    }

    /// A key field, which no filter leaves out.
    pub fn key_column(&self, name: &str) -> Option<usize> {
        self.table.column(self.column_name(name).unwrap_or(name))
    }

    pub fn key_set(&mut self, columns: &[usize]) -> usize {
        if let Some(at) = self.key_sets.iter().position(|set| set == columns) {
            return at;
        }
        self.key_sets.push(columns.to_vec());
        self.key_sets.len() - 1
    }
}

/// The parts of a record's table name.
pub fn table_name(config: &SinkConfig, topic: &str, source: Option<Fields<'_>>) -> Result<Vec<String>, String> {
    let fill = |format: &str| fill(format, topic, source);
    match config.route(topic) {
        Some(route) => route.table.iter().map(|part| fill(part)).collect(),
        // As the original: the whole is filled in, then taken apart at its dots.
        None => Ok(split(&fill(&config.table_format)?)),
    }
}

/// Whether all records of a topic have the same table.
pub fn depends_on_source(config: &SinkConfig, topic: &str) -> bool {
    match config.route(topic) {
        Some(route) => route.table.iter().any(|part| part.contains("${source.")),
        None => config.table_format.contains("${source."),
    }
}

fn fill(format: &str, topic: &str, source: Option<Fields<'_>>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (name, after) = after.split_once('}').ok_or_else(|| format!("{format}: a brace is not closed"))?;
        match name.strip_prefix("source.") {
            Some(field) => match source.and_then(|source| source.get(field)).map(|field| field.value) {
                Some(Value::String(text)) => filled.push_str(text),
                Some(Value::Int64(n)) => filled.push_str(&n.to_string()),
                _ => {
                    return Err(format!(
                        "the record's source has no text {field}, which the table's name needs: flat records have none"
                    ));
                }
            },
            None if name == "topic" => filled.push_str(&topic.replace('.', "_")),
            None => return Err(format!("{format}: ${{{name}}} is not known; ${{topic}} and ${{source.NAME}} are")),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// At dots, but not in double quotes; a catalog before the schema says nothing here.
fn split(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in name.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts.last_mut().expect("there is one from the beginning").push(c),
        }
    }
    if parts.len() > 2 {
        parts.drain(..parts.len() - 2);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_taken_apart() {
        let source = Value::Map(vec![
            (Value::string("schema"), Value::string("inv")),
            (Value::string("table"), Value::string("t")),
        ]);
        let source = Fields::of(None, &source);
        assert_eq!(fill("${topic}", "a.b-c.d", None).unwrap(), "a_b-c_d");
        assert_eq!(fill("${source.schema}.x_${source.table}", "a", source).unwrap(), "inv.x_t");
        assert!(fill("${source.table}", "a", None).is_err() && fill("${nothing}", "a", None).is_err());
        assert_eq!(split("db.s.t"), ["s", "t"]);
        assert_eq!(split("\"a.b\".t"), ["a.b", "t"]);
    }
}
