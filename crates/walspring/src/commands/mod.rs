//! One file a command.

pub mod completions;
pub mod demo;
mod demo_database;
mod demo_events;
pub mod doctor;
mod shop;
pub mod tail;
pub mod version;
pub mod worker;
