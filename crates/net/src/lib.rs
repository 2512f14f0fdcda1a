//! What the edges share of their way out: how TLS is configured.
//!
//! Opens no connection and knows no option: what it is given is certificates and keys, and what it gives back is the
//! configuration that an edge hands to its own client. It reads one thing itself: the system's certificate authorities.
//! Errors say what is wrong with the bytes; the edge says which option they came from.
#![forbid(unsafe_code)]

#[cfg(feature = "ureq")]
pub mod http;
pub mod tls;
