//! A task: batches of records to Redis.

use redis::Value;
use walspring_connect::{Outcome, PutError, SinkRecord, SinkTask, TaskError};

use crate::config::RedisSinkConfig;
use crate::connection::Connection;
use crate::errors::{Fault, server_error, too_few_replicas};
use crate::merge::Known;
use crate::operation::{Operation, Then};
use crate::pipeline::{Pipeline, write_command};
use crate::text::Texts;

/// Redis does nothing else while it executes a transaction: 1000 commands of the usual size take about 2 ms.
const RUN_RECORDS_MAX: usize = 500;
const RUN_BYTES_MAX: usize = 2 << 20;

pub struct RedisSinkTask {
    config: RedisSinkConfig,
    connection: Connection,
    texts: Texts,
}

impl RedisSinkTask {
    pub fn new(config: RedisSinkConfig) -> RedisSinkTask {
        let connection = Connection::new(config.server.clone(), config.timeout);
        RedisSinkTask { config, connection, texts: Texts::new() }
    }

    /// Writes a run in one pipeline. Records that Redis refuses are added to `poison`.
    fn write(&mut self, run: &[(usize, Operation)], poison: &mut Vec<(usize, TaskError)>) -> Result<(), TaskError> {
        let mut known = self.known(run)?;
        let mut pipeline = Pipeline::default();
        let atomic = self.config.transactions;
        if atomic {
            write_command(&mut pipeline.bytes, &[b"MULTI"]);
        }
        for (record, operation) in run {
            pipeline.push(*record, operation, &mut known);
        }
        let commands = pipeline.records.len();
        if commands == 0 {
            return Ok(());
        }
        if atomic {
            write_command(&mut pipeline.bytes, &[b"EXEC"]);
        }
        let mut answers = self.connection.exchange(&pipeline.bytes, commands + if atomic { 2 } else { 0 })?;
        if atomic {
            // What is refused before EXEC stops the whole transaction; EXEC's own error only says that something was.
            let executed = answers.pop();
            if let Some(Value::ServerError(error)) = answers.iter().find(|answer| is_error(answer)) {
                return Err(self.refused(server_error(error, self.connection.address())));
            }
            answers = match executed {
                Some(Value::Array(answers)) => answers,
                Some(Value::ServerError(error)) => {
                    return Err(self.refused(server_error(&error, self.connection.address())));
                }
                _ => Vec::new(),
            };
        }
        if answers.len() != commands {
            self.connection.close();
            let message = format!("Redis at {} answered another number of commands", self.connection.address());
            return Err(TaskError::transient("org.apache.kafka.connect.errors.RetriableException", message));
        }
        for (answer, record) in answers.iter().zip(&pipeline.records) {
            let Value::ServerError(error) = answer else { continue };
            match server_error(error, self.connection.address()) {
                Fault::Record(error) if poison.last().is_none_or(|(last, _)| last != record) => {
                    poison.push((*record, error));
                }
                Fault::Record(_) => {}
                fault => return Err(self.refused(fault)),
            }
        }
        Ok(())
    }

    fn refused(&mut self, fault: Fault) -> TaskError {
        self.connection.close();
        fault.into_task_error()
    }

    /// Reads the texts that operations of the run take unchanged columns from.
    fn known(&mut self, run: &[(usize, Operation)]) -> Result<Known, TaskError> {
        let mut known = Known::default();
        let wanted = Known::wanted(run.iter().map(|(_, operation)| operation));
        if wanted.is_empty() {
            return Ok(known);
        }
        let parts: Vec<&[u8]> = [&b"MGET"[..]].into_iter().chain(wanted.iter().map(|key| &**key)).collect();
        let Value::Array(texts) = self.connection.ask(&parts)? else { return Ok(known) };
        for (key, text) in wanted.into_iter().zip(texts) {
            known.read(key, if let Value::BulkString(text) = text { Some(text) } else { None });
        }
        Ok(known)
    }

    /// Reads the unchanged fields of a row whose key changes: they are under the old one.
    fn take_along(&mut self, operation: &mut Operation) -> Result<(), TaskError> {
        let Some((old, names)) = operation.taken_along() else { return Ok(()) };
        let names = names.iter().map(|name| &**name);
        let parts: Vec<&[u8]> = [&b"HMGET"[..], old].into_iter().chain(names).collect();
        // A key with something else in it is found out by what is written to it.
        let values = match self.connection.look(&parts)? {
            Some(Value::Array(values)) => values,
            _ => return Ok(()),
        };
        if let Then::Hash { set, unchanged, .. } = &mut operation.then {
            for (name, value) in unchanged.iter().zip(values) {
                // After a repetition it is under the new key already.
                if let Value::BulkString(value) = value {
                    set.push((name.clone(), value));
                }
            }
        }
        Ok(())
    }

    fn wait_for_replicas(&mut self) -> Result<(), TaskError> {
        let Some((replicas, wait)) = self.config.replicas else { return Ok(()) };
        let (count, wait) = (replicas.to_string(), wait.as_millis().to_string());
        match self.connection.ask(&[b"WAIT", count.as_bytes(), wait.as_bytes()])? {
            Value::Int(have) if have >= i64::from(replicas) => Ok(()),
            Value::Int(have) => Err(too_few_replicas(self.connection.address(), have, replicas)),
            _ => Err(too_few_replicas(self.connection.address(), 0, replicas)),
        }
    }
}

impl SinkTask for RedisSinkTask {
    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError> {
        let mut poison = Vec::new();
        let mut run: Vec<(usize, Operation)> = Vec::new();
        let (mut bytes, mut wrote) = (0, false);
        for (place, record) in records.iter().enumerate() {
            match Operation::of(&self.config, &self.texts, record) {
                Ok(Some(mut operation)) => {
                    if operation.taken_along().is_some() {
                        // What the operations before it write has to be there.
                        self.write(&run, &mut poison)?;
                        run.clear();
                        (bytes, wrote) = (0, true);
                        self.take_along(&mut operation)?;
                    }
                    outcomes.push(operation.outcome());
                    bytes += operation.size();
                    run.push((place, operation));
                }
                Ok(None) => outcomes.push(Outcome::Ignore),
                Err(error) => {
                    outcomes.push(Outcome::Ignore);
                    poison.push((place, error));
                }
            }
            if run.len() >= RUN_RECORDS_MAX || bytes >= RUN_BYTES_MAX || (place + 1 == records.len() && !run.is_empty())
            {
                self.write(&run, &mut poison)?;
                run.clear();
                (bytes, wrote) = (0, true);
            }
        }
        if wrote {
            self.wait_for_replicas()?;
        }
        if poison.is_empty() {
            return Ok(());
        }
        poison.sort_by_key(|(place, _)| *place);
        Err(PutError::Named(poison))
    }

    fn stop(&mut self) {
        self.connection.close();
    }
}

fn is_error(value: &Value) -> bool {
    matches!(value, Value::ServerError(_))
}
