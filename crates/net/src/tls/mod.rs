//! TLS of a client: rustls with the ring provider, certificates and keys from PEM or DER bytes.
//!
//! TLS 1.2 and 1.3. How far the server's certificate is checked is a [`Verification`]; that the server has the
//! certificate's key is checked always.

mod key;
mod pem;
mod verifier;

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error};

pub use key::{KeyError, decrypted, private_key};
pub use pem::{PemError, certificates};
pub use verifier::{Refused, SecondOpinion, Verification, verifier, verifier_with};

/// Who we are, for servers that ask.
pub struct Identity {
    /// Our certificate first, then those between it and the authority.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// Errors mean that the identity cannot be used: the key is of no known kind, or not the certificate's.
pub fn client_config(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Identity>,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    }))
}

/// The only cryptography that is linked in.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificate authorities of the system; none where it has none. Reads their files anew at each call.
pub fn system_authorities() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
