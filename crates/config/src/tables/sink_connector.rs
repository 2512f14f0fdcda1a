//! The options of the framework, for every sink connector.

use crate::option::OptionTable;

pub const SINK_CONNECTOR: OptionTable = OptionTable::new(&[]);
