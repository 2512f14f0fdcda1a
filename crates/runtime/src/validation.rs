//! What `validate` answers, and the message that refuses a configuration.

use serde::Serialize;
use walspring_connect::Props;

use crate::plugins::{Plugins, ValidationContext};
use crate::refusal::Refusal;

/// All options with their values and errors, as `PUT /connector-plugins/{p}/config/validate` prints them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigInfos {
    pub name: String,
    pub error_count: usize,
    pub groups: Vec<String>,
    pub configs: Vec<ConfigInfo>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigInfo {
    pub definition: Option<ConfigKeyInfo>,
    pub value: ConfigValueInfo,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigKeyInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub required: bool,
    pub default_value: Option<String>,
    pub importance: &'static str,
    pub documentation: String,
    pub group: Option<String>,
    pub width: &'static str,
    pub display_name: String,
    pub dependents: Vec<String>,
    pub order_in_group: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigValueInfo {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

impl ConfigInfos {
    /// Adds an error to an option; an option that is not listed is listed then.
    pub fn add_error(&mut self, option: &str, message: String) {
        self.error_count += 1;
        match self.configs.iter_mut().find(|c| c.value.name == option) {
            Some(config) => config.value.errors.push(message),
            None => self.configs.push(ConfigInfo {
                definition: None,
                value: ConfigValueInfo {
                    name: option.to_owned(),
                    value: None,
                    recommended_values: Vec::new(),
                    errors: vec![message],
                    visible: true,
                },
            }),
        }
    }

    /// Refuses with every error at once, in the words that clients look for.
    pub fn refuse(&self) -> Result<(), Refusal> {
        if self.error_count == 0 {
            return Ok(());
        }
        let mut message =
            format!("Connector configuration is invalid and contains the following {} error(s):", self.error_count);
        for error in self.configs.iter().flat_map(|c| &c.value.errors) {
            message.push('\n');
            message.push_str(error);
        }
        message.push_str(
            "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
        );
        Err(Refusal::bad_request(message))
    }
}

/// The whole pipeline: references, class, tables, and what only the plugin can check (which may open a connection).
pub(crate) fn validate(plugins: &Plugins, config: &Props, context: ValidationContext) -> Result<ConfigInfos, Refusal> {
    let resolved = plugins.options.resolve(config).map_err(Refusal::internal)?;
    let class = match resolved.iter().find(|(k, _)| k == "connector.class") {
        Some((_, Some(class))) => class.clone(),
        _ => return Err(Refusal::bad_request(no_class(config))),
    };
    let Some(source) = plugins.source(&class) else {
        return Err(Refusal::bad_request(plugins.unknown_class(&class)));
    };
    let mut infos = plugins.options.validate(source.class(), &resolved, context);
    // As it was given, be it a short name.
    infos.name = class;
    let wrong = |c: &ConfigInfo| !c.value.errors.is_empty() && c.value.name != "name";
    if !infos.configs.iter().any(wrong) {
        let values: Vec<_> = resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        for (option, message) in source.check(&values) {
            infos.add_error(&option, message);
        }
    }
    Ok(infos)
}

/// The original prints the whole configuration here, with its secrets resolved. Keys are enough.
fn no_class(config: &Props) -> String {
    let entry = |(k, v): (&String, &serde_json::Value)| match (k.as_str(), v) {
        (k, serde_json::Value::Null) => format!("{k}=null"),
        ("name" | "connector.class", serde_json::Value::String(s)) => format!("{k}={s}"),
        (k, _) => format!("{k}=[hidden]"),
    };
    let entries: Vec<String> = config.iter().map(entry).collect();
    format!("Connector config {{{}}} contains no connector type", entries.join(", "))
}
