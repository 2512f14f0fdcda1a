//! The options of the PostgreSQL sink.

use crate::option::OptionTable;

pub const POSTGRES_SINK: OptionTable = OptionTable::new(&[]);
