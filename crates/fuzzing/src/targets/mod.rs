//! A file a target.

pub mod backend;
pub mod copy;
pub mod offsets;
pub mod pgoutput;
pub mod signals;
pub mod stream;
pub mod values;
