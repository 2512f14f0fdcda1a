//! A connection that is ready for queries.
//!
//! Invariant: between two public calls the connection is idle (the server waits for us), or it is marked as not usable
//! and every further call says why.

use super::alive::Server;
use super::backend;
use super::cancel::CancelToken;
use super::config::ConnectConfig;
use super::copy_out::CopyOut;
use super::error::PgError;
use super::frame_reader::{Filled, FrameReader, RawMessage};
use super::frontend;
use super::replication::{ReplicationStream, leaves_out};
use super::row::{Row, read_columns, read_row};
use super::socket::{Deadline, deadline_in};
use super::transport::Transport;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a request may take to leave when the server does not read.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows of one simple query may take this much memory: catalogs and settings need a thousandth of it; tables are read
/// with [`Connection::copy_out`].
const RESULT_BYTES_MAX: usize = 1 << 30;

/// What a row takes beside its text: the row itself, and the span of each value.
const ROW_BYTES: usize = 64;
const SPAN_BYTES: usize = 24;
/// A server has reason for a message or two where nothing more is due, and in a reply for one a statement that has no rows. One
/// that sends them without end holds nobody.
const EXTRA_MESSAGES_MAX: usize = 100_000;

/// A blocking connection. Not for several threads at once.
pub struct Connection {
    pub(crate) transport: Arc<Transport>,
    pub(crate) frames: FrameReader,
    parameters: Parameters,
    cancel: CancelToken,
    server: Server,
    read_timeout: Option<Duration>,
    silence_max: Option<Duration>,
    /// A replication stream runs: a notice may mean that changes are missing.
    pub(crate) streams: bool,
    /// Why the connection cannot be used any more.
    unusable: Option<String>,
    transaction_status: u8,
    password_method: Option<&'static str>,
}

/// Settings the server reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// More than PostgreSQL reports (14), extensions included; a bound for a hostile server.
const PARAMETERS_MAX: usize = 256;
/// Of a name and its value together; the longest that one may set and have reported is a list of some names.
const PARAMETER_BYTES_MAX: usize = 16 * 1024;

impl Parameters {
    pub fn set(&mut self, (name, value): (String, String)) {
        if name.len() + value.len() > PARAMETER_BYTES_MAX {
            return;
        }
        match self.0.iter().position(|(known, _)| *known == name) {
            Some(at) => self.0[at].1 = value,
            None if self.0.len() < PARAMETERS_MAX => self.0.push((name, value)),
            None => {}
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }
}

impl Connection {
    /// Connects to the first address that answers and lets us in. Hosts are resolved anew.
    pub fn connect(config: &ConnectConfig) -> Result<Self, PgError> {
        Self::connect_any(config).map(|(connection, _)| connection)
    }

    /// The same, and at which place of `config.hosts` it was.
    pub fn connect_any(config: &ConnectConfig) -> Result<(Self, usize), PgError> {
        super::connect::connect_any(config)
    }

    pub(crate) fn new(
        transport: Arc<Transport>,
        frames: FrameReader,
        parameters: Parameters,
        cancel: CancelToken,
        server: Server,
        config: &ConnectConfig,
    ) -> Self {
        Self {
            transport,
            frames,
            parameters,
            cancel,
            server,
            read_timeout: config.read_timeout,
            silence_max: config.silence_max,
            streams: false,
            unusable: None,
            transaction_status: b'I',
            password_method: None,
        }
    }

    pub(crate) fn authenticated_by(mut self, password_method: Option<&'static str>) -> Self {
        self.password_method = password_method;
        self
    }

    /// How the server had our password proven, as in pg_hba.conf, or `scram-sha-256-plus`; `None` if it did not ask.
    pub fn password_method(&self) -> Option<&'static str> {
        self.password_method
    }

    /// When the server's certificate runs out, in seconds since 1970; `None` without TLS.
    pub fn peer_certificate_end(&self) -> Option<i64> {
        super::certificate::not_after(&self.transport.peer_certificate()?)
    }

    /// A setting the server reports by itself: `server_version`, `server_encoding`, `TimeZone`, `in_hot_standby` (14
    /// and later), …; the latest value seen.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
    }

    /// The server's version as `server_version_num` has it: 150020 for 15.20. 0 if it did not tell.
    pub fn server_version_num(&self) -> u32 {
        let version = self.parameter("server_version").unwrap_or_default();
        let digits =
            |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
        let mut parts = version.split(['.', ' ']);
        let major: u32 = parts.next().map_or(0, digits);
        let minor: u32 = parts.next().map_or(0, digits);
        major.saturating_mul(10_000).saturating_add(minor)
    }

    /// Process id of the server's backend, as in `pg_stat_activity.pid`.
    pub fn backend_pid(&self) -> i32 {
        self.cancel.backend_pid()
    }

    /// For cancelling, from another thread, what this connection is doing.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Whether the connection runs under TLS.
    pub fn is_encrypted(&self) -> bool {
        self.transport.is_encrypted()
    }

    /// Whether a transaction block is open, failed or not.
    pub fn in_transaction(&self) -> bool {
        self.transaction_status != b'I'
    }

    /// Whether the connection can take another request.
    pub fn is_usable(&self) -> bool {
        self.unusable.is_none() && !self.transport.is_broken()
    }

    /// Changes how long to wait in silence for a reply. `None`: for ever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Changes after what silence the server is asked on another connection whether it still works on the reply.
    pub fn set_silence_max(&mut self, silence: Option<Duration>) {
        self.silence_max = silence;
    }

    /// Runs the statements and returns the rows of the last one that has any, all in memory.
    /// After a [`PgError::Server`] that is not fatal the connection goes on.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, PgError> {
        let mut rows = Vec::new();
        self.simple_query(sql, |result| match result {
            QueryPart::Columns => rows.clear(),
            QueryPart::Row(row) => rows.push(row),
        })?;
        Ok(rows)
    }

    /// The only row of a query; none, or more than one, is an error.
    pub fn query_one(&mut self, sql: &str) -> Result<Row, PgError> {
        let mut rows = self.query(sql)?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (row, others) => {
                let found = others + usize::from(row.is_some());
                Err(PgError::Protocol(format!("the query gave {found} rows where one was expected")))
            }
        }
    }

    /// The only row of a query, if there is one; more than one is an error.
    pub fn query_opt(&mut self, sql: &str) -> Result<Option<Row>, PgError> {
        let mut rows = self.query(sql)?;
        match (rows.pop(), rows.len()) {
            (row, 0) => Ok(row),
            (_, others) => Err(PgError::Protocol(format!("the query gave {} rows where one was expected", others + 1))),
        }
    }

    /// Runs the statements and drops their rows.
    pub fn batch_execute(&mut self, sql: &str) -> Result<(), PgError> {
        self.simple_query(sql, |_| {})
    }

    /// Runs a `COPY … TO STDOUT`.
    pub fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, PgError> {
        self.send_query(sql)?;
        self.expect_reply(b'H', "COPY … TO STDOUT")?;
        Ok(CopyOut::new(self))
    }

    /// Runs a `START_REPLICATION …`; needs [`ConnectConfig::replication`].
    pub fn start_replication(mut self, sql: &str) -> Result<ReplicationStream, PgError> {
        self.send_query(sql)?;
        self.expect_reply(b'W', "START_REPLICATION")?;
        Ok(ReplicationStream::new(self))
    }

    /// Waits for the one message that opens a COPY.
    fn expect_reply(&mut self, wanted: u8, statement: &str) -> Result<(), PgError> {
        for _ in 0..EXTRA_MESSAGES_MAX {
            let message = self.next_message()?;
            match message.tag {
                tag if tag == wanted => return Ok(()),
                b'E' => return Err(self.finish_with_error(message)),
                b'Z' => {
                    self.ready(message);
                    return Err(PgError::Protocol(format!("the statement is no {statement}")));
                }
                b'T' | b'D' | b'C' | b'I' => {}
                tag => return Err(self.lose(unexpected(tag))),
            }
        }
        Err(self.lose(endless()))
    }

    fn simple_query(&mut self, sql: &str, mut each: impl FnMut(QueryPart)) -> Result<(), PgError> {
        self.send_query(sql)?;
        let mut columns: Arc<[_]> = Arc::new([]);
        let (mut bytes, mut extra) = (0, 0);
        let mut refused = None;
        loop {
            let message = self.next_message()?;
            let body = self.frames.bytes(message.body.clone());
            extra += usize::from(message.tag != b'D');
            if extra > EXTRA_MESSAGES_MAX {
                return Err(self.lose(endless()));
            }
            match message.tag {
                b'T' => {
                    columns = read_columns(body).map_err(|error| self.lose(error))?;
                    each(QueryPart::Columns);
                }
                b'D' => {
                    bytes += body.len() + ROW_BYTES + SPAN_BYTES * columns.len();
                    if bytes > RESULT_BYTES_MAX {
                        return Err(self.lose(PgError::Protocol("the query's result is larger than 1 GiB".to_owned())));
                    }
                    each(QueryPart::Row(read_row(body, &columns).map_err(|error| self.lose(error))?));
                }
                b'E' => return Err(self.finish_with_error(message)),
                b'Z' => {
                    self.ready(message);
                    return refused.map_or(Ok(()), Err);
                }
                b'C' | b'I' => {}
                b'G' => {
                    let mut out = Vec::new();
                    frontend::copy_fail(&mut out, "COPY FROM STDIN is not supported")?;
                    self.send(&out)?;
                }
                b'H' => refused = Some(PgError::Protocol("COPY … TO STDOUT needs copy_out".to_owned())),
                b'd' | b'c' if refused.is_some() => {}
                tag => return Err(self.lose(unexpected(tag))),
            }
        }
    }

    fn send_query(&mut self, sql: &str) -> Result<(), PgError> {
        if let Some(reason) = &self.unusable {
            return Err(PgError::io(format!("the connection cannot be used any more: {reason}"), broken_pipe()));
        }
        let mut out = Vec::with_capacity(sql.len() + 6);
        frontend::query(&mut out, sql)?;
        self.send(&out)
    }

    pub(crate) fn send(&mut self, message: &[u8]) -> Result<(), PgError> {
        let sent = self.transport.write_all(message, Some(Instant::now() + WRITE_TIMEOUT));
        sent.map_err(|error| self.lose(error))
    }

    /// The next message that is a reply; notices and parameter changes are dealt with here.
    pub(crate) fn next_message(&mut self) -> Result<RawMessage, PgError> {
        let end = deadline_in(self.read_timeout);
        loop {
            let (look, read) = (deadline_in(self.silence_max), self.frames.read);
            let deadline = [end, look].into_iter().flatten().min();
            if let Some(message) = self.next_message_until(deadline)? {
                return Ok(message);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(self.lose(PgError::timed_out("the server was silent for too long")));
            }
            if self.frames.read == read {
                self.check_alive(self.silence_max)?;
            }
        }
    }

    /// After a silence: an error if the server does not work on anything for this connection, or cannot be asked within
    /// `limit`. What came meanwhile is an answer too.
    pub(crate) fn check_alive(&mut self, limit: Option<Duration>) -> Result<(), PgError> {
        let read = self.frames.read;
        let Err(dead) = self.server.ask(limit.unwrap_or(WRITE_TIMEOUT)) else { return Ok(()) };
        let _ = self.frames.try_fill(&self.transport).map_err(|error| self.lose(error))?;
        if self.frames.read == read { Err(self.lose(dead)) } else { Ok(()) }
    }

    /// As [`Connection::next_message`]; `None` if the deadline passed.
    pub(crate) fn next_message_until(&mut self, deadline: Deadline) -> Result<Option<RawMessage>, PgError> {
        loop {
            let taken = self.frames.take();
            match taken.map_err(|error| self.lose(error))? {
                Some(message) if matches!(message.tag, b'N' | b'S' | b'A') => {
                    self.receive_async(message)?;
                    // However many notices come, the deadline holds.
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Ok(None);
                    }
                }
                Some(message) => return Ok(Some(message)),
                None => {
                    let filled = self.frames.fill(&self.transport, deadline);
                    if filled.map_err(|error| self.lose(error))? == Filled::Nothing {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes a message that may come at any time: notice, parameter status, notification.
    pub(crate) fn receive_async(&mut self, message: RawMessage) -> Result<(), PgError> {
        let body = self.frames.bytes(message.body);
        match message.tag {
            b'S' => match backend::parameter_status(body) {
                Ok(parameter) => self.parameters.set(parameter),
                Err(error) => return Err(self.lose(error)),
            },
            b'N' => match backend::server_error(body) {
                Ok(notice) if self.streams && leaves_out(&notice) => {
                    return Err(self.lose(PgError::Server(Box::new(notice))));
                }
                Ok(notice) => {
                    tracing::debug!(severity = notice.severity, code = notice.code, "notice: {}", notice.message)
                }
                Err(error) => return Err(self.lose(error)),
            },
            _ => {}
        }
        Ok(())
    }

    /// Reads the error, and everything up to where the server is ready again.
    pub(crate) fn finish_with_error(&mut self, message: RawMessage) -> PgError {
        let error = match backend::server_error(self.frames.bytes(message.body)) {
            Ok(error) => error,
            Err(error) => return self.lose(error),
        };
        if error.is_fatal() {
            return self.lose(PgError::Server(Box::new(error)));
        }
        for _ in 0..EXTRA_MESSAGES_MAX {
            match self.next_message() {
                Ok(message) if message.tag == b'Z' => {
                    self.ready(message);
                    return PgError::Server(Box::new(error));
                }
                Ok(_) => {}
                // The connection is lost too, and marked so; the first error says more.
                Err(_) => return PgError::Server(Box::new(error)),
            }
        }
        self.lose(endless());
        PgError::Server(Box::new(error))
    }

    /// Takes a `ReadyForQuery`.
    pub(crate) fn ready(&mut self, message: RawMessage) {
        self.transaction_status = self.frames.bytes(message.body).first().copied().unwrap_or(b'I');
    }

    /// Marks the connection as not usable.
    pub(crate) fn lose(&mut self, error: PgError) -> PgError {
        self.unusable.get_or_insert_with(|| error.to_string());
        error
    }
}

enum QueryPart {
    /// A new result begins.
    Columns,
    Row(Row),
}

/// Says goodbye if that does not take waiting, and hangs up, though a [`super::StandbyWriter`] may hold the socket.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.transport.is_broken() {
            let _ = self.transport.write_all(frontend::TERMINATE, Some(Instant::now()));
        }
        self.transport.shutdown();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Connection");
        debug.field("backend_pid", &self.backend_pid()).field("unusable", &self.unusable).finish_non_exhaustive()
    }
}

pub(crate) fn endless() -> PgError {
    PgError::garbled("the server does not come to the end of its reply")
}

pub(crate) fn unexpected(tag: u8) -> PgError {
    PgError::garbled(format!("unexpected message type {:?} from the server", char::from(tag)))
}

fn broken_pipe() -> std::io::Error {
    std::io::ErrorKind::BrokenPipe.into()
}
