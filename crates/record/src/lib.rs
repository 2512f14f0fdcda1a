//! The shape of data on its way: positions, relations, rows as bytes and spans, values as trees, and plans.
//!
//! No I/O, no clock, no runtime. The tree (`Value`) is the slow twin of the row (`ChangeBatch`): a property holds the two
//! together (encode(row) = encode(tree(row))).

mod batch;
mod fields;
pub mod java;
pub mod leaf;
pub mod literal;
mod lsn;
mod names;
mod plan;
mod relation;
mod schema;
mod surprise;
mod value;

pub use batch::*;
pub use fields::{FieldRef, Fields};
pub use leaf::{Leaf, LeafError};
pub use lsn::{Lsn, LsnError};
pub use names::{NameAdjustment, escape_unit};
pub use plan::*;
pub use relation::*;
pub use schema::{Field, Schema, SchemaRef, Type};
pub use surprise::{Surprise, Surprised, Surprises};
pub use value::{Header, Record, Typed, Value};
