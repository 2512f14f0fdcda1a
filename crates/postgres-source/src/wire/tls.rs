//! TLS as libpq's `sslmode` means it, on rustls.
//!
//! Material is read from its files at each connect, so that rotated certificates are picked up without a restart.

use super::certificate::{common_name_without_alternatives, name_matches};
use super::config::{Pem, SslConfig, SslMode};
use super::error::PgError;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConnection, Error, RootCertStore};
use std::sync::Arc;
use walspring_net::tls::{self, Identity, PemError, Refused, SecondOpinion, Verification};

/// The client's side of a handshake with `host`, not yet begun.
pub(crate) fn client(host: &str, ssl: &SslConfig) -> Result<ClientConnection, PgError> {
    let verifier = verifier(host, ssl)?;
    let config = tls::client_config(verifier, identity(ssl)?)
        .map_err(|error| PgError::Tls(format!("the client certificate cannot be used: {error}")))?;
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| PgError::Tls(format!("\"{host}\" is not a name a certificate could have")))?;
    ClientConnection::new(config, name).map_err(|error| PgError::Tls(format!("TLS is impossible: {error}")))
}

type Chain = Vec<CertificateDer<'static>>;

fn identity(ssl: &SslConfig) -> Result<Option<Identity>, PgError> {
    let (certificate, key) = match (&ssl.client_cert, &ssl.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(PgError::Tls("a client certificate needs its key, and a key its certificate".to_owned())),
    };
    let chain = certificates(certificate, "client certificate")?;
    let password = ssl.key_password.as_ref().map(|password| password.expose());
    let key = tls::private_key(&read(key, "client key")?, password)
        .map_err(|reason| PgError::Tls(format!("could not read the client key{}: {reason}", at(key))))?;
    Ok(Some(Identity { chain, key }))
}

fn certificates(pem: &Pem, what: &str) -> Result<Chain, PgError> {
    tls::certificates(&read(pem, what)?).map_err(|error| {
        PgError::Tls(match error {
            PemError::Empty => format!("there is no certificate in the {what}{}", at(pem)),
            PemError::Malformed(error) => format!("could not read the {what}{}: {error}", at(pem)),
        })
    })
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

fn verifier(host: &str, ssl: &SslConfig) -> Result<Arc<dyn ServerCertVerifier>, PgError> {
    let verifies = matches!(ssl.mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let host = (ssl.mode == SslMode::VerifyFull).then(|| host.to_owned());
    let mut roots = RootCertStore::empty();
    let verifier = match &ssl.root_cert {
        Some(pem) if verifies || ssl.mode == SslMode::Require => {
            let pinned = certificates(pem, "root certificate")?;
            roots.add_parsable_certificates(pinned.iter().cloned());
            tls::verifier_with(roots, Libpq { pinned, host })
        }
        None if verifies => {
            roots.add_parsable_certificates(tls::system_authorities());
            tls::verifier_with(roots, Libpq { pinned: Vec::new(), host })
        }
        _ => tls::verifier(Verification::None),
    };
    verifier.map_err(|error| {
        PgError::Tls(format!("no root certificate to verify the server with: {error}; give sslrootcert"))
    })
}

/// What libpq takes and webpki does not.
#[derive(Debug)]
struct Libpq {
    /// The certificates in the root file, for servers that present one of them itself.
    pinned: Chain,
    /// The name to find in the certificate, if it must be there.
    host: Option<String>,
}

impl Libpq {
    /// As libpq: the common name counts if there are no alternative names.
    fn names_host(&self, certificate: &CertificateDer<'_>) -> bool {
        let Some(host) = &self.host else { return true };
        common_name_without_alternatives(certificate).is_some_and(|name| name_matches(&name, host))
    }
}

impl SecondOpinion for Libpq {
    fn reconsider(&self, refused: Refused<'_>) -> Result<(), Error> {
        let certificate = refused.certificate;
        match refused.reason {
            _ if refused.is_by_name() && self.names_host(certificate) => Ok(()),
            // `openssl req -x509` marks a self-signed certificate as an authority, which webpki refuses as a server's.
            // OpenSSL, and so libpq, takes it if it is itself in the root file.
            CertificateError::Other(_) if self.pinned.contains(certificate) => {
                let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
                match rustls::client::verify_server_name(&parsed, refused.server_name) {
                    Err(error) if !self.names_host(certificate) => Err(error),
                    _ => Ok(()),
                }
            }
            _ => Err(refused.error()),
        }
    }
}
