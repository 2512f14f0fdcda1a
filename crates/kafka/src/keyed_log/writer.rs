//! The writing side: one client for any number of topics, made when it is first needed and anew after an error that it
//! does not get over.
//!
//! Invariant: when `write` returns `Ok`, every record is on all in-sync replicas, and committed where the client is
//! transactional; when it returns an error in a transaction, none of them will ever be read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::StoreError;

use super::store_error;
use crate::client_config::ClientOptions;
use crate::deliveries::Deliveries;
use crate::kept::{Kept, KeptError, Kind, Until, millis};

const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bound on what waits in the client; records of a worker's state are few and small.
const QUEUE_KIB_MAX: &str = "4096";
/// `RD_KAFKA_PARTITION_UA`: the client's partitioner decides, which must be `murmur2_random`.
const PARTITION_BY_KEY: i32 = -1;

pub struct LogWriter {
    options: ClientOptions,
    transactional_id: Option<String>,
    may_open: Option<MayOpen>,
    state: Mutex<State>,
}

/// Asked before a client is opened that fences others.
type MayOpen = Arc<dyn Fn() -> Result<(), StoreError> + Send + Sync>;

#[derive(Default)]
struct State {
    client: Option<Client>,
    /// Once fenced, always fenced: coming back would fence the one that has taken over.
    fenced: Option<StoreError>,
}

struct Client {
    kept: Kept,
    deliveries: Arc<Deliveries>,
}

impl LogWriter {
    /// `options` are those of a producer. With a transactional id every `write` is a transaction of its own.
    pub fn new(options: ClientOptions, transactional_id: Option<String>) -> Self {
        Self { options, transactional_id, may_open: None, state: Mutex::default() }
    }

    /// Opens a client only when `may_open` agrees: a new one fences whoever has the transactional id.
    pub fn guarded_by(mut self, may_open: Arc<dyn Fn() -> Result<(), StoreError> + Send + Sync>) -> Self {
        self.may_open = Some(may_open);
        self
    }

    /// Takes over now, rather than with the first write: when this returns, writers with the same transactional id
    /// that were there before are fenced, and what they had open is aborted.
    pub fn open(&self) -> Result<(), StoreError> {
        self.with_client("the transactional id of the group", |_| Ok(()))
    }

    pub fn is_transactional(&self) -> bool {
        self.transactional_id.is_some()
    }

    /// From now on every write fails with this.
    pub fn fence(&self, reason: StoreError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.client = None;
        state.fenced.get_or_insert(reason);
    }

    pub fn write(&self, topic: &str, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.with_client(&format!("topic {topic} cannot be written"), |client| {
            if self.is_transactional() {
                client.write_in_transaction(topic, records)
            } else {
                client.write(topic, records)
            }
        })
    }

    /// One caller at a time. After an error the client is given up: the next call begins with a new one.
    fn with_client(&self, what: &str, work: impl FnOnce(&Client) -> Result<(), KeptError>) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.fenced {
            return Err(error.clone());
        }
        let client = match state.client.take() {
            Some(client) => Ok(client),
            None => {
                if let Some(may_open) = self.may_open.as_ref().filter(|_| self.is_transactional()) {
                    may_open()?;
                }
                Client::open(&self.options, self.transactional_id.as_deref())
            }
        };
        let outcome = client.and_then(|client| work(&client).map(|()| client));
        match outcome {
            Ok(client) => {
                state.client = Some(client);
                Ok(())
            }
            Err(error) => {
                let error = store_error(&error, what);
                if matches!(error, StoreError::Fenced(_)) {
                    state.fenced = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

impl Client {
    fn open(options: &ClientOptions, transactional_id: Option<&str>) -> Result<Self, KeptError> {
        let mut config = options.kept("walspring-store").map_err(|error| KeptError {
            text: error.to_string(),
            ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
        })?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX)
            .remove("message.timeout.ms");
        if let Some(id) = transactional_id {
            config.set("transactional.id", id);
        }
        let deliveries = Arc::<Deliveries>::default();
        let heard = deliveries.clone();
        let kept = Kept::open(Kind::Producer, &config, options, Some(Box::new(move |delivery| heard.add(delivery))))?;
        let client = Self { kept, deliveries };
        if transactional_id.is_some() {
            client.repeated(|ms| {
                // SAFETY: the handle lives.
                unsafe { rdsys::rd_kafka_init_transactions(client.kept.ptr(), ms) }
            })?;
        }
        Ok(client)
    }

    /// A call on transactions, made again while the client says that it may be.
    fn repeated(&self, call: impl Fn(i32) -> *mut rdsys::rd_kafka_error_t) -> Result<(), KeptError> {
        let until = Until::after(WRITE_TIMEOUT);
        loop {
            // SAFETY: the error is ours.
            match unsafe { KeptError::take(call(millis(until.left()))) } {
                Err(error) if error.retriable && !until.is_over() => {}
                outcome => return outcome.map_err(|error| self.kept.explained(error)),
            }
        }
    }

    fn write_in_transaction(&self, topic: &str, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), KeptError> {
        // SAFETY: the handle lives; the error is ours.
        unsafe { KeptError::take(rdsys::rd_kafka_begin_transaction(self.kept.ptr())) }
            .map_err(|error| self.kept.explained(error))?;
        let written = self.write(topic, records);
        let outcome = written.and_then(|()| {
            // SAFETY: as above.
            self.repeated(|ms| unsafe { rdsys::rd_kafka_commit_transaction(self.kept.ptr(), ms) })
        });
        if let Err(error) = &outcome
            && !error.fatal
            && !error.is_fenced()
        {
            // SAFETY: as above. If this fails, the next client with the same id aborts it.
            let _ = unsafe { KeptError::take(rdsys::rd_kafka_abort_transaction(self.kept.ptr(), 5000)) };
        }
        outcome
    }

    fn write(&self, topic: &str, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), KeptError> {
        let round = self.deliveries.begin();
        for (key, value) in records {
            produce(&self.kept, topic, key, value.as_deref(), round).map_err(|error| self.kept.explained(error))?;
        }
        // A fenced client reports each record as purged; why, only the client as a whole knows.
        self.deliveries.wait(records.len(), WRITE_TIMEOUT, "writing").map_err(|error| self.kept.explained(error))
    }
}

/// Hands a record over; the client copies it, and takes the partition that the hash of its key says.
pub(crate) fn produce(
    kept: &Kept,
    topic: &str,
    key: &[u8],
    value: Option<&[u8]>,
    number: usize,
) -> Result<(), KeptError> {
    use rdsys::rd_kafka_vtype_t::*;
    let name =
        std::ffi::CString::new(topic).map_err(|_| KeptError::of_code(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION))?;
    let (payload, len) = value.map_or((std::ptr::null(), 0), |value| (value.as_ptr(), value.len()));
    // An empty Rust slice's address is no null: an empty value stays apart from none.
    // SAFETY: the list is as the function wants it, ended by END; everything in it outlives the call.
    let code = unsafe {
        rdsys::rd_kafka_producev(
            kept.ptr(),
            RD_KAFKA_VTYPE_TOPIC,
            name.as_ptr(),
            RD_KAFKA_VTYPE_PARTITION,
            PARTITION_BY_KEY,
            RD_KAFKA_VTYPE_MSGFLAGS,
            rdsys::RD_KAFKA_MSG_F_COPY,
            RD_KAFKA_VTYPE_KEY,
            key.as_ptr(),
            key.len(),
            RD_KAFKA_VTYPE_VALUE,
            payload,
            len,
            RD_KAFKA_VTYPE_OPAQUE,
            number,
            RD_KAFKA_VTYPE_END,
        )
    };
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(KeptError::of_code(code)) }
}
