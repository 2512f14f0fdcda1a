//! Measurements beside what PostgreSQL and the disk allow, and a count of instructions that guards the record path.
//!
//! Seconds say something on a quiet machine only; instructions say the same on any. Each measurement prints one line of
//! JSON, as `reference/bench.py` does, so that the two can be read together.

pub mod budget;
pub mod database;
pub mod encode;
pub mod filters;
pub mod instructions;
pub mod limits;
pub mod log;
pub mod process;
pub mod rest;
pub mod rows;
pub mod sink;
pub mod stream;
pub mod tables;
pub mod worker;

/// One line of JSON on stdout.
pub fn report(line: &serde_json::Value) {
    println!("{line}");
}

/// Rounded to so many digits after the point: measurements have no more to say.
pub fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

/// What stops a measurement: a text for a person.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
