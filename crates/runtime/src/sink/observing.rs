//! Tells the observer, where there is one, what became of records. Nothing is done per record where it does not want
//! to hear of each.

use std::sync::Arc;
use std::time::SystemTime;

use walspring_connect::{Fate as Seen, Processed, SinkIdentity, SinkObserver, SinkRecord};
use walspring_record::{Header, Typed, Value};

use super::batch::{Batch, Fate};
use super::decoder::origin;

pub(super) struct Observing {
    pub observer: Arc<dyn SinkObserver>,
    pub identity: SinkIdentity,
    /// There is a dead letter queue.
    pub has_queue: bool,
}

impl Observing {
    /// The first `count` records of the batch are dealt with.
    pub fn tell(&self, batch: &Batch, count: usize) {
        let all = self.observer.wants_all();
        let wanted = |place: &usize| all || matches!(batch.fates[*place], Fate::Failed(_));
        let places: Vec<usize> = (0..count).filter(wanted).collect();
        if places.is_empty() {
            return;
        }
        let ended = SystemTime::now();
        let started = batch.started.unwrap_or(ended);
        let mut decoded = vec![None; batch.raws.len()];
        for (record, place) in batch.records.iter().zip(&batch.places) {
            decoded[*place] = Some(record);
        }
        let bare: Vec<Option<SinkRecord>> =
            places.iter().map(|place| decoded[*place].is_none().then(|| bare(batch, *place))).collect();
        let processed: Vec<Processed<'_>> = (places.iter().zip(&bare))
            .filter_map(|(place, bare)| {
                let fate = match batch.fates[*place] {
                    Fate::Done(outcome) => Seen::Done(outcome),
                    Fate::Dropped => Seen::Dropped,
                    Fate::Failed(failure) => Seen::Failed {
                        error: &batch.failures[failure].1.error,
                        dead_letter: self.has_queue && failure < batch.letters,
                    },
                    Fate::Open => return None,
                };
                let record = decoded[*place].or(bare.as_ref())?;
                let raw_key = batch.raws[*place].key.as_deref();
                Some(Processed { record, raw_key, fate, started, ended })
            })
            .collect();
        self.observer.processed(&self.identity, &processed);
    }
}

/// A record that did not come through converters and transforms: where it was read, and its headers as text.
fn bare(batch: &Batch, place: usize) -> SinkRecord {
    let raw = &batch.raws[place];
    let header = |(name, value): &(String, Option<Vec<u8>>)| Header {
        name: Arc::from(name.as_str()),
        value: Typed {
            schema: None,
            value: value.as_deref().map_or(Value::Null, |bytes| match std::str::from_utf8(bytes) {
                Ok(text) => Value::string(text),
                Err(_) => Value::bytes(bytes),
            }),
        },
    };
    SinkRecord {
        topic: raw.topic.clone(),
        key: Typed::NULL,
        value: Typed::NULL,
        headers: raw.headers.iter().map(header).collect(),
        timestamp_ms: raw.timestamp_ms,
        origin: origin(raw),
    }
}
