//! Faults on purpose, and the account against which their outcome is held.
//!
//! - [`proxy`]: stands before PostgreSQL or Kafka, follows the protocol and breaks a connection at a chosen message.
//! - [`ledger`]: writers that note every change they commit, in the same transaction, and the check of what came out.
//! - [`failover`]: the rig on a primary and its standby, of which one is killed and the other promoted.
//! - [`cells`]: the combinations of log, version and guarantee that the runners go through.
//! - [`rig`]: a database under that load, a worker, and everything that can be done to it.
//!
//! docs/reliability.md says which fault is covered by which test. Places at which a worker ends itself and bugs that can be
//! planted in it are `walspring_connect::fault`.

pub mod cells;
pub mod failover;
pub mod ledger;
pub mod proxy;
pub mod rig;
pub mod stream;
pub mod worker;

pub use walspring_simulation::random;
