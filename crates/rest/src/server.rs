//! The server: HTTP/1.1 on one or more addresses, with limits on time, connections and size.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A client that has not sent its headers by then is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// More connections wait until one of these has ended.
const CONNECTIONS_MAX: usize = 512;
/// How long requests may take that are being served when the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bound, not yet serving.
pub struct Server {
    listeners: Vec<TcpListener>,
}

impl Server {
    /// Binds all addresses, or none. The error names the address.
    pub async fn bind(addresses: &[SocketAddr]) -> io::Result<Server> {
        let mut listeners = Vec::new();
        for address in addresses {
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?);
        }
        Ok(Server { listeners })
    }

    /// Where it listens; a port 0 has become a real one.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|l| l.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` is done and the requests of that moment have been answered.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let graceful = Arc::new(GracefulShutdown::new());
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, router.clone(), graceful.clone(), connections.clone()));
        }
        shutdown.await;
        accepting.shutdown().await;
        if let Ok(graceful) = Arc::try_unwrap(graceful) {
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
        }
    }
}

/// Binds and serves.
pub async fn serve(addresses: &[SocketAddr], router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    Server::bind(addresses).await?.run(router, shutdown).await;
    Ok(())
}

async fn accept(listener: TcpListener, router: Router, graceful: Arc<GracefulShutdown>, connections: Arc<Semaphore>) {
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = serve_connection(stream, router.clone(), &graceful);
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(e) => {
                // Out of file descriptors, most likely: it passes.
                tracing::warn!("a connection was not accepted: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    async move {
        if let Err(e) = connection.await {
            tracing::debug!("a connection ended: {e}");
        }
    }
}
