//! A worker's configuration from the environment, as the Connect images of Debezium and Confluent read it.

use crate::config::Config;
use crate::tables::worker::WORKER;

/// Names without a prefix, which Debezium's image knows.
const BARE: &[(&str, &str)] = &[
    ("BOOTSTRAP_SERVERS", "bootstrap.servers"),
    ("GROUP_ID", "group.id"),
    ("CONFIG_STORAGE_TOPIC", "config.storage.topic"),
    ("OFFSET_STORAGE_TOPIC", "offset.storage.topic"),
    ("STATUS_STORAGE_TOPIC", "status.storage.topic"),
    ("KEY_CONVERTER", "key.converter"),
    ("VALUE_CONVERTER", "value.converter"),
    ("ADVERTISED_HOST_NAME", "rest.advertised.host.name"),
    ("ADVERTISED_PORT", "rest.advertised.port"),
    ("OFFSET_FLUSH_INTERVAL_MS", "offset.flush.interval.ms"),
    ("OFFSET_FLUSH_TIMEOUT_MS", "offset.flush.timeout.ms"),
    ("SHUTDOWN_TIMEOUT", "task.shutdown.graceful.timeout.ms"),
];

/// Beginnings of names that are about the image, not about Connect.
const NOT_OPTIONS: &[&str] = &["CONNECT_LOG4J_", "CONNECT_CUB_", "CONNECT_REST_EXTENSION_CLASSES_PATH"];

/// `CONNECT_FOO_BAR` is `foo.bar`; in names `__` stands for `_` and `___` for `-`. `WALSPRING_FOO_BAR` is
/// `walspring.foo.bar`. What has the prefix wins over what has none.
pub fn worker_config<N: AsRef<str>, V: Into<String>>(environment: impl IntoIterator<Item = (N, V)>) -> Config {
    let mut bare = Config::new();
    let mut prefixed = Config::new();
    let (mut host, mut port) = (None, None);
    for (name, value) in environment {
        let name = name.as_ref();
        if let Some((_, option)) = BARE.iter().find(|(bare, _)| *bare == name) {
            bare.insert(*option, value);
        } else if name == "REST_HOST_NAME" {
            host = Some(value.into());
        } else if name == "REST_PORT" {
            port = Some(value.into());
        } else if let Some(rest) = name.strip_prefix("CONNECT_") {
            if !NOT_OPTIONS.iter().any(|not| name.starts_with(not)) && !rest.is_empty() {
                prefixed.insert(known_spelling(option_name(rest)), value);
            }
        } else if let Some(rest) = name.strip_prefix("WALSPRING_") {
            prefixed.insert(format!("walspring.{}", option_name(rest)), value);
        }
    }
    let mut config = bare.overlaid_with(&prefixed);
    if (host.is_some() || port.is_some()) && !config.contains("listeners") {
        let port = port.unwrap_or_else(|| "8083".to_owned());
        config.insert("listeners", format!("http://{}:{port}", host.unwrap_or_default()));
    }
    config
}

fn option_name(variable: &str) -> String {
    let mut name = String::with_capacity(variable.len());
    let mut rest = variable;
    while let Some(character) = rest.chars().next() {
        let (piece, length) = match rest.bytes().take_while(|byte| *byte == b'_').count() {
            0 => (character.to_ascii_lowercase(), character.len_utf8()),
            1 => ('.', 1),
            2 => ('_', 2),
            _ => ('-', 3),
        };
        name.push(piece);
        rest = &rest[length..];
    }
    name
}

/// Capitals are lost in variables; the table knows which options have some.
fn known_spelling(name: String) -> String {
    let known = WORKER.iter().find(|option| option.name.eq_ignore_ascii_case(&name));
    known.map(|option| option.name.to_owned()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_variables_as_the_images_do() {
        let environment = [
            ("BOOTSTRAP_SERVERS", "a:9092"),
            ("CONNECT_BOOTSTRAP_SERVERS", "b:9092"),
            ("GROUP_ID", "g"),
            ("CONNECT_PRODUCER_LINGER_MS", "5"),
            ("CONNECT_CONFIG_PROVIDERS_MY__SECRETS_CLASS", "x"),
            ("CONNECT_SASL_JAAS_CONFIG", "Case Kept"),
            ("CONNECT_A___B", "1"),
            ("CONNECT_LOG4J_LOGGERS", "x"),
            ("SHUTDOWN_TIMEOUT", "7000"),
            ("REST_PORT", "9000"),
            ("WALSPRING_DATA_DIR", "/var/lib/w"),
            ("PATH", "/bin"),
        ];
        let config = worker_config(environment);
        let expected = [
            ("a-b", "1"),
            ("bootstrap.servers", "b:9092"),
            ("config.providers.my_secrets.class", "x"),
            ("group.id", "g"),
            ("listeners", "http://:9000"),
            ("producer.linger.ms", "5"),
            ("sasl.jaas.config", "Case Kept"),
            ("task.shutdown.graceful.timeout.ms", "7000"),
            ("walspring.data.dir", "/var/lib/w"),
        ];
        assert_eq!(config.iter().collect::<Vec<_>>(), expected);
    }
}
