//! The SQL that writes many rows at once. Each column is one parameter, an array of texts, cast to the column's type
//! element by element: one statement for any number of rows, prepared once a table and set of columns.

use std::fmt::Write as _;

use crate::catalog::Table;

/// Which rows are written how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Insert,
    InsertNew,
    Upsert,
    Update,
    Delete,
}

/// `columns`: those that are written, key columns included; of a delete the key columns alone.
pub fn write(kind: Kind, table: &Table, columns: &[usize], keys: &[usize]) -> String {
    match kind {
        Kind::Insert | Kind::InsertNew | Kind::Upsert => insert(kind, table, columns, keys),
        Kind::Update => update(table, columns, keys),
        Kind::Delete => delete(table, columns),
    }
}

fn names(table: &Table, columns: &[usize]) -> String {
    columns.iter().map(|at| &*table.columns[*at].sql_name).collect::<Vec<_>>().join(", ")
}

/// `(select unnest($1::text[]) as c0, unnest($2::text[]) as c1) as s`: in the list of columns the arrays are walked side by
/// side. As a table function, each would be stored first, for 5 % more of the server's time.
fn rows(columns: &[usize]) -> String {
    let arrays: Vec<String> = (0..columns.len()).map(|n| format!("unnest(${}::text[]) as c{n}", n + 1)).collect();
    format!("(select {}) as s", arrays.join(", "))
}

fn cast(table: &Table, columns: &[usize]) -> Vec<String> {
    columns.iter().enumerate().map(|(n, at)| format!("s.c{n}::{}", table.columns[*at].sql_type)).collect()
}

fn insert(kind: Kind, table: &Table, columns: &[usize], keys: &[usize]) -> String {
    let mut sql = format!("insert into {} ({})", table.sql_name, names(table, columns));
    if columns.iter().any(|at| table.columns[*at].identity_always) {
        sql.push_str(" overriding system value");
    }
    // Writing to a `String` cannot fail.
    let _ = write!(sql, " select {} from {}", cast(table, columns).join(", "), rows(columns));
    if kind == Kind::Insert {
        return sql;
    }
    let _ = write!(sql, " on conflict ({})", names(table, keys));
    let set: Vec<String> = columns
        .iter()
        .filter(|at| !keys.contains(at))
        .map(|at| &table.columns[*at].sql_name)
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    if set.is_empty() || kind == Kind::InsertNew {
        sql.push_str(" do nothing");
    } else {
        let _ = write!(sql, " do update set {}", set.join(", "));
    }
    sql
}

fn conditions(table: &Table, columns: &[usize], keys: &[usize]) -> String {
    let condition = |key: &usize| {
        let n = columns.iter().position(|at| at == key).expect("key columns are written");
        format!("t.{} = s.c{n}", table.columns[*key].sql_name)
    };
    keys.iter().map(condition).collect::<Vec<_>>().join(" and ")
}

/// The rows with their types, so that comparisons are the column's own.
fn typed_rows(table: &Table, columns: &[usize]) -> String {
    let casts: Vec<String> =
        cast(table, columns).into_iter().enumerate().map(|(n, cast)| format!("{cast} as c{n}")).collect();
    format!("(select {} from {}) as s", casts.join(", "), rows(columns))
}

fn update(table: &Table, columns: &[usize], keys: &[usize]) -> String {
    let set: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(_, at)| !keys.contains(at))
        .map(|(n, at)| format!("{} = s.c{n}", table.columns[*at].sql_name))
        .collect();
    // A row of key columns alone has nothing to set; it is touched, so that the count says whether it is there.
    let set = if set.is_empty() {
        let key = keys.first().map(|at| &*table.columns[*at].sql_name).unwrap_or("ctid");
        format!("{key} = t.{key}")
    } else {
        set.join(", ")
    };
    format!(
        "update {} as t set {set} from {} where {}",
        table.sql_name,
        typed_rows(table, columns),
        conditions(table, columns, keys)
    )
}

fn delete(table: &Table, keys: &[usize]) -> String {
    format!(
        "delete from {} as t using {} where {}",
        table.sql_name,
        typed_rows(table, keys),
        conditions(table, keys, keys)
    )
}
