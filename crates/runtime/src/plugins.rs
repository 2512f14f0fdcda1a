//! Everything that a connector's configuration can name, handed in by the wiring.

use std::sync::Arc;

pub use walspring_config::validate::{Definition as ConfigKeyInfo, ValidationReport as ConfigInfos};
use walspring_connect::writer::BatchAssembler;
use walspring_connect::{
    ConvertError, Converter, HeaderConverter, Predicate, Props, Side, SinkObserver, SinkPlugin, SourceObserver,
    SourcePlugin, Transform,
};

use crate::info::PluginInfo;
use crate::settings::{below, value};

/// A configuration with its keys below a prefix, without it.
pub type Config<'a> = &'a [(String, String)];

pub type MakeConverter = Box<dyn Fn(Config<'_>, Side) -> Result<Arc<dyn Converter>, ConvertError> + Send + Sync>;
pub type MakeHeaderConverter = Box<dyn Fn(Config<'_>) -> Result<Arc<dyn HeaderConverter>, ConvertError> + Send + Sync>;
pub type MakeTransform = Box<dyn Fn(Config<'_>) -> Result<Box<dyn Transform>, ConvertError> + Send + Sync>;
pub type MakePredicate = Box<dyn Fn(Config<'_>) -> Result<Box<dyn Predicate>, ConvertError> + Send + Sync>;

/// A class that can be named, and how one of it is made.
pub struct Plugin<M> {
    pub class: &'static str,
    /// As `/connector-plugins` shows it; `None`: not known.
    pub version: Option<&'static str>,
    pub make: M,
}

/// What the tables of options say: [`TableOptions`](crate::TableOptions), or a test's.
pub trait Options: Send + Sync {
    /// Replaces references such as `${file:PATH:KEY}`. The error is the provider's message.
    fn resolve(&self, config: &Props) -> Result<Vec<(String, Option<String>)>, String>;

    /// Every option of the framework, the connector's class, its converters, transforms and predicates, with the errors
    /// of its value; and values that are null; and client overrides that the worker's policy refuses.
    fn validate(&self, class: &str, config: &[(String, Option<String>)], context: ValidationContext) -> ConfigInfos;

    /// The options of a plugin's class; `None`: no such class.
    fn definitions(&self, class: &str) -> Option<Vec<ConfigKeyInfo>>;
}

/// What the checks of a configuration ask of the worker.
#[derive(Debug, Clone, Copy, Default)]
pub struct ValidationContext {
    /// The worker writes records and offset in one transaction.
    pub exactly_once: bool,
}

/// The plugins of this process.
pub struct Plugins {
    pub sources: Vec<Arc<dyn SourcePlugin>>,
    pub sinks: Vec<Arc<dyn SinkPlugin>>,
    pub converters: Vec<Plugin<MakeConverter>>,
    pub header_converters: Vec<Plugin<MakeHeaderConverter>>,
    pub transforms: Vec<Plugin<MakeTransform>>,
    pub predicates: Vec<Plugin<MakePredicate>>,
    /// Makes the assembler of a task.
    pub assembler: Box<dyn Fn() -> Box<dyn BatchAssembler> + Send + Sync>,
    pub options: Box<dyn Options>,
    /// Gives the records of sources a trace context; absent unless tracing is configured.
    pub source_observer: Option<Arc<dyn SourceObserver>>,
    /// Hears of each record that a sink has dealt with; absent unless tracing is configured.
    pub sink_observer: Option<Arc<dyn SinkObserver>>,
}

/// What a connector's class stands for.
#[derive(Clone)]
pub enum ConnectorPlugin {
    Source(Arc<dyn SourcePlugin>),
    Sink(Arc<dyn SinkPlugin>),
}

impl ConnectorPlugin {
    pub fn class(&self) -> &'static str {
        match self {
            ConnectorPlugin::Source(plugin) => plugin.class(),
            ConnectorPlugin::Sink(plugin) => plugin.class(),
        }
    }

    pub fn version(&self) -> &'static str {
        match self {
            ConnectorPlugin::Source(plugin) => plugin.version(),
            ConnectorPlugin::Sink(plugin) => plugin.version(),
        }
    }

    /// As REST calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            ConnectorPlugin::Source(_) => "source",
            ConnectorPlugin::Sink(_) => "sink",
        }
    }

    /// What only the plugin can check: errors by option name.
    pub fn check(&self, config: &[(String, String)]) -> Vec<(String, String)> {
        match self {
            ConnectorPlugin::Source(plugin) => plugin.check(config),
            ConnectorPlugin::Sink(plugin) => plugin.check(config),
        }
    }
}

/// The converters of one task.
#[derive(Clone)]
pub(crate) struct Converters {
    pub key: Arc<dyn Converter>,
    pub value: Arc<dyn Converter>,
    pub header: Arc<dyn HeaderConverter>,
    /// Their classes, for what is said of records that they refuse.
    pub key_class: &'static str,
    pub value_class: &'static str,
    pub header_class: &'static str,
}

impl Plugins {
    /// By its class, its simple name, or that without `Connector`.
    pub fn connector(&self, class: &str) -> Option<ConnectorPlugin> {
        self.connectors().find(|plugin| is_called(plugin.class(), class, "Connector"))
    }

    /// Sinks first, as the original lists them.
    fn connectors(&self) -> impl Iterator<Item = ConnectorPlugin> {
        let sinks = self.sinks.iter().cloned().map(ConnectorPlugin::Sink);
        sinks.chain(self.sources.iter().cloned().map(ConnectorPlugin::Source))
    }

    /// What `/connector-plugins` lists.
    pub fn list(&self, connectors_only: bool) -> Vec<PluginInfo> {
        let mut list: Vec<PluginInfo> = Vec::new();
        let mut add = |class: &str, kind, version: Option<&str>| {
            list.push(PluginInfo { class: class.to_owned(), kind, version: version.map(str::to_owned) })
        };
        for plugin in self.connectors() {
            add(plugin.class(), plugin.kind(), Some(plugin.version()));
        }
        if !connectors_only {
            self.converters.iter().for_each(|p| add(p.class, "converter", p.version));
            self.header_converters.iter().for_each(|p| add(p.class, "header_converter", p.version));
            self.transforms.iter().for_each(|p| add(p.class, "transformation", p.version));
            self.predicates.iter().for_each(|p| add(p.class, "predicate", p.version));
        }
        list
    }

    /// The full class of a plugin of any kind, by any of its names.
    pub fn class_of(&self, name: &str) -> Option<&'static str> {
        let connectors = self.connector(name).map(|plugin| plugin.class());
        let others = || {
            (self.converters.iter().map(|p| p.class))
                .chain(self.header_converters.iter().map(|p| p.class))
                .chain(self.transforms.iter().map(|p| p.class))
                .chain(self.predicates.iter().map(|p| p.class))
                .find(|c| is_called(c, name, ""))
        };
        connectors.or_else(others)
    }

    /// What the original says of a class that it does not have; clients look for its beginning.
    pub fn unknown_class(&self, class: &str) -> String {
        // The list is long enough: sinks are named to who asked for one.
        let wants_sink = class.to_ascii_lowercase().contains("sink");
        let known: Vec<String> = self
            .connectors()
            .filter(|plugin| wants_sink || plugin.kind() != "sink")
            .map(|plugin| {
                format!(
                    "PluginDesc{{klass=class {c}, name='{c}', version='{v}', encodedVersion={v}, type={kind}, \
                     typeName='{kind}', location='built-in'}}",
                    c = plugin.class(),
                    v = plugin.version(),
                    kind = plugin.kind()
                )
            })
            .collect();
        format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors \
             are: {}",
            known.join(", ")
        )
    }

    /// The connector's converters, or the worker's where it names none.
    pub(crate) fn converters(&self, config: Config<'_>, worker: Config<'_>) -> Result<Converters, ConvertError> {
        let make = |option: &str, side: Side| {
            let (class, config) = choose(option, config, worker, "org.apache.kafka.connect.json.JsonConverter");
            let plugin = self.converters.iter().find(|p| is_called(p.class, &class, ""));
            let plugin = plugin.ok_or_else(|| class_not_found(option, &class))?;
            Ok::<_, ConvertError>(((plugin.make)(&config, side)?, plugin.class))
        };
        let option = "header.converter";
        let (class, header_config) =
            choose(option, config, worker, "org.apache.kafka.connect.storage.SimpleHeaderConverter");
        let header = self.header_converters.iter().find(|p| is_called(p.class, &class, ""));
        let header = header.ok_or_else(|| class_not_found(option, &class))?;
        let (key, key_class) = make("key.converter", Side::Key)?;
        let (value, value_class) = make("value.converter", Side::Value)?;
        Ok(Converters {
            key,
            value,
            header: (header.make)(&header_config)?,
            key_class,
            value_class,
            header_class: header.class,
        })
    }
}

/// The class and its own settings. A connector that names no class takes the worker's settings whole.
fn choose(option: &str, config: Config<'_>, worker: Config<'_>, default: &str) -> (String, Vec<(String, String)>) {
    let prefix = format!("{option}.");
    match (value(config, option), value(worker, option)) {
        (Some(class), _) => (class.to_owned(), below(config, &prefix)),
        (None, class) => (class.unwrap_or(default).to_owned(), below(worker, &prefix)),
    }
}

fn class_not_found(option: &str, class: &str) -> ConvertError {
    ConvertError {
        class: "org.apache.kafka.common.config.ConfigException",
        message: format!("Invalid value {class} for configuration {option}: Class {class} could not be found."),
    }
}

/// Whether `name` names the class: in full, by what follows the last dot, or by that without the suffix.
pub(crate) fn is_called(class: &str, name: &str, suffix: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    let short = simple.strip_suffix(suffix).filter(|s| !s.is_empty() && !suffix.is_empty());
    class == name || simple == name || short == Some(name)
}
