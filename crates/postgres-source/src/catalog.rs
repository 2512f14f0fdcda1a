//! What the source asks of PostgreSQL's catalog: tables, columns, keys, types. Off the record path.
//!
//! Everything is schema-qualified with `pg_catalog`, so that nobody's `search_path` decides what is read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use walspring_record::{Column, PgType, Relation, ReplicaIdentity, TypeKind, TypeRef};

use crate::wire::{Connection, PgError, Row};

/// A table that could be captured.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub oid: u32,
    pub namespace: String,
    pub name: String,
    /// `pg_class.relkind`: `r` or `p`.
    pub kind: char,
    /// Pages of the heap, as last counted; -1: never.
    pub pages: i64,
    /// Rows, as last estimated; negative: never.
    pub rows: f64,
    pub identity: ReplicaIdentity,
    /// A partition of another table.
    pub is_partition: bool,
}

impl Table {
    /// `schema.table`, as the filters see it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

/// All tables outside the system's schemas, by name.
pub fn tables(connection: &mut Connection) -> Result<Vec<Table>, PgError> {
    let rows = connection.query(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpages, c.reltuples, c.relreplident, c.relispartition \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
         AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'",
    )?;
    let mut tables: Vec<Table> = rows
        .iter()
        .map(|row| Table {
            oid: number(row, 0),
            namespace: text(row, 1),
            name: text(row, 2),
            kind: text(row, 3).chars().next().unwrap_or('r'),
            pages: number(row, 4),
            rows: number(row, 5),
            identity: identity(&text(row, 6)),
            is_partition: row.get(7) == Some("t"),
        })
        .collect();
    tables.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(tables)
}

/// Pages of plain tables' heaps, as they are now.
pub fn pages(connection: &mut Connection, oids: &[u32]) -> Result<HashMap<u32, i64>, PgError> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let rows = connection.query(&format!(
        "SELECT c.oid, pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8 \
         FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND c.oid = ANY ('{{{list}}}'::pg_catalog.oid[])"
    ))?;
    Ok(rows.iter().map(|row| (number(row, 0), number(row, 1))).collect())
}

/// A column as the catalog has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogColumn {
    pub name: String,
    pub type_oid: u32,
    pub modifier: i32,
    pub nullable: bool,
    pub default: Option<String>,
    /// `GENERATED ALWAYS AS (…) STORED`: the stream does not carry it (before version 18 never).
    pub generated: bool,
    pub comment: Option<String>,
}

/// The transactions that wrote what a description was read from. Two descriptions are the same whoever wrote them, so any
/// two of these are equal.
#[derive(Debug, Clone, Default)]
pub struct WrittenBy(pub Vec<u32>);

impl PartialEq for WrittenBy {
    fn eq(&self, _: &WrittenBy) -> bool {
        true
    }
}

impl WrittenBy {
    /// `xmin` of a row of the catalog.
    fn add(&mut self, xmin: Option<&str>) {
        if let Some(xid) = xmin.and_then(|xid| xid.parse().ok())
            && !self.0.contains(&xid)
        {
            self.0.push(xid);
        }
    }
}

/// What the catalog knows of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableDetails {
    pub columns: Vec<CatalogColumn>,
    /// Names in key order; empty: none.
    pub primary_key: Vec<String>,
    /// The primary key can be the replica identity: it is not deferrable.
    pub primary_identifies: bool,
    /// Of the first unique index (by name) that is valid and has no expressions.
    pub unique_key: Vec<String>,
    /// That index is partial or has nullable columns.
    pub unique_may_repeat: bool,
    /// Of the first that is neither.
    pub unique_sure: Vec<String>,
    /// Of the index that is the replica identity.
    pub identity_index: Vec<String>,
    /// The transactions that wrote what was read here.
    pub written_by: WrittenBy,
}

impl TableDetails {
    /// `walspring.strict`: a unique index whose rows may share their columns is no key.
    pub fn with_sure_keys(self) -> TableDetails {
        TableDetails { unique_key: self.unique_sure.clone(), unique_may_repeat: false, ..self }
    }

    pub fn column(&self, name: &str) -> Option<&CatalogColumn> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// The server's end of the log: what was written, or on a standby replayed.
pub const WAL_END: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE \
                           pg_catalog.pg_current_wal_lsn() END";

/// Details of several tables in three queries.
pub fn details(connection: &mut Connection, oids: &[u32]) -> Result<HashMap<u32, TableDetails>, PgError> {
    let mut all: HashMap<u32, TableDetails> = oids.iter().map(|&oid| (oid, TableDetails::default())).collect();
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    if list.is_empty() {
        return Ok(all);
    }
    // A default has no columns in it, unlike a generated column's expression. Without its table the server need not find names
    // for all columns of it, which before 16 takes half a minute for the defaults of 1,600 columns.
    let columns = connection.query(&format!(
        "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attnotnull, \
         pg_catalog.pg_get_expr(d.adbin, CASE a.attgenerated WHEN '' THEN 0 ELSE d.adrelid END), a.attgenerated, c.description, a.xmin, d.xmin, c.xmin \
         FROM pg_catalog.pg_attribute a \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         LEFT JOIN pg_catalog.pg_description c ON c.objoid = a.attrelid AND c.objsubid = a.attnum \
         AND c.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         WHERE a.attrelid = ANY ('{{{list}}}'::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attrelid, a.attnum"
    ))?;
    for row in &columns {
        if let Some(table) = all.get_mut(&number(row, 0)) {
            table.columns.push(CatalogColumn {
                name: text(row, 1),
                type_oid: number(row, 2),
                modifier: number(row, 3),
                nullable: row.get(4) != Some("t"),
                default: row.get(5).map(str::to_owned),
                generated: row.get(6).is_some_and(|g| !g.is_empty()),
                comment: row.get(7).map(str::to_owned),
            });
            (8..11).for_each(|column| table.written_by.add(row.get(column)));
        }
    }
    let keys = connection.query(&format!(
        "SELECT i.indrelid, i.indisprimary, c.relname, a.attname, i.indimmediate, i.indisreplident, \
         i.indpred IS NULL AND (SELECT pg_catalog.bool_and(n.attnotnull) \
         FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS g(n) \
         JOIN pg_catalog.pg_attribute n ON n.attrelid = i.indrelid AND n.attnum = i.indkey[g.n]), i.xmin \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(n) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n] \
         WHERE i.indrelid = ANY ('{{{list}}}'::pg_catalog.oid[]) AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL \
         ORDER BY i.indrelid, c.relname, k.n"
    ))?;
    let mut first_unique: HashMap<u32, String> = HashMap::new();
    let mut first_sure: HashMap<u32, String> = HashMap::new();
    for row in &keys {
        let oid = number(row, 0);
        let (primary, index, column) = (row.get(1) == Some("t"), text(row, 2), text(row, 3));
        let Some(table) = all.get_mut(&oid) else { continue };
        table.written_by.add(row.get(7));
        if row.get(5) == Some("t") {
            table.identity_index.push(column.clone());
        }
        if primary {
            table.primary_key.push(column);
            table.primary_identifies = row.get(4) == Some("t");
            continue;
        }
        let sure = row.get(6) == Some("t");
        if sure && *first_sure.entry(oid).or_insert_with(|| index.clone()) == index {
            table.unique_sure.push(column.clone());
        }
        if *first_unique.entry(oid).or_insert_with(|| index.clone()) == index {
            table.unique_key.push(column);
            table.unique_may_repeat = !sure;
        }
    }
    Ok(all)
}

/// Types by oid, asked for when first needed and kept.
#[derive(Debug, Default)]
pub struct Types {
    known: HashMap<u32, TypeRef>,
    /// Users' types as they were when last asked for: rows may still come of those that have been dropped since.
    former: HashMap<u32, TypeRef>,
    /// Domains that refuse NULL.
    not_null: HashSet<u32>,
    /// Of users' types: what they were made of.
    rows: HashMap<u32, TypeRow>,
}

impl Types {
    pub fn new() -> Types {
        Types::default()
    }

    /// Has what users can change (enums gain labels) asked for again; built-in types stay.
    pub fn forget_user_types(&mut self) {
        self.former.extend(self.known.extract_if(|&oid, _| oid >= FIRST_USER_OID));
    }

    /// Makes sure that the types are known, with what they are made of.
    pub fn load(&mut self, connection: &mut Connection, oids: impl IntoIterator<Item = u32>) -> Result<(), PgError> {
        let mut wanted: Vec<u32> = oids.into_iter().filter(|oid| !self.known.contains_key(oid)).collect();
        let mut found: HashMap<u32, TypeRow> = HashMap::new();
        while !wanted.is_empty() {
            wanted.sort_unstable();
            wanted.dedup();
            let rows = type_rows(connection, &wanted)?;
            wanted = rows
                .iter()
                .flat_map(|r| [r.base, r.element])
                .filter(|&oid| oid != 0 && !self.known.contains_key(&oid) && !found.contains_key(&oid))
                .filter(|oid| !rows.iter().any(|r| r.oid == *oid))
                .collect();
            found.extend(rows.into_iter().map(|r| (r.oid, r)));
        }
        self.add(found);
        Ok(())
    }

    fn add(&mut self, found: HashMap<u32, TypeRow>) {
        for oid in found.keys() {
            self.build(*oid, &found, 0);
        }
        self.rows.extend(found.into_iter().filter(|(oid, _)| *oid >= FIRST_USER_OID));
    }

    /// These types, but users' types as they were when `rows` were read.
    pub fn as_of(&self, rows: &[TypeRow]) -> Types {
        let own = rows.iter().map(|row| row.oid).collect::<HashSet<_>>();
        let others = self.known.iter().filter(|(oid, _)| !own.contains(oid));
        let mut types = Types { known: others.map(|(oid, ty)| (*oid, ty.clone())).collect(), ..Types::default() };
        types.not_null = self.not_null.difference(&own).copied().collect();
        types.add(rows.iter().map(|row| (row.oid, row.clone())).collect());
        types
    }

    /// Users' types among these, and those that they are made of.
    pub fn user_rows(&self, oids: impl IntoIterator<Item = u32>) -> Vec<TypeRow> {
        let mut wanted: Vec<u32> = oids.into_iter().collect();
        let mut rows: Vec<TypeRow> = Vec::new();
        while let Some(oid) = wanted.pop() {
            let Some(row) = self.rows.get(&oid).filter(|_| rows.iter().all(|row| row.oid != oid)) else { continue };
            wanted.extend([row.base, row.element]);
            rows.push(row.clone());
        }
        rows.sort_by_key(|row| row.oid);
        rows
    }

    fn build(&mut self, oid: u32, found: &HashMap<u32, TypeRow>, depth: u32) -> TypeRef {
        if let Some(known) = self.known.get(&oid) {
            return known.clone();
        }
        let Some(row) = found.get(&oid).filter(|_| depth < 32) else { return self.get(oid) };
        let kind = match row.kind {
            'd' => TypeKind::Domain(self.build(row.base, found, depth + 1), row.modifier),
            'e' => TypeKind::Enum(row.labels.iter().map(|l| l.as_str().into()).collect()),
            'c' => TypeKind::Composite,
            'r' => TypeKind::Range,
            'm' => TypeKind::Multirange,
            'b' if row.category == 'A' && row.element != 0 => {
                TypeKind::Array(self.build(row.element, found, depth + 1))
            }
            'b' => TypeKind::Base,
            _ => TypeKind::Other,
        };
        let ty: TypeRef =
            Arc::new(PgType { oid, name: row.name.as_str().into(), namespace: row.namespace.as_str().into(), kind });
        self.known.insert(oid, ty.clone());
        if row.not_null {
            self.not_null.insert(oid);
        }
        ty
    }

    /// Whether a value of the type may be NULL.
    pub fn allows_null(&self, oid: u32) -> bool {
        !self.not_null.contains(&oid)
    }

    /// A loaded type that the catalog has.
    pub fn known(&self, oid: u32) -> Option<TypeRef> {
        self.known.get(&oid).cloned()
    }

    /// A loaded type; one that the catalog does not have is as it was, or `Other` if it was never known.
    pub fn get(&self, oid: u32) -> TypeRef {
        self.known.get(&oid).or_else(|| self.former.get(&oid)).cloned().unwrap_or_else(|| unknown_type(oid))
    }
}

/// `FirstNormalObjectId` of PostgreSQL: below it stands what initdb made.
const FIRST_USER_OID: u32 = 16384;

/// A type as `pg_type` and `pg_enum` have it.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeRow {
    pub oid: u32,
    pub name: String,
    pub namespace: String,
    pub kind: char,
    pub category: char,
    pub base: u32,
    pub modifier: i32,
    pub element: u32,
    pub not_null: bool,
    pub labels: Vec<String>,
    /// The transactions that wrote this.
    pub written_by: WrittenBy,
}

fn type_rows(connection: &mut Connection, oids: &[u32]) -> Result<Vec<TypeRow>, PgError> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let rows = connection.query(&format!(
        "SELECT t.oid, t.typname, n.nspname, t.typtype, t.typcategory, t.typbasetype, t.typtypmod, t.typelem, \
         t.typnotnull, t.xmin \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE t.oid = ANY ('{{{list}}}'::pg_catalog.oid[])"
    ))?;
    let mut types: Vec<TypeRow> = rows
        .iter()
        .map(|row| TypeRow {
            oid: number(row, 0),
            name: text(row, 1),
            namespace: text(row, 2),
            kind: text(row, 3).chars().next().unwrap_or('b'),
            category: text(row, 4).chars().next().unwrap_or('U'),
            base: number(row, 5),
            modifier: number(row, 6),
            element: number(row, 7),
            not_null: row.get(8) == Some("t"),
            labels: Vec::new(),
            written_by: WrittenBy(vec![number(row, 9)]),
        })
        .collect();
    if types.iter().any(|t| t.kind == 'e') {
        let labels = connection.query(&format!(
            "SELECT e.enumtypid, e.enumlabel, e.xmin FROM pg_catalog.pg_enum e \
             WHERE e.enumtypid = ANY ('{{{list}}}'::pg_catalog.oid[]) ORDER BY e.enumtypid, e.enumsortorder"
        ))?;
        for row in &labels {
            let oid: u32 = number(row, 0);
            if let Some(ty) = types.iter_mut().find(|t| t.oid == oid) {
                ty.labels.push(text(row, 1));
                ty.written_by.add(row.get(2));
            }
        }
    }
    Ok(types)
}

fn unknown_type(oid: u32) -> TypeRef {
    Arc::new(PgType { oid, name: "unknown".into(), namespace: "pg_catalog".into(), kind: TypeKind::Other })
}

/// A column as the stream (or the snapshot's select list) has it: the rest comes from the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamColumn {
    pub name: String,
    pub type_oid: u32,
    pub modifier: i32,
    /// Part of the replica identity.
    pub is_key: bool,
}

/// Joins what the stream says with what the catalog knows. Columns that the catalog no longer has are taken as nullable
/// without a default; a key is made of those of its columns that are there, as in the original.
#[allow(clippy::too_many_arguments, reason = "what the stream says, then what the catalog says")]
pub fn relation(
    oid: u32,
    namespace: &str,
    name: &str,
    identity: ReplicaIdentity,
    stream: &[StreamColumn],
    details: &TableDetails,
    custom_key: Option<Vec<usize>>,
    types: &Types,
) -> Relation {
    let columns: Vec<Column> = stream
        .iter()
        .map(|c| {
            let catalog = details.column(&c.name);
            Column {
                name: c.name.as_str().into(),
                ty: types.get(c.type_oid),
                modifier: c.modifier,
                nullable: catalog.is_none_or(|k| k.nullable) && types.allows_null(c.type_oid),
                // Of a generated column it is the expression, which the original takes for a default.
                default: catalog.and_then(|k| k.default.as_deref().map(Into::into)),
                generated: catalog.is_some_and(|k| k.generated),
                comment: catalog.and_then(|k| k.comment.as_deref().map(Into::into)),
            }
        })
        .collect();
    let positions = |names: &[String]| -> Option<Vec<usize>> {
        let found: Vec<usize> = names.iter().filter_map(|n| columns.iter().position(|c| *c.name == **n)).collect();
        (!found.is_empty()).then_some(found)
    };
    let mut key_may_repeat = false;
    let mut unique = || {
        let key = positions(&details.unique_key);
        key_may_repeat = key.is_some() && details.unique_may_repeat;
        key
    };
    let key = match custom_key {
        Some(key) => Some(key),
        None => match former_key(identity, stream, details) {
            Some(former) if former.is_empty() => unique(),
            Some(former) => Some(former),
            None => positions(&details.primary_key).or_else(unique),
        },
    }
    .unwrap_or_default();
    let identifying = (0..stream.len()).filter(|&i| stream[i].is_key).collect();
    Relation {
        oid,
        namespace: namespace.into(),
        name: name.into(),
        identity,
        columns,
        key,
        identifying,
        key_may_repeat,
    }
}

/// The primary key that the table had at the time of the change, where the stream shows that it is not today's.
fn former_key(identity: ReplicaIdentity, stream: &[StreamColumn], details: &TableDetails) -> Option<Vec<usize>> {
    if identity != ReplicaIdentity::Default {
        return None;
    }
    let today = &details.primary_key;
    let former: Vec<usize> = (0..stream.len()).filter(|&i| stream[i].is_key).collect();
    if former.is_empty() {
        return (details.primary_identifies && !today.is_empty()).then(Vec::new);
    }
    let unchanged = former.len() == today.len() && former.iter().all(|&i| today.contains(&stream[i].name));
    (!unchanged).then_some(former)
}

pub fn identity(letter: &str) -> ReplicaIdentity {
    match letter {
        "n" => ReplicaIdentity::Nothing,
        "f" => ReplicaIdentity::Full,
        "i" => ReplicaIdentity::Index,
        _ => ReplicaIdentity::Default,
    }
}

pub(crate) fn text(row: &Row, column: usize) -> String {
    row.get(column).unwrap_or_default().to_owned()
}

pub(crate) fn number<T: std::str::FromStr + Default>(row: &Row, column: usize) -> T {
    row.get(column).and_then(|v| v.parse().ok()).unwrap_or_default()
}
