//! The options of the Redis sink.

use crate::option::OptionTable;

pub const REDIS_SINK: OptionTable = OptionTable::new(&[]);
