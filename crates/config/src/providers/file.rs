//! `${file:PATH:KEY}`: a key of a `.properties` file. `${file:PATH}`: the whole of a file, which in the original takes a
//! provider of its own.

use std::path::Path;

use super::paths::AllowedPaths;
use super::{Lookup, ProviderError};
use crate::config::{Config, ConfigError};
use crate::properties;
use crate::secret::Secret;

#[derive(Debug, Clone, Default)]
pub struct FileConfigProvider {
    allowed: AllowedPaths,
}

impl FileConfigProvider {
    pub fn from_config(parameters: &Config) -> Result<FileConfigProvider, ConfigError> {
        Ok(FileConfigProvider { allowed: AllowedPaths::from_config(parameters)? })
    }

    pub(super) fn look_up(&self, path: Option<&str>, key: &str) -> Result<Lookup, ProviderError> {
        let file = match path {
            Some("") => return Ok(Lookup::Left("the path is empty".to_owned())),
            Some(path) => path,
            None if key.is_empty() => return Ok(Lookup::Left("the path is empty".to_owned())),
            None => key,
        };
        if !self.allowed.allow(Path::new(file)) {
            return Ok(Lookup::Left(format!("{file} is not among allowed.paths")));
        }
        let unreadable = |cause: String| ProviderError::File { path: file.to_owned(), cause };
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
        if path.is_none() {
            // The line end that editors put after the last line is not part of a password.
            let whole = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(Lookup::Found(Secret::from(whole.strip_suffix('\r').unwrap_or(whole))));
        }
        let properties = properties::parse(&text).map_err(|error| unreadable(error.to_string()))?;
        Ok(match properties.get(key) {
            Some(value) => Lookup::Found(Secret::from(value)),
            None => Lookup::Left(format!("{file} has no key {key}")),
        })
    }
}
