//! Certificates in a PEM text. Sections of other kinds are passed over, as everybody does who reads PEM.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};
use thiserror::Error as ThisError;

#[derive(Debug, ThisError)]
pub enum PemError {
    #[error("there is no certificate in it")]
    Empty,
    /// Quotes the line where a section should begin or end.
    #[error("{0}")]
    Malformed(Error),
}

/// All certificates, in their order; at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(PemError::Malformed)?;
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_found_between_other_sections() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\nwords\n\
                   -----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(pem.as_bytes()).expect("one").len(), 1);
        assert!(matches!(certificates(&pem.as_bytes()[..60]), Err(PemError::Empty)));
        assert!(matches!(certificates(&pem.as_bytes()[..pem.len() - 10]), Err(PemError::Malformed(_))));
    }
}
