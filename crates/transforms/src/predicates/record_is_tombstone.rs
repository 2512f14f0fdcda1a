//! `org.apache.kafka.connect.transforms.predicates.RecordIsTombstone`: the record has no value.

use walspring_connect::Predicate;
use walspring_record::Record;

pub(crate) struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    /// Whatever its schema says: what ExtractNewRecordState makes of a delete counts too.
    fn test(&self, record: &Record) -> bool {
        record.value.value.is_null()
    }
}
