//! TLS to the target, as libpq's `sslmode` means it: rustls under the client library's hooks. Files are read at each
//! connect, so that rotated certificates are picked up.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use walspring_config::Secret;
use walspring_net::tls::{self, Identity, Verification};

use crate::url::{Ssl, SslMode};

/// Makes the client's side of handshakes.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Errors name the file.
    pub fn new(ssl: &Ssl) -> Result<Tls, String> {
        let verifier = tls::verifier(verification(ssl)?)
            .map_err(|error| format!("no root certificate to verify the server with: {error}; give sslrootcert"))?;
        let config = tls::client_config(verifier, identity(ssl)?)
            .map_err(|error| format!("the client certificate cannot be used: {error}"))?;
        Ok(Tls { config })
    }
}

fn verification(ssl: &Ssl) -> Result<Verification, String> {
    let roots = || match &ssl.root_cert {
        Some(path) => certificates(path),
        None => Ok(tls::system_authorities()),
    };
    let store = |certificates: Vec<CertificateDer<'static>>| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        store
    };
    Ok(match ssl.mode {
        SslMode::VerifyFull => Verification::Full(store(roots()?)),
        SslMode::VerifyCa => Verification::CaOnly(store(roots()?)),
        // As libpq: with a root certificate the chain is checked.
        SslMode::Require if ssl.root_cert.is_some() => Verification::CaOnly(store(roots()?)),
        _ => Verification::None,
    })
}

fn identity(ssl: &Ssl) -> Result<Option<Identity>, String> {
    let (cert, key) = match (&ssl.cert, &ssl.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err("sslcert needs sslkey, and sslkey sslcert".to_owned()),
    };
    let password = ssl.key_password.as_ref().map(|password: &Secret| password.expose().as_bytes());
    let key = tls::private_key(&read(key)?, password)
        .map_err(|error| format!("could not read the key {}: {error}", key.display()))?;
    Ok(Some(Identity { chain: certificates(cert)?, key }))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    tls::certificates(&read(path)?)
        .map_err(|error| format!("could not read certificates of {}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("could not read {}: {error}", path.display()))
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        let name = ServerName::try_from(domain.to_owned())
            .map_err(|_| io::Error::other(format!("\"{domain}\" is no name a certificate could have")))?;
        Ok(Handshake { config: self.config.clone(), name })
    }
}

pub struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(
            async move { TlsConnector::from(self.config).connect(self.name, stream).await.map(Box::new).map(Stream) },
        )
    }
}

pub struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl tokio_postgres::tls::TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
