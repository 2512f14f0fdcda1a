//! From a [`ConnectConfig`] to a connection that is ready for queries: names, addresses, TLS, startup, authentication.

use super::alive::Server;
use super::auth::{Authentication, Next};
use super::backend;
use super::cancel::CancelToken;
use super::config::{ConnectConfig, SslMode, TargetSession};
use super::connection::{Connection, Parameters};
use super::error::PgError;
use super::frame_reader::{Filled, FrameReader, RawMessage};
use super::frontend;
use super::socket::{Address, Deadline, Socket, deadline_in, resolve};
use super::tls;
use super::transport::Transport;
use rustls::ClientConnection;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of several hosts, how long an address is waited for before the others are tried. Nothing answers for a machine that
/// died; only if no other server can be read is it given its whole time.
const IMPATIENT: Duration = Duration::from_secs(2);

/// The connection, and the place of its host in the list.
pub(crate) fn connect_any(config: &ConnectConfig) -> Result<(Connection, usize), PgError> {
    if config.hosts.len() > 1 && config.connect_timeout.is_none_or(|limit| limit > IMPATIENT) {
        let begun = Instant::now();
        match try_each(&ConnectConfig { connect_timeout: Some(IMPATIENT), ..config.clone() }) {
            Err(error) if error.is_transient() && begun.elapsed() >= IMPATIENT => {}
            done => return done,
        }
    }
    try_each(config)
}

/// Tries every address of every host in order. A definite refusal (wrong password, no such database) ends the search:
/// the next host would be asked the same.
fn try_each(config: &ConnectConfig) -> Result<(Connection, usize), PgError> {
    let mut errors = Vec::new();
    for (at, (host, port)) in config.hosts.iter().enumerate() {
        let mut last = PgError::io("the host has no address", io::ErrorKind::NotFound.into());
        let addresses = match resolve(host, *port) {
            Ok(addresses) => addresses,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for address in addresses {
            match connect_address(config, host, &address).and_then(|connection| prepared(config, connection)) {
                Ok(connection) => return Ok((connection, at)),
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error),
            }
        }
        errors.push(last);
    }
    Err(failed(config, errors))
}

/// Of several hosts, what each of them says.
fn failed(config: &ConnectConfig, mut errors: Vec<PgError>) -> PgError {
    if errors.len() < 2 {
        return errors.pop().unwrap_or_else(|| PgError::Protocol("no host is configured".to_owned()));
    }
    let told = config.hosts.iter().zip(errors).map(|((host, port), error)| format!("{host}:{port}: {error}"));
    let what = format!("none of the servers can be read: {}", told.collect::<Vec<_>>().join("; "));
    PgError::io(what, io::ErrorKind::UnexpectedEof.into())
}

/// With the settings that its version has, and of the role that is asked for.
fn prepared(config: &ConnectConfig, mut connection: Connection) -> Result<Connection, PgError> {
    let major = connection.server_version_num() / 10_000;
    let known = config.options_since.iter().filter(|(since, ..)| major >= *since);
    let set = known.map(|(_, name, value)| format!("SET {name} = {value}")).collect::<Vec<_>>().join("; ");
    if !set.is_empty() {
        connection.batch_execute(&set)?;
    }
    suitable(config, connection)
}

/// Checks what role the server has now. The wrong one is transient: a failover may be under way.
fn suitable(config: &ConnectConfig, mut connection: Connection) -> Result<Connection, PgError> {
    let target = config.target_session;
    if target == TargetSession::Any {
        return Ok(connection);
    }
    let (mut standby, mut read_only) = (
        connection.parameter("in_hot_standby").map(|value| value == "on"),
        connection.parameter("default_transaction_read_only").map(|value| value == "on"),
    );
    if standby.is_none() || read_only.is_none() {
        // Reported since 14.
        let row = connection.query_one("SELECT pg_catalog.pg_is_in_recovery()")?;
        standby = Some(row.required(0)? == "t");
        let row = connection.query_one("SHOW default_transaction_read_only")?;
        read_only = Some(row.required(0)? == "on");
    }
    let (standby, read_only) = (standby == Some(true), read_only == Some(true));
    let complaint = match target {
        TargetSession::ReadWrite if standby || read_only => "session is read-only",
        TargetSession::ReadOnly if !standby && !read_only => "session is not read-only",
        TargetSession::Primary if standby => "server is in hot standby mode",
        TargetSession::Standby if !standby => "server is not in hot standby mode",
        _ => return Ok(connection),
    };
    Err(PgError::io(complaint, io::Error::other(format!("target_session_attrs asks for {target:?}"))))
}

/// Whether to ask for TLS in one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    Off,
    IfOffered,
    Required,
}

/// One address; a second try if the mode leaves the choice to the server and the first was refused for it.
fn connect_address(config: &ConnectConfig, host: &str, address: &Address) -> Result<Connection, PgError> {
    let (first, second) = match config.ssl.mode {
        // libpq ignores sslmode on Unix-domain sockets.
        _ if matches!(address, Address::Unix(_)) => (Encryption::Off, None),
        SslMode::Disable => (Encryption::Off, None),
        SslMode::Allow => (Encryption::Off, Some(Encryption::Required)),
        SslMode::Prefer => (Encryption::IfOffered, Some(Encryption::Off)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Encryption::Required, None),
    };
    let attempt = |encryption| connect_once(config, host, address, encryption);
    let first_error = match (attempt(first), second) {
        (Err(error), Some(second)) if refused_for_encryption(&error) => match attempt(second) {
            Ok(connection) => return Ok(connection),
            Err(PgError::Tls(_)) => error,
            Err(second_error) if refused_for_encryption(&second_error) => error,
            Err(second_error) => second_error,
        },
        (Err(error), _) => error,
        (Ok(connection), _) => return Ok(connection),
    };
    Err(first_error)
}

/// TLS failed, or pg_hba.conf has no line for this kind of connection (invalid_authorization_specification).
fn refused_for_encryption(error: &PgError) -> bool {
    matches!(error, PgError::Tls(_)) || error.code() == Some("28000")
}

pub(crate) fn connect_once(
    config: &ConnectConfig,
    host: &str,
    address: &Address,
    encryption: Encryption,
) -> Result<Connection, PgError> {
    let deadline = deadline_in(config.connect_timeout);
    let transport = Arc::new(open(config, host, address, encryption, deadline)?);
    start(config, host, address, transport, deadline).map_err(PgError::in_startup)
}

/// Connects the socket and brings up TLS.
pub(crate) fn open(
    config: &ConnectConfig,
    host: &str,
    address: &Address,
    encryption: Encryption,
    deadline: Deadline,
) -> Result<Transport, PgError> {
    let socket = Socket::connect(address, config, deadline)
        .map_err(|error| PgError::io(format!("connection to server at \"{host}\" ({address}) failed"), error))?;
    if encryption == Encryption::Off || socket.is_unix() || !server_offers_tls(&socket, deadline)? {
        if encryption == Encryption::Required {
            return Err(PgError::Tls("The server does not support SSL.".to_owned()));
        }
        return Ok(Transport::new(socket, None));
    }
    let mut cipher = tls::client(host, &config.ssl)?;
    handshake(&mut cipher, &socket, deadline)?;
    Ok(Transport::new(socket, Some(cipher)))
}

/// Sends SSLRequest and reads the one byte that answers it, and no byte more: what came behind it in plain text would
/// else pass for something said under TLS (CVE-2021-23222).
fn server_offers_tls(socket: &Socket, deadline: Deadline) -> Result<bool, PgError> {
    let failed = |error| PgError::io("could not negotiate SSL with the server", error);
    socket.write_all(&frontend::ssl_request(), deadline).map_err(failed)?;
    let mut answer = [0];
    match read_some(socket, &mut answer, deadline).map_err(failed)? {
        0 => Err(PgError::closed()),
        _ => match answer[0] {
            b'S' => Ok(true),
            // 'E' is a very old server, or one that cannot start a session: a plain connection learns the reason.
            b'N' | b'E' => Ok(false),
            other => Err(PgError::Protocol(format!(
                "this does not look like a PostgreSQL server: it answered {:?} to the SSL negotiation",
                char::from(other)
            ))),
        },
    }
}

/// One read, waiting for it.
fn read_some(socket: &Socket, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !socket.wait_readable(deadline)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            done => return done,
        }
    }
}

fn handshake(cipher: &mut ClientConnection, socket: &Socket, deadline: Deadline) -> Result<(), PgError> {
    let failed = |error| PgError::io("could not negotiate SSL with the server", error);
    let mut outgoing = Vec::new();
    let mut incoming = [0; 4096];
    loop {
        outgoing.clear();
        while cipher.wants_write() {
            cipher.write_tls(&mut outgoing).map_err(failed)?;
        }
        socket.write_all(&outgoing, deadline).map_err(failed)?;
        if !cipher.is_handshaking() {
            return Ok(());
        }
        let mut read = match read_some(socket, &mut incoming, deadline).map_err(failed)? {
            0 => return Err(PgError::closed()),
            n => &incoming[..n],
        };
        while !read.is_empty() {
            cipher.read_tls(&mut read).map_err(failed)?;
            if let Err(error) = cipher.process_new_packets() {
                outgoing.clear();
                // The alert that tells the server why; it may be gone already.
                let _ = cipher.write_tls(&mut outgoing).and_then(|_| socket.write_all(&outgoing, deadline));
                return Err(PgError::Tls(format!("SSL error: {error}")));
            }
        }
    }
}

/// Startup message, authentication, and what the server tells before it is ready.
fn start(
    config: &ConnectConfig,
    host: &str,
    address: &Address,
    transport: Arc<Transport>,
    deadline: Deadline,
) -> Result<Connection, PgError> {
    let mut frames = FrameReader::new();
    let mut out = Vec::new();
    frontend::startup(&mut out, &startup_parameters(config))?;
    let mut authentication = Authentication::new(config, transport.peer_certificate());
    loop {
        if !out.is_empty() {
            transport.write_all(&out, deadline)?;
            out.clear();
        }
        let message = next_message(&mut frames, &transport, deadline)?;
        let body = frames.bytes(message.body);
        match message.tag {
            b'R' => {
                if let Next::Done = authentication.receive(body, &mut out)? {
                    break;
                }
            }
            b'E' => return Err(PgError::Server(Box::new(backend::server_error(body)?))),
            // NegotiateProtocolVersion: some proxies send it; 3.0 is the lowest there is.
            b'N' | b'v' => {}
            tag => return Err(unexpected(tag)),
        }
    }
    let mut parameters = Parameters::default();
    let (mut pid, mut key) = (0, Vec::new());
    loop {
        let message = next_message(&mut frames, &transport, deadline)?;
        let body = frames.bytes(message.body);
        match message.tag {
            b'S' => parameters.set(backend::parameter_status(body)?),
            b'K' => (pid, key) = backend::backend_key(body)?,
            b'E' => return Err(PgError::Server(Box::new(backend::server_error(body)?))),
            b'N' => {}
            b'Z' => break,
            tag => return Err(unexpected(tag)),
        }
    }
    frames.established = true;
    let encrypted = transport.is_encrypted();
    let cancel = CancelToken::new(config, host, address, encrypted, pid, key);
    let server = Server::new(config, host, address, encrypted, pid);
    let connection = Connection::new(transport, frames, parameters, cancel, server, config);
    Ok(connection.authenticated_by(authentication.method()))
}

fn startup_parameters(config: &ConnectConfig) -> Vec<(&str, &str)> {
    let mut parameters = vec![
        ("user", &config.user[..]),
        ("database", &config.dbname),
        ("client_encoding", "UTF8"),
        ("application_name", &config.application_name),
    ];
    if config.replication {
        parameters.push(("replication", "database"));
    }
    parameters.extend(config.options.iter().map(|(name, value)| (&name[..], &value[..])));
    parameters
}

fn next_message(frames: &mut FrameReader, transport: &Transport, deadline: Deadline) -> Result<RawMessage, PgError> {
    loop {
        // Endless notices must not outlive the deadline, though each of them is progress.
        if deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline) {
            return Err(timed_out());
        }
        if let Some(message) = frames.take()? {
            return Ok(message);
        }
        if frames.fill(transport, deadline)? == Filled::Nothing {
            return Err(timed_out());
        }
    }
}

fn timed_out() -> PgError {
    PgError::timed_out("the server did not finish the connection's startup in time")
}

fn unexpected(tag: u8) -> PgError {
    PgError::garbled(format!("unexpected message type {:?} during startup", char::from(tag)))
}
