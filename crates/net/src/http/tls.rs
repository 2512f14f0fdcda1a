//! TLS of the HTTP client: certificates and keys from PEM texts, the system's authorities where none are given.

use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, PrivateKey, RootCerts, TlsConfig, TlsConfigBuilder, parse_pem};

/// What is in a PEM text. Says nothing of what is wrong with it: the parser's own words could quote it.
pub struct PemText {
    pub certificates: Vec<Certificate<'static>>,
    /// The first that is not encrypted.
    pub key: Option<PrivateKey<'static>>,
    /// Whether there were sections that could not be read.
    pub is_broken: bool,
}

impl PemText {
    pub fn read(pem: &[u8]) -> PemText {
        let mut text = PemText { certificates: Vec::new(), key: None, is_broken: false };
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => text.certificates.push(certificate),
                Ok(PemItem::PrivateKey(key)) => text.key = text.key.or(Some(key)),
                Ok(_) => {}
                Err(_) => text.is_broken = true,
            }
        }
        text
    }
}

/// `authorities`: `None` for those of the system.
pub fn tls_config(authorities: Option<Vec<Certificate<'static>>>) -> TlsConfigBuilder {
    let authorities = authorities.unwrap_or_else(|| {
        let found = crate::tls::system_authorities();
        found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
    });
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .unversioned_rustls_crypto_provider(crate::tls::provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_cannot_be_read_are_told_and_the_others_taken() {
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let text = PemText::read(format!("{certificate}{key}{certificate}").as_bytes());
        assert!(text.certificates.len() == 2 && text.key.is_some() && !text.is_broken);
        let broken = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
        let text = PemText::read(format!("{broken}{certificate}").as_bytes());
        assert!(text.certificates.len() == 1 && text.key.is_none() && text.is_broken);
        assert!(PemText::read(b"\xff\0-----BEGIN").certificates.is_empty());
    }
}
