//! Records into the open record batch of their partition: the runtime's [`BatchAssembler`] in Kafka's format.
//!
//! Invariant: within a partition, batches are handed out in the order in which their records came.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_connect::writer::{
    BatchAssembler, EncodedBatch, HeaderBytes, HeadersId, RecordBytes, TopicId, TopicInfo,
};

use crate::{EncodedHeaders, RecordBatchBuilder, layout, partition_for_key};

/// No batch grows beyond this, in bytes: Java's `max.request.size`, which brokers take by default.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The first batch of a partition begins with this much room, in bytes; the ones after it with what the last one took.
const BATCH_BYTES_FIRST: usize = 4 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Assembler {
    topics: Vec<Topic>,
    topic_ids: HashMap<Arc<str>, TopicId>,
    headers: Vec<EncodedHeaders>,
    /// Batches that are full, and open ones, in the order in which they were begun.
    batches: Vec<Slot>,
    own_headers: EncodedHeaders,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    batch_bytes_max: usize,
    partitions: Vec<Partition>,
    /// Where records without a key go until the next `take`.
    sticky: usize,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    /// Its open batch in `Assembler::batches`.
    open: Option<u32>,
    last_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    topic: u32,
    partition: u32,
    builder: RecordBatchBuilder,
}

impl Assembler {
    pub fn new() -> Assembler {
        Assembler::default()
    }
}

impl BatchAssembler for Assembler {
    fn topic(&mut self, name: &Arc<str>, info: &TopicInfo) -> TopicId {
        let next = TopicId(self.topics.len() as u32);
        let id = *self.topic_ids.entry(name.clone()).or_insert(next);
        if id == next {
            self.topics.push(Topic { name: name.clone(), batch_bytes_max: 0, partitions: Vec::new(), sticky: 0 });
        }
        let topic = &mut self.topics[id.0 as usize];
        topic.batch_bytes_max = info.batch_bytes_max.min(BATCH_BYTES_MAX);
        // Partitions are never taken away from a topic; one that was deleted and made again may have fewer, and the
        // batches that are open for the others are refused by the broker.
        topic.partitions.resize(info.partitions.max(1) as usize, Partition::default());
        topic.sticky %= topic.partitions.len();
        id
    }

    fn headers(&mut self, headers: &[HeaderBytes]) -> HeadersId {
        let mut encoded = EncodedHeaders::new();
        for (name, value) in headers {
            encoded.push(name, value.as_deref());
        }
        let known = self.headers.iter().position(|h| *h == encoded);
        HeadersId(known.unwrap_or_else(|| {
            self.headers.push(encoded);
            self.headers.len() - 1
        }) as u32)
    }

    #[inline]
    fn append(&mut self, record: &RecordBytes<'_>) {
        let shared = &self.headers[record.headers.0 as usize];
        let own = if record.own_headers.is_empty() {
            None
        } else {
            self.own_headers.clear();
            for (name, value) in record.own_headers {
                self.own_headers.push(name, value.as_deref());
            }
            Some(&self.own_headers)
        };
        let topic = &mut self.topics[record.topic.0 as usize];
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition.max(0) as usize,
            _ if topic.partitions.len() == 1 => 0,
            (None, Some(key)) => partition_for_key(key, topic.partitions.len() as i32) as usize,
            (None, None) => topic.sticky,
        };
        if partition >= topic.partitions.len() {
            // A transform named it; the broker says that it does not exist.
            topic.partitions.resize(partition + 1, Partition::default());
        }
        let header_bytes = shared.bytes().len() + own.map_or(0, |h| h.bytes().len());
        let size = RecordBatchBuilder::record_size_max(record.key, record.value, header_bytes);
        let state = &mut topic.partitions[partition];
        if let Some(open) = state.open {
            let builder = &self.batches[open as usize].builder;
            if builder.len() + size > topic.batch_bytes_max && !builder.is_empty() {
                state.last_bytes = builder.len();
                state.open = None;
            }
        }
        let open = *state.open.get_or_insert_with(|| {
            let room = (state.last_bytes + state.last_bytes / 8).clamp(BATCH_BYTES_FIRST, BATCH_BYTES_MAX);
            let builder = RecordBatchBuilder::new(room.max(layout::HEADER_BYTES + size));
            self.batches.push(Slot { topic: record.topic.0, partition: partition as u32, builder });
            self.batches.len() as u32 - 1
        });
        let builder = &mut self.batches[open as usize].builder;
        match own {
            None => builder.append(record.timestamp_ms, record.key, record.value, shared),
            Some(own) => builder.append_joined(record.timestamp_ms, record.key, record.value, &[own, shared]),
        }
    }

    fn size_alone(&self, record: &RecordBytes<'_>) -> usize {
        let own: usize = record.own_headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len) + 10).sum();
        let shared = self.headers[record.headers.0 as usize].bytes().len();
        layout::HEADER_BYTES + RecordBatchBuilder::record_size_max(record.key, record.value, own + shared)
    }

    fn take(&mut self) -> Vec<EncodedBatch> {
        let mut out = Vec::with_capacity(self.batches.len());
        for slot in self.batches.drain(..) {
            let topic = &mut self.topics[slot.topic as usize];
            if let Some(partition) = topic.partitions.get_mut(slot.partition as usize) {
                partition.open = None;
                partition.last_bytes = slot.builder.len();
            }
            if topic.sticky == slot.partition as usize {
                topic.sticky = (topic.sticky + 1) % topic.partitions.len();
            }
            let (bytes, records) = slot.builder.finish();
            out.push(EncodedBatch { topic: topic.name.clone(), partition: slot.partition as i32, records, bytes });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches;

    fn record(topic: TopicId, headers: HeadersId) -> RecordBytes<'static> {
        RecordBytes { topic, partition: None, timestamp_ms: 7, key: None, value: None, own_headers: &[], headers }
    }

    fn values(batches_out: &[EncodedBatch]) -> Vec<(i32, Vec<String>)> {
        batches_out
            .iter()
            .map(|b| {
                let mut scratch = Vec::new();
                let batch = batches(&b.bytes).next().unwrap().unwrap();
                let records = batch.records(&mut scratch, usize::MAX).unwrap();
                let text = |r: crate::RecordRef<'_>| {
                    let headers: Vec<_> = r.headers().map(|h| h.unwrap().0.to_owned()).collect();
                    format!("{}{headers:?}", r.value.map_or(0, <[u8]>::len))
                };
                (b.partition, records.map(|r| text(r.unwrap())).collect())
            })
            .collect()
    }

    #[test]
    fn closes_a_batch_before_the_limit_and_passes_a_larger_record_alone() {
        let mut a = Assembler::new();
        let t = a.topic(&"t".into(), &TopicInfo { partitions: 1, batch_bytes_max: 400 });
        let h = a.headers(&[]);
        for size in [100, 100, 100, 900, 10] {
            let value = vec![0; size];
            a.append(&RecordBytes { value: Some(&value), ..record(t, h) });
        }
        let out = a.take();
        let got = values(&out);
        assert_eq!(
            got.iter().map(|(_, r)| r.len()).collect::<Vec<_>>(),
            [2, 1, 1, 1],
            "a batch of 400 bytes holds two of 100: {got:?}"
        );
        assert!(a.take().is_empty());
    }

    #[test]
    fn partitions_by_key_and_keeps_records_without_one_together() {
        let mut a = Assembler::new();
        let t = a.topic(&"t".into(), &TopicInfo { partitions: 3, batch_bytes_max: 1 << 20 });
        let h = a.headers(&[]);
        for _ in 0..2 {
            a.append(&RecordBytes { key: Some(b"foobar"), ..record(t, h) });
            a.append(&record(t, h));
            a.append(&record(t, h));
        }
        let first: Vec<_> = a.take().iter().map(|b| (b.partition, b.records)).collect();
        let keyed = partition_for_key(b"foobar", 3);
        assert!(first.contains(&(keyed, if keyed == 0 { 6 } else { 2 })), "{first:?}");
        a.append(&record(t, h));
        assert_eq!(a.take()[0].partition, 1);
        a.append(&RecordBytes { partition: Some(2), key: Some(b"x"), ..record(t, h) });
        assert_eq!(a.take()[0].partition, 2);
    }

    #[test]
    fn own_headers_come_first() {
        let mut a = Assembler::new();
        let t = a.topic(&"t".into(), &TopicInfo { partitions: 1, batch_bytes_max: 1 << 20 });
        let shared: Vec<HeaderBytes> = vec![("c".into(), None), ("d".into(), Some(vec![1]))];
        let h = a.headers(&shared);
        assert_eq!(a.headers(&shared), h);
        a.append(&RecordBytes { own_headers: &[("key".into(), Some(vec![2]))], ..record(t, h) });
        a.append(&record(t, h));
        assert_eq!(values(&a.take()), [(0, vec![r#"0["key", "c", "d"]"#.to_owned(), r#"0["c", "d"]"#.to_owned()])]);
    }
}
