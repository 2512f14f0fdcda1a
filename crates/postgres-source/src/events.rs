//! What the source says to the `debezium` format: plans, the rarer records, offsets, counters. One for each task run.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use walspring_config::postgres::{
    BinaryHandling, ConvertingFailure, DecimalHandling, Filters, HstoreHandling, IntervalHandling, NameAdjustment,
    PostgresConnectorConfig, TimePrecision, TopicForm,
};
use walspring_connect::{SourcePartition, TaskError};
use walspring_debezium::{
    self as debezium, BlockingSnapshot, DebeziumOffset, EventConfig, IncrementalState, LogicalMessage, MappingConfig,
    SnapshotKind, TopicNames, TransactionCounters, Unavailable,
};
use walspring_record::leaf::{BinaryForm, Reader};
use walspring_record::{
    Change, ChangeBatch, ChangeKind, ConversionFailure, Lsn, OldRow, Record, RecordPlan, Relation, SkippedHalves,
    SnapshotMark, SourceOffset, SourcePlan, Transaction, TransactionOrder, Value, transaction_id,
};

use crate::change_reader::LastEvent;
use crate::config::{SourceConfig, too_complex};
use crate::position::StoredPosition;
use crate::resume::CatchUp;
use crate::shared_topics::SharedTopics;

/// Where `lsn_commit` says more than the last COMMIT that was seen, that one; 0: none. With the original, which stores no such
/// positions, events tell of COMMITs only (`source.sequence`), also after a restart.
const COMMIT_SEEN: &str = "walspring_commit_seen";

/// A stored offset, as it was found.
#[derive(Debug, Clone)]
pub struct StoredOffset {
    pub position: StoredPosition,
    /// It was stored in a snapshot that had not come to its end.
    pub in_snapshot: bool,
    /// For messages.
    pub text: String,
    offset: DebeziumOffset,
}

impl StoredOffset {
    pub fn parse(map: &SourceOffset) -> StoredOffset {
        let offset = DebeziumOffset::parse(map);
        let kind = offset.message_type.as_deref().unwrap_or_default();
        let is_event = matches!(kind, "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE" | "MESSAGE");
        let snapshot = offset.is_of_initial_snapshot();
        let lsn = offset.lsn.or(offset.lsn_proc);
        // The original has no count for messages in transactions: beside one's position stands the last row's count.
        let of_row_before = kind == "MESSAGE" && offset.lsn_proc.is_some_and(|row| Some(row) != lsn);
        let position = StoredPosition {
            last_commit: offset.lsn_commit.or(offset.lsn_proc.filter(|_| kind == "COMMIT")),
            commit_seen: offset
                .rest
                .get(COMMIT_SEEN)
                .and_then(|v| v.as_u64())
                .map(|seen| (seen > 0).then_some(Lsn(seen))),
            processed: offset.lsn_proc,
            xid: offset.xid.and_then(|x| u32::try_from(x).ok()),
            lsn,
            events_at_lsn: (offset.events_at_lsn > 0 && !of_row_before).then_some(offset.events_at_lsn),
            inside_transaction: is_event && offset.is_of_stream(),
            loose_message: kind == "MESSAGE" && offset.xid.is_none(),
            snapshot_completed: snapshot && !offset.is_in_snapshot(),
        };
        let text = map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ");
        StoredOffset { position, in_snapshot: offset.is_in_snapshot(), text, offset }
    }

    /// Where the stream goes on, in the original's fields.
    pub fn place(&self) -> &DebeziumOffset {
        &self.offset
    }

    /// Blocking snapshots that had not ended.
    pub fn blocking(&self) -> Vec<BlockingSnapshot> {
        BlockingSnapshot::load(&self.offset.rest)
    }

    /// The incremental snapshot that it was stored in the midst of.
    pub fn incremental(&self) -> Option<IncrementalState> {
        IncrementalState::load(&self.offset.rest)
    }
}

#[derive(Clone)]
pub struct Events {
    config: Arc<EventConfig>,
    filters: Arc<Filters>,
    message_source: Arc<SourcePlan>,
    /// `provide.transaction.metadata`
    counters: Option<TransactionCounters>,
    /// `skip.messages.without.change`
    skip_unchanged: bool,
    /// Columns whose mask or hash does nothing.
    unmasked: Arc<Mutex<HashSet<String>>>,
    /// Unless tables are meant to share topics.
    topics: Option<Arc<SharedTopics>>,
    pub xmin: Option<u64>,
    /// How far snapshots are that signals asked for: a part of the offset.
    pub signalled: Option<SourceOffset>,
    /// The stream is on its way to where the rest of an initial snapshot is read.
    pub catches_up: Option<CatchUp>,
}

impl Events {
    pub fn new(config: &SourceConfig, task: u32) -> Result<Events, TaskError> {
        let typed = &config.typed;
        let names = topic_names(typed)?;
        let shares_no_topics = !matches!(names.naming.form, TopicForm::Regex(_));
        let mut events = EventConfig::new(names, typed.connection.database.as_str(), random_uuid());
        events.mapping = mapping(typed);
        events.columns = Arc::new(typed.columns.clone());
        events.tombstones = typed.events.tombstones_on_delete;
        let skipped = typed.events.skipped;
        events.skipped = SkippedHalves { delete: skipped.delete, create: skipped.create };
        events.extended_headers = typed.events.extended_headers;
        events.task_id = task.to_string().into();
        events.version = crate::PostgresPlugin::VERSION.into();
        Ok(Events {
            message_source: Arc::new(debezium::message_source(&events)),
            config: Arc::new(events),
            filters: Arc::new(typed.filters.clone()),
            counters: typed.events.transaction_metadata.then(TransactionCounters::default),
            skip_unchanged: typed.events.skip_unchanged,
            unmasked: Arc::default(),
            topics: shares_no_topics.then(Arc::default),
            xmin: None,
            signalled: None,
            catches_up: None,
        })
    }

    /// `{"server":"<topic.prefix>"}`
    pub fn partition(&self) -> SourcePartition {
        let mut partition = SourcePartition::new();
        partition.insert("server".into(), self.config.topics.prefix.as_ref().into());
        partition
    }

    pub fn plan(&self, relation: Arc<Relation>) -> Result<Arc<RecordPlan>, TaskError> {
        self.make_plan(relation, Reader::Stream)
    }

    pub fn snapshot_plan(&self, relation: Arc<Relation>) -> Result<Arc<RecordPlan>, TaskError> {
        self.make_plan(relation, Reader::Snapshot)
    }

    fn make_plan(&self, relation: Arc<Relation>, reader: Reader) -> Result<Arc<RecordPlan>, TaskError> {
        self.count_unmasked(&relation)?;
        let plan = debezium::plan(relation, &self.config, reader)?;
        match &self.topics {
            Some(topics) => topics.look(plan, self.config.mapping.strict).map(Arc::new),
            None => Ok(Arc::new(plan)),
        }
    }

    /// The original leaves values that are not text as they are, without a word. The plan says so, and the log.
    fn count_unmasked(&self, relation: &Relation) -> Result<(), TaskError> {
        for column in debezium::masks_without_effect(relation, &self.config)? {
            let name = format!("{}.{column}", relation.qualified_name());
            let mut unmasked = self.unmasked.lock().unwrap_or_else(|e| e.into_inner());
            unmasked.insert(name);
        }
        Ok(())
    }

    /// Columns whose mask or hash does nothing.
    pub fn columns_unmasked(&self) -> usize {
        self.unmasked.lock().unwrap_or_else(|e| e.into_inner()).len()
    }

    /// Whether an update is to be left out because it changes nothing of what would be written.
    #[inline]
    pub fn skips_update(&self, plan: &RecordPlan, batch: &ChangeBatch, old: u32, new: u32) -> bool {
        self.skip_unchanged && debezium::is_unchanged(plan, batch, old, new)
    }

    /// Goes on counting where the stored offset left off.
    pub fn restore(&mut self, stored: &StoredOffset) {
        if self.counters.is_some() {
            self.counters = Some(TransactionCounters::load(&stored.offset.rest));
        }
    }

    pub fn streaming_offset(&self, last: &LastEvent) -> SourceOffset {
        let mut rest = self.rest();
        if last.commit_seen != last.last_commit {
            rest.insert(COMMIT_SEEN.to_owned(), last.commit_seen.unwrap_or_default().0.into());
        }
        DebeziumOffset {
            lsn: Some(last.lsn),
            lsn_proc: Some(last.lsn),
            lsn_commit: last.last_commit,
            xid: last.xid.map(i64::from),
            ts_us: Some(last.commit_us),
            message_type: Some(last.message_type.to_owned()),
            events_at_lsn: last.events_at_lsn,
            xmin: self.xmin.and_then(|xmin| i64::try_from(xmin).ok()),
            // A restart from here goes on with the snapshot.
            snapshot: self.catches_up.as_ref().map(|_| SnapshotKind::Initial),
            snapshot_progress: self.catches_up.as_ref().map(CatchUp::text),
            rest,
            ..DebeziumOffset::default()
        }
        .to_map()
    }

    /// Of the offset, what is not a position.
    pub fn rest(&self) -> SourceOffset {
        let mut rest = SourceOffset::new();
        if let Some(counters) = &self.counters {
            counters.store(&mut rest);
        }
        rest.extend(self.signalled.clone().into_iter().flatten());
        rest
    }

    /// Of a snapshot that was begun in this start. `progress`: how far it is.
    pub fn snapshot_offset(
        &self,
        lsn: Lsn,
        xid: u32,
        now_us: i64,
        completed: bool,
        progress: Option<Arc<str>>,
    ) -> SourceOffset {
        DebeziumOffset {
            lsn: Some(lsn),
            xid: Some(i64::from(xid)),
            ts_us: Some(now_us),
            snapshot: Some(SnapshotKind::Initial),
            last_snapshot_record: completed,
            snapshot_completed: completed,
            snapshot_progress: progress,
            ..DebeziumOffset::default()
        }
        .to_map()
    }

    /// BEGIN's record, unless it was sent before a restart.
    pub fn begin(&mut self, xid: u32, lsn: Lsn, commit_us: i64) -> Option<Record> {
        let begins = self.counters.as_mut()?.begin(xid);
        let id = transaction_id(Some(xid), lsn);
        begins.then(|| debezium::transaction_begin(&self.config, &id, commit_us.div_euclid(1000)))
    }

    /// END's record.
    pub fn commit(&mut self, xid: u32, lsn: Lsn, commit_us: i64) -> Option<Record> {
        let (events, collections) = self.counters.as_mut()?.end();
        let id = transaction_id(Some(xid), lsn);
        Some(debezium::transaction_end(&self.config, &id, events, &collections, commit_us.div_euclid(1000)))
    }

    /// Whether events are counted at all.
    #[inline]
    pub fn counts(&self) -> bool {
        self.counters.is_some()
    }

    /// Counts the events that a change becomes: two when its key changed. Answers the first one's place.
    #[inline]
    pub fn count(&mut self, plan: &RecordPlan, key_changed: bool) -> TransactionOrder {
        let Some(counters) = &mut self.counters else { return TransactionOrder::default() };
        let collection: Arc<str> = plan.relation.qualified_name().into();
        let order = counters.event(&collection);
        if key_changed {
            counters.event(&collection);
        }
        order
    }

    pub fn wants_message(&self, prefix: &str) -> Result<bool, TaskError> {
        self.filters.wants_message(prefix).map_err(too_complex)
    }

    /// A logical message; without an id `transaction` is none, and says what `source` tells all the same.
    pub fn message(
        &mut self,
        prefix: &str,
        content: &[u8],
        transaction: Transaction,
        lsn: Lsn,
        now_us: i64,
    ) -> Result<Record, TaskError> {
        let block = match (&mut self.counters, transaction.xid) {
            (Some(counters), Some(xid)) => {
                let order = counters.event(&"".into());
                Value::Struct(vec![
                    Value::string(transaction_id(Some(xid), lsn)),
                    Value::Int64(order.total as i64),
                    Value::Int64(order.data_collection as i64),
                ])
            }
            _ => Value::Null,
        };
        let change = Change {
            kind: ChangeKind::Record,
            old_row: OldRow::None,
            snapshot: SnapshotMark::False,
            plan: 0,
            transaction: 0,
            new: 0,
            old: 0,
            change_lsn: lsn,
            seen_us: now_us,
            order: TransactionOrder::default(),
        };
        let batch = ChangeBatch { transactions: vec![transaction], ..ChangeBatch::default() };
        let source = self.message_source.tree(&batch, &change);
        let now_ms = now_us.div_euclid(1000);
        let message = LogicalMessage { prefix, content, now_ms, source, transaction: block };
        debezium::logical_message(&self.config, message).map_err(|e| TaskError::definite(e.class, e.message))
    }

    /// How records look, for those that are made elsewhere.
    pub fn format(&self) -> Arc<EventConfig> {
        self.config.clone()
    }

    pub fn heartbeat(&self, now_us: i64) -> Record {
        debezium::heartbeat(&self.config, now_us.div_euclid(1000))
    }
}

fn topic_names(config: &PostgresConnectorConfig) -> Result<TopicNames, TaskError> {
    let option = |name: &str| config.raw.get(name).map(str::to_owned);
    let mut names = TopicNames::new(config.topics.prefix.as_str());
    names.delimiter.clone_from(&config.topics.delimiter);
    if let Some(prefix) = option("topic.heartbeat.prefix") {
        names.heartbeat_prefix = prefix;
    }
    names.heartbeat_name = option("topic.heartbeat.name").filter(|n| !n.is_empty());
    if let Some(transaction) = option("topic.transaction") {
        names.transaction = transaction;
    }
    names.naming = config.topics.naming.clone();
    names.check()?;
    Ok(names)
}

fn mapping(config: &PostgresConnectorConfig) -> MappingConfig {
    let r = &config.representation;
    let names = |adjustment| match adjustment {
        NameAdjustment::None => debezium::NameAdjustment::None,
        NameAdjustment::Avro => debezium::NameAdjustment::Avro,
        NameAdjustment::AvroUnicode => debezium::NameAdjustment::AvroUnicode,
    };
    MappingConfig {
        decimal: match r.decimal {
            DecimalHandling::Precise => debezium::DecimalHandling::Precise,
            DecimalHandling::Double => debezium::DecimalHandling::Double,
            DecimalHandling::String => debezium::DecimalHandling::String,
        },
        time: match r.time_precision {
            TimePrecision::Adaptive => debezium::TimePrecision::Adaptive,
            TimePrecision::AdaptiveTimeMicroseconds => debezium::TimePrecision::AdaptiveTimeMicroseconds,
            TimePrecision::Connect => debezium::TimePrecision::Connect,
            TimePrecision::IsoString => debezium::TimePrecision::Isostring,
            TimePrecision::Microseconds => debezium::TimePrecision::Microseconds,
            TimePrecision::Nanoseconds => debezium::TimePrecision::Nanoseconds,
            TimePrecision::Structured => debezium::TimePrecision::Structured,
        },
        binary: match r.binary {
            BinaryHandling::Bytes => BinaryForm::Bytes,
            BinaryHandling::Base64 => BinaryForm::Base64,
            BinaryHandling::Base64UrlSafe => BinaryForm::Base64Url,
            BinaryHandling::Hex => BinaryForm::Hex,
        },
        hstore: match r.hstore {
            HstoreHandling::Json => debezium::HstoreHandling::Json,
            HstoreHandling::Map => debezium::HstoreHandling::Map,
        },
        interval: match r.interval {
            IntervalHandling::Numeric => debezium::IntervalHandling::Numeric,
            IntervalHandling::String => debezium::IntervalHandling::String,
        },
        money_fraction_digits: r.money_fraction_digits,
        unknown_types: r.include_unknown_types,
        unavailable: Unavailable(r.unavailable_value.bytes.clone()),
        schema_names: names(r.schema_names),
        field_names: names(r.field_names),
        on_error: match r.converting_failure {
            ConvertingFailure::Fail => ConversionFailure::Fail,
            ConvertingFailure::Warn => ConversionFailure::Warn,
            ConvertingFailure::Skip => ConversionFailure::Skip,
        },
        strict: config.strict,
    }
}

/// A random UUID (version 4).
pub fn random_uuid() -> String {
    use ring::rand::SecureRandom as _;
    let mut b = [0u8; 16];
    // Without randomness the id is all zeros: it only tells runs apart.
    let _ = ring::rand::SystemRandom::new().fill(&mut b);
    b[6] = b[6] & 0x0F | 0x40;
    b[8] = b[8] & 0x3F | 0x80;
    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
