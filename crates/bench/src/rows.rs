//! The benchmark's row, made up here: nine columns, about 850 bytes as an event. Its table is that of
//! `reference/bench.py`.

use std::sync::Arc;

use walspring_record::{Column, PgType, Relation, ReplicaIdentity, TypeKind};

/// Name, type's name, type's oid, modifier, nullable.
const COLUMNS: [(&str, &str, u32, i32, bool); 9] = [
    ("id", "int8", 20, -1, false),
    ("account", "int4", 23, -1, false),
    ("status", "text", 25, -1, false),
    ("note", "text", 25, -1, true),
    // numeric(12,2)
    ("amount", "numeric", 1700, (12 << 16 | 2) + 4, true),
    ("created", "timestamptz", 1184, -1, false),
    ("payload", "jsonb", 3802, -1, true),
    ("token", "uuid", 2950, -1, true),
    ("active", "bool", 16, -1, true),
];

pub const TABLE_OID: u32 = 16_385;

/// The table as the catalog would describe it.
pub fn relation() -> Relation {
    let column = |(name, type_name, oid, modifier, nullable): (&str, &str, u32, i32, bool)| Column {
        name: name.into(),
        ty: Arc::new(PgType { oid, name: type_name.into(), namespace: "pg_catalog".into(), kind: TypeKind::Base }),
        modifier,
        nullable,
        default: None,
        generated: false,
        comment: None,
    };
    Relation {
        oid: TABLE_OID,
        namespace: "public".into(),
        name: "bench".into(),
        identity: ReplicaIdentity::Default,
        columns: COLUMNS.into_iter().map(column).collect(),
        key: vec![0],
        identifying: vec![0],
        key_may_repeat: false,
    }
}

/// The texts of row `i`, as PostgreSQL prints them. Digits that look random, the same in every run.
pub fn texts(i: u64) -> [String; 9] {
    let hash = format!("{:032x}", u128::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    [
        (1_000_000 + i).to_string(),
        (i * 7919 % 100_000).to_string(),
        ["new", "paid", "sent", "done"][i as usize % 4].to_owned(),
        hash.repeat(3),
        format!("{}.{:02}", i * 37 % 10_000, i % 100),
        format!("2026-01-01 {:02}:{:02}:{:02}.{:03}+00", i / 3600 % 24, i / 60 % 60, i % 60, i % 1000),
        format!("{{\"k\": {i}, \"name\": \"{hash}\", \"tags\": [\"a\", \"b\"]}}"),
        format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]),
        if i.is_multiple_of(2) { "t" } else { "f" }.to_owned(),
    ]
}
