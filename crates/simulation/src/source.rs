//! The source: the real reader and the real positions on frames of the simulated server.

use std::sync::Arc;
use std::time::Duration;

use walspring_connect::{
    CONNECT_EXCEPTION, Feedback, Poll, SourcePartition, SourcePlugin, SourceTask, SourceTaskContext, TaskError,
};
use walspring_postgres_source::simulated::{SimulatedSource, SimulatedStream};
use walspring_record::{ChangeBatch, Lsn};

use crate::turns::{ends_in_order, streams, turn};
use crate::world::Sim;

pub struct SimPlugin(pub Sim);

pub const CLASS: &str = "simulated.Source";

fn gone() -> TaskError {
    TaskError::transient(CONNECT_EXCEPTION, "the connection is gone")
}

impl SourcePlugin for SimPlugin {
    fn class(&self) -> &'static str {
        CLASS
    }
    fn version(&self) -> &'static str {
        "1"
    }
    fn check(&self, _: &[(String, String)]) -> Vec<(String, String)> {
        Vec::new()
    }
    fn task_configs(&self, config: &[(String, String)], _: u32) -> Result<Vec<Vec<(String, String)>>, TaskError> {
        Ok(vec![config.to_vec()])
    }
    fn start(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>, TaskError> {
        turn();
        let sim = &self.0;
        let stored = (context.offset)(&sim.source.partition())?;
        let mut guard = sim.lock();
        let world = &mut *guard;
        if world.chance(|chances| chances.cut) {
            return Err(gone());
        }
        let slot = world.server.confirmed;
        let reach = stored.as_ref().map_or(Lsn(1000), SimulatedSource::reach);
        if slot > reach.0 {
            world.log.account.tell(|| format!("the slot stands at {slot}, the stored offset at {reach:?}"));
        }
        world.server.connection += 1;
        let connection = world.server.connection;
        let stream = sim.source.stream(stored.as_ref(), Lsn(slot), Lsn(world.server.end()));
        world.say(|| format!("connection {connection} streams from {:?}, the slot stands at {slot}", stream.start));
        drop(guard);
        streams(connection, Box::new(stream.confirmed()));
        let start = stream.start.0.max(slot);
        Ok(Box::new(SimTask { sim: sim.clone(), stream, connection, start, transaction: 0, frame: 0 }))
    }
}

struct SimTask {
    sim: Sim,
    stream: SimulatedStream,
    connection: u64,
    start: u64,
    /// The next frame.
    transaction: usize,
    frame: usize,
}

impl SourceTask for SimTask {
    fn partition(&self) -> SourcePartition {
        self.sim.source.partition()
    }

    fn poll(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        turn();
        let (mut frames, drained, quiet) = {
            let mut guard = self.sim.lock();
            let world = &mut *guard;
            if world.server.connection != self.connection {
                return Err(gone());
            }
            let most = 1 + world.random.below(10);
            let mut frames = Vec::new();
            while frames.len() < most as usize
                && let Some(transaction) = world.server.sent(self.start, self.transaction)
            {
                frames.push(transaction.frame(self.frame));
                self.frame += 1;
                if self.frame == transaction.frames() {
                    (self.transaction, self.frame) = (self.transaction + 1, 0);
                }
            }
            let drained = world.server.sent(self.start, self.transaction).is_none();
            let quiet = frames.is_empty() && (world.chances.calm || world.random.below(1000) < world.chances.quiet);
            (frames, drained, quiet.then(|| world.server.end()))
        };
        self.stream.begin_batch();
        for frame in frames.drain(..) {
            self.stream.read(frame.lsn, &frame.payload, batch)?;
        }
        batch.drained = drained;
        self.stream.end_batch(batch);
        if let Some(at) = quiet {
            self.stream.quiet(Lsn(at), batch);
        }
        if batch.changes.is_empty() && batch.offset.is_none() {
            let mut world = self.sim.lock();
            let part = world.random.below(4) as u32;
            world.pass(wait / 4 * part);
            return Ok(Poll::Idle);
        }
        Ok(Poll::Batch)
    }

    fn feedback(&self) -> Arc<dyn Feedback> {
        self.stream.feedback()
    }

    fn close(&mut self) {
        ends_in_order();
    }
}
