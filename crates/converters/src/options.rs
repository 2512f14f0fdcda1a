//! Reading a plugin's few options, with the errors of Kafka's `ConfigDef`.

use walspring_connect::ConvertError;

/// Properties without the plugin's prefix; of a name that comes twice the last counts.
pub(crate) struct Config<'a>(pub &'a [(String, String)]);

impl Config<'_> {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.trim())
    }

    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ConvertError> {
        match self.get(name) {
            None => Ok(default),
            Some(v) if v.eq_ignore_ascii_case("true") => Ok(true),
            Some(v) if v.eq_ignore_ascii_case("false") => Ok(false),
            Some(v) => Err(invalid(name, v, "Expected value to be either true or false")),
        }
    }

    pub(crate) fn integer(&self, name: &str, default: i32) -> Result<i32, ConvertError> {
        match self.get(name) {
            None => Ok(default),
            Some(v) => v.parse().map_err(|_| invalid(name, v, "Not a number of type INT")),
        }
    }
}

pub(crate) const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";

pub(crate) fn invalid(name: &str, value: &str, message: &str) -> ConvertError {
    let message = format!("Invalid value {value} for configuration {name}: {message}");
    ConvertError { class: CONFIG_EXCEPTION, message }
}
