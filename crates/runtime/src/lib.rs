//! Runs connectors: keeps their configurations and states in the worker's stores, starts and stops their tasks, moves
//! records from source to writer, and answers what REST asks.
//!
//! It knows no concrete source, converter or broker: the wiring hands them in ([`Plugins`], [`Connect`]). There is no
//! async here: the control plane is short-lived threads that may wait, the data plane one plain thread a task, and a
//! second one that commits.
//!
//! Invariants: an offset is confirmed to the source only after it has been stored, and stored only after every record up
//! to it is durable ([`offset_tracker`]). A connector has at most one set of tasks running in this process, because only
//! its reconciler starts and stops them.

mod committer;
pub mod configs_store;
mod errors;
pub mod info;
pub mod metrics;
mod metrics_page;
pub mod offset_tracker;
pub mod offsets_store;
mod planted;
mod plugins;
mod record_encoder;
mod refusal;
mod restarts;
mod settings;
pub mod simulated;
mod sink;
mod source_attempt;
mod source_task;
mod source_tracing;
pub mod state_store;
pub mod status_store;
mod supervisor;
mod surprise_log;
mod table_options;
mod task;
mod task_control;
mod task_status;
mod transform_chain;
pub mod turns;
mod validation;

pub use configs_store::TargetState;
pub use plugins::*;
pub use refusal::Refusal;
pub use settings::WorkerSettings;
pub use supervisor::{Connect, Health, Supervisor};
pub use table_options::{ConnectorTable, OverridePolicy, TableOptions};
pub use walspring_connect::Props;
