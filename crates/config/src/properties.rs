//! Java's `.properties` files: `key=value`, `key: value` or `key value`, `#` and `!` comments, lines continued by a
//! backslash, and the escapes `\t \n \r \f \uXXXX`; a backslash before anything else is left out. Read as UTF-8.
//! A later line wins over an earlier one of the same key.

use crate::config::Config;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: malformed \\u escape: four hexadecimal digits are expected")]
pub struct PropertiesError {
    pub line: usize,
}

pub fn parse(text: &str) -> Result<Config, PropertiesError> {
    let mut config = Config::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']).enumerate();
    while let Some((index, line)) = lines.next() {
        let start = line.trim_start_matches(SPACE);
        if start.is_empty() || start.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = start.to_owned();
        while ends_with_odd_backslashes(&logical) {
            logical.pop();
            let next = lines.next().map_or("", |(_, line)| line);
            logical.push_str(next.trim_start_matches(SPACE));
        }
        let (key, value) = split(&logical);
        let error = || PropertiesError { line: index + 1 };
        config.insert(unescape(key).ok_or_else(error)?, unescape(value).ok_or_else(error)?);
    }
    Ok(config)
}

const SPACE: [char; 3] = [' ', '\t', '\u{c}'];

fn ends_with_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// At the first `=`, `:` or space that no backslash stands before; space around one separator goes with it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, character)| {
        let separates = !escaped && ("=:".contains(*character) || SPACE.contains(character));
        escaped = *character == '\\' && !escaped;
        separates
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(SPACE);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(SPACE);
    (&line[..end], rest)
}

fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    let mut buffer = [0; 2];
    while let Some(character) = characters.next() {
        if character != '\\' {
            units.extend_from_slice(character.encode_utf16(&mut buffer));
            continue;
        }
        let escaped = match characters.next() {
            None => continue,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some('u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit * 16 + characters.next()?.to_digit(16)?;
                }
                units.push(unit as u16);
                continue;
            }
            Some(itself) => itself,
        };
        units.extend_from_slice(escaped.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.iter().collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn reads_what_java_reads() {
        check("a=1\nb: 2\nc 3\n", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("# no\n  ! no\n\n a = 1 \n", &[("a", "1 ")]);
        check("a=b=c:d\n", &[("a", "b=c:d")]);
        check("a\\=b\\:c\\ d=1\n", &[("a=b:c d", "1")]);
        check("a=x\\\n   y\\\n#z\nb=1\n", &[("a", "xy#z"), ("b", "1")]);
        check("a=x\\\\\nb=1\n", &[("a", "x\\"), ("b", "1")]);
        check("a=x\\\r\n  y\r\nb=1\r\n", &[("a", "xy"), ("b", "1")]);
        check("a=\\u0041\\ud83d\\ude00\\t\\q\n", &[("a", "A😀\tq")]);
        check("a=é\na=ü\n", &[("a", "ü")]);
        check("alone\n", &[("alone", "")]);
        check("=1\n", &[("", "1")]);
        check("\u{feff}a=1", &[("a", "1")]);
        check("a=1\\", &[("a", "1")]);
        check(
            "sasl.jaas.config=org.X required \\\n  username=\"u\" \\\n  password=\"p\\\\q\";\n",
            &[("sasl.jaas.config", "org.X required username=\"u\" password=\"p\\q\";")],
        );
    }

    #[test]
    fn names_the_line_of_a_malformed_escape() {
        assert_eq!(parse("a=1\nb=\\u00g1\n").unwrap_err(), PropertiesError { line: 2 });
        assert!(parse("b=\\u12").is_err());
    }
}
