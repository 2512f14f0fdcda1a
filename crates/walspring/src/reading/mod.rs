//! Records of a topic wherever they are: in the embedded log's files, behind a worker's REST, on Kafka.

pub mod kafka;
pub mod log_files;
pub mod worker;

use std::path::PathBuf;
use std::time::Duration;

use walspring_log::StoredRecord;

use crate::failure::Failure;
use crate::wiring::backend;

/// Where reading begins, in every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Beginning,
    End,
    Offset(i64),
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        match text {
            "beginning" => Ok(From::Beginning),
            "end" => Ok(From::End),
            _ => match text.parse() {
                Ok(offset) if offset >= 0 => Ok(From::Offset(offset)),
                _ => Err("beginning, end or an offset is expected".into()),
            },
        }
    }
}

pub struct Request<'r> {
    pub topic: &'r str,
    /// All when not given.
    pub partition: Option<i32>,
    pub from: From,
    /// Never ends by itself.
    pub follow: bool,
}

/// Reads on; may wait.
pub trait Records {
    /// What has come; nothing within `wait`; or `None`: there will be no more.
    fn read(&mut self, wait: Duration) -> Result<Option<Vec<StoredRecord>>, Failure>;
}

/// Where topics are.
pub enum Place {
    DataDir(PathBuf),
    Worker(String),
    Kafka(std::collections::BTreeMap<String, String>),
}

/// The worker on this machine, and where its log is by default.
const LOCAL_WORKER: &str = "http://127.0.0.1:8083";

impl Place {
    /// Nothing was said: the log in its usual place, else the worker on this machine.
    pub fn usual() -> Result<Place, Failure> {
        let given = std::env::var_os("WALSPRING_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let dir = backend::data_dir(given)?;
        if dir.exists() { Ok(Place::DataDir(dir)) } else { Ok(Place::Worker(LOCAL_WORKER.to_owned())) }
    }

    pub fn open(&self, request: &Request<'_>) -> Result<Box<dyn Records>, Failure> {
        match self {
            Place::DataDir(dir) => Ok(Box::new(log_files::open(dir, request)?)),
            Place::Worker(url) => Ok(Box::new(worker::open(url, request)?)),
            Place::Kafka(properties) => Ok(Box::new(kafka::open(properties, request)?)),
        }
    }

    /// Names, and how many records each has at most.
    pub fn topics(&self) -> Result<Vec<(String, i64)>, Failure> {
        match self {
            Place::DataDir(dir) => log_files::topics(dir),
            Place::Worker(url) => worker::topics(url),
            Place::Kafka(_) => Err(Failure::invalid("topics of Kafka are not listed here: ask Kafka's own tools")),
        }
    }
}

/// The offset to begin at, within what the partition has.
fn first_offset(from: From, start: i64, end: i64) -> i64 {
    match from {
        From::Beginning => start,
        From::End => end,
        From::Offset(offset) => offset.clamp(start, end),
    }
}
