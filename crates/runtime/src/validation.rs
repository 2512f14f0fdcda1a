//! Checks a connector's configuration: references, class, tables of options, and what only the plugin can check.

use walspring_connect::Props;

use crate::plugins::{ConfigInfos, ConnectorPlugin, Plugins, ValidationContext};
use crate::refusal::Refusal;
use crate::sink;

/// The whole pipeline; the last part may open a connection. `worker_group`: the worker's `group.id`.
pub(crate) fn validate(
    plugins: &Plugins,
    config: &Props,
    context: ValidationContext,
    worker_group: Option<&str>,
) -> Result<ConfigInfos, Refusal> {
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
    if let (ConnectorPlugin::Sink(_), Some(worker_group)) = (&plugin, worker_group) {
        judge_group(&mut infos, &resolved, worker_group);
    }
    // The name is the worker's matter: `validate` is asked without one.
    if infos.entries.iter().all(|e| e.value.errors.is_empty() || e.value.name == "name") {
        let values: Vec<_> = resolved.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        for (option, message) in plugin.check(&values) {
            infos.add_error(&option, message);
        }
    }
    Ok(infos)
}

/// A sink that joined the worker's own group would take it apart.
fn judge_group(infos: &mut ConfigInfos, config: &[(String, Option<String>)], worker_group: &str) {
    const GROUP_ID: &str = "consumer.override.group.id";
    let value = |key: &str| config.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.as_deref());
    let name = value("name").unwrap_or_default();
    match value(GROUP_ID) {
        Some(own) if own == worker_group => infos
            .add_error(GROUP_ID, format!("Consumer group {own} conflicts with Connect worker group {worker_group}")),
        None if sink::default_group(name) == worker_group => infos.add_error(
            "name",
            format!(
                "Consumer group for sink connector named {name} conflicts with Connect worker group {worker_group}"
            ),
        ),
        _ => {}
    }
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
