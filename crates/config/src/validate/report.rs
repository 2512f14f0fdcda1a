//! The answer, in the shape of Kafka Connect's `ConfigInfos`.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::config::{ConfigError, ConfigErrors};
use crate::option::{Kind, OptionDef};
use crate::warning::Warning;

/// What a password is printed as.
pub const HIDDEN: &str = "[hidden]";

/// Serializes as `ConfigInfos`. The warnings are beside it: the original has no place for them.
#[derive(Debug, Clone)]
pub struct ValidationReport {
    /// The connector's class, as it was given.
    pub name: String,
    pub groups: Vec<String>,
    pub entries: Vec<ConfigEntry>,
    pub warnings: Vec<Warning>,
}

impl Serialize for ValidationReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut infos = serializer.serialize_struct("ConfigInfos", 4)?;
        infos.serialize_field("name", &self.name)?;
        infos.serialize_field("error_count", &self.error_count())?;
        infos.serialize_field("groups", &self.groups)?;
        infos.serialize_field("configs", &self.entries)?;
        infos.end()
    }
}

impl ValidationReport {
    pub fn error_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.value.errors.len()).sum()
    }

    pub fn entry(&self, name: &str) -> Option<&ConfigEntry> {
        self.entries.iter().find(|entry| entry.value.name == name)
    }

    /// Adds what only a look at the outside can tell, such as a database that refuses the connection.
    pub fn add_error(&mut self, name: &str, message: impl Into<String>) {
        let message = message.into();
        match self.entries.iter_mut().find(|entry| entry.value.name == name) {
            Some(entry) => entry.value.errors.push(message),
            None => self.entries.push(ConfigEntry {
                definition: None,
                value: ConfigValue { errors: vec![message], ..ConfigValue::new(name) },
            }),
        }
    }

    /// Every error in the order of the entries.
    pub fn errors(&self) -> ConfigErrors {
        let of_entry = |entry: &ConfigEntry| {
            let name = entry.value.name.clone();
            entry
                .value
                .errors
                .iter()
                .map(move |error| ConfigError::new(name.clone(), error.clone()))
                .collect::<Vec<_>>()
        };
        ConfigErrors(self.entries.iter().flat_map(of_entry).collect())
    }

    /// The message with which REST refuses to create or change a connector.
    pub fn rejection(&self) -> Option<String> {
        let count = self.error_count();
        (count > 0).then(|| {
            format!(
                "Connector configuration is invalid and contains the following {count} error(s):\n{}\nYou can also find \
                 the above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
                self.errors()
            )
        })
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct ConfigEntry {
    /// Missing for names that no table knows.
    pub definition: Option<Definition>,
    pub value: ConfigValue,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConfigValue {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

impl ConfigValue {
    pub fn new(name: impl Into<String>) -> ConfigValue {
        ConfigValue { name: name.into(), visible: true, ..ConfigValue::default() }
    }
}

/// An option as REST describes it: the table's entry, under the name and in the group it has in this connector.
#[derive(Debug, Clone)]
pub struct Definition {
    pub option: &'static OptionDef,
    pub name: String,
    pub default_value: Option<String>,
    pub group: Option<String>,
    pub order_in_group: i32,
    pub display_name: String,
    pub documentation: String,
}

impl Definition {
    pub fn of(option: &'static OptionDef) -> Definition {
        Definition {
            option,
            name: option.name.to_owned(),
            default_value: option.default.map(str::to_owned),
            group: option.group.map(str::to_owned),
            order_in_group: option.order,
            display_name: option.display_name.to_owned(),
            documentation: option.doc.to_owned(),
        }
    }
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let password = self.option.kind == Kind::Password;
        let default = self.default_value.as_deref().map(|default| if password { HIDDEN } else { default });
        let mut info = serializer.serialize_struct("ConfigKeyInfo", 11)?;
        info.serialize_field("name", &self.name)?;
        info.serialize_field("type", self.option.kind.name())?;
        info.serialize_field("required", &self.option.required)?;
        info.serialize_field("default_value", &default)?;
        info.serialize_field("importance", self.option.importance.name())?;
        info.serialize_field("documentation", &self.documentation)?;
        info.serialize_field("group", &self.group)?;
        info.serialize_field("order_in_group", &self.order_in_group)?;
        info.serialize_field("width", self.option.width.name())?;
        info.serialize_field("display_name", &self.display_name)?;
        info.serialize_field("dependents", self.option.dependents)?;
        info.end()
    }
}
