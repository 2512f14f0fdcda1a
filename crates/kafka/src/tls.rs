//! TLS for connections to brokers: rustls with the ring provider, certificates and keys as PEM bytes.
//!
//! Reads no files and knows no option names; who made the [`TlsConfig`] did. Broker certificates are always checked
//! against an authority; only the comparison of the host name can be switched off, as
//! `ssl.endpoint.identification.algorithm=` does in Java.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
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
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system has no certificate authorities; give a truststore".into());
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if config.verify_hostname {
        builder.with_root_certificates(roots)
    } else {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| error.to_string())?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyHostname { inner, provider }))
    };
    let client = match (&config.certificate_pem, &config.key_pem) {
        (Some(chain), Some(key)) => {
            let chain = certificates(chain, "the keystore")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| format!("the keystore's private key is unusable (is it encrypted?): {error}"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("the keystore is unusable: {error}"))?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err("a client certificate needs both its chain and its private key".into()),
    };
    Ok(Arc::new(client))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{what} is not PEM: {error}"))?;
    if found.is_empty() { Err(format!("{what} has no certificate")) } else { Ok(found) }
}

/// The usual checks but for the host name.
#[derive(Debug)]
struct AnyHostname {
    inner: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHostname {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
