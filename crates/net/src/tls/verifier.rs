//! How far a server's certificate is checked. The handshake's signature is checked in every mode: without it, whoever is
//! in between could show a certificate that is not his.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What a certificate must be. The names are libpq's.
pub enum Verification {
    /// Any certificate will do.
    None,
    /// From an authority, for whatever host.
    CaOnly(RootCertStore),
    /// From an authority, and for the host that was asked for.
    Full(RootCertStore),
}

/// Asked about certificates that the full check has refused.
pub trait SecondOpinion: fmt::Debug + Send + Sync {
    /// `Ok`: it is taken all the same. Else the error that is reported, usually [`Refused::error`].
    fn reconsider(&self, refused: Refused<'_>) -> Result<(), Error>;
}

pub struct Refused<'a> {
    pub reason: CertificateError,
    pub certificate: &'a CertificateDer<'a>,
    pub server_name: &'a ServerName<'a>,
}

impl Refused<'_> {
    /// Whether it is another host's. The chain is checked before the name, so then the chain is good.
    pub fn is_by_name(&self) -> bool {
        matches!(self.reason, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    }

    pub fn error(self) -> Error {
        Error::InvalidCertificate(self.reason)
    }
}

/// Errors mean that there is no authority to check with.
pub fn verifier(verification: Verification) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    match verification {
        Verification::None => Ok(Arc::new(Verifier { provider: super::provider(), check: None })),
        Verification::CaOnly(roots) => verifier_with(roots, AnyName),
        Verification::Full(roots) => Ok(full(roots, super::provider())?),
    }
}

/// The full check, with a second opinion on what it refuses.
pub fn verifier_with(
    roots: RootCertStore,
    opinion: impl SecondOpinion + 'static,
) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    let provider = super::provider();
    let check = Some((full(roots, provider.clone())?, Box::new(opinion) as Box<dyn SecondOpinion>));
    Ok(Arc::new(Verifier { provider, check }))
}

fn full(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
}

#[derive(Debug)]
struct AnyName;

impl SecondOpinion for AnyName {
    fn reconsider(&self, refused: Refused<'_>) -> Result<(), Error> {
        if refused.is_by_name() { Ok(()) } else { Err(refused.error()) }
    }
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do.
    check: Option<(Arc<WebPkiServerVerifier>, Box<dyn SecondOpinion>)>,
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
        let Some((full, opinion)) = &self.check else { return Ok(ServerCertVerified::assertion()) };
        match full.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(reason)) => opinion
                .reconsider(Refused { reason, certificate: end_entity, server_name })
                .map(|()| ServerCertVerified::assertion()),
            verdict => verdict,
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

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
