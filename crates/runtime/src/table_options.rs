//! The tables of crate `walspring-config` as the runtime asks them.

use serde_json::Value;
use walspring_config::config::Config;
use walspring_config::option::OptionTable;
use walspring_config::providers::Providers;
use walspring_config::validate::{
    ConnectorContext, Definition, PluginInfo, PluginKind, Plugins, Words, list_options, validate_connector,
};
use walspring_connect::Props;

use crate::plugins::{ConfigInfos, ConfigKeyInfo, Options, ValidationContext, is_called};

/// See the module. Filled in by the wiring.
pub struct TableOptions {
    pub connectors: Vec<ConnectorTable>,
    /// Everything else that can be named.
    pub plugins: Vec<PluginInfo>,
    pub providers: Providers,
    /// The worker's converters: what holds for a connector that names none.
    pub key_converter: String,
    pub value_converter: String,
    pub header_converter: String,
    /// Judges `producer.override.*` and `consumer.override.*`: the policy's message for a name that it does not allow.
    pub override_policy: OverridePolicy,
}

/// The message that refuses an option of a client; `None`: it may be set.
pub type OverridePolicy = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The options of a connector's class.
pub struct ConnectorTable {
    /// Source or sink.
    pub kind: PluginKind,
    pub class: &'static str,
    pub version: &'static str,
    pub table: OptionTable,
    /// In whose words values are refused.
    pub words: Words,
    pub groups: &'static [&'static str],
}

impl TableOptions {
    fn with_context<T>(
        &self,
        connector: &ConnectorTable,
        exactly_once: bool,
        null_names: &[&str],
        ask: impl FnOnce(&ConnectorContext<'_>) -> T,
    ) -> T {
        ask(&ConnectorContext {
            plugins: Plugins(&self.plugins),
            kind: connector.kind,
            table: connector.table,
            words: connector.words,
            groups: connector.groups,
            version: connector.version,
            key_converter: &self.key_converter,
            value_converter: &self.value_converter,
            header_converter: &self.header_converter,
            exactly_once,
            null_names,
            override_policy: &*self.override_policy,
        })
    }
}

impl Options for TableOptions {
    fn resolve(&self, config: &Props) -> Result<Vec<(String, Option<String>)>, String> {
        let given: Config = config.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect();
        let resolved = self.providers.resolve(&given).map_err(|e| e.to_string())?;
        for unresolved in &resolved.unresolved {
            tracing::warn!(option = unresolved.name, "{} stays as it is: {}", unresolved.reference, unresolved.reason);
        }
        let value = |(k, v): (&String, &Value)| {
            let value = match v {
                Value::Null => None,
                Value::String(_) => resolved.get(k).map(str::to_owned),
                // Written by others; the original would not have.
                other => Some(other.to_string()),
            };
            (k.clone(), value)
        };
        Ok(config.iter().map(value).collect())
    }

    fn validate(&self, class: &str, config: &[(String, Option<String>)], context: ValidationContext) -> ConfigInfos {
        let values: Config = config.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_deref()?))).collect();
        let nulls: Vec<&str> = config.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.as_str()).collect();
        let Some(connector) = self.connectors.iter().find(|c| c.class == class) else {
            return ConfigInfos {
                name: class.to_owned(),
                groups: Vec::new(),
                entries: Vec::new(),
                warnings: Vec::new(),
            };
        };
        let mut infos =
            self.with_context(connector, context.exactly_once, &nulls, |context| validate_connector(&values, context));
        for name in nulls {
            // Those that a table knows have been refused there.
            if infos.entry(name).is_none_or(|entry| entry.value.errors.is_empty()) {
                infos.add_error(name, "Null value can not be supplied as the configuration value.");
            }
        }
        for warning in &infos.warnings {
            tracing::warn!(connector = values.get("name").unwrap_or_default(), "{warning}");
        }
        infos
    }

    fn definitions(&self, class: &str) -> Option<Vec<ConfigKeyInfo>> {
        if let Some(connector) = self.connectors.iter().find(|c| c.class == class) {
            return Some(self.with_context(connector, false, &[], list_options));
        }
        let plugin = self.plugins.iter().find(|p| is_called(p.class, class, ""))?;
        Some(plugin.options.iter().filter(|option| option.listed).map(Definition::of).collect())
    }
}
