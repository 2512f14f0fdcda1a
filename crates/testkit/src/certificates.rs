//! Certificates for the TLS tests of both servers, made anew each time: nothing to expire in the repository.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// A certificate authority with one server (`localhost`, `127.0.0.1`) and one client; everything is PEM.
pub struct Certificates {
    pub ca: String,
    pub server_certificate: String,
    pub server_key: String,
    pub client_certificate: String,
    pub client_key: String,
}

impl Certificates {
    /// The client's certificate is in this common name: PostgreSQL's `cert` method compares it with the role.
    pub fn new(client: &str) -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "walspring test authority");
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate");
        let issue = |name: &str, purpose| {
            let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("two names");
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages.push(purpose);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &ca).expect("a signed certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (server_certificate, server_key) = issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let (client_certificate, client_key) = issue(client, ExtendedKeyUsagePurpose::ClientAuth);
        Certificates { ca: ca.pem(), server_certificate, server_key, client_certificate, client_key }
    }
}
