//! The broker that keeps a group: where it is, and a connection of ours to it.

use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, GroupId};
use kafka_protocol::protocol::StrBytes;

use crate::client_config::ClientOptions;
use crate::connection::{Address, Connection, ConnectionConfig, ConnectionError};

const SETUP_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why it was not found.
pub enum NotFound {
    Connection(ConnectionError),
    /// The broker's error code.
    Refused(i16),
    NoPort,
}

impl From<ConnectionError> for NotFound {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

/// Where to ask, and how. The error names the option.
pub fn settings(options: &ClientOptions, role: &str) -> Result<(Vec<Address>, ConnectionConfig), String> {
    let security = options.security().map_err(|error| error.to_string())?;
    let tls = security.tls.as_ref().map(crate::tls::client_config).transpose()?;
    let bootstrap: Option<Vec<_>> = options.bootstrap_servers.iter().map(|text| Address::parse(text)).collect();
    let connection = ConnectionConfig {
        client_id: options.client_id(role),
        tls,
        sasl: security.sasl,
        setup_timeout: SETUP_TIMEOUT,
        request_timeout: REQUEST_TIMEOUT,
    };
    Ok((bootstrap.ok_or("bootstrap.servers: host:port is expected")?, connection))
}

/// Asks one broker.
pub async fn find(address: &Address, config: &ConnectionConfig, group: &GroupId) -> Result<Address, NotFound> {
    let connection = Connection::open(address, config).await?;
    let request = FindCoordinatorRequest::default().with_key_type(0);
    let key = group.0.clone();
    let request = if connection.pick::<FindCoordinatorRequest>()? >= 4 {
        request.with_coordinator_keys(vec![key])
    } else {
        request.with_key(key)
    };
    let response = connection.call(&request).await?;
    let (code, host, port) = match response.coordinators.first() {
        Some(found) => (found.error_code, found.host.clone(), found.port),
        None => (response.error_code, response.host.clone(), response.port),
    };
    if code != 0 {
        return Err(NotFound::Refused(code));
    }
    let port = u16::try_from(port).map_err(|_| NotFound::NoPort)?;
    Ok(Address { host: host.to_string(), port })
}

/// A connection to the group's coordinator; one try with each bootstrap server.
pub async fn open(options: &ClientOptions, group: &str, role: &str) -> Result<Connection, String> {
    let (bootstrap, config) = settings(options, role)?;
    let group = GroupId(StrBytes::from_string(group.to_owned()));
    let mut last = "no bootstrap server".to_owned();
    for address in &bootstrap {
        match find(address, &config, &group).await {
            Ok(found) => return Connection::open(&found, &config).await.map_err(|error| error.to_string()),
            Err(NotFound::Connection(error)) => last = error.to_string(),
            Err(NotFound::Refused(code)) => last = format!("error {code} from the broker"),
            Err(NotFound::NoPort) => last = "the coordinator has no port".into(),
        }
    }
    Err(last)
}
