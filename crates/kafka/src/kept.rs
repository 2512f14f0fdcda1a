//! The kept client, librdkafka, as the parts of this crate use it: opened, served by one thread of its own, closed.
//!
//! The raw bindings are used rather than the wrapper's clients, because those poll in steps of 100 ms (a commit would
//! take that long), and do not serve token refreshes on admin clients. All `unsafe` about the client's handle is here.
//!
//! Invariant: the thread is gone before the handle is destroyed, and callbacks run on that thread only.

use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka_sys as rdsys;
use rdsys::rd_kafka_resp_err_t as Code;
use walspring_connect::threads;

use crate::client_config::tokens::Tokens;
use crate::client_config::{ClientOptions, LoginOptions};

/// An error of the kept client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct KeptError {
    pub code: Code,
    pub text: String,
    /// The client is of no use any more.
    pub fatal: bool,
    /// The open transaction must be aborted.
    pub requires_abort: bool,
    /// The same call may succeed if it is made again.
    pub retriable: bool,
}

impl KeptError {
    pub fn of_code(code: Code) -> Self {
        // SAFETY: returns a static text for every code.
        let text = unsafe { text(rdsys::rd_kafka_err2str(code)) };
        Self { code, text, fatal: false, requires_abort: false, retriable: false }
    }

    pub fn timed_out(what: &str) -> Self {
        Self { text: format!("{what} has timed out"), ..Self::of_code(Code::RD_KAFKA_RESP_ERR__TIMED_OUT) }
    }

    /// A newer client with the same transactional id is there.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self.code,
            Code::RD_KAFKA_RESP_ERR__FENCED
                | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
                | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
        )
    }

    /// The record was given up because of something else.
    pub fn is_purge(&self) -> bool {
        matches!(self.code, Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE | Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
    }

    /// Will not go away by itself: rights, settings, sizes.
    pub fn is_definite(&self) -> bool {
        matches!(
            self.code,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
                | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
                | Code::RD_KAFKA_RESP_ERR_INVALID_CONFIG
                | Code::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS
                | Code::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR
                | Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION
                | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
                | Code::RD_KAFKA_RESP_ERR__INVALID_ARG
                | Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT
        )
    }

    /// Takes over an error object, which may be null.
    ///
    /// # Safety
    /// `error` is null or an error that nobody else frees.
    pub unsafe fn take(error: *mut rdsys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, and freed once, after its last use.
        unsafe {
            let taken = Self {
                code: rdsys::rd_kafka_error_code(error),
                text: text(rdsys::rd_kafka_error_string(error)),
                fatal: rdsys::rd_kafka_error_is_fatal(error) != 0,
                requires_abort: rdsys::rd_kafka_error_txn_requires_abort(error) != 0,
                retriable: rdsys::rd_kafka_error_is_retriable(error) != 0,
            };
            rdsys::rd_kafka_error_destroy(error);
            Err(taken)
        }
    }
}

/// What came of a produced record: the number it was sent with, and where it is now.
pub struct Delivery {
    pub number: usize,
    pub result: Result<i64, KeptError>,
}

/// Hears of deliveries, on the client's thread: must not block.
pub type OnDelivery = Box<dyn Fn(Delivery) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Producer,
    /// Reads, and makes admin calls: never creates a topic by asking for it.
    Consumer,
}

/// The handle and its main queue.
#[derive(Clone, Copy)]
struct Raw {
    client: *mut rdsys::rd_kafka_t,
    queue: *mut rdsys::rd_kafka_queue_t,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

pub struct Kept {
    raw: Raw,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    role: String,
    tokens: Option<Arc<Tokens>>,
    on_delivery: Option<OnDelivery>,
    closing: AtomicBool,
    /// The last trouble with connections: why a call that timed out got no answer.
    trouble: Mutex<Option<String>>,
}

impl Kept {
    pub fn open(
        kind: Kind,
        config: &ClientConfig,
        options: &ClientOptions,
        on_delivery: Option<OnDelivery>,
    ) -> Result<Self, KeptError> {
        Self::open_with(kind, config, options, on_delivery, |_| {})
    }

    /// As [`Self::open`]; `prepare` sets what only the raw configuration has, such as callbacks.
    pub fn open_with(
        kind: Kind,
        config: &ClientConfig,
        options: &ClientOptions,
        on_delivery: Option<OnDelivery>,
        prepare: impl FnOnce(*mut rdsys::rd_kafka_conf_t),
    ) -> Result<Self, KeptError> {
        let role = config.get("client.id").unwrap_or("walspring").to_owned();
        let invalid = |error: rdkafka::error::KafkaError| KeptError {
            text: error.to_string(),
            ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__INVALID_ARG)
        };
        let mut config = config.clone();
        config.set("log.queue", "true");
        let native = config.create_native_config().map_err(invalid)?;
        let mut events = rdsys::RD_KAFKA_EVENT_ERROR | rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
        if on_delivery.is_some() {
            events |= rdsys::RD_KAFKA_EVENT_DR;
        }
        let native_kind = match kind {
            Kind::Producer => rdsys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Kind::Consumer => rdsys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let mut reason = [0 as c_char; 512];
        // SAFETY: on success the client owns the configuration, so it is given up; on failure it stays ours, and is
        // freed with `native`.
        let raw = unsafe {
            rdsys::rd_kafka_conf_set_events(native.ptr(), events);
            prepare(native.ptr());
            let client = rdsys::rd_kafka_new(native_kind, native.ptr(), reason.as_mut_ptr(), reason.len());
            if client.is_null() {
                // No more threads or descriptors: that passes. Everything else is the configuration.
                let code = match rdsys::rd_kafka_last_error() {
                    code @ Code::RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE => code,
                    _ => Code::RD_KAFKA_RESP_ERR__INVALID_ARG,
                };
                return Err(KeptError { text: text(reason.as_ptr()), ..KeptError::of_code(code) });
            }
            std::mem::forget(native);
            let queue = rdsys::rd_kafka_queue_get_main(client);
            rdsys::rd_kafka_set_log_queue(client, queue);
            Raw { client, queue }
        };
        let tokens = match &options.login {
            Some(LoginOptions::OAuthBearer { tokens }) => Some(tokens.clone()),
            _ => None,
        };
        let shared =
            Arc::new(Shared { role, tokens, on_delivery, closing: AtomicBool::new(false), trouble: Mutex::new(None) });
        let served = shared.clone();
        let thread = threads::spawn("kafka-kept", move || {
            // Whoever heard of it goes on being served until the client is closed.
            while catch_unwind(AssertUnwindSafe(|| served.serve(raw))).is_err() {}
        });
        match thread {
            Ok(thread) => Ok(Self { raw, shared, thread: Some(thread) }),
            Err(error) => {
                // SAFETY: nobody else has the handle.
                unsafe { close(raw) };
                Err(KeptError { text: error.to_string(), ..KeptError::of_code(Code::RD_KAFKA_RESP_ERR__FAIL) })
            }
        }
    }

    pub fn ptr(&self) -> *mut rdsys::rd_kafka_t {
        self.raw.client
    }

    /// The error, or what it only follows from: the fatal one of the whole client; of a time that is over, the last
    /// trouble of the connections.
    pub fn explained(&self, error: KeptError) -> KeptError {
        if let Some(fatal) = self.fatal() {
            return fatal;
        }
        let waited = matches!(
            error.code,
            Code::RD_KAFKA_RESP_ERR__TIMED_OUT
                | Code::RD_KAFKA_RESP_ERR__TRANSPORT
                | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
                | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
                | Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
        );
        match self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(trouble) if waited => KeptError { text: format!("{}: {trouble}", error.text), ..error },
            _ => error,
        }
    }

    /// After which the client is of no use: fenced, mostly.
    fn fatal(&self) -> Option<KeptError> {
        let mut reason = [0 as c_char; 512];
        // SAFETY: the handle lives, and the text is ended by the client.
        unsafe {
            let code = rdsys::rd_kafka_fatal_error(self.ptr(), reason.as_mut_ptr(), reason.len());
            (code != Code::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| KeptError {
                text: text(reason.as_ptr()),
                fatal: true,
                ..KeptError::of_code(code)
            })
        }
    }

    /// The shape of a topic as metadata has it. A producer's question makes the topic where the cluster allows that.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<i32, KeptError> {
        let handle = TopicHandle::new(self, topic)?;
        let mut metadata = ptr::null();
        // SAFETY: the handles live; what is returned is read before it is freed, and freed once.
        unsafe {
            let code = rdsys::rd_kafka_metadata(self.ptr(), 0, handle.ptr, &mut metadata, millis(timeout));
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(self.explained(KeptError::of_code(code)));
            }
            let found = slice((*metadata).topics, (*metadata).topic_cnt as usize)
                .iter()
                .map(|topic| (topic.err, topic.partition_cnt))
                .next();
            rdsys::rd_kafka_metadata_destroy(metadata);
            match found {
                Some((Code::RD_KAFKA_RESP_ERR_NO_ERROR, count)) if count > 0 => Ok(count),
                Some((Code::RD_KAFKA_RESP_ERR_NO_ERROR, _)) | None => {
                    Err(KeptError::of_code(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART))
                }
                Some((code, _)) => Err(KeptError::of_code(code)),
            }
        }
    }

    /// The names of all topics that may be seen.
    pub fn topic_names(&self, timeout: Duration) -> Result<Vec<String>, KeptError> {
        let mut metadata = ptr::null();
        // SAFETY: the handle lives; what is returned is read before it is freed, and freed once.
        unsafe {
            let code = rdsys::rd_kafka_metadata(self.ptr(), 1, ptr::null_mut(), &mut metadata, millis(timeout));
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(self.explained(KeptError::of_code(code)));
            }
            let names = slice((*metadata).topics, (*metadata).topic_cnt as usize)
                .iter()
                .filter(|topic| topic.partition_cnt > 0)
                .map(|topic| text(topic.topic))
                .collect();
            rdsys::rd_kafka_metadata_destroy(metadata);
            Ok(names)
        }
    }

    /// The identifier of the cluster.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        // SAFETY: the text is ours to free.
        unsafe {
            let id = rdsys::rd_kafka_clusterid(self.ptr(), millis(timeout));
            if id.is_null() {
                return None;
            }
            let owned = text(id);
            rdsys::rd_kafka_mem_free(self.ptr(), id.cast());
            Some(owned)
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // SAFETY: the queue lives until `close`, and the thread that uses it has ended before.
        unsafe {
            rdsys::rd_kafka_queue_yield(self.raw.queue);
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
            close(self.raw);
        }
    }
}

/// # Safety
/// Nobody uses the handle any more.
unsafe fn close(raw: Raw) {
    // SAFETY: the caller's promise. Nothing is left behind: a member of a group has left it before, and what a producer
    // still had in its queue was given up by whoever dropped it.
    unsafe {
        rdsys::rd_kafka_queue_destroy(raw.queue);
        rdsys::rd_kafka_destroy_flags(raw.client, rdsys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE as c_int);
    }
}

impl Shared {
    /// Until closing: log lines, errors, tokens, deliveries.
    fn serve(&self, raw: Raw) {
        while !self.closing.load(Ordering::Acquire) {
            // SAFETY: the queue lives as long as this thread; an event is used before it is destroyed, once.
            unsafe {
                let event = rdsys::rd_kafka_queue_poll(raw.queue, -1);
                if event.is_null() {
                    continue;
                }
                match rdsys::rd_kafka_event_type(event) {
                    rdsys::RD_KAFKA_EVENT_DR => self.deliveries(event),
                    rdsys::RD_KAFKA_EVENT_LOG => self.log(event),
                    rdsys::RD_KAFKA_EVENT_ERROR => {
                        let reason = text(rdsys::rd_kafka_event_error_string(event));
                        tracing::debug!(client = self.role, reason, "Kafka client");
                        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    }
                    rdsys::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => self.refresh_token(raw),
                    _ => {}
                }
                rdsys::rd_kafka_event_destroy(event);
            }
        }
    }

    /// # Safety
    /// `event` is a delivery report.
    unsafe fn deliveries(&self, event: *mut rdsys::rd_kafka_event_t) {
        let Some(on_delivery) = &self.on_delivery else { return };
        loop {
            // SAFETY: the messages live as long as the event.
            let message = unsafe { rdsys::rd_kafka_event_message_next(event).as_ref() };
            let Some(message) = message else { return };
            let result = match message.err {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(message.offset),
                code => Err(KeptError::of_code(code)),
            };
            on_delivery(Delivery { number: message._private as usize, result });
        }
    }

    /// # Safety
    /// `event` is a log line.
    unsafe fn log(&self, event: *mut rdsys::rd_kafka_event_t) {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the texts live as long as the event.
        unsafe {
            if rdsys::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) != 0 {
                return;
            }
            let (facility, line) = (text(facility), text(line));
            let client = self.role.as_str();
            match level {
                0..=3 => tracing::warn!(target: "librdkafka", client, facility, "{line}"),
                4..=5 => tracing::info!(target: "librdkafka", client, facility, "{line}"),
                _ => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
            }
        }
    }

    fn refresh_token(&self, raw: Raw) {
        let Some(tokens) = &self.tokens else { return };
        let mut reason = [0 as c_char; 512];
        let outcome = tokens.get().and_then(|token| {
            let expires_ms = token.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
            let text_c = CString::new(token.text).map_err(|_| "the token has a zero byte".to_owned())?;
            // SAFETY: the texts outlive the call.
            let code = unsafe {
                rdsys::rd_kafka_oauthbearer_set_token(
                    raw.client,
                    text_c.as_ptr(),
                    expires_ms,
                    c"walspring".as_ptr(),
                    ptr::null_mut(),
                    0,
                    reason.as_mut_ptr(),
                    reason.len(),
                )
            };
            match code {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
                // SAFETY: the client has ended the text.
                _ => Err(unsafe { text(reason.as_ptr()) }),
            }
        });
        if let Err(error) = outcome {
            tracing::warn!(client = self.role, error, "no OAUTHBEARER token; trying again");
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            if let Ok(error) = CString::new(error) {
                // SAFETY: as above. The client asks again after ten seconds.
                unsafe { rdsys::rd_kafka_oauthbearer_set_token_failure(raw.client, error.as_ptr()) };
            }
        }
    }
}

/// A topic's handle.
pub struct TopicHandle {
    pub ptr: *mut rdsys::rd_kafka_topic_t,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    pub fn new(client: &Kept, topic: &str) -> Result<Self, KeptError> {
        let name = CString::new(topic).map_err(|_| KeptError::of_code(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION))?;
        // SAFETY: no configuration: the client's own holds.
        let ptr = unsafe { rdsys::rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        // SAFETY: the last error belongs to this thread.
        if ptr.is_null() { Err(KeptError::of_code(unsafe { rdsys::rd_kafka_last_error() })) } else { Ok(Self { ptr }) }
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: created by us, destroyed once; the client outlives it in every user.
        unsafe { rdsys::rd_kafka_topic_destroy(self.ptr) };
    }
}

/// A deadline that is passed on in parts.
#[derive(Debug, Clone, Copy)]
pub struct Until(Instant);

impl Until {
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

pub fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX).max(1)
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}

/// # Safety
/// `text` is null or a C text.
pub unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// An array as C returns it, which may be null when it is empty.
///
/// # Safety
/// `array` has `count` elements that live long enough, or is null.
pub unsafe fn slice<'a, T>(array: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if array.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(array, count) } }
}
