//! The plugins that a worker knows, as far as validation needs them: their classes, versions and options.

use crate::option::OptionTable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginKind {
    Source,
    Sink,
    Converter,
    HeaderConverter,
    Transformation,
    Predicate,
}

impl PluginKind {
    /// As `GET /connector-plugins` lists it.
    pub const fn name(self) -> &'static str {
        match self {
            PluginKind::Source => "source",
            PluginKind::Sink => "sink",
            PluginKind::Converter => "converter",
            PluginKind::HeaderConverter => "header_converter",
            PluginKind::Transformation => "transformation",
            PluginKind::Predicate => "predicate",
        }
    }

    pub(super) const fn interface(self) -> &'static str {
        match self {
            PluginKind::Source => "SourceConnector",
            PluginKind::Sink => "SinkConnector",
            PluginKind::Converter => "Converter",
            PluginKind::HeaderConverter => "HeaderConverter",
            PluginKind::Transformation => "Transformation",
            PluginKind::Predicate => "Predicate",
        }
    }

    /// What a simple name may leave out at its end.
    const fn suffix(self) -> &'static str {
        match self {
            PluginKind::Source | PluginKind::Sink => "Connector",
            PluginKind::Converter | PluginKind::HeaderConverter => "Converter",
            PluginKind::Transformation | PluginKind::Predicate => "",
        }
    }
}

/// One row for each kind that a class has: Kafka's JsonConverter is a converter and a header converter.
#[derive(Debug, Clone, Copy)]
pub struct PluginInfo {
    pub class: &'static str,
    pub kind: PluginKind,
    pub version: &'static str,
    pub options: OptionTable,
}

impl PluginInfo {
    /// Without its package.
    pub fn simple_name(&self) -> &'static str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    fn answers_to(&self, name: &str) -> bool {
        let simple = self.simple_name();
        let suffix = self.kind.suffix();
        name == self.class
            || name == simple
            || (!suffix.is_empty()
                && simple.strip_suffix(suffix).is_some_and(|short| !short.is_empty() && short == name))
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Plugins<'a>(pub &'a [PluginInfo]);

impl<'a> Plugins<'a> {
    /// By full name, by simple name, or by simple name without `Connector` or `Converter`.
    pub fn find(&self, kind: PluginKind, name: &str) -> Option<&'a PluginInfo> {
        self.0.iter().find(|plugin| plugin.kind == kind && plugin.answers_to(name))
    }

    /// Whatever kind it is of.
    pub fn find_any(&self, name: &str) -> Option<&'a PluginInfo> {
        self.0.iter().find(|plugin| plugin.answers_to(name))
    }

    pub fn classes(&self, kind: PluginKind) -> Vec<String> {
        let mut classes: Vec<String> =
            self.0.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.class.to_owned()).collect();
        classes.sort_unstable();
        classes
    }
}
