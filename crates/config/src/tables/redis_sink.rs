//! The options of the Redis sink: those of Redis's own connector under its names and types, and what we add under
//! `walspring.sink.`; the sentences are ours.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

pub const REDIS_SINK: OptionTable = OptionTable::new(OPTIONS);

/// In the order in which the groups are answered.
pub const REDIS_SINK_GROUPS: &[&str] = &["Redis", "Target"];

const OPTIONS: &[OptionDef] = &[
    OptionDef::string("redis.uri")
        .default("")
        .high()
        .width(Width::Long)
        .at("Redis", 1)
        .label("Redis URI")
        .doc("Where the server is: redis://HOST:PORT/DATABASE, or rediss:// for TLS. Wins over redis.host and redis.port."),
    OptionDef::string("redis.host")
        .default("localhost")
        .high()
        .width(Width::Medium)
        .at("Redis", 2)
        .label("Host")
        .doc("Host name or address of the server, where there is no redis.uri."),
    OptionDef::int("redis.port")
        .default("6379")
        .checks(&[PositiveInt])
        .high()
        .width(Width::Short)
        .at("Redis", 3)
        .label("Port")
        .doc("Port of the server, where there is no redis.uri."),
    OptionDef::boolean("redis.cluster")
        .default("false")
        .checks(&[Boolean])
        .at("Redis", 4)
        .label("Redis Cluster")
        .doc("Connect to a Redis Cluster.")
        .later("Redis Cluster is not supported yet; a cluster behind a proxy with one address works"),
    OptionDef::string("redis.username")
        .default("")
        .width(Width::Medium)
        .at("Redis", 5)
        .label("User")
        .doc("User of the server's ACL; empty for its default user. Wins over the URI's."),
    OptionDef::password("redis.password")
        .default("")
        .width(Width::Medium)
        .at("Redis", 6)
        .label("Password")
        .doc("Password of the user. Wins over the URI's."),
    OptionDef::long("redis.timeout")
        .default("60")
        .checks(&[PositiveLong])
        .at("Redis", 7)
        .label("Timeout")
        .doc("Longest wait for a connection and for an answer, in seconds."),
    OptionDef::int("redis.pool")
        .default("8")
        .checks(&[PositiveInt])
        .at("Redis", 8)
        .label("Pool size")
        .doc("Most connections of a pool.")
        .no_effect("a task has one connection, which keeps the order of changes"),
    OptionDef::boolean("redis.tls")
        .default("false")
        .checks(&[Boolean])
        .at("Redis", 9)
        .label("TLS")
        .doc("Connect by TLS, where there is no redis.uri."),
    OptionDef::boolean("redis.insecure")
        .default("false")
        .checks(&[Boolean])
        .at("Redis", 10)
        .label("Unverified TLS")
        .doc("Take any certificate.")
        .later_values(&["true"], "a connection that anybody can read is not made: name the authority in redis.cacert"),
    OptionDef::string("redis.cacert")
        .default("")
        .width(Width::Long)
        .at("Redis", 11)
        .label("Authority's certificate")
        .doc("PEM file with the authority that signed the server's certificate; the system's authorities if empty."),
    OptionDef::string("redis.key.cert")
        .default("")
        .width(Width::Long)
        .at("Redis", 12)
        .label("Client certificate")
        .doc("PEM file with the certificate chain to show to the server."),
    OptionDef::string("redis.key.file")
        .default("")
        .width(Width::Long)
        .at("Redis", 13)
        .label("Client key")
        .doc("PEM file with the key of redis.key.cert, in PKCS#8."),
    OptionDef::password("redis.key.password")
        .default("")
        .at("Redis", 14)
        .label("Client key's password")
        .doc("Password of redis.key.file.")
        .later("encrypted keys are not read: decrypt the file (openssl pkcs8) and protect it by its mode"),
    OptionDef::string("redis.charset")
        .default("UTF-8")
        .checks(&[OneOfAnyCase(&["UTF-8", "UTF8"])])
        .high()
        .at("Target", 1)
        .label("Character set")
        .doc("How keys and values are encoded. Only UTF-8 is."),
    OptionDef::string("redis.type")
        .default("STREAM")
        .checks(&[OneOfAnyCase(&["STRING", "HASH", "SET", "JSON", "STREAM", "LIST", "ZSET", "TIMESERIES"])])
        .high()
        .at("Target", 2)
        .label("Data structure")
        .doc("What a record becomes: STRING (a row as JSON text, other values as they are), HASH (one field a column) or \
              SET (the record's key is a member).")
        .later_values(
            &["STREAM", "LIST", "TIMESERIES", "ZSET", "JSON"],
            "STREAM, LIST and TIMESERIES would have entries twice after a restart, ZSET and JSON (a module) are not \
             written yet: set redis.type to HASH, STRING or SET",
        ),
    OptionDef::string("redis.keyspace")
        .default("${topic}")
        .at("Target", 3)
        .label("Key space")
        .doc("What keys begin with; ${topic} stands for the topic. The record's key follows after redis.separator, unless \
              it is empty. Of a SET the whole key."),
    OptionDef::string("redis.separator")
        .default(":")
        .at("Target", 4)
        .label("Separator")
        .doc("Between the key space and the record's key, and between the fields of a key that has several."),
    OptionDef::boolean("redis.multiexec")
        .default("true")
        .checks(&[Boolean])
        .at("Target", 5)
        .label("Transactions")
        .doc("Whether a batch is one transaction (MULTI, EXEC), so that nobody sees half of a row's change. Unlike the \
              original's this is on by default, and for every data structure."),
    OptionDef::int("redis.wait.replicas")
        .default("0")
        .checks(&[NonNegativeInt])
        .at("Target", 6)
        .label("Replicas to wait for")
        .doc("How many replicas must have a batch before its offsets are committed (WAIT); 0 waits for none."),
    OptionDef::long("redis.wait.timeout")
        .default("1000")
        .checks(&[PositiveLong])
        .at("Target", 7)
        .label("Wait for replicas")
        .doc("Longest wait for the replicas, in milliseconds; after it the batch is written once more."),
    OptionDef::long("redis.key.ttl")
        .default("-1")
        .checks(&[AtLeast(-1)])
        .at("Target", 8)
        .label("Expiry")
        .doc("Seconds after which a key expires, counted from its last change; -1 or 0 for never. A record's header \
              redis.key.ttl wins over it."),
    OptionDef::string("walspring.sink.key")
        .width(Width::Long)
        .at("Target", 9)
        .label("Key pattern")
        .doc("The key of a row, such as booking:{id} or ${topic}:{tenant}:{id}: {NAME} is a field of the record's key or \
              else of the row, ${topic} the topic, ${key} the record's key. {{ and }} are braces. In place of \
              redis.keyspace and redis.separator."),
    OptionDef::string("walspring.sink.mode")
        .default("write")
        .checks(&[OneOf(&["write", "invalidate"])])
        .at("Target", 10)
        .label("Mode")
        .doc("write keeps the row under its key; invalidate deletes the key at every change, for a cache that the \
              application fills."),
    OptionDef::string("walspring.sink.deletes")
        .default("apply")
        .checks(&[OneOf(&["apply", "skip"])])
        .at("Target", 11)
        .label("Deletes")
        .doc("apply: deletes and tombstones delete the key; skip: they are passed over."),
    OptionDef::string("walspring.sink.unavailable.value.placeholder")
        .default("__debezium_unavailable_value")
        .checks(&[Placeholder])
        .low()
        .at("Target", 12)
        .label("Unavailable value placeholder")
        .doc("The source's unavailable.value.placeholder. Where it stands for a column, the value in Redis is kept."),
];
