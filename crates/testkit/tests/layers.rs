//! Holds ARCHITECTURE's layers against what the crates really depend on (dev-dependencies are free).
//!
//! A new crate fails the test until it is put somewhere: that is the moment to think about its place.

use std::process::Command;

use Layer::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Plain data and parsing: no runtime, no sockets, no clocks.
    Base,
    /// The traits between the runtime and the plugins.
    Connect,
    /// Bytes to bytes. No I/O of any kind; none of them knows another.
    Format,
    /// What edges share of their way out: TLS's configuration, the gate for addresses. No sockets of its own (the HTTP
    /// client is there for its traits and types); of files it reads certificates.
    Net,
    /// Where bytes come from and go to. None of them knows another, nor the runtime.
    Edge,
    /// Runs what it is handed, on fakes too: no concrete source, sink, converter, transform or broker.
    Runtime,
    /// Speaks HTTP to the runtime's handle.
    Rest,
    /// The wiring: the only place that names every plugin.
    Binary,
    /// Outside of the product's layers; only the binary's demo may use it.
    Beside,
    /// Outside of the product's layers; nothing depends on it but as a dev-dependency.
    Tool,
}

const CRATES: &[(&str, Layer)] = &[
    ("walspring-record", Base),
    ("walspring-config", Base),
    ("walspring-doctor", Base),
    ("walspring-connect", Connect),
    ("walspring-pgoutput", Format),
    ("walspring-debezium", Format),
    ("walspring-converters", Format),
    ("walspring-transforms", Format),
    ("walspring-record-batch", Format),
    ("walspring-net", Net),
    ("walspring-postgres-source", Edge),
    ("walspring-kafka", Edge),
    ("walspring-log", Edge),
    ("walspring-postgres-sink", Edge),
    ("walspring-redis-sink", Edge),
    ("walspring-opensearch-sink", Edge),
    ("walspring-http-sink", Edge),
    ("walspring-telemetry", Edge),
    ("walspring-runtime", Runtime),
    ("walspring-rest", Rest),
    ("walspring", Binary),
    ("walspring-throwaway-postgres", Beside),
    ("walspring-testkit", Tool),
    ("walspring-bench", Tool),
    ("walspring-faults", Tool),
    ("walspring-fuzzing", Tool),
    ("walspring-simulation", Tool),
    ("walspring-xtask", Tool),
];

/// Whether a crate of the first layer may depend on a (different) crate of the second.
fn may(from: Layer, to: Layer) -> bool {
    match from {
        Base | Beside | Net => false,
        Connect => to == Base,
        Format | Runtime => matches!(to, Base | Connect),
        Edge => matches!(to, Base | Connect | Format | Net),
        Rest => matches!(to, Base | Connect | Runtime),
        Binary => !matches!(to, Binary | Tool),
        Tool => true,
    }
}

/// Crates of others that a layer does without, by the start of their names.
fn banned(layer: Layer) -> &'static [&'static str] {
    const SOCKETS: &[&str] = &[
        "tokio", "async-", "smol", "mio", "socket2", "hyper", "axum", "reqwest", "ureq", "postgres", "rdkafka",
        "krafka",
    ];
    match layer {
        // postgres-protocol parses and writes bytes only, but nothing below the edges has a use for it either.
        Base | Connect | Format => SOCKETS,
        Net => {
            &["tokio", "async-", "smol", "mio", "socket2", "hyper", "axum", "reqwest", "postgres", "rdkafka", "krafka"]
        }
        Runtime | Rest => &["rdkafka", "krafka", "kafka-protocol", "postgres", "tokio-postgres"],
        Edge | Binary | Beside | Tool => &[],
    }
}

fn layer_of(name: &str) -> Option<Layer> {
    CRATES.iter().find(|(n, _)| *n == name).map(|(_, layer)| *layer)
}

/// Each package of the workspace with what it is built from.
fn packages() -> Vec<(String, Vec<String>)> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("cargo metadata: {e}\n{}", String::from_utf8_lossy(&out.stderr)));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let package = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev");
        (text(&package["name"]), dependencies.map(|d| text(&d["name"])).collect())
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn no_crate_depends_upwards_or_sideways() {
    let mut wrong = Vec::new();
    for (name, dependencies) in packages() {
        let Some(layer) = layer_of(&name) else {
            wrong.push(format!("{name} has no layer: put it into CRATES"));
            continue;
        };
        for dependency in dependencies {
            if dependency == "walspring" || dependency.starts_with("walspring-") {
                match layer_of(&dependency) {
                    Some(to) if may(layer, to) => {}
                    to => wrong.push(format!("{name} ({layer:?}) depends on {dependency} ({to:?})")),
                }
            } else if let Some(ban) = banned(layer).iter().find(|ban| dependency.starts_with(**ban)) {
                wrong.push(format!("{name} ({layer:?}) depends on {dependency}: {layer:?} does without {ban}*"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_layer_is_kept_for_a_crate_that_is_gone() {
    let packages = packages();
    let gone: Vec<_> = CRATES.iter().filter(|(name, _)| !packages.iter().any(|(n, _)| n == name)).collect();
    assert!(gone.is_empty(), "in CRATES but not in the workspace: {gone:?}");
}
