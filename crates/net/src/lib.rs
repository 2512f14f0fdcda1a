//! What the edges share of their way out: how TLS is configured, and which addresses may be called.
//!
//! Opens no connection and knows no option: what it is given is certificates, keys and lists, and what it gives back is
//! what an edge hands to its own client. It reads one thing itself: the system's certificate authorities. Errors say what
//! is wrong with what was given; the edge says which option it came from.
#![forbid(unsafe_code)]

pub mod addresses;
#[cfg(feature = "ureq")]
pub mod http;
pub mod tls;
