//! The connection of a task: opened when it is needed, closed at the first error, because after one nobody knows which
//! answer belongs to which command.

use std::time::Duration;

use redis::{Client, Value};
use walspring_connect::TaskError;

use crate::errors::{connection_error, server_error};
use crate::pipeline::write_command;

pub struct Connection {
    client: Client,
    address: String,
    timeout: Duration,
    open: Option<redis::Connection>,
}

impl Connection {
    pub fn new(client: Client, address: String, timeout: Duration) -> Connection {
        Connection { client, address, timeout, open: None }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends commands and reads as many answers. Errors of the server are among the answers.
    pub fn exchange(&mut self, commands: &[u8], answers: usize) -> Result<Vec<Value>, TaskError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().map_err(|e| connection_error(&e, &self.address))?,
        };
        let result = exchange(&mut open, commands, answers).map_err(|e| connection_error(&e, &self.address))?;
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
                Err(server_error(&error, &self.address).into_task_error())
            }
            Some(value) => Ok(value),
            None => Ok(Value::Nil),
        }
    }

    /// The next command opens another: the server's name may lead elsewhere by then.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn connect(&self) -> Result<redis::Connection, redis::RedisError> {
        let open = self.client.get_connection_with_timeout(self.timeout)?;
        open.set_read_timeout(Some(self.timeout))?;
        open.set_write_timeout(Some(self.timeout))?;
        Ok(open)
    }
}

fn exchange(open: &mut redis::Connection, commands: &[u8], answers: usize) -> Result<Vec<Value>, redis::RedisError> {
    open.send_packed_command(commands)?;
    let mut values = Vec::with_capacity(answers);
    for _ in 0..answers {
        values.push(open.recv_response()?);
    }
    Ok(values)
}
