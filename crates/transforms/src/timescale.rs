//! `io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb`: records of TimescaleDB's chunks under the names of
//! their hypertables, or of the continuous aggregates that those hold.
//!
//! What belongs to what stands in TimescaleDB's catalog, which is read when a chunk comes up that is not known. A chunk that
//! is dropped since is told by its name, which has the hypertable's number.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use walspring_config::tables::transforms::TIMESCALE;
use walspring_connect::{ConvertError, HypertableCatalog, TableName, Transform};
use walspring_record::{Header, NameAdjustment, Record, Schema, SchemaRef, Type, Typed, Value};

use crate::logical_router::{renamed, renamed_envelope};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

const CHUNK_TABLE: &str = "__debezium_timescaledb_chunk_table";
const CHUNK_SCHEMA: &str = "__debezium_timescaledb_chunk_schema";
const HYPERTABLE_TABLE: &str = "__debezium_timescaledb_hypertable_table";
const HYPERTABLE_SCHEMA: &str = "__debezium_timescaledb_hypertable_schema";

/// Chunks of no hypertable that are remembered.
const UNKNOWN_MAX: usize = 10_000;

/// The transform. `config`: its properties, without their prefix; with `walspring.strict=true` its records have schemas of
/// the hypertable, not of the chunk, and a tombstone goes where its delete went.
pub fn timescale(
    config: &[(String, String)],
    catalog: Box<dyn HypertableCatalog>,
) -> Result<Box<dyn Transform>, ConvertError> {
    Ok(Box::new(TimescaleDb::new(config, catalog)))
}

struct TimescaleDb {
    schemas: HashSet<String>,
    topic_prefix: String,
    strict: bool,
    catalog: Box<dyn HypertableCatalog>,
    chunks: HashMap<TableName, Arc<Target>>,
    /// Chunks of no hypertable, with the transaction after which the catalog was read in vain.
    unknown: HashMap<TableName, Value>,
    sources: SchemaCache<Option<Source>>,
    names: Names,
    /// The delete that came last: its tombstone may follow.
    deleted: Option<(Arc<str>, Arc<Target>)>,
}

/// What becomes of a chunk's records.
struct Target {
    topic: Arc<str>,
    /// The hypertable's or the aggregate's.
    table: TableName,
    headers: Vec<Header>,
}

/// Where an envelope says what table it is of.
#[derive(Clone, Copy)]
struct Source {
    place: usize,
    schema: usize,
    table: usize,
    transaction: Option<usize>,
    op: Option<usize>,
}

/// The schemas under the names of a hypertable: one for all chunks whose columns are the same.
struct Names {
    by_chunk: SchemaCache<(Arc<str>, SchemaRef)>,
    by_topic: HashMap<Arc<str>, Vec<SchemaRef>>,
}

impl TimescaleDb {
    fn new(config: &[(String, String)], catalog: Box<dyn HypertableCatalog>) -> TimescaleDb {
        let settings = Settings::new(TIMESCALE, config);
        let mut schemas: HashSet<String> =
            settings.list("schema.list").into_iter().filter(|schema| !schema.is_empty()).collect();
        if schemas.is_empty() {
            schemas.extend(TIMESCALE.get("schema.list").and_then(|o| o.value_by_default()).map(str::to_owned));
        }
        let strict = config.iter().any(|(name, value)| name == "walspring.strict" && value.trim() == "true");
        TimescaleDb {
            schemas,
            topic_prefix: settings.text("target.topic.prefix").unwrap_or_default().to_owned(),
            strict,
            catalog,
            chunks: HashMap::new(),
            unknown: HashMap::new(),
            sources: SchemaCache::new(),
            names: Names { by_chunk: SchemaCache::new(), by_topic: HashMap::new() },
            deleted: None,
        }
    }

    /// `transaction`: of the record; what commits later may add the chunk.
    fn target(&mut self, chunk: &TableName, transaction: &Value) -> Result<Option<Arc<Target>>, ConvertError> {
        if let Some(target) = self.chunks.get(chunk) {
            return Ok(Some(target.clone()));
        }
        // What a transaction changes of the catalog was there when the catalog was read for its first record.
        if self.unknown.get(chunk).is_some_and(|read_for| read_for == transaction && !transaction.is_null()) {
            return Ok(None);
        }
        self.read(chunk)?;
        if let Some(target) = self.chunks.get(chunk) {
            return Ok(Some(target.clone()));
        }
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown.clear();
        }
        if self.unknown.insert(chunk.clone(), transaction.clone()).is_none() {
            tracing::warn!(schema = &*chunk.namespace, table = &*chunk.name, "there is no hypertable of this chunk");
        }
        Ok(None)
    }

    /// Reads the catalog anew. Chunks that are gone from it stay known as long as their hypertable is there.
    fn read(&mut self, asked: &TableName) -> Result<(), ConvertError> {
        let read = self.catalog.read()?;
        let numbers: HashMap<i32, TableName> = read.numbers.into_iter().collect();
        let aggregates: HashMap<TableName, TableName> = read.aggregates.into_iter().collect();
        let mut chunks: HashMap<TableName, TableName> = read.chunks.into_iter().collect();
        let before = std::mem::take(&mut self.chunks);
        for chunk in before.into_keys().chain([asked.clone()]) {
            if !chunks.contains_key(&chunk)
                && let Some(hypertable) = number(&chunk.name).and_then(|number| numbers.get(&number))
            {
                chunks.insert(chunk, hypertable.clone());
            }
        }
        for (chunk, hypertable) in chunks {
            let target = Target::new(&self.topic_prefix, &chunk, &hypertable, aggregates.get(&hypertable));
            self.unknown.remove(&chunk);
            self.chunks.insert(chunk, Arc::new(target));
        }
        Ok(())
    }

    fn rename(&mut self, record: &mut Record, target: &Target) {
        for (side, suffix) in [(&mut record.key, "Key"), (&mut record.value, "Envelope")] {
            if let Some(schema) = side.schema.as_mut().filter(|schema| schema.name.is_some()) {
                *schema = self.names.of(schema, &record.topic, &target.topic, suffix);
            }
        }
    }
}

impl Transform for TimescaleDb {
    fn may_be_retried(&self) -> bool {
        true
    }

    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let deleted = self.deleted.take();
        let Some(envelope) = record.value.schema.as_ref().filter(|_| !record.value.value.is_null()) else {
            // In the original a delete and its tombstone share their headers, not their topic.
            if let Some((_, target)) = deleted.filter(|(topic, _)| *topic == record.topic) {
                record.headers.extend(target.headers.iter().cloned());
                if self.strict {
                    self.rename(&mut record, &target);
                    record.topic = target.topic.clone();
                }
            }
            return Ok(Some(record));
        };
        let make = |schema: &Schema| -> Result<_, ConvertError> { Ok(Source::of(schema)) };
        let Some(places) = *self.sources.get(envelope, make)? else { return Ok(Some(record)) };
        let Some((chunk, transaction)) = places.chunk(&record.value.value) else { return Ok(Some(record)) };
        if !self.schemas.contains(&*chunk.namespace) {
            return Ok(Some(record));
        }
        let Some(target) = self.target(&chunk, &transaction)? else { return Ok(Some(record)) };
        if places.op(&record.value.value) == Some("d") {
            self.deleted = Some((record.topic.clone(), target.clone()));
        }
        places.put(&mut record.value.value, &target.table);
        if self.strict {
            self.rename(&mut record, &target);
        }
        record.topic = target.topic.clone();
        record.headers.extend(target.headers.iter().cloned());
        Ok(Some(record))
    }
}

impl Target {
    fn new(prefix: &str, chunk: &TableName, hypertable: &TableName, aggregate: Option<&TableName>) -> Target {
        let table = aggregate.unwrap_or(hypertable).clone();
        let text = SchemaRef::new(Schema::new(Type::String));
        let header = |name: &str, value: &Arc<str>| Header {
            name: name.into(),
            value: Typed::new(text.clone(), Value::String(value.clone())),
        };
        let mut headers = vec![header(CHUNK_TABLE, &chunk.name), header(CHUNK_SCHEMA, &chunk.namespace)];
        if aggregate.is_some() {
            headers.push(header(HYPERTABLE_TABLE, &hypertable.name));
            headers.push(header(HYPERTABLE_SCHEMA, &hypertable.namespace));
        }
        Target { topic: format!("{prefix}.{}.{}", table.namespace, table.name).into(), table, headers }
    }
}

impl Source {
    fn of(envelope: &Schema) -> Option<Source> {
        if !envelope.name.as_deref().is_some_and(|name| name.ends_with(".Envelope")) {
            return None;
        }
        let place = envelope.index_of("source")?;
        let source = &envelope.fields[place].schema;
        Some(Source {
            place,
            schema: source.index_of("schema")?,
            table: source.index_of("table")?,
            transaction: source.index_of("txId"),
            op: envelope.index_of("op"),
        })
    }

    /// The table, and the transaction's number.
    fn chunk(&self, envelope: &Value) -> Option<(TableName, Value)> {
        let Value::Struct(fields) = envelope else { return None };
        let Value::Struct(source) = fields.get(self.place)? else { return None };
        let (Value::String(namespace), Value::String(name)) = (source.get(self.schema)?, source.get(self.table)?)
        else {
            return None;
        };
        let transaction = self.transaction.and_then(|at| source.get(at)).cloned().unwrap_or(Value::Null);
        Some((TableName { namespace: namespace.clone(), name: name.clone() }, transaction))
    }

    fn op<'a>(&self, envelope: &'a Value) -> Option<&'a str> {
        match (envelope, self.op) {
            (Value::Struct(fields), Some(at)) => match fields.get(at)? {
                Value::String(op) => Some(op),
                _ => None,
            },
            _ => None,
        }
    }

    fn put(&self, envelope: &mut Value, table: &TableName) {
        if let Value::Struct(fields) = envelope
            && let Some(Value::Struct(source)) = fields.get_mut(self.place)
        {
            source[self.schema] = Value::String(table.namespace.clone());
            source[self.table] = Value::String(table.name.clone());
        }
    }
}

impl Names {
    /// The schema that a chunk's becomes. Chunks are many; what follows in the chain, and a registry, sees one schema.
    fn of(&mut self, schema: &SchemaRef, old: &Arc<str>, new: &Arc<str>, suffix: &str) -> SchemaRef {
        let by_topic = &mut self.by_topic;
        let make = |chunk: &Schema| -> Result<_, ConvertError> {
            let made = named_after(chunk, old, new, suffix);
            let known = by_topic.entry(new.clone()).or_default();
            let made = match known.iter().find(|known| ***known == made) {
                Some(known) => known.clone(),
                None => {
                    known.push(Arc::new(made));
                    known[known.len() - 1].clone()
                }
            };
            Ok((new.clone(), made))
        };
        match self.by_chunk.get(schema, make) {
            Ok((topic, made)) if topic == new => made.clone(),
            // A chunk's table belongs to another hypertable than before: rare enough to do without the cache.
            _ => named_after(schema, old, new, suffix).into(),
        }
    }
}

/// A schema of the topic `old` under the name of the topic `new`, adjusted where the old one was.
fn named_after(schema: &Schema, old: &str, new: &str, suffix: &str) -> Schema {
    let plain = schema.name.as_deref().is_some_and(|name| name == format!("{old}.{suffix}"));
    let names = if plain { NameAdjustment::None } else { NameAdjustment::Avro };
    match suffix {
        "Envelope" => renamed_envelope(schema, new, names),
        _ => renamed(schema, &format!("{new}.{suffix}"), names),
    }
}

/// The hypertable's number in the name that TimescaleDB gives chunks: `_hyper_NUMBER_CHUNK_chunk`.
fn number(chunk: &str) -> Option<i32> {
    let (number, chunk) = chunk.strip_prefix("_hyper_")?.strip_suffix("_chunk")?.split_once('_')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(number) && number.len() <= 9 && digits(chunk)).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use walspring_connect::Hypertables;

    use super::*;
    use crate::testing::{config, record, shown};

    /// A catalog whose contents a test changes; counts how often it is read.
    #[derive(Clone, Default)]
    struct Catalog(Arc<Mutex<(Hypertables, usize)>>);

    impl HypertableCatalog for Catalog {
        fn read(&mut self) -> Result<Hypertables, ConvertError> {
            let mut inner = self.0.lock().unwrap();
            inner.1 += 1;
            Ok(inner.0.clone())
        }
    }

    impl Catalog {
        fn reads(&self) -> usize {
            self.0.lock().unwrap().1
        }

        fn chunk(&self, chunk: &str, hypertable: &str) {
            let chunk = TableName::new("_timescaledb_internal", chunk);
            self.0.lock().unwrap().0.chunks.push((chunk, TableName::new("public", hypertable)));
        }
    }

    fn change(table: &str, transaction: i64, op: &str) -> Record {
        let text = || Schema::new(Type::String);
        let source = Schema::new(Type::Struct)
            .field("schema", text())
            .field("table", text())
            .field("txId", Schema::new(Type::Int64).optional());
        let topic = format!("s._timescaledb_internal.{table}");
        let row = Schema::new(Type::Struct).named(format!("{topic}.Value")).optional().field("v", text());
        let envelope = Schema::new(Type::Struct)
            .named(format!("{topic}.Envelope"))
            .field("before", row.clone())
            .field("after", row)
            .field("source", source)
            .field("op", text());
        let key = Schema::new(Type::Struct).named(format!("{topic}.Key")).field("v", text());
        let row = || Value::Struct(vec![Value::string("a")]);
        let source = Value::Struct(vec![
            Value::string("_timescaledb_internal"),
            Value::string(table),
            Value::Int64(transaction),
        ]);
        Record {
            key: Typed::new(SchemaRef::new(key), row()),
            value: Typed::new(
                SchemaRef::new(envelope),
                Value::Struct(vec![Value::Null, row(), source, Value::string(op)]),
            ),
            ..record(&topic)
        }
    }

    fn transform(catalog: &Catalog, options: &[(&str, &str)]) -> TimescaleDb {
        TimescaleDb::new(&config(options), Box::new(catalog.clone()))
    }

    fn headers(record: &Record) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.to_string(),
            _ => panic!("no text"),
        };
        record.headers.iter().map(|h| format!("{}={}", h.name, text(&h.value.value))).collect()
    }

    #[test]
    fn the_catalog_is_read_for_chunks_that_are_not_known_and_once_a_transaction_for_those_it_has_not() {
        let catalog = Catalog::default();
        catalog.chunk("a", "one");
        let mut transform = transform(&catalog, &[]);
        let mut topic = |table: &str, transaction: i64| {
            transform.apply(change(table, transaction, "c")).unwrap().unwrap().topic.to_string()
        };
        assert_eq!([topic("a", 1), topic("a", 2)], ["timescaledb.public.one", "timescaledb.public.one"]);
        assert_eq!(catalog.reads(), 1);
        assert_eq!([topic("b", 3), topic("b", 3)], ["s._timescaledb_internal.b", "s._timescaledb_internal.b"]);
        assert_eq!(catalog.reads(), 2);
        catalog.chunk("b", "two");
        assert_eq!(topic("b", 4), "timescaledb.public.two");
        assert_eq!(topic("a", 5), "timescaledb.public.one");
        assert_eq!(catalog.reads(), 3);
    }

    #[test]
    fn a_dropped_chunk_is_told_by_its_name_and_stays_known() {
        let catalog = Catalog::default();
        catalog.0.lock().unwrap().0.numbers = vec![(7, TableName::new("public", "seven"))];
        let mut transform = transform(&catalog, &[("target.topic.prefix", "p")]);
        for (table, expected) in [
            ("_hyper_7_1_chunk", "p.public.seven"),
            ("_hyper_7_2_chunk", "p.public.seven"),
            ("_hyper_7_1_chunk", "p.public.seven"),
        ] {
            assert_eq!(&*transform.apply(change(table, 1, "c")).unwrap().unwrap().topic, expected);
        }
        assert_eq!(catalog.reads(), 2);
        for name in [
            "_hyper_7_chunk",
            "_hyper_7_1_chunk_",
            "compress_hyper_7_1_chunk",
            "_hyper_1234567890_1_chunk",
            "_hyper__1_chunk",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }

    #[test]
    fn aggregates_headers_and_other_schemas() {
        let catalog = Catalog::default();
        catalog.chunk("a", "one");
        let daily = (TableName::new("public", "one"), TableName::new("reports", "daily"));
        catalog.0.lock().unwrap().0.aggregates = vec![daily];
        let mut made = transform(&catalog, &[]);
        let record = made.apply(change("a", 1, "c")).unwrap().unwrap();
        assert_eq!(&*record.topic, "timescaledb.reports.daily");
        let expected = [
            "__debezium_timescaledb_chunk_table=a",
            "__debezium_timescaledb_chunk_schema=_timescaledb_internal",
            "__debezium_timescaledb_hypertable_table=one",
            "__debezium_timescaledb_hypertable_schema=public",
        ];
        assert_eq!(headers(&record), expected);
        // Its schema stays the chunk's.
        assert_eq!(record.value.schema.as_ref().unwrap().name.as_deref(), Some("s._timescaledb_internal.a.Envelope"));
        assert!(format!("{:?}", shown(&record.value)).contains("daily"));
        let other = change("a", 1, "c");
        let mut elsewhere = transform(&catalog, &[("schema.list", "x,y")]);
        assert_eq!(elsewhere.apply(other.clone()).unwrap().unwrap(), other);
    }

    #[test]
    fn a_tombstone_has_the_headers_of_its_delete_and_in_strict_mode_its_topic() {
        let catalog = Catalog::default();
        catalog.chunk("a", "one");
        for (strict, topic) in [("false", "s._timescaledb_internal.a"), ("true", "timescaledb.public.one")] {
            let mut transform = transform(&catalog, &[("walspring.strict", strict)]);
            let tombstone = Record { value: Typed::NULL, ..change("a", 1, "d") };
            assert!(transform.apply(tombstone.clone()).unwrap().unwrap().headers.is_empty());
            transform.apply(change("a", 1, "d")).unwrap();
            let record = transform.apply(tombstone.clone()).unwrap().unwrap();
            assert_eq!((&*record.topic, record.headers.len()), (topic, 2));
            // The next one belongs to no delete.
            assert!(transform.apply(tombstone).unwrap().unwrap().headers.is_empty());
        }
    }

    #[test]
    fn in_strict_mode_all_chunks_of_a_hypertable_share_their_schemas() {
        let catalog = Catalog::default();
        catalog.chunk("a", "one");
        catalog.chunk("b", "one");
        let mut transform = transform(&catalog, &[("walspring.strict", "true")]);
        let mut of = |table: &str| transform.apply(change(table, 1, "c")).unwrap().unwrap();
        let (a, b) = (of("a"), of("b"));
        for (a, b, name) in [(&a.key, &b.key, "Key"), (&a.value, &b.value, "Envelope")] {
            let (a, b) = (a.schema.as_ref().unwrap(), b.schema.as_ref().unwrap());
            assert!(Arc::ptr_eq(a, b));
            assert_eq!(a.name.as_deref(), Some(&*format!("timescaledb.public.one.{name}")));
        }
        let row = &a.value.schema.as_ref().unwrap().fields[1].schema;
        assert_eq!(row.name.as_deref(), Some("timescaledb.public.one.Value"));
    }
}
