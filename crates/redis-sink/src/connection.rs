//! The connection of a task: opened when it is needed, closed at the first error, because after one nobody knows which
//! answer belongs to which command.

use std::time::Duration;

use redis::Value;
use walspring_connect::TaskError;

use crate::config::Server;
use crate::errors::{Fault, connection_error, server_error};
use crate::pipeline::write_command;

pub struct Connection {
    server: Server,
    timeout: Duration,
    open: Option<redis::Connection>,
}

impl Connection {
    pub fn new(server: Server, timeout: Duration) -> Connection {
        Connection { server, timeout, open: None }
    }

    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// Sends commands and reads as many answers. Errors of the server are among the answers.
    pub fn exchange(&mut self, commands: &[u8], answers: usize) -> Result<Vec<Value>, TaskError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        let result = exchange(&mut open, commands, answers).map_err(|e| connection_error(&e, self.address()))?;
        self.open = Some(open);
        Ok(result)
    }

    /// One command; the server's error is an error.
    pub fn ask(&mut self, command: &[&[u8]]) -> Result<Value, TaskError> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, command);
        match self.exchange(&bytes, 1)?.pop() {
            Some(Value::ServerError(error)) => {
                self.close();
                Err(server_error(&error, self.address()).into_task_error())
            }
            Some(value) => Ok(value),
            None => Ok(Value::Nil),
        }
    }

    /// As `ask`; `None` where the key holds something of another type.
    pub fn look(&mut self, command: &[&[u8]]) -> Result<Option<Value>, TaskError> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, command);
        match self.exchange(&bytes, 1)?.pop() {
            Some(Value::ServerError(error)) => match server_error(&error, self.address()) {
                Fault::Record(_) => Ok(None),
                Fault::Task(error) => {
                    self.close();
                    Err(error)
                }
            },
            value => Ok(value),
        }
    }

    /// The next command opens another: the server's name may lead elsewhere by then.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn connect(&self) -> Result<redis::Connection, TaskError> {
        let failed = |e: redis::RedisError| connection_error(&e, self.address());
        let mut open = self.server.client.get_connection_with_timeout(self.timeout).map_err(failed)?;
        open.set_read_timeout(Some(self.timeout)).map_err(failed)?;
        open.set_write_timeout(Some(self.timeout)).map_err(failed)?;
        let (mut commands, mut answers) = (Vec::new(), 0);
        if let Some(password) = &self.server.password {
            // Servers before 6 have no users.
            let user = self.server.user.iter().map(String::as_bytes);
            let parts: Vec<&[u8]> =
                [&b"AUTH"[..]].into_iter().chain(user).chain([password.expose().as_bytes()]).collect();
            write_command(&mut commands, &parts);
            answers += 1;
        }
        if self.server.database != 0 {
            write_command(&mut commands, &[b"SELECT", self.server.database.to_string().as_bytes()]);
            answers += 1;
        }
        for answer in exchange(&mut open, &commands, answers).map_err(failed)? {
            if let Value::ServerError(error) = answer {
                return Err(server_error(&error, self.address()).into_task_error());
            }
        }
        Ok(open)
    }
}

fn exchange(open: &mut redis::Connection, commands: &[u8], answers: usize) -> Result<Vec<Value>, redis::RedisError> {
    if answers == 0 {
        return Ok(Vec::new());
    }
    open.send_packed_command(commands)?;
    let mut values = Vec::with_capacity(answers);
    for _ in 0..answers {
        values.push(open.recv_response()?);
    }
    Ok(values)
}
