//! `org.apache.kafka.connect.transforms.predicates.HasHeaderKey`: the record has a header of this name.

use walspring_config::tables::transforms::HAS_HEADER_KEY;
use walspring_connect::{ConvertError, Predicate};
use walspring_record::Record;

use crate::settings::Settings;

pub(crate) struct HasHeaderKey {
    name: String,
}

impl HasHeaderKey {
    pub fn new(config: &[(String, String)]) -> Result<HasHeaderKey, ConvertError> {
        Ok(HasHeaderKey { name: Settings::new(HAS_HEADER_KEY, config).required("name")?.to_owned() })
    }
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> bool {
        record.headers.iter().any(|header| *header.name == *self.name)
    }
}
