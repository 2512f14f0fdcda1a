//! TLS as libpq's `sslmode` means it, on rustls.
//!
//! Material is read from its files at each connect, so that rotated certificates are picked up without a restart.

use super::certificate::{common_name_without_alternatives, name_matches};
use super::config::{Pem, SslConfig, SslMode};
use super::error::PgError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore};
use std::sync::Arc;

/// The client's side of a handshake with `host`, not yet begun.
pub(crate) fn client(host: &str, ssl: &SslConfig) -> Result<ClientConnection, PgError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(host, ssl, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PgError::Tls(format!("TLS is not available: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match client_certificate(ssl)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| PgError::Tls(format!("the client certificate cannot be used: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| PgError::Tls(format!("\"{host}\" is not a name a certificate could have")))?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| PgError::Tls(format!("TLS is impossible: {error}")))
}

type Chain = Vec<CertificateDer<'static>>;

fn client_certificate(ssl: &SslConfig) -> Result<Option<(Chain, PrivateKeyDer<'static>)>, PgError> {
    let (certificate, key) = match (&ssl.client_cert, &ssl.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(PgError::Tls("a client certificate needs its key, and a key its certificate".to_owned())),
    };
    let chain = certificates(certificate, "client certificate")?;
    let key = private_key(&read(key, "client key")?, ssl)
        .map_err(|reason| PgError::Tls(format!("could not read the client key{}: {reason}", at(key))))?;
    Ok(Some((chain, key)))
}

fn private_key(bytes: &[u8], ssl: &SslConfig) -> Result<PrivateKeyDer<'static>, String> {
    let is_pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
    let encrypted = if is_pem {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        if !text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            return PrivateKeyDer::from_pem_slice(bytes).map_err(|error| error.to_string());
        }
        pkcs8::der::SecretDocument::from_pem(text).map_err(|error| error.to_string())?.1.as_bytes().to_vec()
    } else {
        bytes.to_vec()
    };
    let decrypted = match pkcs8::EncryptedPrivateKeyInfo::try_from(&encrypted[..]) {
        Err(_) if is_pem => return Err("it is not a PKCS#8 key".to_owned()),
        Err(_) => encrypted,
        Ok(info) => {
            let password = ssl.key_password.as_ref().ok_or("it is encrypted, and no password is given")?;
            let key = info.decrypt(password.expose());
            key.map_err(|error| format!("it cannot be decrypted with the password given: {error}"))?.as_bytes().to_vec()
        }
    };
    Ok(PrivatePkcs8KeyDer::from(decrypted).into())
}

fn certificates(pem: &Pem, what: &str) -> Result<Chain, PgError> {
    let bytes = read(pem, what)?;
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(PgError::Tls(format!("there is no certificate in the {what}{}", at(pem)))),
        Err(error) => Err(PgError::Tls(format!("could not read the {what}{}: {error}", at(pem)))),
    }
}

fn read(pem: &Pem, what: &str) -> Result<Vec<u8>, PgError> {
    match pem {
        Pem::Bytes(bytes) => Ok(bytes.clone()),
        Pem::Path(path) => std::fs::read(path)
            .map_err(|error| PgError::Tls(format!("could not read the {what} \"{}\": {error}", path.display()))),
    }
}

fn at(pem: &Pem) -> String {
    match pem {
        Pem::Path(path) => format!(" \"{}\"", path.display()),
        Pem::Bytes(_) => String::new(),
    }
}

/// Judges the server's certificate by the mode. The handshake's signature is checked in every mode.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates in the root file, for servers that present one of them itself.
    pinned: Chain,
    /// The name to find in the certificate, if it must be there.
    host: Option<String>,
}

impl Verifier {
    fn new(host: &str, ssl: &SslConfig, provider: &Arc<CryptoProvider>) -> Result<Self, PgError> {
        let provider = provider.clone();
        let verifies = matches!(ssl.mode, SslMode::VerifyCa | SslMode::VerifyFull);
        let host = (ssl.mode == SslMode::VerifyFull).then(|| host.to_owned());
        let pinned = match &ssl.root_cert {
            Some(pem) if verifies || ssl.mode == SslMode::Require => certificates(pem, "root certificate")?,
            None if verifies => Vec::new(),
            _ => return Ok(Self { provider, authorities: None, pinned: Vec::new(), host: None }),
        };
        let mut roots = RootCertStore::empty();
        if ssl.root_cert.is_some() {
            roots.add_parsable_certificates(pinned.iter().cloned());
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let authorities = authorities.map_err(|error| {
            PgError::Tls(format!("no root certificate to verify the server with: {error}; give sslrootcert"))
        })?;
        Ok(Self { provider, authorities: Some(authorities), pinned, host })
    }

    /// As libpq: the common name counts if there are no alternative names.
    fn names_host(&self, certificate: &CertificateDer<'_>) -> bool {
        let Some(host) = &self.host else { return true };
        common_name_without_alternatives(certificate).is_some_and(|name| name_matches(&name, host))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        let verdict = authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(reason)) = &verdict else { return verdict };
        match reason {
            // The chain is checked before the name: an error about the name means the chain is good.
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                if self.names_host(end_entity) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            // `openssl req -x509` marks a self-signed certificate as an authority, which webpki refuses as a server's.
            // OpenSSL, and so libpq, takes it if it is itself in the root file.
            CertificateError::Other(_) if self.pinned.contains(end_entity) => {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                match rustls::client::verify_server_name(&parsed, server_name) {
                    Err(error) if !self.names_host(end_entity) => Err(error),
                    _ => Ok(ServerCertVerified::assertion()),
                }
            }
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
