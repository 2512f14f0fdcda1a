//! Trust and key stores: PEM and PKCS12 are read, JKS is refused with the line that converts it. Everything becomes PEM,
//! which both clients take.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use p12_keystore::{KeyStore, Pkcs12Archive, Pkcs12ImportPolicy};

/// Our certificate chain and its key, not encrypted, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
}

/// Which of the two stores; its name in options and messages.
#[derive(Debug, Clone, Copy)]
pub enum Store {
    Trust,
    Key,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Trust => "ssl.truststore",
            Self::Key => "ssl.keystore",
        }
    }
}

/// A store's file as text or as a key store, whichever it is.
enum Content<'a> {
    Pem(String),
    /// With its password.
    Pkcs12(Vec<u8>, &'a str),
}

/// The authorities in a file.
pub fn read_truststore(location: &str, store_type: Option<&str>, password: Option<&str>) -> Result<String, String> {
    match read(Store::Trust, location, store_type, password)? {
        Content::Pem(text) => authorities(&text, "ssl.truststore.location"),
        Content::Pkcs12(bytes, password) => {
            // Every certificate: those written by openssl lack the mark by which Java's own stores say "trusted".
            let archive =
                Pkcs12Archive::from_pkcs12(&bytes, password).map_err(|e| unreadable(Store::Trust, location, &e))?;
            let mut pem = String::new();
            for bag in &archive.certs {
                pem_block(&mut pem, "CERTIFICATE", bag.cert.as_der());
            }
            if pem.is_empty() {
                Err(format!("ssl.truststore.location: {location} has no certificate"))
            } else {
                Ok(pem)
            }
        }
    }
}

/// Certificate and key in a file.
pub fn read_keystore(
    location: &str,
    store_type: Option<&str>,
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<Identity, String> {
    match read(Store::Key, location, store_type, password)? {
        Content::Pem(text) => identity(&text, &text, key_password, "ssl.keystore.location"),
        Content::Pkcs12(bytes, password) => {
            let store = KeyStore::from_pkcs12(&bytes, password, Pkcs12ImportPolicy::Strict)
                .map_err(|error| unreadable(Store::Key, location, &error))?;
            let (_, chain) = store
                .private_key_chain()
                .ok_or_else(|| format!("ssl.keystore.location: {location} has no private key with a certificate"))?;
            let (mut chain_pem, mut key_pem) = (String::new(), String::new());
            for certificate in chain.certs() {
                pem_block(&mut chain_pem, "CERTIFICATE", certificate.as_der());
            }
            pem_block(&mut key_pem, "PRIVATE KEY", chain.key().as_der());
            Ok(Identity { chain_pem, key_pem })
        }
    }
}

/// The parts of PEM texts that `ssl.keystore.key` and `ssl.keystore.certificate.chain` hold.
pub fn identity(key: &str, chain: &str, key_password: Option<&str>, option: &str) -> Result<Identity, String> {
    let chain_pem: String = pem_blocks(chain)
        .filter(|(label, _)| *label == "CERTIFICATE")
        .map(|(label, body)| rewrapped(label, body))
        .collect();
    if chain_pem.is_empty() {
        return Err(format!("{option}: no certificate in the PEM text"));
    }
    let (label, body) = pem_blocks(key)
        .find(|(label, _)| label.ends_with("PRIVATE KEY"))
        .ok_or_else(|| format!("{option}: no private key in the PEM text"))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Ok(Identity { chain_pem, key_pem: rewrapped(label, body) });
    }
    let password = key_password.ok_or_else(|| format!("{option}: the key is encrypted, ssl.key.password is needed"))?;
    let der = BASE64
        .decode(body.split_whitespace().collect::<String>())
        .map_err(|_| format!("{option}: the private key is not proper PEM"))?;
    let decrypted = walspring_net::tls::decrypted(&der, password.as_bytes())
        .map_err(|_| format!("{option}: the private key cannot be decrypted with ssl.key.password"))?;
    let mut key_pem = String::new();
    pem_block(&mut key_pem, "PRIVATE KEY", decrypted.as_bytes());
    Ok(Identity { chain_pem, key_pem })
}

fn read<'a>(
    store: Store,
    location: &str,
    store_type: Option<&str>,
    password: Option<&'a str>,
) -> Result<Content<'a>, String> {
    let name = store.name();
    let bytes = fs::read(location).map_err(|error| format!("{name}.location: {location} cannot be read: {error}"))?;
    // Java's default type is JKS, and its JKS reader takes PKCS12 as well: what the file is counts.
    let is_jks = bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce]);
    if is_jks {
        return Err(format!(
            "{name}.location: {location} is a JKS store, a format of Java alone; convert it with: keytool -importkeystore \
             -srckeystore {location} -destkeystore {location}.p12 -deststoretype PKCS12 \
             and set {name}.location={location}.p12 and {name}.type=PKCS12"
        ));
    }
    match store_type.map(str::to_ascii_uppercase).as_deref() {
        None | Some("JKS" | "PEM" | "PKCS12" | "P12") => {}
        Some(other) => return Err(format!("{name}.type: {other} is not supported; PEM and PKCS12 are")),
    }
    if let Ok(text) = std::str::from_utf8(&bytes)
        && text.contains("-----BEGIN ")
    {
        return Ok(Content::Pem(text.to_owned()));
    }
    let Some(password) = password else {
        return Err(format!("{name}.location: {location} is a PKCS12 store, {name}.password is needed"));
    };
    Ok(Content::Pkcs12(bytes, password))
}

fn unreadable(store: Store, location: &str, error: &p12_keystore::error::Error) -> String {
    let name = store.name();
    format!("{name}.location: {location} cannot be read as PKCS12 with {name}.password: {error}")
}

fn pem_block(out: &mut String, label: &str, der: &[u8]) {
    out.push_str(&rewrapped(label, &BASE64.encode(der)));
}

/// The certificates in a PEM text, as `ssl.truststore.certificates` holds them.
pub fn authorities(text: &str, option: &str) -> Result<String, String> {
    let pem: String = pem_blocks(text)
        .filter(|(label, _)| *label == "CERTIFICATE")
        .map(|(label, body)| rewrapped(label, body))
        .collect();
    if pem.is_empty() { Err(format!("{option}: no certificate in the PEM text")) } else { Ok(pem) }
}

/// A block with line ends where PEM wants them: on one line in a properties file they are often blanks.
fn rewrapped(label: &str, body: &str) -> String {
    let text: String = body.split_whitespace().collect();
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Label and body of each block.
fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("-----BEGIN ").skip(1).filter_map(|part| {
        let (label, rest) = part.split_once("-----")?;
        let body = &rest[..rest.find("-----END ")?];
        Some((label, body))
    })
}
