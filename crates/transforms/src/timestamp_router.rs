//! `org.apache.kafka.connect.transforms.TimestampRouter`: the record's time in the name of its topic.

use walspring_config::tables::transforms::TIMESTAMP_ROUTER;
use walspring_connect::{ConvertError, Transform};
use walspring_record::Record;

use crate::date_format::DateFormat;
use crate::error::config;
use crate::settings::Settings;

pub(crate) struct TimestampRouter {
    topic: String,
    format: DateFormat,
}

impl TimestampRouter {
    pub fn new(given: &[(String, String)]) -> Result<TimestampRouter, ConvertError> {
        let settings = Settings::new(TIMESTAMP_ROUTER, given);
        let format = DateFormat::new(settings.required("timestamp.format")?).map_err(config)?;
        Ok(TimestampRouter { topic: settings.required("topic.format")?.to_owned(), format })
    }
}

impl Transform for TimestampRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let Some(timestamp) = record.timestamp_ms else {
            return Err(ConvertError::data(format!(
                "Timestamp missing on record: one of the topic {}. Records of a source connector have none; \
                 TimestampRouter is for sinks",
                record.topic
            )));
        };
        let time = self.format.format(timestamp);
        record.topic = self.topic.replace("${topic}", &record.topic).replace("${timestamp}", &time).into();
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;

    #[test]
    fn the_day_is_in_the_topic() {
        let mut router = TimestampRouter::new(&[]).unwrap();
        let at = |timestamp_ms| Record { timestamp_ms, ..record("orders") };
        assert_eq!(&*router.apply(at(Some(1_709_212_455_123))).unwrap().unwrap().topic, "orders-20240229");
        assert!(router.apply(at(None)).is_err());
    }
}
