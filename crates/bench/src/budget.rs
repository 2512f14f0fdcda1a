//! `instructions.txt`: how many instructions a row takes, as last recorded, for each profile and form.
//!
//! A line is `PROFILE FORM COUNT`. Whoever makes the path shorter records the new number in the same change; whoever
//! makes it longer says why.

use std::path::PathBuf;

use crate::Result;

/// A row may take this much more than what is recorded.
pub const SLACK: f64 = 0.15;

/// `dev` or `release`: counts without optimisation are another matter, and a guard all the same.
pub fn profile() -> &'static str {
    if cfg!(debug_assertions) { "dev" } else { "release" }
}

pub fn form(schemas: bool) -> &'static str {
    if schemas { "json-with-schemas" } else { "json" }
}

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

/// What is recorded for this profile.
pub fn recorded(schemas: bool) -> Result<f64> {
    let text = std::fs::read_to_string(path())?;
    let lines =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.into_iter().find(|words| words.len() == 3 && words[0] == profile() && words[1] == form(schemas));
    let words = found.ok_or_else(|| format!("{} has no line for {} {}", path().display(), profile(), form(schemas)))?;
    Ok(words[2].parse()?)
}
