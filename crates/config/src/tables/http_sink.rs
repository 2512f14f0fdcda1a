//! The options of the HTTP sinks.

use crate::option::OptionTable;

pub const HTTP_SINK: OptionTable = OptionTable::new(&[]);
