//! The type of a target column, as far as the form of its values depends on it.

/// A base type: domains have been followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Boolean,
    Integer,
    Float,
    /// Digits behind the point, where the column says them.
    Numeric {
        scale: Option<u32>,
    },
    Money,
    Text,
    Bytea,
    Date,
    /// Digits of the seconds' fraction.
    Time {
        precision: u8,
    },
    TimeTz,
    Timestamp {
        precision: u8,
    },
    TimestampTz {
        precision: u8,
    },
    Interval,
    Json,
    /// `bit(n)`
    Bit {
        length: u32,
    },
    VarBit,
    Hstore,
    Geometry,
    Point,
    Line,
    LineSegment,
    Box,
    Path,
    Polygon,
    Circle,
    Vector,
    SparseVector,
    Array(Box<Target>),
    /// Everything that is written as its text: uuid, inet, enum, xml, ranges …
    Other,
}

impl Target {
    pub fn of(typname: &str, typmod: i32) -> Target {
        // Without one, PostgreSQL keeps six digits.
        let precision = if (0..=6).contains(&typmod) { typmod as u8 } else { 6 };
        match typname {
            "bool" => Target::Boolean,
            "int2" | "int4" | "int8" | "oid" => Target::Integer,
            "float4" | "float8" => Target::Float,
            "numeric" => Target::Numeric { scale: numeric_scale(typmod) },
            "money" => Target::Money,
            "text" | "varchar" | "bpchar" | "name" | "citext" | "char" => Target::Text,
            "bytea" => Target::Bytea,
            "date" => Target::Date,
            "time" => Target::Time { precision },
            "timetz" => Target::TimeTz,
            "timestamp" => Target::Timestamp { precision },
            "timestamptz" => Target::TimestampTz { precision },
            "interval" => Target::Interval,
            "json" | "jsonb" => Target::Json,
            "bit" => Target::Bit { length: typmod.max(1) as u32 },
            "varbit" => Target::VarBit,
            "hstore" => Target::Hstore,
            "geometry" | "geography" => Target::Geometry,
            "point" => Target::Point,
            "line" => Target::Line,
            "lseg" => Target::LineSegment,
            "box" => Target::Box,
            "path" => Target::Path,
            "polygon" => Target::Polygon,
            "circle" => Target::Circle,
            "vector" | "halfvec" => Target::Vector,
            "sparsevec" => Target::SparseVector,
            _ => Target::Other,
        }
    }
}

/// `numeric.c`: precision in the upper half, the scale in eleven signed bits of the lower, both after four bytes.
fn numeric_scale(typmod: i32) -> Option<u32> {
    let scale = (typmod.checked_sub(4).filter(|m| *m >= 0)? & 0x7ff) ^ 1024;
    u32::try_from(scale - 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_modifier_holds_precision_and_scale() {
        assert_eq!(Target::of("numeric", (10 << 16 | 2) + 4), Target::Numeric { scale: Some(2) });
        assert_eq!(Target::of("numeric", -1), Target::Numeric { scale: None });
        assert_eq!(Target::of("timestamp", 3), Target::Timestamp { precision: 3 });
        assert_eq!(Target::of("timestamp", -1), Target::Timestamp { precision: 6 });
        assert_eq!(Target::of("bit", 5), Target::Bit { length: 5 });
    }
}
