//! A connector's configuration as a whole: the framework's options, the transforms and predicates it names,
//! the connector's own, and those of its converters, in the order in which Kafka Connect answers them.

use crate::config::Config;
use crate::legacy;
use crate::nearest::nearest;
use crate::option::{OptionDef, OptionTable, Support, Width};
use crate::postgres::warning_about;
use crate::tables::sink_connector::{self, SINK_CONNECTOR};
use crate::tables::source_connector::{self, SOURCE_CONNECTOR};
use crate::tables::transforms::{DELETE_MODE, LEGACY_DELETES, UNWRAP_CLASS, legacy_delete_mode};
use crate::tables::walspring::WALSPRING_CONNECTOR;
use crate::validate::plugins::{PluginKind, Plugins};
use crate::validate::report::{ConfigEntry, ConfigValue, Definition, ValidationReport};
use crate::validate::section::{Section, Words, unsupported};
use crate::validate::sink;
use crate::values;
use crate::warning::{Warning, WarningKind};

/// The worker around the connector.
pub struct ConnectorContext<'a> {
    pub plugins: Plugins<'a>,
    /// Source or sink.
    pub kind: PluginKind,
    /// The connector's table, in whose words it refuses values, and the order of its groups.
    pub table: OptionTable,
    pub words: Words,
    pub groups: &'a [&'a str],
    pub version: &'a str,
    /// The worker's converters: what holds for a connector that names none.
    pub key_converter: &'a str,
    pub value_converter: &'a str,
    pub header_converter: &'a str,
    /// Whether the worker writes exactly once.
    pub exactly_once: bool,
    /// Options that JSON gave as null.
    pub null_names: &'a [&'a str],
    /// Judges `producer.override.*` and `consumer.override.*`: the policy's message for a name that it does not allow.
    pub override_policy: &'a dyn Fn(&str) -> Option<String>,
}

impl ConnectorContext<'_> {
    fn is_sink(&self) -> bool {
        self.kind == PluginKind::Sink
    }

    /// What Kafka Connect itself reads.
    fn framework(&self) -> OptionTable {
        if self.is_sink() { SINK_CONNECTOR } else { SOURCE_CONNECTOR }
    }

    fn framework_groups(&self) -> &'static [&'static str] {
        if self.is_sink() { sink_connector::FRAMEWORK_GROUPS } else { source_connector::FRAMEWORK_GROUPS }
    }

    /// Our own options; those of a sink are in its table.
    fn ours(&self) -> OptionTable {
        if self.is_sink() { OptionTable::new(&[]) } else { WALSPRING_CONNECTOR }
    }
}

const CONVERTERS: [(&str, &str, PluginKind); 3] = [
    ("key.converter", "key", PluginKind::Converter),
    ("value.converter", "value", PluginKind::Converter),
    ("header.converter", "header", PluginKind::HeaderConverter),
];

/// Validates without looking outside. Older spellings are understood; each is a warning.
pub fn validate_connector(config: &Config, context: &ConnectorContext<'_>) -> ValidationReport {
    let (config, mut warnings) =
        if context.is_sink() { (config.clone(), Vec::new()) } else { legacy::modernized(config) };
    let config = &config;
    let defaults = framework_defaults(config, context);
    let framework = Section { prefix: "", table: context.framework(), words: Words::Kafka, defaults: &defaults };
    let connector = Section { prefix: "", table: context.table, words: context.words, defaults: &[] };
    let own = Section { prefix: "", table: context.ours(), words: Words::Debezium, defaults: &[] };
    let mut groups: Vec<String> = context.framework_groups().iter().map(|group| (*group).to_owned()).collect();

    let mut entries = framework.entries(config);
    judge_framework(&mut entries, config, context);
    if context.is_sink() {
        sink::judge_topics(&mut entries, config);
    }
    for part in [TRANSFORMS, PREDICATES] {
        for alias in aliases(config, part.list) {
            groups.push(format!("{}: {alias}", part.group));
            entries.extend(plugin_entries(part, &alias, config, context));
        }
    }
    groups.extend(context.groups.iter().map(|group| (*group).to_owned()));
    for group in context.table.iter().filter(|option| option.listed).filter_map(|option| option.group) {
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }
    entries.extend(connector.entries(config));
    entries.extend(own.entries(config));
    entries.extend(override_entries(config, context));
    for (name, role, kind) in CONVERTERS {
        let Some(plugin) = config.get(name).and_then(|class| context.plugins.find(kind, class.trim())) else {
            continue;
        };
        let prefix = format!("{name}.");
        let role = [("converter.type", Some(role.to_owned()))];
        let section = Section { prefix: &prefix, table: plugin.options, words: Words::Kafka, defaults: &role };
        for mut entry in section.entries(config) {
            if let Some(definition) = &mut entry.definition {
                // The framework sets it, but lists it as if it had no default.
                if definition.option.name == "converter.type" {
                    definition.default_value = None;
                }
                let group = definition.group.clone();
                groups.extend(group.filter(|group| !groups.contains(group)));
            }
            entries.push(entry);
        }
    }
    refuse_unsupported(&mut entries, config, context);
    warnings.extend(warnings_about(config, context));
    let name = config.get("connector.class").unwrap_or_default().to_owned();
    ValidationReport { name, groups, entries, warnings }
}

/// What `GET /connector-plugins/X/config` lists for a connector: its own options first, then the framework's. Those
/// that depend on the worker have no default here.
pub fn list_options(context: &ConnectorContext<'_>) -> Vec<Definition> {
    let own = context.table.iter().filter(|option| option.listed).map(Definition::of);
    let framework = context.framework();
    let framework = framework.iter().filter(|option| option.listed).map(|option| {
        let mut definition = Definition::of(option);
        if option.name == "connector.plugin.version" {
            definition.default_value = Some(context.version.to_owned());
        }
        definition
    });
    own.chain(framework).collect()
}

fn framework_defaults<'d>(config: &Config, context: &ConnectorContext<'_>) -> Vec<(&'d str, Option<String>)> {
    let of_worker = [context.key_converter, context.value_converter, context.header_converter];
    let versions =
        ["key.converter.plugin.version", "value.converter.plugin.version", "header.converter.plugin.version"];
    let mut defaults = vec![("connector.plugin.version", Some(context.version.to_owned()))];
    for (((name, _, kind), class), version) in CONVERTERS.into_iter().zip(of_worker).zip(versions) {
        defaults.push((name, Some(class.to_owned())));
        let used = config.get(name).unwrap_or(class);
        let plugin = context.plugins.find(kind, used.trim());
        defaults.push((version, plugin.map(|plugin| plugin.version.to_owned())));
    }
    defaults
}

/// What the framework's table cannot say by itself.
fn judge_framework(entries: &mut [ConfigEntry], config: &Config, context: &ConnectorContext<'_>) {
    for entry in entries {
        let name = entry.value.name.clone();
        let value = &mut entry.value;
        if let Some((_, _, kind)) = CONVERTERS.into_iter().find(|(converter, _, _)| *converter == name) {
            value.recommended_values = context.plugins.classes(kind);
            resolve_class(value, kind, config.get(&name), &name, context);
        }
        if name.ends_with(".plugin.version") {
            value.recommended_values = entry.definition.iter().filter_map(|d| d.default_value.clone()).collect();
        }
        let given = config.get(&name).map(str::trim).unwrap_or_default();
        if name == "exactly.once.support" && given.eq_ignore_ascii_case("required") && !context.exactly_once {
            value.errors.push("This worker does not have exactly-once source support enabled.".to_owned());
        }
        if name == "transaction.boundary" && given.eq_ignore_ascii_case("connector") {
            value.errors.push(
                "The connector does not support connector-defined transaction boundaries with the given configuration. \
                 Please reconfigure it to use a different transaction boundary definition."
                    .to_owned(),
            );
        }
        if context.null_names.contains(&name.as_str()) {
            value.errors.push("Null value can not be supplied as the configuration value.".to_owned());
        }
    }
}

/// A class given by its simple name is answered by its full one.
fn resolve_class(
    value: &mut ConfigValue,
    kind: PluginKind,
    given: Option<&str>,
    error_name: &str,
    context: &ConnectorContext<'_>,
) {
    let Some(class) = value.value.clone() else { return };
    match (context.plugins.find(kind, &class), context.plugins.find_any(&class)) {
        (Some(plugin), _) => value.value = Some(plugin.class.to_owned()),
        (None, Some(other)) => {
            value.value = Some(other.class.to_owned());
            value.errors.push(format!(
                "Class class {} does not implement the {} interface",
                other.class,
                kind.interface()
            ));
        }
        (None, None) => {
            value.value = None;
            let class = given.unwrap_or(&class);
            value.errors.push(format!(
                "Invalid value {class} for configuration {error_name}: Class {class} could not be found."
            ));
        }
    }
}

#[derive(Clone, Copy)]
struct PluginPart {
    list: &'static str,
    group: &'static str,
    noun: &'static str,
    kind: PluginKind,
    common: &'static [OptionDef],
}

/// What every transform has besides its own options.
const TRANSFORM_COMMON: &[OptionDef] = &[
    OptionDef::boolean("negate").default("false").doc("Apply the transform where the predicate does not hold."),
    OptionDef::string("predicate").doc("Name of the predicate that says which records the transform applies to."),
];

const TRANSFORMS: PluginPart = PluginPart {
    list: "transforms",
    group: "Transforms",
    noun: "Transformation",
    kind: PluginKind::Transformation,
    common: TRANSFORM_COMMON,
};

const PREDICATES: PluginPart =
    PluginPart { list: "predicates", group: "Predicates", noun: "Predicate", kind: PluginKind::Predicate, common: &[] };

const TYPE: OptionDef = OptionDef::class("type").required().high().width(Width::Long).doc("Class of the plugin.");
const PLUGIN_VERSION: OptionDef =
    OptionDef::string("plugin.version").high().width(Width::Long).doc("Version of that class.");

/// Each name once, in their order.
fn aliases(config: &Config, list: &str) -> Vec<String> {
    let mut aliases = Vec::new();
    for alias in config.get(list).map(values::list).unwrap_or_default() {
        if !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    aliases
}

fn plugin_entries(part: PluginPart, alias: &str, config: &Config, context: &ConnectorContext<'_>) -> Vec<ConfigEntry> {
    let prefix = format!("{}.{alias}.", part.list);
    let group = format!("{}: {alias}", part.group);
    let class = config.get(&format!("{prefix}type")).map(str::trim);
    let plugin = class.and_then(|class| context.plugins.find(part.kind, class));
    let defaults = [("plugin.version", plugin.map(|plugin| plugin.version.to_owned()))];
    let section = |table| Section { prefix: &prefix, table, words: Words::Kafka, defaults: &defaults };

    let mut kind = section(OptionTable::new(&[TYPE])).entry(&TYPE, config);
    if class.is_some() {
        resolve_class(
            &mut kind.value,
            part.kind,
            config.get(&format!("{prefix}type")),
            &format!("{prefix}type"),
            context,
        );
    }
    if let Some(definition) = &mut kind.definition {
        definition.display_name = format!("{} type for {alias}", part.noun);
    }
    kind.value.recommended_values = context.plugins.classes(part.kind);
    let negated = config.contains(&format!("{prefix}negate")) && !config.contains(&format!("{prefix}predicate"));
    if negated && !part.common.is_empty() {
        kind.value.errors.push(format!(
            "Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining a predicate to be \
             negated."
        ));
    }
    let mut version = section(OptionTable::new(&[PLUGIN_VERSION])).entry(&PLUGIN_VERSION, config);
    if let Some(definition) = &mut version.definition {
        definition.display_name = format!("{} version for {alias}", part.noun);
        version.value.recommended_values = definition.default_value.iter().cloned().collect();
    }
    let mut entries = vec![kind, version];
    if let Some(plugin) = plugin {
        let mut options: Vec<&'static OptionDef> = plugin.options.iter().filter(|option| option.listed).collect();
        options.extend(part.common);
        // As `ConfigDef` embeds a plugin's options: by place, what has to be given first, then by importance and name.
        options.sort_by_key(|option| {
            (option.group.is_some(), option.order, !option.required, option.importance as u8, option.name)
        });
        entries.extend(options.into_iter().map(|option| section(plugin.options).entry(option, config)));
        // Those that the original does not list show only when they are wrong.
        let unlisted = plugin.options.iter().filter(|option| !option.listed);
        let unlisted = unlisted.map(|option| section(plugin.options).entry(option, config));
        entries.extend(unlisted.filter(|entry| !entry.value.errors.is_empty()));
    }
    for (order, entry) in entries.iter_mut().enumerate() {
        if let Some(definition) = &mut entry.definition {
            definition.group = Some(group.clone());
            definition.order_in_group = order as i32;
            let (option, full) = (definition.option, definition.name.clone());
            let of_framework = matches!(option.name, "negate" | "predicate") && !part.common.is_empty();
            let unreadable = config.get(&full).is_some_and(|given| values::printed(option.kind, given).is_err());
            let renamed = if of_framework { entry.value.errors.len() } else { usize::from(unreadable) };
            rename_in_errors(&mut entry.value.errors[..renamed], option.name, &full);
        }
    }
    entries
}

/// The framework's own options of a transform are named in full, and what cannot be read; the plugin's checks know the
/// name without the prefix.
fn rename_in_errors(errors: &mut [String], name: &str, full: &str) {
    for error in errors {
        *error = error.replace(&format!(" for configuration {name}:"), &format!(" for configuration {full}:"));
    }
}

fn override_entries(config: &Config, context: &ConnectorContext<'_>) -> Vec<ConfigEntry> {
    // What a sink writes goes to its dead letter queue only.
    let has_queue = || config.get("errors.deadletterqueue.topic.name").is_some_and(|name| !name.trim().is_empty());
    let prefixes: &[&'static str] = match context.is_sink() {
        false => &["producer.override."],
        true if has_queue() => &["consumer.override.", "producer.override."],
        true => &["consumer.override."],
    };
    let of_prefix = |prefix: &&'static str| {
        let prefix = *prefix;
        config.iter().filter_map(move |(name, given)| Some((name, name.strip_prefix(prefix)?, given)))
    };
    prefixes
        .iter()
        .flat_map(of_prefix)
        .map(|(name, option, given)| {
            let mut value = ConfigValue::new(name);
            value.value = Some(given.to_owned());
            value.errors.extend((context.override_policy)(option));
            ConfigEntry { definition: None, value }
        })
        .collect()
}

/// An option that we know and cannot follow is refused, unless it says what holds anyway.
fn refuse_unsupported(entries: &mut Vec<ConfigEntry>, config: &Config, context: &ConnectorContext<'_>) {
    for (name, given) in config.iter() {
        let option = [context.table, context.ours()].iter().find_map(|table| table.get(name));
        let Some((option, reason)) = option.and_then(|option| Some((option, unsupported(option, given)?))) else {
            continue;
        };
        let shown =
            if matches!(option.support, Support::LaterValues(..) | Support::OnlyValues(..)) { given } else { name };
        let error =
            format!("The '{name}' value is invalid: {shown} is not supported by this version of Walspring: {reason}");
        match entries.iter_mut().find(|entry| entry.value.name == name) {
            // What is wrong anyway is said in the original's words alone.
            Some(entry) if entry.value.errors.is_empty() => entry.value.errors.push(error),
            Some(_) => {}
            None => entries.push(ConfigEntry {
                definition: Some(Definition { name: name.to_owned(), ..Definition::of(option) }),
                value: ConfigValue { errors: vec![error], ..ConfigValue::new(name) },
            }),
        }
    }
}

fn warnings_about(config: &Config, context: &ConnectorContext<'_>) -> Vec<Warning> {
    let tables = [context.framework(), context.table, context.ours()];
    let known = || tables.into_iter().flat_map(|table| table.options.iter()).filter(|option| option.pattern.is_none());
    // Custom converters are named by their own first word: `isbn.type` for `converters=isbn`.
    let converters = config.get("converters").map(values::list).unwrap_or_default();
    let mut warnings = Vec::new();
    for (name, given) in config.iter() {
        let below_processor = warning_about(name, config);
        let warning = match tables.iter().find_map(|table| table.get(name)) {
            Some(option) => match option.support {
                Support::NoEffect(reason) if option.value_by_default() != Some(given) => {
                    Some(WarningKind::NoEffect { reason: reason.to_owned() })
                }
                _ => undeclared_alias(name, config).or_else(|| about_plugin(name, config, context)),
            },
            None if name == "task.class" => None,
            None if below_processor.is_some() => below_processor.flatten(),
            None if name.starts_with("post.processors.") => {
                Some(WarningKind::NoEffect { reason: "post.processors does not name it".to_owned() })
            }
            None if converters
                .iter()
                .any(|converter| name.strip_prefix(converter).is_some_and(|o| o.starts_with('.'))) =>
            {
                None
            }
            None => {
                let nearest = nearest(name, known().map(|option| option.name)).map(str::to_owned);
                Some(match nearest {
                    None if name.starts_with("database.") => WarningKind::NoEffect {
                        reason: "the original passes it on to its Java driver, which is not here".to_owned(),
                    },
                    nearest => WarningKind::Unknown { nearest },
                })
            }
        };
        warnings.extend(warning.map(|kind| Warning { name: name.to_owned(), kind }));
    }
    warnings
}

/// An option below the alias of a transform or predicate that its class does not know, or knows by an older name.
fn about_plugin(name: &str, config: &Config, context: &ConnectorContext<'_>) -> Option<WarningKind> {
    let (list, rest) = name.split_once('.')?;
    let part = [TRANSFORMS, PREDICATES].into_iter().find(|part| part.list == list)?;
    let below = |alias: &String| rest.strip_prefix(alias.as_str()).is_some_and(|option| option.starts_with('.'));
    let alias = aliases(config, list).into_iter().find(below)?;
    let prefix = format!("{list}.{alias}.");
    let option = name.strip_prefix(&prefix)?;
    let plugin = context.plugins.find(part.kind, config.get(&format!("{prefix}type"))?.trim())?;
    let common = [TYPE.name, PLUGIN_VERSION.name].into_iter().chain(part.common.iter().map(|option| option.name));
    if common.clone().any(|known| known == option) {
        return None;
    }
    if plugin.class == UNWRAP_CLASS && LEGACY_DELETES.contains(&option) {
        let [deletes, tombstones] = LEGACY_DELETES.map(|option| config.get(&format!("{prefix}{option}")));
        let today = format!("{prefix}{DELETE_MODE}");
        return Some(if config.contains(&today) {
            WarningKind::NoEffect { reason: format!("{today} is given") }
        } else {
            let mode = legacy_delete_mode(deletes, tombstones).unwrap_or_default();
            WarningKind::OldSpelling { today: format!("{today}={mode}") }
        });
    }
    if let Some(known) = plugin.options.get_by_alias(option) {
        return Some(WarningKind::OldSpelling { today: format!("{prefix}{}", known.name) });
    }
    match plugin.options.get(option) {
        Some(_) => None,
        None => {
            let known = plugin.options.iter().map(|option| option.name).chain(common);
            Some(WarningKind::Unknown { nearest: nearest(option, known).map(|nearest| format!("{prefix}{nearest}")) })
        }
    }
}

/// `transforms.unwarp.type` where `transforms` names `unwrap`.
fn undeclared_alias(name: &str, config: &Config) -> Option<WarningKind> {
    let (list, rest) = name.split_once('.')?;
    if list != "transforms" && list != "predicates" {
        return None;
    }
    let declared = aliases(config, list);
    if declared.iter().any(|alias| rest.strip_prefix(alias.as_str()).is_some_and(|option| option.starts_with('.'))) {
        return None;
    }
    let option = rest.split_once('.').map_or("", |(_, option)| option);
    let names: Vec<String> = declared.iter().map(|alias| format!("{list}.{alias}.{option}")).collect();
    Some(WarningKind::Unknown { nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned) })
}
