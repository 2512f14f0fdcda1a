//! TLS for connections to brokers: rustls with the ring provider, certificates and keys as PEM bytes.
//!
//! Reads no files and knows no option names; who made the [`TlsConfig`] did. Broker certificates are always checked
//! against an authority; only the comparison of the host name can be switched off, as
//! `ssl.endpoint.identification.algorithm=` does in Java.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use walspring_net::tls::{self, Identity, PemError, Verification};

/// What TLS needs to know. `Debug` shows no key.
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// Authorities, PEM; none: those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate chain, PEM, when the broker asks who we are.
    pub certificate_pem: Option<Vec<u8>>,
    /// Our private key, PEM, not encrypted.
    pub key_pem: Option<Vec<u8>>,
    /// Whether the certificate must bear the broker's host name.
    pub verify_hostname: bool,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("own_authorities", &self.ca_pem.is_some())
            .field("client_certificate", &self.certificate_pem.is_some())
            .field("verify_hostname", &self.verify_hostname)
            .finish_non_exhaustive()
    }
}

/// Checks and prepares the configuration; the message says which part is unusable.
pub fn client_config(config: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match &config.ca_pem {
        Some(pem) => {
            for certificate in certificates(pem, "the truststore")? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("the truststore has an unusable certificate: {error}"))?;
            }
        }
        None => {
            roots.add_parsable_certificates(tls::system_authorities());
            if roots.is_empty() {
                return Err("the system has no certificate authorities; give a truststore".into());
            }
        }
    }
    let verification = if config.verify_hostname { Verification::Full(roots) } else { Verification::CaOnly(roots) };
    let verifier = tls::verifier(verification).map_err(|error| error.to_string())?;
    let identity = match (&config.certificate_pem, &config.key_pem) {
        (Some(chain), Some(key)) => {
            let chain = certificates(chain, "the keystore")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| format!("the keystore's private key is unusable (is it encrypted?): {error}"))?;
            Some(Identity { chain, key })
        }
        (None, None) => None,
        _ => return Err("a client certificate needs both its chain and its private key".into()),
    };
    tls::client_config(verifier, identity).map_err(|error| format!("the keystore is unusable: {error}"))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    tls::certificates(pem).map_err(|error| match error {
        PemError::Empty => format!("{what} has no certificate"),
        PemError::Malformed(error) => format!("{what} is not PEM: {error}"),
    })
}
