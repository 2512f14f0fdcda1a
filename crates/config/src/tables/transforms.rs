//! The options of the transforms and predicates.

use crate::option::OptionTable;

pub const TRANSFORMS: OptionTable = OptionTable::new(&[]);
