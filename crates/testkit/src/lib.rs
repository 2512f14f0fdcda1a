//! Real servers for tests: PostgreSQL 13 to 18, Kafka and OpenSearch, started once a test process, gone when it ends; a receiver
//! of OTLP, and a log to read.
//!
//! ```no_run
//! use walspring_testkit::{kafka, postgres};
//! let db = postgres(17).database();
//! db.sql("create table t (id int primary key)");
//! let bootstrap = kafka().bootstrap();
//! ```
//!
//! Everything here blocks and panics with a reason: a test has nothing better to do with an error. It may be called
//! from inside an async runtime all the same, because the SQL helper works on a thread of its own.
//!
//! `WALSPRING_TEST_PG=HOST:PORT` and `WALSPRING_TEST_KAFKA=HOST:PORT` name servers that run already and are used
//! instead of the shared ones (PostgreSQL only for the major version that it has).

mod certificates;
mod class_archive;
mod kafka;
mod lines;
mod opensearch;
pub mod otlp;
mod postgres;
mod redis;
mod wait;

pub use crate::certificates::Certificates;
pub use crate::kafka::{KAFKA_VERSION, Kafka, KafkaOptions, Listener, kafka, kafka_libs};
pub use crate::lines::Lines;
pub use crate::opensearch::{OpenSearch, opensearch};
pub use crate::postgres::{Postgres, Standby, TempDatabase, postgres};
pub use crate::redis::{Redis, redis};
pub use crate::wait::wait_for;

/// The client for tests that need a session, prepared statements or COPY.
pub use ::postgres as client;
pub use walspring_throwaway_postgres::ports::free_port;
pub use walspring_throwaway_postgres::{Builder as PostgresBuilder, Server as PostgresServer, Shutdown, packages};
