//! What is done with single columns: which are captured (`column.include.list`, `column.exclude.list`), and the rules that
//! cut, mask or hash their values or say more of their types in the schema.
//!
//! A rule's expressions are matched against `schema.table.column` (`datatype.propagate.source.type`: against
//! `schema.table.type`). Of several rules that match a column the first counts, in this order: truncation, asterisks,
//! propagation by column, propagation by type, hash, hash of the second version.

use super::filters::NameFilter;
use crate::config::{Config, ConfigError};
use crate::java_regex::{MatchError, RegexList};
use crate::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnRule {
    /// To so many characters.
    Truncate(usize),
    /// So many asterisks.
    Mask(usize),
    /// Type, length and scale go into the schema.
    PropagateType,
    Hash(ColumnHash),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnHash {
    /// One of [`HASH_ALGORITHMS`].
    pub algorithm: &'static str,
    pub salt: Secret,
    /// `column.mask.hash.v2.`: the text's own bytes are hashed.
    pub plain: bool,
}

/// Java's names of the algorithms that can be named in `column.mask.hash.ALGORITHM.with.salt.SALT`.
pub const HASH_ALGORITHMS: &[&str] =
    &["MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256"];

#[derive(Debug, Clone, PartialEq)]
enum Matching {
    Columns(RegexList),
    Types(RegexList),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnRules {
    pub captured: NameFilter,
    rules: Vec<(Matching, ColumnRule)>,
}

impl ColumnRules {
    pub fn from_config(config: &Config) -> Result<ColumnRules, ConfigError> {
        let mut rules = Vec::new();
        let mut hashes = Vec::new();
        let mut masks = Vec::new();
        for (name, value) in config.iter() {
            let columns = || RegexList::parse(value).map_err(|e| ConfigError::invalid(name, value, e));
            if let Some(length) = between(name, "column.truncate.to.", ".chars") {
                let length = characters(name, length)?;
                if length == 0 {
                    return Err(ConfigError::new(name, format!("{name}: Maximum length must be positive")));
                }
                rules.push((Matching::Columns(columns()?), ColumnRule::Truncate(length)));
            } else if let Some(length) = between(name, "column.mask.with.", ".chars") {
                masks.push((Matching::Columns(columns()?), ColumnRule::Mask(characters(name, length)?)));
            } else if let Some(rest) = name.strip_prefix("column.mask.hash.") {
                hashes.push((Matching::Columns(columns()?), ColumnRule::Hash(hash(rest)?)));
            }
        }
        rules.append(&mut masks);
        for (name, matching) in [
            ("column.propagate.source.type", Matching::Columns as fn(RegexList) -> Matching),
            ("datatype.propagate.source.type", Matching::Types),
        ] {
            if let Some(value) = config.get(name) {
                let list = RegexList::parse(value).map_err(|e| ConfigError::invalid(name, value, e))?;
                rules.push((matching(list), ColumnRule::PropagateType));
            }
        }
        hashes.sort_by_key(|(_, rule)| matches!(rule, ColumnRule::Hash(hash) if hash.plain));
        rules.append(&mut hashes);
        let captured = NameFilter::from_config(config, "column.include.list", "column.exclude.list")?;
        Ok(ColumnRules { captured, rules })
    }

    /// Whether rows have the column. A key has its columns in any case.
    pub fn captures(&self, schema: &str, table: &str, column: &str) -> Result<bool, MatchError> {
        match &self.captured {
            NameFilter::All => Ok(true),
            filter => filter.admits(&format!("{schema}.{table}.{column}")),
        }
    }

    /// The rule of a column whose type has this name.
    pub fn rule(&self, schema: &str, table: &str, column: &str, ty: &str) -> Result<Option<&ColumnRule>, MatchError> {
        if self.rules.is_empty() {
            return Ok(None);
        }
        let name = format!("{schema}.{table}.{column}");
        let type_name = format!("{schema}.{table}.{ty}");
        for (matching, rule) in &self.rules {
            let matches = match matching {
                Matching::Columns(list) => list.matches(&name)?,
                Matching::Types(list) => list.matches(&type_name)?,
            };
            if matches {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }
}

fn between<'a>(name: &'a str, before: &str, after: &str) -> Option<&'a str> {
    name.strip_prefix(before)?.strip_suffix(after)
}

fn characters(name: &str, length: &str) -> Result<usize, ConfigError> {
    // Java's int.
    let number = length.parse::<i32>().ok().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| ConfigError::new(name, format!("{name}: a number of characters is expected, not {length}")))
}

/// `ALGORITHM.with.salt.SALT`, for the second version with `v2.` before it. Messages do not name the salt.
fn hash(rest: &str) -> Result<ColumnHash, ConfigError> {
    const NAME: &str = "column.mask.hash";
    let (plain, rest) = match rest.strip_prefix("v2.") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (algorithm, salt) = rest.split_once(".with.salt.").filter(|(_, salt)| !salt.is_empty()).ok_or_else(|| {
        ConfigError::new(NAME, "column.mask.hash.ALGORITHM.with.salt.SALT is expected, or column.mask.hash.v2.…")
    })?;
    let known = match algorithm.to_ascii_uppercase().as_str() {
        "SHA" | "SHA1" => Some("SHA-1"),
        name => HASH_ALGORITHMS.iter().find(|known| **known == name).copied(),
    };
    let algorithm = known.ok_or_else(|| {
        let all = HASH_ALGORITHMS.join(", ");
        ConfigError::new(NAME, format!("{algorithm} is not among the hash algorithms of {NAME}: {all}"))
    })?;
    Ok(ColumnHash { algorithm, salt: salt.into(), plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(options: &[(&str, &str)]) -> Result<ColumnRules, ConfigError> {
        ColumnRules::from_config(&options.iter().copied().collect())
    }

    #[test]
    fn the_first_rule_counts() {
        let rules = rules(&[
            ("column.mask.hash.v2.SHA-256.with.salt.a.b", "public.t.(all|plain)"),
            ("column.mask.hash.sha-512.with.salt.s", "public.t.(all|hash|plain2)"),
            ("datatype.propagate.source.type", ".*\\.int4"),
            ("column.propagate.source.type", "public.t.(all|type)"),
            ("column.mask.with.12.chars", "PUBLIC.T.(all|mask)"),
            ("column.truncate.to.3.chars", "public.t.all , public.t.cut"),
        ])
        .unwrap();
        let rule = |column: &str, ty: &str| rules.rule("public", "t", column, ty).unwrap().cloned();
        let hash =
            |algorithm, salt: &str, plain| Some(ColumnRule::Hash(ColumnHash { algorithm, salt: salt.into(), plain }));
        assert_eq!(rule("all", "int4"), Some(ColumnRule::Truncate(3)));
        assert_eq!(rule("cut", "text"), Some(ColumnRule::Truncate(3)));
        assert_eq!(rule("mask", "int4"), Some(ColumnRule::Mask(12)));
        assert_eq!(rule("type", "text"), Some(ColumnRule::PropagateType));
        assert_eq!(rule("hash", "int4"), Some(ColumnRule::PropagateType));
        assert_eq!(rule("hash", "text"), hash("SHA-512", "s", false));
        assert_eq!(rule("plain", "text"), hash("SHA-256", "a.b", true));
        assert_eq!(rule("none", "text"), None);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (name, value) in [
            ("column.truncate.to.0.chars", "a"),
            ("column.truncate.to.x.chars", "a"),
            ("column.mask.with.99999999999.chars", "a"),
            ("column.mask.with.3.chars", "("),
            ("column.mask.hash.SHA256.with.salt.s", "a"),
            ("column.mask.hash.MD2.with.salt.s", "a"),
            ("column.mask.hash.SHA-256", "a"),
            ("column.mask.hash.SHA-256.with.salt.", "a"),
            ("column.propagate.source.type", "[a"),
        ] {
            assert!(rules(&[(name, value)]).is_err(), "{name}");
        }
    }
}
