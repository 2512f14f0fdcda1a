//! The same for the HTTP client of the edges, which has its own types for it.

mod tls;

pub use tls::{PemText, tls_config};
