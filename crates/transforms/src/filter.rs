//! `org.apache.kafka.connect.transforms.Filter`: drops every record; its predicate says which come here.

use walspring_connect::{ConvertError, Transform};
use walspring_record::Record;

pub(crate) struct Filter;

impl Transform for Filter {
    fn apply(&mut self, _record: Record) -> Result<Option<Record>, ConvertError> {
        Ok(None)
    }
}
