//! Where a connection leads: for another one that goes to the same server about the first one's session.

use super::config::ConnectConfig;
use super::connect::Encryption;
use super::socket::Address;

pub(super) struct Target {
    pub config: ConnectConfig,
    pub host: String,
    pub address: Address,
    pub encrypted: bool,
    /// Of the first one's session.
    pub pid: i32,
}

impl Target {
    /// As the first one was in the end.
    pub fn encryption(&self) -> Encryption {
        if self.encrypted { Encryption::Required } else { Encryption::Off }
    }
}
