//! Length and scale of a column, as the original's JDBC driver reports them for a type and its modifier: what
//! `column.propagate.source.type` writes, and what decides whether truncation can do anything.

use walspring_record::leaf::Reader;
use walspring_record::{PgType, TypeKind};

use crate::types::root;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Characters, digits or bits, of a moment those of its text; [`UNLIMITED`] where there is no limit; -1: not known.
    pub length: i32,
    pub scale: Option<i32>,
}

pub const UNLIMITED: i32 = i32::MAX;

/// The driver's answer for a snapshot differs from the type's own for one type: `numeric` without a precision.
pub fn dimensions(ty: &PgType, modifier: i32, reader: Reader) -> Dimensions {
    let (base, m, in_domain) = root(ty, modifier);
    let element = match &base.kind {
        TypeKind::Array(element) => element,
        _ => base,
    };
    if &*element.namespace != "pg_catalog" {
        return Dimensions { length: UNLIMITED, scale: Some(0) };
    }
    let name = &*element.name;
    if (name, m, in_domain, reader) == ("numeric", -1, false, Reader::Snapshot) && std::ptr::eq(element, base) {
        return Dimensions { length: 0, scale: None };
    }
    Dimensions { length: length(name, m), scale: Some(scale(name, m)) }
}

fn length(name: &str, m: i32) -> i32 {
    let or_unlimited = |length: i32| if m == -1 { UNLIMITED } else { length };
    let second = match m {
        -1 => 7,
        0 => 0,
        1 => 3,
        _ => m + 1,
    };
    match name {
        "bool" | "char" => 1,
        "int2" => 5,
        "int4" | "oid" => 10,
        "int8" => 19,
        "float4" => 8,
        "float8" => 17,
        "numeric" if m == -1 => 131_089,
        "numeric" => (m - 4) >> 16 & 0xFFFF,
        "bpchar" | "varchar" => or_unlimited(m - 4),
        "bit" => m,
        "varbit" => or_unlimited(m),
        "date" => 13,
        "time" => 8 + second,
        "timetz" => 14 + second,
        "timestamp" => 22 + second,
        "timestamptz" => 28 + second,
        "interval" => 49,
        _ => UNLIMITED,
    }
}

fn scale(name: &str, m: i32) -> i32 {
    match name {
        "float4" => 8,
        "float8" => 17,
        "numeric" if m != -1 => (m - 4) & 0xFFFF,
        "time" | "timetz" | "timestamp" | "timestamptz" | "interval" if m == -1 => 6,
        "time" | "timetz" | "timestamp" | "timestamptz" => m,
        "interval" => m & 0xFFFF,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn ty(name: &str, kind: TypeKind) -> PgType {
        PgType { oid: 1, name: name.into(), namespace: "pg_catalog".into(), kind }
    }

    /// As recorded from the original.
    #[test]
    fn are_the_drivers() {
        for (name, modifier, length, scale) in [
            ("varchar", 24, 20, 0),
            ("varchar", -1, UNLIMITED, 0),
            ("text", -1, UNLIMITED, 0),
            ("numeric", (8 << 16 | 3) + 4, 8, 3),
            ("numeric", (5 << 16 | (-2 & 0x7FF)) + 4, 5, 2046),
            ("numeric", -1, 131_089, 0),
            ("timestamp", -1, 29, 6),
            ("timestamp", 0, 22, 0),
            ("timestamp", 1, 25, 1),
            ("timestamptz", 3, 32, 3),
            ("time", 2, 11, 2),
            ("timetz", 1, 17, 1),
            ("interval", 0x7FFF << 16 | 3, 49, 3),
            ("float4", -1, 8, 8),
            ("varbit", 5, 5, 0),
        ] {
            let expected = Dimensions { length, scale: Some(scale) };
            assert_eq!(dimensions(&ty(name, TypeKind::Base), modifier, Reader::Stream), expected, "{name} {modifier}");
        }
        let numeric = Arc::new(ty("numeric", TypeKind::Base));
        let unknown = Dimensions { length: 0, scale: None };
        assert_eq!(dimensions(&numeric, -1, Reader::Snapshot), unknown);
        let display = Dimensions { length: 131_089, scale: Some(0) };
        assert_eq!(dimensions(&ty("_numeric", TypeKind::Array(numeric.clone())), -1, Reader::Snapshot), display);
        assert_eq!(dimensions(&ty("n", TypeKind::Domain(numeric, -1)), -1, Reader::Snapshot), display);
    }
}
