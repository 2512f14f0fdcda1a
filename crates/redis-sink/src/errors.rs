//! What an error of Redis means: whether the record is wrong or the server is away, and what mends it. The server's words
//! are shown only where they cannot hold a key or a value.

use redis::{ErrorKind, RedisError, ServerError};
use walspring_connect::TaskError;

pub const DATA_EXCEPTION: &str = "org.apache.kafka.connect.errors.DataException";
const CONNECT_EXCEPTION: &str = walspring_connect::CONNECT_EXCEPTION;
const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";

/// Whose fault an answer is.
#[derive(Debug)]
pub enum Fault {
    /// The record's: the others are written.
    Record(TaskError),
    Task(TaskError),
}

impl Fault {
    pub fn into_task_error(self) -> TaskError {
        match self {
            Fault::Record(error) | Fault::Task(error) => error,
        }
    }
}

pub fn server_error(error: &ServerError, address: &str) -> Fault {
    judged(error.code(), error.details().unwrap_or_default(), address)
}

/// An error of the connection itself, or of its first commands.
pub fn connection_error(error: &RedisError, address: &str) -> TaskError {
    if let Some(first) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
        return server_error(&first.1, address).into_task_error();
    }
    let words = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => definite(address, "refuses the user or the password")
            .hint("set redis.username and redis.password (user:password in redis.uri); see ACL LIST"),
        ErrorKind::Io if words.contains("certificate") => definite(address, &format!("cannot be trusted: {words}"))
            .hint("name the authority of its certificate in redis.cacert, and the host as the certificate has it"),
        ErrorKind::Io if words.contains("fatal alert") => definite(address, &format!("breaks TLS off: {words}"))
            .hint("it may want a client's certificate: set redis.key.cert and redis.key.file"),
        ErrorKind::InvalidClientConfig => definite(address, &format!("cannot be connected to: {words}")),
        _ if error.is_timeout() => transient(address, "did not answer within redis.timeout"),
        ErrorKind::Io => transient(address, &format!("cannot be reached: {words}")),
        // What it said instead of an answer may hold anything.
        _ => transient(address, "did not answer as Redis does").hint("look what listens there; rediss:// is for TLS"),
    }
}

/// Too few replicas have the batch.
pub fn too_few_replicas(address: &str, have: i64, want: u32) -> TaskError {
    transient(address, &format!("has the batch on {have} of {want} replicas after redis.wait.timeout"))
        .hint("look at INFO replication, or lower redis.wait.replicas")
}

fn judged(code: &str, details: &str, address: &str) -> Fault {
    Fault::Task(match code {
        "WRONGTYPE" => {
            let message = "The record cannot be written to Redis: its key holds another data structure than redis.type says";
            let hint = "DEL the key, or keep this connector's keys apart with walspring.sink.key or redis.keyspace";
            return Fault::Record(TaskError::definite(DATA_EXCEPTION, message).hint(hint));
        }
        "OOM" => transient(address, "has no memory left (OOM)")
            .hint("raise maxmemory, or let keys go: redis.key.ttl, or a maxmemory-policy such as allkeys-lru"),
        "LOADING" => transient(address, "is loading its data (LOADING)"),
        "MASTERDOWN" => transient(address, "is a replica without its master (MASTERDOWN)"),
        "READONLY" => transient(address, "is a replica and takes no writes (READONLY)")
            .hint("if this is no failover, set redis.uri to the master"),
        "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" => transient(address, &format!("is busy ({code})")),
        "NOREPLICAS" => transient(address, "has too few replicas to take writes (NOREPLICAS)")
            .hint("start the replicas, or lower min-replicas-to-write"),
        "MISCONF" => transient(address, "cannot save its data to disk and takes no writes (MISCONF)")
            .hint("make room on its disk; see its log"),
        "NOAUTH" => definite(address, "wants a password (NOAUTH)")
            .hint("set redis.password, and redis.username if it is not the default user"),
        "WRONGPASS" => definite(address, "refuses the user or the password (WRONGPASS)")
            .hint("set redis.username and redis.password as ACL LIST has them"),
        "NOPERM" => definite(address, "does not allow the user a command or a key (NOPERM)").hint(
            "as an administrator: ACL SETUSER NAME ~PREFIX* +ping +multi +exec +del +set +mget +hset +hdel +hmget +sadd +srem \
             +expire +wait (those that redis.type needs)",
        ),
        "MOVED" | "ASK" | "CROSSSLOT" => definite(address, &format!("is a node of a Redis Cluster ({code})"))
            .hint("Redis Cluster is not supported: set redis.uri to a proxy before it"),
        "ERR" if details.starts_with("unknown command") => {
            // The rest repeats the command's arguments.
            let command = details.split(',').next().unwrap_or_default();
            definite(address, &format!("does not know a command: {command}")).hint("Redis 4 or later is needed")
        }
        "ERR" if details.contains("DB index") => {
            definite(address, "does not have the database").hint("give the number of one that it has in redis.uri")
        }
        "ERR" if details.contains("AUTH") || details.contains("password") => {
            definite(address, "refuses the password").hint("set redis.password only if the server has one")
        }
        _ => transient(address, &format!("answers with an error ({code})")),
    })
}

fn definite(address: &str, what: &str) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, format!("Redis at {address} {what}"))
}

fn transient(address: &str, what: &str) -> TaskError {
    TaskError::transient(RETRIABLE_EXCEPTION, format!("Redis at {address} {what}"))
}
