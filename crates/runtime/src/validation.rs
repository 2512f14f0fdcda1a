//! Checks a connector's configuration: references, class, tables of options, and what only the plugin can check.

use walspring_connect::Props;

use crate::plugins::{ConfigInfos, Plugins, ValidationContext};
use crate::refusal::Refusal;

/// The whole pipeline; the last part may open a connection.
pub(crate) fn validate(plugins: &Plugins, config: &Props, context: ValidationContext) -> Result<ConfigInfos, Refusal> {
    let resolved = plugins.options.resolve(config).map_err(Refusal::internal)?;
    let class = match resolved.iter().find(|(k, _)| k == "connector.class") {
        Some((_, Some(class))) => class.clone(),
        _ => return Err(Refusal::bad_request(no_class(config))),
    };
    let Some(plugin) = plugins.connector(&class) else {
        return Err(Refusal::bad_request(plugins.unknown_class(&class)));
    };
    let mut infos = plugins.options.validate(plugin.class(), &resolved, context);
    // As it was given, be it a short name.
    infos.name = class;
    // The name is the worker's matter: `validate` is asked without one.
    if infos.entries.iter().all(|e| e.value.errors.is_empty() || e.value.name == "name") {
        let values: Vec<_> = resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        for (option, message) in plugin.check(&values) {
            infos.add_error(&option, message);
        }
    }
    Ok(infos)
}

/// Refuses with every error at once, in the words that clients look for.
pub(crate) fn refuse(infos: &ConfigInfos) -> Result<(), Refusal> {
    infos.rejection().map_or(Ok(()), |message| Err(Refusal::bad_request(message)))
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
