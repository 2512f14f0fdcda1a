//! `org.apache.kafka.connect.transforms.DropHeaders`: every header of these names goes.

use walspring_config::tables::transforms::DROP_HEADERS;
use walspring_connect::{ConvertError, Transform};
use walspring_record::Record;

use crate::settings::Settings;

pub(crate) struct DropHeaders {
    names: Vec<String>,
}

impl DropHeaders {
    pub fn new(config: &[(String, String)]) -> Result<DropHeaders, ConvertError> {
        Ok(DropHeaders { names: Settings::new(DROP_HEADERS, config).names("headers")? })
    }
}

impl Transform for DropHeaders {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        record.headers.retain(|header| !self.names.iter().any(|name| **name == *header.name));
        Ok(Some(record))
    }
}
