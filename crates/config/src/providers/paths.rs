//! The parameter `allowed.paths`: the only places from which a provider may read.

use std::path::{Component, Path, PathBuf};

use crate::config::{Config, ConfigError};
use crate::values;

#[derive(Debug, Clone, Default)]
pub struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    /// Each has to exist and be absolute.
    pub fn from_config(parameters: &Config) -> Result<AllowedPaths, ConfigError> {
        const NAME: &str = "allowed.paths";
        let Some(list) = parameters.get(NAME).filter(|list| !list.trim().is_empty()) else {
            return Ok(AllowedPaths(None));
        };
        let mut allowed = Vec::new();
        for path in values::list(list) {
            let given = Path::new(&path);
            if !given.is_absolute() {
                return Err(ConfigError::invalid(NAME, &path, format_args!("Path {path} is not absolute")));
            }
            if !given.exists() {
                return Err(ConfigError::invalid(NAME, &path, format_args!("Path {path} does not exist")));
            }
            allowed.push(normalized(given));
        }
        Ok(AllowedPaths(Some(allowed)))
    }

    /// By the path's text, `..` resolved. Symbolic links are not followed: they are in the hands of who made the place.
    pub fn allow(&self, path: &Path) -> bool {
        let Some(allowed) = &self.0 else { return true };
        let path = normalized(path);
        allowed.iter().any(|allowed| path.starts_with(allowed))
    }
}

fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normalized.pop();
            }
            other => normalized.push(other),
        }
    }
    normalized
}
