//! Which signals of a file or a topic a stored offset knows of. They stand at no place of the stream, so that a restart
//! would not bring them again: until then they are kept where they came from.
//!
//! They are numbered, and offsets say up to which one they know of, for as long as one waits for that.

use std::collections::VecDeque;
use std::sync::Arc;

use walspring_record::SourceOffset;

use crate::events::StoredOffset;
use crate::feedback::SlotProgress;

pub struct Acknowledged {
    progress: Arc<SlotProgress>,
    /// The number of the signals that came last.
    pub last: u64,
    /// No stored offset is known to know of them.
    pub waits: bool,
    /// Signals of the topic that wait, in their order.
    pub of_topic: VecDeque<u64>,
}

impl Acknowledged {
    /// The key in the offset; the original passes over it.
    pub const KEY: &str = "walspring_signals";

    pub fn new(progress: Arc<SlotProgress>, stored: Option<&StoredOffset>) -> Acknowledged {
        let last = stored.and_then(|stored| Acknowledged::load(&stored.place().rest)).unwrap_or_default();
        Acknowledged { progress, last, waits: false, of_topic: VecDeque::new() }
    }

    pub fn load(offset: &SourceOffset) -> Option<u64> {
        offset.get(Acknowledged::KEY)?.as_u64()
    }

    pub fn store(&self, offset: &mut SourceOffset) {
        if self.waits {
            offset.insert(Acknowledged::KEY.into(), self.last.into());
        }
    }

    /// Signals have been taken; under which number.
    pub fn taken(&mut self) -> u64 {
        self.last += 1;
        self.waits = true;
        self.last
    }

    /// Up to which number a stored offset knows of them, if any wait.
    pub fn stored(&mut self) -> Option<u64> {
        let stored = self.progress.signals().filter(|_| self.waits)?;
        self.waits = stored < self.last;
        Some(stored)
    }
}
