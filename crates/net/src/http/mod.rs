//! The same for the HTTP client of the edges, which has its own types for it; and its resolver, which asks the gate.

mod resolver;
mod tls;

pub use resolver::{AllRefused, Gate, GatedResolver};
pub use tls::{PemText, tls_config};
