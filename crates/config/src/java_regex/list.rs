//! A comma-separated list of regular expressions, as the filters of the original take it: case ignored, each matched
//! against the whole name, `\,` for a comma inside an expression.

use super::{JavaRegex, MatchError, RegexError};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RegexList {
    expressions: Vec<JavaRegex>,
}

impl RegexList {
    /// The first expression that is wrong is reported.
    pub fn parse(list: &str) -> Result<RegexList, RegexError> {
        let mut expressions = Vec::new();
        for expression in split(list)? {
            expressions.push(JavaRegex::new_ignoring_case(&expression)?);
        }
        Ok(RegexList { expressions })
    }

    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    pub fn len(&self) -> usize {
        self.expressions.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &JavaRegex> {
        self.expressions.iter()
    }

    pub fn matches(&self, name: &str) -> Result<bool, MatchError> {
        for expression in &self.expressions {
            if expression.matches(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// At commas without a backslash before them. A backslash stays with the character after it: `\,` means a comma to
/// Java's regular expressions too. Space around an expression, and empty ones, are left out.
pub fn split(list: &str) -> Result<Vec<String>, RegexError> {
    let mut expressions = vec![String::new()];
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        let Some(expression) = expressions.last_mut() else { break };
        match character {
            ',' => expressions.push(String::new()),
            '\\' => {
                expression.push('\\');
                expression.push(characters.next().ok_or_else(|| RegexError::Syntax {
                    description: "Unterminated escape sequence at the end of the string".to_owned(),
                    index: None,
                    pattern: list.to_owned(),
                })?);
            }
            other => expression.push(other),
        }
    }
    Ok(expressions.iter().map(|expression| expression.trim().to_owned()).filter(|e| !e.is_empty()).collect())
}
