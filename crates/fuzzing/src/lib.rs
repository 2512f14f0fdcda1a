//! Fuzz targets: each takes any bytes as something that comes from outside, and has to return. What a target asserts beside
//! that holds for any bytes.
//!
//! `fuzz/` hands them to libFuzzer (`scripts/fuzz`); `tests/targets.rs` runs them in the usual tests on their seeds, on changed
//! seeds, on bytes by chance, and on what was ever found (`found/TARGET/…`).

mod input;
mod seeds;
mod targets;

pub use input::Input;

/// One target.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs to begin from: what a well-behaved other side sends.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "pgoutput", run: targets::pgoutput::run, seeds: seeds::payloads },
    Target { name: "stream", run: targets::stream::run, seeds: seeds::streams },
    Target { name: "backend", run: targets::backend::run, seeds: seeds::backends },
    Target { name: "copy", run: targets::copy::run, seeds: seeds::copies },
    Target { name: "values", run: targets::values::run, seeds: targets::values::seeds },
    Target { name: "offsets", run: targets::offsets::run, seeds: seeds::offsets },
    Target { name: "signals", run: targets::signals::run, seeds: seeds::signals },
];

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}
