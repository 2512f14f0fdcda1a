//! `org.apache.kafka.connect.transforms.predicates.TopicNameMatches`: the whole name of the topic matches.

use std::cell::RefCell;

use walspring_config::java_regex::JavaRegex;
use walspring_config::tables::transforms::TOPIC_NAME_MATCHES;
use walspring_connect::{ConvertError, Predicate};
use walspring_record::Record;

use crate::memo::TopicMemo;
use crate::settings::Settings;

pub(crate) struct TopicNameMatches {
    pattern: JavaRegex,
    known: RefCell<TopicMemo<bool>>,
}

impl TopicNameMatches {
    pub fn new(config: &[(String, String)]) -> Result<TopicNameMatches, ConvertError> {
        let pattern = Settings::new(TOPIC_NAME_MATCHES, config).regex("pattern")?;
        Ok(TopicNameMatches { pattern, known: RefCell::new(TopicMemo::new()) })
    }
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record) -> bool {
        let matches = |topic: &str| {
            // Said once for each topic; a predicate has no other way to fail.
            let matched = self.pattern.matches(topic).unwrap_or_else(|e| {
                tracing::warn!(topic, "TopicNameMatches takes the topic for one that does not match: {e}");
                false
            });
            Ok::<_, ConvertError>(matched)
        };
        self.known.borrow_mut().get(&record.topic, matches).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, record};

    #[test]
    fn the_whole_name_has_to_match() {
        let predicate = TopicNameMatches::new(&config(&[("pattern", "ecom\\.public\\..*")])).unwrap();
        for _ in 0..2 {
            assert!(predicate.test(&record("ecom.public.orders")));
            assert!(!predicate.test(&record("x.ecom.public.orders")));
        }
        assert!(TopicNameMatches::new(&config(&[("pattern", "(")])).is_err());
    }
}
