//! TLS to the cluster: rustls, with the system's authorities or those of a PEM file.

use ureq::tls::{Certificate, ClientCert, TlsConfig};
use walspring_connect::{CONFIG_EXCEPTION, TaskError};
use walspring_net::http::{PemText, tls_config};

use crate::config::TlsOptions;

/// Reads the files that the options name; an error says which.
pub fn config(options: &TlsOptions) -> Result<TlsConfig, TaskError> {
    let authorities = match (&options.truststore_certificates, &options.truststore_location) {
        (Some(pem), _) => Some(certificates(pem.expose().as_bytes(), "the truststore.certificates")?),
        (None, Some(path)) => Some(certificates(&read(path)?, path)?),
        (None, None) => None,
    };
    Ok(tls_config(authorities).client_cert(identity(options)?).disable_verification(options.trust_all).build())
}

fn identity(options: &TlsOptions) -> Result<Option<ClientCert>, TaskError> {
    let (pem, what) = match (&options.keystore_key, &options.keystore_chain, &options.keystore_location) {
        (Some(key), Some(chain), _) => (
            format!("{}\n{}", key.expose(), chain.expose()).into_bytes(),
            "keystore.key and keystore.certificate.chain",
        ),
        (Some(_), None, _) | (None, Some(_), _) => {
            return Err(wrong("keystore.key and keystore.certificate.chain belong together: one of them is missing"));
        }
        (None, None, Some(path)) => (read(path)?, path.as_str()),
        (None, None, None) => return Ok(None),
    };
    let text = parsed(&pem, what)?;
    let missing = || wrong(format!("There is no private key in PEM in {what} (encrypted ones are not read)"));
    let key = text.key.ok_or_else(missing)?;
    Ok(Some(ClientCert::new_with_certs(&some(text.certificates, what)?, key)))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<Certificate<'static>>, TaskError> {
    some(parsed(pem, what)?.certificates, what)
}

fn some(found: Vec<Certificate<'static>>, what: &str) -> Result<Vec<Certificate<'static>>, TaskError> {
    if found.is_empty() { Err(wrong(format!("There is no certificate in PEM in {what}"))) } else { Ok(found) }
}

fn parsed(pem: &[u8], what: &str) -> Result<PemText, TaskError> {
    let text = PemText::read(pem);
    if text.is_broken { Err(wrong(format!("{what} is not PEM"))) } else { Ok(text) }
}

fn read(path: &str) -> Result<Vec<u8>, TaskError> {
    std::fs::read(path).map_err(|error| wrong(format!("{path} cannot be read: {error}")))
}

fn wrong(message: impl Into<String>) -> TaskError {
    TaskError::definite(CONFIG_EXCEPTION, message)
}
