//! The log and the stores as the runtime asks for them.

use std::sync::Arc;
use std::time::Duration;

use walspring_connect::writer::{DurabilityListener, RecordWriter, Ticket, TopicInfo, WriteError};
use walspring_connect::{Backend, KeyedLog, KeyedRecord, StoreError, WriterRequest};

use crate::log::Kind;
use crate::producer::{Heard, Producer};
use crate::turns::{streams_no_more, turn};
use crate::world::Sim;

pub struct SimBackend {
    pub sim: Sim,
    pub worker: u64,
}

fn away() -> StoreError {
    StoreError::Transient("the store is away".into())
}

impl Backend for SimBackend {
    fn cluster_id(&self) -> String {
        "simulated".into()
    }
    fn configs(&self) -> Arc<dyn KeyedLog> {
        Arc::new(Offsets(self.sim.clone()))
    }
    fn offsets(&self, _: Option<&str>) -> Result<Arc<dyn KeyedLog>, StoreError> {
        Ok(Arc::new(Offsets(self.sim.clone())))
    }
    fn statuses(&self) -> Arc<dyn KeyedLog> {
        Arc::new(Offsets(self.sim.clone()))
    }
    fn writer(
        &self,
        _: WriterRequest,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Box<dyn RecordWriter>, WriteError> {
        turn();
        streams_no_more();
        let mut guard = self.sim.lock();
        let world = &mut *guard;
        world.attempts += 1;
        // What came is found by the attempt that reads it.
        world.store_in_doubt = false;
        // The one before, of the same process, is gone; what it had sent is not.
        world.end_process(self.worker);
        world.epochs += 1;
        let epoch = world.epochs;
        world.log.begin_producer(epoch, &world.server);
        world.say(|| format!("worker {} has a producer of epoch {epoch}", self.worker));
        world.producers.insert(self.worker, Producer::new(epoch, listener));
        Ok(Box::new(SimWriter { sim: self.sim.clone(), worker: self.worker }))
    }
    fn transactional(&self) -> bool {
        self.sim.lock().log.kind != Kind::AtLeastOnce
    }
    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(self.sim.lock().newest == self.worker)
    }
}

struct Offsets(Sim);

impl KeyedLog for Offsets {
    fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
        turn();
        let mut guard = self.0.lock();
        let world = &mut *guard;
        let unsettled = world.log.decided.as_ref().is_some_and(|decided| decided.offset.is_some());
        if world.chance(|chances| chances.store_fails) {
            return Err(away());
        }
        if unsettled {
            if world.random.below(2) == 0 {
                return Err(StoreError::Transient("a transaction is not decided yet".into()));
            }
            world.log.show_decided(&world.server);
        }
        let Some(value) = world.log.account.offset.clone() else { return Ok(Vec::new()) };
        Ok(vec![KeyedRecord { key: world.offset_key.clone(), value: Some(value), kafka_offset: 0 }])
    }

    fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let mut guard = self.0.lock();
        let world = &mut *guard;
        let fails = world.chance(|chances| chances.store_fails);
        // It may have come all the same.
        let comes = !fails || world.random.below(2) == 0;
        for (key, value) in records.iter().filter(|_| comes) {
            world.offset_key.clone_from(key);
            let durable = world.log.durable();
            world.log.account.offset(value.as_deref().unwrap_or_default(), durable, &world.server);
        }
        world.store_in_doubt = fails && comes;
        world.say(|| format!("a write of the store: failed {fails}, came {comes}"));
        if fails {
            world.counts.add("stores that failed");
            return Err(away());
        }
        Ok(())
    }
}

struct SimWriter {
    sim: Sim,
    worker: u64,
}

impl SimWriter {
    fn with<T>(&self, act: impl FnOnce(&mut Producer) -> T) -> Result<T, WriteError> {
        let mut world = self.sim.lock();
        let producer = world.producers.get_mut(&self.worker);
        producer.map(act).ok_or_else(|| WriteError::Transient("the producer is gone".into()))
    }

    fn check(&self) -> Result<(), WriteError> {
        self.with(|producer| producer.failed.clone())?.map_or(Ok(()), Err)
    }
}

impl RecordWriter for SimWriter {
    fn topic(&mut self, _: &str) -> Result<TopicInfo, WriteError> {
        turn();
        self.check()?;
        Ok(TopicInfo { partitions: 1, batch_bytes_max: 1 << 20 })
    }

    fn submit(&mut self, ticket: Ticket) -> Result<(), WriteError> {
        loop {
            turn();
            self.check()?;
            if self.with(|producer| producer.waiting() < 4)? {
                break;
            }
        }
        if let Some(offset) = &ticket.offset {
            self.sim.lock().offset_key.clone_from(&offset.key);
        }
        let (heard, listener) = self.with(|producer| (producer.submit(ticket), producer.listener.clone()))?;
        tell(heard, &*listener);
        Ok(())
    }

    fn idle(&mut self) {
        let _ = self.with(|producer| producer.idle = true);
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError> {
        let end = self.sim.lock().now + timeout;
        loop {
            turn();
            self.check()?;
            if self.with(|producer| {
                producer.idle = true;
                producer.is_empty()
            })? {
                return Ok(());
            }
            let mut world = self.sim.lock();
            world.pass(Duration::from_millis(5));
            if world.now > end {
                return Err(WriteError::Transient("not flushed in time".into()));
            }
        }
    }

    fn abort(self: Box<Self>) {}
}

pub fn tell(heard: Option<Heard>, listener: &dyn DurabilityListener) {
    match heard {
        None => {}
        Some(Heard::Durable(ticket, stored)) => listener.durable(ticket, stored),
        Some(Heard::Failed(error)) => listener.failed(error),
    }
}
