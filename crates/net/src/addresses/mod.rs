//! Which addresses may be called. Asked at dial time, for each address that a name was resolved to: what a name says, or
//! said before, guards nothing.

mod gate;
mod kind;
mod network;

pub use gate::{AddressGate, Ceiling, Refusal};
pub use kind::{Kind, canonical};
