//! The tables of options of everything that can be named.

use walspring_config::option::OptionTable;
use walspring_config::tables::converters::{
    BYTE_ARRAY_CONVERTER, BYTE_ARRAY_CONVERTER_CLASS, JSON_CONVERTER, JSON_CONVERTER_CLASS, SIMPLE_HEADER_CONVERTER,
    STRING_CONVERTER, STRING_CONVERTER_CLASS,
};
use walspring_config::tables::postgres::{POSTGRES, POSTGRES_GROUPS};
use walspring_config::tables::transforms::table_of;
use walspring_config::validate::{PluginInfo, PluginKind, Words};
use walspring_converters::PluginType;
use walspring_kafka::client_config::keys::{self, Owner};
use walspring_postgres_source::PostgresPlugin;
use walspring_runtime::{ConnectorTable, OverridePolicy, TableOptions};

use super::sinks::sinks;
use super::worker_file::WorkerFile;

pub fn options(file: &WorkerFile) -> TableOptions {
    let worker = &file.typed;
    TableOptions {
        connectors: connectors(file),
        plugins: converters().into_iter().chain(transforms()).collect(),
        providers: worker.providers.clone(),
        key_converter: worker.key_converter.class.clone(),
        value_converter: worker.value_converter.class.clone(),
        header_converter: worker.header_converter.class.clone(),
        override_policy: override_policy(file),
    }
}

fn connectors(file: &WorkerFile) -> Vec<ConnectorTable> {
    let postgres = ConnectorTable {
        kind: PluginKind::Source,
        class: PostgresPlugin::CLASS,
        version: PostgresPlugin::VERSION,
        table: POSTGRES,
        words: Words::Debezium,
        groups: POSTGRES_GROUPS,
    };
    [postgres].into_iter().chain(sinks(file).iter().map(|sink| sink.table())).collect()
}

/// The worker's policy; and whatever it says, options that name code, a file or an address are not for connectors.
fn override_policy(file: &WorkerFile) -> OverridePolicy {
    let policy = file.typed.override_policy.clone();
    Box::new(move |option| {
        let owners = [Owner::Producer, Owner::Consumer];
        let guarded = owners.into_iter().any(|owner| keys::find(option, owner).is_some_and(|known| known.guarded));
        let refusal = || format!("'{option}' names code, a file or an address: only the worker's own file may set it.");
        policy.refusal(option).or_else(|| guarded.then(refusal))
    })
}

fn converters() -> Vec<PluginInfo> {
    let info = |plugin: walspring_converters::Plugin| PluginInfo {
        class: plugin.class,
        kind: match plugin.ty {
            PluginType::Converter => PluginKind::Converter,
            PluginType::HeaderConverter => PluginKind::HeaderConverter,
        },
        version: plugin.version,
        options: converter_options(plugin.class),
    };
    walspring_converters::plugins().into_iter().map(info).collect()
}

fn converter_options(class: &str) -> OptionTable {
    match class {
        JSON_CONVERTER_CLASS => JSON_CONVERTER,
        STRING_CONVERTER_CLASS => STRING_CONVERTER,
        BYTE_ARRAY_CONVERTER_CLASS => BYTE_ARRAY_CONVERTER,
        _ => SIMPLE_HEADER_CONVERTER,
    }
}

fn transforms() -> Vec<PluginInfo> {
    let info = |kind| {
        move |plugin: walspring_transforms::Plugin| PluginInfo {
            class: plugin.class,
            kind,
            version: plugin.version,
            options: table_of(plugin.class).unwrap_or(OptionTable::new(&[])),
        }
    };
    let transforms = walspring_transforms::transform_plugins().map(info(PluginKind::Transformation));
    transforms.chain(walspring_transforms::predicate_plugins().map(info(PluginKind::Predicate))).collect()
}
