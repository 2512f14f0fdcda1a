//! `${dir:DIRECTORY:FILE}`: the content of a file, as it is, to its last line end. Regular files only.

use std::path::Path;

use super::paths::AllowedPaths;
use super::{Lookup, ProviderError};
use crate::config::{Config, ConfigError};
use crate::secret::Secret;

#[derive(Debug, Clone, Default)]
pub struct DirectoryConfigProvider {
    allowed: AllowedPaths,
}

impl DirectoryConfigProvider {
    pub fn from_config(parameters: &Config) -> Result<DirectoryConfigProvider, ConfigError> {
        Ok(DirectoryConfigProvider { allowed: AllowedPaths::from_config(parameters)? })
    }

    pub(super) fn look_up(&self, path: Option<&str>, key: &str) -> Result<Lookup, ProviderError> {
        let Some(directory) = path.filter(|path| !path.is_empty()) else {
            return Ok(Lookup::Left("the path is empty".to_owned()));
        };
        let directory = Path::new(directory);
        if !self.allowed.allow(directory) {
            return Ok(Lookup::Left(format!("{} is not among allowed.paths", directory.display())));
        }
        // The key is a file's name, not a way to another directory.
        let file = directory.join(key);
        if key.contains('/') || !file.is_file() {
            return Ok(Lookup::Left(format!("{} has no file {key}", directory.display())));
        }
        match std::fs::read_to_string(&file) {
            Ok(content) => Ok(Lookup::Found(Secret::new(content))),
            Err(error) => Err(ProviderError::Directory { path: file.display().to_string(), cause: error.to_string() }),
        }
    }
}
