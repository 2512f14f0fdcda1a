//! Values kept elsewhere: `${provider:[path:]key}`, resolved by Kafka's three providers under their class names.
//!
//! A reference that cannot be resolved stays as it is written, as in the original, and is reported in
//! [`ResolvedProps::unresolved`]; a file that cannot be read is an error. What was resolved is a secret: it is cleared
//! from memory when it is dropped, and `Debug` does not show it. Stored configurations and REST keep the references.

mod directory;
mod environment;
mod file;
mod paths;
mod reference;

use std::collections::BTreeMap;
use std::fmt;

use crate::config::{Config, ConfigError, ConfigErrors};
use crate::secret::Secret;
use crate::values;

pub use directory::DirectoryConfigProvider;
pub use environment::EnvVarConfigProvider;
pub use file::FileConfigProvider;
pub use reference::Reference;

pub const FILE_PROVIDER_CLASS: &str = "org.apache.kafka.common.config.provider.FileConfigProvider";
pub const DIRECTORY_PROVIDER_CLASS: &str = "org.apache.kafka.common.config.provider.DirectoryConfigProvider";
pub const ENVIRONMENT_PROVIDER_CLASS: &str = "org.apache.kafka.common.config.provider.EnvVarConfigProvider";

/// Why a value could not be had. The first is answered by REST in the original's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("Could not read properties from file {path}")]
    File { path: String, cause: String },
    #[error("Could not read file {path}")]
    Directory { path: String, cause: String },
}

/// What one reference came to.
pub(crate) enum Lookup {
    Found(Secret),
    /// The reference stays; the reason is for the log.
    Left(String),
}

#[derive(Debug, Clone)]
enum Provider {
    File(FileConfigProvider),
    Directory(DirectoryConfigProvider),
    Environment(EnvVarConfigProvider),
}

impl Provider {
    fn look_up(&self, reference: &Reference<'_>) -> Result<Lookup, ProviderError> {
        match self {
            Provider::File(provider) => provider.look_up(reference.path, reference.key),
            Provider::Directory(provider) => provider.look_up(reference.path, reference.key),
            Provider::Environment(provider) => Ok(provider.look_up(reference.path, reference.key)),
        }
    }
}

/// The providers of a worker.
#[derive(Debug, Clone)]
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
}

impl Providers {
    /// `file`, `dir` and `env`, as they are when the worker names none.
    pub fn preconfigured() -> Providers {
        let by_name = BTreeMap::from([
            ("file".to_owned(), Provider::File(FileConfigProvider::default())),
            ("dir".to_owned(), Provider::Directory(DirectoryConfigProvider::default())),
            ("env".to_owned(), Provider::Environment(EnvVarConfigProvider::default())),
        ]);
        Providers { by_name }
    }

    /// From `config.providers`, `config.providers.NAME.class` and `config.providers.NAME.param.*` of the worker.
    pub fn from_config(worker: &Config) -> Result<Providers, ConfigErrors> {
        let names = worker.get("config.providers").map(values::list).unwrap_or_default();
        if names.is_empty() {
            return Ok(Providers::preconfigured());
        }
        let mut by_name = BTreeMap::new();
        let mut errors = Vec::new();
        for name in names {
            let options = worker.with_prefix(&format!("config.providers.{name}."));
            match provider(&name, &options) {
                Ok(provider) => {
                    by_name.insert(name, provider);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Providers { by_name }) } else { Err(ConfigErrors(errors)) }
    }

    /// Every reference in every value.
    pub fn resolve(&self, config: &Config) -> Result<ResolvedProps, ProviderError> {
        let mut resolved = ResolvedProps::default();
        for (name, text) in config.iter() {
            let mut value = String::with_capacity(text.len());
            let mut rest = 0;
            let mut replaced = false;
            for reference in reference::references(text) {
                value.push_str(&text[rest..reference.start]);
                rest = reference.end;
                let lookup = match self.by_name.get(reference.provider) {
                    Some(provider) => provider.look_up(&reference)?,
                    None => Lookup::Left(format!("there is no provider {}", reference.provider)),
                };
                match lookup {
                    Lookup::Found(secret) => {
                        value.push_str(secret.expose());
                        resolved.secrets.push(secret);
                        replaced = true;
                    }
                    Lookup::Left(reason) => {
                        let reference = text[reference.start..reference.end].to_owned();
                        value.push_str(&reference);
                        resolved.unresolved.push(Unresolved { name: name.to_owned(), reference, reason });
                    }
                }
            }
            value.push_str(&text[rest..]);
            resolved.values.insert(name.to_owned(), Resolved { value: Secret::new(value), replaced });
        }
        Ok(resolved)
    }
}

fn provider(name: &str, options: &Config) -> Result<Provider, ConfigError> {
    let option = format!("config.providers.{name}.class");
    let class = options.get("class").ok_or_else(|| ConfigError::missing(&option))?.trim();
    let parameters = options.with_prefix("param.");
    let simple = class.strip_prefix("org.apache.kafka.common.config.provider.").unwrap_or(class);
    match simple {
        "FileConfigProvider" => FileConfigProvider::from_config(&parameters).map(Provider::File),
        "DirectoryConfigProvider" => DirectoryConfigProvider::from_config(&parameters).map(Provider::Directory),
        "EnvVarConfigProvider" => EnvVarConfigProvider::from_config(&parameters).map(Provider::Environment),
        _ => Err(ConfigError::invalid(
            &option,
            class,
            format_args!(
                "Class {class} could not be found. Walspring has {FILE_PROVIDER_CLASS}, {DIRECTORY_PROVIDER_CLASS} and \
                 {ENVIRONMENT_PROVIDER_CLASS}."
            ),
        )),
    }
}

/// A configuration with its references resolved.
#[derive(Clone, Default)]
pub struct ResolvedProps {
    values: BTreeMap<String, Resolved>,
    /// What came from providers, for hiding it.
    secrets: Vec<Secret>,
    pub unresolved: Vec<Unresolved>,
}

#[derive(Clone)]
struct Resolved {
    value: Secret,
    replaced: bool,
}

/// A reference that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pub name: String,
    pub reference: String,
    pub reason: String,
}

impl ResolvedProps {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|resolved| resolved.value.expose())
    }

    /// Whether any of the value came from a provider, so that it must not be shown.
    pub fn is_secret(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|resolved| resolved.replaced)
    }

    /// For parsing. The copy is not cleared from memory; keep it short.
    pub fn to_config(&self) -> Config {
        self.values.iter().map(|(name, resolved)| (name.clone(), resolved.value.expose().to_owned())).collect()
    }

    /// A text that may quote values, such as an error, with what came from providers hidden.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.expose(), crate::validate::HIDDEN))
    }
}

impl fmt::Debug for ResolvedProps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedProps")
            .field("names", &self.values.keys().collect::<Vec<_>>())
            .field("unresolved", &self.unresolved)
            .finish()
    }
}

#[cfg(test)]
mod tests;
