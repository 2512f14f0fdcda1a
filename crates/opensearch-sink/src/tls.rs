//! TLS to the cluster: rustls, with the system's authorities or those of a PEM file.

use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use walspring_connect::{CONFIG_EXCEPTION, TaskError};

use crate::config::TlsOptions;

/// Reads the files that the options name; an error says which.
pub fn config(options: &TlsOptions) -> Result<TlsConfig, TaskError> {
    let authorities = match (&options.truststore_certificates, &options.truststore_location) {
        (Some(pem), _) => certificates(pem.expose().as_bytes(), "the truststore.certificates")?,
        (None, Some(path)) => certificates(&read(path)?, path)?,
        (None, None) => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        }
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .client_cert(identity(options)?)
        .disable_verification(options.trust_all)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
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
    let key = items(&pem, what)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    let key: PrivateKey<'static> =
        key.ok_or_else(|| wrong(format!("There is no private key in PEM in {what} (encrypted ones are not read)")))?;
    Ok(Some(ClientCert::new_with_certs(&certificates(&pem, what)?, key)))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<Certificate<'static>>, TaskError> {
    let found = items(pem, what)?.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(wrong(format!("There is no certificate in PEM in {what}"))) } else { Ok(found) }
}

fn items(pem: &[u8], what: &str) -> Result<Vec<PemItem<'static>>, TaskError> {
    // The parser's own words could quote the file.
    parse_pem(pem).collect::<Result<_, _>>().map_err(|_| wrong(format!("{what} is not PEM")))
}

fn read(path: &str) -> Result<Vec<u8>, TaskError> {
    std::fs::read(path).map_err(|error| wrong(format!("{path} cannot be read: {error}")))
}

fn wrong(message: impl Into<String>) -> TaskError {
    TaskError::definite(CONFIG_EXCEPTION, message)
}
