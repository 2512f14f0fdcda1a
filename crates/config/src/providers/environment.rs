//! `${env:NAME}`: a variable of the worker's environment, as it was when the provider was made.

use std::collections::BTreeMap;
use std::fmt;

use super::Lookup;
use crate::config::{Config, ConfigError};
use crate::java_regex::JavaRegex;
use crate::secret::Secret;

#[derive(Clone)]
pub struct EnvVarConfigProvider {
    variables: BTreeMap<String, Secret>,
}

impl EnvVarConfigProvider {
    /// With `allowlist.pattern` only the variables whose whole name matches it.
    pub fn from_config(parameters: &Config) -> Result<EnvVarConfigProvider, ConfigError> {
        EnvVarConfigProvider::with_variables(parameters, process_environment())
    }

    pub fn with_variables(
        parameters: &Config,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<EnvVarConfigProvider, ConfigError> {
        const NAME: &str = "allowlist.pattern";
        let pattern = match parameters.get(NAME) {
            Some(pattern) => Some(JavaRegex::new(pattern).map_err(|error| ConfigError::invalid(NAME, pattern, error))?),
            None => None,
        };
        let mut allowed = BTreeMap::new();
        for (name, value) in variables {
            let matches = pattern.as_ref().is_none_or(|pattern| pattern.matches(&name).unwrap_or(false));
            if matches {
                allowed.insert(name, Secret::new(value));
            }
        }
        Ok(EnvVarConfigProvider { variables: allowed })
    }

    pub(super) fn look_up(&self, path: Option<&str>, key: &str) -> Lookup {
        if path.is_some_and(|path| !path.is_empty()) {
            return Lookup::Left("variables of the environment have no path".to_owned());
        }
        match self.variables.get(key) {
            Some(value) => Lookup::Found(value.clone()),
            None => Lookup::Left(format!("there is no variable {key}, or it is not allowed")),
        }
    }
}

impl Default for EnvVarConfigProvider {
    fn default() -> EnvVarConfigProvider {
        let variables = process_environment().map(|(name, value)| (name, Secret::new(value))).collect();
        EnvVarConfigProvider { variables }
    }
}

impl fmt::Debug for EnvVarConfigProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvVarConfigProvider").field("variables", &self.variables.len()).finish()
    }
}

/// Without what is not text.
fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
