//! Every name that leaves this process in a span, in one place.
//!
//! The conventions for messaging are still marked as in development: names have changed and will. Attributes go out under
//! the names that dashboards of today look for and, beside them, under those of the pinned schema.

/// The version of the conventions that the newer names are from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// The instrumentation scope of spans and metrics.
pub const SCOPE: &str = "walspring";
/// `service.name` where nothing else is configured.
pub const SERVICE_NAME_DEFAULT: &str = "walspring";

pub mod resource {
    pub const SERVICE_NAME: &str = "service.name";
    pub const SERVICE_VERSION: &str = "service.version";
    pub const SDK_LANGUAGE: &str = "telemetry.sdk.language";
    pub const SDK_NAME: &str = "telemetry.sdk.name";
    pub const SDK_VERSION: &str = "telemetry.sdk.version";
}

/// Names that did not change.
pub const SYSTEM: &str = "messaging.system";
pub const SYSTEM_KAFKA: &str = "kafka";
pub const DESTINATION: &str = "messaging.destination.name";
pub const KEY: &str = "messaging.kafka.message.key";
pub const TOMBSTONE: &str = "messaging.kafka.message.tombstone";
pub const ERROR_TYPE: &str = "error.type";

/// Names of before, which dashboards know.
pub mod before {
    pub const OPERATION: &str = "messaging.operation";
    pub const GROUP: &str = "messaging.kafka.consumer.group";
    pub const PARTITION: &str = "messaging.kafka.partition";
    pub const OFFSET: &str = "messaging.kafka.message.offset";
    pub const DB_OPERATION: &str = "db.operation";
}

/// Names of the pinned schema.
pub mod now {
    pub const OPERATION_NAME: &str = "messaging.operation.name";
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    pub const GROUP: &str = "messaging.consumer.group.name";
    pub const PARTITION: &str = "messaging.destination.partition.id";
    pub const OFFSET: &str = "messaging.kafka.offset";
    pub const DB_OPERATION: &str = "db.operation.name";
}

/// What is done with a message: the operation's name and type, and the first word of the span's name.
pub const PROCESS: &str = "process";
pub const SEND: &str = "send";
/// What `messaging.operation` calls a send.
pub const PUBLISH: &str = "publish";

/// Our own.
pub const CONNECTOR: &str = "walspring.connector";
pub const TASK: &str = "walspring.task";
/// The record went to the dead letter queue.
pub const DEAD_LETTER: &str = "walspring.dead_letter";

/// The event of a failure on a span.
pub mod exception {
    pub const EVENT: &str = "exception";
    pub const TYPE: &str = "exception.type";
    pub const MESSAGE: &str = "exception.message";
}
