//! Cancelling what another connection is doing: a connection of its own that carries one request.

use super::config::ConnectConfig;
use super::connect::open;
use super::error::PgError;
use super::frontend;
use super::socket::{Address, deadline_in};
use super::target::Target;
use std::sync::Arc;

/// Cancels the query in progress on the connection it was taken from, from any thread.
#[derive(Clone)]
pub struct CancelToken(Arc<Inner>);

struct Inner {
    target: Target,
    key: Vec<u8>,
}

impl CancelToken {
    pub(crate) fn new(
        config: &ConnectConfig,
        host: &str,
        address: &Address,
        encrypted: bool,
        pid: i32,
        key: Vec<u8>,
    ) -> Self {
        // Cancelling needs the TLS settings; the key is all the password there is.
        let config = ConnectConfig { password: None, ..config.clone() };
        let (host, address) = (host.to_owned(), address.clone());
        Self(Arc::new(Inner { target: Target { config, host, address, encrypted, pid }, key }))
    }

    /// Process id of the connection's backend.
    pub fn backend_pid(&self) -> i32 {
        self.0.target.pid
    }

    /// Asks the server to cancel. Returns once the server has taken the request; whether there was something to cancel
    /// shows on the other connection, as error 57014.
    pub fn cancel(&self) -> Result<(), PgError> {
        let Inner { target, key } = &*self.0;
        let deadline = deadline_in(target.config.connect_timeout);
        let transport = open(&target.config, &target.host, &target.address, target.encryption(), deadline)?;
        transport.write_all(&frontend::cancel_request(target.pid, key), deadline)?;
        // The server closes the connection after it has signalled the backend.
        let _ = transport.socket().wait_readable(deadline);
        Ok(())
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelToken").field("backend_pid", &self.0.target.pid).finish_non_exhaustive()
    }
}
