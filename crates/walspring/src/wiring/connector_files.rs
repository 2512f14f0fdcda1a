//! Connectors given as files: `{"name","config"}` as REST takes them, a flat JSON object with `name`, or properties.

use std::path::{Path, PathBuf};

use serde_json::Value;
use walspring_config::properties;
use walspring_connect::Props;
use walspring_runtime::{Plugins, ValidationContext};

use crate::failure::Failure;

pub struct ConnectorFile {
    pub path: PathBuf,
    pub name: String,
    /// With `name` in it.
    pub config: Props,
}

/// Reads and checks all of them, without looking at any database; every error at once.
pub fn read(paths: &[PathBuf], plugins: &Plugins) -> Result<Vec<ConnectorFile>, Failure> {
    let mut files: Vec<ConnectorFile> = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        match read_one(path) {
            Ok(file) => {
                if let Some(other) = files.iter().find(|other| other.name == file.name) {
                    let (this, other) = (path.display(), other.path.display());
                    errors.push(format!("{this}: the connector {} is in {other} too", file.name));
                }
                errors.extend(check(&file, plugins).into_iter().map(|error| format!("{}: {error}", path.display())));
                files.push(file);
            }
            Err(error) => errors.push(format!("{}: {error}", path.display())),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(Failure::invalid(errors.join("\n"))) }
}

fn read_one(path: &Path) -> Result<ConnectorFile, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let (name, mut config) = if path.extension().is_some_and(|extension| extension == "properties") {
        let parsed = properties::parse(&text).map_err(|e| e.to_string())?;
        (None, parsed.iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    } else {
        json(&text)?
    };
    let name = name.or_else(|| config.get("name").and_then(Value::as_str).map(str::to_owned));
    let name = name.filter(|name| !name.trim().is_empty()).ok_or("the connector has no name")?;
    match config.get("name").and_then(Value::as_str) {
        Some(within) if within != name => {
            return Err(format!("it is called {name}, and {within} in its config"));
        }
        Some(_) => {}
        None => {
            config.insert("name".into(), name.clone().into());
        }
    }
    Ok(ConnectorFile { path: path.to_owned(), name, config })
}

fn json(text: &str) -> Result<(Option<String>, Props), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
    let Value::Object(mut outer) = value else { return Err("it is not a JSON object".into()) };
    let name = outer.get("name").and_then(Value::as_str).map(str::to_owned);
    let config = match outer.remove("config") {
        Some(Value::Object(config)) => config,
        Some(_) => return Err("config is not a JSON object".into()),
        None => outer,
    };
    // As REST takes them: numbers and booleans become texts.
    let config = config.into_iter().map(|(name, value)| match value {
        Value::Number(_) | Value::Bool(_) => (name, Value::String(value.to_string())),
        other => (name, other),
    });
    Ok((name, config.collect()))
}

fn check(file: &ConnectorFile, plugins: &Plugins) -> Vec<String> {
    let resolved = match plugins.options.resolve(&file.config) {
        Ok(resolved) => resolved,
        Err(error) => return vec![error],
    };
    let class = resolved.iter().find(|(name, _)| name == "connector.class").and_then(|(_, class)| class.as_deref());
    let Some(class) = class else { return vec!["connector.class is missing".into()] };
    let Some(plugin) = plugins.connector(class) else { return vec![plugins.unknown_class(class)] };
    // What depends on the cluster is told when the connector is registered.
    let infos = plugins.options.validate(plugin.class(), &resolved, ValidationContext { exactly_once: true });
    infos.entries.into_iter().flat_map(|entry| entry.value.errors).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, text: &str, expected: Result<&str, &str>| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let read = read_one(&path).map(|f| format!("{} {}", f.name, serde_json::to_string(&f.config).unwrap()));
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("a.json", r#"{"name":"a","config":{"x":1,"y":true}}"#, Ok(r#"a {"x":"1","y":"true","name":"a"}"#));
        check("a.json", r#"{"name":"a","x":"1"}"#, Ok(r#"a {"name":"a","x":"1"}"#));
        check("a.properties", "name=a\nx=1\n", Ok(r#"a {"name":"a","x":"1"}"#));
        check("a.json", r#"{"config":{"x":"1"}}"#, Err("the connector has no name"));
        check("a.json", r#"{"name":"a","config":{"name":"b"}}"#, Err("it is called a, and b in its config"));
        check("a.json", "[]", Err("it is not a JSON object"));
    }
}
