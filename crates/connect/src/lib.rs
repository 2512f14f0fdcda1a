//! The contracts between the runtime and everything it runs: sources, converters, transforms, writers and stores.
//!
//! Nothing here knows a concrete plugin or broker. Source: the interfaces of `org.apache.kafka.connect`, reshaped for
//! batches of rows.

mod consumer;
mod converter;
mod error;
pub mod fault;
mod hypertables;
mod numbers;
mod observe;
mod panics;
mod signals;
mod sink;
mod source;
mod store;
pub mod threads;
pub mod writer;

pub use consumer::*;
pub use converter::*;
pub use error::*;
pub use hypertables::*;
pub use numbers::*;
pub use observe::*;
pub use panics::*;
pub use signals::*;
pub use sink::*;
pub use source::*;
pub use store::*;
