//! Regular expressions as `java.util.regex` reads them, which is what every option of the original that takes one means.
//!
//! A pattern is parsed by Java's grammar and written anew for the Rust engine, character classes resolved to their
//! ranges. What means the same is translated; what cannot be said in the Rust engine, or would mean something else
//! there, is refused with its place in the pattern. Nothing is run differently. Refused: `\G`, `\X`, `\N{…}`, `\b{g}`,
//! the flags `m`, `x`, `d`, `u` and `U`, blocks and `java…` properties, back-references under the flag `i`.
//!
//! Case is ignored for ASCII letters only, as Java does without its flag for Unicode.

mod charset;
mod list;
mod replacement;
mod translate;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

pub use list::RegexList;
pub use replacement::{Replacement, ReplacementError};

/// Why a pattern was refused. Wrong ones are described in Java's words, which REST clients see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegexError {
    Syntax { description: String, index: Option<usize>, pattern: String },
    Unsupported { construct: String, index: usize, pattern: String },
}

impl RegexError {
    pub fn is_unsupported(&self) -> bool {
        matches!(self, RegexError::Unsupported { .. })
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegexError::Syntax { description, index: None, pattern } => write!(f, "{description}\n{pattern}"),
            RegexError::Syntax { description, index: Some(index), pattern } => {
                write!(f, "{description} near index {index}\n{pattern}")?;
                if *index < pattern.chars().count() {
                    write!(f, "\n{:index$}^", "")?;
                }
                Ok(())
            }
            RegexError::Unsupported { construct, index, pattern } => {
                write!(f, "{construct} near index {index} is not supported by this version of Walspring\n{pattern}")
            }
        }
    }
}

impl std::error::Error for RegexError {}

/// The engine gave up on a text: the pattern takes too many attempts at it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression {pattern} takes too long to match; write it without nested repetitions")]
pub struct MatchError {
    pub pattern: String,
}

/// Attempts at one text before the engine gives up. Texts are names of tables and topics: a few hundred characters.
const BACKTRACK_LIMIT: usize = 10_000_000;

pub struct JavaRegex {
    pattern: String,
    ignore_case: bool,
    group_count: usize,
    group_names: BTreeMap<String, usize>,
    whole: fancy_regex::Regex,
    /// Compiled when a search is first asked for; most patterns only ever match whole texts.
    search: OnceLock<Box<fancy_regex::Regex>>,
}

impl JavaRegex {
    pub fn new(pattern: &str) -> Result<JavaRegex, RegexError> {
        JavaRegex::compile(pattern, false)
    }

    pub fn new_ignoring_case(pattern: &str) -> Result<JavaRegex, RegexError> {
        JavaRegex::compile(pattern, true)
    }

    fn compile(pattern: &str, ignore_case: bool) -> Result<JavaRegex, RegexError> {
        let translated = translate::translate(pattern, ignore_case, translate::Extent::Whole)?;
        let whole = build(&format!("\\A(?:{})\\z", translated.pattern), pattern)?;
        Ok(JavaRegex {
            pattern: pattern.to_owned(),
            ignore_case,
            group_count: translated.group_count,
            group_names: translated.group_names,
            whole,
            search: OnceLock::new(),
        })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    pub fn group_count(&self) -> usize {
        self.group_count
    }

    pub fn group_index(&self, name: &str) -> Option<usize> {
        self.group_names.get(name).copied()
    }

    /// Whether the pattern matches the whole text: Java's `matches`.
    pub fn matches(&self, text: &str) -> Result<bool, MatchError> {
        self.whole.is_match(text).map_err(|_| self.gave_up())
    }

    /// Whether the pattern matches somewhere in the text: Java's `find`.
    pub fn find(&self, text: &str) -> Result<bool, MatchError> {
        self.search()?.is_match(text).map_err(|_| self.gave_up())
    }

    /// The groups of a match of the whole text, group 0 first.
    pub fn captures(&self, text: &str) -> Result<Option<Vec<Option<String>>>, MatchError> {
        let captures = self.whole.captures(text).map_err(|_| self.gave_up())?;
        Ok(captures.map(|captures| {
            (0..=self.group_count).map(|group| captures.get(group).map(|found| found.as_str().to_owned())).collect()
        }))
    }

    /// Java's `replaceFirst`: the text with the first match replaced, or the text as it is.
    pub fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<String, MatchError> {
        self.replace(text, replacement, 1)
    }

    /// Java's `replaceAll`.
    pub fn replace_all(&self, text: &str, replacement: &Replacement) -> Result<String, MatchError> {
        self.replace(text, replacement, usize::MAX)
    }

    fn replace(&self, text: &str, replacement: &Replacement, at_most: usize) -> Result<String, MatchError> {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = 0;
        for captures in self.search()?.captures_iter(text).take(at_most) {
            let captures = captures.map_err(|_| self.gave_up())?;
            let Some(found) = captures.get(0) else { continue };
            replaced.push_str(&text[rest..found.start()]);
            replacement.append_to(&mut replaced, |group| captures.get(group).map(|found| found.as_str()));
            rest = found.end();
        }
        replaced.push_str(&text[rest..]);
        Ok(replaced)
    }

    fn search(&self) -> Result<&fancy_regex::Regex, MatchError> {
        if let Some(search) = self.search.get() {
            return Ok(search);
        }
        let search = translate::translate(&self.pattern, self.ignore_case, translate::Extent::Part)
            .and_then(|translated| build(&translated.pattern, &self.pattern))
            .map_err(|_| self.gave_up())?;
        Ok(self.search.get_or_init(|| Box::new(search)))
    }

    fn gave_up(&self) -> MatchError {
        MatchError { pattern: self.pattern.clone() }
    }
}

impl fmt::Debug for JavaRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JavaRegex").field(&self.pattern).finish()
    }
}

impl Clone for JavaRegex {
    fn clone(&self) -> JavaRegex {
        JavaRegex {
            pattern: self.pattern.clone(),
            ignore_case: self.ignore_case,
            group_count: self.group_count,
            group_names: self.group_names.clone(),
            whole: self.whole.clone(),
            search: OnceLock::new(),
        }
    }
}

/// Two are equal if they match the same by construction.
impl PartialEq for JavaRegex {
    fn eq(&self, other: &JavaRegex) -> bool {
        self.pattern == other.pattern && self.ignore_case == other.ignore_case
    }
}

fn build(translated: &str, pattern: &str) -> Result<fancy_regex::Regex, RegexError> {
    fancy_regex::RegexBuilder::new(translated).backtrack_limit(BACKTRACK_LIMIT).build().map_err(|error| {
        RegexError::Unsupported {
            construct: format!("the expression ({error})"),
            index: 0,
            pattern: pattern.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests;
