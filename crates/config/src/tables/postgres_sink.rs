//! The options of the PostgreSQL sink: Debezium's JDBC sink connector's, under its names and defaults; the sentences are
//! ours. Then our own, under `walspring.sink.`.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const POSTGRES_SINK: OptionTable = OptionTable::new(OPTIONS);

/// In the order in which the groups are answered.
pub const POSTGRES_SINK_GROUPS: &[&str] = &["CONNECTION", "CONNECTION_ADVANCED", "CONNECTOR", "CONNECTOR_ADVANCED"];

const ONE_CONNECTION: &str = "a task has one connection, and no pool";
const NOT_POSTGRES: &str = "it speaks of another database than PostgreSQL";

const OPTIONS: &[OptionDef] = &[
    OptionDef::string("connection.url")
        .required()
        .checks(&[Required])
        .high()
        .width(Width::Long)
        .at("CONNECTION", 1)
        .label("JDBC connection URL")
        .doc("The database to write to, as jdbc:postgresql://HOST:PORT,HOST2:PORT/DATABASE?NAME=VALUE or as libpq's postgres:// form. Understood names: user, password, ssl, sslmode, sslrootcert, sslcert, sslkey, currentSchema, ApplicationName, connectTimeout, targetServerType, options. Other databases than PostgreSQL are refused."),
    OptionDef::string("connection.username")
        .high()
        .width(Width::Medium)
        .at("CONNECTION", 2)
        .label("User")
        .doc("Role to connect as; goes before that of the URL."),
    OptionDef::password("connection.password")
        .high()
        .width(Width::Short)
        .at("CONNECTION", 3)
        .label("Password")
        .doc("Password of the role; goes before that of the URL."),
    OptionDef::string("connection.provider")
        .low()
        .at("CONNECTION_ADVANCED", 1)
        .label("Connection provider")
        .doc("Java class that makes connections.")
        .no_effect("connections are made by Walspring itself"),
    OptionDef::int("connection.pool.min_size")
        .default("5")
        .checks(&[Int])
        .low()
        .at("CONNECTION_ADVANCED", 2)
        .label("Smallest size of the pool")
        .doc("Least number of connections in the pool.")
        .no_effect(ONE_CONNECTION),
    OptionDef::int("connection.pool.max_size")
        .default("32")
        .checks(&[Int])
        .low()
        .at("CONNECTION_ADVANCED", 3)
        .label("Largest size of the pool")
        .doc("Largest number of connections in the pool.")
        .no_effect(ONE_CONNECTION),
    OptionDef::int("connection.pool.acquire_increment")
        .default("32")
        .checks(&[Int])
        .low()
        .at("CONNECTION_ADVANCED", 4)
        .label("Steps of the pool")
        .doc("How many connections are made at a time.")
        .no_effect(ONE_CONNECTION),
    OptionDef::long("connection.pool.timeout")
        .default("1800")
        .checks(&[Long])
        .low()
        .at("CONNECTION_ADVANCED", 5)
        .label("Idle time of the pool")
        .doc("Seconds that an unused connection is kept.")
        .no_effect(ONE_CONNECTION),
    OptionDef::boolean("connection.restart.on.errors")
        .default("false")
        .checks(&[Boolean])
        .low()
        .at("CONNECTION_ADVANCED", 6)
        .label("Connect again after errors")
        .doc("Connect again when the connection is lost.")
        .no_effect("a lost connection is always made again"),
    OptionDef::string("insert.mode")
        .default("insert")
        .checks(&[OneOf(&["insert", "upsert", "update"])])
        .high()
        .at("CONNECTOR", 1)
        .label("How rows are written")
        .doc("insert: INSERT, where a row that is there is an error. upsert: INSERT … ON CONFLICT DO UPDATE. update: UPDATE, where a row that is not there is left out."),
    OptionDef::boolean("delete.enabled")
        .default("false")
        .checks(&[Boolean])
        .high()
        .at("CONNECTOR", 2)
        .label("Deletes")
        .doc("Whether delete events and tombstones delete the row of their key. Needs key columns: primary.key.mode record_key, or a route with them."),
    OptionDef::boolean("truncate.enabled")
        .default("false")
        .checks(&[Boolean])
        .at("CONNECTOR", 3)
        .label("Truncates")
        .doc("Whether truncate events empty the table."),
    OptionDef::string("primary.key.mode")
        .default("none")
        .checks(&[OneOf(&["none", "kafka", "record_key", "record_value", "record_header"])])
        .high()
        .at("CONNECTOR", 4)
        .label("Where key columns come from")
        .doc("none: there are none. kafka: __connect_topic, __connect_partition and __connect_offset. record_key, record_value, record_header: fields of the record's key, of its row, or its headers."),
    OptionDef::list("primary.key.fields")
        .default("")
        .high()
        .width(Width::Long)
        .at("CONNECTOR", 5)
        .label("Fields of the key")
        .doc("The fields that are key columns; all fields of the key or headers where empty. Names the column of a key that is no struct."),
    OptionDef::string("schema.evolution")
        .default("none")
        .checks(&[OneOf(&["none", "basic", "validate-only"])])
        .at("CONNECTOR", 6)
        .label("Changes of tables")
        .doc("none: tables are as they are. basic: tables and columns that are not there are made, from the schemas of records (schemaless records change nothing).")
        .later_values(&["validate-only"], "tables are checked against records while they are written; use none"),
    OptionDef::boolean("quote.identifiers")
        .default("false")
        .checks(&[Boolean])
        .at("CONNECTOR", 7)
        .label("Upper case in names")
        .doc("true: names of tables and columns are taken as they are. false: as PostgreSQL takes them without quotes, in lower case; where there is no such table or column, as they are."),
    OptionDef::string("collection.name.format")
        .default("${topic}")
        .aliases(&["table.name.format"])
        .width(Width::Long)
        .at("CONNECTOR", 8)
        .label("Name of the table")
        .doc("Table of a record, with or without its schema: ${topic} stands for the topic with underscores for its dots, ${source.NAME} for a field of the envelope's source. A topic that walspring.sink.routes names goes there."),
    OptionDef::class("collection.naming.strategy")
        .low()
        .at("CONNECTOR_ADVANCED", 1)
        .label("Naming of tables")
        .doc("Java class that names tables.")
        .no_effect("Java classes cannot be run; see collection.name.format and walspring.sink.routes"),
    OptionDef::class("table.naming.strategy")
        .low()
        .unlisted()
        .doc("Older name of collection.naming.strategy.")
        .no_effect("Java classes cannot be run; see collection.name.format and walspring.sink.routes"),
    OptionDef::class("column.naming.strategy")
        .low()
        .at("CONNECTOR_ADVANCED", 2)
        .label("Naming of columns")
        .doc("Java class that names columns.")
        .no_effect("Java classes cannot be run; see walspring.sink.routes, which renames columns"),
    OptionDef::string("column.naming.prefix")
        .low()
        .unlisted()
        .doc("Of a column naming strategy.")
        .no_effect("Java classes cannot be run; see walspring.sink.routes, which renames columns"),
    OptionDef::string("use.time.zone")
        .default("UTC")
        .at("CONNECTOR_ADVANCED", 3)
        .label("Time zone")
        .doc("Time zone of the session: what values without a zone mean in columns that have one."),
    OptionDef::list("field.include.list")
        .at("CONNECTOR_ADVANCED", 4)
        .checks(&[NotWith("field.exclude.list")])
        .width(Width::Long)
        .label("Fields to write")
        .doc("Fields that are written, as FIELD or TOPIC:FIELD; all where empty. Key columns always are."),
    OptionDef::list("field.exclude.list")
        .at("CONNECTOR_ADVANCED", 5)
        .checks(&[NotWith("field.include.list")])
        .width(Width::Long)
        .label("Fields to leave out")
        .doc("Fields that are not written, as FIELD or TOPIC:FIELD."),
    OptionDef::int("batch.size")
        .default("500")
        .checks(&[PositiveInt])
        .at("CONNECTOR_ADVANCED", 6)
        .label("Rows in a statement")
        .doc("Most rows that one statement writes."),
    OptionDef::boolean("use.reduction.buffer")
        .default("false")
        .checks(&[Boolean])
        .low()
        .at("CONNECTOR_ADVANCED", 7)
        .label("Reduce by key")
        .doc("Write only the last state of a key in a batch.")
        .no_effect("changes of one key in a batch are always written as one, except by insert.mode=insert"),
    OptionDef::int("flush.max.retries")
        .default("5")
        .checks(&[NonNegativeInt])
        .low()
        .at("CONNECTOR_ADVANCED", 8)
        .label("Retries")
        .doc("How often a batch is written again after a transient error.")
        .no_effect("transient errors are retried by the worker, with back-off: errors.retry.timeout and errors.max.retries"),
    OptionDef::long("flush.retry.delay.ms")
        .default("1000")
        .checks(&[NonNegativeLong])
        .low()
        .at("CONNECTOR_ADVANCED", 9)
        .label("Time between retries")
        .doc("Milliseconds between two tries.")
        .no_effect("transient errors are retried by the worker, with back-off"),
    OptionDef::boolean("dialect.postgres.unnest.insert.enabled")
        .default("false")
        .checks(&[Boolean])
        .low()
        .at("CONNECTOR_ADVANCED", 10)
        .label("UNNEST")
        .doc("Write batches with UNNEST.")
        .no_effect("batches are always written so"),
    OptionDef::string("dialect.postgres.postgis.schema")
        .default("public")
        .low()
        .at("CONNECTOR_ADVANCED", 11)
        .label("Schema of PostGIS")
        .doc("Schema that PostGIS is installed in.")
        .no_effect("types are taken from the columns of the table"),
    OptionDef::boolean("dialect.sqlserver.identity.insert")
        .default("false")
        .checks(&[Boolean])
        .low()
        .at("CONNECTOR_ADVANCED", 12)
        .label("IDENTITY_INSERT")
        .doc("Of SQL Server.")
        .no_effect(NOT_POSTGRES),
    OptionDef::string("walspring.sink.routes")
        .width(Width::Long)
        .at("CONNECTOR", 9)
        .label("Routes")
        .doc("Which topic goes to which table: TOPIC -> TABLE(COLUMN*, FIELD:COLUMN, …); … A star behind a column marks a key column, FIELD:COLUMN renames; fields that are not listed are dropped, and without parentheses all are written. In TOPIC a star stands for any characters; TABLE may hold ${topic} and ${source.NAME}."),
    OptionDef::string("walspring.sink.mode")
        .default("apply")
        .checks(&[OneOf(&["apply", "audit"])])
        .at("CONNECTOR", 10)
        .label("Mode")
        .doc("apply: the table follows the source. audit: one row for each event, deletes included, with op, ts, lsn, tx_id, key, before and after."),
    OptionDef::string("walspring.sink.deletes")
        .default("apply")
        .checks(&[OneOf(&["apply", "skip"])])
        .at("CONNECTOR", 11)
        .label("Append only")
        .doc("skip: deletes and truncates are passed over, whatever delete.enabled says: the replica keeps the row."),
    OptionDef::string("walspring.sink.tombstones")
        .default("apply")
        .checks(&[OneOf(&["apply", "ignore"])])
        .at("CONNECTOR", 11)
        .label("Tombstones")
        .doc("apply: a tombstone deletes the row of its key, if deletes are applied. ignore: it does nothing, for topics where the delete before it is a record of its own (an envelope, or a row with __deleted)."),
    OptionDef::string("walspring.sink.unknown.fields")
        .default("skip")
        .checks(&[OneOf(&["skip", "fail"])])
        .at("CONNECTOR", 12)
        .label("Fields that the table lacks")
        .doc("skip: they are left out, with one warning for each table and field. fail: the record is in error."),
    OptionDef::string("walspring.sink.time.precision.mode")
        .checks(&[OneOf(&["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"])])
        .at("CONNECTOR", 13)
        .label("time.precision.mode of the source")
        .doc("With which time.precision.mode the source wrote: the unit of numbers for time and timestamp columns in records without schemas. Where it is not declared, they are refused. With the adaptive modes the column of the table must have the precision of the source's.")
        .dependents(&[]),
    OptionDef::string("walspring.sink.decimal.handling.mode")
        .checks(&[OneOf(&["string", "double", "precise"])])
        .at("CONNECTOR", 14)
        .label("decimal.handling.mode of the source")
        .doc("With which decimal.handling.mode the source wrote: how texts for numeric columns are read in records without schemas. precise: base64, at the scale of the table's column. Where it is not declared, a text that could be either is refused."),
    OptionDef::string("walspring.sink.binary.handling.mode")
        .checks(&[OneOf(&["bytes", "base64", "base64-url-safe", "hex"])])
        .at("CONNECTOR", 15)
        .label("binary.handling.mode of the source")
        .doc("With which binary.handling.mode the source wrote: how texts for bytea columns are read. Where it is not declared, as base64 in records without schemas, and refused in records with them."),
    OptionDef::string("walspring.sink.unavailable.value.placeholder")
        .default("__debezium_unavailable_value")
        .at("CONNECTOR_ADVANCED", 13)
        .checks(&[Placeholder])
        .label("unavailable.value.placeholder of the source")
        .doc("What stands for unchanged TOAST values; such columns are not written. hex: is understood."),
    OptionDef::string("walspring.sink.offsets.table")
        .at("CONNECTOR", 16)
        .label("Table of applied offsets")
        .doc("Table that holds which offset of each partition has been applied, written in the transaction of the rows: a replay changes nothing. Made where it is not there."),
    OptionDef::string("walspring.sink.origin")
        .at("CONNECTOR_ADVANCED", 14)
        .label("Replication origin")
        .doc("Name of the replication origin that each transaction carries; walspring_CONNECTOR where it is left out, with _TASK behind it for tasks other than the first. none: transactions carry no origin."),
    OptionDef::long("walspring.sink.statement.timeout.ms")
        .default("60000")
        .checks(&[NonNegativeLong])
        .low()
        .at("CONNECTOR_ADVANCED", 15)
        .label("Statement timeout")
        .doc("Longest time for one statement, in milliseconds, waits for locks included; what takes longer is tried again. 0 sets no limit."),
];
