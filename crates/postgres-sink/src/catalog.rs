//! What the target's catalog says of a table: its columns with their types, as far as values need them.

use std::collections::HashMap;

use crate::session::{Session, SqlError};
use crate::target::Target;

/// A table as it was when it was looked up.
#[derive(Debug, Clone)]
pub struct Table {
    /// Quoted, with its schema: as it stands in SQL.
    pub sql_name: String,
    pub columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    /// Whether a name that is not there is looked up in lower case too.
    folds: bool,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// Quoted.
    pub sql_name: String,
    /// The type to cast to, without length or precision: a cast with them would cut and round in silence.
    pub sql_type: String,
    pub target: Target,
    pub not_null: bool,
    pub has_default: bool,
    /// PostgreSQL writes it itself.
    pub generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: written all the same, by OVERRIDING SYSTEM VALUE.
    pub identity_always: bool,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            return Some(*at);
        }
        if self.folds && name.bytes().any(|b| b.is_ascii_uppercase()) {
            return self.by_name.get(&name.to_ascii_lowercase()).copied();
        }
        None
    }
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.table`, quoted.
pub fn quote_parts(parts: &[String]) -> String {
    parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".")
}

const COLUMNS: &str = "\
    with recursive base as ( \
        select a.attnum, a.attname::text as name, t.oid, t.typname::text as typname, t.typtype, t.typelem, t.typcategory, \
               t.typbasetype, t.typtypmod, t.typlen, a.atttypmod as typmod, a.attnotnull, a.atthasdef, a.attidentity::text as identity, \
               a.attgenerated::text as generated \
        from pg_attribute a join pg_type t on t.oid = a.atttypid \
        where a.attrelid = to_regclass($1)::oid and a.attnum > 0 and not a.attisdropped \
      union all \
        select b.attnum, b.name, t.oid, t.typname::text, t.typtype, t.typelem, t.typcategory, t.typbasetype, \
               t.typtypmod, t.typlen, case when b.typmod >= 0 then b.typmod else b.typtypmod end, b.attnotnull, b.atthasdef, \
               b.identity, b.generated \
        from base b join pg_type t on t.oid = b.typbasetype where b.typtype = 'd' \
    ) \
    select b.name, b.typname, b.typmod, b.typcategory = 'A' and b.typlen = -1 and b.typelem <> 0, \
           e.typname::text, format_type(b.oid, -1), b.attnotnull, b.atthasdef, b.identity, b.generated \
    from base b left join pg_type e on e.oid = b.typelem \
    where b.typtype <> 'd' order by b.attnum";

/// Whether the name, quoted, is a table that can be written.
pub fn exists(session: &mut Session, sql_name: &str) -> Result<bool, SqlError> {
    let query = "select c.relkind::text in ('r', 'p', 'v', 'f') from pg_class c where c.oid = to_regclass($1)::oid";
    let rows = session.query(query, &[&sql_name]).map_err(|error| match &*error.code {
        "42501" => error.hinted("GRANT USAGE ON SCHEMA … TO the role of connection.username"),
        _ => error,
    })?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// `None`: there is no such table.
pub fn table(session: &mut Session, parts: &[String], folds: bool) -> Result<Option<Table>, SqlError> {
    let exact = parts.to_vec();
    let folded: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let candidates = if folds && folded != exact { vec![folded, exact] } else { vec![exact] };
    for candidate in candidates {
        let sql_name = quote_parts(&candidate);
        if exists(session, &sql_name)? {
            return columns(session, sql_name, folds).map(Some);
        }
    }
    Ok(None)
}

fn columns(session: &mut Session, sql_name: String, folds: bool) -> Result<Table, SqlError> {
    let rows = session.query(COLUMNS, &[&sql_name])?;
    let columns: Vec<Column> = rows
        .iter()
        .map(|row| {
            let (name, typname, typmod): (String, String, i32) = (row.get(0), row.get(1), row.get(2));
            let (array, element): (bool, Option<String>) = (row.get(3), row.get(4));
            let (identity, generated): (String, String) = (row.get(8), row.get(9));
            let target = match element.filter(|_| array) {
                Some(element) => Target::Array(Box::new(Target::of(&element, typmod))),
                None => Target::of(&typname, typmod),
            };
            Column {
                sql_name: quote(&name),
                name,
                sql_type: row.get(5),
                target,
                not_null: row.get(6),
                has_default: row.get::<_, bool>(7) || !identity.is_empty(),
                generated: !generated.is_empty(),
                identity_always: identity == "a",
            }
        })
        .collect();
    let by_name = columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
    Ok(Table { sql_name, columns, by_name, folds })
}

impl Table {
    /// A table that is not there yet.
    pub fn empty(sql_name: String, folds: bool) -> Table {
        Table { sql_name, columns: Vec::new(), by_name: HashMap::new(), folds }
    }
}
