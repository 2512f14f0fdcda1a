//! The channel `kafka`: records of `signal.kafka.topic` whose key is the connector's `topic.prefix`. A member of the group
//! `signal.kafka.groupId` reads them, on a thread of its own, so that a broker that is away does not hold up the stream.
//!
//! Invariant: the group's offset is committed only behind signals that the stream has followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use walspring_config::postgres::{KafkaSignals, PostgresConnectorConfig};
use walspring_connect::{
    CONNECT_EXCEPTION, Consumed, ConsumerRequest, JoinGroup, RecordConsumer, StopToken, StoreError, TaskError, Topics,
    threads,
};
use walspring_debezium::Signal;

/// Signals that wait to be followed, at most; each is bounded by `VALUE_BYTES_MAX`.
const WAITING_MAX: usize = 16;
const VALUE_BYTES_MAX: usize = 1 << 20;

pub struct SignalTopic {
    signals: Receiver<Result<Signal, TaskError>>,
    followed: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    stop: StopToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl SignalTopic {
    pub fn start(
        connector: &str,
        config: &PostgresConnectorConfig,
        kafka: &KafkaSignals,
        join: JoinGroup,
    ) -> Result<SignalTopic, TaskError> {
        let (stop, stopped, followed) =
            (StopToken::default(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let request = ConsumerRequest {
            connector: format!("{connector}-signals"),
            task: 0,
            group: kafka.group.clone(),
            topics: Topics::Named(vec![kafka.topic.clone()]),
            config: consumer_options(config),
            stop: stop.clone(),
        };
        tracing::info!(topic = %kafka.topic, group = %kafka.group, "signals are read from a topic");
        let (sender, signals) = sync_channel(WAITING_MAX);
        let reader = TopicReader {
            key: config.topics.prefix.clone().into_bytes(),
            poll_interval: config.signals.poll_interval,
            followed: followed.clone(),
            stopped: stopped.clone(),
            sender,
        };
        let thread = threads::spawn("signals", move || reader.run(request, &join)).map_err(|e| {
            TaskError::transient(CONNECT_EXCEPTION, format!("Starting a thread for signals failed: {e}"))
        })?;
        Ok(SignalTopic { signals, followed, stopped, stop, thread: Some(thread) })
    }

    /// The next signal, if one has come.
    pub fn next(&self) -> Result<Option<Signal>, TaskError> {
        match self.signals.try_recv() {
            Ok(signal) => signal.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(TaskError::transient(CONNECT_EXCEPTION, "The thread that reads the signal topic has ended"))
            }
        }
    }

    /// The signal that came last has been followed.
    pub fn followed(&self) {
        self.followed.fetch_add(1, Ordering::Release);
    }
}

impl Drop for SignalTopic {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.stop.stop();
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + Duration::from_secs(2);
        while !thread.is_finished() && Instant::now() < end {
            // One that waits for room is let go.
            let _ = self.signals.try_recv();
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// `signal.consumer.*`, as a sink would give them: what names addresses and files is refused there.
fn consumer_options(config: &PostgresConnectorConfig) -> Vec<(String, String)> {
    let given = config.raw.iter().filter_map(|(name, value)| Some((name.strip_prefix("signal.consumer.")?, value)));
    given.map(|(name, value)| (format!("consumer.override.{name}"), value.to_owned())).collect()
}

struct TopicReader {
    key: Vec<u8>,
    poll_interval: Duration,
    followed: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    sender: SyncSender<Result<Signal, TaskError>>,
}

impl TopicReader {
    fn run(self, request: ConsumerRequest, join: &JoinGroup) {
        match join(request) {
            Err(e) => drop(self.sender.send(Err(failed(&e)))),
            Ok(mut consumer) => {
                if let Err(e) = self.read(&mut *consumer) {
                    let _ = self.sender.send(Err(failed(&e)));
                }
                consumer.close();
            }
        }
    }

    fn read(&self, consumer: &mut dyn RecordConsumer) -> Result<(), StoreError> {
        let (mut records, mut sent, mut committed) = (Vec::new(), 0u64, 0u64);
        while !self.stopped.load(Ordering::Acquire) {
            records.clear();
            // As many as there is room for: then sending them does not wait, and the group is polled.
            let room = WAITING_MAX.saturating_sub((sent - self.followed.load(Ordering::Acquire)) as usize);
            if room == 0 {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            let wait = self.poll_interval.min(Duration::from_millis(200));
            match consumer.poll(&mut records, room, wait)? {
                Consumed::Records | Consumed::Nothing | Consumed::Assigned(_) => {}
                Consumed::Revoked(_) | Consumed::Lost(_) => {
                    tracing::warn!(
                        "another member of the group takes the signal topic over; give each connector that \
                        shares a topic a signal.kafka.groupId of its own"
                    );
                }
            }
            for record in &records {
                if record.key.as_deref() != Some(&self.key) {
                    continue;
                }
                let value = record.value.as_deref().unwrap_or_default();
                if value.is_empty() || value.len() > VALUE_BYTES_MAX {
                    continue;
                }
                match Signal::from_json(value) {
                    Err(why) => tracing::warn!("a record of the signal topic is no signal: {why}"),
                    Ok(signal) => {
                        sent += 1;
                        if self.sender.send(Ok(signal)).is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            let position = consumer.positions();
            if self.followed.load(Ordering::Acquire) == sent && (committed < sent || !records.is_empty()) {
                consumer.commit(&position)?;
                committed = sent;
            }
        }
        Ok(())
    }
}

fn failed(e: &StoreError) -> TaskError {
    let message = format!("Reading the signal topic failed: {e}");
    match e {
        StoreError::Definite(_) => TaskError::definite(CONNECT_EXCEPTION, message)
            .hint("look at signal.kafka.* and signal.consumer.*, or leave kafka out of signal.enabled.channels"),
        _ => TaskError::transient(CONNECT_EXCEPTION, message),
    }
}
