//! A PostgreSQL server to throw away: fetched if the machine has none, started in seconds, gone without a trace.
//!
//! Used by `walspring demo` and by the tests. It needs no root, no container and no system service; where it is run by
//! root, the server itself runs as an unprivileged user, because PostgreSQL refuses root.
//!
//! **Invariant**: a server listens on 127.0.0.1 only, trusts whoever reaches it there, and never outlives the process
//! that started it, however that process ends (see [`tether`]).
//!
//! ```no_run
//! use walspring_throwaway_postgres::Server;
//! let server = Server::builder().major(17).option("wal_sender_timeout", "5s").on_progress(|line| eprintln!("{line}")).start()?;
//! println!("{}", server.url("postgres"));
//! # Ok::<(), walspring_throwaway_postgres::Error>(())
//! ```

mod account;
pub mod cache;
pub mod packages;
pub mod ports;
mod server;
mod spread;
mod template;
pub mod tether;

pub use server::{Builder, Server, Shutdown};
pub use spread::spread;

/// What went wrong and what can be done about it, in one text for a person.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error(error.to_string())
    }
}

pub type Result<T> = std::result::Result<T, Error>;
