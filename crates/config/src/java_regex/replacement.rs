//! Java's replacement strings: `$1`, `${name}`, and `\` before a character that stands for itself.

use super::JavaRegex;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

/// In Java's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementError {
    #[error("Illegal group reference")]
    IllegalReference,
    #[error("Illegal group reference: group index is missing")]
    MissingIndex,
    #[error("character to be escaped is missing")]
    MissingEscaped,
    #[error("named capturing group is missing trailing '}}'")]
    UnclosedName,
    #[error("No group with name {{{0}}}")]
    UnknownName(String),
    #[error("No group {0}")]
    UnknownIndex(usize),
}

impl Replacement {
    /// Which groups there are decides how many digits belong to `$12`.
    pub fn new(replacement: &str, regex: &JavaRegex) -> Result<Replacement, ReplacementError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut characters = replacement.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' => text.push(characters.next().ok_or(ReplacementError::MissingEscaped)?),
                '$' => {
                    let group = match characters.peek().copied() {
                        None => return Err(ReplacementError::MissingIndex),
                        Some('{') => {
                            characters.next();
                            named_group(&mut characters, regex)?
                        }
                        Some(digit) if digit.is_ascii_digit() => numbered_group(&mut characters, regex)?,
                        Some(_) => return Err(ReplacementError::IllegalReference),
                    };
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Group(group));
                }
                other => text.push(other),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Replacement { parts })
    }

    pub(super) fn append_to<'t>(&self, target: &mut String, group: impl Fn(usize) -> Option<&'t str>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => target.push_str(text),
                // A group that took no part in the match stands for nothing.
                Part::Group(index) => target.push_str(group(*index).unwrap_or("")),
            }
        }
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn named_group(characters: &mut Characters<'_>, regex: &JavaRegex) -> Result<usize, ReplacementError> {
    let mut name = String::new();
    while let Some(character) = characters.next_if(char::is_ascii_alphanumeric) {
        name.push(character);
    }
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(ReplacementError::IllegalReference);
    }
    characters.next_if_eq(&'}').ok_or(ReplacementError::UnclosedName)?;
    regex.group_index(&name).ok_or(ReplacementError::UnknownName(name))
}

/// The first digit always counts, further ones as long as there is such a group.
fn numbered_group(characters: &mut Characters<'_>, regex: &JavaRegex) -> Result<usize, ReplacementError> {
    let mut index = 0;
    let mut digits = 0;
    while let Some(digit) = characters.peek().and_then(|digit| digit.to_digit(10)) {
        let longer = index * 10 + digit as usize;
        if digits > 0 && longer > regex.group_count() {
            break;
        }
        index = longer;
        digits += 1;
        characters.next();
    }
    if index > regex.group_count() { Err(ReplacementError::UnknownIndex(index)) } else { Ok(index) }
}
