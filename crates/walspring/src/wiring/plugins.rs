//! The plugins of this process.

use std::sync::Arc;

use walspring_config::tables::transforms::TIMESCALE_CLASS;
use walspring_connect::SourcePlugin;
use walspring_converters::PluginType;
use walspring_postgres_source::{PostgresPlugin, TimescaleCatalog};
use walspring_record_batch::Assembler;
use walspring_runtime::{Config, MakeConverter, MakeHeaderConverter, MakePredicate, MakeTransform, Plugin, Plugins};

use super::options::options;
use super::sinks::sinks;
use super::worker_file::WorkerFile;

pub fn plugins(file: &WorkerFile) -> Plugins {
    Plugins {
        sources: sources(file),
        sinks: sinks(file).into_iter().map(|sink| sink.plugin).collect(),
        converters: converters(),
        header_converters: header_converters(),
        transforms: transforms(),
        predicates: predicates(),
        assembler: Box::new(|| Box::new(Assembler::new())),
        options: Box::new(options(file)),
        source_observer: None,
        sink_observer: None,
    }
}

fn sources(file: &WorkerFile) -> Vec<Arc<dyn SourcePlugin>> {
    let postgres = PostgresPlugin::new().strict(file.typed.strict).spill_dir(file.typed.spill_dir.clone());
    vec![Arc::new(postgres)]
}

fn converters() -> Vec<Plugin<MakeConverter>> {
    let known = walspring_converters::plugins().into_iter().filter(|plugin| plugin.ty == PluginType::Converter);
    known
        .map(|plugin| Plugin {
            class: plugin.class,
            version: Some(plugin.version),
            make: Box::new(move |config: Config<'_>, side| {
                walspring_converters::converter(plugin.class, side, config).map(Arc::from)
            }) as MakeConverter,
        })
        .collect()
}

fn header_converters() -> Vec<Plugin<MakeHeaderConverter>> {
    let known = walspring_converters::plugins().into_iter().filter(|plugin| plugin.ty == PluginType::HeaderConverter);
    known
        .map(|plugin| Plugin {
            class: plugin.class,
            version: Some(plugin.version),
            make: Box::new(move |config: Config<'_>| {
                walspring_converters::header_converter(plugin.class, config).map(Arc::from)
            }) as MakeHeaderConverter,
        })
        .collect()
}

fn transforms() -> Vec<Plugin<MakeTransform>> {
    let known = walspring_transforms::transform_plugins();
    known
        .map(|plugin| Plugin {
            class: plugin.class,
            version: Some(plugin.version),
            make: Box::new(move |config: Config<'_>| match plugin.class {
                TIMESCALE_CLASS => {
                    let catalog = TimescaleCatalog::open(config)?;
                    walspring_transforms::timescale(config, Box::new(catalog))
                }
                class => walspring_transforms::transform("type", class, config),
            }) as MakeTransform,
        })
        .collect()
}

fn predicates() -> Vec<Plugin<MakePredicate>> {
    let known = walspring_transforms::predicate_plugins();
    known
        .map(|plugin| Plugin {
            class: plugin.class,
            version: Some(plugin.version),
            make: Box::new(move |config: Config<'_>| walspring_transforms::predicate("type", plugin.class, config))
                as MakePredicate,
        })
        .collect()
}
