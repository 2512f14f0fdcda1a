//! The sink on real servers, through its plugin as the runtime uses it.

mod any_order;
mod envelopes;
mod exactly_once;
mod faults;
#[allow(dead_code)]
mod support;
mod tables;
mod tls;
mod types;
