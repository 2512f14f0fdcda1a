//! The conversation before the pipeline: versions, then the login. One request, one answer.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Address, ConnectionError, Stream};
use crate::blocking::blocking;
use crate::protocol::{self, BrokerVersions, Request};
use crate::sasl::{Exchange, SaslConfig, Step, printable};

const UNSUPPORTED_VERSION: i16 = 35;

/// The conversation before the pipeline: one request, one answer.
pub(super) struct Setup<'a> {
    pub stream: &'a mut Box<dyn Stream>,
    pub address: &'a Address,
    pub client_id: &'a str,
    pub correlation_id: i32,
}

impl Setup<'_> {
    /// KIP-35, KIP-511: a broker that does not know our version answers in version 0.
    pub async fn api_versions(&mut self) -> Result<BrokerVersions, ConnectionError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("walspring"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut response = None;
        for version in [4, 3, 0] {
            let request = if version >= 3 { request.clone() } else { ApiVersionsRequest::default() };
            let frame = self.exchange(&request, version).await?;
            if protocol::api_versions_error(&frame) == Some(UNSUPPORTED_VERSION) {
                continue;
            }
            response = Some(self.decode::<ApiVersionsRequest>(frame, version)?);
            break;
        }
        let response: ApiVersionsResponse =
            response.ok_or_else(|| ConnectionError::Unsupported(format!("{} knows no ApiVersions", self.address)))?;
        match ResponseError::try_from_code(response.error_code) {
            None => Ok(BrokerVersions::new(&response)),
            Some(error) => Err(self.broken(format!("ApiVersions: {error}"))),
        }
    }

    /// The login's lifetime, if it has one (KIP-368).
    pub async fn log_in(
        &mut self,
        sasl: &SaslConfig,
        versions: &BrokerVersions,
    ) -> Result<Option<Duration>, ConnectionError> {
        let refused = |address: &Address, what: &str| {
            ConnectionError::Refused(format!(
                "{address} refused the login by {}: {}",
                sasl.mechanism(),
                printable(what)
            ))
        };
        let token = match sasl {
            SaslConfig::OAuthBearer { tokens } => {
                let tokens = tokens.clone();
                let token = blocking("token", move || tokens.token()).await;
                let token = token.map_err(|error| self.broken(format!("the token source failed: {error}")))?;
                Some(token.map_err(|error| self.broken(format!("no OAUTHBEARER token: {error}")))?)
            }
            _ => None,
        };
        let mut exchange = Exchange::new(sasl, token).map_err(|error| refused(self.address, &error))?;

        let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(sasl.mechanism()));
        let version = versions.pick(SaslHandshakeRequest::KEY, 1, 1).ok_or_else(|| {
            ConnectionError::Unsupported(format!("{}: its SASL is too old (before Kafka 1.0)", self.address))
        })?;
        let frame = self.exchange(&handshake, version).await?;
        let response = self.decode::<SaslHandshakeRequest>(frame, version)?;
        if let Some(error) = ResponseError::try_from_code(response.error_code) {
            let offered: Vec<_> = response.mechanisms.iter().map(|m| printable(m)).collect();
            return Err(refused(self.address, &format!("{error}; it offers {}", offered.join(", "))));
        }

        let version = versions
            .pick(SaslAuthenticateRequest::KEY, 0, SaslAuthenticateRequest::VERSION_MAX)
            .ok_or_else(|| ConnectionError::Unsupported(format!("{} knows no SaslAuthenticate", self.address)))?;
        let mut message = exchange.first();
        loop {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
            let frame = self.exchange(&request, version).await?;
            let response = self.decode::<SaslAuthenticateRequest>(frame, version)?;
            if let Some(error) = ResponseError::try_from_code(response.error_code) {
                let detail = response.error_message.map_or_else(|| error.to_string(), |m| m.to_string());
                return Err(refused(self.address, &detail));
            }
            match exchange.next(&response.auth_bytes).map_err(|error| refused(self.address, &error))? {
                Step::Send(next) => message = next,
                Step::Done => {
                    let lifetime_ms = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
                    return Ok((lifetime_ms > 0).then(|| Duration::from_millis(lifetime_ms)));
                }
            }
        }
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<Bytes, ConnectionError> {
        self.correlation_id += 1;
        let frame = protocol::encode_request(request, version, self.correlation_id, self.client_id);
        let io = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await?;
            let size = self.stream.read_i32().await?;
            let size = usize::try_from(size).ok().filter(|size| *size <= 1 << 20);
            let size = size.ok_or_else(|| std::io::Error::other("not the answer of a Kafka listener"))?;
            let mut frame = vec![0; size];
            self.stream.read_exact(&mut frame).await?;
            std::io::Result::Ok(frame)
        };
        let frame = match io.await {
            Ok(frame) => frame,
            // rustls reports the broker's alert (no client certificate, an unknown authority) on the first read.
            Err(error) if error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => {
                return Err(tls_error(self.address, &error));
            }
            Err(error) => return Err(self.broken(error.to_string())),
        };
        if protocol::correlation_id(&frame) != Some(self.correlation_id) {
            return Err(self.broken("an answer to another request".into()));
        }
        Ok(frame.into())
    }

    fn decode<R: Request>(&self, frame: Bytes, version: i16) -> Result<R::Response, ConnectionError> {
        protocol::decode_response::<R>(frame, version).map_err(|error| self.broken(error.to_string()))
    }

    fn broken(&self, reason: String) -> ConnectionError {
        ConnectionError::Broken { address: self.address.to_string(), reason }
    }
}

/// A certificate or an alert does not go away by itself; a socket's error may.
pub(super) fn tls_error(address: &Address, error: &std::io::Error) -> ConnectionError {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) => {
            ConnectionError::Refused(format!("TLS with {address} failed: {error}"))
        }
        _ => ConnectionError::Unreachable(format!("TLS with {address} failed: {error}")),
    }
}
