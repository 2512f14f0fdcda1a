//! Whether a silent server still works on what it was asked: a question on a connection of its own.
//!
//! A server that waits for a lock is as silent as one that is cut off, and so is one that sorts a large table; only the
//! second is to be given up. TCP finds a peer that is gone, but not one whose packets are taken on the way and carried
//! nowhere. So after a silence the same server is asked what the session of the silent connection is doing: one that waits
//! for *us*, while we wait for it, has sent what never arrives, or never heard the question. Nothing else is held against
//! it: a server that may not tell, or has no room for another session, is there and is waited for.

use super::config::ConnectConfig;
use super::connect::connect_once;
use super::error::PgError;
use super::socket::Address;
use super::target::Target;
use std::sync::Arc;
use std::time::Duration;

/// Whoever waits for the answer cannot be stopped meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where the silent connection leads.
#[derive(Clone)]
pub(crate) struct Server(Arc<Target>);

impl Server {
    pub fn new(config: &ConnectConfig, host: &str, address: &Address, encrypted: bool, pid: i32) -> Server {
        // A session with nothing but its defaults; what is set for long statements is of no use here.
        let config = ConnectConfig {
            replication: false,
            silence_max: None,
            application_name: "walspring".to_owned(),
            options: Vec::new(),
            ..config.clone()
        };
        let (host, address) = (host.to_owned(), address.clone());
        Server(Arc::new(Target { config, host, address, encrypted, pid }))
    }

    /// Asks, for about `limit` at most. An error says that the connection is dead.
    pub fn ask(&self, limit: Duration) -> Result<(), PgError> {
        let (target, limit) = (&*self.0, limit.min(ANSWER_MAX));
        let connect_timeout = Some(target.config.connect_timeout.map_or(limit, |timeout| timeout.min(limit)));
        let config = ConnectConfig { connect_timeout, read_timeout: Some(limit), ..target.config.clone() };
        // `Activity` is a walsender that has sent everything. What a role may not see is NULL.
        let sql = format!(
            "SELECT coalesce(a.wait_event_type IN ('Client', 'Activity') OR a.state LIKE 'idle%', false) \
             FROM pg_catalog.pg_stat_activity a WHERE a.pid = {}",
            target.pid
        );
        let asked = connect_once(&config, &target.host, &target.address, target.encryption())
            .and_then(|mut connection| connection.query_opt(&sql));
        let waits_for_us = match &asked {
            Ok(Some(row)) => row.get(0) == Some("t"),
            // The session has ended.
            Ok(None) => true,
            Err(PgError::Io { .. }) => return Err(silent("and does not answer another connection either")),
            // It was started again; so no session is left.
            Err(e) if e.code().is_some_and(|code| code.starts_with("57P")) => true,
            Err(_) => false,
        };
        if waits_for_us {
            return Err(silent("though it does not work on anything for this connection"));
        }
        tracing::debug!(pid = target.pid, "the server is silent, and works on what it was asked");
        Ok(())
    }
}

fn silent(what: &str) -> PgError {
    PgError::timed_out(format!("the server has been silent for too long, {what}"))
}
