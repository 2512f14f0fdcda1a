//! What of the connector's configuration shapes events, as plain structs: the option tables stand elsewhere.

use std::sync::Arc;

use walspring_config::postgres::ColumnRules;
use walspring_record::{ConversionFailure, SkippedHalves, leaf::BinaryForm};

use crate::naming::{NameAdjustment, TopicNames};

/// `decimal.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalHandling {
    #[default]
    Precise,
    Double,
    String,
}

/// `time.precision.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimePrecision {
    #[default]
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    Isostring,
    Microseconds,
    Nanoseconds,
    Structured,
}

/// `hstore.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HstoreHandling {
    #[default]
    Json,
    Map,
}

/// `interval.handling.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntervalHandling {
    #[default]
    Numeric,
    String,
}

/// `unavailable.value.placeholder`: what stands for a TOASTed value that a change did not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub Vec<u8>);

impl Unavailable {
    /// The option's text: `hex:` and hexadecimal digits, or the placeholder itself. `None`: no hexadecimal digits.
    pub fn parse(option: &str) -> Option<Unavailable> {
        let Some(hex) = option.strip_prefix("hex:") else { return Some(Unavailable(option.as_bytes().to_vec())) };
        let nibbles: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        let pairs = nibbles.chunks(2).map(|pair| (pair.len() == 2).then(|| pair[0] << 4 | pair[1]));
        pairs.collect::<Option<_>>().map(Unavailable)
    }

    /// As text; bytes that are no UTF-8 become replacement characters, as in the original.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Default for Unavailable {
    fn default() -> Unavailable {
        Unavailable(b"__debezium_unavailable_value".to_vec())
    }
}

/// How columns become fields. `Default` is the original's.
#[derive(Debug, Clone)]
pub struct MappingConfig {
    pub decimal: DecimalHandling,
    pub time: TimePrecision,
    /// `binary.handling.mode`
    pub binary: BinaryForm,
    pub hstore: HstoreHandling,
    pub interval: IntervalHandling,
    /// `money.fraction.digits`
    pub money_fraction_digits: u32,
    /// `include.unknown.datatypes`
    pub unknown_types: bool,
    pub unavailable: Unavailable,
    /// `schema.name.adjustment.mode`
    pub schema_names: NameAdjustment,
    /// `field.name.adjustment.mode`
    pub field_names: NameAdjustment,
    /// `event.converting.failure.handling.mode`
    pub on_error: ConversionFailure,
    /// `walspring.strict`: no value is lost or changed, whatever the original does; what cannot be written is an error.
    pub strict: bool,
}

impl Default for MappingConfig {
    fn default() -> MappingConfig {
        MappingConfig {
            decimal: DecimalHandling::default(),
            time: TimePrecision::default(),
            binary: BinaryForm::Bytes,
            hstore: HstoreHandling::default(),
            interval: IntervalHandling::default(),
            money_fraction_digits: 2,
            unknown_types: false,
            unavailable: Unavailable::default(),
            schema_names: NameAdjustment::None,
            field_names: NameAdjustment::None,
            on_error: ConversionFailure::Warn,
            strict: false,
        }
    }
}

/// What the events of one run of a task share.
#[derive(Debug, Clone)]
pub struct EventConfig {
    pub mapping: MappingConfig,
    /// Which columns rows have, and what is done with them.
    pub columns: Arc<ColumnRules>,
    pub topics: TopicNames,
    /// `source.version`
    pub version: Arc<str>,
    /// `source.db`
    pub database: Arc<str>,
    /// `tombstones.on.delete`
    pub tombstones: bool,
    /// `skipped.operations`, of an update that changes the key
    pub skipped: SkippedHalves,
    /// `extended.headers.enabled`
    pub extended_headers: bool,
    /// The header `__debezium.context.taskId`.
    pub task_id: Arc<str>,
    /// The header `__debezium.context.runId`: a UUID, new with each start of the task.
    pub run_id: Arc<str>,
}

impl EventConfig {
    /// The original's defaults for the topics of a prefix.
    pub fn new(topics: TopicNames, database: impl Into<Arc<str>>, run_id: impl Into<Arc<str>>) -> EventConfig {
        EventConfig {
            mapping: MappingConfig::default(),
            columns: Arc::default(),
            topics,
            version: "3.7.0.Final".into(),
            database: database.into(),
            tombstones: true,
            skipped: SkippedHalves::default(),
            extended_headers: true,
            task_id: "0".into(),
            run_id: run_id.into(),
        }
    }
}
