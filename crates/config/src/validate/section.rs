//! One table applied to one part of a configuration: the connector's own options, those of a converter under
//! `value.converter.`, those of a transform under `transforms.NAME.`.

use crate::checks::{Surroundings, failure};
use crate::config::Config;
use crate::option::{Check, Kind, OptionDef, OptionTable, Support};
use crate::validate::report::{ConfigEntry, ConfigValue, Definition, HIDDEN};
use crate::values;

/// Whose words the errors are in. Debezium's connector checks by itself and answers no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    Kafka,
    Debezium,
}

pub struct Section<'a> {
    /// What begins the names in the configuration; the table's names come after it.
    pub prefix: &'a str,
    pub table: OptionTable,
    pub words: Words,
    /// What the worker says in place of the table's defaults, by the table's names.
    pub defaults: &'a [(&'a str, Option<String>)],
}

impl Section<'_> {
    /// One entry for each option that the original lists, and for each other one that is wrong.
    pub fn entries(&self, config: &Config) -> Vec<ConfigEntry> {
        let mut entries = Vec::new();
        for option in self.table.iter() {
            if option.pattern.is_some() && !option.listed {
                continue;
            }
            let entry = self.entry(option, config);
            if option.listed || !entry.value.errors.is_empty() {
                entries.push(entry);
            }
        }
        entries
    }

    pub fn entry(&self, option: &'static OptionDef, config: &Config) -> ConfigEntry {
        let mut definition = Definition::of(option);
        definition.name = format!("{}{}", self.prefix, option.name);
        if let Some((_, default)) = self.defaults.iter().find(|(name, _)| *name == option.name) {
            definition.default_value.clone_from(default);
        }
        let given = config.get(&definition.name);
        let mut value = ConfigValue::new(definition.name.clone());
        value.visible = option.visible;
        value.recommended_values = self.recommended(option);
        match self.words {
            Words::Debezium => value.errors = self.debezium_errors(option, given, config),
            Words::Kafka => (value.value, value.errors) = self.kafka_value(&definition, given, config),
        }
        ConfigEntry { definition: Some(definition), value }
    }

    fn recommended(&self, option: &OptionDef) -> Vec<String> {
        let values = match (option.recommended, self.words) {
            (Some(values), _) => values,
            (None, Words::Debezium) => option.allowed_values().unwrap_or_default(),
            (None, Words::Kafka) => &[],
        };
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn debezium_errors(&self, option: &OptionDef, given: Option<&str>, config: &Config) -> Vec<String> {
        let around = Surroundings { config, table: self.table };
        let value = given.or(option.value_by_default());
        let failures = option.checks.iter().flat_map(|check| failure(*check, option, value, around));
        failures.map(|failure| format!("The '{}{}' value is invalid: {failure}", self.prefix, option.name)).collect()
    }

    /// The value as it is understood, and what is wrong with it.
    fn kafka_value(
        &self,
        definition: &Definition,
        given: Option<&str>,
        config: &Config,
    ) -> (Option<String>, Vec<String>) {
        let option = definition.option;
        let mut errors = Vec::new();
        // Errors name the option as the plugin knows it; only a missing one is named in full.
        let invalid =
            |value: &str, why: &str| format!("Invalid value {value} for configuration {}: {why}", option.name);
        let said = |check: Check, value: &str, why: String| if check.says_all() { why } else { invalid(value, &why) };
        let value = match given.or(definition.default_value.as_deref()) {
            None => {
                if option.required {
                    let name = &definition.name;
                    errors.push(format!("Missing required configuration \"{name}\" which has no default value."));
                    let around = Surroundings { config, table: self.table };
                    for check in option.checks.iter().filter(|check| check.asks_for_missing()) {
                        let why = failure(*check, option, None, around);
                        errors.extend(why.into_iter().map(|why| said(*check, "null", why)));
                    }
                    return (None, errors);
                }
                None
            }
            Some(raw) => match values::printed(option.kind, raw) {
                Ok(value) => Some(value),
                Err(why) => {
                    errors.push(invalid(raw, &why));
                    None
                }
            },
        };
        let around = Surroundings { config, table: self.table };
        let shown = match option.kind {
            Kind::List => value.as_ref().map(|value| format!("[{}]", values::list(value).join(", "))),
            _ => value.clone(),
        };
        // A value that could not be read is null to the checks; its default does not stand in for it.
        for check in option.checks {
            for why in failure(*check, option, value.as_deref(), around) {
                errors.push(said(*check, shown.as_deref().unwrap_or("null"), why));
            }
        }
        let hidden = option.kind == Kind::Password;
        (value.map(|value| if hidden { HIDDEN.to_owned() } else { value }), errors)
    }
}

/// Why this version cannot do what the value asks for. Values equal to the default ask for nothing.
pub fn unsupported(option: &OptionDef, given: &str) -> Option<&'static str> {
    let is_default = option.value_by_default().is_some_and(|default| default.eq_ignore_ascii_case(given.trim()));
    match option.support {
        Support::Later(reason) if !is_default && !given.trim().is_empty() => Some(reason),
        Support::LaterValues(values, reason) => {
            let given = if option.kind == Kind::List { values::list(given) } else { vec![given.trim().to_owned()] };
            let later = |given: &String| values.iter().any(|value| value.eq_ignore_ascii_case(given));
            given.iter().any(later).then_some(reason)
        }
        Support::OnlyValues(values, reason) if !given.trim().is_empty() => {
            (!values.contains(&given.trim())).then_some(reason)
        }
        _ => None,
    }
}
