//! The shape of the original's events: type mapping, schemas, plans, the rarer records, and the offset map.
//!
//! A format: no I/O, no clock. What is recorded from the original in `conformance/` is what must come out here; of odd types
//! `tests/cases` holds more answers. Where a column goes: `types` (schema and leaf), `field` (null, default, placeholder),
//! `column_rule` (masks and the like), `envelope` (the plan).

mod change_event;
mod column_rule;
mod config;
mod counters;
mod defaults;
mod dimensions;
mod envelope;
mod field;
mod modifier;
mod naming;
mod notification;
mod offset;
mod records;
mod semantic;
mod signal;
mod signal_blocking;
mod signal_java_array;
mod signal_state;
mod snapshot_progress;
mod strict;
mod surprises;
mod types;
mod unavailable;
mod unchanged;

pub use change_event::{ChangeEvent, Op};
pub use config::{
    DecimalHandling, EventConfig, HstoreHandling, IntervalHandling, MappingConfig, TimePrecision, Unavailable,
};
pub use counters::{CollectionCount, TransactionCounters};
pub use envelope::{masks_without_effect, message_source, plan, source_schema};
pub use field::{ColumnField, TypeMapper};
pub use modifier::{Modifier, parse_modifier};
pub use naming::{NameAdjustment, TableTopic, TopicNames};
pub use notification::{Notification, notification};
pub use offset::{DebeziumOffset, SnapshotKind};
pub use records::{LogicalMessage, heartbeat, logical_message, transaction_begin, transaction_end};
pub use signal::{Condition, Signal, SignalAction, SnapshotRequest, WINDOW_CLOSE, WINDOW_OPEN, watermark_data};
pub use signal_blocking::BlockingSnapshot;
pub use signal_java_array::JavaValue;
pub use signal_state::{IncrementalState, SnapshotCollection};
pub use snapshot_progress::{Done, RowPlace, SnapshotProgress, Stretch, TablePart};
pub use unavailable::UnavailableValues;
pub use unchanged::is_unchanged;
