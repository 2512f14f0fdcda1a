//! Where a sink's poison records go: a topic, written by the kept client. Idempotent, acknowledged by all replicas, not in
//! a transaction.
//!
//! Invariant: when `write` returns `Ok`, all letters are on all in-sync replicas. After an error some may be there already;
//! they are written once more when the caller tries again.

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::{DeadLetter, DeadLetterQueue, StoreError};

use crate::admin::{Admin, NewTopic};
use crate::client_config::ClientOptions;
use crate::deliveries::Deliveries;
use crate::kept::{Kept, KeptError, Kind};
use crate::keyed_log::store_error;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bound on what waits in the client; a batch of letters beyond it is written in parts.
const QUEUE_KIB_MAX: &str = "8192";
/// Letters under way at once: about 4 MiB, or one that is larger.
const PART_BYTES: usize = 4 << 20;
/// `RD_KAFKA_PARTITION_UA`: by the hash of the key, at random without one.
const ANY_PARTITION: i32 = -1;

pub struct KafkaDeadLetters {
    options: ClientOptions,
    role: String,
    topic: String,
    client: Option<(Kept, Arc<Deliveries>)>,
}

/// Makes the topic where it is not there: one partition.
pub fn ensure_topic(
    options: &ClientOptions,
    role: &str,
    topic: &str,
    replication_factor: i16,
) -> Result<(), StoreError> {
    let failed = |error: KeptError| match error.code {
        Code::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR => StoreError::Definite(format!(
            "dead letter queue topic {topic} cannot be made: {error}; the cluster has fewer than {replication_factor} \
             brokers: set errors.deadletterqueue.topic.replication.factor, -1 for the broker's default"
        )),
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => {
            StoreError::Definite(format!(
                "dead letter queue topic {topic} may not be made: make it beforehand, or allow the operations CREATE and \
                 DESCRIBE on it ({error})"
            ))
        }
        _ => store_error(&error, &format!("dead letter queue topic {topic}")),
    };
    let admin = Admin::open(options, role).map_err(failed)?;
    if admin.partitions(topic, CALL_TIMEOUT).map_err(failed)?.is_some() {
        return Ok(());
    }
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: 1,
        replication_factor: i32::from(replication_factor),
        config: Default::default(),
    };
    admin.create_topic(&new, CALL_TIMEOUT).map(drop).map_err(failed)
}

impl KafkaDeadLetters {
    /// `options` are those of a producer; `role` names the client to the brokers.
    pub fn new(options: ClientOptions, role: String, topic: String) -> Self {
        Self { options, role, topic, client: None }
    }

    fn open(&self) -> Result<(Kept, Arc<Deliveries>), KeptError> {
        let mut config = self.options.kept(&self.role).map_err(|error| KeptError {
            text: error.to_string(),
            ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
        })?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX)
            .set("message.timeout.ms", WRITE_TIMEOUT.as_millis().to_string())
            .remove("transactional.id");
        let deliveries = Arc::<Deliveries>::default();
        let heard = deliveries.clone();
        let on_delivery = Box::new(move |delivery| heard.add(delivery));
        Ok((Kept::open(Kind::Producer, &config, &self.options, Some(on_delivery))?, deliveries))
    }
}

impl DeadLetterQueue for KafkaDeadLetters {
    fn write(&mut self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let failed = |error: KeptError| match error.code {
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => StoreError::Definite(format!(
                "dead letter queue topic {} may not be written: allow the operation WRITE on it ({error})",
                self.topic
            )),
            _ => store_error(&error, &format!("dead letter queue topic {}", self.topic)),
        };
        let (client, deliveries) = match self.client.take() {
            Some(client) => client,
            None => self.open().map_err(failed)?,
        };
        let mut rest = letters;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |letter: &&DeadLetter| {
                bytes += size(letter);
                bytes - size(letter) < PART_BYTES
            };
            let (part, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = later;
            let round = deliveries.begin();
            for letter in part {
                produce(&client, &self.topic, letter, round).map_err(|error| failed(client.explained(error)))?;
            }
            // After an error the client is given up, and with it what it still has.
            let delivered = deliveries.wait(part.len(), WRITE_TIMEOUT, "writing dead letters");
            delivered.map_err(|error| failed(client.explained(error)))?;
        }
        self.client = Some((client, deliveries));
        Ok(())
    }
}

fn size(letter: &DeadLetter) -> usize {
    let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = letter.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
    of(&letter.key) + of(&letter.value) + headers
}

/// Hands a letter over; the client copies it.
fn produce(kept: &Kept, topic: &str, letter: &DeadLetter, number: usize) -> Result<(), KeptError> {
    use rdsys::rd_kafka_vtype_t::*;
    let name = CString::new(topic).map_err(|_| KeptError::of_code(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION))?;
    // An empty slice's address is no null: an empty value stays apart from none.
    let parts = |bytes: &Option<Vec<u8>>| -> (*const c_void, usize) {
        bytes.as_deref().map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
    };
    let ((key, key_len), (value, value_len)) = (parts(&letter.key), parts(&letter.value));
    // SAFETY: the list is as the function wants it, ended by END; everything in it outlives the call. The headers are the
    // client's when it has taken the record, else ours to free.
    unsafe {
        let headers = rdsys::rd_kafka_headers_new(letter.headers.len());
        for (name, bytes) in &letter.headers {
            let (value, len) = parts(bytes);
            rdsys::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, value, len as isize);
        }
        let code = rdsys::rd_kafka_producev(
            kept.ptr(),
            RD_KAFKA_VTYPE_TOPIC,
            name.as_ptr(),
            RD_KAFKA_VTYPE_PARTITION,
            ANY_PARTITION,
            RD_KAFKA_VTYPE_MSGFLAGS,
            rdsys::RD_KAFKA_MSG_F_COPY,
            RD_KAFKA_VTYPE_KEY,
            key,
            key_len,
            RD_KAFKA_VTYPE_VALUE,
            value,
            value_len,
            RD_KAFKA_VTYPE_HEADERS,
            headers,
            RD_KAFKA_VTYPE_TIMESTAMP,
            // 0: now.
            letter.timestamp_ms.unwrap_or(0),
            RD_KAFKA_VTYPE_OPAQUE,
            number,
            RD_KAFKA_VTYPE_END,
        );
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        rdsys::rd_kafka_headers_destroy(headers);
        Err(KeptError::of_code(code))
    }
}
