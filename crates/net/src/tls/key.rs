//! Private keys: PEM (PKCS#1, SEC1, PKCS#8) or DER (PKCS#8), those of PKCS#8 encrypted or not.

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error as ThisError;

#[derive(Debug, ThisError)]
pub enum KeyError {
    #[error("{0}")]
    NotText(std::str::Utf8Error),
    #[error("{0}")]
    Pem(Error),
    #[error("{0}")]
    EncryptedPem(pkcs8::der::Error),
    #[error("it is not a PKCS#8 key")]
    NotPkcs8,
    #[error("it is encrypted, and no password is given")]
    NoPassword,
    #[error("it cannot be decrypted with the password given: {0}")]
    Decryption(pkcs8::Error),
}

/// Whichever form it has. The password is not asked for where the key is not encrypted. DER that is no encrypted key is
/// taken as a plain one: rustls says later if it is none.
pub fn private_key(bytes: &[u8], password: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, KeyError> {
    let is_pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
    let encrypted = if is_pem {
        let text = std::str::from_utf8(bytes).map_err(KeyError::NotText)?;
        if !text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            return PrivateKeyDer::from_pem_slice(bytes).map_err(KeyError::Pem);
        }
        SecretDocument::from_pem(text).map_err(KeyError::EncryptedPem)?.1.as_bytes().to_vec()
    } else {
        bytes.to_vec()
    };
    let key = match EncryptedPrivateKeyInfo::try_from(&encrypted[..]) {
        Err(_) if is_pem => return Err(KeyError::NotPkcs8),
        Err(_) => encrypted,
        Ok(info) => {
            let password = password.ok_or(KeyError::NoPassword)?;
            info.decrypt(password).map_err(KeyError::Decryption)?.as_bytes().to_vec()
        }
    };
    Ok(PrivatePkcs8KeyDer::from(key).into())
}

/// The PKCS#8 key (DER) inside an encrypted one (DER).
pub fn decrypted(der: &[u8], password: &[u8]) -> Result<SecretDocument, KeyError> {
    let info = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| KeyError::NotPkcs8)?;
    info.decrypt(password).map_err(KeyError::Decryption)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8], password: Option<&[u8]>) -> String {
        private_key(bytes, password).expect_err("no key").to_string()
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            refusal(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n", None),
            "it is not a PKCS#8 key"
        );
        assert_eq!(refusal(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", None), "no items found");
        assert!(refusal(b" \n-----BEGIN PRIVATE KEY-----\nMAA=\n", None).contains("missing section end marker"));
        assert!(refusal(b"-----BEGIN \xff", None).contains("utf-8"));
        assert!(matches!(decrypted(b"", b""), Err(KeyError::NotPkcs8)));
    }

    #[test]
    fn der_that_is_not_encrypted_is_taken_as_it_is() {
        let PrivateKeyDer::Pkcs8(key) = private_key(b"\x30\x00", None).expect("a key") else { panic!("PKCS#8") };
        assert_eq!(key.secret_pkcs8_der(), b"\x30\x00");
    }
}
