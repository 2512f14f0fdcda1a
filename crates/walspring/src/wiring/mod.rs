//! Puts the pieces together: which plugins there are, what they are configured by, and what the worker stands on.

pub mod backend;
pub mod connector_files;
pub mod listeners;
mod options;
pub mod plugins;
mod registration;
pub mod settings;
mod sinks;
pub mod worker_file;

pub use registration::register;
