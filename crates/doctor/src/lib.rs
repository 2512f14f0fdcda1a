//! The engine of `walspring doctor`, of `config/validate` and of a task's first look at its database: what a check is,
//! what it found, and how that is told.
//!
//! Plain data: nothing here asks a server anything. The edges bring their checks (`postgres-source/src/doctor`,
//! `kafka/src/doctor`), and say the same words whoever asks.
//!
//! Invariant: a report has each check of its table once, in the table's order, whatever happened on the way.
#![forbid(unsafe_code)]

mod check;
mod finding;
mod report;
mod text;

pub use check::{Check, Group};
pub use finding::{Finding, Outcome, Remedy};
pub use report::{Entry, Report};
pub use text::Paint;
