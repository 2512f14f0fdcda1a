//! Names made fit for where they go.

/// `schema.name.adjustment.mode` and `field.name.adjustment.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameAdjustment {
    #[default]
    None,
    Avro,
    AvroUnicode,
}

impl NameAdjustment {
    /// A schema's full name: dots part it.
    pub fn schema_name(self, name: &str) -> String {
        self.adjust(name, true)
    }

    pub fn field_name(self, name: &str) -> String {
        self.adjust(name, false)
    }

    fn adjust(self, name: &str, dots: bool) -> String {
        let unicode = match self {
            NameAdjustment::None => return name.to_owned(),
            NameAdjustment::Avro => false,
            NameAdjustment::AvroUnicode => true,
        };
        let mut out = String::with_capacity(name.len());
        // Java looks at UTF-16 units: a character beyond the basic plane is replaced twice.
        for (i, unit) in name.encode_utf16().enumerate() {
            let c = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
            let first = i == 0;
            // The underscore begins an escape where there are escapes, and so is escaped itself.
            let valid = c.is_ascii_alphabetic() || c == '_' && !unicode;
            if valid || !first && (c.is_ascii_digit() || c == '.' && dots) {
                out.push(c);
            } else if unicode {
                out.push_str(&escape_unit(unit));
            } else {
                out.push('_');
                if first && c.is_ascii_digit() {
                    out.push(c);
                }
            }
        }
        out
    }
}

/// `_u` and the unit in hexadecimal, padded as the original pads: up to two digits become four, three stay three.
pub fn escape_unit(unit: u16) -> String {
    let hex = format!("{unit:x}");
    format!("_u{}{hex}", if hex.len() <= 2 { "00" } else { "" })
}
