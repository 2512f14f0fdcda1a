//! The sink on real servers, through its plugin as the runtime uses it.

mod envelopes;
#[allow(dead_code)]
mod support;
