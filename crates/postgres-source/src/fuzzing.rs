//! Doors for the fuzz targets (`crates/fuzzing`): what this crate makes of bytes that come from outside, without a socket or a
//! server. No part of the product calls them.
//!
//! Each takes any bytes and has to return; what it asserts holds for any bytes.

use std::sync::{Arc, OnceLock};

use walspring_connect::TaskError;
use walspring_debezium::{BlockingSnapshot, DebeziumOffset, IncrementalState, Signal};
use walspring_pgoutput::Relation as Described;
use walspring_record::{
    Change, ChangeBatch, ChangeKind, Column, Lsn, OldRow, PgType, RecordPlan, Relation, ReplicaIdentity, SourceOffset,
    TypeKind, TypeRef,
};

use crate::change_reader::{ChangeReader, Relations};
use crate::config::SourceConfig;
use crate::copy_text;
use crate::events::{Events, StoredOffset};
use crate::position::Resume;
use crate::signals::request;
use crate::streamed::{Spill, Streamed, Taken};
use crate::value_limit::{self, ValueLimit};

pub use crate::wire::fuzzing::{authentication, backend_messages};

/// Cells of a row of COPY; `None`: it has other columns.
pub fn copy_row(line: &[u8], columns: usize) -> Option<Vec<Option<Vec<u8>>>> {
    let mut batch = ChangeBatch::default();
    batch.bytes.extend_from_slice(b"before");
    match copy_text::append_row(line, columns, &mut batch) {
        Ok(first) => {
            let row = batch.row(first, columns);
            Some((0..columns).map(|column| row.get(column).map(<[u8]>::to_vec)).collect())
        }
        Err(_) => {
            assert_eq!((&batch.bytes[..], batch.cells.len()), (&b"before"[..], 0), "what is refused leaves nothing");
            None
        }
    }
}

/// A stored offset, whoever wrote it: reading it, and storing what was read, which must then stay the same.
pub fn offset(map: &SourceOffset) {
    let stored = StoredOffset::parse(map);
    let mut resume = Resume::after(&stored.position);
    for lsn in [0, 1, u64::MAX] {
        resume.begin(stored.position.xid.unwrap_or(7));
        resume.was_sent(Lsn(lsn), 1);
        resume.loose_message_was_sent(Lsn(lsn));
        resume.commit();
    }
    let (first, incremental) = (DebeziumOffset::parse(map), IncrementalState::load(map));
    let again = DebeziumOffset::parse(&first.to_map());
    assert_eq!(first.to_map(), again.to_map());
    if let Some(incremental) = incremental {
        let mut out = SourceOffset::new();
        incremental.store(&mut out);
        let mut twice = SourceOffset::new();
        IncrementalState::load(&out).inspect(|state| state.store(&mut twice));
        assert_eq!(out, twice);
    }
    let blocking = BlockingSnapshot::load(map);
    let mut out = SourceOffset::new();
    BlockingSnapshot::store(blocking.iter(), &mut out);
}

/// A signal, as files and topics bring it and as REST does.
pub fn signal(text: &[u8]) {
    if let Ok(signal) = Signal::from_json(text) {
        let _ = signal.read();
    }
    if let Ok(json) = serde_json::from_slice(text) {
        for signal in request::read(&json).unwrap_or_default() {
            assert!(!signal.kind.is_empty() && signal.id.len() <= 64);
        }
    }
}

/// Payloads of a replication stream in their order, each at a place of the log; `see` is handed the batch of each.
/// `value_bytes_max`: as `walspring.value.max.bytes`, with the action of this number.
pub fn stream<'a>(
    payloads: impl Iterator<Item = (u64, &'a [u8])>,
    limit: Option<(usize, u8)>,
    mut see: impl FnMut(&ChangeBatch),
) -> Result<(), TaskError> {
    static CONFIG: OnceLock<SourceConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| config(&[]));
    let events = Events::new(config, 0)?;
    let described = DescribedOnly { events: events.clone() };
    let resume = Resume::at(Lsn(0));
    let mut reader = ChangeReader::new(described, events, config.typed.events.skipped, resume, None, None);
    if let Some((max, action)) = limit {
        let max = max.max(value_limit::MAX_LEAST).to_string();
        let action = ["fail", "truncate", "placeholder", "skip"][usize::from(action) % 4];
        let options = [(value_limit::MAX, max), (value_limit::TOO_LARGE, action.to_owned())];
        let options = options.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        reader = reader.limited(ValueLimit::parse(&options).unwrap_or_default());
    }
    let spill = Spill { dir: std::env::temp_dir(), memory_max: 1 << 24, disk_max: 0 };
    let mut streamed = Streamed::new(spill);
    let mut batch = ChangeBatch::default();
    for (lsn, payload) in payloads {
        if streamed.is_streamed(payload) {
            if let Taken::Committed(Some(mut release), commit) =
                streamed.take(lsn, payload, &mut reader.relations_described)?
            {
                reader.begin_streamed(commit.xid, release.begin, 0, &mut batch);
                while let Ok(Some((mark, payload))) = release.next() {
                    reader.read(Lsn(mark), payload, 0, &mut batch)?;
                }
                reader.commit_streamed(Lsn(commit.end_lsn), 0, &mut batch);
            }
        } else {
            reader.read(Lsn(lsn), payload, 0, &mut batch)?;
        }
        batch.changes.iter().for_each(|change| check(change, &batch));
        see(&batch);
        if batch.changes.len() > 16 {
            batch.offset = reader.offset();
            batch.clear(1 << 16);
            reader.next_batch();
        }
    }
    Ok(())
}

/// Every cell of it is inside the batch.
fn check(change: &Change, batch: &ChangeBatch) {
    if matches!(change.kind, ChangeKind::Record | ChangeKind::Truncate) {
        return;
    }
    let columns = batch.plans[change.plan as usize].relation.columns.len();
    for first in [Some(change.new), (change.old_row != OldRow::None).then_some(change.old)].into_iter().flatten() {
        let has_row = change.kind != ChangeKind::Delete || first == change.old;
        if has_row {
            let row = batch.row(first, columns);
            assert!((0..columns).all(|column| row.get(column).is_none_or(|value| value.len() < 1 << 30)));
        }
    }
}

fn config(more: &[(&str, &str)]) -> SourceConfig {
    let least = [
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "d"),
        ("topic.prefix", "p"),
        ("plugin.name", "pgoutput"),
        ("provide.transaction.metadata", "true"),
        ("skip.messages.without.change", "true"),
    ];
    let pairs: Vec<_> = least.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    SourceConfig::parse(&pairs).unwrap_or_else(|e| panic!("{}", e.trace()))
}

/// Tables as the stream describes them, all of them captured, without a catalog.
struct DescribedOnly {
    events: Events,
}

impl Relations for DescribedOnly {
    fn describe(&mut self, relation: &Described<'_>, _: Option<u32>) -> Result<Option<Arc<RecordPlan>>, TaskError> {
        let text = |bytes: &[u8]| -> Arc<str> { String::from_utf8_lossy(bytes).into() };
        let columns: Vec<Column> = relation
            .columns()
            .map(|column| Column {
                name: text(column.name),
                ty: ty(column.type_oid),
                modifier: column.type_modifier,
                nullable: column.flags & 1 == 0,
                default: None,
                generated: false,
                comment: None,
            })
            .collect();
        let identity = match relation.replica_identity {
            walspring_pgoutput::ReplicaIdentity::Default => ReplicaIdentity::Default,
            walspring_pgoutput::ReplicaIdentity::Nothing => ReplicaIdentity::Nothing,
            walspring_pgoutput::ReplicaIdentity::Full => ReplicaIdentity::Full,
            walspring_pgoutput::ReplicaIdentity::Index => ReplicaIdentity::Index,
        };
        let key: Vec<usize> = (0..columns.len()).filter(|&n| !columns[n].nullable).collect();
        let relation = Relation {
            oid: relation.oid,
            namespace: text(relation.namespace),
            name: text(relation.name),
            identity,
            columns,
            identifying: key.clone(),
            key,
            key_may_repeat: false,
        };
        self.events.plan(Arc::new(relation)).map(Some)
    }
}

fn ty(oid: u32) -> TypeRef {
    let builtin = |name: &str, kind| Arc::new(PgType { oid, name: name.into(), namespace: "pg_catalog".into(), kind });
    match oid % 9 {
        0 => builtin("text", TypeKind::Base),
        1 => builtin("int8", TypeKind::Base),
        2 => builtin("numeric", TypeKind::Base),
        3 => builtin("bytea", TypeKind::Base),
        4 => builtin("timestamptz", TypeKind::Base),
        5 => builtin("_int4", TypeKind::Array(builtin("int4", TypeKind::Base))),
        6 => builtin("mood", TypeKind::Enum(vec!["a".into(), "b".into()])),
        7 => builtin("jsonb", TypeKind::Base),
        _ => builtin("float8", TypeKind::Base),
    }
}
