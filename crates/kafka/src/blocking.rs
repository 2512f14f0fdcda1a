//! Work that waits, beside an event loop. The loop's own way to do so (`spawn_blocking`, and with it `lookup_host`) panics
//! where no thread can be started; here that is an error, which passes.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use tokio::sync::oneshot;
use walspring_connect::threads;

/// Does it on a thread of its own. Who stops waiting leaves the thread to itself.
pub async fn blocking<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    threads::spawn_aside(name, move || drop(sender.send(work())))?;
    done.await.map_err(|_| io::Error::other(format!("the thread {name} broke off")))
}

/// The addresses of a name, asked for anew.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    blocking("resolve", move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await?
}

#[cfg(test)]
mod tests {
    use walspring_connect::fault;

    use super::*;

    #[test]
    fn without_threads_a_name_is_not_resolved_and_nothing_panics() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let resolve = |host| runtime.block_on(resolve(host, 1));
        assert_eq!(resolve("127.0.0.1").unwrap(), ["127.0.0.1:1".parse().unwrap()]);
        assert!(!resolve("localhost").unwrap().is_empty());
        fault::fail_spawns("of-this-test", true);
        let failed = runtime.block_on(blocking("of-this-test", || ()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(runtime.block_on(blocking("another", || panic!("asked to"))).is_err());
    }
}
