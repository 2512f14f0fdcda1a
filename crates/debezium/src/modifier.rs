//! Type modifiers (`atttypmod`): what a type's parentheses say.

/// What stands in a type's parentheses, as the original's JDBC driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modifier {
    /// Characters, bits, or the precision of a number; `None`: not limited.
    pub length: Option<i32>,
    /// Of a number, or the digits of a second: 6 unless given.
    pub scale: i32,
}

/// `ty` is the name of a type in `pg_catalog` or of an extension; of an array's, its element.
pub fn parse_modifier(modifier: i32, ty: &str) -> Modifier {
    let given = (modifier != -1).then_some(modifier);
    let (length, scale) = match ty {
        // The scale has eleven bits with a sign; the driver reads it without: numeric(5,-2) has 2046.
        "numeric" => (given.map(|m| (m - 4) >> 16 & 0xFFFF), given.map_or(0, |m| (m - 4) & 0xFFFF)),
        "bpchar" | "varchar" => (given.map(|m| m - 4), 0),
        "bit" | "varbit" => (given, 0),
        "time" | "timetz" | "timestamp" | "timestamptz" => (None, given.unwrap_or(6)),
        "interval" => (None, given.map_or(6, |m| m & 0xFFFF)),
        _ => (None, 0),
    };
    Modifier { length, scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stands_in_parentheses() {
        for (ty, modifier, length, scale) in [
            ("numeric", (5 << 16 | 2) + 4, Some(5), 2),
            ("numeric", (5 << 16 | (-2 & 0x7FF)) + 4, Some(5), 2046),
            ("numeric", -1, None, 0),
            ("varchar", 14, Some(10), 0),
            ("bit", 4, Some(4), 0),
            ("varbit", -1, None, 0),
            ("timestamp", 3, None, 3),
            ("timestamptz", -1, None, 6),
            ("interval", 0x7FFF << 16 | 2, None, 2),
        ] {
            assert_eq!(parse_modifier(modifier, ty), Modifier { length, scale }, "{ty} {modifier}");
        }
    }
}
