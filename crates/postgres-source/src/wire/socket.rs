//! A non-blocking TCP or Unix-domain socket, and waiting on it with a deadline.
//!
//! All waiting is `poll`, so that a reader and a writer on two threads each have their own patience, and `read` and
//! `write` themselves never block.

use super::config::ConnectConfig;
use super::error::PgError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Until when to wait; `None`: for ever.
pub(crate) type Deadline = Option<Instant>;

pub(crate) fn deadline_in(timeout: Option<Duration>) -> Deadline {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// One address of one host.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{}, port {}", address.ip(), address.port()),
            Self::Unix(path) => write!(f, "socket {}", path.display()),
        }
    }
}

pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub fn connect(address: &Address, config: &ConnectConfig, deadline: Deadline) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Self::Unix(stream))
            }
            Address::Tcp(address) => {
                let stream = match deadline {
                    None => TcpStream::connect(address)?,
                    Some(deadline) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        TcpStream::connect_timeout(address, left.max(Duration::from_millis(1)))?
                    }
                };
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                set_keepalive(&stream, config)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// `WouldBlock` if there is nothing to read; 0 at the end.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => (&mut &*stream).read(buf),
                Self::Unix(stream) => (&mut &*stream).read(buf),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Bytes that a read would bring now, as far as that is known.
    pub fn waiting(&self) -> usize {
        rustix::io::ioctl_fionread(self).map_or(0, |bytes| bytes as usize)
    }

    /// Writes all of it, waiting for room up to the deadline.
    pub fn write_all(&self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => (&mut &*stream).write(bytes),
                Self::Unix(stream) => (&mut &*stream).write(bytes),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(PollFlags::OUT, deadline)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes to read, or the end of them; false if the deadline passed first.
    pub fn wait_readable(&self, deadline: Deadline) -> io::Result<bool> {
        self.wait(PollFlags::IN, deadline)
    }

    /// Ends both directions, which wakes whoever waits on the socket.
    pub fn shutdown(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    fn wait(&self, what: PollFlags, deadline: Deadline) -> io::Result<bool> {
        loop {
            let timeout = match deadline {
                None => None,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    Some(Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() })
                }
            };
            let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), what)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

fn set_keepalive(stream: &TcpStream, config: &ConnectConfig) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, config.tcp_keepalive.is_some())?;
    if let Some(keepalive) = config.tcp_keepalive {
        sockopt::set_tcp_keepidle(stream, keepalive.idle)?;
        sockopt::set_tcp_keepintvl(stream, keepalive.interval)?;
        sockopt::set_tcp_keepcnt(stream, keepalive.count)?;
    }
    #[cfg(target_os = "linux")]
    if let Some(timeout) = config.tcp_user_timeout {
        sockopt::set_tcp_user_timeout(stream, u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))?;
    }
    Ok(())
}

/// All addresses of a host, asked of the resolver now.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<Address>, PgError> {
    use std::net::ToSocketAddrs;
    if host.starts_with('/') {
        return Ok(vec![Address::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))]);
    }
    #[cfg(test)]
    if let Some(address) = tests::told(host) {
        return Ok(vec![Address::Tcp(address)]);
    }
    let context = || format!("could not translate host name \"{host}\" to address");
    let addresses = (host, port).to_socket_addrs().map_err(|error| PgError::io(context(), error))?;
    let addresses: Vec<_> = addresses.map(Address::Tcp).collect();
    if addresses.is_empty() {
        return Err(PgError::io(context(), io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::super::{ConnectConfig, Connection};
    use std::cell::RefCell;
    use std::net::{SocketAddr, TcpListener};

    thread_local! {
        /// Where names lead that no server of names knows.
        static NAMES: RefCell<Option<(&'static str, SocketAddr)>> = const { RefCell::new(None) };
    }

    pub(super) fn told(host: &str) -> Option<SocketAddr> {
        NAMES.with_borrow(|known| known.filter(|(name, _)| *name == host).map(|(_, address)| address))
    }

    /// Listens where the name is said to lead, and ends the connection that comes.
    fn knock(config: &ConnectConfig, name: &'static str) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        NAMES.set(Some((name, address)));
        let (came, comes) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let guest = listener.accept();
            let _ = came.send(());
            drop(guest);
        });
        let error = Connection::connect(config).expect_err("nobody is there");
        assert!(error.is_transient(), "{error}");
        assert!(comes.try_recv().is_ok(), "it went elsewhere: {error}");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_followed_with_the_next_connection() {
        let config = ConnectConfig::new("moves.invalid", 5432, "u", "d");
        knock(&config, "moves.invalid");
        knock(&config, "moves.invalid");
        NAMES.set(None);
        let error = Connection::connect(&config).expect_err("a name that leads nowhere");
        assert!(error.is_transient() && error.to_string().contains("could not translate"), "{error}");
    }
}
