//! Names and values inside SQL and inside the replication grammar, which has rules of its own.
//!
//! Everything is always quoted, so that no list of keywords has to be right. Zero bytes cannot be quoted; sending them
//! is an error of [`super::Connection::query`].

/// `"name"`, as `format('%I')` when it quotes.
pub fn quote_identifier(name: &str) -> String {
    enclose(name, '"')
}

/// `'value'`, or `E'value'` with doubled backslashes if it has any: right under both settings of
/// `standard_conforming_strings`. As `format('%L')`.
pub fn quote_literal(value: &str) -> String {
    if !value.contains('\\') {
        return enclose(value, '\'');
    }
    format!("E{}", enclose(&value.replace('\\', "\\\\"), '\''))
}

/// `'value'` for START_REPLICATION and CREATE_REPLICATION_SLOT. Their grammar has no E'' strings: a backslash is an
/// ordinary character (`src/backend/replication/repl_scanner.l`).
pub fn quote_replication_literal(value: &str) -> String {
    enclose(value, '\'')
}

/// The value of `publication_names`: a literal that contains quoted identifiers, e.g. `'"a","b"'`. Unquoted names
/// would be folded to lower case and split at commas.
pub fn publication_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| quote_identifier(name.as_ref())).collect();
    quote_replication_literal(&names.join(","))
}

/// Puts the text between two quotes and doubles those inside.
fn enclose(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for char in text.chars() {
        if char == quote {
            out.push(quote);
        }
        out.push(char);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quote_identifier(r#"x"; drop--"#), r#""x""; drop--""#);
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\'b"), r"E'a\\''b'");
        assert_eq!(quote_replication_literal(r"a\'b"), r"'a\''b'");
        assert_eq!(publication_names(["a", r#"B",'c"#]), r#"'"a","B"",''c"'"#);
        assert_eq!(publication_names::<&str>([]), "''");
    }
}
