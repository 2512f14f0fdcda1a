//! Where REST is served: `http://host:port`.

use std::fmt;

use crate::config::ConfigError;
use crate::values;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// None: every address of the machine.
    pub host: Option<String>,
    pub port: u16,
}

impl Listener {
    pub fn parse_list(option: &str, list: &str) -> Result<Vec<Listener>, ConfigError> {
        let listeners = values::list(list);
        listeners.iter().filter(|listener| !listener.is_empty()).map(|listener| parse(option, listener)).collect()
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host.as_deref().is_some_and(|host| {
            host.eq_ignore_ascii_case("localhost")
                || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host.as_deref().unwrap_or(""), self.port)
    }
}

fn parse(option: &str, listener: &str) -> Result<Listener, ConfigError> {
    let invalid = |why: &str| ConfigError::invalid(option, listener, why);
    let (protocol, address) = listener.split_once("://").ok_or_else(|| invalid("http://host:port is expected"))?;
    match protocol.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => return Err(invalid("REST over TLS is not supported by this version of Walspring")),
        _ => return Err(invalid("http is the only protocol")),
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("a port is expected"))?;
    let port = port.trim_end_matches('/').parse().map_err(|_| invalid("a port between 0 and 65535 is expected"))?;
    let open = host.is_empty() || host == "0.0.0.0" || host == "[::]";
    Ok(Listener { host: (!open).then(|| host.to_owned()), port })
}
