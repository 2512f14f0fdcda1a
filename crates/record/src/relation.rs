//! A table as the stream describes it, at one version, completed from the catalog.

use std::sync::Arc;

/// What an UPDATE or DELETE carries of the old row (`pg_class.relreplident`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index,
}

/// One version of a table. A new Relation message that differs makes a new one; it never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    pub oid: u32,
    /// PostgreSQL's schema.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub identity: ReplicaIdentity,
    /// In the order of a tuple's cells.
    pub columns: Vec<Column>,
    /// Positions in `columns` of the key, in key order: the primary key, else the first usable unique index, else what
    /// `message.key.columns` says. Empty: no key.
    pub key: Vec<usize>,
    /// Positions of the columns that old rows have: the replica identity's. Empty: none, or not known.
    pub identifying: Vec<usize>,
    /// The key is a unique index's that is partial or has nullable columns: several rows may have one.
    pub key_may_repeat: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: Arc<str>,
    pub ty: TypeRef,
    /// `pg_attribute.atttypmod`; -1: none.
    pub modifier: i32,
    pub nullable: bool,
    /// The default's expression as PostgreSQL prints it (`pg_get_expr`).
    pub default: Option<Arc<str>>,
    /// `GENERATED … STORED`, or identity: its default is not a default.
    pub generated: bool,
    pub comment: Option<Arc<str>>,
}

/// A type of the catalog with all that the mapping asks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PgType {
    pub oid: u32,
    /// `pg_type.typname`, such as `int4` or `_text`.
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub kind: TypeKind,
}

pub type TypeRef = Arc<PgType>;

#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    Base,
    /// Labels by `enumsortorder`.
    Enum(Vec<Arc<str>>),
    /// Its base type and modifier (`typtypmod`), one level down.
    Domain(TypeRef, i32),
    Array(TypeRef),
    Composite,
    Range,
    Multirange,
    /// Pseudo-types and what the catalog no longer has.
    Other,
}

impl Relation {
    /// `schema.table`, as the filters see it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}
