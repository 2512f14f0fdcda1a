//! A configuration as it is written: names and texts, in the order of the names. Typed reading goes through the option
//! table, where the defaults are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::option::{Check, OptionDef, OptionTable};
use crate::secret::Secret;
use crate::values;

/// Values may be secrets: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    values: BTreeMap<String, String>,
}

impl Config {
    pub fn new() -> Config {
        Config::default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.values.insert(name.into(), value.into())
    }

    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What begins with the prefix, without it.
    pub fn with_prefix(&self, prefix: &str) -> Config {
        let within = self.values.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        within.map(|(name, value)| (name[prefix.len()..].to_owned(), value.clone())).collect()
    }

    /// This configuration with the other's values put over it.
    pub fn overlaid_with(mut self, other: &Config) -> Config {
        self.values.extend(other.values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    pub fn into_map(self) -> BTreeMap<String, String> {
        self.values
    }

    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// A reader that takes types and defaults from the table.
    pub fn reader(&self, table: OptionTable) -> Reader<'_> {
        Reader { config: self, table }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl From<BTreeMap<String, String>> for Config {
    fn from(values: BTreeMap<String, String>) -> Config {
        Config { values }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Config {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Config {
        Config { values: values.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// One option is wrong. The message is complete and, where the original has one, in its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    pub name: String,
    pub message: String,
}

impl ConfigError {
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError { name: name.into(), message: message.into() }
    }

    /// In Kafka's words.
    pub fn invalid(name: &str, value: &str, why: impl fmt::Display) -> ConfigError {
        ConfigError::new(name, format!("Invalid value {value} for configuration {name}: {why}"))
    }

    pub fn missing(name: &str) -> ConfigError {
        ConfigError::new(name, format!("Missing required configuration \"{name}\" which has no default value."))
    }
}

/// All that is wrong, not only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors(vec![error])
    }
}

/// Reads options by name; what is left out has the table's default. Asking for an option that the table does not have
/// is a mistake in our code and panics.
#[derive(Clone, Copy)]
pub struct Reader<'c> {
    config: &'c Config,
    table: OptionTable,
}

impl<'c> Reader<'c> {
    fn option(&self, name: &str) -> &'static OptionDef {
        match self.table.get(name) {
            Some(option) => option,
            None => panic!("no option {name} in the table"),
        }
    }

    fn raw(&self, name: &str) -> Option<&'c str> {
        let option = self.option(name);
        self.config.get(name).or(option.value_by_default())
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>, expected: &str) -> Result<T, ConfigError> {
        let raw = self.raw(name).ok_or_else(|| ConfigError::missing(name))?;
        parse(raw).ok_or_else(|| ConfigError::invalid(name, raw, expected))
    }

    pub fn optional(&self, name: &str) -> Option<String> {
        self.raw(name).map(str::to_owned)
    }

    /// Left out if empty.
    pub fn optional_nonempty(&self, name: &str) -> Option<String> {
        self.raw(name).filter(|value| !value.trim().is_empty()).map(str::to_owned)
    }

    pub fn string(&self, name: &str) -> Result<String, ConfigError> {
        self.optional(name).ok_or_else(|| ConfigError::missing(name))
    }

    pub fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        self.parsed(name, values::boolean, "Expected value to be either true or false")
    }

    pub fn int(&self, name: &str) -> Result<i32, ConfigError> {
        self.parsed(name, |raw| raw.trim().parse().ok(), "Not a number of type INT")
    }

    pub fn long(&self, name: &str) -> Result<i64, ConfigError> {
        self.parsed(name, |raw| raw.trim().parse().ok(), "Not a number of type LONG")
    }

    /// A number that cannot be negative.
    pub fn count(&self, name: &str) -> Result<u64, ConfigError> {
        self.parsed(name, |raw| raw.trim().parse().ok(), "Value must be at least 0")
    }

    pub fn milliseconds(&self, name: &str) -> Result<Duration, ConfigError> {
        self.count(name).map(Duration::from_millis)
    }

    /// No duration at zero, where that turns something off.
    pub fn milliseconds_unless_zero(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        self.milliseconds(name).map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        self.raw(name).map(values::list).unwrap_or_default()
    }

    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.raw(name).map(Secret::from)
    }

    /// One of the values the table allows for it, as the table spells it.
    pub fn choice(&self, name: &str) -> Result<&'static str, ConfigError> {
        let option = self.option(name);
        let raw = self.raw(name).ok_or_else(|| ConfigError::missing(name))?;
        let exact = option.checks.iter().any(|check| matches!(check, Check::OneOfExactly(_)));
        let allowed = option.allowed_values().unwrap_or_default();
        let same = |value: &&&str| if exact { **value == raw } else { value.eq_ignore_ascii_case(raw.trim()) };
        allowed
            .iter()
            .find(same)
            .copied()
            .ok_or_else(|| ConfigError::invalid(name, raw, format_args!("Value must be one of {}", allowed.join(", "))))
    }
}
