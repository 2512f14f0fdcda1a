//! Where REST listens, and who may ask.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use walspring_config::values;
use walspring_config::worker::{Listener, WorkerConfig};
use walspring_rest::Access;

use crate::failure::Failure;

pub fn addresses(worker: &WorkerConfig) -> Result<Vec<SocketAddr>, Failure> {
    if worker.admin_listeners.as_ref().is_some_and(|listeners| !listeners.is_empty()) {
        tracing::warn!("admin.listeners: the admin resources are served with the others");
    }
    for open in worker.listeners.iter().filter(|listener| !listener.is_loopback()) {
        tracing::warn!(
            "REST listens on {open}, which other machines can reach, and there is no authentication yet: whoever reaches \
             it can read every table that a connector may read. Leave listeners out for this machine only"
        );
    }
    worker.listeners.iter().map(address).collect()
}

fn address(listener: &Listener) -> Result<SocketAddr, Failure> {
    let Some(host) = &listener.host else {
        // Both protocols where the machine has both.
        let six = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
        let any = if six { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        return Ok(SocketAddr::new(any, listener.port));
    };
    let invalid = |why: String| Failure::invalid(format!("listeners: {listener}: {why}"));
    let found: Vec<SocketAddr> =
        (host.trim_matches(['[', ']']), listener.port).to_socket_addrs().map_err(|e| invalid(e.to_string()))?.collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| invalid("the name has no address".into()))
}

pub fn access(worker: &WorkerConfig) -> Access {
    let list = |text: &str| values::list(text).into_iter().filter(|item| !item.is_empty()).collect();
    Access {
        origins: list(&worker.allow_origin),
        methods: list(&worker.allow_methods),
        only_local_hosts: worker.listeners.iter().all(Listener::is_loopback),
    }
}
